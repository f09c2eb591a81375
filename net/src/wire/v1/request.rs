//! Every request a miner may send, read with a JSON library.
//!
//! The reader is lenient where firmware differs (order and absence of members, missing, null or odd
//! parameters, numbers as strings) and says in a sentence what it did not understand. Nesting costs no stack:
//! values are skipped by a loop, and only the parts that a request knows are looked into.

use super::hex;
use super::submit::{self, Fields, SubmitError};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use warppool_components::limits::{CONFIGURE_EXTENSIONS_MAX, REQUEST_ID_BYTES_MAX};
use warppool_components::share::ShareClaim;
use warppool_components::units::{Difficulty, Target};

/// One line of a miner.
#[derive(Clone, PartialEq, Debug)]
pub struct Message<'a> {
    /// JSON text of the id, byte for byte; absent in a notification, which is not answered.
    pub id: Option<Cow<'a, [u8]>>,
    /// What it asks for.
    pub request: Request<'a>,
}

/// What a miner asks for.
#[derive(Clone, PartialEq)]
pub enum Request<'a> {
    /// `mining.subscribe`.
    Subscribe {
        /// Empty when it does not tell.
        user_agent: Cow<'a, str>,
        /// A session it wants to go on with; [`session_id`] reads it.
        session: Option<Cow<'a, str>>,
    },
    /// `mining.authorize`.
    Authorize {
        /// Address and worker name.
        username: Cow<'a, str>,
        /// Options for the pool; empty when missing.
        password: Cow<'a, str>,
    },
    /// `mining.configure` (BIP 310).
    Configure(Configure),
    /// `mining.submit`.
    Submit {
        /// Empty when missing.
        username: Cow<'a, str>,
        /// The share, or why there is none.
        claim: Result<ShareClaim, SubmitError>,
    },
    /// `mining.suggest_difficulty`.
    SuggestDifficulty(Result<Difficulty, SuggestError>),
    /// `mining.suggest_target`, as the difficulty of the target.
    SuggestTarget(Result<Difficulty, SuggestError>),
    /// `mining.extranonce.subscribe`.
    ExtranonceSubscribe,
    /// `mining.ping`.
    Ping,
    /// `client.get_version`, from those who ask the pool for its own.
    GetVersion,
    /// `mining.multi_version`.
    MultiVersion,
    /// The miner's answer to something of ours, a pong of any shape included. Never answered.
    Response,
    /// Anything else.
    Unknown {
        /// Its name.
        method: Cow<'a, str>,
    },
}

/// What `mining.configure` asked for: one field for each extension, so that each is answered.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Configure {
    /// `version-rolling`.
    pub version_rolling: Option<VersionRolling>,
    /// `minimum-difficulty`: asked for, and with a usable value.
    pub minimum_difficulty: Option<Option<Difficulty>>,
    /// `subscribe-extranonce`.
    pub subscribe_extranonce: bool,
    /// `info`.
    pub info: bool,
    /// Names of all others, each once.
    pub unknown: Vec<String>,
}

/// Parameters of the extension `version-rolling`. Its `min-bit-count` is of no use to a pool and not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VersionRolling {
    /// Bits of the version that the miner wants to roll; all when it sent no usable mask.
    pub mask: u32,
}

/// A suggested difficulty or target that says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SuggestError {
    /// Missing, not a number, zero, negative or infinite.
    #[error("mining.suggest_difficulty takes one number above 0")]
    Difficulty,
    /// Missing, not hexadecimal or zero.
    #[error("mining.suggest_target takes one target above 0 as up to 64 hexadecimal digits")]
    Target,
}

