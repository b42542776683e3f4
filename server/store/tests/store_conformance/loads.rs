//! Loading and committing: what is committed is loaded, in order, and it is said how far it is known.

use std::collections::BTreeSet;
use std::sync::Arc;

use fastrand::Rng;
use sessiond_core::change::{Change, Membership};
use sessiond_core::ids::{Epoch, Namespace, QueueId, RequestId, Seq, SessionNo};
use sessiond_core::index::{Extent, IndexEntry, Scan};
use sessiond_core::limits::Policy;
use sessiond_core::message::Rank;
use sessiond_core::rows::{Counters, Read, Row, RowKey};
use sessiond_core::view::View;
use sessiond_store::store::Store;

use crate::draw;
use crate::draw_entry::{self, ENTRY_KINDS};
use crate::script::{counted, rows};
use crate::{dump, on_every_store};

#[test]
fn of_several_changes_about_one_row_the_last_holds() {
    on_every_store(|kv| {
        let store = Store::new(Arc::clone(&kv));
        let entry = IndexEntry::Ready(QueueId(1), Rank::New, Seq(1));
        let other = IndexEntry::Ready(QueueId(1), Rank::New, Seq(2));
        let changes = [
            counted(1),
            Change::Index(entry.clone(), Membership::In),
            Change::Index(other.clone(), Membership::Out),
            counted(2),
            Change::Index(entry, Membership::Out),
            Change::Index(other.clone(), Membership::In),
        ];
        store.commit(&changes).expect("commit");
        assert_eq!(
            dump(&*kv),
            [counted(2), Change::Index(other, Membership::In)]
        );
        store
            .commit(&[counted(3), Change::Row(RowKey::Counters, None)])
            .expect("commit");
        assert_eq!(
            rows(&store).counters().expect("counters"),
            Counters::default()
        );
        store.commit(&[]).expect("no changes are no commit");
    });
}

#[test]
fn a_snapshot_does_not_see_what_is_committed_after_it() {
    on_every_store(|kv| {
        let store = Store::new(kv);
        let before = rows(&store);
        store.commit(&[counted(7)]).expect("commit");
        assert_eq!(before.counters().expect("counters").pending, 0);
        assert_eq!(rows(&store).counters().expect("counters").pending, 7);
    });
}

#[test]
fn a_loaded_row_is_known_and_so_is_its_absence() {
    on_every_store(|kv| {
        let store = Store::new(kv);
        store.commit(&[counted(7)]).expect("commit");
        let mut view = View::new(Arc::new(Policy::default()));
        let absent = RowKey::Session(SessionNo(1));
        assert_eq!(view.row(&RowKey::Counters), None, "unknown");
        let reads = [Read::Row(RowKey::Counters), Read::Row(absent.clone())];
        store.load(&mut view, &reads).expect("load");
        let Some(Some(Row::Counters(counters))) = view.row(&RowKey::Counters) else {
            panic!("the counters are loaded");
        };
        assert_eq!(counters.pending, 7);
        assert_eq!(view.row(&absent), Some(None));
    });
}

#[test]
fn a_scan_is_its_group_in_order_and_says_how_far_it_is_known() {
    on_every_store(|kv| {
        let store = Store::new(kv);
        let mut rng = Rng::with_seed(11);
        let entries: BTreeSet<IndexEntry> = (0..ENTRY_KINDS * 60)
            .map(|kind| draw_entry::entry(&mut rng, kind))
            .filter(|entry| !matches!(entry, IndexEntry::Pending(..) | IndexEntry::GivenUp(..)))
            .collect();
        let changes: Vec<Change> = entries
            .iter()
            .map(|entry| Change::Index(entry.clone(), Membership::In))
            .collect();
        store.commit(&changes).expect("commit");
        let rows = rows(&store);
        for scan in scans(&entries) {
            let group: Vec<&IndexEntry> = entries
                .iter()
                .filter(|entry| scan.contains(entry))
                .collect();
            for limit in [1, 2, group.len(), group.len() + 1] {
                let (found, extent) = rows.scan(&scan, limit).expect("scan");
                let expected = &group[..limit.min(group.len())];
                assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{scan:?}");
                let known = match expected.last() {
                    Some(last) if expected.len() == limit => Extent::Through((*last).clone()),
                    Some(_) | None => Extent::All,
                };
                assert_eq!(extent, known, "{scan:?}, limit {limit}");
            }
        }
    });
}

