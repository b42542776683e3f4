//! Snapshots: as of one moment, whole, and never changed by what comes after.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use sessiond_store::kv::Table;

use super::{all, check, commit, delete, put, rows};

#[test]
fn a_snapshot_never_changes() {
    check(|kv| {
        commit(
            kv,
            &[
                put(Table::Queues, b"a", b"1"),
                put(Table::Queues, b"b", b"1"),
            ],
        );
        let before = kv.snapshot().expect("snapshot");
        let untouched = kv.snapshot().expect("snapshot");
        commit(
            kv,
            &[
                put(Table::Queues, b"a", b"2"),
                delete(Table::Queues, b"b"),
                put(Table::Queues, b"c", b"2"),
                put(Table::Keys, b"k", b"2"),
            ],
        );
        let after = kv.snapshot().expect("snapshot");
        let one = |key: &[u8], value: &[u8]| (key.to_vec(), Bytes::copy_from_slice(value));
        // One that was read before the commit, and one that was not, in whatever order tables are first touched.
        for old in [before.as_ref(), untouched.as_ref()] {
            assert_eq!(
                old.get(Table::Queues, b"a").expect("get"),
                Some(Bytes::from_static(b"1"))
            );
            assert_eq!(
                rows(old, &all(Table::Queues)),
                [one(b"a", b"1"), one(b"b", b"1")]
            );
            assert_eq!(rows(old, &all(Table::Keys)), []);
        }
        assert_eq!(
            rows(after.as_ref(), &all(Table::Queues)),
            [one(b"a", b"2"), one(b"c", b"2")]
        );
    });
}

/// Two tables are always written together; a reader on another thread never sees one without the other, and never
/// goes back, while a third thread makes checkpoints.
#[test]
fn readers_see_whole_commits_while_they_proceed() {
    const COMMITS: u64 = 150;
    check(|kv| {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut seen = 0;
                let mut reads = 0_u64;
                while reads == 0 || !done.load(Ordering::Acquire) {
                    let snapshot = kv.snapshot().expect("snapshot");
                    let read = |table| {
                        let value = snapshot.get(table, b"n").expect("get");
                        value.map_or(0, |value| {
                            u64::from_be_bytes(value[..].try_into().expect("8 bytes"))
                        })
                    };
                    let (first, second) = (read(Table::Counters), read(Table::RequestAges));
                    assert_eq!(first, second);
                    assert!(first >= seen, "{first} after {seen}");
                    seen = first;
                    reads += 1;
                }
                seen
            });
            let checkpoints = scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    kv.checkpoint().expect("checkpoint");
                }
            });
            for n in 1..=COMMITS {
                let value = n.to_be_bytes();
                commit(
                    kv,
                    &[
                        put(Table::Counters, b"n", &value),
                        put(Table::RequestAges, b"n", &value),
                    ],
                );
            }
            done.store(true, Ordering::Release);
            assert!(reader.join().expect("reader") <= COMMITS);
            checkpoints.join().expect("checkpoints");
        });
    });
}
