//! The calendar of resets against a server whose wall clock is the test's: sessions are reset when the time comes, and
//! once for each day.
//!
//! The server runs in this process with a clock that stands at any time of day and moves as the machine's does. What this
//! deliberately does not do: say which instants days have; that is shown where they are counted.

#![expect(
    clippy::unwrap_used,
    reason = "a test that finds something else than it awaits fails right there"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::StreamExt as _;
use sessiond::app::{self, Running};
use sessiond::config::{self, Settings};
use sessiond::env::{Clock, Env, Machine};
use sessiond_client::{Client, WatchItem, pb};
use sessiond_core::time::WallTime;
use tempfile::TempDir;

/// 2026-03-10, a day without a change of clocks, at 04:00 in Berlin.
const FOUR: i64 = 1_773_111_600_000;
const HOUR: i64 = 3_600_000;

/// The machine's clocks, with the wall clock moved.
#[derive(Debug)]
struct Moved {
    machine: Env,
    by: AtomicI64,
}

impl Moved {
    /// A clock that stands at this wall time now.
    fn at(wall: i64) -> Arc<Self> {
        let machine = Machine::env();
        let moved = Self {
            machine,
            by: AtomicI64::new(0),
        };
        moved.set(wall);
        Arc::new(moved)
    }

    fn set(&self, wall: i64) {
        let real = i64::try_from(self.machine.clock.wall().0).unwrap();
        self.by.store(wall - real, Ordering::Relaxed);
    }
}

impl Clock for Moved {
    fn monotonic_ms(&self) -> u64 {
        self.machine.clock.monotonic_ms()
    }

    fn wall(&self) -> WallTime {
        let by = self.by.load(Ordering::Relaxed);
        WallTime(self.machine.clock.wall().0.saturating_add_signed(by))
    }
}

/// A server that resets at 04:00 in Berlin, or never, with a clock of the test's.
async fn served(directory: &TempDir, clock: &Arc<Moved>, at: Option<&str>) -> (Running, Client) {
    served_with(directory, clock, at, "").await
}

/// One that has more than that in its file.
async fn served_with(
    directory: &TempDir,
    clock: &Arc<Moved>,
    at: Option<&str>,
    more: &str,
) -> (Running, Client) {
    let at = at.unwrap_or("never");
    let text = format!("[session]\ndaily_reset = {at:?}\ntime_zone = \"Europe/Berlin\"\n{more}");
    let file = directory.path().join("sessiond.toml");
    std::fs::write(&file, text).unwrap();
    let settings = Settings {
        data_dir: directory.path().join("data"),
        listen: "127.0.0.1:0".parse().unwrap(),
        ..config::check(&file).unwrap().settings
    };
    let env = Env {
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        ..Machine::env()
    };
    let running = app::start(&settings, &env).await.unwrap();
    let address = format!("http://{}", running.address());
    let client = Client::builder().addr(address).build().unwrap();
    (running, client)
}

/// The next events of these types, as the reasons and keys of ends.
async fn ends(client: &Client, after: u64, count: usize) -> Vec<(pb::EndReason, String)> {
    let mut watch = client.watch().after(after).start();
    let mut ends = Vec::new();
    while ends.len() < count {
        if let WatchItem::Event(event) = watch.next().await.unwrap().unwrap()
            && event.r#type() == pb::EventType::SessionEnd
        {
            let key = event.session.unwrap().key;
            ends.push((event.end.unwrap().reason(), key));
        }
    }
    ends
}

fn scheduled(keys: &[&str]) -> Vec<(pb::EndReason, String)> {
    let end = |key: &&str| (pb::EndReason::Scheduled, (*key).to_owned());
    keys.iter().map(end).collect()
}

/// Moves the clock to just before four o'clock, and has the server look at it.
async fn nearly(client: &Client, clock: &Moved, four: i64) {
    clock.set(four - 300);
    let session = client
        .existing(sessiond_client::session_key("a"))
        .await
        .unwrap();
    session.touch().await.unwrap();
}

