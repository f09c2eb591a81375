//! Twelfth: what the operator has to say to miners.
//!
//! It stands behind all answers and jobs of the tick, and only those hear it that have a worker: before that, firmware
//! does not expect lines that it did not ask for. Stratum V2 has no message for sentences, only one for connecting anew.

use crate::resources::{Messages, Outgoing, WorkerIndex};
use bevy_ecs::entity::Entity;
use bevy_ecs::query::Has;
use bevy_ecs::system::{Query, Res, ResMut};
use std::collections::HashSet;
use std::sync::Arc;
use warppool_components::channel::Channel;
use warppool_components::channel_v2::ChannelV2;
use warppool_components::inbox::{MinerMessageContent, SharedBytes};
use warppool_components::outbox::{Body, Write};
use warppool_components::worker::WorkerIdentity;
use warppool_net::wire::v1::emit;
use warppool_net::wire::v2::Message;
use warppool_net::wire::v2::message::Reconnect;

/// Says what there is to say, and how many connections were told each.
pub fn announce(
    mut messages: ResMut<Messages>,
    index: Res<WorkerIndex>,
    identities: Query<&WorkerIdentity>,
    channels: Query<(&Channel, Has<ChannelV2>)>,
    mut outgoing: ResMut<Outgoing>,
) {
    if messages.0.is_empty() {
        return;
    }
    for message in messages.0.drain(..) {
        let said = Said::new(&message.content);
        let is_for = |worker: Entity| concerns(message.worker.as_ref(), worker, &index, &identities);
        let mut told = HashSet::new();
        for (channel, is_v2) in &channels {
            let hears = channel.ready && channel.submitters.iter().any(|(_, worker)| is_for(worker));
            let body = if is_v2 { said.frame.as_ref() } else { Some(&said.line) };
            // A connection of Stratum V2 is told once, however many channels it has.
            let Some(body) = body.filter(|_| hears && told.insert(channel.key)) else { continue };
            outgoing.0.writes.push(Write { connection: channel.key, body: Body::Shared(body.clone()) });
        }
        outgoing.0.messages_shown.push(told.len() as u32);
    }
}

/// A message as it is written in both protocols.
struct Said {
    line: SharedBytes,
    frame: Option<SharedBytes>,
}

impl Said {
    fn new(content: &MinerMessageContent) -> Self {
        let mut line = Vec::new();
        match content {
            MinerMessageContent::Show(text) => {
                emit::show_message(&mut line, text);
                Self { line: line.into(), frame: None }
            }
            MinerMessageContent::Reconnect(place) => {
                let place = place.as_ref().map(|(host, port)| (&**host, *port));
                let ((new_host, new_port), mut frame) = (place.unwrap_or(("", 0)), Vec::new());
                emit::reconnect(&mut line, place);
                Reconnect { new_host: new_host.into(), new_port }.encode(&mut frame);
                Self { line: line.into(), frame: Some(frame.into()) }
            }
        }
    }
}

fn concerns(
    wanted: Option<&Arc<str>>,
    worker: Entity,
    index: &WorkerIndex,
    identities: &Query<&WorkerIdentity>,
) -> bool {
    let Some(wanted) = wanted else { return true };
    let is_worker = index.by_label.get(wanted) == Some(&worker);
    is_worker || identities.get(worker).is_ok_and(|identity| identity.address == *wanted)
}
