//! Starting: where the settings come from, what is said, and what a newer version left behind.

use std::path::Path;

use redb::{Database, TableDefinition};
use rustix::process::Signal;
use sessiond_store::data_dir::STORE_FILE;
use sessiond_store::kv::redb::SCHEMA;
use sessiond_tests::caller::Caller;

use super::run::{Run, command};

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is UTF-8")
}

/// A place for a data directory that does not exist, deep in a temporary one.
fn place() -> (tempfile::TempDir, std::path::PathBuf) {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let directory = temporary.path().join("deep").join("data");
    (temporary, directory)
}

#[tokio::test]
async fn the_address_is_told_once_with_the_real_port_and_after_everything_else() {
    let (_temporary, directory) = place();
    let mut run = Run::start(command(&[
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        text(&directory),
    ]));
    let address = run.listening();
    assert!(!address.ends_with(":0"), "{address}");
    let caller = Caller::at(&format!("http://{address}")).await;
    caller.opened("a").await;
    drop(caller);
    run.signal(Signal::TERM);
    let (status, said) = run.ended();
    assert_eq!(status.code(), Some(0), "{said:?}");
    let told = said.iter().filter(|line| line.contains("listening on"));
    assert_eq!(told.count(), 1, "{said:?}");
}

#[tokio::test]
async fn a_flag_wins_over_its_variable_and_no_command_means_serve() {
    let (temporary, directory) = place();
    let socket = format!("unix:{}", temporary.path().join("s").display());
    for arguments in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["--listen", "127.0.0.1:0"],
    ] {
        let mut command = command(arguments);
        command
            .env("SESSIOND_DATA_DIR", &directory)
            .env("SESSIOND_LISTEN", &socket)
            .env("SESSIOND_NAMESPACES", "blue,green");
        let mut run = Run::start(command);
        let address = run.listening();
        let caller = Caller::at(&format!("http://{address}")).await;
        caller.in_namespace("green").opened("a").await;
        run.signal(Signal::INT);
        let (status, said) = run.ended();
        assert_eq!(status.code(), Some(0), "SIGINT is SIGTERM: {said:?}");
    }
    assert!(
        directory.join(STORE_FILE).exists(),
        "made with what is missing above it"
    );
}

/// Variables that no server would take.
const BAD: [(&str, &str); 2] = [
    ("SESSIOND_LISTEN", "0.0.0.0:0"),
    ("SESSIOND_LOG_FORMAT", "runes"),
];

#[tokio::test]
async fn a_flag_wins_over_a_variable_that_is_not_what_it_should_be() {
    let (_temporary, directory) = place();
    let flags = ["--listen", "127.0.0.1:0", "--log-format", "json"];
    for before in [&["serve"][..], &[]] {
        let arguments = [before, &flags, &["--data-dir", text(&directory)]].concat();
        let mut command = command(&arguments);
        command.envs(BAD);
        let mut run = Run::start(command);
        assert!(run.listening().starts_with("127.0.0.1:"), "{arguments:?}");
        run.signal(Signal::TERM);
        let (status, said) = run.ended();
        assert_eq!(status.code(), Some(0), "{arguments:?}: {said:?}");
    }
}

#[test]
fn a_variable_that_is_not_what_it_should_be_is_usage() {
    let (_temporary, directory) = place();
    let data_dir = ["--data-dir", text(&directory)];
    for before in [&["serve"][..], &[]] {
        for (name, value) in BAD {
            let mut command = command(&[before, &data_dir].concat());
            command.env(name, value);
            let (status, said) = Run::start(command).ended();
            assert_eq!(status.code(), Some(2), "{name}: {said:?}");
            let flag = name.replace("SESSIOND_", "--").replace('_', "-");
            let flag = flag.to_lowercase();
            assert!(said.iter().any(|line| line.contains(&flag)), "{said:?}");
            assert!(!directory.exists(), "nothing was made");
        }
    }
}

#[test]
fn a_variable_of_the_server_does_not_keep_help_or_another_command_from_being_read() {
    for arguments in [&["serve", "--help"][..], &["--help"], &["demo", "--help"]] {
        let mut command = command(arguments);
        let output = command.envs(BAD).output().expect("it can be run");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    }
    let mut command = command(&["demo", "--no-such-flag"]);
    let output = command.envs(BAD).output().expect("it can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--no-such-flag"), "{said}");
}

#[test]
fn the_help_of_serving_names_the_variables() {
    for arguments in [&["serve", "--help"][..], &["--help"]] {
        let output = command(arguments).output().expect("it can be run");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("SESSIOND_LISTEN"), "{arguments:?}: {said}");
    }
}

#[test]
fn help_and_version_are_told_and_the_exit_codes_with_them() {
    for (flag, words) in [
        ("--version", "sessiond "),
        ("--help", "data directory was refused"),
    ] {
        let output = command(&[flag]).output().expect("it can be run");
        assert_eq!(output.status.code(), Some(0), "{flag}");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(words), "{flag}: {said}");
    }
}

/// The schema record of a store: format, log, writer, and a checksum over where it lies and what it is.
fn schema_record(schema: u32, writer: &str) -> Vec<u8> {
    let mut record = schema.to_le_bytes().to_vec();
    record.extend([7; 16]);
    record.extend(writer.as_bytes());
    let mut sealed = vec![0, 5, 0, 0, 0];
    sealed.extend(b"store");
    sealed.extend(&record);
    record.extend(crc32(&sealed).to_le_bytes());
    record
}

/// CRC-32 as of IEEE 802.3, bit by bit: it is computed once.
fn crc32(bytes: &[u8]) -> u32 {
    let byte = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(sum & 1))
        })
    };
    !bytes.iter().fold(!0, byte)
}

#[test]
fn a_store_of_a_newer_version_is_refused_by_name_and_untouched() {
    let (_temporary, directory) = place();
    let mut run = Run::start(command(&[
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        text(&directory),
    ]));
    run.listening();
    run.signal(Signal::TERM);
    assert_eq!(run.ended().0.code(), Some(0));
    let store = directory.join(STORE_FILE);
    std::fs::remove_file(&store).expect("it is there");
    let table: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("sessiond");
    let database = Database::create(&store).expect("a database can be made");
    let writing = database.begin_write().expect("it takes writes");
    let record = schema_record(SCHEMA + 1, "9.8.7");
    let mut open = writing.open_table(table).expect("a table can be made");
    open.insert(&b"store"[..], &record[..])
        .expect("it takes a row");
    drop(open);
    writing.commit().expect("it commits");
    drop(database);
    let before = std::fs::read(&store).expect("it can be read");
    let arguments = ["--listen", "127.0.0.1:0", "--data-dir", text(&directory)];
    let (status, said) = Run::start(command(&arguments)).ended();
    assert_eq!(status.code(), Some(3), "{said:?}");
    assert_eq!(said.len(), 1, "one sentence: {said:?}");
    assert!(
        said[0].contains("written by sessiond \"9.8.7\""),
        "{said:?}"
    );
    assert!(
        std::fs::read(&store).expect("still there") == before,
        "untouched"
    );
}
