//! Hands the fuzzer's bytes to [`warppool_fuzz::v1_session`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| warppool_fuzz::v1_session::check(data));
