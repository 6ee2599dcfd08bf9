//! Finds or builds libglq, as the features say.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[cfg(feature = "generate-bindings")]
#[path = "build/generate.rs"]
mod generate;

#[cfg(feature = "vendored")]
#[path = "build/vendored.rs"]
mod vendored;

/// Where the library and its headers are, as far as it is known.
#[derive(Default)]
struct Found {
    include: Option<PathBuf>,
    library: Option<PathBuf>,
}

fn main() -> ExitCode {
    for name in ["GLQ_DIR", "GLQ_SOURCE_DIR", "DOCS_RS"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let nothing_to_link =
        cfg!(feature = "dlopen") || cfg!(feature = "doc-only") || std::env::var_os("DOCS_RS").is_some();
    let found = if nothing_to_link {
        Found { include: headers(), library: None }
    } else {
        let found = library()?;
        println!("cargo::rustc-link-lib=dylib=glq");
        if let Some(folder) = &found.library {
            println!("cargo::rustc-link-search=native={}", folder.display());
            println!("cargo::metadata=lib={}", folder.display());
            // For the tests of this crate; who depends on it learns of the folder as DEP_GLQ_LIB.
            println!("cargo::rustc-link-arg-tests=-Wl,-rpath,{}", folder.display());
        }
        found
    };
    if let Some(folder) = &found.include {
        println!("cargo::metadata=include={}", folder.display());
    }
    generate(found.include.as_deref())
}

#[cfg(feature = "generate-bindings")]
fn generate(include: Option<&Path>) -> Result<(), String> {
    let include = include.ok_or("generate-bindings: no headers found; set GLQ_DIR or GLQ_SOURCE_DIR")?;
    println!("cargo::rerun-if-changed={}", include.display());
    let output = Path::new(&std::env::var_os("OUT_DIR").unwrap_or_default()).join("bindings.rs");
    std::fs::write(&output, generate::bindings(include)?).map_err(|error| format!("{}: {error}", output.display()))
}

#[cfg(not(feature = "generate-bindings"))]
fn generate(_include: Option<&Path>) -> Result<(), String> {
    Ok(())
}

/// The root of the sources: GLQ_SOURCE_DIR, else the checkout that this crate lies in.
fn sources() -> Option<PathBuf> {
    let root = match std::env::var_os("GLQ_SOURCE_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(&std::env::var_os("CARGO_MANIFEST_DIR")?).ancestors().nth(3)?.to_path_buf(),
    };
    root.join("include/glq.h").is_file().then_some(root)
}

fn headers() -> Option<PathBuf> {
    let installed = std::env::var_os("GLQ_DIR").map(|folder| Path::new(&folder).join("include"));
    installed.filter(|folder| folder.join("glq.h").is_file()).or_else(|| sources().map(|root| root.join("include")))
}

#[cfg(feature = "vendored")]
fn library() -> Result<Found, String> {
    let root = sources()
        .ok_or("vendored: the sources of libglq are not here; set GLQ_SOURCE_DIR to a checkout of the repository")?;
    let prefix = vendored::build(&root);
    let library = library_in(&prefix).ok_or_else(|| format!("vendored: no library in {}", prefix.display()))?;
    Ok(Found { include: Some(prefix.join("include")), library: Some(library) })
}

#[cfg(not(feature = "vendored"))]
fn library() -> Result<Found, String> {
    if !cfg!(feature = "link") {
        return Err("glq-sys: choose one of the features link, vendored, dlopen, doc-only".to_owned());
    }
    if let Some(folder) = std::env::var_os("GLQ_DIR") {
        let folder = PathBuf::from(folder);
        let library = library_in(&folder).ok_or_else(|| {
            format!("GLQ_DIR={}: no libglq there, nor in its lib, lib64 or lib/<architecture>", folder.display())
        })?;
        return Ok(Found { include: headers(), library: Some(library) });
    }
    // Its directives are left to `run`, which gives the same ones however the library was found.
    match pkg_config::Config::new().atleast_version("0.1").cargo_metadata(false).probe("glq") {
        Ok(package) => Ok(Found {
            include: package.include_paths.first().cloned().or_else(headers),
            library: package.link_paths.first().cloned(),
        }),
        Err(error) => {
            let said = error.to_string();
            let said = said.lines().map(str::trim).find(|line| line.starts_with("Package ")).unwrap_or(said.trim());
            Err(format!(
                "libglq was not found. Set GLQ_DIR to its prefix or build folder, put its glq.pc on PKG_CONFIG_PATH,\n\
                 or use another feature: vendored (build it), dlopen (load it at run time), doc-only.\n\
                 pkg-config said: {said}"
            ))
        }
    }
}

/// The folder at or below `prefix` that the library lies in.
fn library_in(prefix: &Path) -> Option<PathBuf> {
    let architecture = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let folders = ["".to_owned(), "lib".to_owned(), "lib64".to_owned(), format!("lib/{architecture}-linux-gnu")];
    folders
        .iter()
        .map(|folder| prefix.join(folder))
        .find(|folder| ["libglq.so", "libglq.dylib", "glq.lib"].iter().any(|name| folder.join(name).is_file()))
}
