//! The miners' side: sans-IO codecs, transports and the mio sockets.
//!
//! - [`wire`]: what miners and pool say to each other, bytes to values and back. No IO, no clock, no state.
//! - [`transport`]: what lies between a socket's bytes and the wire's messages. No IO, no clock.
//! - [`admission`]: which addresses may connect, how often and how many at a time. No IO, no clock.
//! - `sockets`: the mio event loop, the only place with a socket. Behind the feature of the same name, so
//!   that those who need the codecs alone do not see it.
//!
//! What does not happen here: no difficulty is chosen, no share is judged, no worker is known. Lines become
//! values, values become lines.

#![forbid(unsafe_code)]

pub mod admission;
#[cfg(feature = "sockets")]
pub mod sockets;
pub mod transport;
pub mod wire;
