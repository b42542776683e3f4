//! Lists: sessions and messages, a page at a time, each page from one snapshot.
//!
//! A page is filled from a bounded number of rows; a filter that matches few answers with a short
//! page and a token to go on, never with a scan of everything.

use bytes::Bytes;
use sessiond_core::ids::{Namespace, QueueId, Seq, SessionId, SessionNo};
use sessiond_core::lease::LeaseView;
use sessiond_core::message::{MessageRow, Standing};
use sessiond_core::queue::{Disposition, Pause, QueueRow};
use sessiond_core::rejection::Rejection;
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::SessionView;
use sessiond_proto::v1 as pb;
use sessiond_store::snapshot::Rows;
use tonic::Status;

use super::context::{Context, faulted};
use crate::limits::LIST_SCAN_MAX;
use crate::wire::parse::list_messages::{ListMessagesCall, Payloads};
use crate::wire::parse::list_sessions::ListSessionsCall;
use crate::wire::show::message::Listed;
use crate::wire::status::Refusal;
use crate::wire::token::PagePosition;
use crate::wire::token::ResumeToken;
use crate::wire::{parse, show};

/// Rows read at once while a page is filled.
pub(super) const CHUNK: usize = 256;
/// Bytes of messages on a page that shows payloads; below the 17 MiB a client must accept.
pub(super) const PAGE_BYTES_MAX: u64 = 16 * 1_024 * 1_024;

/// Answers ListSessions, newest first.
pub(super) async fn sessions(
    context: &Context,
    namespace: &Namespace,
    request: pb::ListSessionsRequest,
) -> Result<pb::ListSessionsResponse, Status> {
    let log_id = &context.identification.log_id;
    let call = parse::list_sessions::list_sessions(namespace, request, log_id)
        .map_err(|invalid| Refusal::invalid(&invalid))?;
    let page = session_page(context, &call)?;
    Ok(pb::ListSessionsResponse {
        sessions: context.show_all(page.seen).await?,
        next_page_token: page.next,
        resume_token: page.resume,
    })
}

struct SessionPage {
    seen: Vec<SessionView>,
    next: String,
    resume: String,
}

fn session_page(context: &Context, call: &ListSessionsCall) -> Result<SessionPage, Status> {
    let rows = context.rows()?;
    let faulted = |fault| faulted(&fault);
    // Of the first page, so that a watch from here misses nothing that a later page does not show.
    let (mut before, revision) = match &call.page.after {
        Some(PagePosition::Sessions { after, revision }) => (*after, *revision),
        _ => (
            SessionNo(u64::MAX),
            rows.counters().map_err(faulted)?.revision,
        ),
    };
    let mut seen = Vec::new();
    let mut scanned = 0;
    let more = 'filling: loop {
        let chunk = rows.sessions_before(before, CHUNK).map_err(faulted)?;
        let last = chunk.len() < CHUNK;
        for session in chunk {
            if seen.len() == call.page.size || scanned == LIST_SCAN_MAX {
                break 'filling true;
            }
            scanned += 1;
            before = session.no;
            if call.query.matches(&session) {
                seen.extend(context.see(&rows, session.no)?);
            }
        }
        if last {
            break false;
        }
    };
    let next = if more {
        call.page.binding.token(&PagePosition::Sessions {
            after: before,
            revision,
        })
    } else {
        String::new()
    };
    Ok(SessionPage {
        seen,
        next,
        resume: ResumeToken::new(&context.identification.log_id, revision).encode(),
    })
}

/// Answers ListMessages: what is unsettled in order of seq, then what was given up.
pub(super) async fn messages(
    context: &Context,
    namespace: &Namespace,
    request: pb::ListMessagesRequest,
) -> Result<pb::ListMessagesResponse, Status> {
    let log_id = &context.identification.log_id;
    let call = parse::list_messages::list_messages(namespace, request, log_id)
        .map_err(|invalid| Refusal::invalid(&invalid))?;
    let (mut page, payloads) = {
        let rows = context.rows()?;
        let page = message_page(&rows, namespace, &call)?;
        let payloads = page.messages.iter();
        let payloads = payloads.map(|message| payload(&rows, call.payloads, message));
        let payloads = payloads.collect::<Result<Vec<_>, _>>()?;
        (page, payloads)
    };
    let in_flight = |message: &MessageRow| matches!(message.standing, Standing::InFlight(_));
    if let Some(lease) = page.lease.take_if(|_| page.messages.iter().any(in_flight)) {
        page.lease = Some(context.as_renewed(lease).await?);
    }
    let now = context.now();
    let listed = page.messages.iter().zip(payloads);
    let messages = listed.map(|(message, payload)| {
        let at = Listed {
            session: &page.session,
            disposition: page.disposition,
            pause: page.pause,
            lease: page.lease.as_ref(),
            now,
        };
        show::message::listed(message, at, payload)
    });
    Ok(pb::ListMessagesResponse {
        messages: messages.collect(),
        next_page_token: page.next,
    })
}

