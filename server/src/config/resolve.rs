//! Lays what file, variables and flags say over one another, and gathers all that is wrong.
//!
//! Invariant: later layers win, and a problem of one keeps the others from being judged no more than it must.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::field::Spelling;
use super::keys::{Key, SECTIONS, Section, section};
use super::literal::Literal;
use super::problem::{KeyPath, Origin, Problem, section_head};
use super::{Loaded, Settings, contradiction, exposure, file};

/// What one source says.
#[derive(Debug, Default)]
pub(super) struct Layer {
    /// Sections with names of their own.
    pub(super) names: Vec<Named>,
    /// Values.
    pub(super) given: Vec<Given>,
    /// What could not be made sense of.
    pub(super) problems: Vec<Problem>,
}

/// A section with a name of its own.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) section: &'static Section,
    pub(super) name: String,
    pub(super) origin: Origin,
}

/// A value for a key.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) section: &'static Section,
    /// The name of the section, where it has one of its own.
    pub(super) name: String,
    pub(super) key: &'static Key,
    pub(super) spelling: Spelling,
    pub(super) literal: Literal,
    pub(super) origin: Origin,
}

impl Given {
    fn path(&self) -> KeyPath {
        self.section.path(&self.name, self.key)
    }

    /// The name it was given by.
    fn written(&self) -> &'static str {
        match (self.spelling, self.key.seconds) {
            (Spelling::Seconds, Some(seconds)) => seconds,
            (Spelling::Plain | Spelling::Seconds, _) => self.key.name,
        }
    }

    /// Key and section as they were written.
    fn subject(&self) -> String {
        let head = section_head(self.section.name, &self.name);
        let subject = format!("{head} {}", self.written());
        self.origin.with_flag(subject, self.key.flag)
    }
}

/// Settings in the making.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    layers: Vec<Layer>,
    problems: Vec<Problem>,
    /// Where the data is, if no source says; unset if that is not asked.
    fallback: Option<Result<PathBuf, String>>,
}

impl Resolver {
    /// Adds what a file says.
    pub(super) fn file(&mut self, path: &Path) {
        match file::read(path) {
            Ok(layer) => self.layer(layer),
            Err(problem) => self.problems.push(problem),
        }
    }

    /// Adds what a source says; it wins over what was added before.
    pub(super) fn layer(&mut self, mut layer: Layer) {
        self.problems.append(&mut layer.problems);
        self.layers.push(layer);
    }

    /// Where the data is, if no source says, or why it must be said.
    pub(super) fn data_dir(&mut self, fallback: Result<PathBuf, String>) {
        self.fallback = Some(fallback);
    }

    /// The settings.
    ///
    /// # Errors
    /// Every problem there is.
    pub(super) fn finish(self, file: Option<PathBuf>) -> Result<Loaded, Vec<Problem>> {
        let mut settings = Settings::default();
        let mut homeless = None;
        match self.fallback {
            Some(Ok(directory)) => settings.data_dir = directory,
            Some(Err(why)) => homeless = Some(why),
            None => {}
        }
        let mut draft = Draft {
            settings,
            origins: BTreeMap::new(),
            names: BTreeMap::new(),
            broken: BTreeSet::new(),
            problems: self.problems,
        };
        for layer in &self.layers {
            draft.spelled_once(layer);
        }
        // Section by section: what is named for something may inherit from those before.
        for section in SECTIONS {
            for layer in &self.layers {
                draft.declare(section, layer);
            }
            for layer in &self.layers {
                draft.set(section, layer);
            }
        }
        if let Some(why) = homeless.filter(|_| draft.settings.data_dir.as_os_str().is_empty()) {
            draft
                .problems
                .push(Problem::new(Origin::Default, "[server] data_dir", why));
        }
        draft.finish(file)
    }
}

#[derive(Debug)]
struct Draft {
    settings: Settings,
    origins: BTreeMap<KeyPath, Origin>,
    names: BTreeMap<(&'static str, String), Origin>,
    broken: BTreeSet<KeyPath>,
    problems: Vec<Problem>,
}

impl Draft {
    /// Refuses a key that one source gives under both of its names.
    fn spelled_once(&mut self, layer: &Layer) {
        let mut first: BTreeMap<KeyPath, &Given> = BTreeMap::new();
        let mut given: Vec<&Given> = layer.given.iter().collect();
        given.sort_by_key(|given| &given.origin);
        for given in given {
            if let Some(before) = first.get(&given.path()) {
                let what = format!(
                    "says the same as `{}` ({}); keep one of them",
                    before.written(),
                    before.origin
                );
                let problem = Problem::new(given.origin.clone(), given.subject(), what);
                self.problems.push(problem);
            } else {
                first.insert(given.path(), given);
            }
        }
    }

    fn declare(&mut self, section: &'static Section, layer: &Layer) {
        let Some(names) = &section.names else {
            return;
        };
        for named in layer
            .names
            .iter()
            .filter(|named| named.section.name == section.name)
        {
            let mut declared = (names.declare)(&mut self.settings, &named.name)
                .map_err(|why| format!("the name {:?} {why}", named.name));
            if (names.declared)(&self.settings).len() > names.max {
                declared = Err(format!("is one too many; takes at most {}", names.max));
            }
            match declared {
                Ok(()) => {
                    let key = (section.name, named.name.clone());
                    self.names.insert(key, named.origin.clone());
                }
                Err(what) => {
                    let subject = section_head(section.name, &named.name);
                    let problem = Problem::new(named.origin.clone(), subject, what);
                    self.problems.push(problem);
                }
            }
        }
    }

    fn set(&mut self, section: &'static Section, layer: &Layer) {
        for given in layer
            .given
            .iter()
            .filter(|given| given.section.name == section.name)
        {
            let path = given.path();
            // A section whose name was refused has no values.
            if section.names.is_some()
                && !self.names.contains_key(&(section.name, given.name.clone()))
            {
                continue;
            }
            let field = &given.key.field;
            match field.put(
                &mut self.settings,
                &given.name,
                &given.literal,
                given.spelling,
            ) {
                Ok(()) => {
                    self.origins.insert(path, given.origin.clone());
                }
                Err(what) => {
                    self.broken.insert(path);
                    let problem = Problem::new(given.origin.clone(), given.subject(), what);
                    self.problems.push(problem);
                }
            }
        }
    }

    /// Pools take from `[session]` what they do not say; where it comes from is said of them, too.
    fn inherit(&mut self) {
        self.settings.policy.settle_pools();
        let (Some(all), Some(pools)) = (section("session"), section("pools")) else {
            return;
        };
        for name in pools.instances(&self.settings) {
            for key in pools.keys {
                let Some(inherited) = all.key(key.name) else {
                    continue;
                };
                let from = all.path("", inherited);
                if self.origins.contains_key(&from) {
                    let path = pools.path(&name, key);
                    self.origins.entry(path).or_insert(Origin::Follows(from));
                }
            }
        }
    }

    fn finish(mut self, file: Option<PathBuf>) -> Result<Loaded, Vec<Problem>> {
        let found = contradiction::settle(&mut self.settings, &mut self.origins, &self.broken);
        self.problems.extend(found);
        let found = exposure::judge(&self.settings, &self.origins, &self.broken);
        self.problems.extend(found);
        self.inherit();
        if !self.problems.is_empty() {
            self.problems.sort();
            return Err(self.problems);
        }
        Ok(Loaded {
            settings: self.settings,
            origins: self.origins,
            names: self.names,
            file,
            warnings: Vec::new(),
        })
    }
}
