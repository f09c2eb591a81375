//! Hands the fuzzer's bytes to [`warppool_fuzz::template_json`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| warppool_fuzz::template_json::check(data));
