//! Hook requests as calls, and what a failed one means for the event behind it.
//!
//! Invariant: an event is given up only when the server said that it can never take it. What this
//! deliberately does not do: repeat, keep or count anything.

use sessiond_client::hook::HookRequest;
use sessiond_client::{Client, Error, Reason, pb};

/// What the server made of an event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Delivered {
    pub(crate) novelty: Novelty,
    /// The session, when the call was about it as a whole.
    pub(crate) session: Option<pb::Session>,
}

/// Whether the server knew the event already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Novelty {
    New,
    Duplicate,
}

/// What to do with an event whose call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Time or a person can mend it: send it again later.
    Keep,
    /// It will be refused again.
    GiveUp,
}

/// Makes the one call of an event.
pub(crate) async fn deliver(client: &Client, request: HookRequest) -> Result<Delivered, Error> {
    let (is_duplicate, session) = match request {
        HookRequest::Open(open) => {
            let answer = client.open(*open).await?;
            (answer.duplicate, answer.session)
        }
        HookRequest::Enqueue(enqueue) => {
            let answer = client.enqueue(*enqueue).await?;
            let is_duplicate = answer
                .results
                .iter()
                .all(|result| result.status() == pb::EnqueueStatus::Duplicate);
            (is_duplicate, None)
        }
        HookRequest::End(end) => {
            let answer = client.end(*end).await?;
            (answer.duplicate || answer.already_ended, answer.session)
        }
    };
    Ok(Delivered {
        novelty: if is_duplicate {
            Novelty::Duplicate
        } else {
            Novelty::New
        },
        session,
    })
}

/// What a failed call means for its event. Without a reason nobody knows who refused it: a proxy,
/// or another server that took the port.
pub(crate) fn fate(error: &Error) -> Fate {
    let is_reasoned = !error.refusal().reason_text().is_empty();
    match error {
        Error::Setting(_) => Fate::GiveUp,
        _unexplained if !is_reasoned => Fate::Keep,
        Error::Unavailable(_)
        | Error::Deadline(_)
        | Error::Cancelled(_)
        | Error::ResourceExhausted { .. }
        | Error::Unauthenticated(_)
        | Error::PermissionDenied(_) => Fate::Keep,
        // The namespace can be configured; nothing else that is missing comes back.
        Error::NotFound(_) if error.reason() == Some(Reason::NamespaceNotFound) => Fate::Keep,
        Error::NotFound(_)
        | Error::AlreadyExists(_)
        | Error::FailedPrecondition(_)
        | Error::Conflict(_)
        | Error::Invalid { .. }
        | Error::LeaseLost(_)
        | Error::Compacted { .. }
        | Error::LogChanged(_)
        | Error::NotBuilt(_)
        | Error::Internal(_)
        | Error::Protocol(_) => Fate::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_given_up_only_when_it_can_never_be_taken() {
        let check = |code, reason: &str, expected| {
            let error = Error::from(&pb::RefusalStatus {
                code,
                reason: reason.to_owned(),
                ..Default::default()
            });
            assert_eq!(fate(&error), expected, "{error:?}");
        };
        check(14, "", Fate::Keep);
        check(14, "SERVER_DRAINING", Fate::Keep);
        check(14, "STORE_UNAVAILABLE", Fate::Keep);
        check(4, "", Fate::Keep);
        check(8, "QUEUE_FULL", Fate::Keep);
        check(8, "TOO_MANY_SESSIONS", Fate::Keep);
        check(8, "STORE_FULL", Fate::Keep);
        check(16, "UNAUTHENTICATED", Fate::Keep);
        check(7, "PERMISSION_DENIED", Fate::Keep);
        check(5, "NAMESPACE_NOT_FOUND", Fate::Keep);
        check(5, "SESSION_NOT_FOUND", Fate::GiveUp);
        check(3, "FIELD_INVALID", Fate::GiveUp);
        check(3, "MESSAGE_TOO_LARGE", Fate::GiveUp);
        check(3, "REQUEST_ID_REUSED", Fate::GiveUp);
        check(9, "SESSION_ENDED", Fate::GiveUp);
        check(12, "NOT_BUILT", Fate::GiveUp);
        check(9, "A_LATER_REASON", Fate::GiveUp);
        for code in [3, 5, 9, 12, 13] {
            check(code, "", Fate::Keep);
        }
    }
}
