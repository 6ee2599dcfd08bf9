// error: E0373

use glq::*;

fn main() {
    let mut lines = std::sync::Mutex::new(0);
    let builder = Context::builder().logger(LogLevel::Info, |_| *lines.lock().unwrap() += 1);
    drop(builder);
}
