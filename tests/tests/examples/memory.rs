//! The memory plugin, killed as often as its server: it remembers each session once, as the log tells its end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sessiond_client::{Client, pb};
use sessiond_tests::binaries;
use sessiond_tests::caller::Caller;
use sessiond_tests::progress::Progress;
use sessiond_tests::scale::Scale;
use sessiond_tests::seed;
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;

/// Sessions between two kills.
const SESSIONS: u64 = 20;

/// How long nothing may get on, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The plugin in a process of its own.
struct Plugin {
    child: Child,
    db: PathBuf,
    url: String,
}

impl Plugin {
    fn start(url: String, db: &Path) -> Self {
        let child = run(&url, db);
        let db = db.to_owned();
        Self { child, db, url }
    }

    fn kill(&mut self) {
        // What it was about is lost with it.
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    fn restart(&mut self) {
        self.child = run(&self.url, &self.db);
    }

    /// What it remembers.
    fn remembered(&self) -> Vec<Value> {
        let output = Command::new(binaries::memory_plugin())
            .args(["ls", "--db"])
            .arg(&self.db)
            .output()
            .expect("it can be run");
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

fn run(url: &str, db: &Path) -> Child {
    Command::new(binaries::memory_plugin())
        .args(["run", "--addr", url, "--db"])
        .arg(db)
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
    let kills = Scale::from_env().pick(4, 20, 200);
    let mut rng = seed::rng("memory");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let mut server = Server::start();
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let mut plugin = Plugin::start(server.url(), &temporary.path().join("memory.db"));
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
