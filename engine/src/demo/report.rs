//! What happened, as a table, and whether it was right.

use super::miners::Kind;
use super::scene::Scene;
use super::view::{short, worker};
use std::fmt::Write;
use warppool_components::record::BlockRow;
use warppool_components::snapshot::Snapshot;
use warppool_simnode::SimBlock;

/// The table.
pub(super) fn table(last: &Snapshot, scene: &Scene) -> String {
    let mut text = String::new();
    let chain = scene.node.blocks();
    let _ = writeln!(
        text,
        "\n{:>6}  {:<14} {:<16} {:<8} {:>4}  {:<9} {:>16}  state",
        "height", "block", "finder", "stratum", "txs", "version", "payout"
    );
    for block in last.blocks.iter().rev() {
        let in_chain = find(&chain, block);
        let _ = writeln!(
            text,
            "{:>6}  {:<14} {:<16} {:<8} {:>4}  {:<9} {:>16}  {}",
            block.height,
            short(&block.hash.to_string()),
            worker(&block.worker_label),
            scene.kind_of(block).map_or("-", Kind::label),
            in_chain.map_or(0, |block| block.transactions),
            in_chain.map_or_else(|| "-".into(), |block| format!("{:08x}", block.version)),
            block.payout.to_string(),
            block.state
        );
    }
    let _ = writeln!(
        text,
        "\n{:<10} {:<8} {:>12} {:>8} {:>8} {:>8}  user",
        "miner", "stratum", "hashes", "shares", "accepted", "refused"
    );
    for miner in &scene.miners {
        let stats = miner.stats();
        let name = miner.device.name();
        let _ = writeln!(
            text,
            "{name:<10} {:<8} {:>12} {:>8} {:>8} {:>8}  {}",
            miner.kind.label(),
            stats.hashes,
            stats.shares_sent,
            stats.accepted,
            stats.rejected,
            worker(&miner.username)
        );
    }
    text
}

/// What was not as it should be.
pub(super) fn faults(last: &Snapshot, scene: &Scene) -> Vec<String> {
    let chain = scene.node.blocks();
    let mut faults: Vec<String> = Vec::new();
    for block in last.blocks.iter().filter(|block| is_taken(block)) {
        match find(&chain, block) {
            None => faults.push(format!("block {} is said to be accepted, but the chain lacks it", block.hash)),
            Some(known) if !pays(known, block) => faults.push(format!("block {} does not pay its finder", block.hash)),
            Some(_) => {}
        }
    }
    for block in last.blocks.iter().filter(|block| block.state.label() == "rejected") {
        faults.push(format!("block {} was {}", block.hash, block.state));
    }
    for miner in &scene.miners {
        let stats = miner.stats();
        if let Some(violation) = stats.violations.first() {
            faults.push(format!("{} was sent something wrong: {violation}", miner.device.name()));
        }
    }
    faults
}

/// The node took it.
pub(super) fn is_taken(block: &BlockRow) -> bool {
    matches!(block.state.label(), "accepted" | "confirmed")
}

/// Why nothing came of it.
pub(super) fn excuse(last: &Snapshot, scene: &Scene) -> String {
    let hashes: u64 = scene.miners.iter().map(|miner| miner.stats().hashes).sum();
    let connected = scene.miners.iter().filter(|miner| miner.stats().connected).count();
    format!(
        "{connected} of {} miners are connected and made {hashes} hashes, the node is {} {}",
        scene.miners.len(),
        last.node.health.label(),
        last.node.message
    )
}

fn find<'a>(chain: &'a [SimBlock], block: &BlockRow) -> Option<&'a SimBlock> {
    let hash = block.hash.to_string();
    chain.iter().find(|known| known.hash == hash)
}

fn pays(known: &SimBlock, block: &BlockRow) -> bool {
    let paid = |output: &&warppool_simnode::CoinbaseOutput| output.address.as_deref() == Some(&*block.address);
    known.coinbase_outputs.iter().find(paid).is_some_and(|output| output.sats == block.payout.0)
}
