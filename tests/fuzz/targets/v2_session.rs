//! Hands the fuzzer's bytes to [`warppool_fuzz::v2_session`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| warppool_fuzz::v2_session::check(data));
