//! Circuits in decisions: what a settlement makes of the circuit of its message's kind, and an operator's reset.
//!
//! A failure is a nack with RETRY or PERMANENT; DEFER says that nothing failed, and a lapse says nothing. They count for
//! the session that owns the queue at the time. A session that is over keeps its circuits as its end found them, for
//! nothing is written about it any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{find, request, restart_guard};
use crate::circuit::{Circuit, Failing};
use crate::command::{NackKind, ResetCircuit, ResetTarget};
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::{Actor, EventKind, MessageRef};
use crate::ids::{MessageKind, SessionNo};
use crate::message::MessageRow;
use crate::reply::Reply;

/// Counts a nack of a message against the session that owns its queue.
pub(super) fn failed(
    draft: &mut Draft<'_>,
    owner: SessionNo,
    message: &MessageRow,
    kind: NackKind,
    actor: &Actor,
) -> Result<(), Stop> {
    match kind {
        NackKind::Defer if !faulty!(DeferFails) => return Ok(()),
        NackKind::Retry | NackKind::Permanent | NackKind::Defer => {}
    }
    let policy = Arc::clone(draft.policy());
    if !policy.circuit_kinds.contains(&message.kind) {
        return Ok(());
    }
    let session = draft.session(owner)?;
    let mut activity = draft.activity(owner)?;
    let failing = activity
        .circuits
        .fail(&message.kind, draft.now.engine, &policy);
    draft.put_activity(&session, activity)?;
    match failing {
        Failing::Counted => Ok(()),
        Failing::Opened { failures } => {
            let particulars = Particulars {
                message: Some(named(message)),
                attributes: about(&message.kind, ("failures", failures.to_string())),
            };
            draft.event(EventKind::CircuitOpened, actor.clone(), owner, particulars)
        }
    }
}

/// Says that an acknowledged message closed its circuit, which the session's row shows already.
pub(super) fn closed_by(
    draft: &mut Draft<'_>,
    owner: SessionNo,
    circuit: &Circuit,
    message: &MessageRow,
    actor: Actor,
) -> Result<(), Stop> {
    if !circuit.is_open() {
        return Ok(());
    }
    let particulars = Particulars {
        message: Some(named(message)),
        attributes: about(&message.kind, ("cause", "ack".to_owned())),
    };
    draft.event(EventKind::CircuitClosed, actor, owner, particulars)
}

/// Forgets the failures of a kind, or of workers. Where nothing failed there is nothing to do, which is no refusal.
pub(super) fn reset_circuit(draft: &mut Draft<'_>, reset: &ResetCircuit) -> Result<Reply, Stop> {
    let tag = reset.request.as_ref();
    if let Some(row) = request::earlier(draft, &reset.namespace, tag)? {
        return answer(draft, row.subject, true);
    }
    let session = find::in_use(draft, &reset.namespace, &reset.session)?;
    let no = session.no;
    match &reset.target {
        ResetTarget::Kind(kind) => {
            let mut activity = draft.activity(no)?;
            if let Some(circuit) = activity.circuits.close(kind) {
                draft.put_activity(&session, activity)?;
                if circuit.is_open() {
                    let particulars = Particulars {
                        message: None,
                        attributes: about(kind, ("cause", "reset".to_owned())),
                    };
                    draft.event(
                        EventKind::CircuitClosed,
                        reset.actor.clone(),
                        no,
                        particulars,
                    )?;
                }
            }
        }
        ResetTarget::RestartGuard => restart_guard::reset(draft, &session)?,
    }
    request::record(draft, &reset.namespace, tag, no, false)?;
    answer(draft, no, false)
}

fn answer(draft: &Draft<'_>, no: SessionNo, duplicate: bool) -> Result<Reply, Stop> {
    Ok(Reply::Session {
        session: Box::new(draft.session_view(no)?),
        already_ended: false,
        duplicate,
    })
}

fn named(message: &MessageRow) -> MessageRef {
    MessageRef {
        queue: message.queue,
        seq: message.seq,
        kind: message.kind.as_str().to_owned(),
    }
}

fn about(kind: &MessageKind, (name, value): (&str, String)) -> BTreeMap<String, String> {
    let kind = ("kind".to_owned(), kind.as_str().to_owned());
    [kind, (name.to_owned(), value)].into()
}
