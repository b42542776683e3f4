//! Exports before purges, in a process of its own: killed at any moment, without the permission, and read by the command line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sessiond_proto::v1 as pb;
use sessiond_tests::binaries;
use sessiond_tests::caller::Caller;
use sessiond_tests::export_file::{self, files, records};
use sessiond_tests::requests::{end, id, key};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, about};
use tempfile::TempDir;

use super::run::{Run, command};

/// Nobody, by the custom of every system with users.
const NOBODY: u32 = 65_534;
/// How long all of it may take on a busy machine.
const WITHIN: Duration = Duration::from_secs(60);
/// Sessions of the test that kills.
const SESSIONS: usize = 120;
/// Exports after which the server is killed, each time.
const KILLED_AFTER: usize = 7;

fn path(path: &Path) -> &str {
    path.to_str().expect("a temporary path is UTF-8")
}

/// A session that has ended and left a message.
async fn ended(caller: &Caller, of: &str) -> String {
    let session = caller.opened(of).await.session_id;
    caller.enqueued(key(of), &[of]).await;
    let over = end(
        id(&session),
        pb::EndReason::Completed,
        pb::EndMode::Immediate,
    );
    caller.end(over).await.expect("ended");
    session
}

async fn purged(caller: &Caller, session: &str) -> pb::PurgeResult {
    let request = pb::PurgeSessionsRequest {
        session_ids: vec![session.to_owned()],
        ..pb::PurgeSessionsRequest::default()
    };
    let answer = caller.purge(request).await.expect("answered");
    answer.results.into_iter().next().expect("a result")
}

/// What tells a file from one that has taken its place: its number, and when it was written.
type Version = (u64, i64, i64);

/// The files that have their names, by those.
fn whole(directory: &Path) -> BTreeMap<PathBuf, Version> {
    let files = files(directory).into_iter();
    let whole = files.filter(|file| file.extension().is_some_and(|end| end == "export"));
    whole
        .map(|file| {
            let meta = fs::metadata(&file).expect("nobody removes it");
            (file, (meta.ino(), meta.mtime(), meta.mtime_nsec()))
        })
        .collect()
}

/// Proves: F37.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_between_an_export_and_its_purge_loses_nothing() {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let exports = temporary.path().join("exports");
    let mut server = Server::configured(&format!(
        "[session]\nretention = \"2s\"\ncleanup_interval = \"1s\"\nexport_before_purge = {:?}\n\
         [queue]\ndead_letter_retention = \"2s\"\n",
        path(&exports)
    ));
    let caller = Caller::to(&server).await;
    let mut sessions = BTreeMap::new();
    for number in 0..SESSIONS {
        let name = format!("s{number}");
        sessions.insert(ended(&caller, &name).await, name);
    }
    drop(caller);
    let begun = Instant::now();
    let (mut kills, mut between) = (0, 0);
    let mut seen = whole(&exports);
    while seen.len() < SESSIONS {
        let enough = (seen.len() + KILLED_AFTER).min(SESSIONS);
        while whole(&exports).len() < enough {
            assert!(begun.elapsed() < WITHIN, "{} of {SESSIONS}", seen.len());
            std::thread::yield_now();
        }
        server.kill();
        kills += 1;
        let now = whole(&exports);
        // What was written anew after a kill was on record, though its file was there.
        between += seen
            .iter()
            .filter(|(file, version)| now[*file] != **version)
            .count();
        seen = now;
        server.restart();
    }
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_the_start(&caller).await;
    let mut gone = BTreeSet::new();
    while gone.len() < SESSIONS {
        let purged = |event: &pb::SessionEvent| event.r#type() == pb::EventType::SessionPurged;
        let events = watch.until(purged).await;
        for event in events.iter().filter(|event| purged(event)) {
            assert!(gone.insert(about(event).to_owned()), "purged twice");
            assert_eq!(event.attributes["messages"], "1");
        }
    }
    let last = whole(&exports);
    between += seen
        .iter()
        .filter(|(file, version)| last[*file] != **version)
        .count();
    assert!(
        between > 0,
        "none of {kills} kills was between an export and its purge"
    );
    assert_eq!(
        files(&exports).len(),
        SESSIONS,
        "nothing unfinished is left"
    );
    for file in last.keys() {
        let records = records(file);
        let session = &export_file::session(&records).session_id;
        let name = sessions.remove(session).expect("one file for each");
        assert_eq!(export_file::payloads(&records), [name]);
    }
    assert!(sessions.is_empty(), "without a file: {sessions:?}");
}

