//! Tests over several packages: transcripts, properties, end to end.

#![forbid(unsafe_code)]
