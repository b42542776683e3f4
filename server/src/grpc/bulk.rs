//! What calls have in common that do something to many sessions: turns, room in the engine, the walk over those that
//! live, and results in order.
//!
//! Commands are handed to the engine as those of single calls are, many at a time so that many share a commit; answers
//! are gathered in the order in which they were handed over. A call that has begun runs in a task of its own, and a
//! client that hangs up stops nothing. Calls that wait for exports have turns and room of their own, since a disk may hang:
//! then nobody else waits for them. Live sessions are found by the index of them, a chunk in each snapshot, so what
//! has ended costs nothing. What this deliberately does not do: judge a session, or hold a snapshot while it waits.

use std::sync::Arc;

use sessiond_core::command::{Command, Effect};
use sessiond_core::ids::{Namespace, Revision, SessionId, SessionNo};
use sessiond_core::rejection::Rejection;
use sessiond_core::reply::{Answer, Reply};
use sessiond_core::session::SessionRow;
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::ReadAhead;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tonic::Status;

use super::context::{Context, faulted, refused};
use crate::engine::Refused;
use crate::limits::{
    BULK_AHEAD, BULK_AT_ONCE, BULK_CHUNK, BULK_RESULT_BYTES_MAX, EXPORTING_AHEAD, EXPORTING_AT_ONCE,
};
use crate::wire::token::PagePosition;

/// Bytes of a result beside its id and its key: tags, lengths and the outcome.
const RESULT_BYTES: usize = 16;

/// What calls share that may wait for each other.
#[derive(Debug)]
pub(super) struct Bulk {
    /// Who may run.
    turns: Arc<Semaphore>,
    /// Room for commands in the engine.
    ahead: Arc<Semaphore>,
}

impl Bulk {
    /// For calls that wait for nothing but the engine.
    pub(super) fn of_engine() -> Arc<Self> {
        Self::new(BULK_AT_ONCE, BULK_AHEAD)
    }

    /// For calls that wait for exports as well.
    pub(super) fn of_exports() -> Arc<Self> {
        Self::new(EXPORTING_AT_ONCE, EXPORTING_AHEAD)
    }

    fn new(at_once: usize, ahead: usize) -> Arc<Self> {
        Arc::new(Self {
            turns: Arc::new(Semaphore::new(at_once)),
            ahead: Arc::new(Semaphore::new(ahead)),
        })
    }
}

/// A result on its way, about a session or whatever else the call names.
pub(super) enum Pending<R, S = SessionId> {
    /// The engine has the command.
    Asked {
        subject: S,
        answer: oneshot::Receiver<Answer>,
        room: OwnedSemaphorePermit,
    },
    /// Nobody was asked.
    Foreseen(R),
}

/// Where the results of a call go, in order.
pub(super) type Results<R, S = SessionId> = mpsc::Sender<Pending<R, S>>;

/// Runs a call in its turn, in a task of its own.
pub(super) async fn run<T: Send + 'static>(
    context: &Context,
    bulk: &Bulk,
    name: &'static str,
    call: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    let turn = permit(&bulk.turns).await;
    // Only now: the server may have begun to stop while the call waited.
    context.refuse_if_stopping()?;
    let (done, answer) = oneshot::channel();
    let run = async move {
        let answered = call.await;
        drop(turn);
        // Whoever asked may have hung up.
        let _nobody = done.send(answered);
    };
    context.env.spawn.task(name, Box::pin(run));
    answer.await.map_err(|_| refused(Refused::Stopped))?
}

async fn permit(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let permit = Arc::clone(semaphore).acquire_owned().await;
    permit.expect("nobody closes the semaphore")
}

/// Has commands handed over and their answers gathered at the same time: what is handed over waits for room that
/// gathering makes. Answers with what handing over came to, the results, and the newest revision they know of.
pub(super) async fn in_order<R, S, T>(
    context: &Context,
    hand_over: impl AsyncFnOnce(Results<R, S>) -> Result<T, Status>,
    show: impl Fn(&S, Result<Reply, Rejection>) -> Option<R>,
) -> Result<(T, Vec<R>, Revision), Status> {
    let begun = context.counters()?.revision;
    let (pending, in_order) = mpsc::channel(BULK_AHEAD);
    let (handed, gathered) = tokio::join!(hand_over(pending), gather(in_order, show));
    let (results, committed) = gathered?;
    Ok((handed?, results, begun.max(committed)))
}

async fn gather<R, S>(
    mut in_order: mpsc::Receiver<Pending<R, S>>,
    show: impl Fn(&S, Result<Reply, Rejection>) -> Option<R>,
) -> Result<(Vec<R>, Revision), Status> {
    let mut results = Vec::new();
    let mut revision = Revision(0);
    while let Some(pending) = in_order.recv().await {
        results.extend(match pending {
            Pending::Foreseen(result) => Some(result),
            Pending::Asked {
                subject,
                answer,
                room,
            } => {
                let answer = answer.await.map_err(|_| refused(Refused::Stopped))?;
                drop(room);
                revision = revision.max(answer.revision);
                show(&subject, answer.outcome)
            }
        });
    }
    Ok((results, revision))
}

