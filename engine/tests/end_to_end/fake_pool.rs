//! A small pool that does everything right, or everything but one thing: what a doctor must be able to tell apart.
//!
//! One thread a connection, one job, no node. It shares no code with the pool; shares are hashed by crate `bitcoin`.

use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::script::Builder;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, absolute, transaction};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// What a pool of the past got wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Defect {
    None,
    BrokenConfigure,
    ConfigureLeavesOut,
    ClosesOnTinySuggestion,
    DropsTextIds,
    RoundsIds,
    NotifyBeforeSubscribe,
    LineBeforeAuthorizeReply,
    JobBeforeDifficulty,
    RepeatsJobIds,
    RepeatsWork,
    RollableBits,
    LargeJob,
    FirstJobNotClean,
    ExponentInDifficulty,
    HugeExtranonce2,
    OtherExtranonceWhenAskedAgain,
    NoErrorMember,
    TextErrors,
    NotificationWithId,
    SilentOnUnknownMethod,
    ClosesOnUnknownMethod,
    NoPing,
    RefusesEarlyAuthorize,
    ForgetsFirstWorker,
    RefusesShortNonce,
    UnknownJobIsOther,
    DuplicateIsAccepted,
    LowDifficultyIsOther,
    RefusesGoodShares,
    AnswersBackwards,
    BlankLines,
    ChokesOnBlankLine,
    CoinbaseWithoutExtranonce,
    AcceptsAnybody,
    /// None at all: every other share is stale, because blocks are found quickly.
    FindsBlocks,
    StaleWithoutReason,
}

/// Hashes a share: some sixteen.
const DIFFICULTY: f64 = 16.0 / 4_294_967_296.0;

/// Whom the coinbase of this pool pays.
pub(crate) fn payout() -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::from_byte_array([7; 20]))
}

/// A listening fake.
pub(crate) struct FakePool {
    pub(crate) address: SocketAddr,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FakePool {
    pub(crate) fn start(defect: Defect) -> Self {
        Self::serve(move |stream, number| Session::new(defect, number).serve(stream))
    }

    /// The same behind TLS, with a certificate that it has signed itself.
    pub(crate) fn start_with_tls() -> Self {
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![signed.cert.der().clone()], key).unwrap();
        let config = Arc::new(config);
        Self::serve(move |stream, number| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            Session::new(Defect::None, number).serve(StreamOwned::new(connection, stream));
        })
    }

    /// A pool that says `answer` to each line, whatever that is.
    pub(crate) fn saying(answer: impl Fn(&Value) -> String + Send + Sync + 'static) -> Self {
        Self::serve(move |mut stream, _| {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for line in lines.map_while(Result::ok) {
                let request = serde_json::from_str(&line).unwrap();
                if stream.write_all(answer(&request).as_bytes()).is_err() {
                    return;
                }
            }
        })
    }

    fn serve(session: impl Fn(TcpStream, u32) + Send + Sync + 'static) -> Self {
        let session = Arc::new(session);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ending = Arc::new(AtomicBool::new(false));
        let is_ending = Arc::clone(&ending);
        let thread = std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if is_ending.load(Ordering::Acquire) {
                    return;
                }
                let (stream, session) = (stream.unwrap(), Arc::clone(&session));
                stream.set_nodelay(true).unwrap();
                std::thread::spawn(move || session(stream, number as u32 + 1));
            }
        });
        Self { address, ending, thread: Some(thread) }
    }
}

impl Drop for FakePool {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// One connection of the fake.
struct Session {
    defect: Defect,
    extranonce1: String,
    subscriptions: u32,
    mask: u32,
    authorized: bool,
    has_job: bool,
    blocks: u32,
    submits: u32,
    shares: HashSet<String>,
    out: Vec<String>,
}

impl Session {
    fn new(defect: Defect, number: u32) -> Self {
        Self {
            defect,
            extranonce1: format!("{number:08x}"),
            subscriptions: 0,
            mask: 0,
            authorized: false,
            has_job: false,
            blocks: 0,
            submits: 0,
            shares: HashSet::new(),
            out: Vec::new(),
        }
    }

