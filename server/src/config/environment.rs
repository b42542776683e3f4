//! What flags and variables set, and which file is read.
//!
//! Invariant: an empty variable is as good as none. What this deliberately does not do: read the environment
//! itself; it is passed in, so that tests have their own.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::ServeArgs;
use super::field::Spelling;
use super::keys::{Key, SECTIONS, Section};
use super::nearest::nearest;
use super::problem::{Origin, Problem};
use super::resolve::{Given, Layer, Named};

/// What all variables of this system begin with.
const PREFIX: &str = "SESSIOND_";
/// What is behind it in those of other programs that are near to some of ours.
const OF_OTHERS: [&str; 7] = [
    "ADDR",
    "NAMESPACE",
    "TOKEN",
    "CA",
    "CLIENT_CERTIFICATE",
    "CLIENT_KEY",
    "RECORDING",
];
/// Names the file.
const CONFIG_VARIABLE: &str = "SESSIOND_CONFIG";
/// The file of the machine, read for root if it is there.
const SYSTEM_FILE: &str = "/etc/sessiond/sessiond.toml";
/// The file below the directory of a user's configuration, read if it is there.
const USER_FILE: &str = "sessiond/sessiond.toml";

/// What a process is started in.
#[derive(Debug)]
pub struct Environment {
    variables: BTreeMap<String, OsString>,
    root: bool,
}

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Self {
            variables: variables.collect(),
            root: rustix::process::geteuid().is_root(),
        }
    }

    /// One of a user with these variables.
    #[cfg(test)]
    pub(super) fn of_user(variables: &[(&str, &str)]) -> Self {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), OsString::from(value));
        Self {
            variables: variables.iter().map(pair).collect(),
            root: false,
        }
    }

    /// That of root, with no variables.
    #[cfg(test)]
    pub(super) fn of_root() -> Self {
        Self {
            variables: BTreeMap::new(),
            root: true,
        }
    }

    fn variable(&self, name: &str) -> Option<&OsString> {
        self.variables.get(name).filter(|value| !value.is_empty())
    }

    /// A directory of the user's, by its variable or below home.
    fn directory(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        self.variable(variable)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| Some(PathBuf::from(self.variable("HOME")?).join(below_home)))
    }

    /// Where the data is, if nobody says. State, not data: it belongs to this machine.
    ///
    /// # Errors
    /// What to do about it, if there is no such place.
    pub(super) fn data_dir(&self) -> Result<PathBuf, String> {
        if self.root {
            return Ok(PathBuf::from("/var/lib/sessiond"));
        }
        let state = self.directory("XDG_STATE_HOME", ".local/state");
        state.map(|state| state.join("sessiond")).ok_or_else(|| {
            "there is no home directory to keep state in; name one with --data-dir".to_owned()
        })
    }

    /// The file to read: one that is named, which must be there, or that of the machine or the user, if it is
    /// there. What cannot be looked at is there: reading it tells why.
    pub(super) fn file(&self, args: &ServeArgs) -> Option<PathBuf> {
        if let Some(named) = &args.config {
            return Some(named.clone());
        }
        if let Some(named) = self.variable(CONFIG_VARIABLE) {
            return Some(PathBuf::from(named));
        }
        self.usual_file().filter(|path| is_there(path))
    }

    /// Where the file is, if nobody says.
    pub(super) fn usual_file(&self) -> Option<PathBuf> {
        if self.root {
            return Some(PathBuf::from(SYSTEM_FILE));
        }
        let config = self.directory("XDG_CONFIG_HOME", ".config")?;
        Some(config.join(USER_FILE))
    }

    /// Variables that were surely meant to set something and set nothing: they are called after a section, or
    /// nearly like one that does. Other programs may have variables of such names too, so they are no reason not to
    /// start.
    pub(super) fn suspects(&self) -> Vec<Problem> {
        let known = known_variables();
        let mut found = Vec::new();
        for name in self.variables.keys() {
            let Some(word) = name.strip_prefix(PREFIX) else {
                continue;
            };
            if known.contains(word) || OF_OTHERS.contains(&word) {
                continue;
            }
            let what = match nearest(word, known.iter().map(String::as_str)) {
                Some(close) => format!("sets nothing; did you mean {PREFIX}{close}?"),
                None if is_of_a_section(word) => {
                    "sets nothing; `sessiond config show` shows what can be set".to_owned()
                }
                None => continue,
            };
            found.push(Problem::new(Origin::Variable(name.clone()), "", what));
        }
        found
    }

    /// What variables set, but for what a flag sets.
    pub(super) fn variables(&self, args: &ServeArgs) -> Layer {
        let mut layer = Layer::default();
        for section in SECTIONS {
            if let Some((flag, variable)) = section.names.as_ref().and_then(|names| names.flag)
                && args.flag(flag).is_none()
                && let Some(text) = self.text(variable, &mut layer)
            {
                layer.names(section, &text, &Origin::Variable(variable.to_owned()));
            }
            for key in section.keys {
                if key.flag.is_some_and(|flag| args.flag(flag).is_some()) {
                    continue;
                }
                self.key(section, key, &mut layer);
            }
        }
        layer
    }

    /// What its variables say of a key.
    fn key(&self, section: &'static Section, key: &'static Key, layer: &mut Layer) {
        for (name, spelling) in spellings(key) {
            let Some(variable) = section.variable(key, name) else {
                continue;
            };
            if let Some(text) = self.text(&variable, layer) {
                let origin = Origin::Variable(variable);
                layer
                    .given
                    .push(Given::of_text(section, key, spelling, &text, origin));
            }
        }
    }

    fn text(&self, variable: &str, layer: &mut Layer) -> Option<String> {
        let text = self.variable(variable)?.to_str();
        if text.is_none() {
            let origin = Origin::Variable(variable.to_owned());
            layer
                .problems
                .push(Problem::new(origin, "", "is not UTF-8"));
        }
        text.map(str::to_owned)
    }
}

