//! Sans-IO codecs: one module for each protocol and version.

pub mod v1;
pub mod v2;
