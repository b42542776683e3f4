//! Tokens: the opaque texts with which a list or a watch goes on where it left off.
//!
//! ```text
//! version  kind  log (8)  bound to (8, pages only)  position  checksum (8)      all as hex
//! ```
//!
//! A token is checked, not trusted: the checksum tells a cut or mistyped one, the log tells one of
//! another data set, and a page is bound to the list, reference and filter that it came from. Tokens
//! are no secrets and grant nothing: whoever makes one up only chooses where to start.

mod resume;

use std::fmt::Write;

use sessiond_core::ids::{
    InstanceId, QueueId, ResourceNo, Revision, Seq, SessionNo, SubscriptionName, WorkerName,
};
use sessiond_core::rows::MessageMark;
use sha2::{Digest, Sha256};

pub(crate) use resume::ResumeToken;

/// The layout of tokens; another one is not understood.
const VERSION: u8 = 1;

/// Bytes of a hash that tell one log, list or token from another. Nobody gains by a collision, so it
/// need only be unlikely by accident.
const MARK_BYTES: usize = 8;

/// Characters of a token at most, so that none can make the server work: the longest page token names
/// two ids and has 546 bytes, at two characters each.
const TOKEN_CHARS_MAX: usize = 1_092;

type Mark = [u8; MARK_BYTES];

/// The lists that have pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// ListSessions.
    Sessions,
    /// ListMessages.
    Messages,
    /// ListWorkers.
    Workers,
    /// EndSessions.
    Ends,
    /// ListDeadLetters.
    DeadLetters,
    /// RequeueDeadLetters.
    Requeues,
    /// DiscardMessages.
    Discards,
    /// Sweep.
    Sweeps,
    /// PurgeSessions.
    Purges,
    /// ListResources.
    Resources,
    /// ReleaseResource.
    Releases,
    /// ListSubscriptions.
    Subscriptions,
}

/// The entry after which a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PagePosition {
    /// Of ListSessions.
    Sessions {
        /// The last session that was looked at.
        after: SessionNo,
        /// The newest revision when the first page was read: where to watch from.
        revision: Revision,
    },
    /// Of ListMessages.
    Messages {
        /// The queue that the first page was read of.
        queue: QueueId,
        /// The last message that was looked at.
        after: Seq,
    },
    /// Of ListDeadLetters.
    DeadLetters {
        /// The queue of the last letter that was looked at.
        queue: QueueId,
        /// Its seq.
        after: Seq,
    },
    /// Of RequeueDeadLetters.
    Requeues(MessageMark),
    /// Of DiscardMessages.
    Discards(MessageMark),
    /// Of ListWorkers.
    Workers {
        /// The name of the last one that was shown.
        worker: WorkerName,
        /// Its instance.
        instance: InstanceId,
    },
    /// Of EndSessions, Sweep and PurgeSessions.
    Ends {
        /// The last session that was looked at.
        after: SessionNo,
        /// The newest session when the first page began: none behind it is meant.
        until: SessionNo,
    },
    /// Of ListResources and ReleaseResource.
    Resources {
        /// The session of the last resource that was looked at.
        session: SessionNo,
        /// Its number there.
        after: ResourceNo,
        /// The newest session when the first page was read: none behind it is meant.
        until: SessionNo,
    },
    /// Of ListSubscriptions: the name of the last one that was shown.
    Subscriptions(SubscriptionName),
}

/// What the tokens of one listing are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    kind: ListKind,
    log: Mark,
    scope: Mark,
}

/// Why a page token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// It is no token, or a damaged one.
    Malformed,
    /// It is of another log.
    OtherLog,
    /// It is of another list, or of one with another reference or filter.
    OtherList,
}

/// The byte that says what a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Page(ListKind),
    Resume,
}

// === impl Kind ===

