//! Hands the fuzzer's bytes to [`warppool_fuzz::noise_handshake`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| warppool_fuzz::noise_handshake::check(data));
