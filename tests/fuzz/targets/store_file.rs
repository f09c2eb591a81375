//! Hands the fuzzer's bytes to [`warppool_fuzz::store_file`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| warppool_fuzz::store_file::check(data));
