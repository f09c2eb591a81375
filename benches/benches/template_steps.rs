//! The steps of a template that need no hashing of trees, each beside the plain library way, in turns in the same run: reading
//! the JSON, and from a template to the bytes of a job. Trees and the whole way are in `template`.

use bitcoin::consensus::serialize;
use bitcoin::script::{Builder, ScriptBuf};
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, Sequence, Transaction, TxIn, TxOut, Witness, absolute};
use serde_json::{Value, json};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};
use warppool_components::connection::{ConnectionKey, Protocol};
use warppool_components::inbox::{Inbox, Now, Opened};
use warppool_components::node::NodeEvent;
use warppool_components::outbox::{Body, Outbox};
use warppool_components::record::Restored;
use warppool_components::template::Template;
use warppool_components::units::{Hash256, UnixTime};
use warppool_engine::Engine;
use warppool_io::node::template::RawTemplate;
use warppool_tests::pool::settings;
use warppool_tests::work;

const TRANSACTIONS: usize = 4000;
/// Bytes of a transaction: 4000 of them are 2.8 MB of JSON.
const TRANSACTION_BYTES: usize = 260;
const BRANCHES: u8 = 12;
const TURNS: usize = 41;

type Way<'a> = Box<dyn FnMut() -> Duration + 'a>;

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn main() {
    let json = template_json();
    let text = json.to_string();
    println!("\n## The steps of a template");
    println!("{TRANSACTIONS} transactions, {:.2} MB of JSON; medians of {TURNS} turns\n", text.len() as f64 / 1e6);
    println!("| step | ours | plain | what is plain | ratio |\n|---|---|---|---|---|");
    let [ours, plain] = in_turns([
        Box::new(|| {
            timed(|| {
                black_box(serde_json::from_slice::<RawTemplate<'_>>(black_box(text.as_bytes())).is_ok());
            })
        }),
        Box::new(|| {
            timed(|| {
                black_box(serde_json::from_slice::<Value>(black_box(text.as_bytes())).is_ok());
            })
        }),
    ]);
    row("JSON to fields", ours, plain, "serde_json::Value");
    let template =
        Template { merkle_branches: branches(), ..work::template(1, 1, UnixTime::from_seconds(1_800_000_000)) };
    let [ours, plain] =
        in_turns([Box::new(|| job_of(&template)), Box::new(|| timed(|| drop(black_box(plain_job(&template)))))]);
    row(
        "template to a job's bytes",
        ours,
        plain,
        "crate bitcoin's transaction, serde_json's text; no miner, no accounts",
    );
}

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn row(step: &str, ours: Duration, plain: Duration, what: &str) {
    let ratio = plain.as_secs_f64() / ours.as_secs_f64();
    println!("| {step} | {ours:.2?} | {plain:.2?} | {what} | {ratio:.2} |");
}

/// The median of each way, one turn of each after the other.
fn in_turns<const N: usize>(mut ways: [Way<'_>; N]) -> [Duration; N] {
    let mut times: [Vec<Duration>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..TURNS {
        ways.iter_mut().zip(&mut times).for_each(|(way, times)| times.push(way()));
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[TURNS / 2]
    })
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// What `getblocktemplate` gives as its result, with the keys of Core.
fn template_json() -> Value {
    let transaction = |number: usize| {
        let id = format!("{number:064x}");
        let data = format!("{number:0width$x}", width = 2 * TRANSACTION_BYTES);
        json!({ "data": data, "txid": id, "hash": id, "depends": [], "fee": 1000, "sigops": 4, "weight": 800 })
    };
    let transactions: Vec<Value> = (1..=TRANSACTIONS).map(transaction).collect();
    json!({
        "capabilities": ["proposal"], "version": 0x2000_0000, "rules": ["csv", "!segwit", "taproot"], "vbavailable": {},
        "vbrequired": 0, "previousblockhash": "11".repeat(32), "transactions": transactions, "coinbaseaux": {},
        "coinbasevalue": 5_000_000_000_u64, "longpollid": "22".repeat(36), "target": "00".repeat(32), "mintime": 1,
        "mutable": ["time", "transactions", "prevblock"], "noncerange": "00000000ffffffff", "sigoplimit": 80000,
        "sizelimit": 4_000_000, "weightlimit": 4_000_000, "curtime": 2, "bits": "1d00ffff", "height": 900_000,
        "default_witness_commitment": "6a24aa21a9ed".to_owned() + &"33".repeat(32),
    })
}

fn branches() -> std::sync::Arc<[Hash256]> {
    (0..BRANCHES).map(|branch| Hash256::from_internal([branch; 32])).collect()
}

/// From a checked template to the bytes for a miner who waits, by the engine itself.
fn job_of(template: &Template) -> Duration {
    let mut at = Now { instant: warppool_components::units::Instant(1_000_000_000), unix: template.current_time };
    let mut engine = Engine::new(settings(), 1, Restored::default(), at);
    let (mut inbox, mut outbox) = (Inbox::default(), Outbox::default());
    let connection = ConnectionKey { slot: 0, generation: 1 };
    inbox.opened.push(Opened { connection, peer: IpAddr::V4(Ipv4Addr::LOCALHOST), protocol: Protocol::StratumV1 });
    inbox.push_line(connection, br#"{"id":1,"method":"mining.subscribe","params":["bench"]}"#);
    let line = format!(r#"{{"id":2,"method":"mining.authorize","params":["{}","x"]}}"#, work::address(1));
    inbox.push_line(connection, line.as_bytes());
    engine.tick(at, &mut inbox, &mut outbox);
    at.instant = at.instant + Duration::from_millis(1);
    inbox.node.push(NodeEvent::Template(template.clone().into()));
    let duration = timed(|| engine.tick(at, &mut inbox, &mut outbox));
    assert!(outbox.writes.iter().any(|write| matches!(write.body, Body::Shared(_))), "the miner is sent a job");
    duration
}

/// The same text as it is written with the libraries at hand.
fn plain_job(template: &Template) -> String {
    let script = |bytes: &[u8]| ScriptBuf::from_bytes(bytes.to_vec());
    let coinbase = Transaction {
        version: Version::TWO,
        lock_time: absolute::LockTime::from_consensus(template.height - 1),
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: Builder::new()
                .push_int(i64::from(template.height))
                .push_slice(1_u32.to_le_bytes())
                .push_slice(b"/warppool/")
                .push_slice([0; 12])
                .into_script(),
            sequence: Sequence::ENABLE_LOCKTIME_NO_RBF,
            witness: Witness::new(),
        }],
        output: vec![
            TxOut {
                value: Amount::from_sat(template.coinbase_value.0),
                script_pubkey: work::script(&work::address(1)),
            },
            TxOut {
                value: Amount::ZERO,
                script_pubkey: script(template.witness_commitment.as_deref().unwrap_or_default()),
            },
        ],
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let bytes = serialize(&coinbase);
    let place = bytes.windows(12).position(|part| part == [0; 12]).expect("room for the extranonces");
    let branches: Vec<String> = template.merkle_branches.iter().map(|branch| hex(branch.as_internal())).collect();
    let previous: Vec<u8> =
        template.previous_block.as_internal().chunks(4).flat_map(|word| word.iter().rev().copied()).collect();
    json!({
        "id": null, "method": "mining.notify",
        "params": [
            "1", hex(&previous), hex(&bytes[..place]), hex(&bytes[place + 12..]), branches, format!("{:08x}", template.version),
            format!("{:08x}", template.bits), format!("{:08x}", template.current_time.header_seconds()), true,
        ],
    })
    .to_string()
}