/// A line that is no request. The connection lives on; the text is for the miner's log.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{fault}")]
pub struct ParseError {
    /// JSON text of the id, if one could be found; the answer goes to `null` otherwise.
    pub id: Option<Vec<u8>>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// Bytes that are no text.
    #[error("Request is not UTF-8 at byte {0}")]
    NotUtf8(usize),
    /// Not one JSON object.
    #[error("Request is not one JSON object: column {0} is not understood")]
    NotAnObject(usize),
    /// Neither a method nor a result.
    #[error("Request has no method")]
    NoMethod,
    /// The id is too long to be echoed.
    #[error("Request id is longer than {REQUEST_ID_BYTES_MAX} bytes")]
    IdTooLong,
    /// The id is a list or an object.
    #[error("Request id is neither a number nor a string nor null")]
    IdNotScalar,
    /// `mining.authorize` without a username.
    #[error("mining.authorize takes [username, password]")]
    Authorize,
    /// `mining.configure` with other parameters than a list of names and an object.
    #[error("mining.configure takes [[extensions], {{parameters}}]")]
    Configure,
    /// `mining.configure` with very many extensions.
    #[error("mining.configure takes at most {CONFIGURE_EXTENSIONS_MAX} extensions")]
    ConfigureTooMany,
}

/// Reads one line, without its newline.
///
/// # Errors
/// [`ParseError`] when the line is no request at all, or lacks what its method cannot do without. A bad
/// `mining.submit` or suggestion is no error here: the fault is in the [`Request`].
pub fn parse(line: &[u8]) -> Result<Message<'_>, ParseError> {
    let envelope = read_envelope(line).map_err(|fault| ParseError { id: find_id(line).map(<[u8]>::to_vec), fault })?;
    let id = envelope.id.map(checked_id).transpose().map_err(|fault| ParseError { id: None, fault })?;
    match request(&envelope) {
        Ok(request) => Ok(Message { id: id.map(Cow::Borrowed), request }),
        Err(fault) => Err(ParseError { id: id.map(<[u8]>::to_vec), fault }),
    }
}

/// The number behind the session id that [`subscribe_reply`](super::emit::subscribe_reply) hands out.
pub fn session_id(text: &str) -> Option<u64> {
    Some(text).filter(|text| text.len() == 16).and_then(|text| hex::parse_u64(text.as_bytes()))
}

/// The members of a request; of repeated ones the last counts.
#[derive(Default)]
struct Envelope<'a> {
    id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    params: Option<&'a RawValue>,
    has_result: bool,
}

fn read_envelope(line: &[u8]) -> Result<Envelope<'_>, Fault> {
    let text = std::str::from_utf8(line).map_err(|error| Fault::NotUtf8(error.valid_up_to()))?;
    serde_json::from_str(text).map_err(|error| Fault::NotAnObject(error.column()))
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "id" => envelope.id = Some(map.next_value()?),
                "method" => envelope.method = Some(map.next_value()?),
                "params" => envelope.params = Some(map.next_value()?),
                key => {
                    envelope.has_result |= matches!(key, "result" | "error");
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(envelope)
    }
}

fn checked_id(id: &RawValue) -> Result<&[u8], Fault> {
    match id.get().as_bytes() {
        [b'[' | b'{', ..] => Err(Fault::IdNotScalar),
        id if id.len() > REQUEST_ID_BYTES_MAX => Err(Fault::IdTooLong),
        id => Ok(id),
    }
}

fn request<'a>(envelope: &Envelope<'a>) -> Result<Request<'a>, Fault> {
    let Some(method) = envelope.method.and_then(text) else {
        return if envelope.has_result { Ok(Request::Response) } else { Err(Fault::NoMethod) };
    };
    let params = Params::read(envelope.params);
    Ok(match &*method {
        "mining.submit" => submit_request(&params),
        "mining.subscribe" => Request::Subscribe {
            user_agent: params.text(0).unwrap_or_default(),
            session: params.text(1).filter(|session| !session.is_empty()),
        },
        "mining.authorize" => Request::Authorize {
            username: params.text(0).ok_or(Fault::Authorize)?,
            password: params.text(1).unwrap_or_default(),
        },
        "mining.configure" => Request::Configure(configure(&params)?),
        "mining.suggest_difficulty" => {
            Request::SuggestDifficulty(params.get(0).and_then(difficulty).ok_or(SuggestError::Difficulty))
        }
        "mining.suggest_target" => {
            Request::SuggestTarget(params.text(0).and_then(|text| target(&text)).ok_or(SuggestError::Target))
        }
        "mining.extranonce.subscribe" => Request::ExtranonceSubscribe,
        "mining.ping" | "ping" => Request::Ping,
        "mining.pong" | "pong" => Request::Response,
        "client.get_version" | "mining.get_version" => Request::GetVersion,
        "mining.multi_version" => Request::MultiVersion,
        _ => Request::Unknown { method },
    })
}

