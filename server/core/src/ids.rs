//! Identifiers: store-assigned numbers and caller-given texts, each its own type.
//!
//! Numbers grow in creation order and are never reused. Texts are checked once, when parsed: not
//! empty, at most [`ID_BYTES_MAX`] bytes of UTF-8, no control characters; so whoever holds one need
//! not check again. Nothing here says which ids exist.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::limits::ID_BYTES_MAX;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// The number after this one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// A session's internal number, in creation order.
    SessionNo
);
number!(
    /// A queue's number, in creation order; it outlives the session that owns the queue.
    QueueId
);
number!(
    /// A message's place in its queue, from 1.
    Seq
);
number!(
    /// One hand-out of a message; a counter per queue, from 1.
    DeliveryId
);
number!(
    /// The fencing token of a lease; one counter per store, only grows.
    Epoch
);
number!(
    /// An event's place in the store's log, 1, 2, 3 … without a hole.
    Revision
);
number!(
    /// A request's place among those of its session, from 1.
    RequestNo
);
number!(
    /// A resource's place among those of its session, from 1.
    ResourceNo
);
number!(
    /// One open stream of a worker or of a node's agent, numbered by the server since its start.
    StreamId
);

/// Why a text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextError {
    /// It has no bytes.
    Empty,
    /// It has more than [`ID_BYTES_MAX`] bytes.
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// It holds a control character.
    Control,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("must not be empty"),
            Self::TooLong { bytes } => {
                write!(f, "must be at most {ID_BYTES_MAX} bytes, got {bytes}")
            }
            Self::Control => f.write_str("must not contain control characters"),
        }
    }
}

impl std::error::Error for TextError {}

/// Checks the rule that all texts used as ids share.
pub fn check_text(text: &str) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(TextError::TooLong { bytes: text.len() });
    }
    if text.chars().any(char::is_control) {
        return Err(TextError::Control);
    }
    Ok(())
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a text that obeys [`check_text`].
            pub fn parse(text: impl Into<String>) -> Result<Self, TextError> {
                let text = text.into();
                check_text(&text)?;
                Ok(Self(text.into()))
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Sorts before every text; the start of a scan, never a caller's.
            #[must_use]
            pub fn lowest() -> Self {
                Self(Arc::default())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// An isolation boundary; nothing leaves it.
    Namespace
);
text!(
    /// One incarnation's external id.
    SessionId
);
text!(
    /// The stable name of a conversation.
    SessionKey
);
text!(
    /// A named limit set.
    PoolName
);
text!(
    /// What a worker process calls itself; several instances may share it.
    WorkerName
);
text!(
    /// One run of a worker process.
    InstanceId
);
text!(
    /// What a caller calls a resource of a session.
    ResourceName
);
text!(
    /// Another machine, as its agent calls it.
    NodeName
);
text!(
    /// A subscription, as the plugin that made it calls it.
    SubscriptionName
);
text!(
    /// What a machine is known by, whatever it is called and however often it boots.
    MachineId
);
text!(
    /// A caller's name for one control mutation.
    RequestId
);

macro_rules! digested {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            text: Arc<str>,
            digest: KeyDigest,
        }

        impl $name {
            /// Takes a text that obeys [`check_text`].
            pub fn parse(text: impl Into<String>) -> Result<Self, TextError> {
                let text = text.into();
                check_text(&text)?;
                let digest = KeyDigest::of(&text);
                Ok(Self {
                    digest,
                    text: text.into(),
                })
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.text
            }

            /// What stands for it where many of them lie. Taken when it was parsed, which is not done by the one who
            /// decides.
            #[must_use]
            pub fn digest(&self) -> KeyDigest {
                self.digest
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.text).finish()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }
    };
}

digested!(
    /// A caller's name for a message, unique in a queue while it is remembered.
    IdempotencyKey
);
digested!(
    /// What several messages of a queue have in common of which only the newest is wanted.
    CoalesceKey
);

/// The first 128 bits of the SHA-256 of a key: short, and nobody can make two keys share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyDigest(pub [u8; 16]);

impl KeyDigest {
    fn of(text: &str) -> Self {
        let whole: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let (digest, _) = whole
            .split_first_chunk()
            .expect("a SHA-256 has more than 16 bytes");
        Self(*digest)
    }
}

/// What kind of work a message is: `observation`, `summarize`, any name of at most 64 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKind(Arc<str>);

impl MessageKind {
    /// Takes a text that obeys [`check_text`] and [`crate::limits::KIND_BYTES_MAX`].
    pub fn parse(text: impl Into<String>) -> Result<Self, TextError> {
        let text = text.into();
        check_text(&text)?;
        if text.len() > crate::limits::KIND_BYTES_MAX {
            return Err(TextError::TooLong { bytes: text.len() });
        }
        Ok(Self(text.into()))
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How a caller names a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionRef {
    /// One incarnation, whatever its state.
    Id(SessionId),
    /// The live session of a key.
    Key(SessionKey),
}
