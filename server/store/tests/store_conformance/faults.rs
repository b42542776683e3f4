//! Faults: what stops the store, and what every reader of a bad row is told.

use std::sync::Arc;

use sessiond_core::change::Change;
use sessiond_core::ids::{QueueId, SessionNo};
use sessiond_core::index::Scan;
use sessiond_core::limits::Policy;
use sessiond_core::rows::{Read, RowKey};
use sessiond_core::view::View;
use sessiond_store::fault::Fault;
use sessiond_store::kv::{Kv, Op, Snapshot, Table};
use sessiond_store::snapshot::{Reader, Rows};
use sessiond_store::store::Store;

use crate::on_every_store;
use crate::script::{counted, open, rows, tell};
use crate::world::{Habit, World};

#[test]
fn a_row_that_cannot_be_decoded_is_a_fault_and_stops_commits() {
    on_every_store(|kv| {
        let store = Store::new(Arc::clone(&kv));
        let key = 1_u64.to_be_bytes().to_vec();
        let garbage = Op::put(Table::Sessions, key.clone(), vec![0xff; 9]);
        kv.commit(&[garbage]).expect("commit");
        store.commit(&[counted(1)]).expect("nobody has looked yet");
        let read = rows(&store).row(&RowKey::Session(SessionNo(1)));
        let Err(Fault::Malformed {
            table, key: named, ..
        }) = read
        else {
            panic!("malformed, not {read:?}");
        };
        assert_eq!((table, named), (Table::Sessions, key));
        let refused = store.commit(&[counted(2)]);
        assert!(matches!(refused, Err(Fault::Stopped { .. })), "{refused:?}");
        assert_eq!(rows(&store).counters().expect("reads go on").pending, 1);
    });
}

#[test]
fn every_way_to_read_a_bad_row_tells() {
    on_every_store(|kv| {
        let store = Store::new(Arc::clone(&kv));
        let bad = |table, key: &[u8]| Op::put(table, key.to_vec(), vec![7]);
        let ops = [
            bad(Table::Events, &[0; 8]),
            bad(Table::Ready, &[0; 17]),
            bad(Table::Due, &[0; 3]),
            bad(Table::Counters, &[0]),
        ];
        kv.commit(&ops).expect("commit");
        let rows = rows(&store);
        let mut view = View::new(Arc::new(Policy::default()));
        let scan = Read::Scan {
            scan: Scan::Ready(QueueId(0)),
            limit: 1,
        };
        let tells = [
            rows.log_bounds().err(),
            rows.next_due().err(),
            rows.counters().err(),
            store.load(&mut view, &[scan]).err(),
            store.load(&mut view, &[Read::Row(RowKey::Counters)]).err(),
        ];
        for (place, fault) in tells.iter().enumerate() {
            assert!(
                matches!(fault, Some(Fault::Malformed { .. })),
                "{place}: {fault:?}"
            );
        }
    });
}

#[test]
fn a_row_that_is_pointed_at_and_not_there_is_a_fault() {
    on_every_store(|kv| {
        let mut world = World::new(kv, Habit::Steady);
        tell(&mut world, &open("s1"), 1);
        let gone = [Change::Row(RowKey::Activity(SessionNo(1)), None)];
        world.store.commit(&gone).expect("commit");
        let fault = rows(&world.store)
            .session_view(SessionNo(1))
            .expect_err("a fault");
        assert!(
            matches!(
                fault,
                Fault::Malformed {
                    table: Table::Activities,
                    ..
                }
            ),
            "{fault}"
        );
        let refused = world.store.commit(&[counted(1)]);
        assert!(matches!(refused, Err(Fault::Stopped { .. })), "{refused:?}");
    });
}

#[derive(Debug)]
struct Broken;

impl Kv for Broken {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, Fault> {
        Err(Fault::Stopped {
            first: "broken".to_owned(),
        })
    }

    fn commit(&self, _: &[Op]) -> Result<(), Fault> {
        panic!("a store that has met a fault commits nothing");
    }

    fn checkpoint(&self) -> Result<(), Fault> {
        panic!("a store that has met a fault carries nothing on");
    }

    fn gathered_bytes(&self) -> u64 {
        0
    }

    fn settle(&self) -> Result<(), Fault> {
        Ok(())
    }
}

#[test]
fn a_fault_below_stops_commits_above() {
    let store = Store::new(Arc::new(Broken));
    assert!(store.reader().snapshot().is_err());
    let refused = store.commit(&[counted(1)]);
    assert!(matches!(refused, Err(Fault::Stopped { .. })), "{refused:?}");
    let refused = store.checkpointer().checkpoint();
    assert!(matches!(refused, Err(Fault::Stopped { .. })), "{refused:?}");
}

#[test]
fn a_reader_may_be_shared_between_threads_and_a_snapshot_sent_to_one() {
    fn shared<T: Clone + Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Reader>();
    sent::<Rows>();
    sent::<Store>();
}
