//! Hands the fuzzer's bytes to [`warppool_fuzz::upstream_frames`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| warppool_fuzz::upstream_frames::check(data));
