//! What a context calls back: the logger and the caller's threads.

use std::ffi::{c_char, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sys;
use crate::text;

/// Severity of a log message; the later, the more detailed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// A call failed.
    Error,
    /// Something is slower or weaker than it could be.
    Warning,
    /// Created and destroyed objects, libraries found.
    Info,
    /// The plan of every operation.
    Debug,
}

impl LogLevel {
    pub(crate) fn raw(self) -> i32 {
        match self {
            LogLevel::Error => sys::GLQ_LOG_ERROR,
            LogLevel::Warning => sys::GLQ_LOG_WARNING,
            LogLevel::Info => sys::GLQ_LOG_INFO,
            LogLevel::Debug => sys::GLQ_LOG_DEBUG,
        }
    }

    fn from_raw(raw: i32) -> LogLevel {
        match raw {
            sys::GLQ_LOG_ERROR => LogLevel::Error,
            sys::GLQ_LOG_WARNING => LogLevel::Warning,
            sys::GLQ_LOG_INFO => LogLevel::Info,
            _ => LogLevel::Debug,
        }
    }
}

/// A log message.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct LogRecord<'a> {
    /// Its severity.
    pub level: LogLevel,
    /// Part of the library, such as `"context"`.
    pub category: &'a str,
    /// One line.
    pub message: &'a str,
}

type Logger = Box<dyn Fn(LogRecord<'_>) + Send + Sync>;
type Threads = Box<dyn Fn(usize, &(dyn Fn(usize) + Sync)) + Send + Sync>;

/// The callbacks of one context; the library holds a pointer to them until it calls [`destroyed`].
#[derive(Default)]
pub(crate) struct Callbacks {
    pub logger: Option<Logger>,
    pub threads: Option<Threads>,
}

/// Logger of the library.
pub(crate) unsafe extern "C" fn log(user: *mut c_void, level: i32, category: *const c_char, message: *const c_char) {
    // SAFETY: `user` is the Callbacks of a context that is still there; the strings live during the call.
    let (callbacks, category, message) =
        unsafe { (&*user.cast::<Callbacks>(), text::borrowed(category), text::borrowed(message)) };
    if let Some(logger) = &callbacks.logger {
        let record = LogRecord { level: LogLevel::from_raw(level), category, message };
        // A panic must not go through C. The panic hook has told about it.
        let _ = catch_unwind(AssertUnwindSafe(|| logger(record)));
    }
}

const PIECES_ON_STACK: usize = 128;

/// Parallel loop of the library, on the caller's threads.
///
/// Each piece is run exactly once, whatever the closure does: one that is asked for again is skipped, and those left
/// out (after a panic, say) are run here.
pub(crate) unsafe extern "C" fn parallel_for(user: *mut c_void, n: i64, task: sys::glq_task_fn, arg: *mut c_void) {
    struct Argument(*mut c_void);
    // SAFETY: the library hands out `arg` for use by any thread.
    unsafe impl Sync for Argument {}
    impl Argument {
        fn get(&self) -> *mut c_void {
            self.0
        }
    }

    let (Some(task), Ok(n)) = (task, usize::try_from(n)) else { return };
    let argument = Argument(arg);
    let on_stack = [const { AtomicBool::new(false) }; PIECES_ON_STACK];
    let on_heap: Vec<AtomicBool>;
    let begun = if n <= PIECES_ON_STACK {
        &on_stack[..n]
    } else {
        on_heap = (0..n).map(|_| AtomicBool::new(false)).collect();
        &on_heap[..]
    };
    let piece = |index: usize| {
        if begun.get(index).is_some_and(|flag| !flag.swap(true, Ordering::AcqRel)) {
            // SAFETY: an index of the loop, run for the first and only time, before the loop returns.
            unsafe { task(argument.get(), index as i64) };
        }
    };
    // SAFETY: `user` is the Callbacks of a context that is still there.
    let callbacks = unsafe { &*user.cast::<Callbacks>() };
    if let Some(threads) = &callbacks.threads {
        let _ = catch_unwind(AssertUnwindSafe(|| threads(n, &piece)));
    }
    (0..n).for_each(piece);
}

/// The library needs the callbacks no more.
pub(crate) unsafe extern "C" fn destroyed(user: *mut c_void) {
    // SAFETY: `user` came from Box::into_raw, and this is called once.
    let callbacks = unsafe { Box::from_raw(user.cast::<Callbacks>()) };
    let _ = catch_unwind(AssertUnwindSafe(|| drop(callbacks)));
}
