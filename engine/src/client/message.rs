//! A line of a pool, taken apart. The id stays as it was written.

use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// What a pool has sent.
#[derive(Clone, PartialEq, Debug)]
pub enum Message {
    /// An answer.
    Reply(Reply),
    /// Something that nobody asked for.
    Notification {
        /// JSON text of its id, if it has one.
        id: Option<String>,
        /// What it is about.
        method: String,
        /// Its parameters; null when missing.
        params: Value,
        /// Their JSON text, because a number can be written in several ways.
        params_text: String,
    },
}

/// An answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Reply {
    /// JSON text of its id; `None` when there is none.
    pub id: Option<String>,
    /// Its result; `None` when the member is missing.
    pub result: Option<Value>,
    /// Its error; `None` when the member is missing.
    pub error: Option<Value>,
}

impl Reply {
    /// The answer is a plain yes.
    pub fn is_true(&self) -> bool {
        self.result == Some(Value::Bool(true)) && self.error.as_ref().is_none_or(Value::is_null)
    }

    /// The code of the error, when it has the usual shape `[code, text, ...]`.
    pub fn error_code(&self) -> Option<i64> {
        self.error.as_ref()?.get(0)?.as_i64()
    }

    /// The error in words, whatever its shape.
    pub fn error_text(&self) -> String {
        match &self.error {
            Some(error) if !error.is_null() => {
                error.get(1).and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned)
            }
            _ => "no error is given".to_owned(),
        }
    }
}

/// Takes a line apart.
///
/// # Errors
/// A sentence about what is no message.
pub fn read(line: &str) -> Result<Message, String> {
    let members: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(line).map_err(|error| format!("a line is not one JSON object: {error}"))?;
    let value = |name: &str| members.get(name).and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    let id = members.get("id").map(|raw| raw.get().to_owned());
    match value("method") {
        Some(Value::String(method)) => Ok(Message::Notification {
            id,
            method,
            params: value("params").unwrap_or_default(),
            params_text: members.get("params").map(|raw| raw.get().to_owned()).unwrap_or_default(),
        }),
        Some(other) if !other.is_null() => Err(format!("the method of a line is {other}, not a string")),
        _ => Ok(Message::Reply(Reply { id, result: value("result"), error: value("error") })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_as_they_are_written() {
        for id in ["1", "1.50", "null", "\"a\\u0041\"", "123456789012345678901234567890"] {
            let Ok(Message::Reply(reply)) = read(&format!("{{\"result\":true, \"id\": {id} ,\"error\":null}}")) else {
                panic!("a reply")
            };
            assert_eq!(reply.id.as_deref(), Some(id));
            assert!(reply.is_true());
        }
        let Ok(Message::Reply(reply)) = read(r#"{"error":[21,"Job not found",null]}"#) else { panic!("a reply") };
        assert_eq!((reply.id.clone(), reply.result.clone(), reply.error_code()), (None, None, Some(21)));
        assert_eq!(reply.error_text(), "Job not found");
        for bad in ["", "[]", "{\"id\":1,\"result\":{\"a\":true,}}", "{}{}", "{\"method\":5}"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