impl Kind {
    const ALL: [Self; 13] = [
        Self::Page(ListKind::Sessions),
        Self::Page(ListKind::Messages),
        Self::Page(ListKind::Workers),
        Self::Page(ListKind::Ends),
        Self::Page(ListKind::DeadLetters),
        Self::Page(ListKind::Requeues),
        Self::Page(ListKind::Discards),
        Self::Page(ListKind::Sweeps),
        Self::Page(ListKind::Purges),
        Self::Page(ListKind::Resources),
        Self::Page(ListKind::Releases),
        Self::Page(ListKind::Subscriptions),
        Self::Resume,
    ];

    fn byte(self) -> u8 {
        match self {
            Self::Page(ListKind::Sessions) => 1,
            Self::Page(ListKind::Messages) => 2,
            Self::Page(ListKind::Workers) => 3,
            Self::Page(ListKind::Ends) => 4,
            Self::Page(ListKind::DeadLetters) => 60,
            Self::Page(ListKind::Requeues) => 61,
            Self::Page(ListKind::Discards) => 62,
            Self::Page(ListKind::Sweeps) => 8,
            Self::Page(ListKind::Purges) => 50,
            Self::Page(ListKind::Resources) => 70,
            Self::Page(ListKind::Releases) => 71,
            Self::Page(ListKind::Subscriptions) => 80,
            Self::Resume => 16,
        }
    }
}

// === impl Binding ===

impl Binding {
    /// Binds to a list of a log, and to the parts of the request that choose what it shows.
    pub(crate) fn new(kind: ListKind, log_id: &str, parts: &[&[u8]]) -> Self {
        Self {
            kind,
            log: mark(&[log_id.as_bytes()]),
            scope: mark(parts),
        }
    }

    /// The token of the page after a position of this list.
    pub(crate) fn token(&self, position: &PagePosition) -> String {
        let mut bytes = self.scope.to_vec();
        match position {
            PagePosition::Sessions { after, revision } => {
                bytes.extend(after.0.to_be_bytes());
                bytes.extend(revision.0.to_be_bytes());
            }
            PagePosition::Messages { queue, after }
            | PagePosition::DeadLetters { queue, after } => {
                bytes.extend(queue.0.to_be_bytes());
                bytes.extend(after.0.to_be_bytes());
            }
            PagePosition::Requeues(mark) | PagePosition::Discards(mark) => {
                bytes.extend(mark.queue.0.to_be_bytes());
                bytes.extend(mark.after.0.to_be_bytes());
                bytes.extend(mark.until.0.to_be_bytes());
            }
            PagePosition::Ends { after, until } => {
                bytes.extend(after.0.to_be_bytes());
                bytes.extend(until.0.to_be_bytes());
            }
            PagePosition::Resources {
                session,
                after,
                until,
            } => {
                bytes.extend(session.0.to_be_bytes());
                bytes.extend(after.0.to_be_bytes());
                bytes.extend(until.0.to_be_bytes());
            }
            PagePosition::Workers { worker, instance } => {
                let length = worker.as_str().len() as u64;
                bytes.extend(length.to_be_bytes());
                bytes.extend(worker.as_str().as_bytes());
                bytes.extend(instance.as_str().as_bytes());
            }
            PagePosition::Subscriptions(name) => bytes.extend(name.as_str().as_bytes()),
        }
        encode(Kind::Page(self.kind), self.log, &bytes)
    }

    /// The position that a token of this list names.
    pub(crate) fn position(&self, token: &str) -> Result<PagePosition, TokenError> {
        let (kind, log, body) = decode(token).ok_or(TokenError::Malformed)?;
        if log != self.log {
            return Err(TokenError::OtherLog);
        }
        let (scope, position) = body
            .split_first_chunk::<MARK_BYTES>()
            .ok_or(TokenError::OtherList)?;
        if kind != Kind::Page(self.kind) || *scope != self.scope {
            return Err(TokenError::OtherList);
        }
        position_of(self.kind, position).ok_or(TokenError::Malformed)
    }
}

