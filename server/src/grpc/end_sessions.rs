//! EndSessions: many sessions ended by one call, each by a decision of its own.
//!
//! What is read here only says whom to ask for: every end is judged again where it is decided. How ends get to the
//! engine and their results back is in `bulk.rs`. What this deliberately does not do: undo.

use std::sync::Arc;

use sessiond_core::command::{Command, Effect};
use sessiond_core::ids::{SessionId, SessionRef};
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::SessionRow;
use sessiond_proto::v1 as pb;
use sessiond_store::snapshot::ReadAhead;
use tonic::Status;

use super::bulk::{self, Bulk, Pending, Results, Walk};
use super::context::{Called, Context, faulted};
use crate::wire::parse::end_sessions::{EndSessionsCall, Selection};
use crate::wire::parse::page::Page;
use crate::wire::query::LiveQuery;
use crate::wire::status::Refusal;
use crate::wire::token::PagePosition;
use crate::wire::{parse, show};

/// A call that has begun.
struct Call {
    context: Arc<Context>,
    bulk: Arc<Bulk>,
    asked: EndSessionsCall,
}

/// Answers EndSessions.
pub(super) async fn serve(
    context: &Arc<Context>,
    bulk: &Arc<Bulk>,
    (namespace, actor): Called,
    request: pb::EndSessionsRequest,
) -> Result<pb::EndSessionsResponse, Status> {
    let log_id = &context.identification.log_id;
    let asked = parse::end_sessions::end_sessions(&namespace, request, actor, log_id)
        .map_err(|invalid| Refusal::invalid(&invalid))?;
    let call = Call {
        context: Arc::clone(context),
        bulk: Arc::clone(bulk),
        asked,
    };
    bulk::run(
        context,
        bulk,
        "end-sessions",
        async move { call.run().await },
    )
    .await
}

impl Call {
    async fn run(&self) -> Result<pb::EndSessionsResponse, Status> {
        let show = |session: &SessionId, outcome| Some(show::end_result::decided(session, outcome));
        let hand_over = async |results| self.hand_over(results).await;
        let (next_page_token, results, revision) =
            bulk::in_order(&self.context, hand_over, show).await?;
        Ok(pb::EndSessionsResponse {
            next_page_token,
            results,
            revision: revision.0,
        })
    }

    /// Hands over every session that is meant; answers with the next page's token.
    async fn hand_over(&self, results: Results<pb::EndResult>) -> Result<String, Status> {
        match &self.asked.selection {
            Selection::Ids(ids) => {
                let engine = (&*self.context, &*self.bulk);
                let end = |id| Command::End(self.asked.end(id));
                let foresee = |ids: &[SessionId]| self.foresee(ids);
                bulk::named(engine, ids, self.asked.effect, end, foresee, &results).await?;
                Ok(String::new())
            }
            Selection::Matching { query, page } => {
                let next = self.matching(query, page, &results).await?;
                Ok(next.map_or_else(String::new, |next| page.binding.token(&next)))
            }
        }
    }

    /// Hands over a page of the live sessions that match; answers with where the next one begins.
    async fn matching(
        &self,
        query: &LiveQuery,
        page: &Page,
        results: &Results<pb::EndResult>,
    ) -> Result<Option<PagePosition>, Status> {
        let mut walk = Walk::new(&self.context, page.after.as_ref(), page.size)?;
        let made = self.asked.effect == Effect::Made;
        let asked = |session: &SessionRow| made && query.matches(session);
        while let Some(living) = walk.next(&self.context, &self.asked.namespace, asked)? {
            for (session, ahead) in living {
                if !query.matches(&session) {
                    walk.pass(&session);
                    continue;
                }
                if let Some(next) = walk.take(&session) {
                    return Ok(Some(next));
                }
                let next = match self.asked.effect {
                    Effect::Made => self.ask(session.id.clone(), ahead).await?,
                    Effect::LeftOut => Pending::Foreseen(show::end_result::foreseen(&session)),
                };
                bulk::send(results, next).await?;
            }
            tokio::task::yield_now().await;
        }
        Ok(None)
    }

    /// Asks for the end of one session.
    async fn ask(
        &self,
        session: SessionId,
        ahead: ReadAhead,
    ) -> Result<Pending<pb::EndResult>, Status> {
        let end = Command::End(self.asked.end(session.clone()));
        bulk::ask(&self.context, &self.bulk, session, (end, ahead)).await
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
