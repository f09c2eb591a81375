//! What is said on the socket.

use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Read};
use warppool_components::limits::{CONTROL_LINE_BYTES_MAX, MINER_MESSAGE_BYTES_MAX, RECONNECT_HOST_BYTES_MAX};

/// An order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Show miners a sentence.
    Message {
        /// `address.name`, or an address; nobody means everybody.
        worker: Option<String>,
        /// The sentence.
        text: String,
    },
    /// Tell miners to connect anew.
    Reconnect {
        /// `address.name`, or an address; nobody means everybody.
        worker: Option<String>,
        /// `host:port`; nothing means where they are.
        place: Option<String>,
    },
}

/// What became of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// So many connections were told.
    Shown(u32),
    /// Nothing was done, and why.
    Refused(String),
}

impl Order {
    /// Whether miners can be trusted with it.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Message { text, .. } => check_sentence(text),
            Self::Reconnect { place, .. } => place.as_deref().map_or(Ok(()), |place| host_and_port(place).map(drop)),
        }
    }
}

fn check_sentence(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("the message is empty".to_owned());
    }
    if text.len() > MINER_MESSAGE_BYTES_MAX {
        return Err(format!("the message has {} bytes, {MINER_MESSAGE_BYTES_MAX} are allowed", text.len()));
    }
    match text.chars().find(|letter| letter.is_control()) {
        Some(letter) => Err(format!("the message holds the control character U+{:04X}", u32::from(letter))),
        None => Ok(()),
    }
}

/// Host and port that miners can be sent to. IPv6 addresses stand in brackets.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn host_and_port(place: &str) -> Result<(&str, u16), String> {
    let form = || format!("{place:?} is not HOST:PORT, such as pool.example.com:3333");
    let (host, port) = place.rsplit_once(':').ok_or_else(form)?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(form)?;
    let is_address = host.strip_prefix('[').is_some_and(|rest| rest.ends_with(']'));
    let is_name = |host: &str| host.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-_".contains(letter));
    if host.is_empty() || !is_address && !is_name(host) || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(form());
    }
    if host.len() > RECONNECT_HOST_BYTES_MAX {
        return Err(format!("the host has {} bytes, {RECONNECT_HOST_BYTES_MAX} are allowed", host.len()));
    }
    Ok((host, port))
}

/// Reads one line of JSON, and not more than [`CONTROL_LINE_BYTES_MAX`] of it.
///
/// # Errors
/// When the other side is gone or silent, or what it sends is not understood.
pub(super) fn read<T: for<'de> Deserialize<'de>>(stream: impl Read) -> io::Result<T> {
    let mut line = Vec::new();
    BufReader::new(stream.take(CONTROL_LINE_BYTES_MAX as u64)).read_until(b'\n', &mut line)?;
    serde_json::from_slice(&line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Text of one line of JSON.
pub(super) fn line<T: Serialize>(value: &T) -> String {
    let text = serde_json::to_string(value).expect("strings and numbers can be written");
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_short_and_without_control_characters() {
        let check = |text: &str| Order::Message { worker: None, text: text.to_owned() }.check();
        assert_eq!(check("Maintenance at 22:00, Grüße"), Ok(()));
        for (text, said) in [
            ("", "empty"),
            (" ", "empty"),
            ("two\nlines", "U+000A"),
            ("\u{1b}[31mred", "U+001B"),
            ("\u{7f}", "U+007F"),
            (&"x".repeat(201), "201 bytes"),
        ] {
            let error = check(text).expect_err(text);
            assert!(error.contains(said), "{text:?}: {error}");
        }
    }

    #[test]
    fn miners_are_sent_to_a_host_and_a_port_and_nowhere_else() {
        for (place, expected) in [
            ("pool.example.com:3333", Some(("pool.example.com", 3333))),
            ("10.0.0.2:1", Some(("10.0.0.2", 1))),
            ("[2001:db8::1]:3333", Some(("[2001:db8::1]", 3333))),
            ("2001:db8::1:3333", None),
            ("pool.example.com", None),
            (":3333", None),
            ("pool:0", None),
            ("pool:65536", None),
            ("stratum+tcp://pool:3333", None),
            ("po ol:3333", None),
            (&format!("{}:3333", "x".repeat(254)), None),
        ] {
            let found = host_and_port(place);
            assert_eq!(found.clone().ok(), expected, "{place}: {found:?}");
            let order = Order::Reconnect { worker: None, place: Some(place.into()) };
            assert_eq!(order.check().is_ok(), expected.is_some());
        }
        assert_eq!(Order::Reconnect { worker: None, place: None }.check(), Ok(()));
    }

    #[test]
    fn what_is_no_order_is_refused() {
        let order = Order::Message { worker: Some("a.b".into()), text: "hello".into() };
        assert_eq!(read::<Order>(line(&order).as_bytes()).expect("an order"), order);
        let long = format!("{{\"message\":{{\"text\":\"{}\"}}}}\n", "x".repeat(CONTROL_LINE_BYTES_MAX));
        for text in ["", "{}\n", "{\"stop\":{}}\n", &long, "{\"message\":{\"text\":\"x\",\"more\":1}}\n"] {
            assert!(read::<Order>(text.as_bytes()).is_err(), "{text:.60}");
        }
    }
}
