//! A small blocking Stratum V1 client for the operator's commands: one connection, one thread, deadlines everywhere.
//!
//! - [`Endpoint`] is where a pool is; [`Connection`] talks to it over plain TCP or TLS, line by line, and keeps the
//!   transcript.
//! - [`message`] takes a line apart and keeps the id as the pool wrote it.
//!
//! What the lines mean is not decided here: `verify` and `doctor` judge.

mod certificate;
mod connection;
mod endpoint;
pub mod message;
mod transcript;
mod transport;

pub use certificate::{TlsOptions, TlsReport};
pub use connection::{Connection, Received};
pub use endpoint::{Endpoint, EndpointError};
pub use transcript::{Entry, Speaker, Transcript};
pub use transport::ConnectError;

/// How a pool is reached.
#[derive(Clone, Debug)]
pub struct Way {
    /// Where it is.
    pub endpoint: Endpoint,
    /// TLS, and how its certificate is judged; `None` is plain TCP.
    pub tls: Option<TlsOptions>,
}
