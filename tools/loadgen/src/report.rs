//! A run's figures, once for a person (a table) and once for a program (one line of JSON).

use serde_json::{Map, Value};

/// Figures of one run in the order in which they are read.
#[derive(Debug, Clone)]
pub struct Report {
    mode: &'static str,
    rows: Vec<Row>,
}

#[derive(Debug, Clone)]
struct Row {
    key: String,
    label: String,
    value: Value,
}

impl Report {
    /// An empty report of a mode.
    #[must_use]
    pub fn new(mode: &'static str) -> Self {
        Self { mode, rows: Vec::new() }
    }

    /// Adds a figure. `key` is its name in JSON with the unit last; the label in the table is the same in words.
    pub fn add(&mut self, key: &str, value: impl Into<Value>) -> &mut Self {
        self.rows.push(Row { key: key.to_owned(), label: key.replace('_', " "), value: value.into() });
        self
    }

    /// Adds a figure with decimals, rounded to thousandths.
    pub fn add_decimal(&mut self, key: &str, value: f64) -> &mut Self {
        self.add(key, (value * 1000.0).round() / 1000.0)
    }

    /// Adds a figure when it was measured.
    pub fn add_if(&mut self, key: &str, value: Option<f64>) -> &mut Self {
        if let Some(value) = value {
            self.add_decimal(key, value);
        }
        self
    }

    /// A figure by its key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.rows.iter().find(|row| row.key == key).map(|row| &row.value)
    }

    /// One line of JSON, with the mode.
    #[must_use]
    pub fn json_line(&self) -> String {
        let mut map = Map::new();
        map.insert("mode".to_owned(), self.mode.into());
        map.extend(self.rows.iter().map(|row| (row.key.clone(), row.value.clone())));
        Value::Object(map).to_string()
    }

    /// Two aligned columns.
    #[must_use]
    pub fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.label.len()).max().unwrap_or(0);
        let mut table = format!("{}\n", self.mode);
        for row in &self.rows {
            let value = row.value.as_str().map_or_else(|| row.value.to_string(), str::to_owned);
            table.push_str(&format!("  {:<width$}  {value:>14}\n", row.label));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::Report;

    #[test]
    fn both_forms_hold_the_same_figures() {
        let mut report = Report::new("idle");
        report.add("connections", 10).add_decimal("p50_us", 1.23456).add_if("server_cpu_us", None);
        assert_eq!(report.json_line(), r#"{"connections":10,"mode":"idle","p50_us":1.235}"#);
        assert_eq!(report.table(), "idle\n  connections              10\n  p50 us                1.235\n");
    }
}
