//! The events of `/api/events`, each with its type and time.

use super::blocks::block_url;
use super::finite;
use crate::reply::to_json;
use hyper::body::Bytes;
use serde::Serialize;
use warppool_components::event::{PoolEvent, PoolEventKind};
use warppool_components::settings::Network;
use warppool_components::units::UnixTime;

#[derive(Serialize)]
struct EventJson<'a> {
    r#type: &'static str,
    at: u64,
    #[serde(flatten)]
    detail: Detail<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Detail<'a> {
    Block {
        hash: String,
        height: u32,
        worker: &'a str,
        payout_sats: u64,
        state: &'static str,
        explorer_url: Option<String>,
    },
    Job {
        height: u32,
        job: &'a str,
        clean: bool,
        transactions: u32,
        value_sats: u64,
    },
    Shares {
        accepted: u64,
        difficulty: f64,
        rejected: u64,
    },
    Worker {
        worker: &'a str,
    },
    Health {
        health: &'static str,
        message: &'a str,
    },
    None {},
}

/// JSON of an event.
pub(crate) fn event_json(event: &PoolEvent, network: Network) -> Bytes {
    let detail = match &event.kind {
        PoolEventKind::BlockFound { hash, height, worker, payout, state } => Detail::Block {
            hash: hash.to_string(),
            height: *height,
            worker,
            payout_sats: payout.0,
            state: state.label(),
            explorer_url: block_url(hash, network),
        },
        PoolEventKind::NewJob { height, job, clean, transactions, value } => {
            Detail::Job { height: *height, job, clean: *clean, transactions: *transactions, value_sats: value.0 }
        }
        PoolEventKind::SharesAccepted { accepted, difficulty, rejected } => {
            Detail::Shares { accepted: *accepted, difficulty: finite(*difficulty), rejected: *rejected }
        }
        PoolEventKind::WorkerUp { worker } | PoolEventKind::WorkerDown { worker } => Detail::Worker { worker },
        PoolEventKind::Health { health, message } => Detail::Health { health: health.label(), message },
    };
    to_json(&EventJson { r#type: event.kind.label(), at: event.at.seconds(), detail })
}

/// JSON of the event that tells a listener to fetch anew.
pub(crate) fn reset_json(now: UnixTime) -> Bytes {
    to_json(&EventJson { r#type: "reset", at: now.seconds(), detail: Detail::None {} })
}
