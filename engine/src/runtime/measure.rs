//! Histograms of the runtime: few buckets, no allocation when something is counted.

use crate::certificate::Certificate;
use warppool_components::snapshot::{HistogramSnapshot, RuntimeSnapshot, SocketsSnapshot};
use warppool_components::units::Instant;
use warppool_io::store::{COMMIT_SECONDS_BOUNDS, CommitHistogram};
use warppool_net::sockets::{Refusal, Sockets};

/// Bounds of durations in seconds, from 10 us to 10 s.
const SECONDS: [f64; 13] = [0.000_01, 0.000_03, 0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// Bounds of the number of shares in a tick.
const SHARES: [f64; 13] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0, 8192.0];

/// Counts below bounds.
#[derive(Clone, Debug, Default)]
struct Histogram {
    counts: [u64; SECONDS.len() + 1],
    sum: f64,
}

impl Histogram {
    fn count(&mut self, bounds: &[f64; SECONDS.len()], value: f64) {
        let place = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
        self.counts[place] += 1;
        self.sum += value;
    }

    fn snapshot(&self, bounds: &[f64; SECONDS.len()]) -> HistogramSnapshot {
        HistogramSnapshot { bounds: bounds.to_vec(), counts: self.counts.to_vec(), sum: self.sum }
    }
}

/// What the runtime measures about itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Measures {
    tick: Histogram,
    shares: Histogram,
    share_ack: Histogram,
    tip_to_first: Histogram,
    tip_to_last: Histogram,
    /// The tip whose job has not reached everybody.
    tip_heard_at: Option<Instant>,
}

impl Measures {
    /// A tick ran from `received_at` to `ticked_at`; its answers were with the kernel at `sent_at`.
    pub(super) fn tick(&mut self, received_at: Instant, ticked_at: Instant, sent_at: Instant, shares: u32) {
        self.tick.count(&SECONDS, ticked_at.since(received_at).as_secs_f64());
        if shares > 0 {
            self.shares.count(&SHARES, f64::from(shares));
            self.share_ack.count(&SECONDS, sent_at.since(received_at).as_secs_f64());
        }
    }

    /// The node was first heard to speak of a new tip at `heard_at`; its job was with the kernel for the first miner soon
    /// after `ticked_at`.
    pub(super) fn tip_begins(&mut self, heard_at: Instant, ticked_at: Instant) {
        self.tip_to_first.count(&SECONDS, ticked_at.since(heard_at).as_secs_f64());
        self.tip_heard_at = Some(heard_at);
    }

    /// Everybody has been sent the latest job; the last write was with the kernel at `sent_at`.
    pub(super) fn tip_ends(&mut self, sent_at: Instant) {
        if let Some(heard_at) = self.tip_heard_at.take() {
            self.tip_to_last.count(&SECONDS, sent_at.since(heard_at).as_secs_f64());
        }
    }

    /// All of it.
    pub(super) fn snapshot(&self) -> RuntimeSnapshot {
        RuntimeSnapshot {
            tick_seconds: self.tick.snapshot(&SECONDS),
            tick_shares: self.shares.snapshot(&SHARES),
            share_ack_seconds: self.share_ack.snapshot(&SECONDS),
            tip_to_first_notify_seconds: self.tip_to_first.snapshot(&SECONDS),
            tip_to_last_notify_seconds: self.tip_to_last.snapshot(&SECONDS),
            ..RuntimeSnapshot::default()
        }
    }
}

/// What the sockets counted, in the snapshot's form.
pub(super) fn sockets(sockets: &Sockets, certificate: Option<&Certificate>) -> SocketsSnapshot {
    let counters = sockets.counters();
    let refused = Refusal::ALL.iter().map(|refusal| (refusal.label(), counters.refused[*refusal as usize]));
    SocketsSnapshot {
        tls_connections: u32::try_from(sockets.tls_connections()).unwrap_or(u32::MAX),
        handshakes_full: counters.handshakes_full,
        handshakes_resumed: counters.handshakes_resumed,
        handshakes_failed: counters.handshakes_failed,
        noise_connections: u32::try_from(sockets.noise_connections()).unwrap_or(u32::MAX),
        noise_handshakes: counters.noise_handshakes,
        noise_abandoned: counters.noise_abandoned,
        noise_failed: counters.noise_failed,
        refused: refused.collect(),
        certificate_expires_at: certificate.map(Certificate::expires_at),
    }
}

/// The store's histogram in the snapshot's form.
pub(super) fn commits(histogram: &CommitHistogram) -> HistogramSnapshot {
    HistogramSnapshot {
        bounds: COMMIT_SECONDS_BOUNDS.to_vec(),
        counts: histogram.counts.to_vec(),
        sum: histogram.sum_seconds,
    }
}
