//! The memory plugins, killed as often as their server: each remembers every session once, as the log tells its end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sessiond_client::{Client, pb};
use sessiond_tests::binaries;
use sessiond_tests::caller::Caller;
use sessiond_tests::progress::Progress;
use sessiond_tests::python::{generate, python};
use sessiond_tests::scale::Scale;
use sessiond_tests::seed;
use sessiond_tests::server::Server;
use sessiond_tests::typescript;
use sessiond_tests::watch_stream::WatchStream;
use tempfile::TempDir;

/// Sessions between two kills.
const SESSIONS: u64 = 20;

/// How long nothing may get on, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One in a process of its own.
struct Plugin {
    child: Child,
    kind: Kind,
    address: String,
    /// What it remembers, and stubs if it needs some.
    directory: TempDir,
}

/// What it is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rust,
    Python,
    TypeScript,
}

impl Plugin {
    fn start(kind: Kind, server: &Server) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        if kind == Kind::Python {
            generate(directory.path());
        }
        // The SDK asks for a URL, the others for none.
        let address = match kind {
            Kind::Rust => server.url(),
            Kind::Python | Kind::TypeScript => server.address().to_owned(),
        };
        let child = run(kind, &address, directory.path());
        Self {
            child,
            kind,
            address,
            directory,
        }
    }

    fn kill(&mut self) {
        // What it was about is lost with it.
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    fn restart(&mut self) {
        self.child = run(self.kind, &self.address, self.directory.path());
    }

    /// What it remembers.
    fn remembered(&self) -> Vec<Value> {
        let directory = self.directory.path();
        let mut command = program(self.kind, directory);
        match self.kind {
            Kind::Rust => command.args(["ls", "--db"]),
            Kind::Python | Kind::TypeScript => command.arg("ls"),
        };
        let output = command.arg(db(directory)).output().expect("it can be run");
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8(output.stdout).expect("text");
        let lines = lines.lines().map(serde_json::from_str);
        lines.map(|line| line.expect("JSON")).collect()
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn db(directory: &Path) -> PathBuf {
    directory.join("memory.db")
}

fn program(kind: Kind, directory: &Path) -> Command {
    match kind {
        Kind::Rust => Command::new(binaries::memory_plugin()),
        Kind::Python => {
            let mut command = Command::new(python());
            command
                .arg(binaries::root().join("examples/memory_plugin.py"))
                .env("PYTHONPATH", directory)
                .env("PYTHONDONTWRITEBYTECODE", "1");
            command
        }
        Kind::TypeScript => typescript::memory_plugin(),
    }
}

fn run(kind: Kind, address: &str, directory: &Path) -> Child {
    let mut command = program(kind, directory);
    match kind {
        Kind::Rust => command.args(["run", "--addr", address, "--db"]),
        Kind::Python | Kind::TypeScript => command.args(["run", address]),
    };
    command
        .arg(db(directory))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it can be started")
}

/// Opens sessions and ends them, whatever becomes of the server.
async fn live_and_end(client: Client, round: u64, progress: Progress) {
    for number in 0..SESSIONS {
        let key = format!("s{round}-{number}");
        let session = client.session(key).open().await.expect("it opens in time");
        let reason = match number % 2 {
            0 => pb::EndReason::Completed,
            _ => pb::EndReason::Failed,
        };
        session.end(reason).send().await.expect("it ends in time");
        progress.step();
    }
}

/// The id and the reason of each end, by session, as the log tells it.
async fn ends(server: &Server, count: u64) -> BTreeMap<String, (String, String)> {
    let caller = Caller::to(server).await;
    let mut watch = WatchStream::from_the_start(&caller).await;
    let mut ends = BTreeMap::new();
    while (ends.len() as u64) < count {
        for event in watch.batch().await.events {
            let Some(end) = &event.end else { continue };
            let reason = end.reason().as_str_name().replace("END_REASON_", "");
            let session = event.session.expect("an end has a session").session_id;
            let known = ends.insert(session, (event.event_id, reason));
            assert_eq!(known, None, "one end for each");
        }
    }
    ends
}

/// Proves: B1.
#[test]
fn the_memory_has_each_session_once_whatever_is_killed() {
    remembers(Kind::Rust, Scale::from_env().pick(4, 20, 200));
}

#[test]
fn and_so_has_one_on_stock_stubs() {
    remembers(Kind::Python, Scale::from_env().pick(4, 20, 200));
}

#[test]
fn and_so_has_one_in_typescript() {
    remembers(Kind::TypeScript, Scale::from_env().pick(4, 20, 200));
}

fn remembers(kind: Kind, kills: u64) {
    let mut rng = seed::rng("memory");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let mut server = Server::start();
    let mut plugin = Plugin::start(kind, &server);
    let client = {
        let _inside = runtime.enter();
        let client = Client::builder().addr(server.url()).build();
        client.expect("the address is a URL")
    };
    for round in 0..kills {
        let progress = Progress::default();
        let callers = live_and_end(client.clone(), round, progress.clone());
        let callers = runtime.spawn(callers);
        let at = rng.u64(..SESSIONS);
        assert!(progress.reach(at, PATIENCE) >= at, "it gets on");
        let (ours, theirs) = (rng.bool(), rng.bool());
        if ours {
            plugin.kill();
        }
        if theirs || !ours {
            server.kill();
            server.restart();
        }
        if ours {
            plugin.restart();
        }
        runtime.block_on(callers).expect("all of them end");
    }
    let count = kills * SESSIONS;
    let began = Instant::now();
    let is_whole = |rows: &[Value]| {
        let ended = rows.iter().filter(|row| !row["reason"].is_null());
        ended.count() as u64 == count
    };
    let mut rows = plugin.remembered();
    while !is_whole(&rows) {
        assert!(began.elapsed() < PATIENCE, "{} of {count}", rows.len());
        rows = plugin.remembered();
    }
    let ends = runtime.block_on(ends(&server, count));
    let text = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
    let remembered = rows.iter().map(|row| {
        let end = (text(row, "end_event"), text(row, "reason"));
        assert!(text(row, "summary").starts_with("0 prompts, 0 messages processed"));
        assert!(row["told"].as_i64() >= Some(1), "{row}");
        (text(row, "session_id"), end)
    });
    let remembered: BTreeMap<_, _> = remembered.collect();
    assert_eq!(rows.len(), remembered.len(), "one row for each");
    let differs = ends
        .iter()
        .find(|(id, end)| remembered.get(*id) != Some(end));
    assert_eq!(differs, None, "as the log tells it");
    assert_eq!(remembered.len(), ends.len());
}
