//! Sans-IO transports: from the bytes of a socket to the units of a protocol, and from bodies to the bytes of
//! a socket.
//!
//! [`lines`] cuts what arrived into lines. [`plain`] queues what a socket does not take at once, unchanged. An
//! encrypting transport stands before the one and behind the other.

pub mod lines;
pub mod plain;
