//! JSON-RPC to one node over HTTP, blocking.
//!
//! Each call says how long it may take: a question about the tip is worth seconds, a template minutes. Nothing is
//! retried here but a refused cookie, once; whoever calls knows whether asking again makes sense. No error and no
//! `Debug` output holds the credentials.

use super::credentials::{Credentials, CredentialsError};
use super::template::{RawTemplate, Tip};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use warppool_components::limits::RPC_REPLY_BYTES_MAX;
use warppool_components::node::RPC_LATENCY_BOUNDS_SECONDS;
use warppool_components::settings::Network;
use warppool_components::units::{Hash256, HexError, UnixTime};

/// Bitcoin Core's `RPC_INVALID_ADDRESS_OR_KEY`: `getblockheader` does not know the block.
const CODE_NOT_FOUND: i64 = -5;

/// How long calls may take.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RpcTimeouts {
    /// Until there is a connection.
    pub connect: Duration,
    /// Calls that answer from memory.
    pub small: Duration,
    /// `getblocktemplate`: 30 s happens on slow disks.
    pub template: Duration,
    /// `getblocktemplate` that waits for news. Nodes answer within some 70 s when their mempool changes, but may
    /// stay silent until the next block when it does not.
    pub longpoll: Duration,
    /// `submitblock`, which validates the whole block before it answers.
    pub submit: Duration,
}

impl Default for RpcTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            small: Duration::from_secs(10),
            template: Duration::from_secs(120),
            longpoll: Duration::from_secs(15 * 60),
            submit: Duration::from_secs(30),
        }
    }
}

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// There is nobody.
    #[error("cannot connect to {address}: {why}")]
    Connect {
        /// The node.
        address: String,
        /// What the system says.
        why: String,
    },
    /// The answer did not come in time.
    #[error("{method} at {address} got no answer within {} s", after.as_secs_f32())]
    TimedOut {
        /// What was asked.
        method: &'static str,
        /// The node.
        address: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The connection broke, or HTTP was not understood.
    #[error("{method} at {address} failed: {why}")]
    Transport {
        /// What was asked.
        method: &'static str,
        /// The node.
        address: String,
        /// What happened.
        why: String,
    },
    /// Nothing to prove ourselves with.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The node does not let us.
    #[error("{address} refuses {credentials}: they must be the node's own")]
    Unauthorized {
        /// The node.
        address: String,
        /// What was sent, by name.
        credentials: String,
    },
    /// An HTTP status without a JSON-RPC answer in it.
    #[error("{method} at {address} was answered with HTTP status {status}: {text}")]
    Status {
        /// What was asked.
        method: &'static str,
        /// The node.
        address: String,
        /// The status.
        status: u16,
        /// Start of the body.
        text: String,
    },
    /// The answer is not what the method is documented to give.
    #[error("the answer to {method} is not understood: {source}")]
    Answer {
        /// What was asked.
        method: &'static str,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// A hash in the answer is none.
    #[error("the answer to {method}: {source}")]
    Hash {
        /// What was asked.
        method: &'static str,
        /// What is wrong with it.
        source: HexError,
    },
    /// The node's own error.
    #[error("{method}: the node answers {message} (code {code})")]
    Node {
        /// What was asked.
        method: &'static str,
        /// Its number.
        code: i64,
        /// Its text.
        message: String,
    },
    /// `null` where there should be something.
    #[error("the answer to {method} is empty")]
    Empty {
        /// What was asked.
        method: &'static str,
    },
}

/// What is used of `getblockchaininfo`.
#[derive(Deserialize, Clone, Debug)]
pub struct ChainInfo {
    /// `main`, `test`, `testnet4`, `signet` or `regtest`.
    pub chain: String,
    /// Height of the tip.
    pub blocks: u32,
    /// Height of the best header.
    pub headers: u32,
    /// Whether the node still downloads history, or thinks so because its tip is old.
    pub initialblockdownload: bool,
}

/// What is used of `getmininginfo`.
#[derive(Deserialize, Clone, Debug)]
pub struct MiningInfo {
    /// Estimated hashes a second of the whole network.
    pub networkhashps: f64,
}

/// What is used of `getnetworkinfo`.
#[derive(Deserialize, Clone, Debug)]
pub struct NetworkInfo {
    /// Such as 270100 for 27.1.
    pub version: u32,
    /// Such as `/Satoshi:27.1.0/`.
    pub subversion: String,
}

/// One publisher of `getzmqnotifications`.
#[derive(Deserialize, Clone, Debug)]
pub struct ZmqNotification {
    /// Such as `pubhashblock`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it is bound.
    pub address: String,
}

/// What is used of `getblockheader`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Header {
    /// The block as a tip.
    pub tip: Tip,
    /// Blocks from it to the tip, itself included; -1 when it is not in the best chain.
    pub confirmations: i64,
}

