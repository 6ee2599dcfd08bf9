//! Without the library there is an error that lists what was tried, and no panic. One test: loading is for good.
#![cfg(feature = "dlopen")]

use std::path::PathBuf;

#[test]
fn missing_then_found() {
    // The environment is this test's alone.
    let found = std::env::var("GLQ_LIBRARY").ok().filter(|path| !path.is_empty());
    let found = found.expect("run this test with GLQ_LIBRARY set to the library");

    std::env::set_var("GLQ_LIBRARY", "/nonexistent/libglq.so");
    let error = glq_sys::api().unwrap_err();
    assert_eq!(error.tried().len(), 1, "{error}");
    assert_eq!(error.tried()[0].0, "/nonexistent/libglq.so");
    let text = error.to_string();
    assert!(text.contains("GLQ_LIBRARY") && text.contains("No such file"), "{text}");

    let no_library: PathBuf = [env!("CARGO_MANIFEST_DIR"), "Cargo.toml"].iter().collect();
    let error = glq_sys::load(&no_library).unwrap_err();
    assert!(error.to_string().contains("Cargo.toml: "), "{error}");

    let other = glq_sys::load("libc.so.6").unwrap_err();
    assert!(other.to_string().contains("not libglq") && other.to_string().contains("glq_abi_version"), "{other}");

    std::env::remove_var("GLQ_LIBRARY");
    if let Err(error) = glq_sys::api() {
        assert_eq!(error.tried()[0].0, "libglq.so.0"); // unless it is installed
        assert_eq!(error.tried().len(), 2);
        assert_eq!(glq_sys::library_path(), None);
        std::env::set_var("GLQ_LIBRARY", &found); // the next call tries again
        glq_sys::api().unwrap();
        assert_eq!(glq_sys::library_path(), Some(found.as_str()));
        glq_sys::load(&found).unwrap();
        let late = glq_sys::load("/elsewhere/libglq.so").unwrap_err();
        assert!(late.to_string().contains("came too late"), "{late}");
    }
}
