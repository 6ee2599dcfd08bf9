//! Text from and to C.

use std::ffi::{c_char, CStr, CString};

use crate::error::{Error, Result};

/// Text the library gave, whose encoding is UTF-8 by its contract.
///
/// # Safety
/// `pointer` is NULL or a NUL-terminated string that lives for `'a`.
pub(crate) unsafe fn borrowed<'a>(pointer: *const c_char) -> &'a str {
    if pointer.is_null() {
        return "";
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(pointer) }.to_str().unwrap_or("(text that is not UTF-8)")
}

/// Text in an array of fixed size.
pub(crate) fn array(characters: &[c_char]) -> String {
    let bytes: Vec<u8> = characters.iter().take_while(|&&c| c != 0).map(|&c| c as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Text for the library.
pub(crate) fn to_c(function: &'static str, what: &str, text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::argument(function, format!("{what} holds a NUL character")))
}
