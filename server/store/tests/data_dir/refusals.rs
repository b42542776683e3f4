//! The refusals: for each kind of path and file that is not ours to open, which sentence, and the file untouched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use redb::{Database, TableDefinition};
use sessiond_store::data_dir;
use sessiond_store::data_dir::{JOURNAL_FILE, OpenError, STORE_FILE};
use sessiond_store::kv::Kv;
use sessiond_store::kv::redb::{Identity, SCHEMA};

use super::{open, place, put};

/// The schema record as `schema.rs` draws it.
const SCHEMA_TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("sessiond");

fn schema_record(schema: u32, writer: &str) -> Vec<u8> {
    let mut row = schema.to_le_bytes().to_vec();
    row.extend_from_slice(&[7; 16]);
    row.extend_from_slice(writer.as_bytes());
    let mut sealed = vec![0, 5, 0, 0, 0];
    sealed.extend_from_slice(b"store");
    sealed.extend_from_slice(&row);
    row.extend_from_slice(&crc32fast::hash(&sealed).to_le_bytes());
    row
}

/// A redb file with a schema record and nothing else.
fn file_with_record(record: &[u8]) -> Vec<u8> {
    let root = tempfile::tempdir().expect("tempdir");
    let path = root.path().join("file");
    let database = Database::create(&path).expect("create");
    let transaction = database.begin_write().expect("begin");
    transaction
        .open_table(SCHEMA_TABLE)
        .expect("table")
        .insert(&b"store"[..], record)
        .expect("insert");
    transaction.commit().expect("commit");
    drop(database);
    fs::read(&path).expect("read")
}

/// The two files of a store.
const FILES: [&str; 2] = [STORE_FILE, JOURNAL_FILE];

/// A file of a store of ours: as a clean close leaves it, or as a crash does.
fn file_of_a_store(name: &str, end: End) -> Vec<u8> {
    let (_root, directory) = place();
    used_store(&directory, end);
    fs::read(directory.join(name)).expect("read")
}

/// Makes a store with rows in both files and leaves it.
fn used_store(directory: &Path, end: End) {
    let kv = open(directory).expect("open");
    for value in 0..20_u8 {
        put(&kv, &[value; 3000]);
    }
    kv.checkpoint().expect("checkpoint");
    put(&kv, &[LAST; 3000]);
    match end {
        End::Closed => kv.close().expect("close"),
        // Copied while the store is open, which is what a crash leaves when all writes have landed.
        End::Crashed => {
            let copies = FILES.map(|name| fs::read(directory.join(name)).expect("read"));
            drop(kv);
            for (name, copy) in FILES.into_iter().zip(copies) {
                fs::write(directory.join(name), copy).expect("write");
            }
        }
    }
}

/// Every byte of the value that is there in the end.
const LAST: u8 = 19;

#[derive(Clone, Copy, Debug)]
enum End {
    Closed,
    Crashed,
}

fn changed(path: &Path) -> SystemTime {
    let metadata = fs::metadata(path).expect("metadata");
    metadata.modified().expect("modified")
}

/// Puts `content` in place of one file of a new store, opens, and checks that the files are as they were.
fn refuse(name: &str, content: &[u8]) -> OpenError {
    let (_root, directory) = place();
    drop(open(&directory).expect("new"));
    refuse_in(&directory, name, content)
}

fn refuse_in(directory: &Path, name: &str, content: &[u8]) -> OpenError {
    fs::write(directory.join(name), content).expect("write");
    let look = || FILES.map(|name| fs::read(directory.join(name)).expect("read"));
    let (before, since) = (look(), FILES.map(|name| changed(&directory.join(name))));
    let error = open(directory).expect_err("to be refused");
    assert!(look() == before, "changed: {error}");
    let touched = FILES.map(|name| changed(&directory.join(name)));
    assert_eq!(touched, since, "touched: {error}");
    assert!(error.to_string().contains(name), "{error}");
    // The directory is free again: the same refusal, not "in use".
    assert_eq!(
        open(directory).expect_err("again").to_string(),
        error.to_string()
    );
    error
}

fn sentence(error: &OpenError) -> String {
    let words = error.to_string();
    assert!(!words.contains('\n') && !words.ends_with('.'), "{words}");
    words
}

#[test]
fn the_copy_of_a_store_is_opened_whether_closed_or_crashed() {
    for end in [End::Closed, End::Crashed] {
        let (_root, directory) = place();
        used_store(&directory, end);
        let kv = open(&directory).expect("open");
        assert_eq!(super::read(&kv), Some(vec![LAST; 3000]), "{end:?}");
    }
}

