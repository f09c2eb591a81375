//! Sans-IO transports: from the bytes of a socket to the units of a protocol, and from bodies to the bytes of
//! a socket.
//!
//! [`sniff`] tells from the first bytes what a connection speaks, [`proxy`] for whom a proxy speaks, [`http_hint`] answers a
//! browser that came to the wrong port. [`lines`] cuts what arrived into lines. [`plain`] queues what a socket does not take
//! at once, unchanged. `tls`, which the sockets alone need, stands before the one and behind the other. `noise` does the same for
//! the frames of Stratum V2, and cuts them as well.

pub mod http_hint;
pub mod lines;
#[cfg(feature = "sockets")]
pub mod noise;
pub mod plain;
pub mod proxy;
pub mod sniff;
#[cfg(feature = "sockets")]
pub mod tls;