    fn serve(mut self, stream: impl Read + Write) {
        let mut lines = BufReader::new(stream);
        loop {
            let mut line = String::new();
            // What came in one segment is answered in one.
            let Ok(1..) = (&mut lines).take(32 * 1024).read_line(&mut line) else { return };
            if !line.ends_with('\n') || !self.line(&line) {
                self.flush(lines.get_mut());
                return;
            }
            if !lines.buffer().contains(&b'\n') && !self.flush(lines.get_mut()) {
                return;
            }
        }
    }

    fn flush(&mut self, stream: &mut impl Write) -> bool {
        if self.defect == Defect::AnswersBackwards {
            let (mut replies, rest): (Vec<_>, Vec<_>) =
                self.out.drain(..).partition(|line| !line.contains("\"method\""));
            // The handshake is left alone: it is about a miner's own requests.
            if self.has_job && rest.is_empty() {
                replies.reverse();
            }
            self.out = replies.into_iter().chain(rest).collect();
        }
        let blank = if self.defect == Defect::BlankLines { "\n" } else { "" };
        let text: String = self.out.drain(..).map(|line| format!("{line}\n{blank}")).collect();
        stream.write_all(text.as_bytes()).and_then(|()| stream.flush()).is_ok()
    }

    /// Takes a line; `false` ends the connection.
    fn line(&mut self, line: &str) -> bool {
        if line.trim().is_empty() {
            return self.defect != Defect::ChokesOnBlankLine;
        }
        let Ok(request) = serde_json::from_str::<Value>(line) else { return false };
        let Some(method) = request["method"].as_str() else { return true };
        let id = raw_id(line);
        let params = &request["params"];
        match method {
            "mining.subscribe" => self.subscribe(&id),
            "mining.authorize" => self.authorize(&id, params),
            "mining.configure" => self.configure(&id, params),
            "mining.submit" => self.submit(&id, params),
            "mining.suggest_difficulty" if self.defect == Defect::ClosesOnTinySuggestion => {
                if params[0].as_f64().is_some_and(|value| value < 1.0) {
                    return false;
                }
                self.reply(&id, "true", "null");
            }
            "mining.suggest_difficulty" | "mining.suggest_target" | "mining.extranonce.subscribe" => {
                self.reply(&id, "true", "null");
            }
            "mining.ping" if self.defect == Defect::NoPing => {}
            "mining.ping" => self.reply(&id, "\"pong\"", "null"),
            _ if self.defect == Defect::ClosesOnUnknownMethod => return false,
            _ if self.defect == Defect::SilentOnUnknownMethod => {}
            _ => self.refuse(&id, 20, "Unsupported method"),
        }
        true
    }

    fn reply(&mut self, id: &str, result: &str, error: &str) {
        let id = match self.defect {
            Defect::DropsTextIds if id.starts_with('"') => "null",
            Defect::RoundsIds if id.contains('.') => "1.5",
            _ => id,
        };
        let error = match self.defect {
            Defect::NoErrorMember if error == "null" => String::new(),
            Defect::TextErrors if error != "null" => ",\"error\":\"refused\"".to_owned(),
            _ => format!(",\"error\":{error}"),
        };
        self.out.push(format!("{{\"id\":{id},\"result\":{result}{error}}}"));
    }

    fn refuse(&mut self, id: &str, code: u32, text: &str) {
        self.reply(id, "null", &format!("[{code},\"{text}\",null]"));
    }

    fn subscribe(&mut self, id: &str) {
        self.subscriptions += 1;
        if self.subscriptions > 1 && self.defect == Defect::OtherExtranonceWhenAskedAgain {
            self.extranonce1 = format!("{:08x}", 0x0100_0000 + self.subscriptions);
        }
        if self.subscriptions == 1 && self.defect == Defect::NotifyBeforeSubscribe {
            self.difficulty();
        }
        let size = if self.defect == Defect::HugeExtranonce2 { 12 } else { 8 };
        let result = json!([[["mining.notify", "deadbeef00000001"]], self.extranonce1, size]).to_string();
        self.reply(id, &result, "null");
        self.begin();
    }

