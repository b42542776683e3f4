//! What every backend owes the store above it: one list of cases, run for each backend.
//!
//! A case is a function of a backend that may be closed and opened again; it must not know which one it has. What a
//! backend adds (checksums, refusals, crash safety) is tested elsewhere.

#[path = "kv_conformance/random.rs"]
mod random;
#[path = "kv_conformance/ranges.rs"]
mod ranges;
#[path = "kv_conformance/snapshots.rs"]
mod snapshots;

use std::fmt;
use std::path::Path;

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
