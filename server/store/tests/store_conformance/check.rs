//! What holds of the tables after every commit: the indexes follow from the rows, and readers say what the rows say.

use std::collections::{BTreeMap, BTreeSet};

use sessiond_core::change::Change;
use sessiond_core::event::EventRow;
use sessiond_core::ids::{Epoch, Namespace, QueueId, Revision, Seq, SessionNo};
use sessiond_core::index::{
    Due, Entries, Extent, IndexEntry, Scan, entries_of_activity, entries_of_lease,
    entries_of_message, entries_of_queue, entries_of_resources, entries_of_session,
    entries_of_subscription,
};
use sessiond_core::lease::LeaseStanding;
use sessiond_core::message::MessageRow;
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::SessionRow;
use sessiond_core::time::EngineTime;
use sessiond_store::snapshot::Rows;

/// Everything in the tables, rows apart from entries.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) rows: BTreeMap<RowKey, Row>,
    pub(crate) entries: BTreeSet<IndexEntry>,
}

impl Tables {
    pub(crate) fn of(dump: Vec<Change>) -> Self {
        let mut tables = Self::default();
        for change in dump {
            match change {
                Change::Row(key, row) => {
                    tables
                        .rows
                        .insert(key, row.expect("a dump has what is there"));
                }
                Change::Index(entry, _) => {
                    tables.entries.insert(entry);
                }
            }
        }
        tables
    }

    fn each<'a, T>(&'a self, pick: impl Fn(&'a RowKey, &'a Row) -> Option<T>) -> Vec<T> {
        self.rows
            .iter()
            .filter_map(|(key, row)| pick(key, row))
            .collect()
    }

    fn sessions(&self) -> Vec<SessionRow> {
        self.each(|_, row| {
            let Row::Session(row) = row else { return None };
            Some((**row).clone())
        })
    }

    fn events(&self) -> Vec<EventRow> {
        self.each(|_, row| {
            let Row::Event(row) = row else { return None };
            Some((**row).clone())
        })
    }

    fn queues(&self) -> Vec<QueueId> {
        self.each(|_, row| {
            let Row::Queue(row) = row else { return None };
            Some(row.id)
        })
    }

    fn messages(&self, queue: QueueId) -> Vec<MessageRow> {
        self.each(|key, row| match (key, row) {
            (RowKey::Message(of, _), Row::Message(row)) if *of == queue => Some((**row).clone()),
            _ => None,
        })
    }

    fn dead_letters(&self, queue: QueueId) -> Vec<MessageRow> {
        self.each(|key, row| match (key, row) {
            (RowKey::DeadLetter(of, _), Row::Message(row)) if *of == queue => Some((**row).clone()),
            _ => None,
        })
    }

    fn current_leases(&self) -> Vec<Epoch> {
        self.each(|_, row| {
            let Row::Lease(row) = row else { return None };
            (row.standing == LeaseStanding::Current).then_some(row.epoch)
        })
    }

    fn due(&self) -> Vec<(EngineTime, Due)> {
        let entries = self.entries.iter().filter_map(|entry| {
            let IndexEntry::Due(at, due) = entry else {
                return None;
            };
            Some((*at, *due))
        });
        entries.collect()
    }

    fn dead_queues(&self, namespace: &Namespace) -> Vec<QueueId> {
        let entries = self.entries.iter().filter_map(|entry| {
            let IndexEntry::DeadLetters(of, queue) = entry else {
                return None;
            };
            (of == namespace).then_some(*queue)
        });
        entries.collect()
    }

    fn unserved(&self, namespace: &Namespace) -> Vec<(EngineTime, QueueId)> {
        let entries = self.entries.iter().filter_map(|entry| {
            let IndexEntry::Unserved(of, since, queue) = entry else {
                return None;
            };
            (of == namespace).then_some((*since, *queue))
        });
        entries.collect()
    }
}

/// What the core says a row's entries are.
fn entries_of(key: &RowKey, row: &Row) -> Vec<IndexEntry> {
    let entries = match (key, row) {
        (_, Row::Message(row)) => entries_of_message(row),
        (_, Row::Queue(row)) => entries_of_queue(row),
        (_, Row::Activity(row)) => entries_of_activity(row),
        (_, Row::Lease(row)) => entries_of_lease(row),
        (_, Row::Session(row)) => entries_of_session(row),
        (_, Row::Resources(row)) => entries_of_resources(row),
        (_, Row::Subscription(row)) => entries_of_subscription(row),
        (RowKey::Request(namespace, id), Row::Request(row)) => {
            let age = IndexEntry::RequestAge(row.at, namespace.clone(), id.clone());
            [Some(age), None, None, None]
        }
        _ => Entries::default(),
    };
    entries.into_iter().flatten().collect()
}

/// The indexes are what the rows make them; those that have no table of their own are asked for.
pub(crate) fn indexes(tables: &Tables, rows: &Rows) {
    let (keys, stored): (BTreeSet<_>, BTreeSet<_>) = tables
        .rows
        .iter()
        .flat_map(|(key, row)| entries_of(key, row))
        .partition(|entry| matches!(entry, IndexEntry::Pending(..) | IndexEntry::GivenUp(..)));
    assert_eq!(tables.entries, stored);
    let scans = |queue| [Scan::Pending(queue), Scan::GivenUp(queue)];
    for scan in tables.queues().into_iter().flat_map(scans) {
        let (found, extent) = rows.scan(&scan, usize::MAX).expect("scan");
        let expected: Vec<IndexEntry> = keys
            .iter()
            .filter(|entry| scan.contains(entry))
            .cloned()
            .collect();
        assert_eq!((found, extent), (expected, Extent::All));
    }
}

