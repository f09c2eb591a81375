//! Why a connection was closed before a line of it was taken.

use warppool_components::connection::CloseReason;

/// A connection that came, spoke, and is not served. Each is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// An HTTP request, which was answered by a hint.
    Http,
    /// The key of a Stratum V2 handshake, and there is no authority key to answer by.
    NoAuthority,
    /// The beginning of such a key, or a whole one, later than a client may take for it.
    NoiseLate,
    /// Such a key, and there are as many connections of Stratum V2 as the operator allows.
    NoiseOverCap,
    /// Such a key that could not be answered in the time that clients wait.
    NoiseUnanswered,
    /// Something else than Stratum V2 on a port for Stratum V2.
    NotNoise,
    /// TLS, and there is no certificate.
    NoCertificate,
    /// Something else than TLS on the port for TLS.
    NotTls,
    /// A PROXY header from an address that may not send one, or a second one.
    ProxyForeign,
    /// A PROXY header that is none.
    ProxyMalformed,
    /// No byte, from an address that may send a PROXY header, in the time that a proxy has for it.
    ProxyMissing,
}

impl Refusal {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 11] = [
        Self::Http,
        Self::NoAuthority,
        Self::NoiseLate,
        Self::NoiseOverCap,
        Self::NoiseUnanswered,
        Self::NotNoise,
        Self::NoCertificate,
        Self::NotTls,
        Self::ProxyForeign,
        Self::ProxyMalformed,
        Self::ProxyMissing,
    ];

    /// A word for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::NoAuthority => "no_authority_key",
            Self::NoiseLate => "sv2_late",
            Self::NoiseOverCap => "sv2_over_cap",
            Self::NoiseUnanswered => "sv2_unanswered",
            Self::NotNoise => "not_sv2",
            Self::NoCertificate => "no_certificate",
            Self::NotTls => "not_tls",
            Self::ProxyForeign => "proxy_foreign",
            Self::ProxyMalformed => "proxy_malformed",
            Self::ProxyMissing => "proxy_missing",
        }
    }

    /// What it was and what to do about it, for the operator. Browsers that lost their way are nobody's concern.
    pub const fn advice(self) -> Option<&'static str> {
        match self {
            Self::Http => None,
            Self::NoAuthority => {
                Some("spoke Stratum V2, and there is no authority key to answer by (`warppool keys sv2` makes one)")
            }
            Self::NoiseLate => Some("did not send a whole Stratum V2 key within 5 s of connecting"),
            Self::NoiseOverCap => {
                Some("spoke Stratum V2, and there are as many such connections as stratum.sv2_max_connections allows")
            }
            Self::NoiseUnanswered => {
                Some("waited 10 s for the answer to its Stratum V2 key: the pool has more to do than it can")
            }
            Self::NotNoise => Some(
                "spoke something else on stratum.sv2_listen or stratum.sv2_first_generation_listen than is served there, or offered no cipher of ours",
            ),
            Self::NoCertificate => Some(
                "spoke TLS, and there is no certificate: set stratum.tls_cert_path and stratum.tls_key_path (`warppool tls self-signed` makes one)",
            ),
            Self::NotTls => Some("spoke something else than TLS on stratum.stratum_tls_listen"),
            Self::ProxyForeign => {
                Some("sent a PROXY header from an address that is not in stratum.proxy_protocol_from")
            }
            Self::ProxyMalformed => Some("sent a malformed PROXY header"),
            Self::ProxyMissing => {
                Some("came from an address of stratum.proxy_protocol_from and said nothing, not even a PROXY header")
            }
        }
    }

    /// The same for the engine.
    pub(super) const fn close_reason(self) -> CloseReason {
        match self {
            Self::NoiseLate | Self::NoiseUnanswered => CloseReason::NoiseFailed,
            Self::NoiseOverCap => CloseReason::ConnectionCap,
            Self::Http | Self::NoAuthority | Self::NotNoise | Self::NoCertificate | Self::NotTls => {
                CloseReason::Misdirected
            }
            Self::ProxyForeign | Self::ProxyMalformed | Self::ProxyMissing => CloseReason::ProxyRefused,
        }
    }
}
