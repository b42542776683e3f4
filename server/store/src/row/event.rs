//! Events of the log, each with the session as it was right after, and who caused them.

use std::collections::BTreeMap;
use std::sync::Arc;

use sessiond_core::event as domain;
use sessiond_core::ids::{QueueId, Revision, Seq};
use sessiond_core::session as domain_session;
use sessiond_core::time::{EngineTime, WallTime};

use crate::row::activity::Activity;
use crate::row::lease::LeaseView;
use crate::row::numbers::Numbered;
use crate::row::session::Session;
use crate::row::tally::Depth;
use crate::row::text::text;
use crate::row::{DecodeError, need};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Event {
    #[prost(uint64, tag = "1")]
    revision: u64,
    #[prost(uint32, tag = "2")]
    kind: u32,
    #[prost(uint64, tag = "3")]
    time: u64,
    #[prost(message, optional, tag = "4")]
    actor: Option<Actor>,
    #[prost(message, optional, tag = "5")]
    session: Option<SessionView>,
    #[prost(message, optional, tag = "6")]
    message: Option<MessageRef>,
    #[prost(btree_map = "string, string", tag = "7")]
    attributes: BTreeMap<String, String>,
    #[prost(uint32, tag = "8")]
    siblings_after: u32,
    #[prost(uint64, tag = "9")]
    at: u64,
    #[prost(uint64, tag = "10")]
    offset: u64,
    /// What it is about if that is no session.
    #[prost(message, optional, tag = "11")]
    subscription: Option<SubscriptionKey>,
    /// It is about the server.
    #[prost(bool, tag = "12")]
    server: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Actor {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, optional, tag = "3")]
    cause: Option<Cause>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Cause {
    #[prost(uint64, tag = "1")]
    event: u64,
    #[prost(uint32, tag = "2")]
    depth: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SubscriptionKey {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SessionView {
    #[prost(message, optional, tag = "1")]
    session: Option<Session>,
    #[prost(message, optional, tag = "2")]
    activity: Option<Activity>,
    #[prost(message, optional, tag = "3")]
    depth: Option<Depth>,
    #[prost(message, optional, tag = "4")]
    lease: Option<LeaseView>,
    #[prost(uint64, optional, tag = "60")]
    oldest_pending: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MessageRef {
    #[prost(uint64, tag = "1")]
    queue: u64,
    #[prost(uint64, tag = "2")]
    seq: u64,
    #[prost(string, tag = "3")]
    kind: String,
}

impl From<&domain::EventRow> for Event {
    fn from(row: &domain::EventRow) -> Self {
        let (session, subscription) = match &row.about {
            domain::About::Session(view) => (Some((&**view).into()), None),
            domain::About::Server => (None, None),
            domain::About::Subscription((namespace, name)) => {
                let namespace = namespace.as_str().to_owned();
                let name = name.as_str().to_owned();
                (None, Some(SubscriptionKey { namespace, name }))
            }
        };
        Self {
            revision: row.revision.0,
            kind: row.kind.number(),
            time: row.time.0,
            actor: Some((&row.actor).into()),
            session,
            subscription,
            server: row.about == domain::About::Server,
            message: row.message.as_ref().map(Into::into),
            attributes: row.attributes.clone(),
            siblings_after: row.siblings_after,
            at: row.at.0,
            offset: row.offset,
        }
    }
}

impl TryFrom<Event> for domain::EventRow {
    type Error = DecodeError;

    fn try_from(row: Event) -> Result<Self, DecodeError> {
        let kind = Numbered::of_number(row.kind)?;
        let about = match (row.session, row.subscription, row.server) {
            (Some(view), None, false) => domain::About::Session(Box::new(view.try_into()?)),
            (None, Some(of), false) => {
                domain::About::Subscription((text(of.namespace)?, text(of.name)?))
            }
            (None, None, true) => domain::About::Server,
            (_, _, _) => {
                return Err(DecodeError::Missing("what an event is about"));
            }
        };
        Ok(Self {
            revision: Revision(row.revision),
            kind,
            time: WallTime(row.time),
            at: EngineTime(row.at),
            actor: need(row.actor, "the actor")?.try_into()?,
            about,
            message: row.message.map(Into::into),
            attributes: row.attributes,
            siblings_after: row.siblings_after,
            offset: row.offset,
        })
    }
}

impl From<&domain::Actor> for Actor {
    fn from(actor: &domain::Actor) -> Self {
        Self {
            kind: actor.kind.number(),
            name: actor.name.clone(),
            cause: actor.cause.map(Into::into),
        }
    }
}

impl TryFrom<Actor> for domain::Actor {
    type Error = DecodeError;

    fn try_from(actor: Actor) -> Result<Self, DecodeError> {
        Ok(Self {
            kind: Numbered::of_number(actor.kind)?,
            name: actor.name,
            cause: actor.cause.map(Into::into),
        })
    }
}

impl From<domain::Cause> for Cause {
    fn from(cause: domain::Cause) -> Self {
        Self {
            event: cause.event.0,
            depth: cause.depth,
        }
    }
}

impl From<Cause> for domain::Cause {
    fn from(cause: Cause) -> Self {
        Self {
            event: Revision(cause.event),
            depth: cause.depth,
        }
    }
}

impl From<&domain_session::SessionView> for SessionView {
    fn from(view: &domain_session::SessionView) -> Self {
        Self {
            session: Some((&*view.session).into()),
            activity: Some((&view.activity).into()),
            depth: Some((&view.depth).into()),
            lease: view.lease.as_ref().map(Into::into),
            oldest_pending: view.oldest_pending.map(|time| time.0),
        }
    }
}

impl TryFrom<SessionView> for domain_session::SessionView {
    type Error = DecodeError;

    fn try_from(view: SessionView) -> Result<Self, DecodeError> {
        Ok(Self {
            session: Arc::new(need(view.session, "the cold part of a session")?.try_into()?),
            activity: need(view.activity, "the warm part of a session")?.try_into()?,
            depth: need(view.depth, "the depth")?.into(),
            lease: view.lease.map(TryInto::try_into).transpose()?,
            oldest_pending: view.oldest_pending.map(WallTime),
        })
    }
}

impl From<&domain::MessageRef> for MessageRef {
    fn from(message: &domain::MessageRef) -> Self {
        Self {
            queue: message.queue.0,
            seq: message.seq.0,
            kind: message.kind.clone(),
        }
    }
}

impl From<MessageRef> for domain::MessageRef {
    fn from(message: MessageRef) -> Self {
        Self {
            queue: QueueId(message.queue),
            seq: Seq(message.seq),
            kind: message.kind,
        }
    }
}
