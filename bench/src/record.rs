//! One measurement as it is kept: a line of JSON each, written as soon as it is known.
//!
//! Invariant: a line stands for itself; it has the time and the disk's speed it was taken at. What it
//! deliberately does not do: aggregate.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path as FilePath;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::path::{Path, System};
use crate::paths::{Outcome, Plan};
use crate::peer::Peer;

/// One measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// What was measured, by the name `--only` takes.
    pub(crate) path: String,
    /// On which system.
    pub(crate) system: String,
    /// Its version, when it is not built from this checkout.
    pub(crate) version: Option<String>,
    /// Under which settings.
    pub(crate) parameters: Parameters,
    /// The number of the repetition, from 1: those with the same number were taken one after another.
    pub(crate) repetition: usize,
    /// Operations that count.
    pub(crate) operations: Option<u64>,
    /// Operations a second.
    pub(crate) rate: Option<f64>,
    /// The median latency.
    pub(crate) p50_us: Option<u64>,
    /// The latency that one operation in a hundred exceeds.
    pub(crate) p99_us: Option<u64>,
    /// What else was found; the last part of a name is its unit.
    pub(crate) facts: BTreeMap<String, f64>,
    /// When it was over.
    pub(crate) unix_ms: u64,
    /// The median time of an append of 4 KiB with `fdatasync`, just before the repetition.
    pub(crate) fdatasync_p50_us: u64,
}

/// The settings of a measurement that its path's name does not say.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Parameters {
    pub(crate) payload_bytes: usize,
    pub(crate) warm_up_ms: u64,
    pub(crate) duration_ms: u64,
}

impl Record {
    pub(crate) fn new(plan: &Plan, path: Path, at: &Moment, system: System) -> Self {
        Self {
            path: path.to_string(),
            system: system.name().to_owned(),
            version: None,
            parameters: Parameters {
                payload_bytes: path.payload(),
                warm_up_ms: millis(plan.scale.warm_up),
                duration_ms: millis(plan.scale.duration),
            },
            repetition: at.repetition,
            operations: None,
            rate: None,
            p50_us: None,
            p99_us: None,
            facts: BTreeMap::new(),
            unix_ms: 0,
            fdatasync_p50_us: micros(at.fdatasync_p50),
        }
    }

    /// The records in a text that has one a line; lines that are empty are none.
    ///
    /// # Errors
    /// The first line that is no record, by its number.
    pub(crate) fn parse(text: &str) -> Result<Vec<Self>> {
        let lines = text.lines().enumerate();
        let lines = lines.filter(|(_, line)| !line.trim().is_empty());
        let records = lines.map(|(index, line)| {
            serde_json::from_str(line).with_context(|| format!("line {} is no record", index + 1))
        });
        records.collect()
    }

    /// With the version the peer tells.
    pub(crate) fn of(mut self, peer: &dyn Peer) -> Self {
        self.version = Some(peer.version().to_owned());
        self
    }

    /// With what was found, at this moment.
    pub(crate) fn found(mut self, outcome: Outcome) -> Self {
        if let Some(samples) = outcome.samples {
            self.operations = Some(samples.operations);
            self.rate = Some(samples.rate());
            self.p50_us = Some(micros(samples.p50()));
            self.p99_us = Some(micros(samples.p99()));
        }
        let facts = outcome.facts.into_iter();
        self.facts = facts
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock before 1970 shows as 1970.
        self.unix_ms = millis(since.unwrap_or_default());
        self
    }
}

/// When a record is taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) repetition: usize,
    pub(crate) fdatasync_p50: Duration,
}

/// All records of a run, and the file they go to as they come.
#[derive(Debug)]
pub(crate) struct Records {
    all: Vec<Record>,
    file: Option<File>,
}

impl Records {
    /// With a file for them, emptied first, or without one.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(crate) fn to(file: Option<&FilePath>) -> Result<Self> {
        let file = file.map(|path| {
            File::create(path).with_context(|| format!("failed to create {}", path.display()))
        });
        Ok(Self {
            all: Vec::new(),
            file: file.transpose()?,
        })
    }

    /// Keeps one and writes it out.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn add(&mut self, record: Record) -> Result<()> {
        if let Some(file) = &mut self.file {
            let mut line = serde_json::to_string(&record).context("failed to encode a record")?;
            line.push('\n');
            file.write_all(line.as_bytes())
                .context("failed to write a record")?;
        }
        self.all.push(record);
        Ok(())
    }

    pub(crate) fn all(&self) -> &[Record] {
        &self.all
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
