//! Third: who a miner is, what it may do, where its difficulty starts.
//!
//! Requests are carried out in the order in which they came; what they make the pool owe (a difficulty, a version
//! mask, a first job) is sent by `reply` behind the answers, so nothing unsolicited stands between a request and
//! its answer.

mod authorize;
mod start;
mod v2;

use crate::extranonces::Extranonces;
use crate::resources::{Asked, Owed, PendingRequest, Policy, Replies, Requests, WorkSource};
use bevy_ecs::entity::Entity;
use bevy_ecs::world::World;
use std::sync::Arc;
use warppool_components::channel::{Channel, DifficultyEpochs, Vardiff};
use warppool_components::connection::{Connection, Session};
use warppool_components::limits::USER_AGENT_BYTES_MAX;
use warppool_components::units::Difficulty;
use warppool_net::wire::v1::emit::{self, ConfigureAnswer};
use warppool_net::wire::v1::{Configure, Request, session_id};

/// Version bits that are offered to every miner (BIP320).
const VERSION_MASK_USUAL: u32 = 0x1fff_e000;
/// Version bits for those who ask for more (BIP323).
const VERSION_MASK_WIDE: u32 = 0x1fff_ffe0;
/// A client mask of all ones says "whatever you have", not "all of BIP323".
const VERSION_MASK_ANY: u32 = 0xffff_ffff;

/// What the pool answers to `client.get_version`.
const VERSION_TEXT: &str = concat!("WarpPool/", env!("CARGO_PKG_VERSION"));

/// Carries out the tick's requests.
pub fn session(world: &mut World) {
    let mut requests = std::mem::take(&mut world.resource_mut::<Requests>().0);
    for pending in requests.drain(..) {
        carry_out(world, pending);
    }
    // Gives the memory back for the next tick.
    world.resource_mut::<Requests>().0 = requests;
}

fn carry_out(world: &mut World, pending: PendingRequest) {
    let PendingRequest { connection, line, id, request } = pending;
    let Some(channel) = world.get::<Connection>(connection).map(|connection| connection.channel) else { return };
    let at = Place { connection, channel };
    let mut answer = Vec::new();
    let id = id.as_deref();
    let is_answered = match request {
        Asked::Frame => return v2::carry_out(world, connection, line),
        Asked::Recognise { row, username } => return authorize::recognise(world, at, row, &username),
        Asked::Request(request) => {
            let is_answered = id.is_some() || is_handshake(&request);
            handle(world, at, request, id.unwrap_or(b"null"), &mut answer);
            is_answered
        }
    };
    if is_answered && !answer.is_empty() {
        world.resource_mut::<Replies>().answer(line, |out| out.extend_from_slice(&answer));
    }
}

/// Nobody can mine without the answers to these, so they are given even to a request that forgot its id.
fn is_handshake(request: &Request<'_>) -> bool {
    matches!(request, Request::Subscribe { .. } | Request::Authorize { .. } | Request::Configure(_))
}

/// Whom a request concerns.
#[derive(Clone, Copy, Debug)]
struct Place {
    connection: Entity,
    channel: Entity,
}

fn handle(world: &mut World, at: Place, request: Request<'_>, id: &[u8], out: &mut Vec<u8>) {
    match request {
        Request::Subscribe { user_agent, session } => subscribe(world, at, &user_agent, session.as_deref(), id, out),
        Request::Authorize { username, password } => match authorize::authorize(world, at, &username, &password) {
            Ok(()) => emit::true_reply(out, id),
            Err(refusal) => emit::refused_reply(out, id, emit::CODE_UNAUTHORIZED, &refusal),
        },
        Request::Configure(configure) => configured(world, at, &configure, id, out),
        Request::SuggestDifficulty(suggested) | Request::SuggestTarget(suggested) => match suggested {
            Ok(difficulty) => {
                suggest(world, at, difficulty);
                emit::true_reply(out, id);
            }
            Err(error) => emit::error_reply(out, id, emit::CODE_OTHER, &error.to_string()),
        },
        Request::ExtranonceSubscribe => emit::true_reply(out, id),
        Request::Ping => emit::pong_reply(out, id),
        Request::GetVersion => emit::text_reply(out, id, VERSION_TEXT),
        Request::MultiVersion => emit::true_reply(out, id),
        Request::Unknown { .. } => emit::error_reply(out, id, emit::CODE_OTHER, emit::UNSUPPORTED_METHOD),
        // An answer to something of ours needs none; shares went their own way in `parse`.
        Request::Response | Request::Submit { .. } => {}
    }
}

