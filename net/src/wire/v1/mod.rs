//! Stratum V1: one JSON object a line.
//!
//! Lines go in without their newline and come out with it. [`scan_submit`] reads the one request that matters
//! for throughput without a JSON library and without allocation; it knows only the usual shapes and leaves all
//! else to [`parse`], which reads everything that any known firmware sends. Both give the same result for a
//! line that both accept. The functions of [`emit`] append exactly one line to a buffer.
//!
//! What does not happen here: nothing is remembered between two lines, nobody is answered.

pub mod emit;
mod hex;
mod request;
mod submit;

pub use request::{Configure, Fault, Message, ParseError, Request, SuggestError, VersionRolling, parse, session_id};
pub use submit::{Submit, SubmitError, scan_submit};
