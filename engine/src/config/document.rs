//! Layers of values, merged into one tree in which every value knows where it came from.
//!
//! File, then environment, then flags: the last one wins, key by key. Nothing here knows which keys exist or what
//! is allowed; a value has only the types of TOML.

use super::problem::{Origin, Problem};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use toml::de::{DeInteger, DeTable, DeValue, ValueDeserializer};

/// Prefix of the environment variables that override keys: `WARPPOOL__SECTION__KEY`.
pub const ENVIRONMENT_PREFIX: &str = "WARPPOOL__";

/// Tables and lists in each other, counting those of the key: far fewer than a file may have, far more than any key needs.
const OVERRIDE_DEPTH_MAX: usize = 16;

/// A table: names to values.
pub(super) type Table = BTreeMap<String, Entry>;

/// A value and its place.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// A value with the types of TOML.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Vec<Entry>),
    Table(Table),
    /// A date, or a number that fits no type of ours: never allowed, kept to be shown.
    Other(String),
}

impl Value {
    /// A noun for error messages.
    pub(super) const fn noun(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Boolean(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(_) => "a date or an oversized number",
        }
    }

    /// The same value for tables that are kept without being understood yet.
    pub(super) fn to_toml(&self) -> toml::Value {
        match self {
            Self::Text(text) | Self::Other(text) => toml::Value::String(text.clone()),
            Self::Integer(number) => toml::Value::Integer(*number),
            Self::Float(number) => toml::Value::Float(*number),
            Self::Boolean(flag) => toml::Value::Boolean(*flag),
            Self::List(list) => toml::Value::Array(list.iter().map(|entry| entry.value.to_toml()).collect()),
            Self::Table(table) => toml::Value::Table(to_toml(table)),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(formatter, "{text:?}"),
            Self::Integer(number) => write!(formatter, "{number}"),
            Self::Float(number) => write!(formatter, "{number:?}"),
            Self::Boolean(flag) => write!(formatter, "{flag}"),
            Self::List(list) => {
                let items: Vec<String> = list.iter().map(|entry| entry.value.to_string()).collect();
                write!(formatter, "[{}]", items.join(", "))
            }
            Self::Table(_) => formatter.write_str("{...}"),
            Self::Other(text) => formatter.write_str(text),
        }
    }
}

/// The table without its places.
pub(super) fn to_toml(table: &Table) -> toml::Table {
    table.iter().map(|(name, entry)| (name.clone(), entry.value.to_toml())).collect()
}

/// Reads TOML with the line of every value. Each syntax error is a problem, and then the table is empty: what is read beside it
/// may be a misunderstanding. Behind a bracket that is never closed a value counts as a name, even one that is secret.
pub(super) fn parse(path: &Arc<PathBuf>, text: &str, problems: &mut Vec<Problem>) -> Table {
    let lines = Lines::of(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let is_broken = !errors.is_empty();
    for error in errors {
        let line = error.span().map_or(0, |span| lines.at(span.start));
        let origin = Origin::File { path: path.clone(), line };
        let message = format!("not valid TOML: {}", error.message());
        problems.push(Problem { origin, key: String::new(), value: None, message });
    }
    if is_broken {
        return Table::new();
    }
    table_from(document.get_ref(), &|offset| Origin::File { path: path.clone(), line: lines.at(offset) })
}

fn table_from(table: &DeTable<'_>, origin: &dyn Fn(usize) -> Origin) -> Table {
    let named = |(name, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let name: &std::borrow::Cow<'_, str> = name.get_ref();
        (name.to_string(), Entry { value: value_from(value.get_ref(), origin), origin: origin(value.span().start) })
    };
    table.iter().map(named).collect()
}

fn value_from(value: &DeValue<'_>, origin: &dyn Fn(usize) -> Origin) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::Other(number.to_string()), Value::Integer),
        DeValue::Float(number) => {
            number.as_str().parse().map_or_else(|_| Value::Other(number.to_string()), Value::Float)
        }
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(date) => Value::Other(date.to_string()),
        DeValue::Array(list) => Value::List(
            list.iter()
                .map(|item| Entry { value: value_from(item.get_ref(), origin), origin: origin(item.span().start) })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(table_from(table, origin)),
    }
}

/// Sets the key that the variable `WARPPOOL__SECTION__KEY` names. Other variables are left alone.
pub(super) fn apply_environment(
    root: &mut Table,
    variables: &[(String, String)],
    is_text: impl Fn(&str) -> bool,
    problems: &mut Vec<Problem>,
) {
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
        let key = path.to_lowercase().replace("__", ".");
        let value = value_of_override(text, is_text(&key));
        insert(root, &key, Entry { value, origin: Origin::Environment(name.clone()) }, problems);
    }
}

