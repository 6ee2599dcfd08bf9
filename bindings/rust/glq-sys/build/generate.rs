//! The bindings from the headers, by bindgen.

use std::path::Path;

use bindgen::callbacks::ParseCallbacks;

const BEFORE: &str = "/* Made from include/glq.h by bindings/generate.py. Do not edit. */";

// C lets an enumeration have any integer type. The values travel as these.
const INTEGER_TYPES: [(&str, &str); 6] = [
    ("glq_status_code", "glq_status"),
    ("glq_dtype_code", "glq_dtype"),
    ("glq_view_flag", "u32"),
    ("glq_context_flag", "u32"),
    ("glq_quantizer_flag", "u32"),
    ("", "i32"),
];

const WORDS: [(&str, &str); 9] = [
    ("@brief ", ""),
    ("@return ", "\nReturns: "),
    ("@threadsafe", "\nMay be called from any thread at any time."),
    ("@capture ", "\nCapture: "),
    ("@determinism ", "\nDeterminism: "),
    ("@par ", "\n"),
    ("@since ", "Since "),
    ("#GLQ_", "GLQ_"),
    ("#glq_", "glq_"),
];

#[derive(Debug)]
struct Comments;

impl ParseCallbacks for Comments {
    /// Doxygen's words as Markdown.
    fn process_comment(&self, comment: &str) -> Option<String> {
        let comment =
            WORDS.iter().fold(comment.trim_start_matches('<').to_owned(), |text, (from, to)| text.replace(from, to));
        let mut lines = Vec::new();
        for line in comment.lines().map(str::trim_end) {
            match line.trim_start().strip_prefix("@param") {
                Some(rest) => {
                    let rest = rest.split_once(']').map_or(rest, |(_, rest)| rest).trim_start();
                    let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
                    lines.push(format!("* `{name}`: {text}"));
                }
                None => lines.push(line.trim_start().to_owned()),
            }
        }
        Some(lines.join("\n").trim().to_owned())
    }
}

/// The text of `bindings.rs` for the headers in `include`.
pub fn bindings(include: &Path) -> Result<String, String> {
    let header = include.join("glq.h");
    if !header.is_file() {
        return Err(format!("{} does not exist", header.display()));
    }
    // bindgen panics where libclang cannot be loaded; its words are in the error below.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let made = std::panic::catch_unwind(|| {
        bindgen::builder()
            .header(header.to_string_lossy())
            .clang_args(["-std=c99", "-fparse-all-comments"])
            .allowlist_item("(glq|GLQ)_.*")
            .blocklist_item("GLQ_[A-Z_0-9]*(API|NOEXCEPT|_H)")
            .opaque_type("DLManagedTensorVersioned")
            .default_enum_style(bindgen::EnumVariation::Consts)
            .prepend_enum_name(false)
            .translate_enum_integer_types(true)
            .merge_extern_blocks(true)
            .layout_tests(true)
            .use_core()
            .rust_edition(bindgen::RustEdition::Edition2021)
            .rust_target(bindgen::RustTarget::stable(82, 0).map_err(|error| error.to_string())?)
            .formatter(bindgen::Formatter::Prettyplease)
            .disable_header_comment()
            .raw_line(BEFORE)
            .parse_callbacks(Box::new(Comments))
            .generate()
            .map(|bindings| bindings.to_string())
            .map_err(|error| error.to_string())
    });
    std::panic::set_hook(hook);
    let text = made.map_err(|panic| {
        let said = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        format!("bindgen failed; is libclang installed (Debian: libclang-dev), or LIBCLANG_PATH set? {said}")
    })??;
    rewrite(&text)
}

/// Hands the functions to the macro `functions!` and gives the constants the types they are used with.
fn rewrite(text: &str) -> Result<String, String> {
    let block = "unsafe extern \"C\" {";
    if text.matches(block).count() != 1 {
        return Err("bindgen wrote another number of extern blocks than one".to_owned());
    }
    let text = text.replace(block, "functions! {");
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let alias = line.strip_prefix("pub type ").and_then(|rest| rest.split_once(" = "));
        match alias {
            Some((name, "u32;" | "i32;" | "::core::ffi::c_uint;")) if !["glq_status", "glq_dtype"].contains(&name) => {
                let wanted = INTEGER_TYPES.iter().find(|(known, _)| *known == name || known.is_empty());
                let wanted = wanted.map_or("i32", |(_, wanted)| wanted);
                lines.push(format!("pub type {name} = {wanted};"));
            }
            _ => lines.push(line.to_owned()),
        }
    }
    Ok(lines.join("\n") + "\n")
}