/// Proves: B11.
#[tokio::test]
async fn sessions_are_reset_when_the_time_comes_and_their_messages_go_over() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Moved::at(FOUR - HOUR);
    let (running, client) = served(&directory, &clock, Some("04:00")).await;
    let mut before = Vec::new();
    for key in ["a", "b", "c"] {
        let session = client.session(key).project("p").open().await.unwrap();
        let message = sessiond_client::NewMessage::new("m");
        session.send(message).await.unwrap();
        before.push(session.get().await.unwrap());
    }
    nearly(&client, &clock, FOUR).await;
    assert_eq!(ends(&client, 0, 3).await, scheduled(&["a", "b", "c"]));
    for old in before {
        let ended = sessiond_client::session_id(&old.session_id);
        let ended = client.get(ended).await.unwrap();
        let new = sessiond_client::session_key(&old.key);
        let new = client.get(new).await.unwrap();
        assert_eq!(ended.successor_id, new.session_id);
        let actor = ended.end.unwrap().actor.unwrap();
        assert_eq!(actor.kind(), pb::ActorKind::Reaper);
        assert_eq!((new.project.as_str(), new.queue_id), ("p", old.queue_id));
        assert_eq!(new.counts.unwrap().pending, 1);
    }
    running.stop().await;
}

/// Proves: B11.
#[tokio::test]
async fn a_day_that_was_missed_comes_once_and_a_clock_that_is_set_back_brings_none_twice() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Moved::at(FOUR - 5 * HOUR);
    let (running, client) = served(&directory, &clock, Some("04:00")).await;
    client.session("a").open().await.unwrap();
    running.stop().await;
    // Away at four, back at nine.
    clock.set(FOUR + 5 * HOUR);
    let (running, client) = served(&directory, &clock, Some("04:00")).await;
    assert_eq!(ends(&client, 0, 1).await, scheduled(&["a"]));
    let revision = client.server_info().await.unwrap().current_revision;
    running.stop().await;
    // Once more four o'clock of the same day, on a server that is up.
    clock.set(FOUR - HOUR);
    let (running, client) = served(&directory, &clock, Some("04:00")).await;
    nearly(&client, &clock, FOUR).await;
    let fence = client
        .session("fence")
        .idle_timeout(std::time::Duration::from_secs(1));
    fence.open().await.unwrap();
    let idle = (pb::EndReason::Idle, "fence".to_owned());
    assert_eq!(
        ends(&client, revision, 1).await,
        [idle],
        "and no other before"
    );
    let revision = client.server_info().await.unwrap().current_revision;
    // The next day has a time of its own.
    nearly(&client, &clock, FOUR + 24 * HOUR).await;
    assert_eq!(ends(&client, revision, 1).await, scheduled(&["a"]));
    running.stop().await;
}

#[tokio::test]
async fn a_calendar_that_is_switched_on_has_missed_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Moved::at(FOUR - 25 * HOUR);
    for at in [Some("04:00"), None] {
        let (running, client) = served(&directory, &clock, at).await;
        client.session("a").open().await.unwrap();
        running.stop().await;
    }
    // Two of its times are over by now, but it was off.
    clock.set(FOUR + 5 * HOUR);
    let (running, client) = served(&directory, &clock, Some("04:00")).await;
    let fence = client
        .session("fence")
        .idle_timeout(std::time::Duration::from_millis(500));
    fence.open().await.unwrap();
    let idle = (pb::EndReason::Idle, "fence".to_owned());
    assert_eq!(ends(&client, 0, 1).await, [idle]);
    running.stop().await;
}

/// A session that waits for its slot has nothing to be reset, and whoever opened it waits for its id.
#[tokio::test]
async fn a_session_that_waits_for_its_slot_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Moved::at(FOUR - HOUR);
    let pool = "[pools.default]\nmax_sessions = 1\n";
    let (running, client) = served_with(&directory, &clock, Some("04:00"), pool).await;
    client.session("a").open().await.unwrap();
    let waits = client
        .session("b")
        .wait_for_slot(std::time::Duration::from_secs(3_600));
    let waits = waits.open().await.unwrap();
    nearly(&client, &clock, FOUR).await;
    assert_eq!(ends(&client, 0, 1).await, scheduled(&["a"]));
    // Both would have been asked for together, and are decided in one batch.
    let session = waits.get().await.unwrap();
    assert_eq!(session.state(), pb::SessionState::Queued);
    running.stop().await;
}
