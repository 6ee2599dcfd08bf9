//! Finds the functions of the library, and checks once that it fits these bindings.

use std::fmt;
use std::sync::OnceLock;

use crate::{Api, GLQ_ABI_VERSION, GLQ_VERSION};

/// The library could not be loaded, or does not fit these bindings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    summary: &'static str,
    tried: Vec<(String, String)>,
}

impl LoadError {
    /// What was tried, in order, and why it would not do.
    pub fn tried(&self) -> &[(String, String)] {
        &self.tried
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.summary)?;
        for (path, reason) in &self.tried {
            write!(formatter, "\n  {path}: {reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

struct Loaded {
    api: Api,
    path: Option<String>,
}

static LOADED: OnceLock<Loaded> = OnceLock::new();

/// The functions of the library, which is loaded and checked when it is first asked for.
///
/// # Errors
/// The library cannot be loaded, or has another ABI version or is older than these bindings. The next call tries again.
pub fn api() -> Result<&'static Api, LoadError> {
    match LOADED.get() {
        Some(loaded) => Ok(&loaded.api),
        None => first(),
    }
}

/// The file that `load` or [`api`] opened; none where the library is linked or not loaded yet.
pub fn library_path() -> Option<&'static str> {
    LOADED.get().and_then(|loaded| loaded.path.as_deref())
}

fn version_text(version: u32) -> String {
    format!("{}.{}.{}", version / 1_000_000, version / 1000 % 1000, version % 1000)
}

/// Whether a library with these versions will do.
fn fits(abi: u32, version: u32) -> Result<(), String> {
    let (theirs, ours) = (version_text(version), version_text(GLQ_VERSION));
    if abi != GLQ_ABI_VERSION {
        return Err(format!(
            "has ABI version {abi} (release {theirs}); these bindings need ABI version {GLQ_ABI_VERSION} (release {ours})"
        ));
    }
    if version < GLQ_VERSION {
        return Err(format!("is release {theirs}; these bindings need {ours} or later"));
    }
    Ok(())
}

#[cfg(not(feature = "dlopen"))]
fn first() -> Result<&'static Api, LoadError> {
    let api = crate::bindings::LINKED;
    // SAFETY: these two functions take nothing and have had this type since the first release.
    let (abi, version) = unsafe { ((api.glq_abi_version)(), (api.glq_version)()) };
    fits(abi, version).map_err(|reason| LoadError {
        summary: "the libglq that is linked does not fit:",
        tried: vec![("libglq".into(), reason)],
    })?;
    Ok(&LOADED.get_or_init(|| Loaded { api, path: None }).api)
}

#[cfg(feature = "dlopen")]
fn first() -> Result<&'static Api, LoadError> {
    let candidates = match std::env::var("GLQ_LIBRARY") {
        Ok(path) if !path.is_empty() => vec![path],
        _ => SYSTEM_NAMES.iter().map(|name| String::from(*name)).collect(),
    };
    open_first(&candidates)
}

#[cfg(all(feature = "dlopen", target_os = "windows"))]
const SYSTEM_NAMES: [&str; 1] = ["glq.dll"];
#[cfg(all(feature = "dlopen", target_os = "macos"))]
const SYSTEM_NAMES: [&str; 2] = ["libglq.0.dylib", "libglq.dylib"];
#[cfg(all(feature = "dlopen", not(any(target_os = "windows", target_os = "macos"))))]
const SYSTEM_NAMES: [&str; 2] = ["libglq.so.0", "libglq.so"];

/// Opens this file and no other. To be called before anything that needs the library.
///
/// # Errors
/// As [`api`]; or another file is loaded already.
#[cfg(feature = "dlopen")]
pub fn load(path: impl AsRef<std::path::Path>) -> Result<&'static Api, LoadError> {
    let path = path.as_ref().to_string_lossy().into_owned();
    match library_path() {
        Some(loaded) if loaded == path => api(),
        Some(loaded) => Err(LoadError {
            summary: "libglq is loaded already and cannot be replaced:",
            tried: vec![(path, format!("came too late, {loaded} is in use"))],
        }),
        None => open_first(&[path]),
    }
}

#[cfg(feature = "dlopen")]
fn open_first(candidates: &[String]) -> Result<&'static Api, LoadError> {
    static LOCK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = LOCK.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(loaded) = LOADED.get() {
        return Ok(&loaded.api);
    }
    let mut tried = Vec::new();
    for path in candidates {
        match open(path) {
            Ok(api) => return Ok(&LOADED.get_or_init(|| Loaded { api, path: Some(path.clone()) }).api),
            Err(reason) => tried.push((path.clone(), reason)),
        }
    }
    Err(LoadError { summary: "libglq could not be loaded (set GLQ_LIBRARY to its path, or call load). Tried:", tried })
}

#[cfg(feature = "dlopen")]
fn open(path: &str) -> Result<Api, String> {
    let not_glq = |error: libloading::Error| format!("not libglq: {error}");
    // SAFETY: opening a library runs its initialisers; the caller chose the file, and those of libglq do nothing.
    let library = unsafe { libloading::Library::new(path) }.map_err(|error| error.to_string())?;
    // SAFETY: these two functions take nothing and have had this type since the first release.
    let (abi, version) = unsafe {
        let abi = library.get::<unsafe extern "C" fn() -> u32>(b"glq_abi_version\0").map_err(not_glq)?;
        let version = library.get::<unsafe extern "C" fn() -> u32>(b"glq_version\0").map_err(not_glq)?;
        (abi(), version())
    };
    fits(abi, version)?;
    // SAFETY: the versions say that it is libglq and that every function of these bindings is there.
    let api = unsafe { Api::from_library(&library) }.map_err(not_glq)?;
    std::mem::forget(library); // the pointers stay valid for good; the library cannot be unloaded anyway
    Ok(api)
}