#[derive(Deserialize)]
struct RawHeader {
    hash: String,
    confirmations: i64,
    height: u32,
    bits: String,
    time: u64,
    mediantime: u64,
}

/// An answer. `result` tells a missing field (outer `None`) from `null` (inner `None`), because `null` means that a
/// block was accepted and nothing else may be taken for it.
#[derive(Deserialize)]
struct Envelope<T> {
    #[serde(default = "missing", deserialize_with = "present", bound(deserialize = "T: Deserialize<'de>"))]
    result: Option<Option<T>>,
    error: Option<NodeErrorBody>,
}

fn missing<T>() -> Option<Option<T>> {
    None
}

fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct NodeErrorBody {
    code: i64,
    message: String,
}

/// Latencies of calls, for the metric `warppool_bitcoin_rpc_latency_seconds`. Long polls, which wait on purpose,
/// are not in it.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Latencies {
    /// The latest.
    pub last: Duration,
    /// Counts by bucket.
    pub counts: [u64; 11],
    /// Sum in seconds.
    pub sum_seconds: f64,
}

impl Latencies {
    fn add(&mut self, latency: Duration) {
        let seconds = latency.as_secs_f64();
        self.last = latency;
        self.sum_seconds += seconds;
        self.counts[RPC_LATENCY_BOUNDS_SECONDS.iter().filter(|bound| seconds > **bound).count()] += 1;
    }
}

/// The raw answer of `getblocktemplate`, which templates borrow from.
#[derive(Debug)]
pub struct TemplateAnswer(Vec<u8>);

impl TemplateAnswer {
    /// Parses it.
    ///
    /// # Errors
    /// [`RpcError::Node`] with the node's own words, [`RpcError::Answer`] when it is not a template.
    pub fn parse(&self) -> Result<RawTemplate<'_>, RpcError> {
        decode("getblocktemplate", &self.0)?.ok_or(RpcError::Empty { method: "getblocktemplate" })
    }
}

/// The request that submits a block; made once, sent to all nodes.
#[derive(Debug)]
pub struct SubmitRequest(Vec<u8>);

impl SubmitRequest {
    /// For the block with these bytes: header, count, coinbase with witness, transactions.
    pub fn new(block: &[u8]) -> Self {
        const HEAD: &[u8] = br#"{"jsonrpc":"1.0","id":0,"method":"submitblock","params":[""#;
        const TAIL: &[u8] = br#""]}"#;
        let mut body = Vec::with_capacity(HEAD.len() + 2 * block.len() + TAIL.len());
        body.extend_from_slice(HEAD);
        body.resize(HEAD.len() + 2 * block.len(), 0);
        const_hex::encode_to_slice(block, &mut body[HEAD.len()..]).expect("the room is twice the block's length");
        body.extend_from_slice(TAIL);
        Self(body)
    }
}

/// The client of one node. Shared by all threads that ask it.
#[derive(Debug)]
pub struct RpcClient {
    address: String,
    agent: ureq::Agent,
    credentials: Credentials,
    timeouts: RpcTimeouts,
    latencies: Mutex<Latencies>,
}