/// What flags set.
pub(super) fn flags(args: &ServeArgs) -> Layer {
    let mut layer = Layer::default();
    for section in SECTIONS {
        if let Some((flag, _)) = section.names.as_ref().and_then(|names| names.flag)
            && let Some(text) = args.flag(flag)
        {
            layer.names(section, &text, &Origin::Flag(flag));
        }
        for key in section.keys {
            if let Some(flag) = key.flag
                && let Some(text) = args.flag(flag)
            {
                let origin = Origin::Flag(flag);
                layer
                    .given
                    .push(Given::of_text(section, key, Spelling::Plain, &text, origin));
            }
        }
    }
    layer
}

impl Layer {
    /// Takes notice of names separated by commas.
    fn names(&mut self, section: &'static Section, text: &str, origin: &Origin) {
        let names = text.split(',').filter(|name| !name.is_empty());
        self.names.extend(names.map(|name| Named {
            section,
            name: name.to_owned(),
            origin: origin.clone(),
        }));
    }
}

impl Given {
    fn of_text(
        section: &'static Section,
        key: &'static Key,
        spelling: Spelling,
        text: &str,
        origin: Origin,
    ) -> Self {
        let text = key
            .shell
            .map_or_else(|| text.to_owned(), |shell| shell(text));
        Self {
            section,
            name: String::new(),
            key,
            spelling,
            literal: key.field.literal(&text, spelling),
            origin,
        }
    }
}

/// What is behind the prefix in every variable that sets something.
fn known_variables() -> BTreeSet<String> {
    let mut known = BTreeSet::from([CONFIG_VARIABLE.to_owned()]);
    for section in SECTIONS {
        let flag = section.names.as_ref().and_then(|names| names.flag);
        known.extend(flag.map(|(_, variable)| variable.to_owned()));
        for key in section.keys {
            known.extend(spellings(key).filter_map(|(name, _)| section.variable(key, name)));
        }
    }
    let word = |name: String| name.strip_prefix(PREFIX).map(str::to_owned);
    known.into_iter().filter_map(word).collect()
}

/// Whether a variable is called as those of a section's keys are.
fn is_of_a_section(word: &str) -> bool {
    let plain = SECTIONS.iter().filter(|section| section.names.is_none());
    plain
        .map(|section| format!("{}_", section.name.to_uppercase()))
        .any(|start| word.starts_with(&start))
}

/// The names a key goes by.
fn spellings(key: &'static Key) -> impl Iterator<Item = (&'static str, Spelling)> {
    let seconds = key.seconds.map(|name| (name, Spelling::Seconds));
    std::iter::once((key.name, Spelling::Plain)).chain(seconds)
}

fn is_there(path: &Path) -> bool {
    !matches!(path.try_exists(), Ok(false))
}