struct MessagePage {
    session: SessionId,
    disposition: Disposition,
    pause: Option<Pause>,
    lease: Option<LeaseView>,
    messages: Vec<MessageRow>,
    next: String,
}

fn message_page(
    rows: &Rows,
    namespace: &Namespace,
    call: &ListMessagesCall,
) -> Result<MessagePage, Status> {
    let faulted = |fault| faulted(&fault);
    let found = rows.find(namespace, &call.session).map_err(faulted)?;
    let view = match found {
        Some(no) => rows.session_view(no).map_err(faulted)?,
        None => None,
    };
    let Some(view) = view else {
        let rejection = Rejection::SessionNotFound {
            asked: call.session.clone(),
        };
        return Err(Refusal::rejected(&rejection).into());
    };
    let session = &view.session;
    let mut page = MessagePage {
        session: session.id.clone(),
        disposition: Disposition::Quiet,
        pause: None,
        lease: view.lease,
        messages: Vec::new(),
        next: String::new(),
    };
    // One that a successor took over, and that went with it, is not there any more.
    let Some(Row::Queue(queue)) = rows.row(&RowKey::Queue(session.queue)).map_err(faulted)? else {
        return Ok(page);
    };
    page.disposition = queue.disposition;
    page.pause = queue.pause;
    // A queue that a successor has adopted is the successor's to list.
    if queue.owner != session.no {
        return Ok(page);
    }
    let after = match &call.page.after {
        // The key may mean another incarnation by now: its messages are another list.
        Some(PagePosition::Messages { queue, .. }) if *queue != session.queue => {
            return Ok(page);
        }
        Some(PagePosition::Messages { after, .. }) => *after,
        _ => Seq(0),
    };
    if let Some(after) = fill(rows, call, &queue, after, &mut page.messages)? {
        let queue = queue.id;
        let position = PagePosition::Messages { queue, after };
        page.next = call.page.binding.token(&position);
    }
    Ok(page)
}

/// Fills a page with the messages behind a seq; answers with where to go on if there may be more.
fn fill(
    rows: &Rows,
    call: &ListMessagesCall,
    queue: &QueueRow,
    mut after: Seq,
    page: &mut Vec<MessageRow>,
) -> Result<Option<Seq>, Status> {
    let mut scanned = 0;
    let mut bytes = 0;
    loop {
        let chunk = by_seq(rows, queue.id, after)?;
        let last = chunk.len() < CHUNK;
        for message in chunk {
            let shown = is_kept(&message, queue.disposition)
                && call.query.matches(&message, queue.disposition);
            if shown && call.payloads == Payloads::Shown {
                bytes += message.bytes;
            }
            // One message is shown whatever its size, or the list would not go on.
            let heavy = bytes > PAGE_BYTES_MAX && !page.is_empty();
            if heavy || page.len() == call.page.size || scanned == LIST_SCAN_MAX {
                return Ok(Some(after));
            }
            scanned += 1;
            after = message.seq;
            if shown {
                page.push(message);
            }
        }
        if last {
            return Ok(None);
        }
    }
}

/// What a message carries, if the list shows it.
pub(super) fn payload(
    rows: &Rows,
    payloads: Payloads,
    message: &MessageRow,
) -> Result<Bytes, Status> {
    match payloads {
        Payloads::Shown => {
            let payload = rows.payload(message.queue, message.seq);
            Ok(payload
                .map_err(|fault| faulted(&fault))?
                .unwrap_or_default())
        }
        Payloads::LeftOut => Ok(Bytes::new()),
    }
}

/// Whether a message is there for whoever lists: of a discarded queue only what was given up before
/// is, although the rows of the rest are deleted a few at a time.
pub(super) fn is_kept(message: &MessageRow, disposition: Disposition) -> bool {
    let discarded = matches!(disposition, Disposition::Discarded { .. });
    !discarded || matches!(message.standing, Standing::Dead { .. })
}

/// The next messages of a queue, unsettled and given-up ones together, by seq.
pub(super) fn by_seq(rows: &Rows, queue: QueueId, after: Seq) -> Result<Vec<MessageRow>, Status> {
    let faulted = |fault| faulted(&fault);
    let mut messages = rows.messages_after(queue, after, CHUNK).map_err(faulted)?;
    let dead = rows.dead_letters_after(queue, after, CHUNK);
    messages.extend(dead.map_err(faulted)?);
    messages.sort_by_key(|message| message.seq);
    messages.truncate(CHUNK);
    Ok(messages)
}
