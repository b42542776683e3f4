//! The cold row of a session: who it is, how it is configured, where it is in its life.
//!
//! The end of a session is a message of its own, `row/session/end.rs`.

mod end;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use sessiond_core::ids::{Epoch, QueueId, Revision, SessionNo};
use sessiond_core::resource::Unreleased as DomainUnreleased;
use sessiond_core::session as domain;
use sessiond_core::time::{EngineTime, Limit as DomainLimit, Span, WallTime};

use self::end::{EndIntent, SessionEnd};
use crate::row::numbers::Numbered;
use crate::row::text::{text, text_if};
use crate::row::{DecodeError, need};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Session {
    #[prost(uint64, tag = "1")]
    no: u64,
    #[prost(string, tag = "2")]
    id: String,
    #[prost(string, tag = "3")]
    namespace: String,
    #[prost(string, optional, tag = "4")]
    key: Option<String>,
    #[prost(string, tag = "5")]
    pool: String,
    #[prost(uint64, tag = "6")]
    queue: u64,
    #[prost(oneof = "Lifecycle", tags = "7, 8, 9, 40")]
    lifecycle: Option<Lifecycle>,
    #[prost(message, optional, tag = "10")]
    profile: Option<Profile>,
    #[prost(message, optional, tag = "11")]
    timeouts: Option<Timeouts>,
    #[prost(uint32, tag = "12")]
    ordering: u32,
    #[prost(uint32, tag = "13")]
    max_in_flight: u32,
    #[prost(string, optional, tag = "14")]
    parent: Option<String>,
    #[prost(string, optional, tag = "15")]
    predecessor: Option<String>,
    #[prost(string, optional, tag = "16")]
    successor: Option<String>,
    #[prost(uint64, tag = "17")]
    create_time: u64,
    #[prost(uint64, tag = "18")]
    created_at: u64,
    #[prost(uint64, optional, tag = "19")]
    lease: Option<u64>,
    #[prost(uint64, tag = "20")]
    revision: u64,
    #[prost(uint64, tag = "41")]
    active_since: u64,
    #[prost(uint64, tag = "42")]
    ranked_at: u64,
    #[prost(message, optional, tag = "90")]
    resources: Option<Unreleased>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Unreleased {
    #[prost(uint32, tag = "1")]
    count: u32,
    #[prost(uint32, tag = "2")]
    lingering: u32,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Lifecycle {
    #[prost(message, tag = "7")]
    Active(()),
    #[prost(message, tag = "8")]
    Draining(EndIntent),
    #[prost(message, boxed, tag = "9")]
    Ended(Box<SessionEnd>),
    #[prost(message, tag = "40")]
    Queued(Wait),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Wait {
    #[prost(uint64, optional, tag = "1")]
    until: Option<u64>,
    #[prost(uint64, tag = "2")]
    place: u64,
    #[prost(message, optional, tag = "90")]
    behind: Option<Behind>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Behind {
    #[prost(uint64, tag = "1")]
    predecessor: u64,
    #[prost(uint32, tag = "2")]
    slot: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Profile {
    #[prost(string, tag = "1")]
    project: String,
    #[prost(string, tag = "2")]
    source: String,
    #[prost(string, tag = "3")]
    agent_id: String,
    #[prost(btree_map = "string, string", tag = "4")]
    labels: BTreeMap<String, String>,
    #[prost(string, tag = "5")]
    prompt: String,
    #[prost(string, tag = "6")]
    transcript_path: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Timeouts {
    #[prost(message, optional, tag = "1")]
    idle: Option<Limit>,
    #[prost(message, optional, tag = "2")]
    lifetime: Option<Limit>,
    #[prost(message, optional, tag = "3")]
    owner: Option<Limit>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Limit {
    #[prost(oneof = "LimitKind", tags = "1, 2")]
    kind: Option<LimitKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum LimitKind {
    #[prost(uint64, tag = "1")]
    After(u64),
    #[prost(message, tag = "2")]
    Never(()),
}

impl From<&domain::SessionRow> for Session {
    fn from(row: &domain::SessionRow) -> Self {
        let id = |id: &sessiond_core::ids::SessionId| id.as_str().to_owned();
        Self {
            no: row.no.0,
            id: id(&row.id),
            namespace: row.namespace.as_str().to_owned(),
            key: row.key.as_ref().map(|key| key.as_str().to_owned()),
            pool: row.pool.as_str().to_owned(),
            queue: row.queue.0,
            lifecycle: Some((&row.lifecycle).into()),
            profile: Some((&row.profile).into()),
            timeouts: Some((&row.timeouts).into()),
            ordering: row.ordering.number(),
            max_in_flight: row.max_in_flight.get(),
            parent: row.parent.as_ref().map(id),
            predecessor: row.predecessor.as_ref().map(id),
            successor: row.successor.as_ref().map(id),
            create_time: row.create_time.0,
            created_at: row.created_at.0,
            lease: row.lease.map(|epoch| epoch.0),
            revision: row.revision.0,
            active_since: row.active_since.0,
            ranked_at: row.ranked_at.0,
            resources: row.resources.map(|unreleased| Unreleased {
                count: unreleased.count,
                lingering: unreleased.lingering,
            }),
        }
    }
}

impl TryFrom<Session> for domain::SessionRow {
    type Error = DecodeError;

    fn try_from(row: Session) -> Result<Self, DecodeError> {
        Ok(Self {
            no: SessionNo(row.no),
            id: text(row.id)?,
            namespace: text(row.namespace)?,
            key: text_if(row.key)?,
            pool: text(row.pool)?,
            queue: QueueId(row.queue),
            lifecycle: need(row.lifecycle, "the state")?.try_into()?,
            profile: need(row.profile, "the profile")?.into(),
            timeouts: need(row.timeouts, "the timeouts")?.try_into()?,
            ordering: Numbered::of_number(row.ordering)?,
            max_in_flight: NonZeroU32::new(row.max_in_flight)
                .ok_or(DecodeError::Zero("the bound of what is in flight"))?,
            parent: text_if(row.parent)?,
            predecessor: text_if(row.predecessor)?,
            successor: text_if(row.successor)?,
            create_time: WallTime(row.create_time),
            created_at: EngineTime(row.created_at),
            lease: row.lease.map(Epoch),
            revision: Revision(row.revision),
            active_since: EngineTime(row.active_since),
            ranked_at: EngineTime(row.ranked_at),
            resources: row.resources.map(|unreleased| DomainUnreleased {
                count: unreleased.count,
                lingering: unreleased.lingering,
            }),
        })
    }
}

impl From<&domain::Lifecycle> for Lifecycle {
    fn from(lifecycle: &domain::Lifecycle) -> Self {
        match lifecycle {
            domain::Lifecycle::Queued(wait) => Self::Queued(Wait {
                until: wait.until.map(|until| until.0),
                place: wait.place.0,
                behind: wait.behind.map(|behind| Behind {
                    predecessor: behind.predecessor.0,
                    slot: behind.slot.number(),
                }),
            }),
            domain::Lifecycle::Active => Self::Active(()),
            domain::Lifecycle::Draining(intent) => Self::Draining(intent.into()),
            domain::Lifecycle::Ended(end) => Self::Ended(Box::new((&**end).into())),
        }
    }
}

impl TryFrom<Lifecycle> for domain::Lifecycle {
    type Error = DecodeError;

    fn try_from(lifecycle: Lifecycle) -> Result<Self, DecodeError> {
        Ok(match lifecycle {
            Lifecycle::Queued(wait) => {
                let behind = wait.behind.map(|behind| {
                    Ok::<_, DecodeError>(domain::Behind {
                        predecessor: SessionNo(behind.predecessor),
                        slot: Numbered::of_number(behind.slot)?,
                    })
                });
                Self::Queued(domain::Wait {
                    until: wait.until.map(EngineTime),
                    place: SessionNo(wait.place),
                    behind: behind.transpose()?,
                })
            }
            Lifecycle::Active(()) => Self::Active,
            Lifecycle::Draining(intent) => Self::Draining(intent.try_into()?),
            Lifecycle::Ended(end) => Self::Ended(Box::new((*end).try_into()?)),
        })
    }
}

impl From<&domain::Profile> for Profile {
    fn from(profile: &domain::Profile) -> Self {
        Self {
            project: profile.project.clone(),
            source: profile.source.clone(),
            agent_id: profile.agent_id.clone(),
            labels: profile.labels.clone(),
            prompt: profile.prompt.clone(),
            transcript_path: profile.transcript_path.clone(),
        }
    }
}

impl From<Profile> for domain::Profile {
    fn from(profile: Profile) -> Self {
        Self {
            project: profile.project,
            source: profile.source,
            agent_id: profile.agent_id,
            labels: profile.labels,
            prompt: profile.prompt,
            transcript_path: profile.transcript_path,
        }
    }
}

impl From<&domain::Timeouts> for Timeouts {
    fn from(timeouts: &domain::Timeouts) -> Self {
        Self {
            idle: Some(timeouts.idle.into()),
            lifetime: Some(timeouts.lifetime.into()),
            owner: Some(timeouts.owner.into()),
        }
    }
}

impl TryFrom<Timeouts> for domain::Timeouts {
    type Error = DecodeError;

    fn try_from(timeouts: Timeouts) -> Result<Self, DecodeError> {
        Ok(Self {
            idle: need(timeouts.idle, "the idle limit")?.try_into()?,
            lifetime: need(timeouts.lifetime, "the age limit")?.try_into()?,
            owner: need(timeouts.owner, "the owner limit")?.try_into()?,
        })
    }
}

impl From<DomainLimit> for Limit {
    fn from(limit: DomainLimit) -> Self {
        Self {
            kind: Some(match limit {
                DomainLimit::After(span) => LimitKind::After(span.0),
                DomainLimit::Never => LimitKind::Never(()),
            }),
        }
    }
}

impl TryFrom<Limit> for DomainLimit {
    type Error = DecodeError;

    fn try_from(limit: Limit) -> Result<Self, DecodeError> {
        Ok(match need(limit.kind, "the kind of a limit")? {
            LimitKind::After(span) => Self::After(Span(span)),
            LimitKind::Never(()) => Self::Never,
        })
    }
}
