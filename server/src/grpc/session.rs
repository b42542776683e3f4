//! SessionService: open, get, list, update, touch, begin and end a request, end one or many, reset, explain, purge,
//! watch.

use std::time::Duration;

use sessiond_core::command::Command;
use sessiond_core::ids::{Namespace, SessionNo, SessionRef};
use sessiond_core::rejection::Rejection;
use sessiond_core::reply::Reply;
use sessiond_core::session::SessionView;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::session_service_server::SessionService;
use tonic::{Request, Response, Status};

use super::context::{Context, faulted};
use super::{Handlers, end_sessions, export, list, purge_sessions, watch};
use crate::transport::MaxAge;
use crate::wire::parse::end::{EndGoal, EndWait};
use crate::wire::show::reply::Shown;
use crate::wire::status::Refusal;
use crate::wire::{parse, show};

#[tonic::async_trait]
impl SessionService for Handlers {
    async fn open_session(
        &self,
        request: Request<pb::OpenSessionRequest>,
    ) -> Result<Response<pb::OpenSessionResponse>, Status> {
        let context = &self.context;
        let (namespace, actor) = context.called(&request)?;
        context.refuse_if_stopping()?;
        let open = parse::open::open(
            &namespace,
            request.into_inner(),
            context.env.ids.session(),
            actor,
        )
        .map_err(|invalid| Refusal::invalid(&invalid))?;
        let (revision, reply) = context.ask(Command::Open(Box::new(open))).await?;
        let shown = context.shown(revision);
        Ok(Response::new(show::reply::opened(reply, shown)))
    }

    async fn get_session(
        &self,
        request: Request<pb::GetSessionRequest>,
    ) -> Result<Response<pb::GetSessionResponse>, Status> {
        let context = &self.context;
        let namespace = context.namespace(request.metadata())?;
        let asked =
            parse::get::get(request.into_inner()).map_err(|invalid| Refusal::invalid(&invalid))?;
        let seen = find(context, &namespace, &asked)?;
        Ok(Response::new(pb::GetSessionResponse {
            session: Some(context.show(seen).await?),
        }))
    }

