//! The refusals: for each kind of path and file that is not ours to open, which sentence, and the file untouched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use redb::{Database, TableDefinition};
use sessiond_store::data_dir::{OpenError, STORE_FILE};
use sessiond_store::kv::redb::SCHEMA;

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

/// The file of a store of ours: as a clean close leaves it, or as a crash does.
fn store_file(end: End) -> Vec<u8> {
    let (_root, directory) = place();
    let kv = open(&directory).expect("open");
    for value in 0..20_u8 {
        put(&kv, &[value; 3000]);
    }
    match end {
        End::Closed => kv.close().expect("close"),
        // The copy is taken while the store is open, which is what a crash leaves when all writes have landed.
        End::Crashed => return fs::read(directory.join(STORE_FILE)).expect("read"),
    }
    fs::read(directory.join(STORE_FILE)).expect("read")
}

#[derive(Clone, Copy, Debug)]
enum End {
    Closed,
    Crashed,
}

fn changed(path: &Path) -> SystemTime {
    let metadata = fs::metadata(path).expect("metadata");
    metadata.modified().expect("modified")
}

/// Puts `content` in place of the store, opens, and checks that the file is as it was.
fn refuse(content: &[u8]) -> OpenError {
    let (_root, directory) = place();
    drop(open(&directory).expect("new"));
    let path = directory.join(STORE_FILE);
    fs::write(&path, content).expect("write");
    let before = changed(&path);
    let error = open(&directory).expect_err("to be refused");
    assert!(
        fs::read(&path).expect("read") == content,
        "changed: {error}"
    );
    assert_eq!(changed(&path), before, "touched: {error}");
    // The directory is free again: the same refusal, not "in use".
    assert_eq!(
        open(&directory).expect_err("again").to_string(),
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
        drop(open(&directory).expect("new"));
        fs::write(directory.join(STORE_FILE), store_file(end)).expect("write");
        let kv = open(&directory).expect("open");
        assert_eq!(super::read(&kv), Some(vec![19; 3000]), "{end:?}");
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
        let error = refuse(content);
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
    for content in [closed, crashed] {
        let words = sentence(&refuse(&content));
        assert!(
            words.ends_with("is not a sessiond store: it is a redb file of another program"),
            "{words}"
        );
    }
}

#[test]
fn what_a_newer_version_wrote_is_refused_with_its_name() {
    let error = refuse(&file_with_record(&schema_record(SCHEMA + 1, "9.8.7")));
    assert!(
        matches!(&error, OpenError::TooNew { writer, schema, .. } if writer == "9.8.7" && *schema == SCHEMA + 1),
        "{error}"
    );
    let words = sentence(&error);
    assert!(
        words.contains("was written by sessiond \"9.8.7\" in format 1, and this version reads no format above 0"),
        "{words}"
    );
}

#[test]
fn a_damaged_schema_record_is_refused() {
    let mut flipped = schema_record(SCHEMA, "1.0.0");
    flipped[0] ^= 1;
    for record in [flipped, vec![], vec![0; 10]] {
        let error = refuse(&file_with_record(&record));
        assert!(matches!(error, OpenError::Corrupted { .. }), "{error}");
    }
}

#[test]
fn a_store_without_its_tables_is_refused() {
    let error = refuse(&file_with_record(&schema_record(SCHEMA, "1.0.0")));
    assert!(matches!(error, OpenError::Corrupted { .. }), "{error}");
    assert!(sentence(&error).contains("table counters.v0"), "{error}");
}

#[test]
fn an_empty_or_cut_file_is_refused() {
    assert!(matches!(refuse(b""), OpenError::Corrupted { .. }));
    for end in [End::Closed, End::Crashed] {
        let whole = store_file(end);
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
            let error = refuse(&whole[..len]);
            assert!(
                matches!(error, OpenError::Corrupted { .. }),
                "{end:?}, {len} bytes: {error}"
            );
            sentence(&error);
        }
    }
}

#[test]
fn a_file_with_something_after_its_end_is_refused() {
    for end in [End::Closed, End::Crashed] {
        let mut longer = store_file(end);
        longer.push(0);
        let error = refuse(&longer);
        assert!(
            matches!(error, OpenError::Corrupted { .. }),
            "{end:?}: {error}"
        );
    }
}

/// A file of this size is verified at every open, so one flipped byte in a page that is in use is found before a byte
/// is written.
#[test]
fn a_flipped_byte_is_refused_whether_closed_or_crashed() {
    for end in [End::Closed, End::Crashed] {
        let mut flipped = store_file(end);
        let value = flipped
            .windows(64)
            .rposition(|window| window == [19; 64])
            .expect("the row is in the file");
        flipped[value] ^= 0x10;
        let error = refuse(&flipped);
        assert!(
            matches!(error, OpenError::Corrupted { .. }),
            "{end:?}: {error}"
        );
        sentence(&error);
    }
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
    let (_root, directory) = place();
    drop(open(&directory).expect("new"));
    let path = directory.join(STORE_FILE);
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