fn subscribe(world: &mut World, at: Place, agent: &str, session: Option<&str>, id: &[u8], out: &mut Vec<u8>) {
    resume(world, at, session.and_then(session_id));
    let Some(mut session) = world.get_mut::<Session>(at.connection) else { return };
    // What a miner is, it says once: all its workers are told, and that is not to be had for the asking.
    let is_news = !session.subscribed || session.user_agent.is_empty() && !agent.is_empty();
    session.subscribed = true;
    if is_news {
        session.user_agent = agent[..agent.floor_char_boundary(USER_AGENT_BYTES_MAX)].into();
    }
    let session_id = session.session_id;
    let extranonce2_bytes = world.resource::<WorkSource>().extranonce2_bytes();
    let Some(channel) = world.get::<Channel>(at.channel) else { return };
    emit::subscribe_reply(out, id, session_id, &channel.extranonce1, extranonce2_bytes);
    if is_news {
        start::classify(world, at);
    }
    start::become_ready(world, at);
}

/// Gives a miner that comes back its extranonce again, and its jobs, so that shares it kept are still good. Only before the
/// first job: afterwards its work belongs to the extranonce that it has.
fn resume(world: &mut World, at: Place, asked: Option<u64>) {
    let Some(asked) = asked else { return };
    let Some(channel) = world.get::<Channel>(at.channel) else { return };
    if channel.first_job.is_some() || world.get::<Session>(at.connection).is_none_or(|session| session.subscribed) {
        return;
    }
    let own = channel.extranonce1;
    let Some(former) = world.resource_mut::<Extranonces>().resume(asked, own) else { return };
    if let Some(mut channel) = world.get_mut::<Channel>(at.channel) {
        channel.extranonce1 = former.extranonce1;
        channel.first_job = former.first_job;
        channel.last_job = former.last_job;
    }
    if let Some(mut epochs) = world.get_mut::<DifficultyEpochs>(at.channel) {
        *epochs = former.epochs;
    }
    if let Some(mut session) = world.get_mut::<Session>(at.connection) {
        session.session_id = asked;
    }
}

fn configured(world: &mut World, at: Place, configure: &Configure, id: &[u8], out: &mut Vec<u8>) {
    let is_upstream = *world.resource::<WorkSource>() != WorkSource::Node;
    let mask = configure.version_rolling.map(|rolling| rolling.mask & offered_mask(rolling.mask, is_upstream));
    if let Some(mask) = mask {
        roll_versions(world, at, mask);
    }
    let floor = configure.minimum_difficulty.flatten();
    if let (Some(floor), Some(mut vardiff)) = (floor, world.get_mut::<Vardiff>(at.channel)) {
        start::set_floor(&mut vardiff, floor);
        start::choose(world, at);
    }
    let answer = ConfigureAnswer {
        mask,
        minimum_difficulty: configure.minimum_difficulty.map(|difficulty| difficulty.is_some()),
        subscribe_extranonce: configure.subscribe_extranonce.then_some(true),
        info: configure.info.then_some(true),
        unknown: &configure.unknown,
    };
    emit::configure_reply(out, id, &answer);
}

/// Another pool may allow the usual bits only, and it may be there later.
const fn offered_mask(asked: u32, is_upstream: bool) -> u32 {
    let asks_for_more =
        !is_upstream && asked != VERSION_MASK_ANY && asked & VERSION_MASK_WIDE & !VERSION_MASK_USUAL != 0;
    if asks_for_more { VERSION_MASK_WIDE } else { VERSION_MASK_USUAL }
}

fn roll_versions(world: &mut World, at: Place, mask: u32) {
    let Some(mut channel) = world.get_mut::<Channel>(at.channel) else { return };
    channel.version_mask = mask;
    if channel.worker.is_some() {
        channel.owes_version_mask = true;
        world.resource_mut::<Owed>().0.push(at.channel);
    }
}

/// A suggestion is a starting value: it does nothing to a miner whose rate is known, nor when it is repeated.
fn suggest(world: &mut World, at: Place, difficulty: Difficulty) {
    let Some(mut session) = world.get_mut::<Session>(at.connection) else { return };
    if session.suggested_difficulty.replace(difficulty.value()) != Some(difficulty.value()) {
        start::choose(world, at);
    }
}

/// The name of the class that a user agent belongs to, for `authorize` and the dashboard.
fn device_class(world: &World, at: Place) -> Arc<str> {
    let agent = world.get::<Session>(at.connection).map(|session| session.user_agent.clone()).unwrap_or_default();
    let classes = &world.resource::<Policy>().0.device_classes;
    crate::device_class::find(classes, &agent).map_or_else(|| "unknown".into(), |class| class.name.as_str().into())
}