    async fn list_sessions(
        &self,
        request: Request<pb::ListSessionsRequest>,
    ) -> Result<Response<pb::ListSessionsResponse>, Status> {
        let namespace = self.context.namespace(request.metadata())?;
        list::sessions(&self.context, &namespace, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn update_session(
        &self,
        request: Request<pb::UpdateSessionRequest>,
    ) -> Result<Response<pb::UpdateSessionResponse>, Status> {
        let context = &self.context;
        let (namespace, actor) = context.called(&request)?;
        let update = parse::update::update(
            &namespace,
            request.into_inner(),
            actor,
            &self.context.policy,
        )
        .map_err(|invalid| Refusal::invalid(&invalid))?;
        let (reply, shown, _) = self.change(Command::Update(Box::new(update))).await?;
        Ok(Response::new(show::reply::updated(reply, shown)))
    }

    async fn touch_session(
        &self,
        request: Request<pb::TouchSessionRequest>,
    ) -> Result<Response<pb::TouchSessionResponse>, Status> {
        let namespace = self.context.namespace(request.metadata())?;
        let touch = parse::touch::touch(&namespace, request.into_inner())
            .map_err(|invalid| Refusal::invalid(&invalid))?;
        let (reply, shown, _) = self.change(Command::Touch(touch)).await?;
        Ok(Response::new(show::reply::touched(reply, shown)))
    }

    async fn begin_request(
        &self,
        request: Request<pb::BeginRequestRequest>,
    ) -> Result<Response<pb::BeginRequestResponse>, Status> {
        let context = &self.context;
        let namespace = context.namespace(request.metadata())?;
        let begin = parse::begin_request::begin_request(&namespace, request.into_inner())
            .map_err(|invalid| Refusal::invalid(&invalid))?;
        let (revision, reply) = context.ask(Command::BeginRequest(begin)).await?;
        Ok(Response::new(show::reply::request_begun(&reply, revision)))
    }

    async fn end_request(
        &self,
        request: Request<pb::EndRequestRequest>,
    ) -> Result<Response<pb::EndRequestResponse>, Status> {
        let namespace = self.context.namespace(request.metadata())?;
        let end = parse::end_request::end_request(&namespace, request.into_inner())
            .map_err(|invalid| Refusal::invalid(&invalid))?;
        let (reply, shown, _) = self.change(Command::EndRequest(end)).await?;
        Ok(Response::new(show::reply::request_ended(reply, shown)))
    }

    async fn end_session(
        &self,
        request: Request<pb::EndSessionRequest>,
    ) -> Result<Response<pb::EndSessionResponse>, Status> {
        let (namespace, actor) = self.context.called(&request)?;
        let call = parse::end::end(&namespace, request.into_inner(), actor)
            .map_err(|invalid| Refusal::invalid(&invalid))?;
        let asked = call.end.session.clone();
        let (reply, shown, no) = self.change(Command::End(call.end)).await?;
        let mut answer = show::reply::ended(reply, shown);
        if let Some(wait) = call.wait
            && !answer
                .session
                .as_ref()
                .is_none_or(|session| is_reached(wait.goal, session))
        {
            let session = self.wait_for_end(no, wait).await?;
            answer.session = Some(session.ok_or_else(|| not_found(&asked))?);
        }
        Ok(Response::new(answer))
    }

    async fn end_sessions(
        &self,
        request: Request<pb::EndSessionsRequest>,
    ) -> Result<Response<pb::EndSessionsResponse>, Status> {
        let caller = self.context.called(&request)?;
        let request = request.into_inner();
        end_sessions::serve(&self.context, &self.bulk, caller, request)
            .await
            .map(Response::new)
    }

    async fn explain_session(
        &self,
        request: Request<pb::ExplainSessionRequest>,
    ) -> Result<Response<pb::ExplainSessionResponse>, Status> {
        let context = &self.context;
        let namespace = context.namespace(request.metadata())?;
        let explain = parse::explain::explain(&namespace, request.into_inner())
            .map_err(|invalid| Refusal::invalid(&invalid))?;
        let (revision, reply) = context.ask(Command::Explain(explain)).await?;
        let Reply::Explained(explanation) = reply else {
            panic!("explain is answered with an explanation: {reply:?}");
        };
        let shown = context.shown(revision);
        let no = explanation.session.session.no;
        let unexported = context
            .exports
            .as_ref()
            .and_then(|exports| exports.failure(no));
        let answer = show::explanation::explained(&explanation, unexported.as_deref(), shown);
        Ok(Response::new(answer))
    }

    type ExportSessionStream = export::Records;

    async fn export_session(
        &self,
        request: Request<pb::ExportSessionRequest>,
    ) -> Result<Response<Self::ExportSessionStream>, Status> {
        let namespace = self.context.namespace(request.metadata())?;
        let request = request.into_inner();
        let records = export::serve(&self.context, &namespace, request).await?;
        Ok(Response::new(records))
    }

    async fn reset_session(
        &self,
        request: Request<pb::ResetSessionRequest>,
    ) -> Result<Response<pb::ResetSessionResponse>, Status> {
        let context = &self.context;
        let (namespace, actor) = context.called(&request)?;
        context.refuse_if_stopping()?;
        let reset = parse::reset::reset(
            &namespace,
            request.into_inner(),
            context.env.ids.session(),
            actor,
        )
        .map_err(|invalid| Refusal::invalid(&invalid))?;
        let (revision, reply) = context.ask(Command::Reset(Box::new(reset))).await?;
        let shown = context.shown(revision);
        Ok(Response::new(show::reply::reset(reply, shown)))
    }

    async fn purge_sessions(
        &self,
        request: Request<pb::PurgeSessionsRequest>,
    ) -> Result<Response<pb::PurgeSessionsResponse>, Status> {
        let caller = self.context.called(&request)?;
        let request = request.into_inner();
        let bulks = (&self.bulk, &self.exporting);
        purge_sessions::serve(&self.context, bulks, caller, request)
            .await
            .map(Response::new)
    }

    type WatchSessionEventsStream = watch::Nothing;

    async fn watch_session_events(
        &self,
        request: Request<pb::WatchSessionEventsRequest>,
    ) -> Result<Response<watch::Nothing>, Status> {
        let namespace = self.context.namespace(request.metadata())?;
        let max_age = MaxAge::of(&request);
        let asked = request.into_inner();
        let watch = watch::watch(&self.context, &namespace, max_age, asked).await?;
        Ok(watch.answer())
    }
}

/// The session a read means.
fn find(
    context: &Context,
    namespace: &Namespace,
    asked: &SessionRef,
) -> Result<SessionView, Status> {
    let rows = context.rows()?;
    let found = rows
        .find(namespace, asked)
        .map_err(|fault| faulted(&fault))?;
    let seen = match found {
        Some(no) => context.see(&rows, no)?,
        None => None,
    };
    seen.ok_or_else(|| not_found(asked))
}

fn not_found(asked: &SessionRef) -> Status {
    let rejection = Rejection::SessionNotFound {
        asked: asked.clone(),
    };
    Refusal::rejected(&rejection).into()
}

fn is_reached(goal: EndGoal, session: &pb::Session) -> bool {
    let has_ended = session.state() == pb::SessionState::Ended;
    match goal {
        EndGoal::Ended => has_ended,
        EndGoal::Released => has_ended && session.unreleased_resources == 0,
    }
}

impl Handlers {
    /// Asks for a change of a session; answers with what it needs to be shown.
    pub(super) async fn change(
        &self,
        command: Command,
    ) -> Result<(Reply, Shown, SessionNo), Status> {
        let (revision, reply) = self.context.ask(command).await?;
        let Reply::Session { session, .. } = &reply else {
            panic!("a change of a session is answered with it: {reply:?}");
        };
        let no = session.session.no;
        let shown = self.context.shown(revision);
        Ok((reply, shown, no))
    }

    /// The session once its end has come so far, or as it is when the wait is over; none if it has ended and was purged
    /// since.
    async fn wait_for_end(
        &self,
        no: SessionNo,
        EndWait { at_most, goal }: EndWait,
    ) -> Result<Option<pb::Session>, Status> {
        let context = &self.context;
        let deadline = tokio::time::Instant::now() + Duration::from_millis(at_most.0);
        let mut news = context.feed.follow();
        loop {
            news.mark_unchanged();
            let Some(seen) = context.see(&context.rows()?, no)? else {
                return Ok(None);
            };
            let session = context.show(seen).await?;
            if is_reached(goal, &session) || context.stopping.has_begun() {
                return Ok(Some(session));
            }
            // Any of the three is a reason to look once more.
            tokio::select! {
                changed = news.changed() => changed.map_err(|_| Refusal::store_unavailable())?,
                () = context.stopping.begun() => {}
                () = tokio::time::sleep_until(deadline) => return Ok(Some(session)),
            }
        }
    }
}
