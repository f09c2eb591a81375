//! `warppool-simnode`: the simulated node as a process of its own.
//!
//! Prints one line with its addresses, then one line for each block. Ends with a signal.

#![forbid(unsafe_code)]

use clap::Parser;
use crossbeam::channel::Receiver;
use std::error::Error;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use warppool_simnode::{BlockEvent, SimNode, SimNodeOptions};

/// A simulated Bitcoin Core on regtest: the same RPC and ZMQ wire.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// nBits of every block, in hexadecimal digits: 207fffff takes two hashes a block, 1e00ffff 16 million.
    #[arg(long, default_value = "207fffff", value_parser = parse_bits)]
    bits: u32,
    /// Port of RPC on 127.0.0.1; 0 lets the system choose.
    #[arg(long, default_value_t = 0)]
    rpc_port: u16,
    /// Announce blocks over ZMQ.
    #[arg(long)]
    zmq: bool,
    /// Where the file .cookie is written.
    #[arg(long)]
    data_directory: PathBuf,
    /// Transactions in a template after a block; up to a quarter more arrive until the next.
    #[arg(long, default_value_t = 25)]
    transactions: usize,
    /// Seconds between blocks of somebody else; without it there are none.
    #[arg(long)]
    block_interval_seconds: Option<u64>,
    /// Seed of the mempool.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Blocks at the start.
    #[arg(long, default_value_t = 130)]
    initial_height: u32,
}

fn parse_bits(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u32::from_str_radix(digits, 16).map_err(|error| format!("{error}; write it as 207fffff"))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let node = SimNode::start(SimNodeOptions {
        bits: arguments.bits,
        seed: arguments.seed,
        transactions: arguments.transactions..=arguments.transactions.saturating_add(arguments.transactions / 4),
        rpc_address: SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.rpc_port)),
        zmq: arguments.zmq,
        initial_height: arguments.initial_height,
        ..SimNodeOptions::regtest(arguments.data_directory)
    })?;
    // Subscribed before anybody knows the addresses, so that no block is missed.
    let events = node.subscribe();
    let mut output = std::io::stdout();
    writeln!(output, "{}", addresses(&node))?;
    run(&node, &events, arguments.block_interval_seconds.map(Duration::from_secs), &mut output)?;
    Ok(())
}

fn addresses(node: &SimNode) -> String {
    let mut line = format!("rpc={} cookie={}", node.rpc_url(), node.cookie_path().display());
    if let (Some(hashblock), Some(rawblock)) = (node.zmq_hashblock(), node.zmq_rawblock()) {
        line += &format!(" zmq_hashblock={hashblock} zmq_rawblock={rawblock}");
    }
    line
}

/// Prints news of blocks and lets others find one each `interval`, until standard output breaks.
fn run(
    node: &SimNode,
    events: &Receiver<BlockEvent>,
    interval: Option<Duration>,
    output: &mut impl Write,
) -> std::io::Result<()> {
    // Without an interval it only wakes up now and then.
    let pause = interval.unwrap_or(Duration::from_secs(3600)).max(Duration::from_millis(10));
    let mut next_block_at = Instant::now() + pause;
    loop {
        if let Ok(event) = events.recv_deadline(next_block_at) {
            writeln!(output, "{}", describe(&event))?;
            continue;
        }
        next_block_at += pause;
        if interval.is_some() {
            node.mine_external_block();
        }
    }
}

fn describe(event: &BlockEvent) -> String {
    match event {
        BlockEvent::Accepted { height, hash, transactions } => {
            format!("accepted height={height} hash={hash} transactions={transactions}")
        }
        BlockEvent::SideChain { hash } => format!("inconclusive hash={hash}"),
        BlockEvent::Refused { hash, reason } => format!("refused hash={hash} reason={reason}"),
        BlockEvent::External { height, hash } => format!("external height={height} hash={hash}"),
    }
}
