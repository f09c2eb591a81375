//! `/api/workers` and `/api/workers/{name}`.

use super::{HashratesJson, OddsJson, PayoutJson, ReceiptJson, SharesJson, finite, hex, network_difficulty};
use crate::problem::{Problem, shortened};
use crate::query::Query;
use serde::Serialize;
use std::cmp::Ordering;
use warppool_components::limits::PAGE_ROWS_MAX;
use warppool_components::snapshot::{Snapshot, WorkerSnapshot};

/// Rows of a page when no limit is asked for.
pub(super) const PAGE_ROWS: usize = 100;

/// Answer of `/api/workers`.
#[derive(Serialize)]
pub(crate) struct Page<'a> {
    at: u64,
    matching: usize,
    workers: Vec<WorkerJson<'a>>,
    next_cursor: Option<String>,
}

/// Answer of `/api/workers/{name}`.
#[derive(Serialize)]
pub(crate) struct Detail<'a> {
    at: u64,
    worker: WorkerJson<'a>,
    odds: OddsJson,
    payout: Option<PayoutJson<'a>>,
}

/// One page of the list.
///
/// # Errors
/// A parameter is malformed.
pub(crate) fn page<'a>(snapshot: &'a Snapshot, query: &Query) -> Result<Page<'a>, Problem> {
    let limit = query.number("limit", 1..=PAGE_ROWS_MAX)?.unwrap_or(PAGE_ROWS);
    let sort = Sort::parse(query.text("sort").unwrap_or("hashrate"))?;
    let after = query.text("cursor").map(|text| sort.parse_cursor(text)).transpose()?;
    let needle = query.text("q").unwrap_or_default().to_lowercase();
    let mut rows: Vec<(Place, &WorkerSnapshot)> = snapshot
        .workers
        .iter()
        .filter(|worker| matches(worker, &needle))
        .map(|worker| (sort.place(worker), worker))
        .collect();
    rows.sort_unstable_by(|left, right| sort.compare(&left.0, &right.0));
    let matching = rows.len();
    let start =
        after.map_or(0, |after| rows.partition_point(|(place, _)| sort.compare(place, &after) != Ordering::Greater));
    let rest = &rows[start..];
    let shown = &rest[..rest.len().min(limit)];
    let next_cursor = shown.last().filter(|_| rest.len() > limit).map(|(place, _)| place.cursor());
    let workers = shown.iter().map(|(_, worker)| WorkerJson::new(worker)).collect();
    Ok(Page { at: snapshot.at.seconds(), matching, workers, next_cursor })
}

/// One worker.
///
/// # Errors
/// Nobody has that name.
pub(crate) fn detail<'a>(snapshot: &'a Snapshot, name: &str) -> Result<Detail<'a>, Problem> {
    let worker = find(snapshot, name)?;
    Ok(Detail {
        at: snapshot.at.seconds(),
        worker: WorkerJson::new(worker),
        odds: OddsJson::new(&worker.hashrates, network_difficulty(snapshot)),
        payout: (!worker.outputs.is_empty()).then(|| PayoutJson::new(&worker.outputs)),
    })
}

/// The worker of a name.
///
/// # Errors
/// Nobody has it.
pub(super) fn find<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a WorkerSnapshot, Problem> {
    snapshot.workers.iter().find(|worker| &*worker.label == name).ok_or_else(|| {
        let name = shortened(name);
        Problem::not_found(format!("No worker is named \"{name}\". GET /api/workers lists the known ones."))
    })
}

fn matches(worker: &WorkerSnapshot, needle: &str) -> bool {
    let texts = [&worker.label, &worker.user_agent, &worker.device_class];
    needle.is_empty() || texts.into_iter().any(|text| text.to_lowercase().contains(needle))
}

/// What a list is sorted by.
#[derive(Clone, Copy, Debug)]
struct Sort {
    column: Column,
    reversed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Column {
    Hashrate,
    BestShare,
    Shares,
    Rejected,
    LastShare,
    Name,
}

/// Where a worker stands in a sorted list. Kept in cursors instead of a row's number, so that a page goes on where the last
/// one ended even when others have changed places.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    /// By a number, larger first, then by the worker's own number.
    Number(u64, u32),
    /// By name.
    Name(String),
}

