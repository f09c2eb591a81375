//! Who may come in: rates and counts for each network address. No socket, no clock; time is a parameter.
//!
//! What is counted is a [`PeerNetwork`]: a whole IPv4 address, or the /64 of an IPv6 one, because that is what a customer
//! of a network provider has to himself. The address is what the caller says it is; behind a proxy that is known only after
//! its header, so [`Admission::admit`] can be asked at any time, once for each connection.
//!
//! A refused attempt uses nothing up: a farm of 1000 miners behind one address that comes back at once gets in at the
//! steady rate however often its miners try, and an attacker who tries for ever does not lock out others of his address
//! for longer than he tries.

mod buckets;
mod peer_network;

pub use buckets::{Buckets, Rate};
pub use peer_network::PeerNetwork;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use warppool_components::settings::RateLimits;
use warppool_components::units::Instant;

/// Why a connection is not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Its address connects more often than it may.
    Rate,
    /// Its address has as many live connections as it may.
    AddressCap,
}

/// The live connections of each network, and how often it may connect.
#[derive(Debug, Default)]
pub struct Admission {
    limits: Option<RateLimits>,
    connects: Buckets,
    /// Live connections by network; none with zero. As many entries as connections at the most.
    live: HashMap<PeerNetwork, u32>,
}

impl Admission {
    /// Changes the limits; `None` lets everybody in. Connections that are there stay.
    pub fn set_limits(&mut self, limits: Option<RateLimits>) {
        self.limits = limits;
    }

    /// Whether one more connection of `peer` may be served; if so it is counted until [`Self::leave`].
    ///
    /// # Errors
    /// [`Refusal`] says which limit it met. Nothing is counted then.
    pub fn admit(&mut self, peer: PeerNetwork, now: Instant) -> Result<(), Refusal> {
        if let Some(limits) = &self.limits {
            let live = self.live.get(&peer).copied().unwrap_or(0);
            if limits.connections_per_address_max.is_some_and(|max| live >= max.get()) {
                return Err(Refusal::AddressCap);
            }
            let rate = Rate { per_second: limits.connects_per_second, burst: limits.connect_burst };
            if !self.connects.take(peer, rate, limits.forget_after, now) {
                return Err(Refusal::Rate);
            }
        }
        *self.live.entry(peer).or_default() += 1;
        Ok(())
    }

    /// A connection that was let in has ended.
    pub fn leave(&mut self, peer: PeerNetwork) {
        if let Entry::Occupied(mut entry) = self.live.entry(peer) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    /// Live connections of `peer`.
    pub fn live(&self, peer: PeerNetwork) -> u32 {
        self.live.get(&peer).copied().unwrap_or(0)
    }

    /// Networks with a live connection.
    pub fn networks(&self) -> usize {
        self.live.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use std::num::NonZeroU32;
    use std::time::Duration;

    const START: Instant = Instant(1);

    fn limits(connections_per_address_max: u32) -> RateLimits {
        RateLimits {
            connections_per_address_max: NonZeroU32::new(connections_per_address_max),
            ..RateLimits::default()
        }
    }

    fn peer(number: u8) -> PeerNetwork {
        PeerNetwork::of(IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)))
    }

    #[test]
    fn probes_at_120_a_minute_are_never_refused() {
        let mut admission = Admission::default();
        admission.set_limits(Some(RateLimits::default()));
        // An hour, with all of a minute's probes at once at the start of it.
        for minute in 0..60 {
            for _ in 0..120 {
                assert_eq!(admission.admit(peer(1), START + Duration::from_secs(60 * minute)), Ok(()), "{minute}");
                admission.leave(peer(1));
            }
        }
        assert_eq!(admission.networks(), 0);
    }

    #[test]
    fn a_farm_behind_one_address_gets_in_however_often_its_miners_try() {
        let mut admission = Admission::default();
        admission.set_limits(Some(RateLimits::default()));
        let mut outside = 1000;
        let mut seconds = 0;
        while outside > 0 {
            // All that are outside try every second, which is more often than any firmware does.
            let now = START + Duration::from_secs(seconds);
            outside -= (0..outside).filter(|_| admission.admit(peer(1), now).is_ok()).count();
            assert_eq!(admission.admit(peer(2), now), Ok(()), "another address does not notice");
            admission.leave(peer(2));
            seconds += 1;
        }
        assert_eq!(admission.live(peer(1)), 1000);
        assert_eq!(seconds, 1 + (1000 - 120) / 5, "the burst at once, the others at the steady rate");
    }

    #[test]
    fn an_address_has_at_most_its_number_of_connections() {
        let mut admission = Admission::default();
        admission.set_limits(Some(limits(2)));
        assert_eq!((admission.admit(peer(1), START), admission.admit(peer(1), START)), (Ok(()), Ok(())));
        assert_eq!(admission.admit(peer(1), START), Err(Refusal::AddressCap));
        assert_eq!(admission.admit(peer(2), START), Ok(()));
        admission.leave(peer(1));
        assert_eq!(admission.admit(peer(1), START), Ok(()));
        // A lower cap ends nobody.
        admission.set_limits(Some(limits(1)));
        assert_eq!((admission.live(peer(1)), admission.admit(peer(1), START)), (2, Err(Refusal::AddressCap)));
        // Those that came in while nothing was limited count as well.
        admission.set_limits(None);
        assert_eq!(admission.admit(peer(1), START), Ok(()));
        assert_eq!(admission.live(peer(1)), 3);
    }
}
