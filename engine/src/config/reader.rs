//! Typed reading of the merged tree: every key is taken out once, checked, and what is left over is unknown.
//!
//! A wrong value is noted and read as absent, so that reading goes on and all mistakes come out together.

use super::document::{Entry, Table, Value};
use super::nearest::nearest;
use super::problem::{Origin, Problem};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroize;

/// Takes keys out of a tree and gathers what is wrong with them.
pub(super) struct Reader {
    root: Table,
    file: Origin,
    /// Hides values in problems: the file holds secrets.
    secret: bool,
    /// Keys that were asked for, so that unknown ones can be told the nearest.
    asked: Vec<String>,
    /// Place and text of the keys that were given.
    given: BTreeMap<String, (Origin, String)>,
    pub(super) problems: Vec<Problem>,
}

impl Reader {
    /// A reader of `root`; problems of keys that nobody gave are said of `file`.
    pub(super) fn new(root: Table, file: Origin, secret: bool) -> Self {
        Self { root, file, secret, asked: Vec::new(), given: BTreeMap::new(), problems: Vec::new() }
    }

    /// A flag.
    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        self.convert(key, |value| match value {
            Value::Boolean(flag) => Ok(*flag),
            other => Err(format!("must be true or false, not {}", other.noun())),
        })
    }

    /// A whole number within `range`.
    pub(super) fn integer<T: TryFrom<i64>>(&mut self, key: &str, range: RangeInclusive<i64>) -> Option<T> {
        let number = self.convert(key, |value| match value {
            Value::Integer(number) if range.contains(number) => Ok(*number),
            Value::Integer(_) => Err(format!("must be {} to {}", range.start(), range.end())),
            other => Err(format!("must be a whole number, {} to {}, not {}", range.start(), range.end(), other.noun())),
        })?;
        T::try_from(number).ok()
    }

    /// A number within `range`; whole numbers count too.
    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<f64>) -> Option<f64> {
        self.convert(key, |value| {
            let number = match value {
                Value::Float(number) => *number,
                // Whole numbers beyond 2^53 lose digits; every range here ends far below.
                #[allow(clippy::cast_precision_loss)]
                Value::Integer(number) => *number as f64,
                other => {
                    return Err(format!(
                        "must be a number, {} to {}, not {}",
                        range.start(),
                        range.end(),
                        other.noun()
                    ));
                }
            };
            let allowed = range.contains(&number);
            if allowed { Ok(number) } else { Err(format!("must be {} to {}", range.start(), range.end())) }
        })
    }

    /// Whole seconds within `range`.
    pub(super) fn seconds(&mut self, key: &str, range: RangeInclusive<i64>) -> Option<Duration> {
        self.integer::<u64>(key, range).map(Duration::from_secs)
    }

    /// Whole milliseconds within `range`.
    pub(super) fn milliseconds(&mut self, key: &str, range: RangeInclusive<i64>) -> Option<Duration> {
        self.integer::<u64>(key, range).map(Duration::from_millis)
    }

    /// A text, whatever it says.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.parsed(key, |text| Ok(text.to_owned()))
    }

    /// A text that `parse` understands; its error says what is allowed.
    pub(super) fn parsed<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.convert(key, |value| parse(text_of(value)?))
    }

    /// As [`Self::parsed`], but the empty text counts as absent: `Some(None)` says that it was given.
    pub(super) fn parsed_or_empty<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        self.parsed(key, |text| if text.is_empty() { Ok(None) } else { parse(text).map(Some) })
    }

    /// A path, relative to `directory` unless absolute; empty counts as absent.
    pub(super) fn path(&mut self, key: &str, directory: &Path) -> Option<PathBuf> {
        self.parsed_or_empty(key, |text| Ok(directory.join(text))).flatten()
    }

    /// A list whose items `parse` understands.
    pub(super) fn list<T>(&mut self, key: &str, parse: impl Fn(&Value) -> Result<T, String>) -> Option<Vec<T>> {
        self.convert(key, |value| match value {
            Value::List(items) => items.iter().map(|item| parse(&item.value)).collect(),
            other => Err(format!("must be a list such as [] or [item, item], not {}", other.noun())),
        })
    }

    /// A whole table with keys of the operator's choice.
    pub(super) fn table(&mut self, key: &str) -> Option<Table> {
        self.convert(key, |value| match value {
            Value::Table(table) => Ok(table.clone()),
            other => Err(format!("must be a table, not {}", other.noun())),
        })
    }

    /// A table with names of the operator's choice, whose values `parse` understands; each wrong entry is a problem
    /// of its own.
    pub(super) fn entries<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str, &Value) -> Result<T, String>,
    ) -> BTreeMap<String, T> {
        let mut parsed = BTreeMap::new();
        for (name, Entry { value, origin }) in self.table(key).unwrap_or_default() {
            match parse(&name, &value) {
                Ok(item) => drop(parsed.insert(name, item)),
                Err(message) => self.problem(origin, &format!("{key}.{name}"), Some(value.to_string()), message),
            }
        }
        parsed
    }

    /// The tables of `[[key]]`, each with its own reader to be given back by [`Self::finish_part`].
    pub(super) fn tables(&mut self, key: &str) -> Vec<Self> {
        let items = self.convert(key, |value| match value {
            Value::List(items) => Ok(items.clone()),
            other => Err(format!("must be written as [[{key}]], not as {}", other.noun())),
        });
        let mut parts = Vec::new();
        for Entry { value, origin } in items.unwrap_or_default() {
            match value {
                Value::Table(table) => parts.push(Self::new(table, origin, self.secret)),
                other => self.problem(origin, key, Some(other.to_string()), "must hold tables only".to_owned()),
            }
        }
        parts
    }

    /// Takes over the problems of a part of the list `key`, its unknown keys among them.
    pub(super) fn finish_part(&mut self, key: &str, part: Self) {
        for mut problem in part.finish(&[]) {
            problem.key = format!("{key}.{}", problem.key);
            self.problems.push(problem);
        }
    }

    /// Notes that the value of `key`, or its absence, does not fit the others.
    pub(super) fn complain(&mut self, key: &str, message: impl Into<String>) {
        let (origin, value) = match self.given.get(key) {
            Some((origin, value)) => (origin.clone(), Some(value.clone())),
            None => (self.file.clone(), None),
        };
        self.problem(origin, key, value, message.into());
    }

    /// Whether `key` has been read and was given by somebody.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }

    /// Whether something has been said about `key` already, so that its absence is only a consequence.
    pub(super) fn has_problem(&self, key: &str) -> bool {
        self.problems.iter().any(|problem| problem.key == key)
    }

    /// Every key that was asked for.
    #[cfg(test)]
    pub(super) fn asked(&self) -> &[String] {
        &self.asked
    }

    /// All problems, with one for each key that nobody asked for. `elsewhere` holds names that belong into another
    /// file, with the reason.
    pub(super) fn finish(mut self, elsewhere: &[(&str, &str)]) -> Vec<Problem> {
        let root = std::mem::take(&mut self.root);
        self.unknown("", root, elsewhere);
        self.problems
    }

    fn unknown(&mut self, prefix: &str, table: Table, elsewhere: &[(&str, &str)]) {
        for (name, entry) in table {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let is_section = self.asked.iter().any(|asked| asked.starts_with(&format!("{key}.")));
            match entry.value {
                Value::Table(inner) if is_section => self.unknown(&key, inner, elsewhere),
                value if is_section => {
                    let message = format!("must be a table [{key}], not {}", value.noun());
                    self.problem(entry.origin, &key, Some(value.to_string()), message);
                }
                value => self.unknown_key(&key, &name, &value, entry.origin, elsewhere),
            }
        }
    }

    fn unknown_key(&mut self, key: &str, name: &str, value: &Value, origin: Origin, elsewhere: &[(&str, &str)]) {
        let misplaced = elsewhere.iter().find(|(other, _)| *other == name);
        if let Some((_, reason)) = misplaced {
            self.problem(origin, key, None, (*reason).to_owned());
            return;
        }
        let same_name = self.asked.iter().find(|asked| asked.rsplit('.').next() == Some(name));
        let sections = self.asked.iter().filter_map(|asked| asked.split_once('.').map(|(section, _)| section));
        let candidates = self.asked.iter().map(String::as_str).chain(sections);
        let message = match same_name.map(String::as_str).or_else(|| nearest(key, candidates)) {
            Some(known) => format!("there is no such key; the nearest known one is {known}"),
            None => "there is no such key; `warppool config default` prints all of them".to_owned(),
        };
        self.problem(origin, key, Some(value.to_string()), message);
    }

    fn convert<T>(&mut self, key: &str, convert: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        self.asked.push(key.to_owned());
        let Entry { mut value, origin } = take(&mut self.root, key)?;
        let shown = if self.secret { String::new() } else { value.to_string() };
        self.given.insert(key.to_owned(), (origin.clone(), shown.clone()));
        let converted = convert(&value);
        if let (true, Value::Text(text)) = (self.secret, &mut value) {
            text.zeroize();
        }
        converted.map_err(|message| self.problem(origin, key, Some(shown), message)).ok()
    }

    fn problem(&mut self, origin: Origin, key: &str, value: Option<String>, message: String) {
        let value = value.filter(|_| !self.secret && !is_secret(key)).map(|value| without_user(&value));
        self.problems.push(Problem { origin, key: without_address(key), value, message });
    }
}