impl RpcClient {
    /// For the node at `address`, which is `http://host:port`.
    pub(super) fn new(address: String, credentials: Credentials, timeouts: RpcTimeouts) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            // Bitcoin Core hangs up after 30 s of silence.
            .max_idle_age(Duration::from_secs(20))
            .timeout_connect(Some(timeouts.connect))
            .build();
        let latencies = Mutex::new(Latencies::default());
        Self { address, agent: config.new_agent(), credentials, timeouts, latencies }
    }

    /// `http://host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Latencies since the start.
    pub fn latencies(&self) -> Latencies {
        *self.latencies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `getblockchaininfo`.
    ///
    /// # Errors
    /// Any [`RpcError`].
    pub fn chain_info(&self) -> Result<ChainInfo, RpcError> {
        self.small("getblockchaininfo", json!([]))
    }

    /// `getmininginfo`.
    ///
    /// # Errors
    /// Any [`RpcError`].
    pub fn mining_info(&self) -> Result<MiningInfo, RpcError> {
        self.small("getmininginfo", json!([]))
    }

    /// `getnetworkinfo`.
    ///
    /// # Errors
    /// Any [`RpcError`].
    pub fn network_info(&self) -> Result<NetworkInfo, RpcError> {
        self.small("getnetworkinfo", json!([]))
    }

    /// `getzmqnotifications`.
    ///
    /// # Errors
    /// Any [`RpcError`].
    pub fn zmq_notifications(&self) -> Result<Vec<ZmqNotification>, RpcError> {
        self.small("getzmqnotifications", json!([]))
    }

    /// `getbestblockhash`.
    ///
    /// # Errors
    /// Any [`RpcError`].
    pub fn best_block_hash(&self) -> Result<Hash256, RpcError> {
        let method = "getbestblockhash";
        let text: String = self.small(method, json!([]))?;
        Hash256::parse_display(&text).map_err(|source| RpcError::Hash { method, source })
    }

    /// `getblockhash`: the block of the best chain at `height`. A node that is not so high answers with an error.
    ///
    /// # Errors
    /// Any [`RpcError`].
    pub fn block_hash(&self, height: u32) -> Result<Hash256, RpcError> {
        let method = "getblockhash";
        let text: String = self.small(method, json!([height]))?;
        Hash256::parse_display(&text).map_err(|source| RpcError::Hash { method, source })
    }

    /// `getblockheader`, verbose. `None` when the node does not know the block.
    ///
    /// # Errors
    /// Any [`RpcError`] but the node's "not found".
    pub fn block_header(&self, hash: &Hash256) -> Result<Option<Header>, RpcError> {
        let method = "getblockheader";
        let raw: RawHeader = match self.small(method, json!([hash.to_string(), true])) {
            Err(RpcError::Node { code: CODE_NOT_FOUND, .. }) => return Ok(None),
            other => other?,
        };
        let hash = Hash256::parse_display(&raw.hash).map_err(|source| RpcError::Hash { method, source })?;
        let bits = u32::from_str_radix(&raw.bits, 16).map_err(|error| RpcError::Answer {
            method,
            source: serde::de::Error::custom(format!("bits {}: {error}", raw.bits)),
        })?;
        let tip = Tip {
            hash,
            height: raw.height,
            bits,
            time: UnixTime::from_seconds(raw.time),
            median_time: UnixTime::from_seconds(raw.mediantime),
        };
        Ok(Some(Header { tip, confirmations: raw.confirmations }))
    }

    /// `getblocktemplate`. With `longpoll_id` the node answers when it has something newer than what that names.
    ///
    /// # Errors
    /// Any [`RpcError`]; the node's own errors come out of [`TemplateAnswer::parse`].
    pub fn block_template(&self, network: Network, longpoll_id: Option<&str>) -> Result<TemplateAnswer, RpcError> {
        let mut request = json!({ "rules": template_rules(network) });
        if let Some(id) = longpoll_id {
            request["longpollid"] = json!(id);
        }
        let timeout = if longpoll_id.is_some() { self.timeouts.longpoll } else { self.timeouts.template };
        let started = Instant::now();
        let answer = self.call("getblocktemplate", &request_body("getblocktemplate", json!([request])), timeout)?;
        if longpoll_id.is_none() {
            self.note_latency(started.elapsed());
        }
        Ok(TemplateAnswer(answer))
    }

    /// `submitblock`. `None` is the node's `null`: accepted. Otherwise why not, in BIP22's words.
    ///
    /// # Errors
    /// Any [`RpcError`].
    pub fn submit_block(&self, request: &SubmitRequest) -> Result<Option<String>, RpcError> {
        let started = Instant::now();
        let answer = self.call("submitblock", &request.0, self.timeouts.submit)?;
        self.note_latency(started.elapsed());
        decode("submitblock", &answer)
    }

    fn small<T: for<'de> Deserialize<'de>>(&self, method: &'static str, parameters: Value) -> Result<T, RpcError> {
        let started = Instant::now();
        let answer = self.call(method, &request_body(method, parameters), self.timeouts.small)?;
        self.note_latency(started.elapsed());
        decode(method, &answer)?.ok_or(RpcError::Empty { method })
    }

    fn note_latency(&self, latency: Duration) {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).add(latency);
    }

    /// Sends a request and gives the body of the answer. A refused header is replaced once: the node may have
    /// restarted and written another cookie.
    fn call(&self, method: &'static str, body: &[u8], timeout: Duration) -> Result<Vec<u8>, RpcError> {
        let header = self.credentials.header()?;
        let (mut status, mut answer) = self.post(method, header.expose(), body, timeout)?;
        if status == 401
            && let Some(fresh) = self.credentials.header_instead_of(&header)?
        {
            (status, answer) = self.post(method, fresh.expose(), body, timeout)?;
        }
        match status {
            200 => Ok(answer),
            401 | 403 => {
                Err(RpcError::Unauthorized { address: self.address.clone(), credentials: self.credentials.describe() })
            }
            // Bitcoin Core answers a call that failed with 404 or 500 and the error as JSON.
            _ if serde_json::from_slice::<Envelope<IgnoredAny>>(&answer).is_ok_and(|it| it.error.is_some()) => {
                Ok(answer)
            }
            _ => Err(RpcError::Status {
                method,
                address: self.address.clone(),
                status,
                text: String::from_utf8_lossy(&answer).trim().chars().take(80).collect(),
            }),
        }
    }

    fn post(
        &self,
        method: &'static str,
        header: &str,
        body: &[u8],
        timeout: Duration,
    ) -> Result<(u16, Vec<u8>), RpcError> {
        let explain = |error| self.explain(method, timeout, error);
        let mut response = self
            .agent
            .post(&self.address)
            .config()
            .timeout_global(Some(timeout))
            .build()
            .header("Authorization", header)
            .header("Content-Type", "application/json")
            .send(body)
            .map_err(explain)?;
        let status = response.status().as_u16();
        let answer = response.body_mut().with_config().limit(RPC_REPLY_BYTES_MAX).read_to_vec().map_err(explain)?;
        Ok((status, answer))
    }

    fn explain(&self, method: &'static str, after: Duration, error: ureq::Error) -> RpcError {
        use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
        let address = self.address.clone();
        match error {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => RpcError::Connect {
                address,
                why: format!("no answer within {} s", self.timeouts.connect.as_secs_f32()),
            },
            ureq::Error::Timeout(_) => RpcError::TimedOut { method, address, after },
            ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => {
                RpcError::Connect { address, why: error.to_string() }
            }
            ureq::Error::Io(error)
                if matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable) =>
            {
                RpcError::Connect { address, why: error.to_string() }
            }
            ureq::Error::BodyExceedsLimit(limit) => {
                RpcError::Transport { method, address, why: format!("the answer exceeds {limit} bytes") }
            }
            other => RpcError::Transport { method, address, why: other.to_string() },
        }
    }
}

