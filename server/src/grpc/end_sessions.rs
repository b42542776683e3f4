//! EndSessions: many sessions ended by one call, each by a decision of its own.
//!
//! Ends are handed to the engine as those of EndSession are, many at a time so that many share a commit;
//! answers are gathered in the order in which they were handed over. What is read here only says whom to
//! ask for: every end is judged again where it is decided. A call that has begun runs in a task of its
//! own, and a client that hangs up stops nothing. Live sessions are found by the index of them, a chunk
//! in each snapshot, so what has ended costs nothing. What this deliberately does not do: undo, or hold a
//! snapshot while it waits.

use std::sync::Arc;

use sessiond_core::command::Command;
use sessiond_core::ids::{Namespace, Revision, SessionId, SessionNo, SessionRef};
use sessiond_core::reply::Answer;
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::SessionRow;
use sessiond_proto::v1 as pb;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tonic::Status;

use super::context::{Context, faulted, refused};
use crate::engine::Refused;
use crate::limits::{
    END_SESSIONS_AHEAD, END_SESSIONS_AT_ONCE, END_SESSIONS_BYTES_MAX, END_SESSIONS_CHUNK,
};
use crate::wire::parse::end_sessions::{Effect, EndSessionsCall, Selection};
use crate::wire::parse::page::Page;
use crate::wire::query::LiveQuery;
use crate::wire::status::Refusal;
use crate::wire::token::PagePosition;
use crate::wire::{parse, show};

/// Bytes of a result beside its id and its key: tags, lengths and the outcome.
const RESULT_BYTES: usize = 16;

/// What all calls share.
#[derive(Debug)]
pub(super) struct BulkEnds {
    /// Who may run.
    turns: Arc<Semaphore>,
    /// Room for ends in the engine.
    ahead: Arc<Semaphore>,
}

impl Default for BulkEnds {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(END_SESSIONS_AT_ONCE)),
            ahead: Arc::new(Semaphore::new(END_SESSIONS_AHEAD)),
        }
    }
}

/// A call that has begun.
struct Call {
    context: Arc<Context>,
    shared: Arc<BulkEnds>,
    asked: EndSessionsCall,
}

/// A result on its way.
enum Pending {
    /// The engine has the end.
    Asked {
        session: SessionId,
        answer: oneshot::Receiver<Answer>,
        room: OwnedSemaphorePermit,
    },
    /// Nobody was asked.
    Foreseen(pb::EndResult),
}

/// Live sessions in the order in which they were opened, and the number of the last one.
type Chunk = (SessionNo, Vec<Arc<SessionRow>>);

/// What a page has room for.
struct Room {
    sessions: usize,
    bytes: usize,
}

/// Answers EndSessions.
pub(super) async fn serve(
    context: &Arc<Context>,
    shared: &Arc<BulkEnds>,
    namespace: &Namespace,
    request: pb::EndSessionsRequest,
) -> Result<pb::EndSessionsResponse, Status> {
    let log_id = &context.identification.log_id;
    let asked = parse::end_sessions::end_sessions(namespace, request, Context::caller(), log_id)
        .map_err(|invalid| Refusal::invalid(&invalid))?;
    let turn = permit(&shared.turns).await;
    // Only now: the server may have begun to stop while the call waited.
    context.refuse_if_stopping()?;
    let call = Call {
        context: Arc::clone(context),
        shared: Arc::clone(shared),
        asked,
    };
    let (done, answer) = oneshot::channel();
    let run = async move {
        let answered = call.run().await;
        drop(turn);
        // Whoever asked may have hung up.
        let _nobody = done.send(answered);
    };
    context.env.spawn.task("end-sessions", Box::pin(run));
    answer.await.map_err(|_| refused(Refused::Stopped))?
}

async fn permit(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let permit = Arc::clone(semaphore).acquire_owned().await;
    permit.expect("nobody closes the semaphore")
}

impl Call {
    async fn run(&self) -> Result<pb::EndSessionsResponse, Status> {
        let counters = self.context.rows()?.counters();
        let begun = counters.map_err(|fault| faulted(&fault))?.revision;
        let (pending, in_order) = mpsc::channel(END_SESSIONS_AHEAD);
        // Both go on at once: what is handed over waits for room that gathering makes.
        let (handed, gathered) = tokio::join!(self.hand_over(pending), gather(in_order));
        let (results, committed) = gathered?;
        Ok(pb::EndSessionsResponse {
            next_page_token: handed?,
            results,
            revision: begun.max(committed).0,
        })
    }

    /// Hands over every session that is meant; answers with the next page's token.
    async fn hand_over(&self, pending: mpsc::Sender<Pending>) -> Result<String, Status> {
        match &self.asked.selection {
            Selection::Ids(ids) => {
                self.named(ids, &pending).await?;
                Ok(String::new())
            }
            Selection::Matching { query, page } => {
                let next = self.matching(query, page, &pending).await?;
                Ok(next.map_or_else(String::new, |next| page.binding.token(&next)))
            }
        }
    }

