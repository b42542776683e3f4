//! ReleaseResource: resources released by one call, each by a decision of its own.
//!
//! What is read here only says what to ask for: every release is judged again where it is decided. How releases get to
//! the engine and their results back is in `bulk.rs`. What this deliberately does not do: wait until anything is gone.

use std::sync::Arc;

use sessiond_core::command::{Command, Effect};
use sessiond_core::rejection::Rejection;
use sessiond_core::resource::ResourceToken;
use sessiond_core::rows::{Row, RowKey};
use sessiond_proto::v1 as pb;
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::{ReadAhead, Rows};
use tonic::Status;

use super::bulk::{self, Bulk, Pending};
use super::context::{Called, Context, faulted};
use super::list_resources::{self, Owned};
use crate::wire::parse::page::Page;
use crate::wire::parse::release_resource::{NameQuery, ReleaseCall, Selection};
use crate::wire::status::Refusal;
use crate::wire::{parse, show};

/// Where the results of a call go; each is about what its caller named.
type Results = bulk::Results<pb::ReleaseResult, String>;

/// A call that has begun.
struct Call {
    context: Arc<Context>,
    bulk: Arc<Bulk>,
    asked: ReleaseCall,
}

/// Answers ReleaseResource.
pub(super) async fn serve(
    context: &Arc<Context>,
    bulk: &Arc<Bulk>,
    (namespace, actor): Called,
    request: pb::ReleaseResourceRequest,
) -> Result<pb::ReleaseResourceResponse, Status> {
    let log_id = &context.identification.log_id;
    let asked = parse::release_resource::release_resource(&namespace, request, actor, log_id)
        .map_err(|invalid| Refusal::invalid(&invalid))?;
    let call = Call {
        context: Arc::clone(context),
        bulk: Arc::clone(bulk),
        asked,
    };
    let run = async move { call.run().await };
    bulk::run(context, bulk, "release-resource", run).await
}

impl Call {
    async fn run(&self) -> Result<pb::ReleaseResourceResponse, Status> {
        let show = |named: &String, outcome| Some(show::release_result::decided(named, outcome));
        let hand_over = async |results| self.hand_over(results).await;
        let (next_page_token, results, revision) =
            bulk::in_order(&self.context, hand_over, show).await?;
        Ok(pb::ReleaseResourceResponse {
            results,
            next_page_token,
            revision: revision.0,
        })
    }

    /// Hands over every resource that is meant; answers with the next page's token.
    async fn hand_over(&self, results: Results) -> Result<String, Status> {
        match &self.asked.selection {
            Selection::Ids(ids) => {
                self.named(ids, &results).await?;
                Ok(String::new())
            }
            Selection::Called { name, page } => self.called(name, page, &results).await,
        }
    }

    async fn named(&self, ids: &[String], results: &Results) -> Result<(), Status> {
        for id in ids {
            let token = ResourceToken::parse(id);
            let next = match self.asked.effect {
                Effect::Made => self.ask(id.clone(), token).await?,
                Effect::LeftOut => Pending::Foreseen(self.foresee(id, token)?),
            };
            bulk::send(results, next).await?;
        }
        Ok(())
    }

    /// Hands over a page of what is not released and called so.
    async fn called(
        &self,
        name: &NameQuery,
        page: &Page,
        results: &Results,
    ) -> Result<String, Status> {
        let (found, next) = {
            let rows = self.context.rows()?;
            let (namespace, position) = (&self.asked.namespace, page.after.as_ref());
            let wanted = |one: &_| name.matches(one);
            list_resources::unreleased(&rows, namespace, position, page.size, wanted)
                .map_err(|fault| faulted(&fault))?
        };
        for (session, one) in &found {
            let token = one.token(session.no);
            let next = match self.asked.effect {
                Effect::Made => self.ask(token.to_string(), token).await?,
                Effect::LeftOut => Pending::Foreseen(show::release_result::foreseen(session, one)),
            };
            bulk::send(results, next).await?;
        }
        Ok(next.map_or_else(String::new, |next| page.binding.token(&next)))
    }

    async fn ask(
        &self,
        named: String,
        token: ResourceToken,
    ) -> Result<Pending<pb::ReleaseResult, String>, Status> {
        let release = Command::Release(self.asked.release(token));
        let unread = ReadAhead::default();
        bulk::ask(&self.context, &self.bulk, named, (release, unread)).await
    }

    /// What the release of a resource that is named would do.
    fn foresee(&self, named: &str, token: ResourceToken) -> Result<pb::ReleaseResult, Status> {
        let rows = self.context.rows()?;
        let found = self.find(&rows, token).map_err(|fault| faulted(&fault))?;
        Ok(match found {
            Some((session, one)) => show::release_result::foreseen(&session, &one),
            None => show::release_result::failed(named, &Rejection::ResourceNotFound { token }),
        })
    }

    fn find(&self, rows: &Rows, token: ResourceToken) -> Result<Option<Owned>, Fault> {
        let row = rows.resources_of(token.session)?;
        let row = row.filter(|row| row.namespace == self.asked.namespace);
        let Some(one) = row.and_then(|row| row.get(token).cloned()) else {
            return Ok(None);
        };
        Ok(match rows.row(&RowKey::Session(token.session))? {
            Some(Row::Session(session)) => Some((session, one)),
            Some(_) | None => None,
        })
    }
}