/// Proves: F37.
#[tokio::test]
async fn a_file_of_a_purged_session_is_imported_as_one_that_was_exported_by_hand() {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let exports = temporary.path().join("exports");
    let toml = format!("[session]\nexport_before_purge = {:?}\n", path(&exports));
    let server = Server::configured(&toml);
    let caller = Caller::to(&server).await;
    let session = ended(&caller, "work").await;
    assert_eq!(
        purged(&caller, &session).await.outcome(),
        pb::PurgeOutcome::Purged
    );
    let file = files(&exports).remove(0);
    let output = Command::new(binaries::sessionctl())
        .args([
            "--addr",
            &server.url(),
            "session",
            "import",
            path(&file),
            "--dead-letters",
        ])
        .output()
        .expect("it can be run");
    assert!(output.status.success(), "{output:?}");
    let new = caller.session(key("work")).await;
    assert_ne!(new.session_id, session);
    let messages = caller.messages_of(key("work")).await;
    assert_eq!(messages.len(), 1);
    assert_eq!(new.counts.expect("counts").pending, 1);
}

/// A server that everybody may run, a directory that only root may write to, and one for data.
struct Place {
    temporary: TempDir,
    exports: PathBuf,
}

impl Place {
    fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a temporary directory can be made");
        let (server, exports) = (
            temporary.path().join("sessiond"),
            temporary.path().join("exports"),
        );
        fs::copy(binaries::sessiond(), &server).expect("the server can be copied");
        let data = temporary.path().join("data");
        for directory in [&exports, &data] {
            fs::create_dir(directory).expect("a directory can be made");
        }
        for (path, mode) in [(temporary.path(), 0o755), (&server, 0o755), (&data, 0o700)] {
            set_mode(path, mode);
        }
        let place = Self { temporary, exports };
        place.give(&data);
        place
    }

    /// Makes something the server's own.
    fn give(&self, path: &Path) {
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("root may give");
        }
    }

    /// A configuration file.
    fn file(&self) -> PathBuf {
        let file = self.temporary.path().join("sessiond.toml");
        let toml = format!(
            "[session]\n\nexport_before_purge = {:?}\n",
            path(&self.exports)
        );
        fs::write(&file, toml).expect("a file can be written");
        set_mode(&file, 0o644);
        file
    }

    /// Starts the server as somebody who is not root.
    fn start(&self) -> Run {
        let (file, data) = (self.file(), self.temporary.path().join("data"));
        let arguments = [
            "--config",
            path(&file),
            "--data-dir",
            path(&data),
            "--listen",
            "127.0.0.1:0",
        ];
        let tool = command(&arguments);
        let mut server = Command::new(self.temporary.path().join("sessiond"));
        server
            .args(tool.get_args())
            .env_clear()
            .current_dir(self.temporary.path());
        if rustix::process::geteuid().is_root() {
            server.uid(NOBODY).gid(NOBODY);
        }
        Run::start(server)
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is the test's");
}

/// Proves: F37.
#[test]
fn a_directory_that_cannot_be_written_to_is_refused_with_its_place() {
    let place = Place::new();
    set_mode(&place.exports, 0o555);
    let (status, said) = place.start().ended();
    assert_eq!(status.code(), Some(2), "{said:?}");
    let expected = [
        format!(
            "{}:3:1: [session] export_before_purge: failed to write into the directory for exports {}: \
             Permission denied (os error 13)",
            path(&place.file()),
            path(&place.exports)
        ),
        "error: 1 problem in the configuration; nothing was started".to_owned(),
    ];
    assert_eq!(said, expected);
}

/// Proves: F37.
#[tokio::test]
async fn a_folder_that_is_read_only_keeps_sessions_and_is_warned_of_once() {
    let place = Place::new();
    let folder = place.exports.join("default");
    fs::create_dir(&folder).expect("a directory can be made");
    place.give(&place.exports);
    place.give(&folder);
    set_mode(&folder, 0o555);
    let mut run = place.start();
    let caller = Caller::at(&format!("http://{}", run.listening())).await;
    let session = ended(&caller, "a").await;
    for _ in 0..3 {
        let error = purged(&caller, &session).await.error.expect("it stays");
        assert_eq!(error.reason, "EXPORT_FAILED");
        assert!(error.message.contains("Permission denied"), "{error:?}");
    }
    set_mode(&folder, 0o755);
    assert_eq!(
        purged(&caller, &session).await.outcome(),
        pb::PurgeOutcome::Purged
    );
    let exported = records(&files(&place.exports)[0]);
    assert_eq!(export_file::session(&exported).session_id, session);
    drop(caller);
    run.signal(Signal::TERM);
    let (status, said) = run.ended();
    assert_eq!(status.code(), Some(0), "{said:?}");
    let warned: Vec<&String> = said
        .iter()
        .filter(|line| line.contains("session kept"))
        .collect();
    assert_eq!(warned.len(), 1, "{said:?}");
    assert!(
        warned[0].contains(&session) && warned[0].contains("Permission denied"),
        "{warned:?}"
    );
}