impl Sort {
    const COLUMNS: [(&'static str, Column); 6] = [
        ("hashrate", Column::Hashrate),
        ("best_share", Column::BestShare),
        ("shares", Column::Shares),
        ("rejected", Column::Rejected),
        ("last_share", Column::LastShare),
        ("name", Column::Name),
    ];

    fn parse(text: &str) -> Result<Self, Problem> {
        let (name, reversed) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
        let column = Self::COLUMNS.into_iter().find(|(known, _)| *known == name).map(|(_, column)| column);
        column.map(|column| Self { column, reversed }).ok_or_else(|| {
            let known = Self::COLUMNS.map(|(known, _)| known).join(", ");
            let text = shortened(text);
            Problem::bad_request(format!(
                "Workers cannot be sorted by \"{text}\"; known: {known}, each with - in front to turn it round."
            ))
        })
    }

    fn place(self, worker: &WorkerSnapshot) -> Place {
        // The bits of numbers from zero up are in the order of the numbers.
        let bits = |value: f64| finite(value).max(0.0).to_bits();
        let number = match self.column {
            Column::Name => return Place::Name(worker.label.to_string()),
            Column::Hashrate => {
                u64::from(worker.presence.is_online()) << 63 | bits(worker.hashrates[super::ODDS_WINDOW])
            }
            Column::BestShare => bits(worker.best_ever),
            Column::Shares => worker.accepted,
            Column::Rejected => worker.rejected.iter().sum(),
            Column::LastShare => worker.last_share_at.map_or(0, |at| at.millis()),
        };
        Place::Number(number, worker.id.0)
    }

    fn compare(self, left: &Place, right: &Place) -> Ordering {
        let order = match (left, right) {
            (Place::Number(left, left_id), Place::Number(right, right_id)) => {
                right.cmp(left).then(left_id.cmp(right_id))
            }
            (Place::Name(left), Place::Name(right)) => left.cmp(right),
            // Never in one list: a cursor's form is checked against the column.
            (Place::Number(..), Place::Name(_)) => Ordering::Less,
            (Place::Name(_), Place::Number(..)) => Ordering::Greater,
        };
        if self.reversed { order.reverse() } else { order }
    }

    fn parse_cursor(self, text: &str) -> Result<Place, Problem> {
        let place = match self.column {
            Column::Name => text.strip_prefix("n.").and_then(unhex).map(Place::Name),
            _ => text
                .split_once('.')
                .and_then(|(number, id)| Some(Place::Number(u64::from_str_radix(number, 16).ok()?, id.parse().ok()?))),
        };
        place.ok_or_else(|| {
            Problem::bad_request(
                "The cursor does not belong to this list; it is the next_cursor of a page with the same sort.",
            )
        })
    }
}

impl Place {
    fn cursor(&self) -> String {
        match self {
            Self::Number(number, id) => format!("{number:016x}.{id}"),
            Self::Name(name) => format!("n.{}", hex(name.as_bytes())),
        }
    }
}

fn unhex(text: &str) -> Option<String> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|value| value as u8);
    let bytes = text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?));
    String::from_utf8(bytes.collect::<Option<_>>()?).ok()
}

/// A worker in the list.
#[derive(Serialize)]
pub(crate) struct WorkerJson<'a> {
    name: &'a str,
    address: &'a str,
    worker_name: &'a str,
    user_agent: &'a str,
    device_class: Option<&'a str>,
    online: bool,
    presence: &'static str,
    connections: u32,
    expected_share_seconds: Option<f32>,
    quiet_seconds: Option<f32>,
    tip_latency: Option<TipLatencyJson>,
    hashrates: HashratesJson,
    shares: SharesJson,
    best_share: BestShare,
    difficulty: Option<f64>,
    first_seen: u64,
    last_seen: u64,
    last_share_at: Option<u64>,
    blocks_found: u32,
    block_pays: Option<ReceiptJson<'a>>,
}

#[derive(Serialize)]
struct TipLatencyJson {
    last_seconds: f32,
    mean_seconds: f32,
}

#[derive(Serialize)]
struct BestShare {
    now: f64,
    ever: f64,
}

impl<'a> WorkerJson<'a> {
    fn new(worker: &'a WorkerSnapshot) -> Self {
        Self {
            name: &worker.label,
            address: &worker.address,
            worker_name: &worker.name,
            user_agent: &worker.user_agent,
            device_class: Some(&*worker.device_class).filter(|class| !class.is_empty()),
            online: worker.presence.is_online(),
            presence: worker.presence.label(),
            connections: worker.connections,
            expected_share_seconds: worker.expected_share_seconds.filter(|seconds| seconds.is_finite()),
            quiet_seconds: worker.quiet_seconds,
            tip_latency: worker.tip_latency.map(|latency| TipLatencyJson {
                last_seconds: latency.last_seconds,
                mean_seconds: latency.mean_seconds,
            }),
            hashrates: HashratesJson(worker.hashrates),
            shares: SharesJson::new(worker.accepted, worker.accepted_difficulty, worker.rejected),
            best_share: BestShare { now: finite(worker.best_now), ever: finite(worker.best_ever) },
            difficulty: Some(finite(worker.difficulty)).filter(|difficulty| *difficulty > 0.0),
            first_seen: worker.first_seen.seconds(),
            last_seen: worker.last_seen.seconds(),
            last_share_at: worker.last_share_at.map(|at| at.seconds()),
            blocks_found: worker.blocks_found,
            block_pays: ReceiptJson::new(&worker.outputs),
        }
    }
}
