//! What flags and variables set, and which file is read.
//!
//! Invariant: an empty variable is as good as none. What this deliberately does not do: read the environment
//! itself; it is passed in, so that tests have their own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::ServeArgs;
use super::field::Spelling;
use super::keys::{Key, SECTIONS, Section};
use super::problem::{Origin, Problem};
use super::resolve::{Given, Layer, Named};

/// Names the file.
const CONFIG_VARIABLE: &str = "SESSIOND_CONFIG";
/// The file of the machine, read for root if it is there.
const SYSTEM_FILE: &str = "/etc/sessiond/sessiond.toml";
/// The file below the directory of a user's configuration, read if it is there.
const USER_FILE: &str = "sessiond/sessiond.toml";

/// What a process is started in.
#[derive(Debug)]
pub struct Environment {
    variables: std::collections::BTreeMap<String, OsString>,
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
        let path = if self.root {
            PathBuf::from(SYSTEM_FILE)
        } else {
            self.directory("XDG_CONFIG_HOME", ".config")?
                .join(USER_FILE)
        };
        is_there(&path).then_some(path)
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
        let spellings = [
            Some((key.name, Spelling::Plain)),
            key.seconds.map(|name| (name, Spelling::Seconds)),
        ];
        for (name, spelling) in spellings.into_iter().flatten() {
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

fn is_there(path: &Path) -> bool {
    !matches!(path.try_exists(), Ok(false))
}
