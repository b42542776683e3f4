//! RequeueDeadLetters: letters that are named or chosen, brought back by one decision.
//!
//! What is read here only says which letters to ask for, a bounded number of them; each is judged again where
//! it is decided, and all that is done for one call is one commit. What this deliberately does not do: go on by
//! itself; whoever has more to bring back asks for the next page.

use sessiond_core::command::Command;
use sessiond_core::command::letters::Requeue;
use sessiond_core::ids::{Namespace, QueueId, Seq, SessionRef};
use sessiond_core::limits::REQUEUE_BYTES_MAX;
use sessiond_core::rows::MessageMark;
use sessiond_proto::v1 as pb;
use sessiond_store::snapshot::Rows;
use tonic::Status;

use super::context::{Called, Context};
use super::letters::{self, Place, Scope, Visit};
use crate::wire::parse::dead_letter_filter::LetterFilter;
use crate::wire::parse::named_page::Chosen;
use crate::wire::parse::page::Page;
use crate::wire::status::Refusal;
use crate::wire::token::PagePosition;
use crate::wire::{parse, show};

/// Answers RequeueDeadLetters.
pub(super) async fn requeue(
    context: &Context,
    (namespace, actor): &Called,
    request: pb::RequeueDeadLettersRequest,
) -> Result<pb::RequeueDeadLettersResponse, Status> {
    let log_id = &context.identification.log_id;
    let call = parse::requeue::requeue(namespace, request, log_id)
        .map_err(|invalid| Refusal::invalid(&invalid))?;
    let (places, next) = match &call.letters {
        Chosen::Named(places) => (places.clone(), None),
        Chosen::Matching {
            query: filter,
            page,
        } => choose(context, namespace, filter, page, call.into.as_ref())?,
    };
    let command = Command::Requeue(Requeue {
        namespace: namespace.clone(),
        letters: places,
        into: call.into,
        next,
        effect: call.effect,
        request: call.request,
        actor: actor.clone(),
    });
    let (revision, reply) = context.ask(command).await?;
    let token = |mark: MessageMark| match &call.letters {
        Chosen::Named(_) => String::new(),
        Chosen::Matching { page, .. } => page.binding.token(&PagePosition::Requeues(mark)),
    };
    Ok(show::reply::requeued(&reply, token, revision))
}

/// The places of a page's letters, and where the next page begins.
fn choose(
    context: &Context,
    namespace: &Namespace,
    filter: &LetterFilter,
    page: &Page,
    into: Option<&SessionRef>,
) -> Result<(Vec<Place>, Option<MessageMark>), Status> {
    let rows = context.rows()?;
    let scope = Scope::of(&rows, namespace, filter.session.as_ref())?;
    let target = match into {
        Some(asked) => letters::queue_of(&rows, namespace, asked)?.1,
        None => None,
    };
    let (after, until) = match &page.after {
        Some(PagePosition::Requeues(mark)) => ((mark.queue, mark.after), mark.until),
        // What this call appends is none of its own letters, should it be given up while the call goes on.
        _ => {
            let until = target
                .as_ref()
                .map_or(Seq(u64::MAX), |queue| queue.next_seq);
            ((QueueId(0), Seq(0)), until)
        }
    };
    let target = target.map(|queue| queue.id);
    let (places, next) = pick(&rows, &scope, after, filter, page.size, target, until)?;
    let next = next.map(|(queue, after)| MessageMark {
        queue,
        after,
        until,
    });
    Ok((places, next))
}

fn pick(
    rows: &Rows,
    scope: &Scope,
    after: Place,
    filter: &LetterFilter,
    most: usize,
    target: Option<QueueId>,
    until: Seq,
) -> Result<(Vec<Place>, Option<Place>), Status> {
    let mut places = Vec::new();
    let mut carried = 0;
    let next = letters::walk(rows, scope, after, |queue, message| {
        let own = target == Some(queue.id);
        let is_new = own && message.seq >= until;
        if is_new || !filter.query.matches(&message, queue.disposition) {
            return Ok(Visit::Done);
        }
        let bytes = match target {
            Some(_) if !own => message.bytes,
            Some(_) | None => 0,
        };
        let heavy = carried > 0 && carried + bytes > REQUEUE_BYTES_MAX;
        if heavy || places.len() == most {
            return Ok(Visit::Full);
        }
        carried += bytes;
        places.push((queue.id, message.seq));
        Ok(Visit::Done)
    })?;
    Ok((places, next))
}
