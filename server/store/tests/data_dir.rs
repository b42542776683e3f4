//! Opening a data directory: what is made, who may have it, what is refused, and that a refusal touches nothing.
//!
//! Each refusal is asked for its one sentence, and the store's file for its bytes and its time of change. What only
//! the kernel can do to a disk is shown in the crash tests.

#[path = "data_dir/ballast.rs"]
mod ballast;
#[path = "data_dir/damage.rs"]
mod damage;
#[path = "data_dir/paths.rs"]
mod paths;
#[path = "data_dir/refusals.rs"]
mod refusals;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sessiond_store::data_dir::{
    self, JOURNAL_FILE, LOCK_FILE, NEW_JOURNAL_FILE, NEW_STORE_FILE, OpenError, STORE_FILE,
};
use sessiond_store::kv::journaled::JournaledKv;
use sessiond_store::kv::redb::Identity;
use sessiond_store::kv::{Kv, Op, Table};

const LOG_ID: [u8; 16] = *b"the first log id";

fn identity() -> Identity {
    Identity {
        version: "1.0.0".to_owned(),
        log_id: LOG_ID,
    }
}

fn open(directory: &Path) -> Result<JournaledKv, OpenError> {
    data_dir::open(directory, &identity())
}

fn put(kv: &JournaledKv, value: &[u8]) {
    let op = Op::put(Table::Counters, b"k".to_vec(), value.to_vec());
    kv.commit(&[op]).expect("commit");
}

fn read(kv: &JournaledKv) -> Option<Vec<u8>> {
    let snapshot = kv.snapshot().expect("snapshot");
    let value = snapshot.get(Table::Counters, b"k").expect("get");
    value.map(|value| value.to_vec())
}

/// An empty place for a data directory, private as `tempfile` makes it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().expect("tempdir");
    let directory = root.path().join("data");
    (root, directory)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("metadata").permissions().mode() & 0o7777
}

#[test]
fn a_new_directory_is_private_and_whole() {
    let root = tempfile::tempdir().expect("tempdir");
    let directory = root.path().join("a").join("b").join("data");
    let kv = open(&directory).expect("open");
    for made in [directory.clone(), root.path().join("a")] {
        assert_eq!(mode(&made), 0o700, "{made:?}");
    }
    for file in [STORE_FILE, JOURNAL_FILE, LOCK_FILE] {
        assert_eq!(mode(&directory.join(file)), 0o600, "{file}");
    }
    for file in [NEW_STORE_FILE, NEW_JOURNAL_FILE] {
        assert!(!directory.join(file).exists());
    }
    assert_eq!(kv.log_id(), LOG_ID);
}

#[test]
fn an_existing_store_keeps_its_rows_and_its_log_id() {
    let (_root, directory) = place();
    let kv = open(&directory).expect("new");
    put(&kv, b"1");
    kv.close().expect("close");
    let other = Identity {
        version: "1.0.1".to_owned(),
        log_id: *b"another  log  id",
    };
    for _ in 0..2 {
        let kv = data_dir::open(&directory, &other).expect("reopen");
        assert_eq!(kv.log_id(), LOG_ID);
        assert_eq!(read(&kv), Some(b"1".to_vec()));
        drop(kv);
    }
}

/// A creation makes both files under other names, and then renames the journal first.
#[test]
fn what_a_crash_left_of_a_creation_is_made_again() {
    for leftover in [&b""[..], b"half a store", &[0; 1 << 20]] {
        for renamed in [0, 1] {
            let (_root, directory) = place();
            drop(open(&directory).expect("new"));
            fs::remove_file(directory.join(STORE_FILE)).expect("remove");
            fs::write(directory.join(NEW_STORE_FILE), leftover).expect("write");
            if renamed == 0 {
                fs::remove_file(directory.join(JOURNAL_FILE)).expect("remove");
                fs::write(directory.join(NEW_JOURNAL_FILE), leftover).expect("write");
            }
            let kv = open(&directory).expect("open");
            assert_eq!(read(&kv), None);
            put(&kv, b"1");
            for file in [NEW_STORE_FILE, NEW_JOURNAL_FILE] {
                assert!(!directory.join(file).exists());
            }
        }
    }
}

#[test]
fn the_same_process_does_not_open_a_directory_twice() {
    let (root, directory) = place();
    let kv = open(&directory).expect("open");
    let detour = root.path().join("detour");
    std::os::unix::fs::symlink(&directory, &detour).expect("symlink");
    for path in [&directory, &detour] {
        let refused = open(path).expect_err("second");
        assert_eq!(
            refused.to_string(),
            format!(
                "data directory {path:?} is in use by another sessiond (process {})",
                std::process::id()
            )
        );
    }
    put(&kv, b"1");
    drop(kv);
    assert_eq!(read(&open(&directory).expect("after")), Some(b"1".to_vec()));
}

/// The lock file is not the only lock: a store whose lock file was removed under it is still in use.
#[test]
fn a_removed_lock_file_does_not_let_a_second_one_in() {
    let (_root, directory) = place();
    let kv = open(&directory).expect("open");
    fs::remove_file(directory.join(LOCK_FILE)).expect("remove");
    let refused = open(&directory).expect_err("second");
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    put(&kv, b"1");
}

// === Another process ===

/// Names the directory that the process below holds.
const HELD_DIRECTORY: &str = "SESSIOND_TEST_HELD_DIRECTORY";

/// Not a test by itself: the body of the process that `another_process` starts.
#[test]
fn hold_the_directory_until_killed() {
    let Some(directory) = std::env::var_os(HELD_DIRECTORY) else {
        return;
    };
    let kv = open(Path::new(&directory)).expect("open");
    put(&kv, b"from the other process");
    println!("\nheld");
    loop {
        std::thread::park();
    }
}

fn another_process(directory: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", "hold_the_directory_until_killed", "--nocapture"])
        .env(HELD_DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawn");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let held = output
        .lines()
        .map_while(Result::ok)
        .any(|line| line == "held");
    assert!(held, "the other process did not open the directory");
    child
}

#[test]
fn a_directory_belongs_to_one_process_until_it_is_killed() {
    let (_root, directory) = place();
    let mut child = another_process(&directory);
    let refused = open(&directory).expect_err("second");
    assert_eq!(
        refused.to_string(),
        format!(
            "data directory {directory:?} is in use by another sessiond (process {})",
            child.id()
        )
    );
    child.kill().expect("kill");
    child.wait().expect("wait");
    let kv = open(&directory).expect("after the kill");
    assert_eq!(read(&kv), Some(b"from the other process".to_vec()));
}