    async fn named(
        &self,
        ids: &[SessionId],
        pending: &mpsc::Sender<Pending>,
    ) -> Result<(), Status> {
        for chunk in ids.chunks(END_SESSIONS_CHUNK) {
            let results = match self.asked.effect {
                Effect::Made => {
                    for id in chunk {
                        send(pending, self.ask(id.clone()).await?).await?;
                    }
                    continue;
                }
                Effect::LeftOut => self.foresee(chunk)?,
            };
            for result in results {
                send(pending, Pending::Foreseen(result)).await?;
            }
        }
        Ok(())
    }

    /// Hands over a page of the live sessions that match; answers with where the next one begins.
    async fn matching(
        &self,
        query: &LiveQuery,
        page: &Page,
        pending: &mpsc::Sender<Pending>,
    ) -> Result<Option<PagePosition>, Status> {
        let (mut after, until) = self.range(page)?;
        let mut room = Room {
            sessions: page.size,
            bytes: END_SESSIONS_BYTES_MAX,
        };
        while let Some((last, living)) = self.living(after, until)? {
            for session in living.iter().filter(|one| query.matches(one)) {
                if !room.takes(session) {
                    return Ok(Some(PagePosition::Ends { after, until }));
                }
                let next = match self.asked.effect {
                    Effect::Made => self.ask(session.id.clone()).await?,
                    Effect::LeftOut => Pending::Foreseen(show::end_result::foreseen(session)),
                };
                send(pending, next).await?;
                after = session.no;
            }
            after = last;
            tokio::task::yield_now().await;
        }
        Ok(None)
    }

    /// The next live sessions of the namespace behind `after`, up to `until`, and the last of them; none
    /// if there are no more.
    fn living(&self, after: SessionNo, until: SessionNo) -> Result<Option<Chunk>, Status> {
        let rows = self.context.rows()?;
        let living = rows.live_after(&self.asked.namespace, after, END_SESSIONS_CHUNK);
        let mut living = living.map_err(|fault| faulted(&fault))?;
        living.retain(|session| session.no <= until);
        let last = living.last().map(|session| session.no);
        Ok(last.map(|last| (last, living)))
    }

    /// Where the page begins, and the newest session that the first page could know.
    fn range(&self, page: &Page) -> Result<(SessionNo, SessionNo), Status> {
        if let Some(PagePosition::Ends { after, until }) = &page.after {
            return Ok((*after, *until));
        }
        let rows = self.context.rows()?;
        let newest = rows.sessions_before(SessionNo(u64::MAX), 1);
        let newest = newest.map_err(|fault| faulted(&fault))?;
        let until = newest.first().map_or(SessionNo(0), |session| session.no);
        Ok((SessionNo(0), until))
    }

    /// Asks for the end of one session.
    async fn ask(&self, session: SessionId) -> Result<Pending, Status> {
        let room = permit(&self.shared.ahead).await;
        let end = Command::End(self.asked.end(session.clone()));
        let answer = self.context.engine.post_waiting(end).await;
        Ok(Pending::Asked {
            session,
            answer: answer.map_err(refused)?,
            room,
        })
    }

    /// What the ends of these sessions would be, as of one snapshot.
    fn foresee(&self, ids: &[SessionId]) -> Result<Vec<pb::EndResult>, Status> {
        let rows = self.context.rows()?;
        let mut results = Vec::with_capacity(ids.len());
        for id in ids {
            let asked = SessionRef::Id(id.clone());
            let found = rows.find(&self.asked.namespace, &asked);
            let row = match found.map_err(|fault| faulted(&fault))? {
                Some(no) => rows.row(&RowKey::Session(no)),
                None => Ok(None),
            };
            results.push(match row.map_err(|fault| faulted(&fault))? {
                Some(Row::Session(session)) => show::end_result::foreseen(&session),
                Some(_) | None => show::end_result::not_found(id),
            });
        }
        Ok(results)
    }
}

impl Room {
    /// Takes room for one more session, if there is any; for the first one there always is.
    fn takes(&mut self, session: &SessionRow) -> bool {
        let key = session.key.as_ref().map_or(0, |key| key.as_str().len());
        let bytes = RESULT_BYTES + session.id.as_str().len() + key;
        if self.sessions == 0 || self.bytes < bytes {
            return false;
        }
        self.sessions -= 1;
        self.bytes -= bytes;
        true
    }
}

async fn send(pending: &mpsc::Sender<Pending>, one: Pending) -> Result<(), Status> {
    // Gathering ends early only when the engine has stopped.
    let sent = pending.send(one).await;
    sent.map_err(|_| refused(Refused::Stopped))
}

/// The results in order, and the newest revision they know of.
async fn gather(
    mut in_order: mpsc::Receiver<Pending>,
) -> Result<(Vec<pb::EndResult>, Revision), Status> {
    let mut results = Vec::new();
    let mut revision = Revision(0);
    while let Some(pending) = in_order.recv().await {
        results.push(match pending {
            Pending::Foreseen(result) => result,
            Pending::Asked {
                session,
                answer,
                room,
            } => {
                let answer = answer.await.map_err(|_| refused(Refused::Stopped))?;
                drop(room);
                revision = revision.max(answer.revision);
                show::end_result::decided(&session, answer.outcome)
            }
        });
    }
    Ok((results, revision))
}