/// The page of `all` behind `after`.
fn page<T: Clone, P: PartialOrd>(
    all: &[T],
    place: impl Fn(&T) -> P,
    after: &P,
    limit: usize,
) -> Vec<T> {
    let behind = all.iter().filter(|item| place(item) > *after);
    behind.take(limit).cloned().collect()
}

/// Each list is the rows it is of, from every place and in pages of every length.
pub(crate) fn lists(tables: &Tables, rows: &Rows) {
    let sessions = tables.sessions();
    let events = tables.events();
    let leases = tables.current_leases();
    let (oldest, newest) = rows.log_bounds().expect("bounds");
    let first = events.first().map_or(newest.next(), |event| event.revision);
    assert_eq!(oldest, first);
    let compacted = rows.counters().expect("counters").compacted;
    let last = events.last().map_or(compacted, |event| event.revision);
    assert_eq!(newest, last, "nothing else takes a revision");
    for limit in [0, 1, 3, usize::MAX] {
        for after in 0..=sessions.len() as u64 {
            let no = SessionNo(after);
            let found = rows.sessions_after(no, limit).expect("sessions");
            assert_eq!(found, page(&sessions, |row| row.no, &no, limit));
            let found = rows.sessions_before(no, limit).expect("sessions");
            let before = sessions.iter().rev().filter(|row| row.no < no);
            assert_eq!(found, before.take(limit).cloned().collect::<Vec<_>>());
        }
        for after in [0, 1, events.len() as u64 / 2, events.len() as u64] {
            let revision = Revision(after);
            let found = rows.events_after(revision, limit).expect("events");
            assert_eq!(found, page(&events, |row| row.revision, &revision, limit));
            let found = rows
                .current_leases_after(Epoch(after), limit)
                .expect("leases");
            assert_eq!(found, page(&leases, |epoch| *epoch, &Epoch(after), limit));
        }
        for queue in tables.queues() {
            queue_lists(tables, rows, queue, limit);
        }
        due(tables, rows, limit);
        unserved(tables, rows, limit);
        dead_queues(tables, rows, limit);
    }
}

fn queue_lists(tables: &Tables, rows: &Rows, queue: QueueId, limit: usize) {
    let (messages, dead) = (tables.messages(queue), tables.dead_letters(queue));
    for after in 0..4 {
        let seq = Seq(after);
        let expected = page(&messages, |row| row.seq, &seq, limit);
        let found = rows.messages_after(queue, seq, limit).expect("messages");
        assert_eq!(found, expected);
        let found = rows.pending_after(queue, seq, limit).expect("pending");
        assert_eq!(
            found,
            expected.iter().map(|row| row.seq).collect::<Vec<_>>()
        );
        let found = rows
            .dead_letters_after(queue, seq, limit)
            .expect("dead letters");
        assert_eq!(found, page(&dead, |row| row.seq, &seq, limit));
    }
    for message in messages.iter().chain(&dead) {
        let payload = rows.payload(queue, message.seq).expect("payload");
        assert!(payload.is_some(), "every message has its payload");
    }
}

fn due(tables: &Tables, rows: &Rows, limit: usize) {
    let all = tables.due();
    let next = rows.next_due().expect("next due");
    assert_eq!(next, all.first().map(|(at, _)| *at));
    let times = all.iter().map(|(at, _)| at.0);
    for until in times
        .flat_map(|at| [at.saturating_sub(1), at])
        .chain([0, u64::MAX])
    {
        let until = EngineTime(until);
        let expected = all.iter().filter(|(at, _)| *at <= until).take(limit);
        let found = rows.due(until, limit).expect("due");
        assert_eq!(found, expected.map(|(_, due)| *due).collect::<Vec<_>>());
    }
}

fn unserved(tables: &Tables, rows: &Rows, limit: usize) {
    for namespace in ["n", "nn", "none"] {
        let namespace = Namespace::parse(namespace).expect("an id");
        let all = tables.unserved(&namespace);
        let found = rows
            .unserved_after(&namespace, None, limit)
            .expect("unserved");
        assert_eq!(found, all.iter().take(limit).copied().collect::<Vec<_>>());
        for after in &all {
            let found = rows
                .unserved_after(&namespace, Some(*after), limit)
                .expect("unserved");
            assert_eq!(found, page(&all, |place| *place, after, limit));
        }
    }
}

fn dead_queues(tables: &Tables, rows: &Rows, limit: usize) {
    for namespace in ["n", "nn", "none"] {
        let namespace = Namespace::parse(namespace).expect("an id");
        let all = tables.dead_queues(&namespace);
        for first in (0..=4).map(QueueId) {
            let found = rows.dead_queues_from(&namespace, first, limit);
            let expected = all.iter().filter(|queue| **queue >= first).take(limit);
            let expected: Vec<QueueId> = expected.copied().collect();
            assert_eq!(found.expect("dead queues"), expected);
        }
    }
}
