//! Update: the parts of a session that its callers may change.
//!
//! A new prompt is activity, metadata is not. An ended or draining session is refused.

use std::sync::Arc;

use super::{find, hand_out, request};
use crate::command::Update;
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::EventKind;
use crate::ids::SessionNo;
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::session::SessionRow;

/// Changes what the update names; the rest stays.
pub(super) fn update(draft: &mut Draft<'_>, update: &Update) -> Result<Reply, Stop> {
    if let Some(row) = request::earlier(draft, &update.namespace, update.request.as_ref())? {
        return answer(draft, row.subject, true);
    }
    let session = find::live(draft, &update.namespace, &update.session)?;
    let mut session = Arc::unwrap_or_clone(session);
    let current = session.etag();
    if update.etag.as_ref().is_some_and(|asked| *asked != current) {
        return Err(Rejection::EtagMismatch { current }.into());
    }
    apply(&mut session, update);
    draft.put_session(session.clone());
    // Shorter limits may be due sooner than the session's next check.
    let mut activity = draft.activity(session.no)?;
    match (update.prompt_number, &update.prompt) {
        (Some(number), _) => activity.prompt_number = number,
        (None, Some(_)) => activity.prompt_number = activity.prompt_number.saturating_add(1),
        (None, None) => {}
    }
    if update.prompt.is_some() || update.prompt_number.is_some() {
        activity.touch(draft.now);
    }
    draft.put_activity(&session, activity)?;
    draft.event(
        EventKind::SessionUpdated,
        update.actor.clone(),
        session.no,
        Particulars::default(),
    )?;
    request::record(
        draft,
        &update.namespace,
        update.request.as_ref(),
        session.no,
        false,
    )?;
    // Another order or a higher bound may let messages go, another profile may suit a worker.
    hand_out::offer(draft, session.queue)?;
    answer(draft, session.no, false)
}

fn apply(session: &mut SessionRow, update: &Update) {
    let profile = &mut session.profile;
    let texts = [
        (&mut profile.project, &update.project),
        (&mut profile.source, &update.source),
        (&mut profile.agent_id, &update.agent_id),
        (&mut profile.transcript_path, &update.transcript_path),
        (&mut profile.prompt, &update.prompt),
    ];
    for (field, new) in texts {
        if let Some(new) = new {
            field.clone_from(new);
        }
    }
    if let Some(labels) = &update.labels {
        profile.labels.clone_from(labels);
    }
    let limits = [
        (&mut session.timeouts.idle, update.timeouts.idle),
        (&mut session.timeouts.lifetime, update.timeouts.lifetime),
        (&mut session.timeouts.owner, update.timeouts.owner),
    ];
    for (limit, new) in limits {
        *limit = new.unwrap_or(*limit);
    }
    session.ordering = update.ordering.unwrap_or(session.ordering);
    session.max_in_flight = update.max_in_flight.unwrap_or(session.max_in_flight);
}

fn answer(draft: &Draft<'_>, no: SessionNo, duplicate: bool) -> Result<Reply, Stop> {
    Ok(Reply::Session {
        session: Box::new(draft.session_view(no)?),
        already_ended: false,
        duplicate,
    })
}
