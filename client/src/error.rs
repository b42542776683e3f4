//! Why a call, a stream or a worker failed: one typed error for everything the
//! SDK does.
//!
//! Keeps every fact which the server sent with a refusal (reason, metadata, how
//! long to wait), and shows no type of the transport. It decides nothing: what
//! is repeated is written in `retry.rs`.

mod from_wire;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use sessiond_proto::reason::Reason;

pub(crate) use self::from_wire::in_words;

/// What was refused and why, with every fact the server gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) reason: Option<Reason>,
    pub(crate) reason_text: String,
    pub(crate) message: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) origin: Origin,
}

/// One invalid field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field, for example `messages[3].kind`.
    pub field: String,
    /// What is wrong with it and what is allowed, for a person.
    pub description: String,
}

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The server answered.
    Server,
    /// No connection could be made: the server did not see the request.
    Connect,
    /// The connection broke: the server may have seen the request.
    Transport,
    /// The SDK itself, before anything was sent or about what it received.
    Local,
}

/// Why a call, a stream or a worker failed.
///
/// Branch on the variant, or on [`Error::reason`] where more detail is needed.
/// The text is for a person and may change.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// What was named does not exist in the namespace.
    #[error("not found: {0}")]
    NotFound(Box<Refusal>),
    /// The key or id is in use.
    #[error("already exists: {0}")]
    AlreadyExists(Box<Refusal>),
    /// The state of the session, lease or subscription does not allow it.
    #[error("precondition failed: {0}")]
    FailedPrecondition(Box<Refusal>),
    /// Somebody else changed it meanwhile: read again and redo the change.
    #[error("conflict: {0}")]
    Conflict(Box<Refusal>),
    /// The request is not valid.
    #[error("invalid request: {refusal}{}", ListedViolations(violations))]
    Invalid {
        /// Every invalid field at once; may be empty.
        violations: Vec<Violation>,
        /// The refusal.
        refusal: Box<Refusal>,
    },
    /// A limit is reached, or the server has too much to do.
    #[error("resource exhausted: {refusal}")]
    ResourceExhausted {
        /// How long to wait before a repeat can succeed, when the server said.
        retry_after: Option<Duration>,
        /// The refusal.
        refusal: Box<Refusal>,
    },
    /// The server cannot be reached, is shutting down, or its store failed. The
    /// outcome of a mutation may be unknown.
    #[error("unavailable: {0}")]
    Unavailable(Box<Refusal>),
    /// The lease or the delivery belongs to somebody else by now: drop the work.
    #[error("lease lost: {0}")]
    LeaseLost(Box<Refusal>),
    /// The start of a watch is older than what the server keeps.
    #[error("compacted: {refusal}")]
    Compacted {
        /// The oldest revision that is kept; 0 when the server did not say.
        oldest: u64,
        /// The newest revision; 0 when the server did not say.
        current: u64,
        /// The refusal.
        refusal: Box<Refusal>,
    },
    /// The start of a watch is of another log, or of its future.
    #[error("log changed: {0}")]
    LogChanged(Box<Refusal>),
    /// The call carries no valid token.
    #[error("unauthenticated: {0}")]
    Unauthenticated(Box<Refusal>),
    /// The caller may not do this.
    #[error("permission denied: {0}")]
    PermissionDenied(Box<Refusal>),
    /// The contract has it, this server does not.
    #[error("not built: {0}")]
    NotBuilt(Box<Refusal>),
    /// No answer came in time. The outcome of a mutation is unknown.
    #[error("deadline exceeded: {0}")]
    Deadline(Box<Refusal>),
    /// The call was cancelled on the way.
    #[error("cancelled: {0}")]
    Cancelled(Box<Refusal>),
    /// The server failed in a way that it does not explain.
    #[error("internal error of the server: {0}")]
    Internal(Box<Refusal>),
    /// The peer broke the contract: an answer without what it must have.
    #[error("protocol error: {0}")]
    Protocol(Box<Refusal>),
    /// The client's own settings are not usable; nothing was sent.
    #[error("invalid setting: {0}")]
    Setting(Box<Refusal>),
}

