//! Why an upstream is of no use, for the operator.

use super::work::{EXTRANONCE_BYTES_MAX, ROLLED_VERSION_BITS};
use std::io;
use std::time::Duration;
use warppool_components::limits::{
    EXTRANONCE1_BYTES, UPSTREAM_EXTRANONCE2_BYTES, UPSTREAM_LINE_BYTES_MAX, UPSTREAM_SEND_BYTES_MAX,
    UPSTREAM_SILENCE_SECONDS_MAX, UPSTREAM_STEP_SECONDS_MAX, UPSTREAM_TEXT_CHARACTERS_MAX,
};
use warppool_components::units::CompactTargetError;
use warppool_components::upstream::UPSTREAM_OWN_BYTES;
use warppool_net::transport::noise::NoiseError;
use warppool_net::wire::v2::DecodeError;

/// A pool's text, fit for a log: short and without control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(UPSTREAM_TEXT_CHARACTERS_MAX).collect()
}

/// Why there is no work from an upstream, or no more.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    /// The name leads nowhere.
    #[error("its name cannot be looked up: {0}")]
    Name(io::Error),
    /// Nobody listens.
    #[error("cannot be reached: {0}")]
    Connect(io::Error),
    /// The connection ended before it was encrypted.
    #[error("ended the connection during the handshake: perhaps it speaks something else there ({0})")]
    Handshake(io::Error),
    /// Who answers is not who it should be, or what came was not encrypted by the right keys.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// Who answers is not believed, or there is no TLS.
    #[error(
        "and TLS do not agree: {0}; a pool whose certificate no public authority has signed needs --upstream-ca FILE, \
         with its certificate or that of its authority"
    )]
    Tls(rustls::Error),
    /// The connection ended.
    #[error("the connection ended: {0}")]
    Connection(#[from] io::Error),
    /// It hung up.
    #[error("ended the connection")]
    HungUp,
    /// No answer.
    #[error("did not answer within {UPSTREAM_STEP_SECONDS_MAX} s")]
    NoAnswer,
    /// A frame is not what its header says.
    #[error("sent something that is no Stratum V2: {0}")]
    Decode(#[from] DecodeError),
    /// A line is not what it should be.
    #[error("sent something that is no Stratum V1: {0}")]
    Line(String),
    /// A line has no end.
    #[error("sent a line of more than {UPSTREAM_LINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// It does not want us.
    #[error("refuses the connection: {0}")]
    Setup(String),
    /// It does not let headers roll versions, which every ASIC does.
    #[error("does not allow miners to roll versions; ASICs do, so nothing they find would be accepted")]
    FixedVersion,
    /// It lets headers roll versions, but not as ASICs do.
    #[error("lets miners roll the version bits {0:08x} only; {ROLLED_VERSION_BITS:08x} are needed")]
    VersionMask(u32),
    /// It does not know whom we mine for.
    #[error("does not authorize the user \"{user}\": {reason}")]
    Unauthorized {
        /// Whom we named.
        user: String,
        /// Its reason.
        reason: String,
    },
    /// It does not open a channel.
    #[error("opens no channel for the user \"{user}\": {code}")]
    Channel {
        /// Whom we named.
        user: String,
        /// Its reason.
        code: String,
    },
    /// Its channel has too little room.
    #[error(
        "leaves {0} bytes of the extranonce to us; {UPSTREAM_OWN_BYTES} are needed, {EXTRANONCE1_BYTES} to tell \
         connections apart and {UPSTREAM_EXTRANONCE2_BYTES} for each miner"
    )]
    Extranonce(usize),
    /// Its channel has more of an extranonce than the protocol knows.
    #[error("gives an extranonce of {0} bytes; {EXTRANONCE_BYTES_MAX} are allowed")]
    ExtranonceTooLong(usize),
    /// `nBits` of no target.
    #[error("sent a tip with impossible nBits: {0}")]
    Bits(#[from] CompactTargetError),
    /// A job that cannot be.
    #[error("sent a job that cannot be one: {0}")]
    Job(&'static str),
    /// It ended the channel.
    #[error("closed the channel: {0}")]
    Closed(String),
    /// It asks to connect anew.
    #[error("asks to connect anew")]
    Reconnect,
    /// It asks to connect anew, where it is or at another port.
    #[error("asks to connect anew at port {port}, in {} s", .wait.as_secs())]
    Redirect {
        /// Where.
        port: u16,
        /// When.
        wait: Duration,
    },
    /// A better one is there again.
    #[error("is left, because the first upstream of the list is back")]
    Returning,
    /// It says nothing any more.
    #[error("has been silent for {UPSTREAM_SILENCE_SECONDS_MAX} s")]
    Silent,
    /// It does not read.
    #[error("does not read: {UPSTREAM_SEND_BYTES_MAX} bytes wait for it")]
    DoesNotRead,
}
