//! The refusals: for each kind of file that no store of this version wrote, which sentence, and the file untouched.
//!
//! What happened to files of a store of ours is in `damage`, what is wrong with a path in `paths`.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use redb::{Database, TableDefinition};
use sessiond_store::data_dir::{JOURNAL_FILE, OpenError, STORE_FILE};
use sessiond_store::kv::redb::SCHEMA;

use super::{open, place};

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
pub(super) const FILES: [&str; 2] = [STORE_FILE, JOURNAL_FILE];

fn changed(path: &Path) -> SystemTime {
    let metadata = fs::metadata(path).expect("metadata");
    metadata.modified().expect("modified")
}

/// Puts `content` in place of one file of a new store, opens, and checks that the files are as they were.
pub(super) fn refuse(name: &str, content: &[u8]) -> OpenError {
    let (_root, directory) = place();
    drop(open(&directory).expect("new"));
    refuse_in(&directory, name, content)
}

pub(super) fn refuse_in(directory: &Path, name: &str, content: &[u8]) -> OpenError {
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

pub(super) fn sentence(error: &OpenError) -> String {
    let words = error.to_string();
    assert!(!words.contains('\n') && !words.ends_with('.'), "{words}");
    words
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
