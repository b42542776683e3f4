//! DrainServer: asks the server to go, and tells how that goes until it is reported.
//!
//! CancelDrain calls it off while it is only announced. The call asks whoever waits for signals too, so a drain is one whoever asked, and a caller that hangs up stops nothing.
//! Invariant: `started` is told once that is on record, the report once that is. What this deliberately does not do: drain;
//! see `drain.rs`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use sessiond_core::drain::DrainRow;
use sessiond_core::event::Actor;
use sessiond_core::time::{Span, WallTime};
use sessiond_proto::v1 as pb;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;
use tonic::codegen::BoxStream;

use super::context::{Context, faulted};
use crate::drain::{Asked, Progress, Stage, Uncancelled};
use crate::wire::status::Refusal;
use crate::wire::{parse, show};

/// What the caller is sent.
pub(super) type Frames = BoxStream<pb::DrainServerResponse>;

/// What came of the newest drain.
pub(super) fn report(context: &Context) -> Result<pb::GetDrainReportResponse, Status> {
    let row = context.rows()?.drain().map_err(|fault| faulted(&fault))?;
    Ok(pb::GetDrainReportResponse {
        report: row.as_deref().map(show::drain::report),
    })
}

/// Asks, and answers with how it goes.
pub(super) fn serve(
    context: &Arc<Context>,
    request: pb::DrainServerRequest,
) -> Result<Frames, Status> {
    let (drains, now) = (&context.drains, context.now().wall);
    let call = parse::drain_server::drain_server(request, now, drains.terms())
        .map_err(|invalid| Refusal::invalid(&invalid))?;
    context.refuse_if_leaving()?;
    let stages = drains.follow();
    let begins = Instant::now() + Duration::from_millis(call.notice.0);
    let (asked, joined) = drains.ask(Asked {
        reason: call.reason,
        sessions: call.sessions,
        notice: (call.notice > Span(0)).then_some(begins),
        deadline: begins + Duration::from_millis(call.within.0),
    });
    let left = asked.deadline.saturating_duration_since(Instant::now());
    let left = Span(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
    let caller = Caller {
        stages,
        deadline: WallTime(now.0.saturating_add(left.0)),
        joined,
        told: Told::Nothing,
    };
    Ok(Box::pin(stream::unfold(caller, Caller::next)))
}

/// Calls off the drain that is announced; answers when that is on record.
pub(super) async fn cancel(
    context: &Context,
    actor: Actor,
) -> Result<pb::CancelDrainResponse, Status> {
    let cancelled = context.drains.cancel(actor).await;
    let row =
        cancelled.map_err(|why| Refusal::drain_not_cancellable(why == Uncancelled::GoesThrough))?;
    Ok(pb::CancelDrainResponse {
        report: Some(show::drain::report(&row)),
    })
}

/// Who is told.
struct Caller {
    stages: watch::Receiver<Stage>,
    deadline: WallTime,
    joined: bool,
    told: Told,
}

/// What was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Started,
    Progress(Progress),
    Report,
}

impl Caller {
    async fn next(mut self) -> Option<(Result<pb::DrainServerResponse, Status>, Self)> {
        loop {
            let stage = self.stages.borrow_and_update().clone();
            if let Some(frame) = self.tell(&stage) {
                return Some((Ok(frame), self));
            }
            if self.told == Told::Report || self.stages.changed().await.is_err() {
                return None;
            }
        }
    }

    /// What there is to tell of a stage.
    fn tell(&mut self, stage: &Stage) -> Option<pb::DrainServerResponse> {
        let started = |row: &DrainRow| show::drain::started(row, self.deadline, self.joined);
        let (frame, told) = match (stage, self.told) {
            (
                Stage::Announced(row)
                | Stage::Open(row, _)
                | Stage::Reported(row)
                | Stage::Cancelled(row),
                Told::Nothing,
            ) => (started(row), Told::Started),
            (Stage::Open(_, progress), Told::Started) if *progress != Progress::default() => {
                (show::drain::progress(*progress), Told::Progress(*progress))
            }
            (Stage::Open(_, progress), Told::Progress(last)) if *progress != last => {
                (show::drain::progress(*progress), Told::Progress(*progress))
            }
            (Stage::Reported(row) | Stage::Cancelled(row), Told::Started | Told::Progress(_)) => {
                (show::drain::reported(row), Told::Report)
            }
            (
                Stage::Before
                | Stage::Announced(_)
                | Stage::Open(..)
                | Stage::Reported(_)
                | Stage::Cancelled(_),
                _,
            ) => return None,
        };
        self.told = told;
        Some(frame)
    }
}
