//! Sweep: the limits of live sessions looked at now, because somebody asked.
//!
//! A snapshot says of which sessions a limit seems to be passed; only these are handed to the engine, which judges each
//! again where it ends it. So a sweep over sessions that are well costs the engine nothing. How commands get there and
//! results back is in `bulk.rs`. What this deliberately does not do: keep the timer from doing the same meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sessiond_core::command::{Command, Effect};
use sessiond_core::deadlines;
use sessiond_core::ids::SessionId;
use sessiond_core::session::{EndReason, SessionRow};
use sessiond_core::time::WallTime;
use sessiond_proto::v1 as pb;
use sessiond_store::snapshot::ReadAhead;
use tonic::Status;

use super::bulk::{self, Bulk, Pending, Results, Walk};
use super::context::{Called, Context, faulted};
use crate::wire::parse::sweep::SweepCall;
use crate::wire::status::Refusal;
use crate::wire::token::PagePosition;
use crate::wire::{parse, show};

/// A call that has begun.
struct Call {
    context: Arc<Context>,
    bulk: Arc<Bulk>,
    asked: SweepCall,
    /// Sessions that were looked at.
    examined: AtomicU64,
}

/// Answers Sweep.
pub(super) async fn serve(
    context: &Arc<Context>,
    bulk: &Arc<Bulk>,
    (namespace, actor): Called,
    request: pb::SweepRequest,
) -> Result<pb::SweepResponse, Status> {
    let log_id = &context.identification.log_id;
    let asked = parse::sweep::sweep(&namespace, request, actor, log_id)
        .map_err(|invalid| Refusal::invalid(&invalid))?;
    let call = Call {
        context: Arc::clone(context),
        bulk: Arc::clone(bulk),
        asked,
        examined: AtomicU64::new(0),
    };
    bulk::run(context, bulk, "sweep", async move { call.run().await }).await
}

impl Call {
    async fn run(&self) -> Result<pb::SweepResponse, Status> {
        let hand_over = async |results| self.hand_over(results).await;
        let (next, results, revision) =
            bulk::in_order(&self.context, hand_over, show::sweep_result::decided).await?;
        let binding = &self.asked.page.binding;
        Ok(pb::SweepResponse {
            results,
            next_page_token: next.map_or_else(String::new, |next| binding.token(&next)),
            examined: self.examined.load(Ordering::Relaxed),
            revision: revision.0,
        })
    }

    /// Hands over what seems to have passed a limit; answers with where the next page begins.
    async fn hand_over(
        &self,
        results: Results<pb::SweepResult>,
    ) -> Result<Option<PagePosition>, Status> {
        let page = &self.asked.page;
        let mut walk = Walk::new(&self.context, page.after.as_ref(), page.size)?;
        let unread = |_: &SessionRow| false;
        while let Some(living) = walk.next(&self.context, &self.asked.namespace, unread)? {
            for (session, _) in &living {
                let meant = self.asked.query.matches(session);
                self.examined.fetch_add(meant.into(), Ordering::Relaxed);
                let passed = if meant { self.passed(session)? } else { None };
                let Some(passed) = passed else {
                    walk.pass(session);
                    continue;
                };
                if let Some(next) = walk.take(session) {
                    return Ok(Some(next));
                }
                let next = match self.asked.effect {
                    Effect::Made => self.ask(session.id.clone()).await?,
                    Effect::LeftOut => {
                        Pending::Foreseen(show::sweep_result::foreseen(session, passed))
                    }
                };
                bulk::send(&results, next).await?;
            }
            tokio::task::yield_now().await;
        }
        Ok(None)
    }

    /// The limit that a session seems to have passed, and when it was reached.
    fn passed(&self, session: &SessionRow) -> Result<Option<(EndReason, WallTime)>, Status> {
        if !session.is_active() {
            return Ok(None);
        }
        let view = self.context.rows()?.session_view(session.no);
        let Some(view) = view.map_err(|fault| faulted(&fault))? else {
            return Ok(None);
        };
        let now = self.context.now();
        let (activity, depth) = (&view.activity, view.depth);
        let within = self.asked.within;
        let passed = deadlines::passed_within(&view.session, activity, depth, within, now.engine);
        Ok(passed.map(|passed| (passed.reason, now.wall_of(passed.at))))
    }

    async fn ask(&self, session: SessionId) -> Result<Pending<pb::SweepResult>, Status> {
        let reap = Command::Reap(self.asked.reap(session.clone()));
        let unread = ReadAhead::default();
        bulk::ask(&self.context, &self.bulk, session, (reap, unread)).await
    }
}
