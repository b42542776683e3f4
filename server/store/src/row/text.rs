//! Ids as texts: read back through the same door that callers come through.
//!
//! A stored id that does not parse was not written by this schema. No text is changed on its way.

use sessiond_core::ids::{
    CoalesceKey, IdempotencyKey, InstanceId, MachineId, MessageKind, Namespace, NodeName, PoolName,
    RequestId, ResourceName, SessionId, SessionKey, SubscriptionName, TextError, WorkerName,
};

use crate::row::DecodeError;

/// A text with a rule of its own.
pub(crate) trait Text: Sized {
    /// What it is called in an error.
    const WHAT: &'static str;

    fn of(text: String) -> Result<Self, TextError>;
}

macro_rules! texts {
    ($($name:ident: $what:literal),+ $(,)?) => {
        $(impl Text for $name {
            const WHAT: &'static str = $what;

            fn of(text: String) -> Result<Self, TextError> {
                $name::parse(text)
            }
        })+
    };
}

texts! {
    CoalesceKey: "the coalesce key",
    IdempotencyKey: "the idempotency key",
    InstanceId: "the instance id",
    MachineId: "the machine id",
    MessageKind: "the message kind",
    Namespace: "the namespace",
    NodeName: "the node name",
    PoolName: "the pool name",
    RequestId: "the request id",
    ResourceName: "the resource name",
    SessionId: "the session id",
    SessionKey: "the session key",
    SubscriptionName: "the subscription name",
    WorkerName: "the worker name",
}

pub(crate) fn text<T: Text>(text: String) -> Result<T, DecodeError> {
    T::of(text).map_err(|error| DecodeError::Text {
        what: T::WHAT,
        error,
    })
}

pub(crate) fn text_if<T: Text>(stored: Option<String>) -> Result<Option<T>, DecodeError> {
    stored.map(text).transpose()
}
