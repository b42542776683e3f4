//! ListDeadLetters: dead letters of a session or of a namespace, a page at a time, each page from one
//! snapshot.
//!
//! A page is filled from a bounded number of rows; a filter that matches few answers with a short page and
//! a token to go on.

use std::sync::Arc;

use sessiond_core::ids::{Namespace, QueueId, Seq};
use sessiond_core::message::MessageRow;
use sessiond_core::queue::QueueRow;
use sessiond_core::session::SessionRow;
use sessiond_proto::v1 as pb;
use sessiond_store::snapshot::Rows;
use tonic::Status;

use super::context::Context;
use super::letters::{self, Scope, Visit};
use super::list::{self, PAGE_BYTES_MAX};
use crate::wire::parse::list_dead_letters::ListDeadLettersCall;
use crate::wire::parse::list_messages::Payloads;
use crate::wire::status::Refusal;
use crate::wire::token::PagePosition;
use crate::wire::{parse, show};

/// A letter that a page shows.
struct Found {
    owner: Arc<SessionRow>,
    queue: Arc<QueueRow>,
    message: MessageRow,
}

/// Answers ListDeadLetters.
pub(super) fn list(
    context: &Context,
    namespace: &Namespace,
    request: pb::ListDeadLettersRequest,
) -> Result<pb::ListDeadLettersResponse, Status> {
    let log_id = &context.identification.log_id;
    let call = parse::list_dead_letters::list_dead_letters(namespace, request, log_id)
        .map_err(|invalid| Refusal::invalid(&invalid))?;
    let rows = context.rows()?;
    let (found, next) = page(&rows, namespace, &call)?;
    let mut dead_letters = Vec::with_capacity(found.len());
    for Found {
        owner,
        queue,
        message,
    } in found
    {
        let payload = list::payload(&rows, call.payloads, &message)?;
        let letter = show::dead_letter::dead_letter(&message, queue.disposition, &owner, payload);
        dead_letters.extend(letter);
    }
    Ok(pb::ListDeadLettersResponse {
        dead_letters,
        next_page_token: next,
    })
}

/// The letters of a page, and the token of the next one.
fn page(
    rows: &Rows,
    namespace: &Namespace,
    call: &ListDeadLettersCall,
) -> Result<(Vec<Found>, String), Status> {
    let scope = Scope::of(rows, namespace, call.filter.session.as_ref())?;
    let after = match &call.page.after {
        Some(PagePosition::DeadLetters { queue, after }) => (*queue, *after),
        _ => (QueueId(0), Seq(0)),
    };
    let mut found: Vec<Found> = Vec::new();
    let mut bytes = 0;
    let next = letters::walk(rows, &scope, after, |queue, message| {
        if !call.filter.query.matches(&message, queue.disposition) {
            return Ok(Visit::Done);
        }
        if call.payloads == Payloads::Shown {
            bytes += message.bytes;
        }
        // One letter is shown whatever its size, or the list would not go on.
        let heavy = bytes > PAGE_BYTES_MAX && !found.is_empty();
        if heavy || found.len() == call.page.size {
            return Ok(Visit::Full);
        }
        let owner = match found.last() {
            Some(before) if before.queue.id == queue.id => Arc::clone(&before.owner),
            Some(_) | None => letters::owner(rows, queue)?,
        };
        found.push(Found {
            owner,
            queue: Arc::clone(queue),
            message,
        });
        Ok(Visit::Done)
    })?;
    let token = next.map_or_else(String::new, |(queue, after)| {
        let position = PagePosition::DeadLetters { queue, after };
        call.page.binding.token(&position)
    });
    Ok((found, token))
}
