//! Hands the fuzzer's bytes to [`warppool_fuzz::config`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| warppool_fuzz::config::check(data));
