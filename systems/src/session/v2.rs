//! Requests of Stratum V2: everything in frames but shares.
//!
//! What a connection may do follows from what it has asked before: first `SetupConnection`, then channels. A frame that is
//! malformed, unknown or out of turn is passed over, as the specification asks for, and counts against the connection.

mod open;

use super::{Place, start};
use crate::conduct;
use crate::resources::{Closing, Deadlines, Incoming, Moment, Policy, Replies};
use bevy_ecs::entity::Entity;
use bevy_ecs::world::World;
use open::{Ask, open};
use warppool_components::channel::{Channel, Vardiff};
use warppool_components::channel_v2::{ChannelV2, ConnectionV2};
use warppool_components::connection::{Connection, Session};
use warppool_components::limits::USER_AGENT_BYTES_MAX;
use warppool_components::units::{Difficulty, Target};
use warppool_net::wire::v2::message::{
    CloseChannel, OpenExtendedMiningChannel, OpenStandardMiningChannel, RequestExtensions, RequestExtensionsError,
    SetTarget, SetupConnection, SetupConnectionError, SetupConnectionSuccess, SubmitSharesError, SubmitSharesExtended,
    SubmitSharesStandard, UpdateChannel, UpdateChannelError, setup_flags,
};
use warppool_net::wire::v2::{
    EXTENSION_BASE, EXTENSION_NEGOTIATION, ExtensionIds, Message, PROTOCOL_VERSION, scan_shares, split,
};

/// The mining protocol in `SetupConnection`.
const PROTOCOL_MINING: u8 = 0;

/// What a connection may need that is there.
const FLAGS_SUPPORTED: u32 = setup_flags::REQUIRES_STANDARD_JOBS | setup_flags::REQUIRES_VERSION_ROLLING;

/// What AxeOS says of every device, whatever it is.
const HASH_RATE_OF_ALL_AXEOS: f32 = 1e12;

/// A frame that cannot be carried out.
struct Unheard;

/// Carries out the frame in the inbox's line number `line`.
pub(super) fn carry_out(world: &mut World, connection: Entity, line: u32) {
    let incoming = &world.resource::<Incoming>().0;
    let frame = incoming.text(&incoming.lines[line as usize]).to_vec();
    let mut answer = Vec::new();
    if handle(world, connection, &frame, &mut answer).is_err() {
        count_against(world, connection);
    }
    if !answer.is_empty() {
        world.resource_mut::<Replies>().answer(line, |out| out.extend_from_slice(&answer));
    }
}

fn handle(world: &mut World, connection: Entity, frame: &[u8], out: &mut Vec<u8>) -> Result<(), Unheard> {
    let (header, payload) = split(frame).ok_or(Unheard)?;
    let is_set_up = world.get::<ConnectionV2>(connection).ok_or(Unheard)?.is_set_up;
    match (header.extension, header.message_type) {
        (EXTENSION_BASE, SetupConnection::TYPE) if !is_set_up => {
            set_up(world, connection, &read(SetupConnection::decode_payload(payload))?, out)
        }
        _ if !is_set_up => return Err(Unheard),
        (EXTENSION_BASE, OpenStandardMiningChannel::TYPE) => {
            let request = read(OpenStandardMiningChannel::decode_payload(payload))?;
            open(world, connection, &Ask::standard(&request), out);
        }
        (EXTENSION_BASE, OpenExtendedMiningChannel::TYPE) => {
            let request = read(OpenExtendedMiningChannel::decode_payload(payload))?;
            open(world, connection, &Ask::extended(&request), out);
        }
        (EXTENSION_BASE, UpdateChannel::TYPE) => {
            update(world, connection, &read(UpdateChannel::decode_payload(payload))?, out);
        }
        (EXTENSION_BASE, CloseChannel::TYPE) => {
            let request = read(CloseChannel::decode_payload(payload))?;
            close(world, connection, request.channel_id)?;
        }
        (EXTENSION_NEGOTIATION, RequestExtensions::TYPE) => {
            let request = read(RequestExtensions::decode_payload(payload))?;
            decline_extensions(&request, out);
        }
        (EXTENSION_BASE, SubmitSharesStandard::TYPE | SubmitSharesExtended::TYPE) => {
            let shares = scan_shares(frame).ok_or(Unheard)?;
            let (channel_id, sequence_number) = (shares.channel_id, shares.sequence_number);
            // It came with the setup, so there was no channel that it could be of.
            SubmitSharesError { channel_id, sequence_number, error_code: "invalid-channel-id".into() }.encode(out);
            return Err(Unheard);
        }
        _ => return Err(Unheard),
    }
    Ok(())
}

/// What is wrong with a frame nobody is told: the protocol has no message for it.
fn read<T, E>(decoded: Result<T, E>) -> Result<T, Unheard> {
    decoded.map_err(|_| Unheard)
}

fn count_against(world: &mut World, connection: Entity) {
    let now = world.resource::<Moment>().0.instant;
    let mut deadlines = *world.resource::<Deadlines>();
    let trunk = world.get::<Connection>(connection).map(|connection| connection.channel);
    if let Some(mut channel) = trunk.and_then(|trunk| world.get_mut::<Channel>(trunk)) {
        conduct::count(&mut channel.conduct, 0, 1, now, &mut deadlines);
    }
    world.insert_resource(deadlines);
}

