//! What every handler has: the way to the engine, snapshots, and who this server is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sessiond_core::command::Command;
use sessiond_core::event::{Actor, ActorKind, Cause};
use sessiond_core::ids::{Epoch, Namespace, Revision, SessionId, SessionNo};
use sessiond_core::lease::LeaseView;
use sessiond_core::limits::Policy;
use sessiond_core::reply::Reply;
use sessiond_core::rows::{Counters, Row, RowKey};
use sessiond_core::session::SessionView;
use sessiond_core::time::{Now, Span, WallTime};
use sessiond_proto::CAUSE_METADATA_KEY;
use sessiond_proto::v1 as pb;
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::Reader;
use sessiond_store::snapshot::Rows;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use crate::compaction::EventRetention;
use crate::consumers::Consumers;
use crate::dispatch::Dispatcher;
use crate::drain::Drains;
use crate::engine::{Handle, Refused};
use crate::env::{Clock, Env};
use crate::exports::Exports;
use crate::feed::Feed;
use crate::limits::{CAUSE_DEPTH_MAX, STOP_STREAMS_WITHIN};
use crate::nodes::Nodes;
use crate::principal::Principal;
use crate::stopping::Stopping;
use crate::transport::Register;
use crate::wire::show::reply::Shown;
use crate::wire::status::Refusal;
use crate::wire::{cause, namespace, show};

/// What every handler has.
#[derive(Debug)]
pub struct Context {
    /// The way to the engine.
    pub engine: Handle,
    /// Snapshots of committed rows.
    pub reader: Reader,
    /// Events.
    pub feed: Arc<Feed>,
    /// Streams and waiting claims.
    pub dispatcher: Arc<Dispatcher>,
    /// The agents of other machines.
    pub nodes: Nodes,
    /// Who reads for which subscription.
    pub consumers: Consumers,
    /// The seams.
    pub env: Env,
    /// Who exports sessions before they are purged; none where that need not be.
    pub exports: Option<Arc<Exports>>,
    /// The limits in force.
    pub policy: Arc<Policy>,
    /// How long events are kept.
    pub events: EventRetention,
    /// The namespaces that exist.
    pub namespaces: BTreeSet<Namespace>,
    /// Who this server is.
    pub identification: Identification,
    /// Whether it is going away.
    pub stopping: Stopping,
    /// Who asked for that, and how far it is.
    pub drains: Drains,
    /// The connections there are.
    pub connections: Register,
}

/// Who this server is.
#[derive(Clone, Debug)]
pub struct Identification {
    /// The identity of the log.
    pub log_id: String,
    /// When it started, for display.
    pub start_time: WallTime,
    /// The same on the monotonic clock.
    pub started_ms: u64,
}

impl Identification {
    /// The server that starts now on this log.
    #[must_use]
    pub fn new(log_id: [u8; 16], clock: &dyn Clock) -> Self {
        Self {
            log_id: uuid::Uuid::from_bytes(log_id).to_string(),
            start_time: clock.wall(),
            started_ms: clock.monotonic_ms(),
        }
    }
}

/// The namespace that a call names, and who its changes are put down to.
pub(crate) type Called = (Namespace, Actor);

impl Context {
    /// The namespace a call names.
    pub(crate) fn namespace(&self, metadata: &MetadataMap) -> Result<Namespace, Status> {
        Ok(namespace::of_call(metadata, &self.namespaces)?)
    }

    /// The namespace a call names, and who its changes are put down to.
    pub(crate) fn called<T>(&self, request: &Request<T>) -> Result<Called, Status> {
        let metadata = request.metadata();
        let mut actor = self.caller(metadata)?;
        let principal = request.extensions().get::<Principal>();
        actor.name = principal.map(ToString::to_string).unwrap_or_default();
        Ok((self.namespace(metadata)?, actor))
    }

    /// Somebody of whom no name is known, and the event whose handling the call is part of.
    fn caller(&self, metadata: &MetadataMap) -> Result<Actor, Status> {
        let mut actor = Actor::unnamed(ActorKind::Api);
        if metadata.contains_key(CAUSE_METADATA_KEY) {
            // A snapshot, for the feed says a moment later that there is an event which somebody may have been sent.
            let rows = self.rows()?;
            let (_, newest) = rows.log_bounds().map_err(|fault| faulted(&fault))?;
            let event = cause::of_call(metadata, &self.identification.log_id, newest)?;
            actor.cause = event.map(|event| caused_by(&rows, event)).transpose()?;
        }
        Ok(actor)
    }

    /// Refuses what begins something new once the server is going away.
    pub(crate) fn refuse_if_stopping(&self) -> Result<(), Status> {
        refuse_if(self.stopping.is_draining())
    }

    /// Refuses what is needed until everybody leaves: agents that end what sessions have outside.
    pub(crate) fn refuse_if_leaving(&self) -> Result<(), Status> {
        refuse_if(self.stopping.has_begun())
    }

    /// Asks the engine; a rejection becomes its status.
    pub(crate) async fn ask(&self, command: Command) -> Result<(Revision, Reply), Status> {
        let answer = self.engine.ask(command).await.map_err(refused)?;
        match answer.outcome {
            Ok(reply) => Ok((answer.revision, reply)),
            Err(rejection) => Err(Refusal::rejected(&rejection).into()),
        }
    }

