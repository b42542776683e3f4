//! Bytes: what is encoded decodes to itself, lies where promised and sorts as the core sorts.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use bytes::Bytes;
use fastrand::Rng;
use sessiond_core::change::{Change, Membership};
use sessiond_core::ids::{
    DeliveryId, Epoch, Namespace, QueueId, RequestId, Revision, Seq, SessionKey, SessionNo,
};
use sessiond_core::index::{Due, IndexEntry, Scan};
use sessiond_core::message::Rank;
use sessiond_core::queue::{Depth, Oldest, QueueRow};
use sessiond_core::rows::{PoolRow, Row, RowKey};
use sessiond_core::time::{EngineTime, WallTime};
use sessiond_store::kv::{Op, Table};
use sessiond_store::row;

use crate::draw::{self, KEY_KINDS};
use crate::draw_entry::{self, ENTRY_KINDS};
use crate::draw_session;

pub(crate) const SEEDS: u64 = 3_000;
/// Bytes of a busy queue's row: it is rewritten with nearly every commit.
const QUEUE_ROW_BYTES_MAX: usize = 128;

pub(crate) fn put(key: RowKey, row: Row) -> Change {
    Change::Row(key, Some(row))
}

pub(crate) fn add(entry: IndexEntry) -> Change {
    Change::Index(entry, Membership::In)
}

pub(crate) fn encode(change: &Change) -> Op {
    row::encode(change).expect("a change of its own table")
}

pub(crate) fn drawn_row(rng: &mut Rng, kind: usize) -> Change {
    let key = draw::key(rng, kind);
    let row = draw::row(rng, &key);
    put(key, row)
}

// === There and back ===

#[test]
fn every_row_survives_its_encoding() {
    let mut variants = BTreeSet::new();
    for seed in 0..SEEDS {
        let mut rng = Rng::with_seed(seed);
        for kind in 0..KEY_KINDS {
            let change = drawn_row(&mut rng, kind);
            variants.extend(words(&format!("{change:?}")));
            let op = encode(&change);
            let value = op.value.expect("a row has a value");
            let back = row::decode(op.table, &op.key, value).expect("decode");
            assert_eq!(back, change, "seed {seed}");
        }
    }
    // The draws must have been through everything there is, or the test says less than its name.
    let missing: Vec<&str> = VARIANTS
        .split_whitespace()
        .filter(|variant| !variants.contains(*variant))
        .collect();
    assert_eq!(missing, [""; 0]);
}

/// Every variant of every enum a row may hold.
pub(crate) const VARIANTS: &str = "Queued Active Draining Ended Serving Quiet Held Dead Discarded Ready Waiting \
    InFlight Purged Keeps Waives Returned New MaxAttempts Permanent Claim Stream Current Superseded \
    Strict Serial Relaxed Immediate Graceful AfterPending Keep Discard After Never Completed \
    Failed Deleted Admin Reset Replaced Compacted Scheduled Shutdown Restart Idle Expired Evicted \
    Capacity OwnerLost WorkerStuck RestartLimit Crashed SessionOpened SessionUpdated \
    SessionDraining SessionEnd SessionPurged WorkerAttached WorkerDetached WorkerLost MessageDeadLettered \
    SessionQueued SessionAdmitted RestartLimited LimitWarning Api \
    Worker Reaper Recovery Drain CircuitOpened CircuitClosed Closed Open Probing \
    FollowUp Steer Interrupt Collect Debounced Agent SessionReleased ResourceReleased ResourceLingering \
    Passes Frees Session Lease Marked Process Tmux Releasing Released Denied TimedOut NodeAway Killed AlreadyGone \
    Mismatch Forced End SessionDrainTimeout ResourcesUnreleased SessionEndDrain SubscriptionStale Subscription Stale ServerDraining ServerDrainCancelled MessagesRequeued MessagesDiscarded Server Some None";

