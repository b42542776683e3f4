//! PurgeSessions: ended sessions deleted by one call, each by a decision of its own.
//!
//! A chunk of sessions is handed to the engine at a time, so that they share a commit, and answered before the next. What
//! is read here only says whom to ask for: every purge is judged again where it is decided. A call that has begun runs in
//! a task of its own, and a client that hangs up stops nothing. What this deliberately does not do: undo, or hold a
//! snapshot while it waits.

use std::sync::Arc;

use sessiond_core::command::Command;
use sessiond_core::ids::{Namespace, Revision, SessionId, SessionNo, SessionRef};
use sessiond_core::queue::{Disposition, QueueRow};
use sessiond_core::rejection::Rejection;
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::{Lifecycle, PendingPolicy, SessionRow};
use sessiond_proto::v1 as pb;
use sessiond_store::snapshot::{ReadAhead, Rows};
use tonic::Status;

use super::bulk::{self, Bulk};
use super::context::{Context, faulted, refused};
use crate::engine::Refused;
use crate::limits::{BULK_RESULT_BYTES_MAX, PURGE_SESSIONS_CHUNK, PURGE_SESSIONS_SCAN_MAX};
use crate::wire::parse::end_sessions::Effect;
use crate::wire::parse::page::Page;
use crate::wire::parse::purge_sessions::{PurgeSessionsCall, Selection};
use crate::wire::query::EndedQuery;
use crate::wire::status::Refusal;
use crate::wire::token::PagePosition;
use crate::wire::{parse, show};

/// Bytes of a result beside its id and its key: tags, lengths, numbers, and a refusal with its words.
const RESULT_BYTES: usize = 512;

/// A call that has begun.
struct Call {
    context: Arc<Context>,
    asked: PurgeSessionsCall,
}

/// What a call has done so far.
struct Done {
    answer: pb::PurgeSessionsResponse,
    revision: Revision,
}

/// What a page has room for.
struct Room {
    sessions: usize,
    bytes: usize,
}

/// Answers PurgeSessions.
pub(super) async fn serve(
    context: &Arc<Context>,
    bulk: &Bulk,
    namespace: &Namespace,
    request: pb::PurgeSessionsRequest,
) -> Result<pb::PurgeSessionsResponse, Status> {
    let log_id = &context.identification.log_id;
    let asked =
        parse::purge_sessions::purge_sessions(namespace, request, Context::caller(), log_id)
            .map_err(|invalid| Refusal::invalid(&invalid))?;
    let call = Call {
        context: Arc::clone(context),
        asked,
    };
    bulk::run(
        context,
        bulk,
        "purge-sessions",
        async move { call.run().await },
    )
    .await
}

impl Call {
    async fn run(&self) -> Result<pb::PurgeSessionsResponse, Status> {
        let counters = self.context.rows()?.counters();
        let mut done = Done {
            answer: pb::PurgeSessionsResponse::default(),
            revision: counters.map_err(|fault| faulted(&fault))?.revision,
        };
        match &self.asked.selection {
            Selection::Ids(ids) => {
                for chunk in ids.chunks(PURGE_SESSIONS_CHUNK) {
                    self.chunk(chunk, &mut done).await?;
                }
            }
            Selection::Matching { query, page } => {
                if let Some(next) = self.matching(query, page, &mut done).await? {
                    done.answer.next_page_token = page.binding.token(&next);
                }
            }
        }
        done.answer.revision = done.revision.0;
        Ok(done.answer)
    }

