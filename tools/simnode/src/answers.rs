//! Shapes of answers: what each reading method tells of the chain, with the keys and types that Core 31 gives.

use crate::chain::{Chain, StoredBlock};
use crate::node::Node;
use crate::sync::lock;
use crate::validation::block_sizes;
use bitcoin::consensus::encode::serialize;
use bitcoin::{BlockHash, Network, pow::Work};
use serde_json::{Map, Value, json};

const WARNING: &str = "This is a simulated node: its coins are worth nothing";

/// `getblockchaininfo`.
pub(crate) fn blockchain_info(chain: &Chain, initial_block_download: bool) -> Value {
    let tip = chain.tip_block();
    let mut info = json!({
        "chain": chain.rules().name,
        "blocks": chain.height(),
        "headers": chain.height(),
        "bestblockhash": chain.tip().to_string(),
        "bits": bits(tip),
        "target": target(tip),
        "difficulty": difficulty(tip.header.bits.to_consensus()),
        "time": tip.header.time,
        "mediantime": tip.median_time,
        "verificationprogress": 1,
        "initialblockdownload": initial_block_download,
        "chainwork": hexadecimal(tip.work),
        "size_on_disk": chain.size_bytes(),
        "pruned": false,
        "warnings": [WARNING],
    });
    if chain.rules().network == Network::Signet {
        info["signet_challenge"] = json!("51");
    }
    info
}

/// `getmininginfo`.
pub(crate) fn mining_info(node: &Node, chain: &Chain) -> Value {
    let tip = chain.tip_block();
    let next_bits = chain.rules().bits;
    let mut info = json!({
        "blocks": chain.height(),
        "bits": bits(tip),
        "difficulty": difficulty(tip.header.bits.to_consensus()),
        "target": target(tip),
        "networkhashps": network_hashes_per_second(chain),
        "pooledtx": chain.mempool.waiting().len(),
        "blockmintxfee": 0.000_000_01,
        "chain": chain.rules().name,
        "next": {
            "height": chain.height() + 1,
            "bits": format!("{next_bits:08x}"),
            "difficulty": difficulty(next_bits),
            "target": format!("{:064x}", chain.rules().target()),
        },
        "warnings": [WARNING],
    });
    // As with Core: only after the first template.
    if let Some((transactions, weight)) = *lock(&node.last_template) {
        info["currentblocktx"] = json!(transactions);
        info["currentblockweight"] = json!(weight + crate::limits::BLOCK_WEIGHT_RESERVED);
    }
    info
}

/// `getnetworkinfo`: a node without peers.
pub(crate) fn network_info() -> Value {
    let network = |name: &str, limited: bool| {
        json!({
            "name": name,
            "limited": limited,
            "reachable": !limited,
            "proxy": "",
            "proxy_randomize_credentials": false,
        })
    };
    json!({
        "version": 319_900,
        "subversion": "/Satoshi:31.99.0(simnode)/",
        "protocolversion": 70_017,
        "localservices": "0000000000000c09",
        "localservicesnames": ["NETWORK", "WITNESS", "NETWORK_LIMITED", "P2P_V2"],
        "localrelay": true,
        "timeoffset": 0,
        "networkactive": true,
        "connections": 0,
        "connections_in": 0,
        "connections_out": 0,
        "networks": [
            network("ipv4", false),
            network("ipv6", false),
            network("onion", true),
            network("i2p", true),
            network("cjdns", true),
        ],
        "relayfee": 0.000_001,
        "incrementalfee": 0.000_001,
        "localaddresses": [],
        "warnings": [WARNING],
    })
}

/// `getzmqnotifications`.
pub(crate) fn zmq_notifications(node: &Node) -> Value {
    let Some(publisher) = &node.publisher else { return json!([]) };
    let notification = |topic: &str, address: &str| json!({"type": topic, "address": address, "hwm": crate::limits::ZMQ_HIGH_WATER_MARK});
    json!([
        notification("pubhashblock", &publisher.hashblock_address),
        notification("pubrawblock", &publisher.rawblock_address),
    ])
}

