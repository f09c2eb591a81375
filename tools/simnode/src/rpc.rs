//! The methods: what each does, with Core's error codes and texts. Authorisation by cookie.

use crate::answers;
use crate::chain::{Chain, Submission};
use crate::faults::Failure;
use crate::http::{Handler, Request, Response};
use crate::jsonrpc::{Call, Outcome, Params, RpcError, result, wrong_type};
use crate::node::{Node, unix_time};
use crate::sync::lock;
use crate::template::BlockTemplate;
use bitcoin::consensus::encode::deserialize;
use bitcoin::{Block, BlockHash, Network};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

/// Serves one run of the RPC server: a restart brings a new one with a new cookie.
pub(crate) struct RpcService {
    node: Arc<Node>,
    authorization: String,
    generation: u64,
}

/// Methods that are served, and counted.
const METHODS: [&str; 15] = [
    "getblockchaininfo",
    "getmininginfo",
    "getnetworkinfo",
    "getindexinfo",
    "getzmqnotifications",
    "getbestblockhash",
    "getblockcount",
    "getblockhash",
    "getblockheader",
    "getblock",
    "getblocktemplate",
    "submitblock",
    "getmempoolinfo",
    "uptime",
    "stop",
];

impl RpcService {
    /// A service that lets those in who send `authorization`, a whole header value.
    pub(crate) fn new(node: Arc<Node>, authorization: String) -> Self {
        let generation = node.generation();
        Self { node, authorization, generation }
    }
}

impl Handler for RpcService {
    fn handle(&self, request: &Request) -> Response {
        if request.method != "POST" {
            return plain(405, "JSONRPC server handles only POST requests");
        }
        if request.authorization.as_ref() != Some(&self.authorization) {
            return plain(401, "");
        }
        match serde_json::from_slice(&request.body) {
            Ok(Value::Array(batch)) => self.serve_batch(batch),
            Ok(single) => self.serve_single(Call::parse(single)),
            Err(_) => {
                let call = Call::parse(Value::Null);
                let outcome = Err(RpcError::new(RpcError::PARSE_ERROR, "Parse error"));
                answer(call.status(&outcome), call.answer(&outcome))
            }
        }
    }
}

fn plain(status: u16, text: &str) -> Response {
    Response::Answer { status, content_type: "text/html; charset=ISO-8859-1", body: text.as_bytes().to_vec() }
}

fn answer(status: u16, text: Option<String>) -> Response {
    let body = text.map_or_else(Vec::new, |text| (text + "\n").into_bytes());
    Response::Answer { status, content_type: "application/json", body }
}

impl RpcService {
    fn serve_batch(&self, batch: Vec<Value>) -> Response {
        let answers: Vec<String> = batch
            .into_iter()
            .filter_map(|request| {
                let call = Call::parse(request);
                call.answer(&self.serve(&call))
            })
            .collect();
        answer(200, Some(format!("[{}]", answers.join(","))))
    }

    fn serve_single(&self, call: Call) -> Response {
        let failure = call.request.as_ref().ok().and_then(|(method, _)| self.node.faults().failure_of(method));
        let outcome = match failure {
            Some(Failure::HttpStatus(status)) => {
                let _ = self.after_delay(&call, || result(&Value::Null));
                return plain(status, "simulated failure");
            }
            Some(Failure::DropConnection) => {
                let _ = self.after_delay(&call, || result(&Value::Null));
                return Response::Drop;
            }
            Some(Failure::DropAnswer) => {
                let _ = self.serve(&call);
                return Response::Drop;
            }
            Some(Failure::RpcError { code, message }) => self.after_delay(&call, || Err(RpcError { code, message })),
            None => self.serve(&call),
        };
        answer(call.status(&outcome), call.answer(&outcome))
    }

    /// A call that fails is counted and delayed like one that does not. One whose server stopped is not served.
    fn after_delay(&self, call: &Call, serve: impl FnOnce() -> Outcome) -> Outcome {
        let method = call.request.as_ref().map(|(method, _)| method.as_str()).unwrap_or_default();
        let known = METHODS.iter().find(|known| **known == method);
        let _guard = known.map(|known| self.node.begin_call(known));
        if let Some(delay) = self.node.faults().delay_of(method) {
            self.node.delay(delay, self.generation);
        }
        self.node.wait_while(|faults| faults.hold.contains(method), self.generation);
        if self.node.generation() == self.generation {
            let outcome = serve();
            self.node.wait_while(|faults| faults.hold_answer.contains(method), self.generation);
            outcome
        } else {
            Err(RpcError::new(RpcError::CLIENT_NOT_CONNECTED, "Shutting down"))
        }
    }

