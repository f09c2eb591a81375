//! The miners' side: sans-IO codecs, transports and the mio sockets.
//!
//! - [`wire`]: what miners and pool say to each other, bytes to values and back. No IO, no clock, no state.
//!
//! What does not happen here: no difficulty is chosen, no share is judged, no worker is known. Lines become
//! values, values become lines.

#![forbid(unsafe_code)]

pub mod wire;
