//! A node of cardboard: HTTP, JSON-RPC and a chain of names. It validates nothing and answers what it is told to.

use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use warppool_components::units::Hash256;

const TEMPLATE: &str = include_str!("../../../tests/data/gbt-regtest-25tx.json");
const DEADLINE: Duration = Duration::from_secs(20);

/// What `submitblock` is answered with.
#[derive(Clone, Debug)]
pub(crate) enum Submitted {
    /// A result, `null` included.
    Result(Value),
    /// An error of the node.
    Error(i64, &'static str),
    /// An HTTP status with plain text.
    Status(u16),
    /// Nothing until the node is closed.
    Silence,
    /// The connection breaks.
    HangUp,
}

/// The state that a test scripts and looks at.
pub(crate) struct Script {
    pub(crate) chain: &'static str,
    pub(crate) syncing: bool,
    /// The best chain; the first has height 100.
    pub(crate) blocks: Vec<Hash256>,
    /// Confirmations of blocks that are named apart from the best chain.
    pub(crate) confirmations: HashMap<Hash256, i64>,
    pub(crate) submissions: VecDeque<Submitted>,
    /// The `Authorization` header that is let in; every one when absent.
    pub(crate) authorization: Option<String>,
    /// Templates wait until this is false.
    pub(crate) holds_templates: bool,
    pub(crate) gives_longpoll_id: bool,
    pub(crate) breaks_commitment: bool,
    /// Field `signet_challenge` of templates.
    pub(crate) challenge: Option<&'static str>,
    /// The genesis block; the network's own when absent.
    pub(crate) genesis: Option<Hash256>,
    /// Templates are answered with an error.
    pub(crate) fails_templates: bool,
    pub(crate) templates_in_flight: usize,
    pub(crate) templates_in_flight_max: usize,
    /// All calls: method and parameters.
    pub(crate) calls: Vec<(String, Value)>,
    closed: bool,
    streams: Vec<TcpStream>,
}

impl Script {
    pub(crate) fn tip(&self) -> Hash256 {
        *self.blocks.last().expect("a chain")
    }

    pub(crate) fn height(&self) -> u32 {
        99 + self.blocks.len() as u32
    }

    pub(crate) fn count(&self, method: &str) -> usize {
        self.calls.iter().filter(|(name, _)| name == method).count()
    }
}

struct Shared {
    script: Mutex<Script>,
    changed: Condvar,
}

/// A running fake. Dropping it closes it.
pub(crate) struct FakeNode {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

pub(crate) fn hash(name: u8) -> Hash256 {
    Hash256::from_internal([name; 32])
}

impl FakeNode {
    pub(crate) fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"))
    }

    pub(crate) fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        let address = listener.local_addr().expect("an address");
        let script = Script {
            chain: "regtest",
            syncing: false,
            blocks: vec![hash(1)],
            confirmations: HashMap::new(),
            submissions: VecDeque::new(),
            authorization: None,
            holds_templates: false,
            gives_longpoll_id: false,
            breaks_commitment: false,
            challenge: None,
            genesis: None,
            fails_templates: false,
            templates_in_flight: 0,
            templates_in_flight_max: 0,
            calls: Vec::new(),
            closed: false,
            streams: Vec::new(),
        };
        let shared = Arc::new(Shared { script: Mutex::new(script), changed: Condvar::new() });
        let of_listener = Arc::clone(&shared);
        std::thread::spawn(move || of_listener.listen(&listener));
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Looks at the script, or changes it.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        let result = change(&mut self.shared.script.lock().unwrap());
        self.shared.changed.notify_all();
        result
    }

    pub(crate) fn add_block(&self, name: u8) {
        self.with(|script| script.blocks.push(hash(name)));
    }

    /// Waits until the script is as it should be.
    pub(crate) fn wait(&self, what: &str, is_so: impl Fn(&Script) -> bool) {
        let end = Instant::now() + DEADLINE;
        let mut script = self.shared.script.lock().unwrap();
        while !is_so(&script) {
            let left = end.checked_duration_since(Instant::now()).unwrap_or_else(|| panic!("not in time: {what}"));
            script = self.shared.changed.wait_timeout(script, left).unwrap().0;
        }
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.with(|script| {
            script.closed = true;
            script.streams.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        });
        // Wakes the listener, which then ends.
        drop(TcpStream::connect(self.address));
    }
}

enum Reply {
    Json(u16, Value),
    Text(u16, &'static str),
    None,
}

impl Shared {
    fn listen(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming().flatten() {
            let mut script = self.script.lock().unwrap();
            if script.closed {
                return;
            }
            script.streams.push(stream.try_clone().unwrap());
            let of_connection = Arc::clone(&self);
            std::thread::spawn(move || of_connection.serve(stream));
        }
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        while let Some((authorization, body)) = read_request(&mut reader) {
            let request: Value = serde_json::from_slice(&body).expect("the pool sends JSON");
            let reply = self.reply(authorization, &request);
            self.changed.notify_all();
            let (status, text) = match reply {
                Reply::Json(status, json) => (status, json.to_string()),
                Reply::Text(status, text) => (status, text.to_owned()),
                Reply::None => {
                    drop(writer.shutdown(Shutdown::Both));
                    return;
                }
            };
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", text.len());
            if writer.write_all((head + &text).as_bytes()).is_err() {
                return;
            }
        }
    }

