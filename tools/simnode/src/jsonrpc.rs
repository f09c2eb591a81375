//! JSON-RPC as Core speaks it: 1.0 (errors with HTTP 500, 404, 400), 2.0 (errors with HTTP 200), batches.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// An error object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: String,
}

impl RpcError {
    pub(crate) const MISC_ERROR: i64 = -1;
    pub(crate) const TYPE_ERROR: i64 = -3;
    pub(crate) const INVALID_ADDRESS_OR_KEY: i64 = -5;
    pub(crate) const INVALID_PARAMETER: i64 = -8;
    pub(crate) const CLIENT_NOT_CONNECTED: i64 = -9;
    pub(crate) const CLIENT_IN_INITIAL_DOWNLOAD: i64 = -10;
    pub(crate) const DESERIALIZATION_ERROR: i64 = -22;
    pub(crate) const PARSE_ERROR: i64 = -32700;
    pub(crate) const INVALID_REQUEST: i64 = -32600;
    pub(crate) const METHOD_NOT_FOUND: i64 = -32601;

    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// A call's outcome. The result is raw, because a template takes megabytes.
pub(crate) type Outcome = Result<Box<RawValue>, RpcError>;

/// Serialises a result.
pub(crate) fn result<T: Serialize>(value: &T) -> Outcome {
    to_raw_value(value).map_err(|error| RpcError::new(RpcError::MISC_ERROR, error.to_string()))
}

/// Which version of JSON-RPC a request speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// One call.
pub(crate) struct Call {
    pub(crate) version: Version,
    /// `None` for a notification of version 2.0.
    pub(crate) id: Option<Value>,
    pub(crate) request: Result<(String, Params), RpcError>,
}

/// Parameters by position or by name.
pub(crate) struct Params(Value);

impl Params {
    /// The parameter at `index`, or called `name`; `None` when missing or null.
    pub(crate) fn get(&self, index: usize, name: &str) -> Option<&Value> {
        let value = if self.0.is_object() { self.0.get(name) } else { self.0.get(index) };
        value.filter(|value| !value.is_null())
    }

    /// Text that must be there.
    pub(crate) fn text(&self, index: usize, name: &str) -> Result<&str, RpcError> {
        let value = self.required(index, name)?;
        value.as_str().ok_or_else(|| wrong_type(value, "string"))
    }

    /// A number that must be there.
    pub(crate) fn number(&self, index: usize, name: &str) -> Result<i64, RpcError> {
        let value = self.required(index, name)?;
        value.as_i64().ok_or_else(|| wrong_type(value, "number"))
    }

    fn required(&self, index: usize, name: &str) -> Result<&Value, RpcError> {
        let missing = || RpcError::new(RpcError::MISC_ERROR, format!("missing required parameter {name}"));
        self.get(index, name).ok_or_else(missing)
    }
}

/// Core's complaint about a parameter's type.
pub(crate) fn wrong_type(value: &Value, expected: &str) -> RpcError {
    let actual = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    RpcError::new(RpcError::TYPE_ERROR, format!("JSON value of type {actual} is not of expected type {expected}"))
}

impl Call {
    /// Reads one request object.
    pub(crate) fn parse(mut request: Value) -> Self {
        let is_two = request.get("jsonrpc").and_then(Value::as_str) == Some("2.0");
        let version = if is_two { Version::Two } else { Version::One };
        let id = request.get_mut("id").map(Value::take);
        let id = if is_two { id } else { Some(id.unwrap_or(Value::Null)) };
        Self { version, id, request: parse_request(&mut request) }
    }

    /// HTTP status of a single answer.
    pub(crate) fn status(&self, outcome: &Outcome) -> u16 {
        match (self.version, outcome) {
            (Version::Two, _) if self.id.is_none() => 204,
            (Version::Two, _) | (_, Ok(_)) => 200,
            (_, Err(error)) if error.code == RpcError::INVALID_REQUEST => 400,
            (_, Err(error)) if error.code == RpcError::METHOD_NOT_FOUND => 404,
            _ => 500,
        }
    }

    /// The answer's text; `None` for a notification.
    pub(crate) fn answer(&self, outcome: &Outcome) -> Option<String> {
        let id = self.id.as_ref()?;
        Some(match (self.version, outcome) {
            (Version::Two, Ok(result)) => format!("{{\"jsonrpc\":\"2.0\",\"result\":{result},\"id\":{id}}}"),
            (Version::Two, Err(error)) => format!("{{\"jsonrpc\":\"2.0\",\"error\":{},\"id\":{id}}}", error.object()),
            (Version::One, Ok(result)) => format!("{{\"result\":{result},\"error\":null,\"id\":{id}}}"),
            (Version::One, Err(error)) => format!("{{\"result\":null,\"error\":{},\"id\":{id}}}", error.object()),
        })
    }
}

impl RpcError {
    fn object(&self) -> Value {
        serde_json::json!({"code": self.code, "message": self.message})
    }
}

fn parse_request(request: &mut Value) -> Result<(String, Params), RpcError> {
    let invalid = |message: &str| RpcError::new(RpcError::INVALID_REQUEST, message);
    if !request.is_object() {
        return Err(invalid("Invalid Request object"));
    }
    let method = match request.get("method") {
        None | Some(Value::Null) => return Err(invalid("Missing method")),
        Some(method) => method.as_str().ok_or_else(|| invalid("Method must be a string"))?.to_owned(),
    };
    let params = request.get_mut("params").map_or(Value::Null, Value::take);
    match params {
        Value::Null | Value::Array(_) | Value::Object(_) => Ok((method, Params(params))),
        _ => Err(invalid("Params must be an array or object")),
    }
}
