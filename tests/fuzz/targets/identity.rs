//! Hands the fuzzer's bytes to [`warppool_fuzz::identity`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| warppool_fuzz::identity::check(data));
