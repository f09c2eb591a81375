//! What the swarm needs of a `mining.notify`: enough for a well-formed submit, or only that it is one.

use serde_json::Value;

const METHOD: &[u8] = b"\"mining.notify\"";

/// The parts of a job that a submit repeats, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobText {
    pub(crate) id: String,
    pub(crate) time: String,
}

impl JobText {
    /// Reads them from a parsed notify.
    pub(crate) fn of(message: &Value) -> Option<Self> {
        let params = &message["params"];
        Some(Self { id: params[0].as_str()?.to_owned(), time: params[7].as_str()?.to_owned() })
    }
}

/// Whether a line is a notify, without parsing it. Pools put the method near the start or the end.
pub(crate) fn is_notify(line: &[u8]) -> bool {
    let near = 64.min(line.len());
    contains(&line[..near], METHOD) || contains(&line[line.len() - near..], METHOD) || contains(line, METHOD)
}

/// Whether a notify says clean: its only boolean is the last parameter.
pub(crate) fn is_clean(notify: &[u8]) -> bool {
    let last = |token: &[u8]| notify.windows(token.len()).rposition(|window| window == token);
    last(b"true") > last(b"false")
}

fn contains(bytes: &[u8], token: &[u8]) -> bool {
    bytes.windows(token.len()).any(|window| window == token)
}

#[cfg(test)]
mod tests {
    use super::{JobText, is_clean, is_notify};

    const CLEAN: &str = r#"{"id":null,"method":"mining.notify","params":["a1","00","01","02",[],"20000000","207fffff","65612f00",true]}"#;

    #[test]
    fn a_notify_is_recognised_in_any_key_order() {
        let swapped = CLEAN.replace(r#","method":"mining.notify""#, "").replace('}', r#","method":"mining.notify"}"#);
        for line in [CLEAN, &swapped] {
            assert!(is_notify(line.as_bytes()), "{line}");
            assert!(is_clean(line.as_bytes()), "{line}");
            assert!(!is_clean(line.replace("true", "false").as_bytes()), "{line}");
        }
        assert!(!is_notify(br#"{"id":1,"result":true,"error":null}"#));
        assert!(!is_notify(b""));
    }

    #[test]
    fn a_submit_repeats_id_and_time() {
        let message = serde_json::from_str(CLEAN).expect("valid JSON");
        assert_eq!(JobText::of(&message), Some(JobText { id: "a1".to_owned(), time: "65612f00".to_owned() }));
        assert_eq!(JobText::of(&serde_json::json!({"params": []})), None);
    }
}