#[test]
fn what_is_no_store_is_refused() {
    let cases: &[(&str, Vec<u8>)] = &[
        ("one byte", vec![7]),
        ("text", b"#!/bin/sh\necho not a store\n".to_vec()),
        ("zeros", vec![0; 1 << 20]),
        ("noise", {
            let mut rng = fastrand::Rng::with_seed(1);
            (0..100_000).map(|_| rng.u8(..)).collect()
        }),
    ];
    for (name, content) in cases {
        for file in FILES {
            let error = refuse(file, content);
            assert!(
                matches!(error, OpenError::NotAStore { .. }),
                "{name}: {error}"
            );
            let words = sentence(&error);
            assert!(
                words.ends_with("is not a sessiond store: it does not begin like one"),
                "{words}"
            );
        }
    }
}

#[test]
fn the_database_of_another_program_is_refused() {
    let root = tempfile::tempdir().expect("tempdir");
    let path = root.path().join("file");
    let other: TableDefinition<'_, u64, u64> = TableDefinition::new("theirs");
    let database = Database::create(&path).expect("create");
    let transaction = database.begin_write().expect("begin");
    transaction
        .open_table(other)
        .expect("table")
        .insert(1, 2)
        .expect("insert");
    transaction.commit().expect("commit");
    let crashed = fs::read(&path).expect("read");
    drop(database);
    let closed = fs::read(&path).expect("read");
    for (content, file) in [&closed, &crashed]
        .into_iter()
        .flat_map(|c| FILES.map(|f| (c, f)))
    {
        let words = sentence(&refuse(file, content));
        assert!(
            words.ends_with("is not a sessiond store: it is a redb file of another program"),
            "{words}"
        );
    }
}

#[test]
fn what_another_version_wrote_is_refused_with_its_name() {
    let newer = file_with_record(&schema_record(SCHEMA + 1, "9.8.7"));
    let older = file_with_record(&schema_record(SCHEMA - 1, "0.0.1"));
    for file in FILES {
        let error = refuse(file, &newer);
        assert!(
            matches!(&error, OpenError::TooNew { writer, schema, .. } if writer == "9.8.7" && *schema == SCHEMA + 1),
            "{error}"
        );
        let words = sentence(&error);
        assert!(
            words.contains("was written by sessiond \"9.8.7\" in format 2, and this version reads no format above 1"),
            "{words}"
        );
        let words = sentence(&refuse(file, &older));
        assert!(
            words.contains("was written by sessiond \"0.0.1\" in format 0, which this version, of format 1, does not read: run that version"),
            "{words}"
        );
    }
}

#[test]
fn a_damaged_schema_record_is_refused() {
    let mut flipped = schema_record(SCHEMA, "1.0.0");
    flipped[0] ^= 1;
    for record in [flipped, vec![], vec![0; 10]] {
        for file in FILES {
            let error = refuse(file, &file_with_record(&record));
            assert!(matches!(error, OpenError::Corrupted { .. }), "{error}");
        }
    }
}

#[test]
fn a_store_without_its_tables_is_refused() {
    let bare = file_with_record(&schema_record(SCHEMA, "1.0.0"));
    for (file, missing) in FILES.into_iter().zip(["table counters.v1", "the journal"]) {
        let error = refuse(file, &bare);
        assert!(matches!(error, OpenError::Corrupted { .. }), "{error}");
        assert!(sentence(&error).contains(missing), "{error}");
    }
}

#[test]
fn an_empty_or_cut_file_is_refused() {
    for file in FILES {
        assert!(matches!(refuse(file, b""), OpenError::Corrupted { .. }));
        for end in [End::Closed, End::Crashed] {
            let whole = file_of_a_store(file, end);
            for len in [
                9,
                100,
                319,
                320,
                4096,
                8192,
                whole.len() / 2,
                whole.len() - 4096,
                whole.len() - 1,
            ] {
                let error = refuse(file, &whole[..len]);
                assert!(
                    matches!(error, OpenError::Corrupted { .. }),
                    "{file} {end:?}, {len} bytes: {error}"
                );
                sentence(&error);
            }
        }
    }
}

#[test]
fn a_file_with_something_after_its_end_is_refused() {
    for file in FILES {
        for end in [End::Closed, End::Crashed] {
            let mut longer = file_of_a_store(file, end);
            longer.push(0);
            let error = refuse(file, &longer);
            assert!(
                matches!(error, OpenError::Corrupted { .. }),
                "{file} {end:?}: {error}"
            );
        }
    }
}

/// Files of this size are verified at every open, so one flipped byte in a page that is in use is found before a byte
/// is written.
#[test]
fn a_flipped_byte_is_refused_whether_closed_or_crashed() {
    for file in FILES {
        for end in [End::Closed, End::Crashed] {
            let (_root, directory) = place();
            used_store(&directory, end);
            let mut flipped = fs::read(directory.join(file)).expect("read");
            let value = last_value(&flipped);
            flipped[value] ^= 0x10;
            let error = refuse_in(&directory, file, &flipped);
            assert!(
                matches!(error, OpenError::Corrupted { .. }),
                "{file} {end:?}: {error}"
            );
            sentence(&error);
        }
    }
}

