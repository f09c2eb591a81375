//! What is wrong with a configuration, said so that the operator can mend it without the source code.
//!
//! A problem names the place (file and line, environment variable or flag), the key, the value that was found
//! and what is allowed. All problems of all files are collected before any is reported.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A line of a file, counted from 1; line 0 stands for the whole file.
    File {
        /// The file as it was named to us.
        path: Arc<PathBuf>,
        /// The line.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// `--set` on the command line.
    Flag,
    /// Nobody gave a value: the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: 0 } => write!(formatter, "{}", path.display()),
            Self::File { path, line } => write!(formatter, "{}:{line}", path.display()),
            Self::Environment(name) => write!(formatter, "environment variable {name}"),
            Self::Flag => formatter.write_str("command line, --set"),
            Self::Default => formatter.write_str("default"),
        }
    }
}

/// One mistake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// The key in dotted form, empty when the file as a whole is meant.
    pub key: String,
    /// The value as it was written, absent when there is none or when it is a secret.
    pub value: Option<String>,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.origin)?;
        match (&*self.key, &self.value) {
            ("", _) => {}
            (key, Some(value)) => write!(formatter, "{key} = {value}: ")?,
            (key, None) => write!(formatter, "{key}: ")?,
        }
        formatter.write_str(&self.message)
    }
}

/// Every mistake that was found, in the order of the files.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let line_end = if index + 1 < self.0.len() { "\n" } else { "" };
            write!(formatter, "{problem}{line_end}")?;
        }
        Ok(())
    }
}
