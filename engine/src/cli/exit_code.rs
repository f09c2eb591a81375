//! What the exit status of `warppool` means.

/// Done.
pub const DONE: u8 = 0;

/// It was tried and failed; `check-config` found problems.
pub const FAILED: u8 = 1;

/// The command line is wrong (clap exits so by itself).
pub const WRONG_USAGE: u8 = 2;

/// The pool did not start, because its configuration is bad (`EX_CONFIG` of sysexits.h). Service managers are told
/// not to try again.
pub const BAD_CONFIGURATION: u8 = 78;