    fn reply(&self, authorization: Option<String>, request: &Value) -> Reply {
        let method = request["method"].as_str().unwrap();
        let parameters = &request["params"];
        let mut script = self.script.lock().unwrap();
        if script.authorization.is_some() && script.authorization != authorization {
            return Reply::Text(401, "");
        }
        script.calls.push((method.to_owned(), parameters.clone()));
        match method {
            "getblockchaininfo" => ok(json!({
                "chain": script.chain, "blocks": script.height(), "headers": script.height(),
                "initialblockdownload": script.syncing,
            })),
            "getmininginfo" => ok(json!({ "networkhashps": 12.5 })),
            "getnetworkinfo" => ok(json!({ "version": 310_000, "subversion": "/Cardboard:31/" })),
            "getzmqnotifications" => ok(json!([{ "type": "pubhashblock", "address": "tcp://127.0.0.1:1", "hwm": 1 }])),
            "getbestblockhash" => ok(json!(script.tip().to_string())),
            "getblockhash" => block_hash(&script, parameters[0].as_u64().unwrap()),
            "getblockheader" => header(&script, parameters[0].as_str().unwrap()),
            "submitblock" => {
                let answer = script.submissions.pop_front().unwrap_or(Submitted::Result(Value::Null));
                drop(script);
                self.submitted(answer)
            }
            "getblocktemplate" => {
                drop(script);
                self.template(&parameters[0])
            }
            _ => {
                Reply::Json(404, json!({ "result": null, "error": { "code": -32601, "message": "Method not found" } }))
            }
        }
    }

    fn submitted(&self, answer: Submitted) -> Reply {
        match answer {
            Submitted::Result(result) => ok(result),
            Submitted::Error(code, message) => {
                Reply::Json(500, json!({ "result": null, "error": { "code": code, "message": message } }))
            }
            Submitted::Status(status) => Reply::Text(status, "Work queue depth exceeded"),
            Submitted::Silence => {
                self.wait_while(|script| !script.closed);
                Reply::None
            }
            Submitted::HangUp => Reply::None,
        }
    }

    fn template(&self, parameters: &Value) -> Reply {
        self.changing(|script| {
            script.templates_in_flight += 1;
            script.templates_in_flight_max = script.templates_in_flight_max.max(script.templates_in_flight);
        });
        let seen = parameters["longpollid"].as_str();
        self.wait_while(|script| seen.is_some_and(|id| id == longpoll_id(script)) || script.holds_templates);
        let mut script = self.script.lock().unwrap();
        script.templates_in_flight -= 1;
        if script.fails_templates {
            return Reply::Json(500, json!({ "result": null, "error": { "code": -1, "message": "out of order" } }));
        }
        ok(template(&script))
    }

    fn changing(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
        self.changed.notify_all();
    }

    fn wait_while(&self, is_so: impl Fn(&Script) -> bool) {
        let mut script = self.script.lock().unwrap();
        while is_so(&script) && !script.closed {
            script = self.changed.wait(script).unwrap();
        }
    }
}

fn ok(result: Value) -> Reply {
    Reply::Json(200, json!({ "result": result, "error": null, "id": 0 }))
}

fn longpoll_id(script: &Script) -> String {
    format!("{}7", script.tip())
}

fn template(script: &Script) -> Value {
    let mut template: Value = serde_json::from_str(TEMPLATE).unwrap();
    template["previousblockhash"] = json!(script.tip().to_string());
    template["height"] = json!(script.height() + 1);
    template["longpollid"] = if script.gives_longpoll_id { json!(longpoll_id(script)) } else { Value::Null };
    if let Some(challenge) = script.challenge {
        template["signet_challenge"] = json!(challenge);
    }
    if script.breaks_commitment {
        template["default_witness_commitment"] = json!("6a24aa21a9ed".to_owned() + &"00".repeat(32));
    }
    template
}

fn block_hash(script: &Script, height: u64) -> Reply {
    let genesis = match script.chain {
        "main" => "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
        "signet" => "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
        _ => "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
    };
    match (height, script.genesis) {
        (0, Some(other)) => ok(json!(other.to_string())),
        (0, None) => ok(json!(genesis)),
        _ => ok(json!(hash((height % 251) as u8).to_string())),
    }
}

fn header(script: &Script, name: &str) -> Reply {
    let hash = Hash256::parse_display(name).unwrap();
    let place = script.blocks.iter().position(|block| *block == hash);
    let in_chain = place.map(|place| (script.blocks.len() - place) as i64);
    let Some(confirmations) = script.confirmations.get(&hash).copied().or(in_chain) else {
        return Reply::Json(500, json!({ "result": null, "error": { "code": -5, "message": "Block not found" } }));
    };
    ok(json!({
        "hash": name, "confirmations": confirmations, "height": 100 + place.unwrap_or(0), "bits": "207fffff",
        "time": 1_795_218_000u64, "mediantime": 1_795_217_000u64,
    }))
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<(Option<String>, Vec<u8>)> {
    let (mut authorization, mut length) = (None, 0);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line == "\r\n" {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = Some(value.to_owned()),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((authorization, body))
}