/// The words of a change as it is printed; variants are among them.
pub(crate) fn words(printed: &str) -> BTreeSet<String> {
    printed
        .split(|c: char| !c.is_alphanumeric())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_entry_survives_its_encoding() {
    for seed in 0..SEEDS {
        let mut rng = Rng::with_seed(seed);
        for kind in 0..ENTRY_KINDS {
            let entry = draw_entry::entry(&mut rng, kind);
            let Some(op) = row::encode(&add(entry.clone())) else {
                let is_key = matches!(entry, IndexEntry::Pending(..) | IndexEntry::GivenUp(..));
                assert!(is_key, "seed {seed}");
                continue;
            };
            assert_eq!(op.value.as_deref(), Some(&[][..]), "an entry is its key");
            let back = row::decode(op.table, &op.key, Bytes::new()).expect("decode");
            assert_eq!(back, add(entry.clone()), "seed {seed}");
            let gone = encode(&Change::Index(entry, Membership::Out));
            assert_eq!((gone.table, gone.key, gone.value), (op.table, op.key, None));
        }
    }
}

#[test]
fn a_row_that_goes_is_removed_under_the_key_it_was_put() {
    let mut rng = Rng::with_seed(1);
    for kind in 0..KEY_KINDS {
        let key = draw::key(&mut rng, kind);
        let row = draw::row(&mut rng, &key);
        let there = encode(&put(key.clone(), row));
        let gone = encode(&Change::Row(key, None));
        assert_eq!(
            (gone.table, gone.key, gone.value),
            (there.table, there.key, None)
        );
    }
}

#[test]
fn no_two_keys_meet() {
    for seed in 0..SEEDS {
        let mut rng = Rng::with_seed(seed);
        for kind in 0..KEY_KINDS {
            let (a, b) = (draw::key(&mut rng, kind), draw::key(&mut rng, kind));
            let same = row::key_of_row(&a) == row::key_of_row(&b);
            assert_eq!(same, a == b, "seed {seed}: {a:?} and {b:?}");
        }
    }
}

#[test]
#[should_panic(expected = "a row is put under its own key")]
fn a_row_of_another_kind_is_not_written() {
    let _ = row::encode(&put(
        RowKey::Session(SessionNo(1)),
        Row::Pool(PoolRow::default()),
    ));
}

#[test]
fn the_row_of_a_busy_queue_is_small() {
    let row = QueueRow {
        lease: Some(Epoch(1 << 33)),
        next_seq: Seq(10_000_000),
        next_delivery: DeliveryId(12_000_000),
        depth: Depth {
            ready: 90_000,
            waiting: 9_000,
            in_flight: 512,
            dead: 1_000,
            bytes: 1 << 30,
        },
        oldest: Some(Oldest {
            seq: Seq(9_900_000),
            at: EngineTime(40_000_000_000),
            time: WallTime(1_800_000_000_000),
        }),
        ..QueueRow::new(
            QueueId(5_000_000),
            Namespace::parse("a-team-of-average-name").expect("an id"),
            SessionNo(5_000_000),
        )
    };
    let value = encode(&put(RowKey::Queue(row.id), Row::Queue(row.into()))).value;
    let bytes = value.expect("a row has a value").len();
    assert!(bytes <= QUEUE_ROW_BYTES_MAX, "{bytes} bytes");
}

// === Layouts, which are promises ===

#[test]
fn keys_are_laid_out_as_promised() {
    let ns = |text: &str| Namespace::parse(text).expect("an id");
    let row_key = |key: RowKey| {
        let (table, key) = row::key_of_row(&key);
        (table, key.into_vec())
    };
    assert_eq!(row_key(RowKey::Counters), (Table::Counters, vec![0]));
    assert_eq!(
        row_key(RowKey::Session(SessionNo(258))),
        (Table::Sessions, vec![0, 0, 0, 0, 0, 0, 1, 2])
    );
    assert_eq!(
        row_key(RowKey::Message(QueueId(1), Seq(2))),
        (
            Table::Messages,
            [[0, 0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 2]].concat()
        )
    );
    assert_eq!(
        row_key(RowKey::Key(
            ns("ab"),
            SessionKey::parse("c").expect("an id")
        )),
        (Table::Keys, vec![0, 2, b'a', b'b', b'c'])
    );
    assert_eq!(
        row_key(RowKey::KeyBlock(QueueId(1), 2)),
        (
            Table::KeyBlocks,
            [[0, 0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 2]].concat()
        )
    );
    let entry_key = |entry: IndexEntry| {
        let (table, key) = row::key_of_entry(&entry);
        (table, key.into_vec())
    };
    assert_eq!(
        entry_key(IndexEntry::Ready(QueueId(1), Rank::New, Seq(3))),
        (
            Table::Ready,
            vec![0, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0, 0, 0, 0, 3]
        )
    );
    assert_eq!(
        entry_key(IndexEntry::Due(EngineTime(1), Due::Lease(Epoch(4)))),
        (
            Table::Due,
            vec![0, 0, 0, 0, 0, 0, 0, 1, 3, 0, 0, 0, 0, 0, 0, 0, 4]
        )
    );
    assert_eq!(
        entry_key(IndexEntry::RequestAge(
            EngineTime(1),
            ns("ab"),
            RequestId::parse("r").expect("an id")
        )),
        (
            Table::RequestAges,
            vec![0, 0, 0, 0, 0, 0, 0, 1, b'a', b'b', 0, b'r']
        )
    );
}

// === Order ===

/// The scans that an entry is found by.
fn scans_of(entry: &IndexEntry) -> Vec<Scan> {
    match entry {
        IndexEntry::Ready(queue, ..) => vec![Scan::Ready(*queue), Scan::New(*queue)],
        IndexEntry::InFlight(queue, epoch, _) => {
            vec![
                Scan::InFlight(*queue, *epoch),
                Scan::InFlightOfQueue(*queue),
            ]
        }
        IndexEntry::Returned(queue, ..) => vec![Scan::Returned(*queue)],
        IndexEntry::Pending(queue, _) => vec![Scan::Pending(*queue)],
        IndexEntry::Debounced(queue, _) => vec![Scan::Debounced(*queue)],
        IndexEntry::Coalesced(queue, key, _) => vec![Scan::Coalesced(*queue, *key)],
        IndexEntry::GivenUp(queue, _) => vec![Scan::GivenUp(*queue)],
        IndexEntry::Unserved(namespace, ..) => vec![Scan::Unserved(namespace.clone())],
        IndexEntry::RequestAge(..) => vec![Scan::RequestAges],
        IndexEntry::DeadLetters(..) | IndexEntry::Due(..) => vec![],
        IndexEntry::Live(namespace, pool, _) => {
            vec![Scan::Live(namespace.clone(), pool.clone())]
        }
        IndexEntry::Idle(namespace, pool, ..) => {
            vec![Scan::Idle(namespace.clone(), pool.clone())]
        }
        IndexEntry::Waiting(namespace, pool, ..) => {
            vec![Scan::Waiting(namespace.clone(), pool.clone())]
        }
        IndexEntry::Behind(predecessor, _) => vec![Scan::Behind(*predecessor)],
        IndexEntry::Unreleased(..) | IndexEntry::Releasing(_) => vec![],
        IndexEntry::Holding(..) => vec![Scan::Holding],
        IndexEntry::Required(namespace, ..) => vec![Scan::Required(namespace.clone())],
    }
}

#[test]
fn bytes_compare_as_entries_do_within_every_scan_and_every_list() {
    let mut compared = [0_usize; ENTRY_KINDS];
    for seed in 0..SEEDS * 10 {
        let mut rng = Rng::with_seed(seed);
        for (kind, compared) in compared.iter_mut().enumerate() {
            let (a, b) = (
                draw_entry::entry(&mut rng, kind),
                draw_entry::entry(&mut rng, kind),
            );
            let listed = match (&a, &b) {
                (IndexEntry::DeadLetters(of, _), IndexEntry::DeadLetters(other, _))
                | (IndexEntry::Unreleased(of, _), IndexEntry::Unreleased(other, _)) => of == other,
                _ => matches!(a, IndexEntry::Due(..) | IndexEntry::Releasing(_)),
            };
            if listed || scans_of(&a).iter().any(|scan| scan.contains(&b)) {
                let bytes = row::key_of_entry(&a).cmp(&row::key_of_entry(&b));
                assert_eq!(bytes, a.cmp(&b), "seed {seed}: {a:?} and {b:?}");
                *compared += usize::from(bytes != Ordering::Equal);
            }
        }
    }
    assert!(compared.iter().all(|count| *count > 100), "{compared:?}");
}

/// What an event is charged with comes close to what it takes, though these have larger numbers than any real one: it is what
/// the log's size is bounded by.
#[test]
fn an_event_takes_about_what_it_is_charged_with() {
    let mut ratios = Vec::new();
    for seed in 0..SEEDS {
        let mut rng = Rng::with_seed(seed);
        let event = draw_session::event(&mut rng, Revision(seed + 1));
        if event.session().is_none() {
            // There are few of these, and little in them.
            continue;
        }
        let charged = event.size();
        let row = Row::Event(event.into());
        let op = encode(&put(RowKey::Event(Revision(seed + 1)), row));
        let taken = op.value.expect("a row has a value").len();
        ratios.push(taken as f64 / charged as f64);
    }
    ratios.sort_by(f64::total_cmp);
    let (least, median) = (ratios[0], ratios[ratios.len() / 2]);
    let most = ratios[ratios.len() - 1];
    assert!((0.8..1.25).contains(&median), "{median}");
    assert!(least > 0.4 && most < 3.0, "{least} to {most}");
}
