//! What every backend owes the store above it: one list of cases, run for each backend.
//!
//! A case is a function of a backend that may be closed and opened again; it must not know which one it has. What a
//! backend adds (checksums, refusals, crash safety) is tested elsewhere.

#[path = "kv_conformance/random.rs"]
mod random;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use sessiond_store::data_dir;
use sessiond_store::kv::journaled::JournaledKv;
use sessiond_store::kv::memory::MemoryKv;
use sessiond_store::kv::redb::Identity;
use sessiond_store::kv::{Entry, Kv, Op, Order, Range, Snapshot, Table};

// === The backends ===

/// A backend that can be closed and opened again with its rows.
trait Backend: fmt::Debug {
    fn kv(&self) -> &dyn Kv;
    fn reopen(&mut self);
}

#[derive(Debug)]
struct Memory(MemoryKv);

impl Backend for Memory {
    fn kv(&self) -> &dyn Kv {
        &self.0
    }
    fn reopen(&mut self) {
        // It keeps nothing across a process, so there is nothing to open again.
    }
}

#[derive(Debug)]
struct Redb {
    kv: Option<JournaledKv>,
    directory: tempfile::TempDir,
}

impl Backend for Redb {
    fn kv(&self) -> &dyn Kv {
        self.kv.as_ref().expect("open")
    }
    fn reopen(&mut self) {
        self.kv.take().expect("open").close().expect("close");
        self.kv = Some(open(&self.directory.path().join("data")));
    }
}

fn open(path: &Path) -> JournaledKv {
    let identity = Identity {
        version: "1.0.0".to_owned(),
        log_id: [1; 16],
    };
    data_dir::open(path, &identity).expect("open")
}

fn backends() -> Vec<Box<dyn Backend>> {
    let directory = tempfile::tempdir().expect("tempdir");
    let kv = Some(open(&directory.path().join("data")));
    vec![
        Box::new(Memory(MemoryKv::new())),
        Box::new(Redb { kv, directory }),
    ]
}

fn check(case: impl Fn(&dyn Kv)) {
    for backend in backends() {
        case(backend.kv());
    }
}

// === Words ===

fn put(table: Table, key: &[u8], value: &[u8]) -> Op {
    Op::put(table, key.to_vec(), value.to_vec())
}

fn delete(table: Table, key: &[u8]) -> Op {
    Op::remove(table, key.to_vec())
}

fn commit(kv: &dyn Kv, ops: &[Op]) {
    kv.commit(ops).expect("commit");
}

fn get(kv: &dyn Kv, table: Table, key: &[u8]) -> Option<Vec<u8>> {
    let snapshot = kv.snapshot().expect("snapshot");
    let value = snapshot.get(table, key).expect("get");
    value.map(|value| value.to_vec())
}

fn all(table: Table) -> Range {
    Range {
        table,
        from: Vec::new(),
        to: None,
        order: Order::Ascending,
        limit: usize::MAX,
    }
}

fn rows(snapshot: &dyn Snapshot, range: &Range) -> Vec<Entry> {
    snapshot.range(range).expect("range")
}

fn keys(kv: &dyn Kv, range: &Range) -> Vec<String> {
    let snapshot = kv.snapshot().expect("snapshot");
    rows(snapshot.as_ref(), range)
        .into_iter()
        .map(|(key, _)| String::from_utf8(key).expect("a test key"))
        .collect()
}

// === The cases ===

#[test]
fn what_is_put_is_there_and_nothing_else() {
    check(|kv| {
        assert_eq!(get(kv, Table::Sessions, b"a"), None);
        commit(kv, &[put(Table::Sessions, b"a", b"1")]);
        assert_eq!(get(kv, Table::Sessions, b"a"), Some(b"1".to_vec()));
        assert_eq!(get(kv, Table::Sessions, b"b"), None);
        assert_eq!(get(kv, Table::Sessions, b""), None);
        assert_eq!(get(kv, Table::Queues, b"a"), None, "tables are apart");
    });
}

#[test]
fn every_table_takes_rows_from_the_start() {
    check(|kv| {
        let snapshot = kv.snapshot().expect("snapshot");
        for table in Table::ALL {
            assert_eq!(rows(snapshot.as_ref(), &all(table)), [], "{table:?}");
        }
        let ops: Vec<Op> = Table::ALL
            .into_iter()
            .map(|table| put(table, b"k", table.name().as_bytes()))
            .collect();
        commit(kv, &ops);
        for table in Table::ALL {
            assert_eq!(
                get(kv, table, b"k"),
                Some(table.name().as_bytes().to_vec()),
                "{table:?}"
            );
        }
    });
}

#[test]
fn a_commit_spans_tables_and_is_applied_in_order() {
    check(|kv| {
        commit(
            kv,
            &[
                put(Table::Messages, b"m", b"old"),
                put(Table::Payloads, b"m", b"payload"),
                put(Table::Messages, b"m", b"new"),
                put(Table::Ready, b"gone", b""),
                delete(Table::Ready, b"gone"),
                delete(Table::Due, b"back"),
                put(Table::Due, b"back", b"1"),
            ],
        );
        assert_eq!(get(kv, Table::Messages, b"m"), Some(b"new".to_vec()));
        assert_eq!(get(kv, Table::Payloads, b"m"), Some(b"payload".to_vec()));
        assert_eq!(get(kv, Table::Ready, b"gone"), None);
        assert_eq!(get(kv, Table::Due, b"back"), Some(b"1".to_vec()));
    });
}

