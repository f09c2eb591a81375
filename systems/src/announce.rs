//! Twelfth: what the operator has to say to miners.
//!
//! It stands behind all answers and jobs of the tick, and only those hear it that have a worker: before that, firmware
//! does not expect lines that it did not ask for. Stratum V2 has no message for it.

use crate::resources::{Messages, Outgoing, WorkerIndex};
use bevy_ecs::entity::Entity;
use bevy_ecs::query::Without;
use bevy_ecs::system::{Query, Res, ResMut};
use warppool_components::channel::Channel;
use warppool_components::channel_v2::ChannelV2;
use warppool_components::inbox::{MinerMessage, SharedBytes};
use warppool_components::outbox::{Body, Write};
use warppool_components::worker::WorkerIdentity;
use warppool_net::wire::v1::emit;

/// Sends this tick's messages and says how many connections were sent each.
pub fn announce(
    mut messages: ResMut<Messages>,
    index: Res<WorkerIndex>,
    identities: Query<&WorkerIdentity>,
    channels: Query<&Channel, Without<ChannelV2>>,
    mut outgoing: ResMut<Outgoing>,
) {
    if messages.0.is_empty() {
        return;
    }
    for message in messages.0.drain(..) {
        let is_for = |worker: Entity| concerns(&message, worker, &index, &identities);
        let hears = |channel: &&Channel| channel.ready && channel.submitters.iter().any(|(_, worker)| is_for(worker));
        let body = text(&message);
        let mut count = 0;
        for channel in channels.iter().filter(hears) {
            outgoing.0.writes.push(Write { connection: channel.key, body: Body::Shared(body.clone()) });
            count += 1;
        }
        outgoing.0.messages_shown.push(count);
    }
}

fn concerns(message: &MinerMessage, worker: Entity, index: &WorkerIndex, identities: &Query<&WorkerIdentity>) -> bool {
    let Some(wanted) = &message.worker else { return true };
    let is_worker = index.by_label.get(wanted) == Some(&worker);
    is_worker || identities.get(worker).is_ok_and(|identity| identity.address == *wanted)
}

fn text(message: &MinerMessage) -> SharedBytes {
    let mut text = Vec::new();
    emit::show_message(&mut text, &message.text);
    text.into()
}
