//! Hands the fuzzer's bytes to [`warppool_fuzz::store_file`].
//!
//! The store catches panics of its database, but libFuzzer's bindings end the program at the first panic of any kind. So
//! their hook is replaced by one that only remembers the words; what reaches this file ends the program.

#![no_main]

use std::sync::{LazyLock, Mutex, PoisonError};

/// The words of the latest panic.
static PANIC: LazyLock<Mutex<String>> = LazyLock::new(|| {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.to_string();
        // A second one while the first unwinds ends the program, whoever would catch it: then this shows both.
        if std::env::var_os("WARPPOOL_FUZZ_PANICS").is_some() {
            eprintln!("{text}\n{}", std::backtrace::Backtrace::force_capture());
        }
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }));
    Mutex::default()
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    LazyLock::force(&PANIC);
    if std::panic::catch_unwind(|| warppool_fuzz::store_file::check(data)).is_err() {
        eprintln!("{}", PANIC.lock().unwrap_or_else(PoisonError::into_inner));
        std::process::abort();
    }
});
