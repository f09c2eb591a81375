//! HTTP: dashboard, REST, events and metrics from published snapshots.

#![forbid(unsafe_code)]