/// Hands a command about something to the engine, once there is room for it, with what was read for it.
pub(super) async fn ask<R, S>(
    context: &Context,
    bulk: &Bulk,
    subject: S,
    (command, ahead): (Command, ReadAhead),
) -> Result<Pending<R, S>, Status> {
    ask_by(bulk, subject, context.engine.post_waiting(command, ahead)).await
}

/// The same for a command that gets to the engine in its own way.
pub(super) async fn ask_by<R, S>(
    bulk: &Bulk,
    subject: S,
    post: impl Future<Output = Result<oneshot::Receiver<Answer>, Refused>>,
) -> Result<Pending<R, S>, Status> {
    let room = permit(&bulk.ahead).await;
    let answer = post.await;
    Ok(Pending::Asked {
        subject,
        answer: answer.map_err(refused)?,
        room,
    })
}

/// Sends a result on its way.
pub(super) async fn send<R, S>(results: &Results<R, S>, one: Pending<R, S>) -> Result<(), Status> {
    // Gathering ends early only when the engine has stopped.
    let sent = results.send(one).await;
    sent.map_err(|_| refused(Refused::Stopped))
}

/// Hands over commands about sessions that are named, or sends what would become of them, a chunk at a time.
pub(super) async fn named<R>(
    (context, bulk): (&Context, &Bulk),
    ids: &[SessionId],
    effect: Effect,
    command: impl Fn(SessionId) -> Command,
    foresee: impl Fn(&[SessionId]) -> Result<Vec<R>, Status>,
    results: &Results<R>,
) -> Result<(), Status> {
    for chunk in ids.chunks(BULK_CHUNK) {
        match effect {
            Effect::Made => {
                for id in chunk {
                    let unread = (command(id.clone()), ReadAhead::default());
                    let asked = ask(context, bulk, id.clone(), unread).await?;
                    send(results, asked).await?;
                }
            }
            Effect::LeftOut => {
                for result in foresee(chunk)? {
                    send(results, Pending::Foreseen(result)).await?;
                }
            }
        }
    }
    Ok(())
}

/// What a page has room for.
pub(super) struct Room {
    sessions: usize,
    bytes: usize,
    each: usize,
}

impl Room {
    /// Room for `sessions`, whose results have `each` bytes beside id and key.
    pub(super) fn new(sessions: usize, each: usize) -> Self {
        Self {
            sessions,
            bytes: BULK_RESULT_BYTES_MAX,
            each,
        }
    }

    /// Takes room for one more session, if there is any; for the first one there always is.
    pub(super) fn takes(&mut self, session: &SessionRow) -> bool {
        let key = session.key.as_ref().map_or(0, |key| key.as_str().len());
        let bytes = self.each + session.id.as_str().len() + key;
        if self.sessions == 0 || self.bytes < bytes {
            return false;
        }
        self.sessions -= 1;
        self.bytes -= bytes;
        true
    }
}

/// Sessions that live, each with what was read for a command about it.
type Living = Vec<(Arc<SessionRow>, ReadAhead)>;

/// The sessions of a namespace that live, from where a page begins up to the newest that its first page could know.
pub(super) struct Walk {
    after: SessionNo,
    until: SessionNo,
    room: Room,
}

impl Walk {
    /// A walk that goes on at `position`, or begins, and takes `sessions` of them at most.
    pub(super) fn new(
        context: &Context,
        position: Option<&PagePosition>,
        sessions: usize,
    ) -> Result<Self, Status> {
        let (after, until) = range(context, position)?;
        Ok(Self {
            after,
            until,
            room: Room::new(sessions, RESULT_BYTES),
        })
    }

    /// The next live sessions, in the order in which they were opened; none if there are no more. With each that will be
    /// `asked` about comes what that decision asks for: read here, beside the engine, it is read once.
    pub(super) fn next(
        &mut self,
        context: &Context,
        namespace: &Namespace,
        asked: impl Fn(&SessionRow) -> bool,
    ) -> Result<Option<Living>, Status> {
        let rows = context.rows()?;
        let read = || -> Result<Vec<_>, Fault> {
            let living = rows.live_after(namespace, self.after, BULK_CHUNK)?;
            let until = living
                .into_iter()
                .filter(|session| session.no <= self.until);
            let with_ahead = until.map(|session| {
                let ahead = if asked(&session) {
                    rows.ahead(&session)?
                } else {
                    ReadAhead::default()
                };
                Ok((session, ahead))
            });
            with_ahead.collect()
        };
        let living = read().map_err(|fault| faulted(&fault))?;
        Ok((!living.is_empty()).then_some(living))
    }

    /// Takes a session into the page; answers with where the next page begins if it is full. The first one always fits.
    pub(super) fn take(&mut self, session: &SessionRow) -> Option<PagePosition> {
        if !self.room.takes(session) {
            return Some(PagePosition::Ends {
                after: self.after,
                until: self.until,
            });
        }
        self.after = session.no;
        None
    }

    /// Goes on behind a session that was looked at.
    pub(super) fn pass(&mut self, session: &SessionRow) {
        self.after = session.no;
    }
}

/// Where a page begins, and the newest session that the first page could know.
pub(super) fn range(
    context: &Context,
    position: Option<&PagePosition>,
) -> Result<(SessionNo, SessionNo), Status> {
    match position {
        Some(PagePosition::Ends { after, until }) => Ok((*after, *until)),
        Some(_) | None => Ok((SessionNo(0), context.counters()?.session)),
    }
}
