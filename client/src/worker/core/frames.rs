//! What each frame of the server means to the worker.
//!
//! Keeps every frame cheap: it is entered in the ledger, and the loop does the
//! rest. A frame that breaks the contract ends the stream, not the worker: the
//! next stream resumes.

use std::time::Duration;

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_response::Frame;
use tokio::time::Instant;

use super::{Core, Flow, Greeting, HEARTBEAT_INTERVAL_MIN};
use crate::error::Error;
use crate::link::LinkState;
use crate::retry::Stability;
use crate::worker::{Handler, WorkerEvent};

impl<H: Handler> Core<H> {
    pub(super) fn on_frame(&mut self, frame: Frame) -> Flow {
        let done = match frame {
            Frame::Welcome(welcome) => self.on_welcome(&welcome),
            Frame::Attached(attached) => self.on_attached(attached),
            Frame::AttachFailed(failed) => {
                self.on_attach_failed(failed);
                Ok(())
            }
            Frame::Delivery(batch) => {
                let mut deliveries = batch.deliveries.into_iter();
                deliveries.try_for_each(|delivery| self.ledger.deliver(delivery))
            }
            Frame::Settled(settled) => self.on_settled(settled),
            Frame::Cancel(cancel) => {
                let result = self.ledger.cancel(&cancel, Instant::now());
                self.cancel_results.extend(result);
                Ok(())
            }
            Frame::SessionEnding(ending) => {
                self.handler.observe(&WorkerEvent::SessionEnding(ending));
                Ok(())
            }
            Frame::LeaseLost(lost) => {
                self.ledger.lease_lost(&lost);
                self.targets.lost(&lost, Instant::now());
                self.handler.observe(&WorkerEvent::LeaseLost(lost));
                Ok(())
            }
            Frame::Quiesce(_) => {
                self.handler.observe(&WorkerEvent::Quiesced);
                Ok(())
            }
            Frame::Heartbeat(_) => Ok(()),
            Frame::GoAway(go_away) => return self.on_go_away(&go_away),
        };
        if let Err(error) = done {
            let retry_in = self.backoff.next(None);
            self.reconnect(error, retry_in);
        }
        Flow::Continue(())
    }

    fn on_welcome(&mut self, welcome: &pb::Welcome) -> Result<(), Error> {
        if self.greeting == Greeting::Done {
            return Err(Error::protocol("a second `welcome`"));
        }
        let interval = welcome.heartbeat_interval;
        if let Some(interval) = interval.and_then(|span| Duration::try_from(span).ok()) {
            self.heartbeat_interval = interval.max(HEARTBEAT_INTERVAL_MIN);
        }
        let now = Instant::now();
        self.greeting = Greeting::Done;
        self.last_written = now;
        self.connected = Some(now);
        self.attempt = 0;
        self.stream.expect_every(self.heartbeat_interval);
        self.targets
            .connected(|session_id| self.ledger.holds(session_id), now);
        self.link.tell(LinkState::Connected);
        self.handler.observe(&WorkerEvent::Connected);
        Ok(())
    }

    fn on_attached(&mut self, mut attached: pb::Attached) -> Result<(), Error> {
        let voided_keys = std::mem::take(&mut attached.voided_keys);
        let session = self.ledger.attached(attached)?;
        self.targets.attached(&session);
        let event = WorkerEvent::Attached {
            session,
            voided_keys,
        };
        self.handler.observe(&event);
        Ok(())
    }

    fn on_attach_failed(&mut self, failed: pb::AttachFailed) {
        let session = failed.r#ref.unwrap_or_default();
        let error = match &failed.status {
            Some(status) => Error::from(status),
            None => Error::protocol("`attach_failed` without a status"),
        };
        let retry_in = self.targets.failed(&session, &error, Instant::now());
        let event = WorkerEvent::AttachFailed {
            session,
            error,
            retry_in,
        };
        self.handler.observe(&event);
    }

    fn on_settled(&mut self, settled: pb::Settled) -> Result<(), Error> {
        for result in self.ledger.settled(settled)? {
            tracing::debug!(?result, "a settlement did not count");
            self.handler.observe(&WorkerEvent::NotSettled(result));
        }
        Ok(())
    }

    fn on_go_away(&mut self, go_away: &pb::GoAway) -> Flow {
        let retry_in = match go_away.reason() {
            pb::GoAwayReason::TakenOver => {
                let error = Error::lease_lost("another stream of this instance took over");
                return Flow::Break(Err(error));
            }
            // It still takes settlements until it closes the stream itself.
            pb::GoAwayReason::ServerDraining => return Flow::Continue(()),
            // The server is fine: nothing to wait for, unless it does so again
            // and again.
            pb::GoAwayReason::MaxAge => match self.backoff.broke(self.connected) {
                Stability::Good => Duration::ZERO,
                Stability::Doubtful => self.backoff.next(None),
            },
            pb::GoAwayReason::Unspecified | pb::GoAwayReason::Unresponsive => {
                self.backoff.next(None)
            }
        };
        let error = Error::broken_link(format!(
            "the server asked to reconnect: {:?}",
            go_away.reason()
        ));
        self.reconnect(error, retry_in);
        Flow::Continue(())
    }
}
