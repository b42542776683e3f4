//! ClaimMessages: finds a session with work, claims it, and waits for some if there is none.
//!
//! Which session has work is looked up in a snapshot and may be out of date; the engine decides
//! again. A claim takes its place among those that wait before it looks, so no wake-up is missed. One whose messages were
//! discarded before they could be read has found nothing; its lease, of which it is not told, is renewed by its next claim
//! or lapses. What this deliberately does not do: choose among the messages of a session.

use std::time::Duration;

use sessiond_core::command::Command;
use sessiond_core::ids::{Namespace, Revision, SessionNo, SessionRef};
use sessiond_core::presence::SessionFilter;
use sessiond_core::rejection::Rejection;
use sessiond_core::reply::Reply;
use sessiond_core::rows::{Row, RowKey};
use sessiond_proto::v1 as pb;
use tonic::Status;

use super::context::{Context, faulted, refused};
use super::payloads;
use crate::dispatch::Interest;
use crate::limits::CLAIM_SCAN_MAX;
use crate::wire::parse::claim::{ClaimCall, ClaimTarget};
use crate::wire::status::Refusal;
use crate::wire::{parse, show};

/// Answers a claim.
pub(super) async fn claim(
    context: &Context,
    namespace: &Namespace,
    request: pb::ClaimMessagesRequest,
) -> Result<pb::ClaimMessagesResponse, Status> {
    let asked = parse::claim::claim(namespace, request, &context.policy)
        .map_err(|invalid| Refusal::invalid(&invalid))?;
    let interest = interest(context, namespace, &asked.target)?;
    let waiter = context.dispatcher.wait_for(interest);
    let deadline = asked
        .wait
        .map(|wait| tokio::time::Instant::now() + Duration::from_millis(wait.0));
    loop {
        let mut woken = std::pin::pin!(waiter.woken());
        // Counts from here, before the look.
        woken.as_mut().enable();
        let (revision, found) = match &asked.target {
            ClaimTarget::Session(session) => attempt(context, &asked, session.clone()).await?,
            ClaimTarget::Any(filter) => any(context, namespace, &asked, filter).await?,
        };
        let Some(deadline) = deadline.filter(|_| found.is_none() && !context.stopping.has_begun())
        else {
            return Ok(answer(found, revision));
        };
        // The deadline ends the wait even while wake-ups keep coming.
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(deadline) => return Ok(answer(None, revision)),
            () = context.stopping.begun() => {}
            () = woken => {}
        }
    }
}

/// What was claimed: the answer to the command, with payloads.
type Claimed = Option<Reply>;

fn interest(
    context: &Context,
    namespace: &Namespace,
    target: &ClaimTarget,
) -> Result<Interest, Status> {
    let ClaimTarget::Session(session) = target else {
        return Ok(Interest::Namespace(namespace.clone()));
    };
    let rows = context.rows()?;
    let found = rows
        .find(namespace, session)
        .map_err(|fault| faulted(&fault))?;
    Ok(match found {
        Some(no) => Interest::Session(no),
        // The engine says that there is none; what is waited for does not matter.
        None => Interest::Namespace(namespace.clone()),
    })
}

/// Claims from one session.
async fn attempt(
    context: &Context,
    asked: &ClaimCall,
    session: SessionRef,
) -> Result<(Revision, Claimed), Status> {
    let claim = Command::Claim(asked.on(session));
    let answer = context.engine.ask(claim).await.map_err(refused)?;
    match answer.outcome {
        Ok(reply) => Ok((answer.revision, took_something(context, reply)?)),
        // It is told when a session of the pool is given back, like one that waits for messages.
        Err(Rejection::TooManyAttached { .. }) if asked.wait.is_some() => {
            Ok((answer.revision, None))
        }
        Err(rejection) => Err(Refusal::rejected(&rejection).into()),
    }
}

/// What a claim has for its caller; nothing if it found nothing, or if all of it was discarded before it could be read.
fn took_something(context: &Context, reply: Reply) -> Result<Claimed, Status> {
    let Reply::Claimed {
        session,
        lease,
        deliveries,
    } = reply
    else {
        panic!("a claim is answered with what was claimed: {reply:?}");
    };
    let deliveries = payloads::load(context, deliveries)?;
    Ok((!deliveries.is_empty()).then_some(Reply::Claimed {
        session,
        lease,
        deliveries,
    }))
}

/// Claims from the session with the oldest work among those that the filter means.
async fn any(
    context: &Context,
    namespace: &Namespace,
    asked: &ClaimCall,
    filter: &SessionFilter,
) -> Result<(Revision, Claimed), Status> {
    for session in candidates(context, namespace, asked, filter).await? {
        let claim = Command::Claim(asked.on(SessionRef::Id(session)));
        let answer = context.engine.ask(claim).await.map_err(refused)?;
        match answer.outcome {
            Ok(reply) => {
                if let Some(reply) = took_something(context, reply)? {
                    return Ok((answer.revision, Some(reply)));
                }
            }
            // Somebody else was faster, or its pool lets workers hold no more; the next one may do.
            Err(
                Rejection::TooManyAttached { .. }
                | Rejection::LeaseHeld { .. }
                | Rejection::RestartLimited { .. }
                | Rejection::SessionEnded { .. }
                | Rejection::SessionDraining { .. }
                | Rejection::SessionNotFound { .. },
            ) => {}
            Err(rejection) => return Err(Refusal::rejected(&rejection).into()),
        }
    }
    Ok((context.feed.newest(), None))
}

/// Sessions that may have something for this claim, oldest work first: those it holds come first, so
/// that a claim whose answer was lost finds its deliveries again.
async fn candidates(
    context: &Context,
    namespace: &Namespace,
    asked: &ClaimCall,
    filter: &SessionFilter,
) -> Result<Vec<sessiond_core::ids::SessionId>, Status> {
    let rows = context.rows()?;
    let faulted = |fault| faulted(&fault);
    let mut sessions = held_by(context, namespace, asked).await?;
    let unserved = rows
        .unserved_after(namespace, None, CLAIM_SCAN_MAX)
        .map_err(faulted)?;
    for (_, queue) in unserved {
        if let Some(Row::Queue(queue)) = rows.row(&RowKey::Queue(queue)).map_err(faulted)? {
            sessions.push(queue.owner);
        }
    }
    let mut ids = Vec::new();
    for no in sessions {
        if let Some(Row::Session(session)) = rows.row(&RowKey::Session(no)).map_err(faulted)?
            && filter.matches(&session)
        {
            ids.push(session.id.clone());
        }
    }
    Ok(ids)
}

async fn held_by(
    context: &Context,
    namespace: &Namespace,
    asked: &ClaimCall,
) -> Result<Vec<SessionNo>, Status> {
    let key = (namespace.clone(), asked.instance().clone());
    let (_, reply) = context.ask(Command::HeldBy(key)).await?;
    let Reply::Held(sessions) = reply else {
        panic!("what is held is answered with sessions: {reply:?}");
    };
    Ok(sessions)
}

fn answer(claimed: Claimed, revision: Revision) -> pb::ClaimMessagesResponse {
    match claimed {
        Some(reply) => show::reply::claimed(reply, revision),
        None => pb::ClaimMessagesResponse {
            revision: revision.0,
            ..pb::ClaimMessagesResponse::default()
        },
    }
}