fn position_of(kind: ListKind, bytes: &[u8]) -> Option<PagePosition> {
    match kind {
        ListKind::Sessions => two_numbers(bytes).map(|(after, revision)| PagePosition::Sessions {
            after: SessionNo(after),
            revision: Revision(revision),
        }),
        ListKind::Messages => two_numbers(bytes).map(|(queue, after)| PagePosition::Messages {
            queue: QueueId(queue),
            after: Seq(after),
        }),
        ListKind::DeadLetters => {
            two_numbers(bytes).map(|(queue, after)| PagePosition::DeadLetters {
                queue: QueueId(queue),
                after: Seq(after),
            })
        }
        ListKind::Requeues => mark_of(bytes).map(PagePosition::Requeues),
        ListKind::Discards => mark_of(bytes).map(PagePosition::Discards),
        ListKind::Ends | ListKind::Sweeps | ListKind::Purges => {
            two_numbers(bytes).map(|(after, until)| PagePosition::Ends {
                after: SessionNo(after),
                until: SessionNo(until),
            })
        }
        ListKind::Resources | ListKind::Releases => {
            let (session, rest) = bytes.split_first_chunk::<8>()?;
            let (after, until) = two_numbers(rest)?;
            Some(PagePosition::Resources {
                session: SessionNo(u64::from_be_bytes(*session)),
                after: ResourceNo(after),
                until: SessionNo(until),
            })
        }
        ListKind::Workers => {
            let (length, names) = bytes.split_first_chunk::<8>()?;
            let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
            let (worker, instance) = std::str::from_utf8(names).ok()?.split_at_checked(length)?;
            Some(PagePosition::Workers {
                worker: WorkerName::parse(worker).ok()?,
                instance: InstanceId::parse(instance).ok()?,
            })
        }
        ListKind::Subscriptions => {
            let name = SubscriptionName::parse(std::str::from_utf8(bytes).ok()?);
            name.ok().map(PagePosition::Subscriptions)
        }
    }
}

fn mark_of(bytes: &[u8]) -> Option<MessageMark> {
    let (queue, rest) = bytes.split_first_chunk::<8>()?;
    let (after, until) = two_numbers(rest)?;
    Some(MessageMark {
        queue: QueueId(u64::from_be_bytes(*queue)),
        after: Seq(after),
        until: Seq(until),
    })
}

fn two_numbers(bytes: &[u8]) -> Option<(u64, u64)> {
    let (first, second) = bytes.split_first_chunk::<8>()?;
    let second = second.try_into().ok()?;
    Some((u64::from_be_bytes(*first), u64::from_be_bytes(second)))
}

// === encoding ===

fn encode(kind: Kind, log: Mark, body: &[u8]) -> String {
    let mut bytes = vec![VERSION, kind.byte()];
    bytes.extend(log);
    bytes.extend(body);
    let checksum = mark(&[&bytes]);
    bytes.extend(checksum);
    let mut token = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(token, "{byte:02x}").expect("a String takes everything");
    }
    token
}

fn decode(token: &str) -> Option<(Kind, Mark, Vec<u8>)> {
    if token.len() > TOKEN_CHARS_MAX {
        return None;
    }
    let bytes = hex(token.as_bytes())?;
    let (content, checksum) = bytes.split_last_chunk::<MARK_BYTES>()?;
    if *checksum != mark(&[content]) {
        return None;
    }
    let ([version, kind], rest) = content.split_first_chunk::<2>()?;
    let (log, body) = rest.split_first_chunk::<MARK_BYTES>()?;
    let kind = Kind::ALL.into_iter().find(|known| known.byte() == *kind)?;
    (*version == VERSION).then(|| (kind, *log, body.to_vec()))
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

/// The beginning of a hash over parts, each with its length, so that no two lists of parts are one.
fn mark(parts: &[&[u8]]) -> Mark {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    *digest
        .first_chunk()
        .expect("a hash is longer than its mark")
}
