//! `/api/blocks`: found blocks, the newest from the snapshot, older ones from the store.

use super::workers::PAGE_ROWS;
use super::{explorer, finite};
use crate::problem::Problem;
use crate::query::Query;
use crate::state::State;
use serde::Serialize;
use warppool_components::block::BlockState;
use warppool_components::limits::{BLOCKS_IN_SNAPSHOT_MAX, PAGE_ROWS_MAX};
use warppool_components::record::BlockRow;
use warppool_components::settings::Network;
use warppool_components::units::Hash256;

/// The answer.
#[derive(Serialize)]
pub(crate) struct Page {
    at: u64,
    blocks_found: u64,
    blocks: Vec<Block>,
    next_cursor: Option<String>,
}

/// One page of the list.
///
/// # Errors
/// A parameter is malformed, or the store cannot answer.
pub(crate) async fn page(state: &State, query: &Query) -> Result<Page, Problem> {
    let limit = query.number("limit", 1..=PAGE_ROWS_MAX)?.unwrap_or(PAGE_ROWS);
    let before = query.text("cursor").map(parse_cursor).transpose()?;
    let published = state.published()?;
    let snapshot = &published.snapshot;
    // One more than is shown tells whether there is a next page.
    let wanted = limit + 1;
    let recent = &snapshot.blocks;
    let complete = recent.len() < BLOCKS_IN_SNAPSHOT_MAX || recent.len() >= wanted;
    let rows: Vec<BlockRow> = if before.is_none() && complete {
        recent.iter().take(wanted).cloned().collect()
    } else {
        state.ask_history(move |history| history.blocks(before, wanted)).await?
    };
    let shown = &rows[..rows.len().min(limit)];
    Ok(Page {
        at: snapshot.at.seconds(),
        blocks_found: snapshot.pool.blocks_found,
        blocks: shown.iter().map(|row| Block::new(row, state.options.network)).collect(),
        next_cursor: shown.last().filter(|_| rows.len() > limit).map(|row| format!("{}-{}", row.height, row.hash)),
    })
}

fn parse_cursor(text: &str) -> Result<(u32, Hash256), Problem> {
    let parse = || {
        let (height, hash) = text.split_once('-')?;
        Some((height.parse().ok()?, Hash256::parse_display(hash).ok()?))
    };
    parse().ok_or_else(|| {
        Problem::bad_request("The cursor does not belong to this list; it is the next_cursor of a page.")
    })
}

#[derive(Serialize)]
struct Block {
    hash: String,
    height: u32,
    state: &'static str,
    confirmations: Option<u32>,
    reject_reason: Option<String>,
    found_at: u64,
    worker: String,
    address: String,
    payout_sats: u64,
    coinbase_value_sats: u64,
    share_difficulty: f64,
    network_difficulty: f64,
    explorer_url: Option<String>,
}

impl Block {
    fn new(row: &BlockRow, network: Network) -> Self {
        let (confirmations, reject_reason) = match &row.state {
            BlockState::Confirmed(count) => (Some(*count), None),
            BlockState::Rejected(reason) => (None, Some(reason.clone())),
            BlockState::Pending | BlockState::Accepted | BlockState::Orphaned => (None, None),
        };
        Self {
            hash: row.hash.to_string(),
            height: row.height,
            state: row.state.label(),
            confirmations,
            reject_reason,
            found_at: row.found_at.seconds(),
            worker: row.worker_label.to_string(),
            address: row.address.to_string(),
            payout_sats: row.payout.0,
            coinbase_value_sats: row.coinbase_value.0,
            share_difficulty: finite(row.share_difficulty),
            network_difficulty: finite(row.network_difficulty),
            explorer_url: block_url(&row.hash, network),
        }
    }
}

/// Where people can look at a block.
pub(super) fn block_url(hash: &Hash256, network: Network) -> Option<String> {
    explorer(network).map(|base| format!("{base}/block/{hash}"))
}
