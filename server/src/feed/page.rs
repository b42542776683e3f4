//! Pages: the events that one frame is made of, and the ring they are taken from.
//!
//! Invariants: a page holds whole decisions, without a gap. It ends at a place of the log and not at a
//! distance from where it began: at the first decision that ends at a multiple of [`FEED_PAGE_EVENTS`]
//! or behind it, or at the newest event. So watchers that fell behind from different places soon stand
//! at the same one, where they share frames. What this deliberately does not do: filter.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sessiond_core::event::EventRow;
use sessiond_core::ids::Revision;

use crate::limits::{FEED_PAGE_EVENTS, FEED_RING_EVENTS};
use crate::wire::show;

/// One event, and how it is sent.
#[derive(Debug)]
pub(super) struct Event {
    row: Arc<EventRow>,
    /// Filled by the first watcher that sends it.
    encoded: OnceLock<Bytes>,
}

/// Events that were committed together, at least one, shared by all who look at them.
type Run = Arc<[Event]>;

/// Consecutive events.
#[derive(Debug)]
pub(super) struct Page {
    /// The first and the last may reach further than the page.
    runs: Vec<Run>,
    after: Revision,
    through: Revision,
}

/// The most recent events, in order and without a gap.
#[derive(Debug, Default)]
pub(super) struct Ring {
    runs: VecDeque<Run>,
    events: usize,
}

/// Where a page that begins behind `after` ends, unless a decision reaches further or the log does not.
pub(super) fn page_end(after: Revision) -> Revision {
    let page = FEED_PAGE_EVENTS as u64;
    Revision((after.0 / page + 1) * page)
}

// === impl Event ===

impl Event {
    fn new(row: Arc<EventRow>) -> Self {
        Self {
            row,
            encoded: OnceLock::new(),
        }
    }

    pub(super) fn row(&self) -> &EventRow {
        &self.row
    }

    /// The event as it lies in a batch of the log `log_id`.
    pub(super) fn encoded(&self, log_id: &str) -> &Bytes {
        self.encoded
            .get_or_init(|| show::encoded::event(&self.row, log_id))
    }
}

// === impl Page ===

impl Page {
    /// Events that were read from the log behind `after`.
    pub(super) fn of_log(events: Vec<EventRow>, after: Revision) -> Self {
        let through = events.last().map_or(after, |last| last.revision);
        let events = events.into_iter().map(|row| Event::new(Arc::new(row)));
        Self {
            runs: vec![events.collect()],
            after,
            through,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.through == self.after
    }

    pub(super) fn after(&self) -> Revision {
        self.after
    }

    pub(super) fn through(&self) -> Revision {
        self.through
    }

    pub(super) fn events(&self) -> impl Iterator<Item = &Event> {
        let within = self.after.next()..=self.through;
        let events = self.runs.iter().flat_map(|run| run.iter());
        events.filter(move |event| within.contains(&event.row.revision))
    }
}

// === impl Ring ===

impl Ring {
    /// Adds what was committed together; answers with what there is no more room for.
    pub(super) fn push(&mut self, events: Vec<Arc<EventRow>>) -> Vec<Run> {
        let mut forgotten = Vec::new();
        if events.is_empty() {
            return forgotten;
        }
        self.events += events.len();
        self.runs
            .push_back(events.into_iter().map(Event::new).collect());
        // The newest stay, however many were committed together.
        while self.events > FEED_RING_EVENTS && self.runs.len() > 1 {
            let oldest = self.runs.pop_front();
            self.events -= oldest.as_ref().map_or(0, |run| run.len());
            forgotten.extend(oldest);
        }
        forgotten
    }

    /// The page behind `after`; none if the ring begins later.
    pub(super) fn page(&self, after: Revision) -> Option<Page> {
        let first = self.runs.front()?.first()?.row.revision;
        if after.next() < first {
            return None;
        }
        let mut page = Page {
            runs: Vec::new(),
            after,
            through: after,
        };
        let end = page_end(after);
        let begin = self.runs.partition_point(|run| last_of(run) <= after);
        for run in self.runs.range(begin..) {
            page.runs.push(Arc::clone(run));
            page.through = reached_in(run, end);
            if page.through >= end {
                break;
            }
        }
        Some(page)
    }
}

/// The newest revision of a run.
fn last_of(run: &Run) -> Revision {
    run.last().map_or(Revision(0), |event| event.row.revision)
}

/// How far a page reaches into a run that begins at `end` or before: to `end` and to the end of the
/// decision there, or as far as the run does.
fn reached_in(run: &Run, end: Revision) -> Revision {
    let first = run.first().map_or(end, |event| event.row.revision);
    // Gapless, so an event is found by its distance from the first.
    let at_end = usize::try_from(end.0 - first.0)
        .ok()
        .and_then(|distance| run.get(distance));
    match at_end {
        Some(event) => Revision(end.0 + u64::from(event.row.siblings_after)),
        None => last_of(run),
    }
}
