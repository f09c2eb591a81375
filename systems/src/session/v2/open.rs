//! Opening channels.
//!
//! Whoever names somebody who can be paid gets a channel: worker, payee and account are found as for Stratum V1. A request
//! that is refused leaves nothing behind.

use super::super::{Place, VERSION_MASK_WIDE, authorize, start};
use super::{bound, count_against, is_in_reach, suggest, told_target};
use crate::ahead::Ahead;
use crate::ingest::{begin_channel, close_channel};
use crate::resources::{Outgoing, WorkSource};
use bevy_ecs::entity::Entity;
use bevy_ecs::world::World;
use warppool_components::channel::Channel;
use warppool_components::channel_v2::{ChannelPlace, ChannelV2, ConnectionV2};
use warppool_components::connection::{CloseReason, Connection};
use warppool_components::limits::{CHANNELS_MAX, CHANNELS_PER_CONNECTION_MAX, EXTRANONCE_BYTES, EXTRANONCE1_BYTES};
use warppool_components::outbox::NoticeLevel;
use warppool_components::units::Target;
use warppool_net::wire::v2::Message;
use warppool_net::wire::v2::message::{
    OpenExtendedMiningChannel, OpenExtendedMiningChannelSuccess, OpenMiningChannelError, OpenStandardMiningChannel,
    OpenStandardMiningChannelSuccess,
};

/// What both requests for a channel say.
pub(super) struct Ask {
    request_id: u32,
    username: String,
    nominal_hash_rate: f32,
    max_target: Target,
    /// Bytes of extranonce that an extended channel needs.
    min_extranonce_bytes: Option<u16>,
}

impl Ask {
    pub(super) fn standard(request: &OpenStandardMiningChannel<'_>) -> Self {
        Self {
            request_id: request.request_id,
            username: username(&request.user_identity.to_text()),
            nominal_hash_rate: request.nominal_hash_rate,
            max_target: request.max_target,
            min_extranonce_bytes: None,
        }
    }

    pub(super) fn extended(request: &OpenExtendedMiningChannel<'_>) -> Self {
        Self {
            request_id: request.request_id,
            username: username(&request.user_identity.to_text()),
            nominal_hash_rate: request.nominal_hash_rate,
            max_target: request.max_target,
            min_extranonce_bytes: Some(request.min_extranonce_size),
        }
    }

    const fn is_extended(&self) -> bool {
        self.min_extranonce_bytes.is_some()
    }
}

/// The username that Stratum V1 would have for an identity. Beside `address` and `address.worker` these are known:
/// `address/worker`, `sri/solo/address/worker`, and `sri/donate/[percentage/]address/worker`. A pool for solo miners takes
/// no donation but its operator's, so the whole reward is the address's.
fn username(identity: &str) -> String {
    let identity = identity.trim();
    let mut parts: Vec<&str> = identity.split('/').collect();
    if parts[0] == "sri" && parts.len() > 2 && matches!(parts[1], "solo" | "donate") {
        let has_percentage = parts[1] == "donate" && parts.len() > 3 && parts[2].parse::<f64>().is_ok();
        parts.drain(..if has_percentage { 3 } else { 2 });
    }
    let (address, name) = (parts[0], parts[1..].join("/"));
    if name.is_empty() { address.to_owned() } else { format!("{address}.{name}") }
}

/// Opens a channel, or says why not.
pub(super) fn open(world: &mut World, connection: Entity, ask: &Ask, out: &mut Vec<u8>) {
    let opened = refuse(world, connection, ask).and_then(|()| make(world, connection, ask));
    match opened {
        Ok(at) => succeed(world, at, ask, out),
        Err(code) => {
            count_against(world, connection);
            OpenMiningChannelError { request_id: ask.request_id, error_code: code.into() }.encode(out);
        }
    }
}

/// What can be refused before anything is made.
fn refuse(world: &World, connection: Entity, ask: &Ask) -> Result<(), &'static str> {
    let open = world.get::<ConnectionV2>(connection).map_or(0, |v2| v2.channels.len());
    let extranonce2_bytes = world.resource::<WorkSource>().extranonce2_bytes();
    if ask.min_extranonce_bytes.is_some_and(|bytes| usize::from(bytes) > extranonce2_bytes) {
        Err("min-extranonce-size-too-large")
    } else if !is_in_reach(world, ask.max_target) {
        Err("max-target-out-of-range")
    } else if open >= CHANNELS_PER_CONNECTION_MAX || world.resource::<Ahead>().channels >= CHANNELS_MAX {
        Err("too-many-channels")
    } else {
        Ok(())
    }
}

