//! DiscardMessages: messages of one session that are named or chosen, deleted by one decision.
//!
//! What is read here only says which messages to ask for; each is judged again where it is decided. What this
//! deliberately does not do: go on by itself; whoever has more to delete asks for the next page.

use sessiond_core::command::Command;
use sessiond_core::command::letters::Discard;
use sessiond_core::ids::{Namespace, Seq, SessionRef};
use sessiond_core::queue::QueueRow;
use sessiond_core::rows::MessageMark;
use sessiond_proto::v1 as pb;
use sessiond_store::snapshot::Rows;
use tonic::Status;

use super::context::{Called, Context};
use super::{letters, list};
use crate::limits::LIST_SCAN_MAX;
use crate::wire::parse::named_page::Chosen;
use crate::wire::parse::page::Page;
use crate::wire::query::MessageQuery;
use crate::wire::status::Refusal;
use crate::wire::token::PagePosition;
use crate::wire::{parse, show};

/// Answers DiscardMessages.
pub(super) async fn discard(
    context: &Context,
    (namespace, actor): &Called,
    request: pb::DiscardMessagesRequest,
) -> Result<pb::DiscardMessagesResponse, Status> {
    let log_id = &context.identification.log_id;
    let call = parse::discard::discard(namespace, request, log_id)
        .map_err(|invalid| Refusal::invalid(&invalid))?;
    let (seqs, next) = match &call.messages {
        Chosen::Named(seqs) => (seqs.clone(), None),
        Chosen::Matching { query, page } => choose(context, namespace, &call.session, query, page)?,
    };
    let command = Command::Discard(Discard {
        namespace: namespace.clone(),
        session: call.session,
        seqs,
        next,
        effect: call.effect,
        request: call.request,
        actor: actor.clone(),
    });
    let (revision, reply) = context.ask(command).await?;
    let token = |mark: MessageMark| match &call.messages {
        Chosen::Named(_) => String::new(),
        Chosen::Matching { page, .. } => page.binding.token(&PagePosition::Discards(mark)),
    };
    Ok(show::reply::discarded(&reply, token, revision))
}

/// The numbers of a page's messages, and where the next page begins.
fn choose(
    context: &Context,
    namespace: &Namespace,
    session: &SessionRef,
    query: &MessageQuery,
    page: &Page,
) -> Result<(Vec<Seq>, Option<MessageMark>), Status> {
    let rows = context.rows()?;
    let Some(queue) = letters::queue_of(&rows, namespace, session)?.1 else {
        return Ok((Vec::new(), None));
    };
    let (after, until) = match &page.after {
        // The key may mean another incarnation by now: its messages are not the ones that were chosen.
        Some(PagePosition::Discards(mark)) if mark.queue != queue.id => {
            return Ok((Vec::new(), None));
        }
        Some(PagePosition::Discards(mark)) => (mark.after, mark.until),
        // What comes while the call goes on is not meant.
        _ => (Seq(0), queue.next_seq),
    };
    let (seqs, next) = pick(&rows, &queue, after, until, query, page.size)?;
    let next = next.map(|after| MessageMark {
        queue: queue.id,
        after,
        until,
    });
    Ok((seqs, next))
}

fn pick(
    rows: &Rows,
    queue: &QueueRow,
    mut after: Seq,
    until: Seq,
    query: &MessageQuery,
    most: usize,
) -> Result<(Vec<Seq>, Option<Seq>), Status> {
    let mut seqs = Vec::new();
    let mut scanned = 0;
    loop {
        let chunk = list::by_seq(rows, queue.id, after)?;
        let last = chunk.len() < list::CHUNK;
        for message in chunk {
            if message.seq >= until {
                return Ok((seqs, None));
            }
            let meant = list::is_kept(&message, queue.disposition)
                && query.matches(&message, queue.disposition);
            if scanned == LIST_SCAN_MAX || meant && seqs.len() == most {
                return Ok((seqs, Some(after)));
            }
            scanned += 1;
            after = message.seq;
            if meant {
                seqs.push(message.seq);
            }
        }
        if last {
            return Ok((seqs, None));
        }
    }
}