/// Rules that we tell the node we know. `signet` is only known to nodes on a signet, which refuse without it.
pub fn template_rules(network: Network) -> &'static [&'static str] {
    if network == Network::Signet { &["segwit", "signet"] } else { &["segwit"] }
}

fn request_body(method: &'static str, parameters: Value) -> Vec<u8> {
    #[derive(Serialize)]
    struct Request {
        jsonrpc: &'static str,
        id: u32,
        method: &'static str,
        params: Value,
    }
    let request = Request { jsonrpc: "1.0", id: 0, method, params: parameters };
    serde_json::to_vec(&request).expect("plain values are always JSON")
}

fn decode<'a, T: Deserialize<'a>>(method: &'static str, answer: &'a [u8]) -> Result<Option<T>, RpcError> {
    let envelope: Envelope<T> = serde_json::from_slice(answer).map_err(|source| RpcError::Answer { method, source })?;
    match envelope.error {
        Some(NodeErrorBody { code, message }) => Err(RpcError::Node { method, code, message }),
        None => envelope.result.ok_or(RpcError::Empty { method }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defect_35_the_signet_rule_is_named_on_signet_alone() {
        for network in Network::ALL {
            let rules = template_rules(network);
            assert!(rules.contains(&"segwit"));
            assert_eq!(rules.contains(&"signet"), network == Network::Signet, "{network:?}");
        }
    }

    #[test]
    fn defect_34_null_is_an_answer_and_no_error() {
        let null: Option<String> = decode("submitblock", br#"{"result":null,"error":null,"id":0}"#).expect("accepted");
        assert_eq!(null, None);
        let reason: Option<String> =
            decode("submitblock", br#"{"result":"high-hash","error":null}"#).expect("an answer");
        assert_eq!(reason.as_deref(), Some("high-hash"));
        let error = decode::<String>("submitblock", br#"{"result":null,"error":{"code":-28,"message":"Loading"}}"#);
        assert!(matches!(error, Err(RpcError::Node { code: -28, .. })));
        let nothing = decode::<String>("submitblock", br#"{"id":0}"#);
        assert!(matches!(nothing, Err(RpcError::Empty { .. })), "an answer without a result is no acceptance");
    }

    #[test]
    fn the_answers_of_bitcoin_core_are_understood() {
        fn read<T: for<'de> Deserialize<'de>>(json: &str) -> T {
            serde_json::from_str(json).expect("Core's own answer")
        }
        let chain: ChainInfo = read(include_str!("../../../tests/data/rpc-getblockchaininfo.json"));
        assert_eq!((chain.chain.as_str(), chain.blocks, chain.initialblockdownload), ("regtest", 130, false));
        let network: NetworkInfo = read(include_str!("../../../tests/data/rpc-getnetworkinfo.json"));
        assert_eq!(network.subversion, "/Satoshi:31.99.0/");
        let mining: MiningInfo = read(include_str!("../../../tests/data/rpc-getmininginfo.json"));
        assert_eq!(mining.networkhashps, 12.0);
        let zmq: Vec<ZmqNotification> = read(include_str!("../../../tests/data/rpc-getzmqnotifications.json"));
        assert_eq!((zmq[0].kind.as_str(), zmq[0].address.as_str()), ("pubhashblock", "tcp://127.0.0.1:28442"));
    }

    #[test]
    fn latencies_fall_into_the_buckets_of_the_metric() {
        let mut latencies = Latencies::default();
        for millis in [1, 2, 5, 100, 5000, 5001] {
            latencies.add(Duration::from_millis(millis));
        }
        assert_eq!(latencies.counts, [1, 2, 0, 0, 1, 0, 0, 0, 0, 1, 1]);
        assert!((latencies.sum_seconds - 10.109).abs() < 1e-9);
    }

    #[test]
    fn a_block_is_submitted_as_one_hexadecimal_parameter() {
        let request: Value = serde_json::from_slice(&SubmitRequest::new(&[0xde, 0xad, 0x00]).0).expect("JSON");
        assert_eq!((&request["method"], &request["params"]), (&json!("submitblock"), &json!(["dead00"])));
    }
}
