//! The keys: one table that parsing, errors, `config show` and the reference are made of.
//!
//! **To add a key**, write one row in the file of its section under `keys/`: its name, a [`Field`] that
//! says what it takes and where in [`Settings`] (mostly in its policy) the value lies, and what it does.
//! Nothing else: the file, the variable, the bounds, the messages, `config show` and
//! `docs/configuration.md` follow from it (`cargo xtask codegen` writes that anew; a test compares). A key
//! that must not pass another one gets a row in `contradiction.rs` too. A new section is a file here and its
//! name in [`SECTIONS`].
//!
//! Invariant: a key exists when what it sets does. What is not built is an unknown key.

mod events;
mod log;
mod namespaces;
mod pools;
mod queue;
mod recovery;
mod resources;
mod retry;
mod server;
mod session;
mod shutdown;
mod store;
mod tls;
mod workers;

use super::Settings;
use super::field::Field;
use super::problem::KeyPath;

/// A section.
#[derive(Debug)]
pub struct Section {
    /// Its name: `[NAME]`, or for sections of names `[NAME.OTHER]`.
    pub name: &'static str,
    /// What it is about, a sentence.
    pub doc: &'static str,
    /// Whether there are several, each with a name of its own.
    pub names: Option<Names>,
    /// What can be set in it.
    pub keys: &'static [Key],
}

/// How sections that have names of their own come into being.
#[derive(Debug)]
pub struct Names {
    /// Makes one, or says what is wrong with its name. One that is there stays as it is.
    pub declare: fn(&mut Settings, &str) -> Result<(), String>,
    /// Those that are there.
    pub declared: fn(&Settings) -> Vec<String>,
    /// The most there can be.
    pub max: usize,
    /// The flag, and its variable, that name more of them.
    pub flag: Option<(&'static str, &'static str)>,
}

/// A key.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub field: Field,
    /// What it is called when it is given in seconds, where it can be.
    pub seconds: Option<&'static str>,
    /// The flag that sets it too.
    pub flag: Option<&'static str>,
    /// The variable that sets it too, where it is not called after section and key.
    pub variable: Option<&'static str>,
    /// What a value of a flag or a variable means in full, where a shell knows more than a file.
    pub shell: Option<fn(&str) -> String>,
    /// The default in words, where it depends on the machine.
    pub default: Option<&'static str>,
    /// What it does: sentences.
    pub doc: &'static str,
}

impl Key {
    /// A key that a file and the variable of its name set.
    const fn new(name: &'static str, field: Field, doc: &'static str) -> Self {
        Self {
            name,
            field,
            seconds: None,
            flag: None,
            variable: None,
            shell: None,
            default: None,
            doc,
        }
    }

    /// It may be given in seconds, under this name.
    const fn seconds(mut self, name: &'static str) -> Self {
        self.seconds = Some(name);
        self
    }

    /// A flag sets it too, and a variable named for the flag.
    const fn flag(mut self, flag: &'static str, variable: &'static str) -> Self {
        self.flag = Some(flag);
        self.variable = Some(variable);
        self
    }
}

/// All sections, those whose values others inherit first.
pub static SECTIONS: [&Section; 14] = [
    &server::SECTION,
    &tls::SECTION,
    &store::SECTION,
    &log::SECTION,
    &events::SECTION,
    &session::SECTION,
    &queue::SECTION,
    &retry::SECTION,
    &workers::SECTION,
    &resources::SECTION,
    &shutdown::SECTION,
    &recovery::SECTION,
    &namespaces::SECTION,
    &pools::SECTION,
];

/// The section of this name.
pub(super) fn section(name: &str) -> Option<&'static Section> {
    SECTIONS
        .iter()
        .copied()
        .find(|section| section.name == name)
}

impl Section {
    /// The names of what lies in it: its own, or one that stands for itself.
    pub(super) fn instances(&self, settings: &Settings) -> Vec<String> {
        match &self.names {
            Some(names) => (names.declared)(settings),
            None => vec![String::new()],
        }
    }

    /// The key of this name.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Every name that its keys go by.
    pub(super) fn spellings(&self) -> impl Iterator<Item = &'static str> {
        self.keys
            .iter()
            .flat_map(|key| [Some(key.name), key.seconds].into_iter().flatten())
    }

    /// The variable that sets a key, under one of its names; none for what has a name of its own.
    pub(super) fn variable(&self, key: &Key, spelling: &str) -> Option<String> {
        if self.names.is_some() {
            return None;
        }
        Some(match key.variable {
            Some(variable) => variable.to_owned(),
            None => format!("SESSIOND_{}_{spelling}", self.name).to_uppercase(),
        })
    }

    pub(super) fn path(&self, name: &str, key: &Key) -> KeyPath {
        KeyPath {
            section: self.name,
            name: name.to_owned(),
            key: key.name,
        }
    }
}
