//! What is wrong with a setting, and where it stands.
//!
//! Invariant: a problem is one line that names the place, the key, what is wrong with it and what it takes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::keys::section;
use super::literal::bare_or_quoted;

/// Where a value comes from. Ordered as problems are told: the file from top to bottom first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A place in the file.
    File {
        /// The file as it was named.
        file: Arc<str>,
        /// From 1; 0 if it is about the whole file.
        line: usize,
        /// In characters, from 1.
        column: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// A flag, with its dashes.
    Flag(&'static str),
    /// The default, moved to where an explicit value of another key lets it be.
    Follows(KeyPath),
    /// The default.
    Default,
}

/// One key of one section.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath {
    /// The section; for `[pools.NAME]`, `pools`.
    pub section: &'static str,
    /// What the section is about, where there can be several; else empty.
    pub name: String,
    /// The key.
    pub key: &'static str,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub origin: Origin,
    /// The key or the section; empty if it is about neither.
    pub subject: String,
    /// What is wrong, what is taken, and the fix.
    pub what: String,
}

impl Problem {
    /// What is wrong with the value of a key, wherever it is from.
    #[must_use]
    pub fn of(origins: &BTreeMap<KeyPath, Origin>, key: &KeyPath, what: String) -> Self {
        let origin = origins.get(key).unwrap_or(&Origin::Default).clone();
        let flag = section(key.section).and_then(|section| section.key(key.key)?.flag);
        let subject = origin.with_flag(key.to_string(), flag);
        Self::new(origin, subject, what)
    }

    pub(super) fn new(origin: Origin, subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            origin,
            subject: subject.into(),
            what: what.into(),
        }
    }
}

/// A section's name as a file writes it.
pub(super) fn section_head(section: &str, name: &str) -> String {
    if name.is_empty() {
        format!("[{section}]")
    } else {
        format!("[{section}.{}]", bare_or_quoted(name))
    }
}

impl Origin {
    /// Whether somebody set the value.
    pub(super) fn is_set(&self) -> bool {
        match self {
            Self::File { .. } | Self::Variable(_) | Self::Flag(_) => true,
            Self::Follows(_) | Self::Default => false,
        }
    }

    /// A variable is told with the flag that goes before it.
    pub(super) fn with_flag(&self, subject: String, flag: Option<&str>) -> String {
        match (self, flag) {
            (Self::Variable(_), Some(flag)) => format!("{subject} ({flag})"),
            _ => subject,
        }
    }

    /// The place in a problem's line, which editors can follow.
    fn place(&self) -> String {
        match self {
            Self::File { file, line: 0, .. } => file.to_string(),
            Self::File { file, line, column } => format!("{file}:{line}:{column}"),
            Self::Variable(_) | Self::Flag(_) | Self::Follows(_) | Self::Default => {
                self.to_string()
            }
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, .. } => write!(f, "{file}:{line}"),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
            Self::Follows(path) => write!(f, "default, follows {path}"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl KeyPath {
    /// A key of a section that there is one of.
    #[must_use]
    pub fn of(section: &'static str, key: &'static str) -> Self {
        Self {
            section,
            name: String::new(),
            key,
        }
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", section_head(self.section, &self.name), self.key)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin.place())?;
        if !self.subject.is_empty() {
            write!(f, "{}: ", self.subject)?;
        }
        f.write_str(&self.what)
    }
}