/// `getmempoolinfo`.
pub(crate) fn mempool_info(chain: &Chain) -> Value {
    let bytes: u64 = chain.mempool.waiting().map(|entry| entry.weight.div_ceil(4)).sum();
    let fees_sats: u64 = chain.mempool.waiting().map(|entry| entry.fee_sats).sum();
    json!({
        "loaded": true,
        "size": chain.mempool.waiting().len(),
        "bytes": bytes,
        "usage": bytes * 5,
        "total_fee": fees_sats as f64 / 1e8,
        "maxmempool": 300_000_000,
        "mempoolminfee": 0.000_001,
        "minrelaytxfee": 0.000_001,
        "incrementalrelayfee": 0.000_001,
        "unbroadcastcount": 0,
        "fullrbf": true,
        "permitbaremultisig": true,
        "maxdatacarriersize": 100_000,
    })
}

/// `getblockheader`, verbose. A stale block has -1 confirmations and no next block.
pub(crate) fn block_header(chain: &Chain, hash: BlockHash, stored: &StoredBlock) -> Map<String, Value> {
    let is_active = chain.is_active(&hash);
    let confirmations = if is_active { i64::from(chain.height() - stored.height) + 1 } else { -1 };
    let header = &stored.header;
    let fields = json!({
        "hash": hash.to_string(),
        "confirmations": confirmations,
        "height": stored.height,
        "version": header.version.to_consensus(),
        "versionHex": format!("{:08x}", header.version.to_consensus()),
        "merkleroot": header.merkle_root.to_string(),
        "time": header.time,
        "mediantime": stored.median_time,
        "nonce": header.nonce,
        "bits": bits(stored),
        "target": target(stored),
        "difficulty": difficulty(header.bits.to_consensus()),
        "chainwork": hexadecimal(stored.work),
        "nTx": stored.transaction_count,
    });
    let Value::Object(mut fields) = fields else { return Map::new() };
    if stored.height > 0 {
        fields.insert("previousblockhash".to_owned(), json!(header.prev_blockhash.to_string()));
    }
    if let Some(next) = chain.at(stored.height + 1).filter(|_| is_active) {
        fields.insert("nextblockhash".to_owned(), json!(next.to_string()));
    }
    fields
}

/// `getblock` with verbosity 1: the header's fields, sizes and transaction ids.
pub(crate) fn block(chain: &Chain, hash: BlockHash, stored: &StoredBlock, body: &bitcoin::Block) -> Value {
    let (size, stripped_size) = block_sizes(body);
    let txids: Vec<String> = body.txdata.iter().map(|transaction| transaction.compute_txid().to_string()).collect();
    let mut fields = block_header(chain, hash, stored);
    fields.insert("strippedsize".to_owned(), json!(stripped_size));
    fields.insert("size".to_owned(), json!(size));
    fields.insert("weight".to_owned(), json!(body.weight().to_wu()));
    fields.insert("tx".to_owned(), json!(txids));
    Value::Object(fields)
}

/// A header's or block's serialisation.
pub(crate) fn raw<T: bitcoin::consensus::Encodable>(value: &T) -> Value {
    json!(const_hex::encode(serialize(value)))
}

/// Difficulty as Core computes it from nBits: 1 at 0x1d00ffff.
fn difficulty(bits: u32) -> f64 {
    let exponent = i32::try_from(bits >> 24).unwrap_or(0);
    f64::from(0xffff) / f64::from(bits & 0x00ff_ffff) * 256_f64.powi(29 - exponent)
}

fn bits(stored: &StoredBlock) -> String {
    format!("{:08x}", stored.header.bits.to_consensus())
}

fn target(stored: &StoredBlock) -> String {
    format!("{:064x}", stored.header.target())
}

fn hexadecimal(work: Work) -> String {
    const_hex::encode(work.to_be_bytes())
}

/// Work of the last 120 blocks over the time that they took.
fn network_hashes_per_second(chain: &Chain) -> f64 {
    let first_height = chain.height().saturating_sub(120).max(1);
    let first = chain.at(first_height).and_then(|hash| chain.get(&hash));
    let (Some(first), tip) = (first, chain.tip_block()) else { return 0.0 };
    let seconds = tip.header.time.saturating_sub(first.header.time);
    if seconds == 0 || tip.height == first.height {
        return 0.0;
    }
    ((tip.work - first.work).log2().exp2() / f64::from(seconds)).floor()
}
