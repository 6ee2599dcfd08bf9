//! `glq-bindgen INCLUDE_DIR OUTPUT`: writes the bindings that glq-sys has checked in.
//!
//! Uses the code that the feature `generate-bindings` of glq-sys runs.

use std::path::Path;
use std::process::ExitCode;

#[path = "../../glq-sys/build/generate.rs"]
mod generate;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [include, output] = arguments.as_slice() else {
        eprintln!("usage: glq-bindgen INCLUDE_DIR OUTPUT");
        return ExitCode::from(2);
    };
    let written = generate::bindings(Path::new(include)).and_then(|text| {
        std::fs::write(output, text).map_err(|error| format!("{}: {error}", output.to_string_lossy()))
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("glq-bindgen: {message}");
            ExitCode::FAILURE
        }
    }
}