/// The text of a value, or the complaint that it is none.
pub(super) fn text_of(value: &Value) -> Result<&str, String> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(format!("must be a text in quotes, not {}", other.noun())),
    }
}

fn take(table: &mut Table, key: &str) -> Option<Entry> {
    let Some((section, rest)) = key.split_once('.') else { return table.remove(key) };
    match &mut table.get_mut(section)?.value {
        Value::Table(inner) => take(inner, rest),
        _ => None,
    }
}

/// Names whose values are not repeated, wherever an operator wrote them.
fn is_secret(key: &str) -> bool {
    ["password", "pass", "secret", "token", "private", "webhook"].iter().any(|word| key.contains(word))
}

/// A value without the user and password that somebody put before a host. Which of several `@`, `/` and quotes belong to the
/// password nobody can tell, so rather too much is left out than too little.
fn without_user(value: &str) -> String {
    let Some((before, host)) = value.rsplit_once('@') else { return value.to_owned() };
    match before.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://***@{host}"),
        // The scheme is forgotten more easily than the password.
        None if before.contains(':') => format!("***@{host}"),
        None => value.to_owned(),
    }
}

/// A key without what stands behind a scheme: in a broken line an address, and its password, may be taken for a name.
fn without_address(key: &str) -> String {
    key.split_once("://").map_or_else(|| without_user(key), |(scheme, _)| format!("{scheme}://***"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_not_repeated() {
        for (value, shown) in [
            ("\"http://me:hush@node:8332\"", "\"http://***@node:8332\""),
            ("\"http://me:hu/sh@node:8332\"", "\"http://***@node:8332\""),
            ("\"http://me:hu@sh@node:8332\"", "\"http://***@node:8332\""),
            ("\"me:hush@node:8332\"", "***@node:8332\""),
            ("[\"http://node:8332\", \"http://me:hush@node:8332\"]", "[\"http://***@node:8332\"]"),
            ("\"http://node:8332/a\"", "\"http://node:8332/a\""),
            ("\"a@b\"", "\"a@b\""),
            ("plain", "plain"),
        ] {
            assert_eq!(without_user(value), shown, "{value}");
        }
    }

    #[test]
    fn an_address_that_was_taken_for_a_key_is_not_repeated() {
        for (key, shown) in [
            ("http://me:hush@node:8332", "http://***"),
            ("bitcoin.http://me:hu", "bitcoin.http://***"),
            ("me:hush@node:8332", "***@node:8332"),
            ("pool.listn", "pool.listn"),
        ] {
            assert_eq!(without_address(key), shown, "{key}");
        }
    }
}