/// The violations as the end of a message.
struct ListedViolations<'a>(&'a [Violation]);

// === impl Error ===

impl Error {
    /// The stable reason, when the server gave one that this SDK knows.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.refusal().reason
    }

    /// The facts that belong to the reason, for example `successor_id`.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.refusal().metadata
    }

    /// How long to wait before a repeat can succeed, when the server said.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal().retry_after
    }

    /// The name of the gRPC status code, for example `NOT_FOUND`.
    #[must_use]
    pub fn code_name(&self) -> &'static str {
        self.refusal().code
    }

    /// Whether no connection to the server could be made, so that it cannot
    /// have seen the request.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        self.refusal().origin == Origin::Connect
    }

    /// What was refused, with every fact.
    #[must_use]
    pub fn refusal(&self) -> &Refusal {
        match self {
            Self::NotFound(refusal)
            | Self::AlreadyExists(refusal)
            | Self::FailedPrecondition(refusal)
            | Self::Conflict(refusal)
            | Self::Invalid { refusal, .. }
            | Self::ResourceExhausted { refusal, .. }
            | Self::Unavailable(refusal)
            | Self::LeaseLost(refusal)
            | Self::Compacted { refusal, .. }
            | Self::LogChanged(refusal)
            | Self::Unauthenticated(refusal)
            | Self::PermissionDenied(refusal)
            | Self::NotBuilt(refusal)
            | Self::Deadline(refusal)
            | Self::Cancelled(refusal)
            | Self::Internal(refusal)
            | Self::Protocol(refusal)
            | Self::Setting(refusal) => refusal,
        }
    }

    pub(crate) fn setting(message: impl Into<String>) -> Self {
        Self::Setting(Refusal::local("INVALID_ARGUMENT", message))
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self::Protocol(Refusal::local("INTERNAL", message))
    }

    pub(crate) fn deadline(message: impl Into<String>) -> Self {
        Self::Deadline(Refusal::local("DEADLINE_EXCEEDED", message))
    }

    pub(crate) fn lease_lost(message: impl Into<String>) -> Self {
        Self::LeaseLost(Refusal::local("FAILED_PRECONDITION", message))
    }

    pub(crate) fn log_changed(message: impl Into<String>) -> Self {
        let mut refusal = Refusal::local("FAILED_PRECONDITION", message);
        refusal.reason = Some(Reason::LogChanged);
        refusal.reason_text = Reason::LogChanged.as_str().to_owned();
        Self::LogChanged(refusal)
    }

    /// The connection is gone although nobody said why.
    pub(crate) fn broken_link(message: impl Into<String>) -> Self {
        let mut refusal = Refusal::local("UNAVAILABLE", message);
        refusal.origin = Origin::Transport;
        Self::Unavailable(refusal)
    }
}

// === impl Refusal ===

impl Refusal {
    /// The stable reason, when the server gave one that this SDK knows.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// The reason as the server spelled it, known or not; empty when it gave
    /// none.
    #[must_use]
    pub fn reason_text(&self) -> &str {
        &self.reason_text
    }

    /// What went wrong, for a person.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn local(code: &'static str, message: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            code,
            reason: None,
            reason_text: String::new(),
            message: message.into(),
            metadata: BTreeMap::new(),
            retry_after: None,
            origin: Origin::Local,
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = [&self.message, &self.reason_text]
            .into_iter()
            .find(|text| !text.is_empty())
            .map_or(self.code, String::as_str);
        formatter.write_str(text)
    }
}

// === impl ListedViolations ===

impl fmt::Display for ListedViolations<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            let separator = if index == 0 { ": " } else { "; " };
            let Violation { field, description } = violation;
            write!(formatter, "{separator}`{field}` {description}")?;
        }
        Ok(())
    }
}