/// Sets the keys of `--set section.key=value`.
pub(super) fn apply_flags(
    root: &mut Table,
    overrides: &[String],
    is_text: impl Fn(&str) -> bool,
    problems: &mut Vec<Problem>,
) {
    for assignment in overrides {
        let Some((key, text)) = assignment.split_once('=') else {
            let message = format!("--set takes section.key=value, not {assignment:?}");
            problems.push(Problem { origin: Origin::Flag, key: String::new(), value: None, message });
            continue;
        };
        let key = key.trim();
        let value = value_of_override(text.trim(), is_text(key));
        insert(root, key, Entry { value, origin: Origin::Flag }, problems);
    }
}

/// An override is a TOML value; where a text is wanted the quotes may be left out, since shells eat them.
fn value_of_override(text: &str, wants_text: bool) -> Value {
    let plain = || Value::Text(text.to_owned());
    if wants_text && !text.starts_with('"') && !text.starts_with('\'') {
        return plain();
    }
    let Ok(value) = DeValue::parse(text) else { return plain() };
    // Numbers have been looked at no further than their first digit.
    let is_sound = ValueDeserializer::parse(text).is_ok_and(|value| toml::Value::deserialize(value).is_ok());
    let is_oversized = matches!(value.get_ref(), DeValue::Integer(number) if is_number(number));
    if is_sound || is_oversized { value_from(value.get_ref(), &|_| Origin::Default) } else { plain() }
}

fn is_number(number: &DeInteger<'_>) -> bool {
    number.as_str().trim_start_matches(['+', '-']).chars().all(|digit| digit.is_digit(number.radix()))
}

/// Puts a value at a dotted path, making the tables on the way.
fn insert(root: &mut Table, key: &str, entry: Entry, problems: &mut Vec<Problem>) {
    let mut names: Vec<&str> = key.split('.').collect();
    let origin = entry.origin.clone();
    let refusal = if names.contains(&"") {
        Some("a key is a section and a name with a dot between them, such as server.pool_listen".to_owned())
    } else if names.len() + depth(&entry.value) > OVERRIDE_DEPTH_MAX {
        Some(format!("tables and lists within each other go {OVERRIDE_DEPTH_MAX} deep at most"))
    } else {
        None
    };
    if let Some(message) = refusal {
        problems.push(Problem { origin, key: key.to_owned(), value: None, message });
        return;
    }
    let Some(last) = names.pop() else { return };
    let mut table = root;
    for name in names {
        let child = table
            .entry(name.to_owned())
            .or_insert_with(|| Entry { value: Value::Table(Table::new()), origin: origin.clone() });
        let Value::Table(next) = &mut child.value else {
            let message = format!("{name} is not a table, so it has no key {last}");
            problems.push(Problem { origin, key: key.to_owned(), value: None, message });
            return;
        };
        table = next;
    }
    table.insert(last.to_owned(), entry);
}

/// How many lists and tables are in each other.
fn depth(value: &Value) -> usize {
    let deepest = match value {
        Value::List(items) => items.iter().map(|item| depth(&item.value)).max(),
        Value::Table(table) => table.values().map(|entry| depth(&entry.value)).max(),
        _ => return 0,
    };
    1 + deepest.unwrap_or_default()
}

/// Byte offsets at which lines start.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// The line of a byte, counted from 1.
    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }
}