fn set_up(world: &mut World, connection: Entity, request: &SetupConnection<'_>, out: &mut Vec<u8>) {
    let refusal = if request.protocol != PROTOCOL_MINING {
        Some((0, "unsupported-protocol"))
    } else if !(request.min_version..=request.max_version).contains(&PROTOCOL_VERSION) {
        Some((0, "protocol-version-mismatch"))
    } else {
        let unsupported = request.flags & !FLAGS_SUPPORTED;
        (unsupported != 0).then_some((unsupported, "unsupported-feature-flags"))
    };
    if let Some((flags, code)) = refusal {
        SetupConnectionError { flags, error_code: code.into() }.encode(out);
        return;
    }
    if let Some(mut session) = world.get_mut::<Session>(connection) {
        let agent = user_agent(request);
        session.user_agent = agent[..agent.floor_char_boundary(USER_AGENT_BYTES_MAX)].into();
        session.subscribed = true;
    }
    if let Some(mut v2) = world.get_mut::<ConnectionV2>(connection) {
        v2.is_set_up = true;
    }
    SetupConnectionSuccess { used_version: PROTOCOL_VERSION, flags: 0 }.encode(out);
}

/// The words by which device classes know it, in the order in which Stratum V1's user agents have them.
fn user_agent(request: &SetupConnection<'_>) -> String {
    let words = [request.vendor, request.hardware_version, request.firmware].map(|word| word.to_text());
    let words: Vec<&str> = words.iter().map(|word| word.trim()).filter(|word| !word.is_empty()).collect();
    words.join("/").chars().filter(|character| !character.is_control()).collect()
}

/// No extension is there: those that were asked for are named, and nothing of them will ever be sent.
fn decline_extensions(request: &RequestExtensions<'_>, out: &mut Vec<u8>) {
    let answer = RequestExtensionsError {
        request_id: request.request_id,
        unsupported_extensions: request.requested_extensions,
        required_extensions: ExtensionIds::Held(&[]),
    };
    answer.encode(out);
}

/// Takes what the client says of its hash rate and of the target that it can bear. It is told its target either way, as
/// proxies wait for it.
fn update(world: &mut World, connection: Entity, request: &UpdateChannel, out: &mut Vec<u8>) {
    let channel_id = request.channel_id;
    let place = world.get::<ConnectionV2>(connection).and_then(|v2| v2.channel(channel_id).copied());
    let refusal = match place {
        None => Some("invalid-channel-id"),
        Some(_) if !is_in_reach(world, request.maximum_target) => Some("max-target-out-of-range"),
        Some(_) => None,
    };
    let (None, Some(place)) = (refusal, place) else {
        let error_code = refusal.unwrap_or_default().into();
        UpdateChannelError { channel_id, error_code }.encode(out);
        return;
    };
    let at = Place { connection, channel: place.entity };
    bound(world, at, request.maximum_target);
    suggest(world, at, request.nominal_hash_rate);
    start::choose(world, at);
    start::respect_floor(world, at);
    let maximum_target = told_target(world, at);
    SetTarget { channel_id, maximum_target }.encode(out);
}

/// Whether the pool has a difficulty that is hard enough for a miner that takes no easier target.
fn is_in_reach(world: &World, max_target: Target) -> bool {
    let hardest = world.resource::<Policy>().0.vardiff.max;
    max_target.to_big_endian() != [0; 32] && max_target.to_difficulty() <= hardest
}

/// Lets no target of the channel be easier than `max_target`.
fn bound(world: &mut World, at: Place, max_target: Target) {
    if let Some(mut v2) = world.get_mut::<ChannelV2>(at.channel) {
        v2.max_target = max_target;
    }
    if let Some(mut vardiff) = world.get_mut::<Vardiff>(at.channel) {
        start::set_floor(&mut vardiff, max_target.to_difficulty());
    }
}

/// What the client says of its hash rate is where a miner of whom nothing is known starts.
fn suggest(world: &mut World, at: Place, nominal_hash_rate: f32) {
    let Some(vardiff) = world.get::<Vardiff>(at.channel) else { return };
    let difficulty = f64::from(nominal_hash_rate) * vardiff.seconds_per_share / Difficulty::HASHES_AT_ONE;
    let is_told = nominal_hash_rate != HASH_RATE_OF_ALL_AXEOS && Difficulty::new(difficulty).is_ok();
    if let Some(mut session) = world.get_mut::<Session>(at.connection) {
        session.suggested_difficulty = is_told.then_some(difficulty);
    }
}

/// The target that a message tells now: nothing more has to be said of it.
fn told_target(world: &mut World, at: Place) -> Target {
    let announced = world.get_mut::<Vardiff>(at.channel).map(|mut vardiff| {
        vardiff.unsent = false;
        vardiff.announced
    });
    let v2 = world.get::<ChannelV2>(at.channel);
    announced.zip(v2).map(|(announced, v2)| v2.target(announced)).unwrap_or_default()
}

/// Ends a channel, or all of a group.
fn close(world: &mut World, connection: Entity, number: u32) -> Result<(), Unheard> {
    let v2 = world.get::<ConnectionV2>(connection).ok_or(Unheard)?;
    let meant = v2.channels.iter().filter(|channel| channel.number == number || channel.group == number);
    let meant: Vec<Entity> = meant.map(|channel| channel.entity).collect();
    if meant.is_empty() {
        return Err(Unheard);
    }
    if let Some(mut v2) = world.get_mut::<ConnectionV2>(connection) {
        v2.channels.retain(|channel| !meant.contains(&channel.entity));
    }
    for channel in &meant {
        if let Some(mut channel) = world.get_mut::<ChannelV2>(*channel) {
            channel.is_closing = true;
        }
    }
    world.resource_mut::<Closing>().0.extend(meant);
    Ok(())
}
