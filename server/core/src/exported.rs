//! Exported: what an ended session was as an export of it found it, by which it is known whether the export still has all
//! there is.
//!
//! Invariant: while this is as it was, nothing has changed that an export shows, but for how long dead letters are kept. An
//! event about a session is in its row; what becomes of a message is in the depth of its queue. A depth of before does not
//! come back: what an ended session left goes from out to waiting, from there to ready or given up, and away, and nothing
//! is added to it. What this deliberately does not do: say that a file is on disk; whoever hands it over does.

use std::sync::Arc;

use crate::ids::{QueueId, Seq};
use crate::queue::{Depth, Disposition, QueueRow};
use crate::session::{ActivityRow, SessionRow};

/// A session that was exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    session: Arc<SessionRow>,
    activity: ActivityRow,
    /// What is in its queue, unless a successor took it over.
    left: Option<Left>,
}

/// What a session left in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Left {
    queue: QueueId,
    disposition: Disposition,
    next_seq: Seq,
    depth: Depth,
}

impl Exported {
    /// The session of these rows, all of them of one instant, before anything else of it was read.
    #[must_use]
    pub fn new(session: Arc<SessionRow>, activity: &ActivityRow, queue: Option<&QueueRow>) -> Self {
        let own = queue.filter(|queue| queue.owner == session.no);
        Self {
            activity: untimed(activity),
            left: own.map(left),
            session,
        }
    }

    /// Whether it is this session and nothing of it has changed.
    pub(crate) fn is_of(
        &self,
        session: &SessionRow,
        activity: &ActivityRow,
        own: Option<&QueueRow>,
    ) -> bool {
        let same = *self.session == *session && self.activity == untimed(activity);
        same && self.left == own.map(left)
    }
}

/// When it is looked at next is nobody's business but the timer's.
fn untimed(activity: &ActivityRow) -> ActivityRow {
    ActivityRow {
        check_at: None,
        ..activity.clone()
    }
}

fn left(queue: &QueueRow) -> Left {
    let mut disposition = queue.disposition;
    if let Disposition::Dead { until, .. } = &mut disposition {
        *until = None;
    }
    Left {
        queue: queue.id,
        disposition,
        next_seq: queue.next_seq,
        depth: queue.depth,
    }
}
