//! Programs that misuse lifetimes or threads do not compile, each for the reason that its first line names.
//!
//! The texts of the compiler differ between its versions, so only the codes of the errors are compared.

use std::path::Path;

#[test]
fn misuse_does_not_compile() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile_fail");
    let copies = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile_fail");
    let _ = std::fs::remove_dir_all(&copies);
    std::fs::create_dir_all(&copies).unwrap();
    let mut expected = Vec::new();
    for entry in std::fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.lines().next().unwrap().strip_prefix("// error: ").unwrap().to_owned();
        std::fs::write(copies.join(path.file_name().unwrap()), &text).unwrap();
        expected.push((path.file_stem().unwrap().to_str().unwrap().to_owned(), code));
    }
    assert!(expected.len() >= 8);
    std::env::set_var("TRYBUILD", "overwrite"); // record what the compiler says, beside the copies
    {
        let cases = trybuild::TestCases::new();
        cases.compile_fail(copies.join("*.rs"));
        // Checked when it is dropped.
    }
    for (name, code) in expected {
        let said = std::fs::read_to_string(copies.join(format!("{name}.stderr"))).unwrap();
        let codes: Vec<&str> = said.lines().filter(|line| line.starts_with("error")).collect();
        let wanted = format!("error[{code}]");
        assert!(!codes.is_empty() && codes.iter().all(|line| line.starts_with(&wanted)), "{name}: not {code}: {said}");
    }
}