/// A channel with its worker and its difficulty, owed its first job.
fn make(world: &mut World, connection: Entity, ask: &Ask) -> Result<Place, &'static str> {
    let username = admitted_name(world, connection, &ask.username)?;
    let key = world.get::<Connection>(connection).ok_or("invalid-channel-id")?.key;
    let channel = world.spawn_empty().id();
    let at = Place { connection, channel };
    begin_channel(world, channel, connection, key);
    world.entity_mut(channel).insert(ChannelV2 {
        number: 0,
        group: 0,
        is_extended: ask.is_extended(),
        is_closing: false,
        max_target: ask.max_target,
        tip: None,
        held: None,
        untold: 0.0,
    });
    world.resource_mut::<Ahead>().channels += 1;
    bound(world, at, ask.max_target);
    start::classify(world, at);
    suggest(world, at, ask.nominal_hash_rate);
    if let Some(mut state) = world.get_mut::<Channel>(channel) {
        state.version_mask = VERSION_MASK_WIDE;
        // The size of the extranonce is negotiated: there is nothing to pad.
        state.pads_extranonce2 = false;
    }
    if let Err(refusal) = authorize::admit(world, at, &username, "") {
        close_channel(world, channel, CloseReason::Peer);
        return Err(tell(world, &username, &refusal));
    }
    Ok(at)
}

/// The name under which the channel is opened. Each name that is new on the connection but the first is taken from what its
/// address may name; where that is used up the share of a farm is better credited to the bare address than not mined.
fn admitted_name(world: &mut World, connection: Entity, username: &str) -> Result<String, &'static str> {
    authorize::check(world, username).map_err(|refusal| tell(world, username, &refusal))?;
    if is_known(world, connection, username) || authorize::may_name(world, connection) {
        return Ok(username.to_owned());
    }
    let address = username.split('.').next().unwrap_or_default();
    let v2 = world.get::<ConnectionV2>(connection);
    let channels = v2.map_or(&[][..], |v2| &v2.channels).iter();
    let mut names = channels.filter_map(|it| world.get::<Channel>(it.entity)?.submitters.iter().next());
    let is_paid_here = names.any(|(name, _)| name.split('.').next() == Some(address));
    if is_paid_here { Ok(address.to_owned()) } else { Err("too-many-identities") }
}

fn is_known(world: &World, connection: Entity, username: &str) -> bool {
    let Some(v2) = world.get::<ConnectionV2>(connection) else { return false };
    let mut channels = v2.channels.iter().filter_map(|channel| world.get::<Channel>(channel.entity));
    channels.any(|channel| channel.submitters.find(username).is_some())
}

/// Whoever runs the pool sees the sentence that the protocol has no place for.
fn tell(world: &mut World, username: &str, refusal: &str) -> &'static str {
    let text = format!("a channel for \"{username}\" was refused: {refusal}");
    world.resource_mut::<Outgoing>().notice(NoticeLevel::Debug, text);
    "unknown-user"
}

fn succeed(world: &mut World, at: Place, ask: &Ask, out: &mut Vec<u8>) {
    let extranonce2_bytes = world.resource::<WorkSource>().extranonce2_bytes();
    let target = told_target(world, at);
    let Some(channel) = world.get::<Channel>(at.channel) else { return };
    let (extranonce1, payout) = (channel.extranonce1, channel.payout.unwrap_or_default());
    let Some(mut v2) = world.get_mut::<ConnectionV2>(at.connection) else { return };
    v2.has_opened = true;
    let channel_id = v2.next_number();
    let group_channel_id = v2.group(payout, ask.is_extended());
    let place = ChannelPlace {
        number: channel_id,
        group: group_channel_id,
        entity: at.channel,
        is_extended: ask.is_extended(),
    };
    v2.channels.push(place);
    if let Some(mut channel) = world.get_mut::<ChannelV2>(at.channel) {
        (channel.number, channel.group) = (channel_id, group_channel_id);
    }
    let request_id = ask.request_id;
    if ask.is_extended() {
        let extranonce_size = extranonce2_bytes as u16;
        let extranonce_prefix = &extranonce1[..];
        let success = OpenExtendedMiningChannelSuccess {
            request_id,
            channel_id,
            target,
            extranonce_size,
            extranonce_prefix,
            group_channel_id,
        };
        success.encode(out);
    } else {
        let mut extranonce = [0; EXTRANONCE_BYTES];
        extranonce[..EXTRANONCE1_BYTES].copy_from_slice(&extranonce1);
        let extranonce_prefix = &extranonce[..EXTRANONCE1_BYTES + extranonce2_bytes];
        let success =
            OpenStandardMiningChannelSuccess { request_id, channel_id, target, extranonce_prefix, group_channel_id };
        success.encode(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_identity_becomes_a_username() {
        for (identity, expected) in [
            ("bc1q", "bc1q"),
            ("bc1q.rig", "bc1q.rig"),
            ("bc1q/rig", "bc1q.rig"),
            (" bc1q/a/b ", "bc1q.a/b"),
            ("sri/solo/bc1q/rig", "bc1q.rig"),
            ("sri/solo/bc1q", "bc1q"),
            ("sri/donate/bc1q/rig", "bc1q.rig"),
            ("sri/donate/50/bc1q/rig", "bc1q.rig"),
            ("sri/donate", "sri.donate"),
            ("", ""),
        ] {
            assert_eq!(username(identity), expected, "{identity}");
        }
    }
}