    fn serve(&self, call: &Call) -> Outcome {
        match &call.request {
            Ok((method, params)) => self.after_delay(call, || self.dispatch(method, params)),
            Err(error) => Err(error.clone()),
        }
    }

    fn dispatch(&self, method: &str, params: &Params) -> Outcome {
        let node = &self.node;
        match method {
            "getblockchaininfo" => {
                let initial_block_download = node.faults().initial_block_download;
                result(&answers::blockchain_info(&node.chain(), initial_block_download))
            }
            "getmininginfo" => result(&answers::mining_info(node, &node.chain())),
            "getnetworkinfo" => result(&answers::network_info()),
            "getindexinfo" => result(&json!({})),
            "getzmqnotifications" => result(&answers::zmq_notifications(node)),
            "getbestblockhash" => result(&node.chain().tip().to_string()),
            "getblockcount" => result(&node.chain().height()),
            "getblockhash" => {
                let told = node.faults().block_hashes;
                block_hash(&node.chain(), params, |height| told.get(&height).cloned())
            }
            "getblockheader" => block_header(&node.chain(), params),
            "getblock" => block(&node.chain(), params),
            "getblocktemplate" => self.block_template(params),
            "submitblock" => self.submit_block(params),
            "getmempoolinfo" => {
                let mut chain = node.chain();
                chain.mempool.arrive(Instant::now());
                result(&answers::mempool_info(&chain))
            }
            "uptime" => result(&node.started.elapsed().as_secs()),
            "stop" => Err(RpcError::new(RpcError::MISC_ERROR, "The simulated node is not stopped over RPC")),
            _ => Err(RpcError::new(RpcError::METHOD_NOT_FOUND, "Method not found")),
        }
    }

    fn block_template(&self, params: &Params) -> Outcome {
        let request = params.get(0, "template_request").cloned().unwrap_or_else(|| json!({}));
        if !request.is_object() {
            return Err(wrong_type(&request, "object"));
        }
        match request.get("mode") {
            None | Some(Value::Null) => {}
            Some(mode) if mode == "template" => {}
            Some(mode) if mode == "proposal" => return self.judge_proposal(&request),
            Some(_) => return Err(RpcError::new(RpcError::INVALID_PARAMETER, "Invalid mode")),
        }
        self.refuse_template_in_initial_download()?;
        if let Some(id) = request.get("longpollid").and_then(Value::as_str) {
            self.node.wait_for_longpoll(id, self.generation);
            // What fails by now fails, although this call began before.
            if let Some(Failure::RpcError { code, message }) = self.node.faults().failure_of("getblocktemplate") {
                return Err(RpcError { code, message });
            }
        }
        let mut chain = self.node.chain();
        check_rules(&request, chain.rules().network)?;
        chain.mempool.arrive(Instant::now());
        let mut template = BlockTemplate::new(&chain, unix_time());
        if self.node.faults().wrong_commitment {
            template.break_commitment();
        }
        *lock(&self.node.last_template) = Some(template.size());
        result(&template)
    }

    /// Core refuses templates during the initial download, but not on test chains.
    fn refuse_template_in_initial_download(&self) -> Result<(), RpcError> {
        let is_mainnet = self.node.chain().rules().network == Network::Bitcoin;
        if !is_mainnet || !self.node.faults().initial_block_download {
            return Ok(());
        }
        let text = "Bitcoin Core is in initial sync and waiting for blocks...";
        Err(RpcError::new(RpcError::CLIENT_IN_INITIAL_DOWNLOAD, text))
    }

    /// BIP23: would this block be valid, proof of work aside?
    fn judge_proposal(&self, request: &Value) -> Outcome {
        let data = request.get("data").and_then(Value::as_str);
        let data = data.ok_or_else(|| RpcError::new(RpcError::TYPE_ERROR, "Missing data String key for proposal"))?;
        let block = decode_block(data)?;
        let hash = block.block_hash();
        let chain = self.node.chain();
        let reason = if chain.get(&hash).is_some() {
            Some("duplicate".to_owned())
        } else if chain.is_known_invalid(&hash) {
            Some("duplicate-invalid".to_owned())
        } else if block.header.prev_blockhash != chain.tip() {
            Some("inconclusive-not-best-prevblk".to_owned())
        } else {
            chain.judge_proposal(&block, unix_time()).err().map(|refusal| refusal.reason)
        };
        result(&reason)
    }

