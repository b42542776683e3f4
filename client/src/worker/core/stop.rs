//! How a worker stops, and what it does on time.
//!
//! Keeps the stop bounded: handlers get the grace, then a cancellation and a
//! moment to heed it, then they are dropped; what they settled gets a few
//! seconds to be answered, and the goodbye a few more.
//!
//! ```text
//! Serving ─shutdown─► Finishing ─grace─► Cancelling ─1 s─► Settling ─5 s─► end
//!                         └──────── no handler runs ─────────► │
//!                                                 all settled ─┴► Leaving ─2 s─► end
//! ```

use std::time::Duration;

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_request::Frame as RequestFrame;
use tokio::time::Instant;

use super::{Core, Flow, Greeting};
use crate::worker::Handler;

/// How long a cancelled handler may take to return.
const CANCEL_GRACE: Duration = Duration::from_secs(1);

/// How long the last settlements may take to be answered, a reconnect included.
const SETTLE_GRACE: Duration = Duration::from_secs(5);

/// How long the server may take to close the stream after the goodbye.
const LEAVE_GRACE: Duration = Duration::from_secs(2);

/// How far the worker is with stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It works.
    Serving,
    /// Handlers may finish.
    Finishing { until: Instant },
    /// Handlers were told to stop.
    Cancelling { until: Instant },
    /// No handler runs; settlements wait for their answers.
    Settling { until: Instant },
    /// The goodbye is said.
    Leaving { until: Instant },
}

// === impl Phase ===

impl Phase {
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Serving => None,
            Self::Finishing { until }
            | Self::Cancelling { until }
            | Self::Settling { until }
            | Self::Leaving { until } => Some(until),
        }
    }
}

/// A window through which nothing comes.
pub(super) fn closed_window() -> pb::Window {
    pb::Window {
        max_messages: Some(0),
        max_bytes: Some(0),
        max_sessions: Some(0),
    }
}

impl<H: Handler> Core<H> {
    pub(super) fn begin_stop(&mut self, now: Instant) {
        self.ledger.stop_taking();
        self.targets.clear();
        if self.greeting == Greeting::Done {
            self.urgent.push_back(RequestFrame::Window(closed_window()));
        }
        self.phase = Phase::Finishing {
            until: now + self.settings.stop_grace,
        };
    }

    /// Does what is due by now.
    pub(super) fn on_time(&mut self, now: Instant) -> Flow {
        self.cancel_results
            .extend(self.ledger.take_cancel_results(now));
        if self.greeting == Greeting::Done {
            for session in self.targets.take_due(now) {
                let r#ref = Some(session);
                self.urgent
                    .push_back(RequestFrame::Attach(pb::Attach { r#ref }));
            }
        }
        self.advance(now)
    }

    /// Takes the worker through its phases as far as it can go.
    fn advance(&mut self, now: Instant) -> Flow {
        loop {
            self.phase = match self.phase {
                Phase::Serving => return self.end_if_useless(),
                Phase::Finishing { .. } | Phase::Cancelling { .. } if !self.ledger.is_running() => {
                    Phase::Settling {
                        until: now + SETTLE_GRACE,
                    }
                }
                Phase::Finishing { until } if until <= now => {
                    self.ledger.cancel_all();
                    Phase::Cancelling {
                        until: now + CANCEL_GRACE,
                    }
                }
                Phase::Cancelling { until } if until <= now => {
                    self.tasks.abort_all();
                    self.ledger.drop_running();
                    continue;
                }
                Phase::Settling { .. } if self.ledger.is_settled() => {
                    if self.greeting == Greeting::Awaited {
                        // No stream to say goodbye on: the leases lapse.
                        return Flow::Break(Ok(()));
                    }
                    let goodbye = pb::Goodbye::default();
                    self.urgent.push_back(RequestFrame::Goodbye(goodbye));
                    Phase::Leaving {
                        until: now + LEAVE_GRACE,
                    }
                }
                Phase::Settling { until } | Phase::Leaving { until } if until <= now => {
                    return Flow::Break(Ok(()));
                }
                Phase::Finishing { .. }
                | Phase::Cancelling { .. }
                | Phase::Settling { .. }
                | Phase::Leaving { .. } => return Flow::Continue(()),
            };
        }
    }

    /// A worker that only attaches is done when nothing is left to attach to.
    fn end_if_useless(&self) -> Flow {
        let idle = !self.ledger.is_running() && self.ledger.is_settled();
        if self.settings.hello.serves.is_some() || !self.targets.all_gone() || !idle {
            return Flow::Continue(());
        }
        Flow::Break(self.targets.failure().map_or(Ok(()), Err))
    }
}
