//! One event as a line, and whose events a file holds.
//!
//! Invariant: a line holds the event byte for byte, except that blanks between its parts which
//! would end the line become spaces. What this deliberately does not do: look into the event.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The version of the format, in the header of every file.
const VERSION: u32 = 1;

/// Whose events a file holds: a session on a server, as the hook that kept them saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    /// The address of the server.
    pub(crate) addr: String,
    /// The namespace.
    pub(crate) namespace: String,
    /// The key of the session.
    pub(crate) session: String,
}

/// One event that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// When it happened.
    pub(crate) time: SystemTime,
    /// What names it among all others.
    pub(crate) key: String,
    /// The event as the agent wrote it.
    pub(crate) event: &'a str,
}

/// The first line of a file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    spool: u32,
    /// Made anew for every file, so that a mark of an earlier file of this name means nothing.
    pub(super) generation: String,
    #[serde(flatten)]
    pub(super) owner: Owner,
}

#[derive(Deserialize)]
struct Line<'a> {
    time: WrittenTime,
    key: String,
    #[serde(borrow)]
    event: &'a RawValue,
}

/// A time as text, to the nanosecond.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct WrittenTime(SystemTime);

// === impl Owner ===

impl Owner {
    /// Names the file. FNV-1a: short, stable over versions, and a collision is found by the header.
    pub(super) fn hash(&self) -> u64 {
        const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let parts = [&self.addr, &self.namespace, &self.session];
        // No part has a byte 0xff, so it keeps them apart.
        let bytes = parts
            .into_iter()
            .flat_map(|part| part.bytes().chain([0xff]));
        bytes.fold(BASIS, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(PRIME)
        })
    }
}

// === impl Record ===

impl<'a> Record<'a> {
    /// The line that holds it, with its end.
    pub(super) fn line(&self) -> Vec<u8> {
        let time = Timestamp::try_from(self.time).unwrap_or(Timestamp::UNIX_EPOCH);
        let time = serde_json::Value::from(time.to_string());
        let key = serde_json::Value::from(self.key.as_str());
        // A line end in valid JSON stands between two tokens, never in a text.
        let event = self.event.replace(['\n', '\r'], " ");
        format!("{{\"time\":{time},\"key\":{key},\"event\":{event}}}\n").into_bytes()
    }

    /// Reads a line; `None` when it is none.
    pub(super) fn read(line: &'a [u8]) -> Option<Self> {
        let line: Line<'a> = serde_json::from_slice(line).ok()?;
        Some(Self {
            time: line.time.0,
            key: line.key,
            event: line.event.get(),
        })
    }
}

// === impl Header ===

impl Header {
    pub(super) fn new(owner: &Owner) -> Self {
        Self {
            spool: VERSION,
            generation: uuid::Uuid::now_v7().to_string(),
            owner: owner.clone(),
        }
    }

    pub(super) fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("texts and numbers are JSON");
        line.push(b'\n');
        line
    }

    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let header: Self = serde_json::from_slice(line).ok()?;
        (header.spool == VERSION).then_some(header)
    }
}

// === impl WrittenTime ===

impl TryFrom<String> for WrittenTime {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Self, jiff::Error> {
        Ok(Self(SystemTime::from(text.parse::<Timestamp>()?)))
    }
}
