//! What the fuzz targets have in common: each module holds one target's oracle, a function of the bytes that the fuzzer
//! made up. The files in `targets/` only hand them over.
//!
//! An oracle panics when something is wrong that a user would rely on; not to panic is the least of it.

#![forbid(unsafe_code)]

pub mod bytes;
pub mod config;
pub mod entrance;
mod history;
pub mod identity;
pub mod mutation;
pub mod noise_frames;
pub mod noise_handshake;
pub mod store_file;
pub mod store_rows;
pub mod template_json;
pub mod upstream_frames;
pub mod v1_lines;
pub mod v1_session;
pub mod v2_frames;
pub mod v2_session;
