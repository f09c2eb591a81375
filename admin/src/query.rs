//! Paths and queries: percent decoding, and parameters with their limits.

use crate::problem::{Problem, shortened};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The segments of a path, decoded; `/a/b%2Fc` is `a` and `b/c`. `None` when an escape is malformed or the text is not
/// UTF-8.
pub(crate) fn path_segments(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.is_empty() {
        return Some(Vec::new());
    }
    path.split('/').map(|segment| decode(segment, false)).collect()
}

/// The parameters of a query, each known and given once.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Takes a query apart. Names that start with `_` are ignored: some programs add one to get round caches.
    ///
    /// # Errors
    /// A parameter that is not in `known`, given twice, or badly encoded.
    pub(crate) fn parse(text: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.unwrap_or("").split('&').filter(|pair| !pair.is_empty() && !pair.starts_with('_')) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name, true), decode(value, true)) else {
                return Err(Problem::bad_request(
                    "The query is badly percent-encoded: after % come two hexadecimal digits, and the text is UTF-8.",
                ));
            };
            if !known.contains(&name.as_str()) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let name = shortened(&name);
                return Err(Problem::bad_request(format!("The parameter \"{name}\" is unknown here; known: {known}.")));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(Problem::bad_request(format!("The parameter \"{name}\" is given twice.")));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// A parameter's text; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, value)| other == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// A parameter's number.
    ///
    /// # Errors
    /// It is not a number or outside the range.
    pub(crate) fn number<T>(&self, name: &str, range: RangeInclusive<T>) -> Result<Option<T>, Problem>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(value) if range.contains(&value) => Ok(Some(value)),
            _ => Err(Problem::bad_request(format!(
                "The parameter {name} is \"{}\"; it must be a whole number from {} to {}.",
                shortened(text),
                range.start(),
                range.end()
            ))),
        }
    }
}

fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_after_they_are_split() {
        assert_eq!(path_segments("/"), Some(vec![]));
        assert_eq!(path_segments("/api/a%2Fb%20%C3%A4"), Some(vec!["api".into(), "a/b ä".into()]));
        assert_eq!(path_segments("/a+b/"), Some(vec!["a+b".into(), String::new()]));
        for malformed in ["/%", "/%4", "/%zz", "/%ff", "/%+1"] {
            assert_eq!(path_segments(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn parameters_are_known_single_and_in_range() {
        let query =
            Query::parse(Some("q=a%26b+c&_=17&hours=24&empty="), &["q", "hours", "empty"]).expect("well formed");
        assert_eq!((query.text("q"), query.text("empty")), (Some("a&b c"), None));
        assert_eq!(query.number("hours", 1..=48), Ok(Some(24)));
        assert!(query.number("hours", 1..=23).is_err());
        assert!(query.number("q", 1..=23).is_err());
        for malformed in ["hour=1", "q=1&q=2", "q=%"] {
            assert!(Query::parse(Some(malformed), &["q", "hours"]).is_err(), "{malformed}");
        }
    }
}