    /// A snapshot of committed rows.
    pub(crate) fn rows(&self) -> Result<Rows, Status> {
        self.reader.snapshot().map_err(|fault| faulted(&fault))
    }

    /// What is counted, as of the newest commit.
    pub(crate) fn counters(&self) -> Result<Counters, Status> {
        self.rows()?.counters().map_err(|fault| faulted(&fault))
    }

    /// The revision that the log begins with, and the newest one.
    pub(crate) fn log_bounds(&self) -> Result<(Revision, Revision), Status> {
        self.rows()?.log_bounds().map_err(|fault| faulted(&fault))
    }

    /// When streams are cut that are told now that the server goes away.
    pub(crate) fn closing_time(&self) -> WallTime {
        let now = self.now();
        now.wall_of(now.engine + span(STOP_STREAMS_WITHIN))
    }

    /// The present, for what is shown.
    pub(crate) fn now(&self) -> Now {
        self.engine.clock().now()
    }

    /// For how long the server has been serving.
    pub(crate) fn uptime(&self) -> Span {
        let now = self.engine.clock().monotonic_ms();
        Span(now.saturating_sub(self.identification.started_ms))
    }

    /// A session of a snapshot.
    pub(crate) fn see(&self, rows: &Rows, no: SessionNo) -> Result<Option<SessionView>, Status> {
        rows.session_view(no).map_err(|fault| faulted(&fault))
    }

    /// When the answer to a command is shown.
    pub(crate) fn shown(&self, revision: Revision) -> Shown {
        Shown {
            revision,
            now: self.now(),
        }
    }

    /// One session as it is shown.
    pub(crate) async fn show(&self, seen: SessionView) -> Result<pb::Session, Status> {
        let mut shown = self.show_all(vec![seen]).await?;
        Ok(shown.remove(0))
    }

    /// Sessions as they are shown. When their leases lapse is asked of the engine, which alone renews
    /// them; no snapshot is held meanwhile.
    pub(crate) async fn show_all(
        &self,
        mut seen: Vec<SessionView>,
    ) -> Result<Vec<pb::Session>, Status> {
        let epochs: Vec<Epoch> = seen
            .iter()
            .filter_map(|view| view.lease.as_ref().map(|lease| lease.epoch))
            .collect();
        if !epochs.is_empty() {
            let times = self.lease_times(epochs).await?;
            for lease in seen.iter_mut().filter_map(|view| view.lease.as_mut()) {
                if let Some(time) = times.get(&lease.epoch) {
                    lease.expire_time = *time;
                }
            }
        }
        let now = self.now();
        let shown = seen.iter().map(|view| show::session::session(view, now));
        Ok(shown.collect())
    }

    /// A lease with when it lapses as the engine knows it.
    pub(crate) async fn as_renewed(&self, mut lease: LeaseView) -> Result<LeaseView, Status> {
        let times = self.lease_times(vec![lease.epoch]).await?;
        if let Some(time) = times.get(&lease.epoch) {
            lease.expire_time = *time;
        }
        Ok(lease)
    }

    async fn lease_times(&self, epochs: Vec<Epoch>) -> Result<BTreeMap<Epoch, WallTime>, Status> {
        let (_, reply) = self.ask(Command::LeaseTimes(epochs)).await?;
        let Reply::LeaseTimes(times) = reply else {
            panic!("lease times are answered with lease times: {reply:?}");
        };
        Ok(times.into_iter().collect())
    }
}

/// The id of a session; nothing once it was purged.
pub(crate) fn session_id(rows: &Rows, no: SessionNo) -> Result<Option<SessionId>, Fault> {
    let row = rows.row(&RowKey::Session(no))?;
    Ok(match row {
        Some(Row::Session(session)) => Some(session.id.clone()),
        Some(_) | None => None,
    })
}

/// A duration of the server's own as the rules count it.
pub(crate) fn span(duration: std::time::Duration) -> Span {
    Span(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// One more change by whoever handles this event; refused where too many were made so, one by the event of the other.
fn caused_by(rows: &Rows, event: Revision) -> Result<Cause, Status> {
    let row = rows.event(event).map_err(|fault| faulted(&fault))?;
    // Of one that is deleted nobody knows what it was caused by.
    let before = row.and_then(|row| row.actor.cause);
    let depth = before.map_or(0, |cause| cause.depth) + 1;
    if depth > CAUSE_DEPTH_MAX {
        return Err(Refusal::cause_too_deep(event, depth, CAUSE_DEPTH_MAX).into());
    }
    Ok(Cause { event, depth })
}

fn refuse_if(goes_away: bool) -> Result<(), Status> {
    match goes_away {
        true => Err(Refusal::server_draining().into()),
        false => Ok(()),
    }
}

/// The engine did not take a command or did not answer.
pub(crate) fn refused(refused: Refused) -> Status {
    match refused {
        Refused::Overloaded(backlog) => Refusal::overloaded(backlog).into(),
        Refused::Stopped => Refusal::store_unavailable().into(),
    }
}

/// A snapshot could not be read. The engine meets the same fault and stops the process.
pub(crate) fn faulted(fault: &Fault) -> Status {
    tracing::error!(fault = fault.describe(), "a read of the store failed");
    Refusal::store_unavailable().into()
}
