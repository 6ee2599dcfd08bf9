//! Lets the tests and examples of this crate find a libglq that lies outside the system's folders.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(folder) = std::env::var("DEP_GLQ_LIB") {
        for kind in ["tests", "examples"] {
            println!("cargo::rustc-link-arg-{kind}=-Wl,-rpath,{folder}");
        }
    }
}
