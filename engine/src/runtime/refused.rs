//! Connections that could not be served, told to the operator.

use std::time::Duration;
use warppool_components::units::Instant;
use warppool_net::sockets::{Refusal, SocketCounters};

/// Time between two lines about it: during a flood one line a minute says all.
const INTERVAL: Duration = Duration::from_secs(60);

/// What has been told already.
#[derive(Debug, Default)]
pub(super) struct Refused {
    told: SocketCounters,
    told_at: Option<Instant>,
}

impl Refused {
    /// Sentences that are due, when more was refused since the last ones.
    pub(super) fn look(&mut self, counters: SocketCounters, connections_max: usize, now: Instant) -> Vec<String> {
        let over_cap = counters.over_cap.saturating_sub(self.told.over_cap);
        let over_rate = counters.over_rate.saturating_sub(self.told.over_rate);
        let over_address_cap = counters.over_address_cap.saturating_sub(self.told.over_address_cap);
        let failed = counters.accept_failures.saturating_sub(self.told.accept_failures);
        let strangers = |refusal: Refusal| {
            let count = |counters: &SocketCounters| counters.refused[refusal as usize];
            count(&counters).saturating_sub(count(&self.told))
        };
        let told: Vec<String> = Refusal::ALL
            .into_iter()
            .filter_map(|refusal| Some((strangers(refusal), refusal.advice()?)))
            .filter(|(count, _)| *count > 0)
            .map(|(count, advice)| format!("connections closed: {count}; what came there {advice}"))
            .collect();
        let is_due = self.told_at.is_none_or(|at| now.since(at) >= INTERVAL);
        let abandoned = counters.noise_abandoned.saturating_sub(self.told.noise_abandoned);
        let unsealed = counters.noise_failed.saturating_sub(self.told.noise_failed);
        if (abandoned + unsealed + over_cap + over_rate + over_address_cap + failed == 0 && told.is_empty()) || !is_due
        {
            return Vec::new();
        }
        (self.told, self.told_at) = (counters, Some(now));
        let mut sentences = told;
        if abandoned > 0 {
            sentences.push(format!(
                "Stratum V2 clients that left when they saw who answers: {abandoned}; mostly the key in their address is not this \
                 pool's (`warppool keys sv2` shows it), or their clock is wrong by more than an hour"
            ));
        }
        if unsealed > 0 {
            sentences.push(format!(
                "Stratum V2 connections closed: {unsealed}; what came there was not encrypted by the keys of the handshake, or a \
                 frame was too long"
            ));
        }
        if over_cap > 0 {
            sentences.push(format!(
                "connections turned away: {over_cap}; at most {connections_max} are served at a time (tuning.max_connections)"
            ));
        }
        if over_rate > 0 {
            sentences.push(format!(
                "connections turned away: {over_rate}; their addresses connect too often (ratelimit.connects_per_sec, ratelimit.connect_burst)"
            ));
        }
        if over_address_cap > 0 {
            sentences.push(format!(
                "connections turned away: {over_address_cap}; their addresses have too many (ratelimit.max_connections_per_ip)"
            ));
        }
        if failed > 0 {
            sentences.push(format!(
                "the system refused to accept connections {failed} times: raise the limit of open files (ulimit -n, LimitNOFILE)"
            ));
        }
        sentences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_minute_and_nothing_is_left_out() {
        let mut refused = Refused::default();
        let mut look = |second: u64, over_cap, accept_failures| {
            let counters = SocketCounters { over_cap, accept_failures, ..SocketCounters::default() };
            refused.look(counters, 3, Instant(1 + second * 1_000_000_000))
        };
        assert_eq!(look(0, 0, 0), Vec::<String>::new());
        assert!(look(1, 2, 0)[0].starts_with("connections turned away: 2; at most 3 "));
        assert_eq!(look(2, 500, 0), Vec::<String>::new());
        let later = look(61, 501, 4);
        assert!(later[0].contains(": 499;") && later[1].contains(" 4 times"), "{later:?}");
        assert_eq!(look(200, 501, 4), Vec::<String>::new());
        let counters = SocketCounters { over_rate: 7, over_address_cap: 8, ..SocketCounters::default() };
        let told = Refused::default().look(counters, 3, Instant(1));
        let keys = SocketCounters { noise_abandoned: 5, noise_failed: 6, ..SocketCounters::default() };
        let keys = Refused::default().look(keys, 3, Instant(1));
        assert!(keys[0].contains(": 5; mostly the key") && keys[1].contains(": 6; what came"), "{keys:?}");
        assert!(told[0].contains(": 7; their addresses connect") && told[1].contains(": 8; their"), "{told:?}");
    }

    #[test]
    fn who_spoke_what_is_not_served_is_told_with_what_to_do_and_browsers_are_not_worth_a_line() {
        let mut counters = SocketCounters::default();
        counters.refused[Refusal::Http as usize] = 9;
        let mut refused = Refused::default();
        assert_eq!(refused.look(counters, 3, Instant(1)), Vec::<String>::new());
        counters.refused[Refusal::NoCertificate as usize] = 2;
        counters.refused[Refusal::ProxyForeign as usize] = 1;
        let told = refused.look(counters, 3, Instant(2));
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains(": 2;") && told[0].contains("stratum.tls_cert_path"), "{told:?}");
        assert!(told[1].contains(": 1;") && told[1].contains("stratum.proxy_protocol_from"), "{told:?}");
        assert_eq!(refused.look(counters, 3, Instant(100_000_000_000)), Vec::<String>::new());
    }
}
