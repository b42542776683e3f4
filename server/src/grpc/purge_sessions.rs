//! PurgeSessions: ended sessions deleted by one call, each by a decision of its own.
//!
//! What is read here only says whom to ask for: every purge is judged again where it is decided. How sessions get to the
//! engine and their results back is in `bulk.rs`; those that must be exported first get there by `exports`, and whoever
//! waits for that keeps nobody else waiting but others who do. What this deliberately does not do: undo.

use std::sync::Arc;

use sessiond_core::command::{Command, Effect};
use sessiond_core::ids::{SessionId, SessionRef};
use sessiond_core::purging;
use sessiond_core::rejection::Rejection;
use sessiond_core::rows::{Row, RowKey};
use sessiond_proto::v1 as pb;
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::{ReadAhead, Rows};
use tonic::Status;

use super::bulk::{self, Bulk, Results, Room};
use super::context::{Called, Context, faulted};
use crate::exports::Exports;
use crate::limits::{BULK_CHUNK, PURGE_SESSIONS_SCAN_MAX};
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
    bulk: Arc<Bulk>,
    asked: PurgeSessionsCall,
}

/// Answers PurgeSessions.
pub(super) async fn serve(
    context: &Arc<Context>,
    (bulk, exporting): (&Arc<Bulk>, &Arc<Bulk>),
    (namespace, actor): Called,
    request: pb::PurgeSessionsRequest,
) -> Result<pb::PurgeSessionsResponse, Status> {
    let log_id = &context.identification.log_id;
    let asked = parse::purge_sessions::purge_sessions(&namespace, request, actor, log_id)
        .map_err(|invalid| Refusal::invalid(&invalid))?;
    let exports = context.exports.is_some() && asked.effect == Effect::Made;
    let bulk = if exports { exporting } else { bulk };
    let call = Call {
        context: Arc::clone(context),
        bulk: Arc::clone(bulk),
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
        let show =
            |session: &SessionId, outcome| Some(show::purge_result::decided(session, outcome));
        let hand_over = async |results| self.hand_over(results).await;
        let (next_page_token, results, revision) =
            bulk::in_order(&self.context, hand_over, show).await?;
        let gone = results.iter().filter(|result| result.error.is_none());
        Ok(pb::PurgeSessionsResponse {
            sessions: gone.count() as u64,
            messages: results.iter().map(|result| result.messages).sum(),
            results,
            next_page_token,
            revision: revision.0,
        })
    }

    /// Hands over every session that is meant; answers with the next page's token.
    async fn hand_over(&self, results: Results<pb::PurgeResult>) -> Result<String, Status> {
        match &self.asked.selection {
            Selection::Ids(ids) => {
                self.named(ids, &results).await?;
                Ok(String::new())
            }
            Selection::Matching { query, page } => {
                let next = self.matching(query, page, &results).await?;
                Ok(next.map_or_else(String::new, |next| page.binding.token(&next)))
            }
        }
    }

    async fn named(
        &self,
        ids: &[SessionId],
        results: &Results<pb::PurgeResult>,
    ) -> Result<(), Status> {
        if let (Some(exports), Effect::Made) = (&self.context.exports, self.asked.effect) {
            return self.exported(exports, ids, results).await;
        }
        let engine = (&*self.context, &*self.bulk);
        let purge = |id| Command::Purge(self.asked.purge(id));
        let foresee = |ids: &[SessionId]| self.foresee(ids);
        bulk::named(engine, ids, self.asked.effect, purge, foresee, results).await
    }

    /// Hands over sessions that must be exported before they are purged.
    async fn exported(
        &self,
        exports: &Exports,
        ids: &[SessionId],
        results: &Results<pb::PurgeResult>,
    ) -> Result<(), Status> {
        for id in ids {
            let asked = SessionRef::Id(id.clone());
            let found = self.context.rows()?.find(&self.asked.namespace, &asked);
            let purge = self.asked.purge(id.clone());
            let pending = match found.map_err(|fault| faulted(&fault))? {
                Some(no) => bulk::ask_by(&self.bulk, id.clone(), exports.purge(no, purge)).await?,
                None => {
                    let unread = (Command::Purge(purge), ReadAhead::default());
                    bulk::ask(&self.context, &self.bulk, id.clone(), unread).await?
                }
            };
            bulk::send(results, pending).await?;
        }
        Ok(())
    }

    /// Hands over a page of the ended sessions that match; answers with where the next one begins.
    async fn matching(
        &self,
        query: &EndedQuery,
        page: &Page,
        results: &Results<pb::PurgeResult>,
    ) -> Result<Option<PagePosition>, Status> {
        let (mut after, until) = bulk::range(&self.context, page.after.as_ref())?;
        let mut room = Room::new(page.size, RESULT_BYTES);
        let mut scanned = 0;
        while after < until {
            let sessions = self.context.rows()?.sessions_after(after, BULK_CHUNK);
            let mut sessions = sessions.map_err(|fault| faulted(&fault))?;
            sessions.retain(|session| session.no <= until);
            if sessions.is_empty() {
                return Ok(None);
            }
            let now = self.context.now().engine;
            let mut meant = Vec::new();
            let mut is_full = scanned >= PURGE_SESSIONS_SCAN_MAX;
            for session in sessions.iter().filter(|_| !is_full) {
                // A page that is full goes on with the session that found no room.
                let is_meant = query.matches(session, now);
                if is_meant && !room.takes(session) {
                    is_full = true;
                    break;
                }
                meant.extend(is_meant.then(|| session.id.clone()));
                after = session.no;
                scanned += 1;
            }
            self.named(&meant, results).await?;
            if is_full {
                return Ok(Some(PagePosition::Ends { after, until }));
            }
            tokio::task::yield_now().await;
        }
        Ok(None)
    }

    /// What the purges of these sessions would do, as of one snapshot.
    fn foresee(&self, ids: &[SessionId]) -> Result<Vec<pb::PurgeResult>, Status> {
        let rows = self.context.rows()?;
        let results = ids.iter().map(|id| self.foresee_one(&rows, id));
        let results: Result<_, Fault> = results.collect();
        results.map_err(|fault| faulted(&fault))
    }

    fn foresee_one(&self, rows: &Rows, id: &SessionId) -> Result<pb::PurgeResult, Fault> {
        let asked = SessionRef::Id(id.clone());
        let row = match rows.find(&self.asked.namespace, &asked)? {
            Some(no) => rows.row(&RowKey::Session(no))?,
            None => None,
        };
        let Some(Row::Session(session)) = row else {
            let rejection = Rejection::SessionNotFound { asked };
            return Ok(show::purge_result::failed(id, &rejection));
        };
        let own = match rows.row(&RowKey::Queue(session.queue))? {
            Some(Row::Queue(queue)) if queue.owner == session.no => Some(queue),
            Some(_) | None => None,
        };
        let behind = rows.furthest_behind(&session.namespace)?;
        let now = self.context.now().engine;
        let judged = purging::judge(&session, own.as_deref(), self.asked.pending)
            .and_then(|messages| purging::judge_heard(&session, behind, now).map(|()| messages));
        Ok(match judged {
            Ok(messages) => show::purge_result::foreseen(&session, messages),
            Err(rejection) => show::purge_result::failed(id, &rejection),
        })
    }
}
