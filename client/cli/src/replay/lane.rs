//! The events of one session, one after the other.
//!
//! Invariant: an event goes out when the one before it is answered. A conversation that an earlier
//! replay has already brought to its end is passed over as a whole, since a message for it would
//! open it anew. What this deliberately does not do: read the file.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sessiond_client::hook::HookRequest;
use sessiond_client::{Error, pb};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::Shared;
use super::summary::Kind;
use crate::deliver::{self, Delivered, Fate, Novelty};
use crate::failure::Failure;

/// How long to wait for room when the server does not say.
const ROOM_WAIT: Duration = Duration::from_millis(500);

/// One event of a session.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) number: u64,
    pub(super) request: HookRequest,
    /// What opens the session when it is not open.
    pub(super) open: pb::OpenSessionRequest,
    /// What names the line.
    pub(super) key: String,
    pub(super) _ahead: OwnedSemaphorePermit,
}

/// Where a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nothing is known of it yet.
    Unknown,
    /// It goes on.
    Open,
    /// It was brought to its end by an earlier replay.
    Over,
}

#[derive(Debug)]
pub(super) struct Lane {
    shared: Arc<Shared>,
    place: Place,
}

impl Lane {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            place: Place::Unknown,
        }
    }

    /// Sends the steps until there are no more, or until going on makes no sense.
    pub(super) async fn run(
        mut self,
        mut steps: mpsc::UnboundedReceiver<Step>,
    ) -> Result<(), Failure> {
        while let Some(step) = steps.recv().await {
            if self.shared.stop.is_cancelled() {
                return Ok(());
            }
            let number = step.number;
            match self.step(step).await {
                Ok(()) => {}
                Err(error) if deliver::fate(&error) == Fate::GiveUp => {
                    self.shared.tally.failed(number, &error);
                }
                Err(error) => {
                    self.shared.stop.cancel();
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    async fn step(&mut self, step: Step) -> Result<(), Error> {
        let kind = Kind::of(&step.request);
        if self.place == Place::Unknown && kind.is_no_open() {
            // Only an open tells whether an earlier replay was here.
            let open = pb::OpenSessionRequest {
                request_id: format!("{}:open", step.key),
                ..step.open
            };
            self.open(open).await?;
        }
        let novelty = match step.request {
            HookRequest::Open(open) => self.open(*open).await?,
            HookRequest::Enqueue(_) | HookRequest::End(_) if self.place == Place::Over => {
                Novelty::Duplicate
            }
            request @ (HookRequest::Enqueue(_) | HookRequest::End(_)) => {
                self.send(request).await?.novelty
            }
        };
        if kind == Kind::End {
            self.place = Place::Unknown;
        }
        self.shared.tally.answered(kind, novelty);
        Ok(())
    }

    async fn open(&mut self, open: pb::OpenSessionRequest) -> Result<Novelty, Error> {
        let answer = self.send(HookRequest::Open(Box::new(open))).await?;
        self.place = place_after(&answer);
        Ok(answer.novelty)
    }

    /// Makes one call. The SDK waits for a server that is away; for room this waits itself.
    async fn send(&self, request: HookRequest) -> Result<Delivered, Error> {
        let _call = self.shared.calls.acquire().await;
        let until = Instant::now() + self.shared.retry_for;
        loop {
            let error = match deliver::deliver(&self.shared.client, request.clone()).await {
                Ok(delivered) => return Ok(delivered),
                Err(error) => error,
            };
            let Error::ResourceExhausted { retry_after, .. } = &error else {
                return Err(error);
            };
            let wait = retry_after.unwrap_or(ROOM_WAIT);
            if Instant::now() + wait >= until {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
        }
    }
}

/// An open that was made before, of a conversation that is over by its own doing. One that a limit
/// or a shutdown ended goes on: its queue is held, and knows what it has.
fn place_after(answer: &Delivered) -> Place {
    use pb::EndReasonClass as Class;
    let end = answer.session.as_ref().and_then(|one| one.end.as_ref());
    let is_over = end.is_some_and(|end| match end.reason_class() {
        Class::Over | Class::Rotated => true,
        Class::Interrupted | Class::Reaped | Class::Lost | Class::Unspecified => false,
    });
    if answer.novelty == Novelty::Duplicate && is_over {
        Place::Over
    } else {
        Place::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_end_of_its_own_is_passed_over() {
        use pb::EndReasonClass as Class;
        let place = |novelty, class: Option<Class>| {
            place_after(&Delivered {
                novelty,
                session: Some(pb::Session {
                    end: class.map(|class| pb::SessionEnd {
                        reason_class: class.into(),
                        ..Default::default()
                    }),
                    ..Default::default()
                }),
            })
        };
        assert_eq!(place(Novelty::Duplicate, Some(Class::Over)), Place::Over);
        assert_eq!(place(Novelty::Duplicate, Some(Class::Rotated)), Place::Over);
        assert_eq!(place(Novelty::Duplicate, Some(Class::Reaped)), Place::Open);
        assert_eq!(
            place(Novelty::Duplicate, Some(Class::Interrupted)),
            Place::Open
        );
        assert_eq!(place(Novelty::Duplicate, None), Place::Open);
        assert_eq!(place(Novelty::New, Some(Class::Over)), Place::Open);
        assert_eq!(place(Novelty::New, None), Place::Open);
    }
}
