//! The library from its sources, with CMake.

use std::path::{Path, PathBuf};

/// Builds and installs libglq; returns the prefix. With CUDA where there is an nvcc, as `GLQ_CUDA=AUTO` does.
pub fn build(root: &Path) -> PathBuf {
    for part in ["CMakeLists.txt", "cmake", "include", "kernels", "lib"] {
        println!("cargo::rerun-if-changed={}", root.join(part).display());
    }
    let mut config = cmake::Config::new(root);
    config.profile("Release");
    for name in ["GLQ_BUILD_TESTS", "GLQ_BUILD_EXAMPLES", "GLQ_BUILD_BENCH"] {
        config.define(name, "OFF");
    }
    if let Ok(cuda) = std::env::var("GLQ_CUDA") {
        config.define("GLQ_CUDA", cuda);
    }
    println!("cargo::rerun-if-env-changed=GLQ_CUDA");
    // What CMake fetches goes beside what it builds; a build script leaves the sources as they are.
    if let Some(out) = std::env::var_os("OUT_DIR").filter(|_| !root.join("build/deps/highway").is_dir()) {
        config.define("GLQ_DEPS_DIR", Path::new(&out).join("deps"));
    }
    config.build()
}