fn submit_request<'a>(params: &Params<'a>) -> Request<'a> {
    let username = params.text(0);
    let claim = match &username {
        Some(_) => submit_claim(params),
        None => Err(SubmitError::NotText("worker")),
    };
    Request::Submit { username: username.unwrap_or_default(), claim }
}

fn submit_claim(params: &Params<'_>) -> Result<ShareClaim, SubmitError> {
    let field = |index, name| params.text(index).ok_or(SubmitError::NotText(name));
    let version = match params.get(5) {
        Some(version) if version.get() != "null" => text(version).ok_or(SubmitError::NotText("version"))?,
        _ => Cow::Borrowed(""),
    };
    submit::claim(&Fields {
        job: field(1, "job")?.as_bytes(),
        extranonce2: field(2, "extranonce2")?.as_bytes(),
        ntime: field(3, "ntime")?.as_bytes(),
        nonce: field(4, "nonce")?.as_bytes(),
        version: version.as_bytes(),
    })
}

fn configure(params: &Params<'_>) -> Result<Configure, Fault> {
    let mut configure = Configure::default();
    let Some(names) = params.get(0) else { return Ok(configure) };
    let Names(names) = serde_json::from_str(names.get()).map_err(|_| Fault::Configure)?;
    let options: Options<'_> = match params.get(1) {
        Some(options) => serde_json::from_str(options.get()).unwrap_or_default(),
        None => Options::default(),
    };
    for name in names.ok_or(Fault::ConfigureTooMany)? {
        match &*name {
            "version-rolling" => configure.version_rolling = Some(VersionRolling { mask: options.mask() }),
            "minimum-difficulty" => configure.minimum_difficulty = Some(options.minimum_difficulty()),
            "subscribe-extranonce" => configure.subscribe_extranonce = true,
            "info" => configure.info = true,
            other if configure.unknown.iter().any(|known| known == other) => {}
            _ => configure.unknown.push(name.into_owned()),
        }
    }
    Ok(configure)
}

/// Second parameter of `mining.configure`, as far as a pool needs it.
#[derive(Default)]
struct Options<'a> {
    version_rolling_mask: Option<&'a RawValue>,
    minimum_difficulty_value: Option<&'a RawValue>,
}

impl Options<'_> {
    fn mask(&self) -> u32 {
        let mask = self.version_rolling_mask.and_then(text);
        mask.and_then(|mask| hex::parse_prefixed_u32(mask.as_bytes())).unwrap_or(u32::MAX)
    }

    fn minimum_difficulty(&self) -> Option<Difficulty> {
        self.minimum_difficulty_value.and_then(difficulty)
    }
}

impl<'de> Deserialize<'de> for Options<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OptionsVisitor;
        impl<'de> Visitor<'de> for OptionsVisitor {
            type Value = Options<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut options = Options::default();
                while let Some(Text(key)) = map.next_key()? {
                    match &*key {
                        "version-rolling.mask" => options.version_rolling_mask = Some(map.next_value()?),
                        "minimum-difficulty.value" => options.minimum_difficulty_value = Some(map.next_value()?),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(options)
            }
        }
        deserializer.deserialize_map(OptionsVisitor)
    }
}

/// Names of extensions; `None` when there are more than [`CONFIGURE_EXTENSIONS_MAX`]. What is not a string is
/// skipped.
struct Names<'a>(Option<Vec<Cow<'a, str>>>);

impl<'de> Deserialize<'de> for Names<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamesVisitor;
        impl<'de> Visitor<'de> for NamesVisitor {
            type Value = Names<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element::<&RawValue>()? {
                    names.extend(text(name).filter(|_| names.len() <= CONFIGURE_EXTENSIONS_MAX));
                }
                Ok(Names(Some(names).filter(|names| names.len() <= CONFIGURE_EXTENSIONS_MAX)))
            }
        }
        deserializer.deserialize_seq(NamesVisitor)
    }
}

/// How many parameters are looked at; `mining.submit` has six.
const PARAMS_READ: usize = 6;

