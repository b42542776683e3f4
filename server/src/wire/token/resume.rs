//! Where a watch goes on, in the log it came from.

use sessiond_core::ids::Revision;

use super::{Kind, Mark, decode, encode, mark};

/// Where a watch goes on, in the log it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResumeToken {
    log: Mark,
    revision: Revision,
}

impl ResumeToken {
    /// Goes on after a revision of a log.
    pub(crate) fn new(log_id: &str, revision: Revision) -> Self {
        Self {
            log: mark(&[log_id.as_bytes()]),
            revision,
        }
    }

    /// As a text of 52 characters.
    pub(crate) fn encode(self) -> String {
        encode(Kind::Resume, self.log, &self.revision.0.to_be_bytes())
    }

    /// Reads what [`Self::encode`] wrote; none if it is anything else.
    pub(crate) fn decode(token: &str) -> Option<Self> {
        let (kind, log, body) = decode(token)?;
        let revision = u64::from_be_bytes(body.as_slice().try_into().ok()?);
        (kind == Kind::Resume).then_some(Self {
            log,
            revision: Revision(revision),
        })
    }

    /// The revision after which to go on, if it is one of this log.
    pub(crate) fn revision_in(self, log_id: &str) -> Option<Revision> {
        (self.log == mark(&[log_id.as_bytes()])).then_some(self.revision)
    }
}