    /// BIP22: `null` when the block is the new tip, else a reason.
    fn submit_block(&self, params: &Params) -> Outcome {
        let faults = self.node.faults();
        if faults.submit_ignored {
            return result(&faults.submit_answer);
        }
        let block = decode_block(params.text(0, "hexdata")?)?;
        let truth = match self.node.submit(block) {
            Submission::Connected => None,
            Submission::SideChain => Some("inconclusive".to_owned()),
            Submission::Duplicate => Some("duplicate".to_owned()),
            Submission::Refused(reason) => Some(reason),
        };
        result(&faults.submit_answer.or(truth))
    }
}

fn check_rules(request: &Value, network: Network) -> Result<(), RpcError> {
    let has = |rule: &str| {
        let rules = request.get("rules").and_then(Value::as_array);
        rules.is_some_and(|rules| rules.iter().any(|listed| listed == rule))
    };
    let text = if network == Network::Signet && !has("signet") {
        "getblocktemplate must be called with the signet rule set (call with {\"rules\": [\"segwit\", \"signet\"]})"
    } else if !has("segwit") {
        "getblocktemplate must be called with the segwit rule set (call with {\"rules\": [\"segwit\"]})"
    } else {
        return Ok(());
    };
    Err(RpcError::new(RpcError::INVALID_PARAMETER, text))
}

/// Stricter than Core in one thing: bytes after the last transaction are refused.
fn decode_block(hex: &str) -> Result<Block, RpcError> {
    let failed = || RpcError::new(RpcError::DESERIALIZATION_ERROR, "Block decode failed");
    if hex.starts_with("0x") {
        return Err(failed());
    }
    let bytes = const_hex::decode(hex).map_err(|_| failed())?;
    deserialize(&bytes).map_err(|_| failed())
}

fn block_hash(chain: &Chain, params: &Params, told: impl Fn(u32) -> Option<String>) -> Outcome {
    let height = u32::try_from(params.number(0, "height")?).ok();
    let hash = height.and_then(|height| told(height).or_else(|| chain.at(height).map(|hash| hash.to_string())));
    let out_of_range = || RpcError::new(RpcError::INVALID_PARAMETER, "Block height out of range");
    result(&hash.ok_or_else(out_of_range)?)
}

fn hash_param(params: &Params) -> Result<BlockHash, RpcError> {
    let text = params.text(0, "blockhash")?;
    let problem = if text.len() == 64 {
        format!("blockhash must be hexadecimal string (not '{text}')")
    } else {
        format!("blockhash must be of length 64 (not {}, for '{text}')", text.len())
    };
    text.parse().map_err(|_| RpcError::new(RpcError::INVALID_PARAMETER, problem))
}

fn not_found() -> RpcError {
    RpcError::new(RpcError::INVALID_ADDRESS_OR_KEY, "Block not found")
}

fn block_header(chain: &Chain, params: &Params) -> Outcome {
    let hash = hash_param(params)?;
    let stored = chain.get(&hash).ok_or_else(not_found)?;
    if params.get(1, "verbose").and_then(Value::as_bool) == Some(false) {
        return result(&answers::raw(&stored.header));
    }
    result(&answers::block_header(chain, hash, stored))
}

fn block(chain: &Chain, params: &Params) -> Outcome {
    let hash = hash_param(params)?;
    let stored = chain.get(&hash).ok_or_else(not_found)?;
    let pruned = || RpcError::new(RpcError::MISC_ERROR, "Block not available (pruned data)");
    let body = stored.body.as_ref().ok_or_else(pruned)?;
    let verbosity = match params.get(1, "verbosity") {
        Some(Value::Bool(verbose)) => i64::from(*verbose),
        Some(value) => value.as_i64().ok_or_else(|| wrong_type(value, "number"))?,
        None => 1,
    };
    if verbosity == 0 { result(&answers::raw(body)) } else { result(&answers::block(chain, hash, stored, body)) }
}