/// Where a copy of the last value lies in a file.
fn last_value(file: &[u8]) -> usize {
    file.windows(64)
        .rposition(|window| window == [LAST; 64])
        .expect("the row is in the file")
}

/// Two files of two stores make none.
#[test]
fn a_file_of_another_store_is_refused() {
    for file in FILES {
        let (_root, directory) = place();
        used_store(&directory, End::Closed);
        let (_other_root, other) = place();
        let identity = Identity {
            version: "1.0.0".to_owned(),
            log_id: [9; 16],
        };
        drop(data_dir::open(&other, &identity).expect("new"));
        fs::copy(other.join(file), directory.join(file)).expect("copy");
        let error = open(&directory).expect_err("a mixture");
        assert!(
            sentence(&error).contains("it belongs to another store"),
            "{error}"
        );
    }
}

/// The files of one store at two times: a journal that does not reach to where the state ends, or begins behind it.
#[test]
fn files_of_two_times_are_refused() {
    let (_root, directory) = place();
    used_store(&directory, End::Closed);
    let early = FILES.map(|name| fs::read(directory.join(name)).expect("read"));
    let kv = open(&directory).expect("open");
    for value in 0..20_u8 {
        put(&kv, &[value; 10]);
        kv.settle().expect("settle");
    }
    drop(kv);
    for (name, content) in FILES.into_iter().zip(early) {
        let late = fs::read(directory.join(name)).expect("read");
        fs::write(directory.join(name), content).expect("write");
        let error = open(&directory).expect_err("a gap");
        assert!(
            sentence(&error).contains("it does not reach to where the state beside it ends"),
            "{error}"
        );
        fs::write(directory.join(name), late).expect("write");
    }
    drop(open(&directory).expect("the files of one time"));
}

/// A journal that was never used, beside tables into which one was carried.
#[test]
fn an_unused_journal_beside_used_tables_is_refused() {
    let (_root, directory) = place();
    used_store(&directory, End::Closed);
    let (_other_root, other) = place();
    drop(open(&other).expect("new"));
    let unused = fs::read(other.join(JOURNAL_FILE)).expect("read");
    let error = refuse_in(&directory, JOURNAL_FILE, &unused);
    assert!(
        sentence(&error).contains("it does not reach to where the state beside it ends"),
        "{error}"
    );
}

#[test]
fn one_file_without_the_other_is_refused_unless_nothing_was_ever_committed() {
    for end in [End::Closed, End::Crashed] {
        for missing in FILES {
            let (_root, directory) = place();
            used_store(&directory, end);
            fs::remove_file(directory.join(missing)).expect("remove");
            let error = open(&directory).expect_err("half a store");
            assert!(matches!(error, OpenError::Corrupted { .. }), "{error}");
            assert!(sentence(&error).contains(missing), "{error}");
            assert!(!directory.join(missing).exists());
        }
    }
    let (_root, directory) = place();
    drop(open(&directory).expect("new"));
    fs::remove_file(directory.join(STORE_FILE)).expect("remove");
    drop(open(&directory).expect("what a crash leaves of a creation"));
}

#[test]
fn a_path_that_is_no_directory_is_refused() {
    let (root, _) = place();
    let file = root.path().join("file");
    fs::write(&file, "mine").expect("write");
    for path in [file.clone(), file.join("below")] {
        let error = open(&path).expect_err("a file");
        assert_eq!(
            sentence(&error),
            format!("{path:?} is not a directory: give sessiond a directory of its own")
        );
    }
    assert_eq!(fs::read(&file).expect("read"), b"mine");
}

#[test]
fn a_store_that_is_no_regular_file_is_refused() {
    for name in FILES {
        no_regular_file(name);
    }
}

fn no_regular_file(name: &str) {
    let (_root, directory) = place();
    drop(open(&directory).expect("new"));
    let path = directory.join(name);
    let elsewhere = directory.join("elsewhere");
    fs::rename(&path, &elsewhere).expect("rename");
    fs::create_dir(&path).expect("mkdir");
    assert!(matches!(open(&directory), Err(OpenError::NotAStore { .. })));
    fs::remove_dir(&path).expect("rmdir");
    std::os::unix::fs::symlink(&elsewhere, &path).expect("symlink");
    assert!(matches!(open(&directory), Err(OpenError::NotAStore { .. })));
}

#[test]
fn a_directory_that_others_may_enter_is_refused_with_the_remedy() {
    let (_root, directory) = place();
    drop(open(&directory).expect("new"));
    for mode in [0o755, 0o750, 0o701, 0o720, 0o777] {
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).expect("chmod");
        let error = open(&directory).expect_err("open to others");
        assert_eq!(
            sentence(&error),
            format!(
                "data directory {directory:?} is open to other users (mode {mode:04o}): run `chmod 700 {directory:?}`"
            )
        );
    }
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).expect("chmod");
    open(&directory).expect("after the remedy");
}