    fn authorize(&mut self, id: &str, params: &Value) {
        let user = params[0].as_str().unwrap_or_default();
        let is_early = self.subscriptions == 0 && self.defect == Defect::RefusesEarlyAuthorize;
        if user.starts_with("nobody") || is_early {
            if self.defect == Defect::ForgetsFirstWorker {
                self.authorized = false;
            }
            return self.reply(id, "false", "[24,\"no address\",null]");
        }
        if self.defect == Defect::LineBeforeAuthorizeReply && self.subscriptions > 0 {
            self.out.push(r#"{"id":null,"method":"mining.set_version_mask","params":["1fffe000"]}"#.to_owned());
        }
        self.authorized = true;
        self.reply(id, "true", "null");
        self.begin();
    }

    /// Difficulty and the first job, once.
    fn begin(&mut self) {
        if self.has_job || !self.authorized || self.subscriptions == 0 {
            return;
        }
        self.has_job = true;
        if self.defect == Defect::JobBeforeDifficulty {
            self.notify("1", 0x6000_0000);
            return self.difficulty();
        }
        self.difficulty();
        self.notify("1", 0x6000_0000);
        match self.defect {
            Defect::RepeatsJobIds => self.notify("1", 0x6000_0001),
            Defect::RepeatsWork => self.notify("2", 0x6000_0000),
            _ => {}
        }
    }

    fn difficulty(&mut self) {
        let value = match self.defect {
            Defect::ExponentInDifficulty => format!("{DIFFICULTY:e}"),
            _ => format!("{DIFFICULTY}"),
        };
        let id = if self.defect == Defect::NotificationWithId { "7" } else { "null" };
        self.out.push(format!("{{\"id\":{id},\"method\":\"mining.set_difficulty\",\"params\":[{value}]}}"));
    }

    fn notify(&mut self, id: &str, time: u32) {
        let (prefix, suffix) = self.coinbase();
        let branches = vec!["ab".repeat(32); self.branches()];
        let version = format!("{:08x}", self.version());
        let clean = self.defect != Defect::FirstJobNotClean;
        let time = format!("{time:08x}");
        let params = json!([id, "00".repeat(32), prefix, suffix, branches, version, "1d00ffff", time, clean]);
        self.out.push(json!({ "id": null, "method": "mining.notify", "params": params }).to_string());
    }

    fn branches(&self) -> usize {
        if self.defect == Defect::LargeJob { 40 } else { 3 }
    }

    fn version(&self) -> u32 {
        if self.defect == Defect::RollableBits { 0x2000_e000 } else { 0x2000_0000 }
    }

    /// A coinbase in two halves around 12 bytes of extranonce.
    fn coinbase(&self) -> (String, String) {
        let space = if self.defect == Defect::CoinbaseWithoutExtranonce { 4 } else { 12 };
        let script = Builder::new()
            .push_int(1000)
            .push_slice(<&bitcoin::script::PushBytes>::try_from(&[0; 12][..space]).unwrap());
        let transaction = Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig: script.into_script(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: vec![TxOut { value: Amount::from_sat(5_000_000_000), script_pubkey: payout() }],
        };
        let bytes = serialize(&transaction);
        // Version, count, outpoint, length of the script, push of the height, length of the extranonce.
        let at = 4 + 1 + 36 + 1 + 3 + 1;
        (bytes[..at].to_lower_hex_string(), bytes[at + space..].to_lower_hex_string())
    }

    fn configure(&mut self, id: &str, params: &Value) {
        let mut result = serde_json::Map::new();
        let asked: Vec<&str> = params[0].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for name in &asked {
            result.insert((*name).to_owned(), json!(true));
        }
        if asked.contains(&"version-rolling") {
            let wanted = params[1]["version-rolling.mask"].as_str().unwrap_or("ffffffff");
            self.mask = u32::from_str_radix(wanted, 16).unwrap() & 0x1fff_e000;
            result.insert("version-rolling.mask".into(), json!(format!("{:08x}", self.mask)));
        }
        if self.defect == Defect::ConfigureLeavesOut {
            result.remove("info");
        }
        let mut text = Value::Object(result).to_string();
        if self.defect == Defect::BrokenConfigure && !asked.contains(&"version-rolling") {
            text = text.replace('}', ",}");
        }
        self.reply(id, &text, "null");
    }

    fn submit(&mut self, id: &str, params: &Value) {
        let text = |place: usize| params[place].as_str().unwrap_or_default();
        if !self.authorized && self.defect != Defect::AcceptsAnybody {
            return self.refuse(id, 24, "Unauthorized worker");
        }
        self.submits += 1;
        if self.submits.is_multiple_of(2) && text(1) != "7ffffff1" {
            if self.defect == Defect::StaleWithoutReason {
                return self.refuse(id, 21, "Stale share");
            }
            if self.defect == Defect::FindsBlocks {
                self.blocks += 1;
                self.refuse(id, 21, "Stale share");
                return self.notify(&format!("{}", 1 + self.blocks), 0x6000_0000 + self.blocks);
            }
        }
        let is_known = text(1) == (1 + self.blocks).to_string() || text(1) == "2" && self.defect == Defect::RepeatsWork;
        if !is_known || !self.has_job {
            let code = if self.defect == Defect::UnknownJobIsOther { 20 } else { 21 };
            if self.defect == Defect::AcceptsAnybody && !self.authorized {
                return self.reply(id, "true", "null");
            }
            return self.refuse(id, code, "Job not found");
        }
        if text(4).len() < 8 && self.defect == Defect::RefusesShortNonce {
            return self.refuse(id, 20, "nonce has the wrong length");
        }
        let number = |place: usize| u32::from_str_radix(text(place), 16).unwrap_or(0);
        let (prefix, suffix) = self.coinbase();
        let coinbase = Vec::<u8>::from_hex(&format!("{prefix}{}{}{suffix}", self.extranonce1, text(2))).unwrap();
        let (ntime, nonce, bits) = (number(3), number(4), number(5));
        if !meets(&coinbase, self.branches(), self.version() | bits, ntime, nonce) {
            let code = if self.defect == Defect::LowDifficultyIsOther { 20 } else { 23 };
            return self.refuse(id, code, "Low difficulty share");
        }
        if self.defect == Defect::RefusesGoodShares {
            return self.refuse(id, 23, "Low difficulty share");
        }
        let is_new = self.shares.insert(format!("{} {ntime} {nonce} {bits}", text(2)));
        if !is_new && self.defect != Defect::DuplicateIsAccepted {
            return self.refuse(id, 22, "Duplicate share");
        }
        self.reply(id, "true", "null");
    }
}

/// Whether a share of the fake's job meets its difficulty.
fn meets(coinbase: &[u8], branches: usize, version: u32, ntime: u32, nonce: u32) -> bool {
    let branch = [0xab; 32];
    let mut root = sha256d::Hash::hash(coinbase).to_byte_array();
    for _ in 0..branches {
        root = sha256d::Hash::hash(&[root, branch].concat()).to_byte_array();
    }
    let numbers = [ntime.to_le_bytes(), 0x1d00_ffff_u32.to_le_bytes(), nonce.to_le_bytes()].concat();
    let header = [&version.to_le_bytes()[..], &[0; 32], &root, &numbers].concat();
    let hash = sha256d::Hash::hash(&header).to_byte_array();
    let number = hash.iter().rev().fold(0.0, |number, byte| number * 256.0 + f64::from(*byte));
    f64::from(0xffff_u32) * 2f64.powi(208) / number >= DIFFICULTY
}

/// The id's own text: JSON values would change it.
fn raw_id(line: &str) -> String {
    let members: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
        serde_json::from_str(line).unwrap();
    members.get("id").map_or("null".to_owned(), |id| id.get().to_owned())
}