/// Groups that have entries, and groups beside them that have none.
fn scans(entries: &BTreeSet<IndexEntry>) -> BTreeSet<Scan> {
    let mut scans: BTreeSet<Scan> = [Scan::RequestAges, Scan::Holding].into();
    for number in [0, 1, 2, 3, 255, 256, u64::MAX - 1, u64::MAX] {
        let queue = QueueId(number);
        scans.extend([Scan::Ready(queue), Scan::InFlightOfQueue(queue)]);
        scans.extend([Scan::Returned(queue), Scan::New(queue)]);
        scans.extend([0, 1, u64::MAX].map(|epoch| Scan::InFlight(queue, Epoch(epoch))));
    }
    scans.extend(entries.iter().filter_map(|entry| match entry {
        IndexEntry::Unserved(namespace, ..) => Some(Scan::Unserved(namespace.clone())),
        IndexEntry::Live(namespace, pool, _) => Some(Scan::Live(namespace.clone(), pool.clone())),
        IndexEntry::Idle(namespace, pool, ..) => Some(Scan::Idle(namespace.clone(), pool.clone())),
        IndexEntry::Waiting(namespace, pool, ..) => {
            Some(Scan::Waiting(namespace.clone(), pool.clone()))
        }
        IndexEntry::Behind(predecessor, _) => Some(Scan::Behind(*predecessor)),
        IndexEntry::Required(namespace, ..) => Some(Scan::Required(namespace.clone())),
        IndexEntry::Ready(..)
        | IndexEntry::Unreleased(..)
        | IndexEntry::Releasing(_)
        | IndexEntry::InFlight(..)
        | IndexEntry::Returned(..)
        | IndexEntry::Pending(..)
        | IndexEntry::DeadLetters(..)
        | IndexEntry::GivenUp(..)
        | IndexEntry::RequestAge(..)
        | IndexEntry::Holding(..)
        | IndexEntry::Due(..) => None,
        IndexEntry::Debounced(queue, _) => Some(Scan::Debounced(*queue)),
        IndexEntry::Coalesced(queue, key, _) => Some(Scan::Coalesced(*queue, *key)),
    }));
    scans
}

#[test]
fn a_scan_of_nothing_wanted_still_says_something_known() {
    on_every_store(|kv| {
        let store = Store::new(kv);
        let scan = Scan::Ready(QueueId(1));
        let known = rows(&store).scan(&scan, 0).expect("scan");
        assert_eq!(known, (Vec::new(), Extent::All));
        let first = IndexEntry::Ready(QueueId(1), Rank::New, Seq(1));
        let changes = [Change::Index(first.clone(), Membership::In)];
        store.commit(&changes).expect("commit");
        let known = rows(&store).scan(&scan, 0).expect("scan");
        assert_eq!(known, (vec![first.clone()], Extent::Through(first)));
    });
}

#[test]
fn texts_that_run_into_each_other_are_different_rows() {
    on_every_store(|kv| {
        let store = Store::new(kv);
        let key = |namespace: &str, key: &str| {
            RowKey::Request(
                Namespace::parse(namespace).expect("an id"),
                RequestId::parse(key).expect("an id"),
            )
        };
        let mut rng = Rng::with_seed(3);
        let keys = [key("a", "bc"), key("ab", "c"), key("abc", "a")];
        for key in &keys {
            let row = draw::row(&mut rng, key);
            let changes = [Change::Row(key.clone(), Some(row.clone()))];
            store.commit(&changes).expect("commit");
            assert_eq!(rows(&store).row(key).expect("row"), Some(row));
        }
    });
}