/// The first parameters, unread. Empty when `params` is missing or not a list.
#[derive(Default)]
struct Params<'a>([Option<&'a RawValue>; PARAMS_READ]);

impl<'a> Params<'a> {
    fn read(params: Option<&'a RawValue>) -> Self {
        params.and_then(|params| serde_json::from_str(params.get()).ok()).unwrap_or_default()
    }

    fn get(&self, index: usize) -> Option<&'a RawValue> {
        self.0[index]
    }

    fn text(&self, index: usize) -> Option<Cow<'a, str>> {
        self.get(index).and_then(text)
    }
}

impl<'de> Deserialize<'de> for Params<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ParamsVisitor;
        impl<'de> Visitor<'de> for ParamsVisitor {
            type Value = Params<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut params = Params::default();
                for place in &mut params.0 {
                    *place = list.next_element()?;
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(params)
            }
        }
        deserializer.deserialize_seq(ParamsVisitor)
    }
}

/// A JSON string, borrowed unless it has escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str(raw.get()).ok().map(|Text(text)| text)
}

/// A number, or a string that holds one.
fn difficulty(raw: &RawValue) -> Option<Difficulty> {
    let number = text(raw).unwrap_or(Cow::Borrowed(raw.get()));
    number.trim().parse().ok().and_then(|value| Difficulty::new(value).ok())
}

/// The difficulty of a target written with its most significant digit first.
fn target(text: &str) -> Option<Difficulty> {
    let digits = hex::without_prefix(text.as_bytes());
    let padding = 64usize.checked_sub(digits.len())?;
    let mut padded = [b'0'; 64];
    padded[padding..].copy_from_slice(digits);
    let mut bytes = [0; 32];
    for (limb, digits) in bytes.chunks_exact_mut(8).zip(padded.chunks_exact(16)) {
        limb.copy_from_slice(&hex::parse_u64(digits)?.to_be_bytes());
    }
    (bytes != [0; 32]).then(|| Target::from_big_endian(bytes).to_difficulty())
}

/// The id of a line that is no JSON object, for instance because its end is missing: the first scalar behind
/// an `"id":` of the outermost level.
fn find_id(line: &[u8]) -> Option<&[u8]> {
    let mut depth = 0u32;
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b'"' => {
                let end = string_end(line, at)?;
                let is_id = depth == 1 && &line[at..end] == b"\"id\"";
                if let Some(id) = is_id.then(|| scalar_after_colon(&line[end..])).flatten() {
                    return Some(id);
                }
                at = end;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The place behind the string that starts at `start`.
fn string_end(line: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match line.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn scalar_after_colon(rest: &[u8]) -> Option<&[u8]> {
    let value = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let end = match value.first()? {
        b'"' => string_end(value, 0)?,
        b'{' | b'[' => return None,
        _ => value.iter().position(|byte| b",}] \t\r".contains(byte)).unwrap_or(value.len()),
    };
    let id = &value[..end];
    (id.len() <= REQUEST_ID_BYTES_MAX && serde_json::from_slice::<&RawValue>(id).is_ok()).then_some(id)
}

/// By hand, because a password is nobody's business.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscribe { user_agent, session } => {
                write!(formatter, "Subscribe {{ user_agent: {user_agent:?}, session: {session:?} }}")
            }
            Self::Authorize { username, .. } => write!(formatter, "Authorize {{ username: {username:?}, .. }}"),
            Self::Configure(configure) => write!(formatter, "{configure:?}"),
            Self::Submit { username, claim } => {
                write!(formatter, "Submit {{ username: {username:?}, claim: {claim:?} }}")
            }
            Self::SuggestDifficulty(difficulty) => write!(formatter, "SuggestDifficulty({difficulty:?})"),
            Self::SuggestTarget(difficulty) => write!(formatter, "SuggestTarget({difficulty:?})"),
            Self::ExtranonceSubscribe => formatter.write_str("ExtranonceSubscribe"),
            Self::Ping => formatter.write_str("Ping"),
            Self::GetVersion => formatter.write_str("GetVersion"),
            Self::MultiVersion => formatter.write_str("MultiVersion"),
            Self::Response => formatter.write_str("Response"),
            Self::Unknown { method } => write!(formatter, "Unknown {{ method: {method:?} }}"),
        }
    }
}
