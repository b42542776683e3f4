//! Files of exports, read as bytes: what a directory has, and what is in a file.

use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::export_session_response::Record;

/// All that is in the folders of a directory, in order, whole or not.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = |of: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(of).expect("a directory");
        entries
            .map(|entry| entry.expect("an entry").path())
            .collect()
    };
    let folders = entries(directory);
    let mut files: Vec<PathBuf> = folders.iter().flat_map(|folder| entries(folder)).collect();
    files.sort();
    files
}

/// The records of a file, all of it.
///
/// # Panics
/// If it is no export or not whole.
pub fn records(file: &Path) -> Vec<Record> {
    let bytes = fs::read(file).expect("a file");
    let mut left = bytes.as_slice();
    let mut records = Vec::new();
    while !left.is_empty() {
        let response = pb::ExportSessionResponse::decode_length_delimited(&mut left);
        let record = response.expect("a record").record;
        records.push(record.expect("a record of a known kind"));
    }
    let Some(Record::Summary(summary)) = records.last() else {
        panic!("{} breaks off", file.display());
    };
    let count = |of: fn(&Record) -> bool| records.iter().filter(|record| of(record)).count() as u64;
    assert_eq!(
        summary.messages,
        count(|one| matches!(one, Record::Message(_)))
    );
    assert_eq!(
        summary.dead_letters,
        count(|one| matches!(one, Record::DeadLetter(_)))
    );
    assert_eq!(summary.events, count(|one| matches!(one, Record::Event(_))));
    records
}

/// The session that a file is about.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn session(records: &[Record]) -> &pb::Session {
    let session = records.iter().find_map(|record| match record {
        Record::Session(session) => Some(session),
        Record::Header(_)
        | Record::Message(_)
        | Record::DeadLetter(_)
        | Record::Event(_)
        | Record::Summary(_) => None,
    });
    session.expect("an export has a session")
}

/// What its messages carry, given up or not.
#[must_use]
pub fn payloads(records: &[Record]) -> Vec<String> {
    let messages = records.iter().filter_map(|record| match record {
        Record::Message(message) => Some(message),
        Record::DeadLetter(letter) => letter.message.as_ref(),
        Record::Header(_) | Record::Session(_) | Record::Event(_) | Record::Summary(_) => None,
    });
    messages
        .map(|message| String::from_utf8_lossy(&message.payload).into_owned())
        .collect()
}