#[test]
fn deleting_what_is_absent_is_no_error() {
    check(|kv| {
        commit(kv, &[delete(Table::Keys, b"never")]);
        commit(kv, &[put(Table::Keys, b"k", b"1")]);
        commit(kv, &[delete(Table::Keys, b"k")]);
        commit(kv, &[delete(Table::Keys, b"k")]);
        assert_eq!(get(kv, Table::Keys, b"k"), None);
        assert_eq!(keys(kv, &all(Table::Keys)), [""; 0]);
    });
}

#[test]
fn an_empty_commit_changes_nothing() {
    check(|kv| {
        commit(kv, &[]);
        commit(kv, &[put(Table::Keys, b"k", b"1")]);
        commit(kv, &[]);
        assert_eq!(get(kv, Table::Keys, b"k"), Some(b"1".to_vec()));
    });
}

#[test]
fn ranges_take_bounds_orders_and_limits() {
    check(|kv| {
        let ops: Vec<Op> = ["a", "b", "ba", "c", "d"]
            .iter()
            .map(|key| put(Table::Events, key.as_bytes(), b"v"))
            .collect();
        commit(kv, &ops);
        let range = |from: &str, to: Option<&str>, order, limit| Range {
            table: Table::Events,
            from: from.into(),
            to: to.map(Into::into),
            order,
            limit,
        };
        let up = Order::Ascending;
        let down = Order::Descending;
        let cases: &[(Range, &[&str])] = &[
            (range("", None, up, 9), &["a", "b", "ba", "c", "d"]),
            (range("", None, down, 9), &["d", "c", "ba", "b", "a"]),
            (range("b", None, up, 9), &["b", "ba", "c", "d"]),
            (range("b", Some("c"), up, 9), &["b", "ba"]),
            (range("b", Some("c"), down, 9), &["ba", "b"]),
            (range("aa", Some("bz"), up, 9), &["b", "ba"]),
            (range("", None, up, 2), &["a", "b"]),
            (range("", None, down, 2), &["d", "c"]),
            (range("b", Some("d"), down, 1), &["c"]),
            (range("b", Some("d"), up, 3), &["b", "ba", "c"]),
            (range("", None, up, 0), &[]),
            (range("", None, down, 0), &[]),
            (range("e", None, up, 9), &[]),
            (range("", Some(""), up, 9), &[]),
            (range("", Some("a"), up, 9), &[]),
            (range("c", Some("c"), up, 9), &[]),
            (range("d", Some("b"), up, 9), &[]),
            (range("d", Some("b"), down, 9), &[]),
            (range("", None, up, usize::MAX), &["a", "b", "ba", "c", "d"]),
        ];
        for (range, expected) in cases {
            assert_eq!(keys(kv, range), *expected, "{range:?}");
        }
    });
}

#[test]
fn keys_are_ordered_as_plain_bytes() {
    check(|kv| {
        let mut expected: Vec<Vec<u8>> = vec![
            vec![],
            vec![0],
            vec![0, 0],
            vec![0, 255],
            vec![1],
            vec![127, 255],
            vec![128],
            vec![255],
            vec![255, 0],
            vec![255; 40],
        ];
        let ops: Vec<Op> = expected
            .iter()
            .rev()
            .map(|key| put(Table::Due, key, b"v"))
            .collect();
        commit(kv, &ops);
        let snapshot = kv.snapshot().expect("snapshot");
        let found = |range: &Range| -> Vec<Vec<u8>> {
            let entries = rows(snapshot.as_ref(), range);
            entries.into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(found(&all(Table::Due)), expected);
        expected.reverse();
        assert_eq!(
            found(&Range {
                order: Order::Descending,
                ..all(Table::Due)
            }),
            expected
        );
    });
}

#[test]
fn empty_keys_and_values_are_rows() {
    check(|kv| {
        commit(
            kv,
            &[put(Table::Pools, b"", b""), put(Table::Pools, b"k", b"")],
        );
        assert_eq!(get(kv, Table::Pools, b""), Some(vec![]));
        assert_eq!(get(kv, Table::Pools, b"k"), Some(vec![]));
        assert_eq!(keys(kv, &all(Table::Pools)), ["", "k"]);
        commit(kv, &[delete(Table::Pools, b"")]);
        assert_eq!(keys(kv, &all(Table::Pools)), ["k"]);
    });
}

#[test]
fn large_values_and_long_keys_come_back_whole() {
    const LARGE: usize = 8 * 1024 * 1024;
    for mut backend in backends() {
        let mut rng = fastrand::Rng::with_seed(8);
        let large: Vec<u8> = (0..LARGE).map(|_| rng.u8(..)).collect();
        let long_key = vec![7; 10_000];
        commit(
            backend.kv(),
            &[
                put(Table::Payloads, b"large", &large),
                put(Table::Payloads, &long_key, b"long key"),
            ],
        );
        backend.reopen();
        let found = get(backend.kv(), Table::Payloads, b"large");
        assert!(found.as_deref() == Some(large.as_slice()), "{backend:?}");
        assert_eq!(
            get(backend.kv(), Table::Payloads, &long_key),
            Some(b"long key".to_vec())
        );
        commit(backend.kv(), &[put(Table::Payloads, b"large", b"small")]);
        assert_eq!(
            get(backend.kv(), Table::Payloads, b"large"),
            Some(b"small".to_vec())
        );
    }
}

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