    /// Deals with a page of the ended sessions that match; answers with where the next one begins.
    async fn matching(
        &self,
        query: &EndedQuery,
        page: &Page,
        done: &mut Done,
    ) -> Result<Option<PagePosition>, Status> {
        let (mut after, until) = self.range(page)?;
        let mut room = Room {
            sessions: page.size,
            bytes: BULK_RESULT_BYTES_MAX,
        };
        let mut scanned = 0;
        loop {
            let rows = self.context.rows()?;
            let sessions = rows.sessions_after(after, PURGE_SESSIONS_CHUNK);
            drop(rows);
            let sessions = sessions.map_err(|fault| faulted(&fault))?;
            let mut last = sessions.len() < PURGE_SESSIONS_CHUNK;
            let now = self.context.now().engine;
            let mut meant = Vec::new();
            let mut is_full = false;
            for session in &sessions {
                if session.no > until {
                    last = true;
                    break;
                }
                if query.matches(session, now) {
                    if !room.takes(session) {
                        is_full = true;
                        break;
                    }
                    meant.push(session.id.clone());
                }
                after = session.no;
                scanned += 1;
            }
            self.chunk(&meant, done).await?;
            if is_full || (scanned >= PURGE_SESSIONS_SCAN_MAX && !last) {
                return Ok(Some(PagePosition::Ends { after, until }));
            }
            if last || after >= until {
                return Ok(None);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Where the page begins, and the newest session that the first page could know.
    fn range(&self, page: &Page) -> Result<(SessionNo, SessionNo), Status> {
        if let Some(PagePosition::Ends { after, until }) = &page.after {
            return Ok((*after, *until));
        }
        let counters = self.context.rows()?.counters();
        let newest = counters.map_err(|fault| faulted(&fault))?.session;
        Ok((SessionNo(0), newest))
    }

    /// Purges sessions, or says what that would do, and takes note of the results.
    async fn chunk(&self, ids: &[SessionId], done: &mut Done) -> Result<(), Status> {
        let results = match self.asked.effect {
            Effect::Made => self.purge(ids, &mut done.revision).await?,
            Effect::LeftOut => self.foresee(ids)?,
        };
        for result in results {
            done.answer.sessions += u64::from(result.error.is_none());
            done.answer.messages += result.messages;
            done.answer.results.push(result);
        }
        Ok(())
    }

    async fn purge(
        &self,
        ids: &[SessionId],
        revision: &mut Revision,
    ) -> Result<Vec<pb::PurgeResult>, Status> {
        let mut asked = Vec::with_capacity(ids.len());
        for id in ids {
            let purge = Command::Purge(self.asked.purge(id.clone()));
            let answer = self
                .context
                .engine
                .post_waiting(purge, ReadAhead::default())
                .await;
            asked.push((id, answer.map_err(refused)?));
        }
        let mut results = Vec::with_capacity(asked.len());
        for (id, answer) in asked {
            let answer = answer.await.map_err(|_| refused(Refused::Stopped))?;
            *revision = answer.revision.max(*revision);
            results.push(show::purge_result::decided(id, answer.outcome));
        }
        Ok(results)
    }

    /// What the purges of these sessions would do, as of one snapshot.
    fn foresee(&self, ids: &[SessionId]) -> Result<Vec<pb::PurgeResult>, Status> {
        let rows = self.context.rows()?;
        ids.iter().map(|id| self.foresee_one(&rows, id)).collect()
    }

    fn foresee_one(&self, rows: &Rows, id: &SessionId) -> Result<pb::PurgeResult, Status> {
        let faulted = |fault| faulted(&fault);
        let asked = SessionRef::Id(id.clone());
        let found = rows.find(&self.asked.namespace, &asked).map_err(faulted)?;
        let row = match found {
            Some(no) => rows.row(&RowKey::Session(no)).map_err(faulted)?,
            None => None,
        };
        let Some(Row::Session(session)) = row else {
            let rejection = Rejection::SessionNotFound { asked };
            return Ok(show::purge_result::failed(id, &rejection));
        };
        if let Some(rejection) = refuse_live(&session) {
            return Ok(show::purge_result::failed(id, &rejection));
        }
        let queue = match rows.row(&RowKey::Queue(session.queue)).map_err(faulted)? {
            Some(Row::Queue(queue)) if queue.owner == session.no => Some(queue),
            Some(_) | None => None,
        };
        Ok(match queue.as_deref().map(weigh) {
            Some(weight) if weight.waiting > 0 && self.asked.pending == PendingPolicy::Keep => {
                let rejection = Rejection::QueueHeld {
                    session: id.clone(),
                    messages: weight.waiting,
                };
                show::purge_result::failed(id, &rejection)
            }
            Some(weight) => show::purge_result::foreseen(&session, weight.messages),
            None => show::purge_result::foreseen(&session, 0),
        })
    }
}

/// Why a session is not purged, if it lives.
fn refuse_live(session: &SessionRow) -> Option<Rejection> {
    match &session.lifecycle {
        Lifecycle::Queued(_) => Some(Rejection::SessionQueued {
            session: session.id.clone(),
        }),
        Lifecycle::Active => Some(Rejection::SessionActive {
            session: session.id.clone(),
        }),
        Lifecycle::Draining(intent) => Some(Rejection::SessionDraining {
            session: session.id.clone(),
            reason: intent.reason,
        }),
        Lifecycle::Ended(_) => None,
    }
}

/// What would go with a queue.
#[derive(Clone, Copy, Debug)]
struct Weight {
    /// Messages of any sort.
    messages: u64,
    /// Those of them that wait for the next session of a key.
    waiting: u64,
}

fn weigh(queue: &QueueRow) -> Weight {
    let (unsettled, dead) = (queue.depth.unsettled(), queue.depth.dead);
    match queue.disposition {
        Disposition::Held { .. } => Weight {
            messages: unsettled + dead,
            waiting: unsettled,
        },
        Disposition::Discarded { .. } => Weight {
            messages: dead,
            waiting: 0,
        },
        Disposition::Dead { .. }
        | Disposition::Serving
        | Disposition::Quiet
        | Disposition::Purged { .. } => Weight {
            messages: unsettled + dead,
            waiting: 0,
        },
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
