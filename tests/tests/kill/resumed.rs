//! Watches that begin anywhere in the log, while events are written, deleted and the server is killed: each brings what the
//! log has behind its place, as far as its filter lets it pass, or is told that it is gone.
//!
//! Invariant: what one watch that reads everything through all kills has seen is the measure; of another one every event
//! is compared with that. Ordered, unique, reliable (nothing is left out), atomic (what was decided together comes together),
//! resumable (behind every token) and bookmarkable (nothing up to a bookmark comes later). What this deliberately does not do:
//! look at subscriptions; `plugins.rs` does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use futures_util::StreamExt;
use sessiond_client::{Client, RetryPolicy, WatchItem, pb};
use sessiond_proto::reason::Reason;
use sessiond_proto::v1::watch_session_events_request::Start;
use sessiond_proto::v1::watch_session_events_response::Frame;
use sessiond_tests::caller::Caller;
use sessiond_tests::progress::Progress;
use sessiond_tests::refusal::Refusal;
use sessiond_tests::scale::Scale;
use sessiond_tests::seed;
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use tonic::Code;

/// Clients that open sessions, each in place of the one before.
const CALLERS: u64 = 4;

/// Watches at a time, and for each kill.
const LANES: u64 = 16;
const LIFE: u64 = 6_000;

/// The most frames that one reads, and the farthest that it begins behind the newest event.
const FRAMES: u64 = 8;
const FARTHEST: u64 = 12_000;

/// How long nothing may get on, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The fewest events that may be kept: with as many there, some are deleted each second.
const KEPT: u64 = 10_000;
const CONFIG: &str = "[events]\nmax_events = 10_000\n[session]\nmax_sessions = 1_000_000\n";

/// The whole log, as it is told to one watch.
#[derive(Clone, Debug, Default)]
struct Log {
    events: Arc<Mutex<BTreeMap<u64, pb::SessionEvent>>>,
    progress: Progress,
}

/// What the watches share.
#[derive(Clone, Debug, Default)]
struct Shared {
    log: Log,
    /// Tokens that watches left, with what each stands for: a token is good for the filter that it was given with.
    left: Arc<Mutex<Vec<(u64, String, Which)>>>,
    read: Progress,
    compacted: Progress,
    /// Set once the server is about to be killed: no further watch begins.
    dies: Arc<AtomicBool>,
}

/// Which events a watch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    All,
    Ends,
    /// Those of one caller's sessions.
    Key(u64),
}

/// What a watch has brought.
struct Heard {
    events: Vec<pb::SessionEvent>,
    /// The last event of each batch.
    batches: Vec<u64>,
    /// Everything up to here was sent.
    through: u64,
    token: String,
}

/// Proves: G20.
#[test]
fn a_watch_from_anywhere_brings_what_the_log_has_behind_it() {
    let (goal, written_before) = Scale::from_env().pick((500, 0), (10_000, KEPT), (100_000, KEPT));
    let mut rng = seed::rng("resumed");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let mut server = Server::configured(CONFIG);
    let shared = Shared::default();
    let stop = Arc::new(AtomicBool::new(false));
    let client = {
        let _inside = runtime.enter();
        // Not for long, however often the server dies: what is not read by then is deleted.
        let soon = RetryPolicy::within(PATIENCE);
        let soon = soon.backoff(Duration::from_millis(20), Duration::from_millis(200));
        let client = Client::builder().addr(server.url()).retry(soon).build();
        client.expect("the address is a URL")
    };
    let log = runtime.spawn(follow(client.clone(), shared.log.clone()));
    let callers = (0..CALLERS).map(|at| call(client.clone(), at, Arc::clone(&stop)));
    let callers: Vec<_> = callers.map(|call| runtime.spawn(call)).collect();
    let written = shared.log.progress.reach(written_before, PATIENCE);
    assert!(written >= written_before, "{written} events were written");
    while shared.read.count() < goal {
        let mut lanes = Vec::new();
        shared.dies.store(false, Ordering::Relaxed);
        for _ in 0..LANES {
            // A connection for each: one that has dropped a thousand streams which were sent to is given up by its own side.
            let caller = runtime.block_on(Caller::to(&server));
            lanes.push(runtime.spawn(live(caller, shared.clone(), rng.fork())));
        }
        // Some come to nothing and do not count.
        let at = (shared.read.count() + rng.u64(..LIFE / 2)).min(goal);
        let reached = shared.read.reach(at, PATIENCE);
        assert!(reached >= at, "watches get on");
        shared.dies.store(true, Ordering::Relaxed);
        server.kill();
        server.restart();
        for lane in lanes {
            runtime.block_on(lane).expect("no watch finds fault");
        }
        assert!(!log.is_finished(), "the log is told on");
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        runtime.block_on(caller).expect("a caller finds no fault");
    }
    eprintln!(
        "DEBUG {} {}",
        shared.log.progress.count(),
        shared.compacted.count()
    );
    // Where that many were written, events were deleted under the watches.
    assert!(written_before == 0 || shared.compacted.count() > 0);
}

/// Watches, one after the other; the server dies in the midst of them.
async fn live(caller: Caller, shared: Shared, mut rng: Rng) {
    for _ in 0..LIFE / LANES {
        if shared.dies.load(Ordering::Relaxed) {
            return;
        }
        one(&caller, &shared, &mut rng).await;
    }
}

/// One watch, from a place somewhere, and what it must have brought.
async fn one(caller: &Caller, shared: &Shared, rng: &mut Rng) {
    let drawn = match rng.u64(..CALLERS + 2) {
        0 => Which::All,
        1 => Which::Ends,
        other => Which::Key(other - 2),
    };
    let newest = shared.log.progress.count();
    let left = {
        let mut left = shared.left.lock().expect("the tokens");
        let resumes = rng.bool() && !left.is_empty();
        resumes.then(|| {
            let at = rng.usize(..left.len());
            left.swap_remove(at)
        })
    };
    let (after, start, which) = match left {
        Some((revision, token, which)) => (revision, Start::ResumeToken(token), which),
        None => {
            let after = newest.saturating_sub(rng.u64(..=FARTHEST));
            (after, Start::AfterRevision(after), drawn)
        }
    };
    let request = pb::WatchSessionEventsRequest {
        start: Some(start),
        filter: Some(which.filter()),
        bookmark_interval: Duration::from_millis(20).try_into().ok(),
        ..pb::WatchSessionEventsRequest::default()
    };
    let mut heard = Heard {
        events: Vec::new(),
        batches: Vec::new(),
        through: after,
        token: String::new(),
    };
    let frames = rng.u64(1..=FRAMES);
    if let Err(refused) = heard.read(caller, request, frames).await {
        if refused.reason == Reason::RevisionCompacted.as_str() {
            let oldest = refused.metadata["oldest_revision"].parse::<u64>();
            let oldest = oldest.expect("a revision");
            assert!(oldest > heard.through + 1, "what it wants next is kept");
            shared.compacted.step();
        } else {
            // The server is dead. What came before counts all the same.
            let gone = [Code::Unavailable, Code::Unknown, Code::Cancelled];
            assert!(gone.contains(&refused.code), "{refused:?}");
        }
    }
    heard.check(after, which, &shared.log).await;
    if !heard.token.is_empty() {
        shared.read.step();
        let mut left = shared.left.lock().expect("the tokens");
        left.push((heard.through, heard.token, which));
    }
}

impl Which {
    fn filter(self) -> pb::EventFilter {
        let mut filter = pb::EventFilter::default();
        match self {
            Self::All => {}
            Self::Ends => filter.types = vec![pb::EventType::SessionEnd.into()],
            Self::Key(at) => filter.key_glob = key(at),
        }
        filter
    }

    fn matches(self, event: &pb::SessionEvent) -> bool {
        match self {
            Self::All => true,
            Self::Ends => event.r#type() == pb::EventType::SessionEnd,
            Self::Key(at) => event.session.as_ref().is_some_and(|of| of.key == key(at)),
        }
    }
}

impl Heard {
    /// Reads some frames.
    async fn read(
        &mut self,
        caller: &Caller,
        request: pb::WatchSessionEventsRequest,
        frames: u64,
    ) -> Result<(), Refusal> {
        let mut watch = WatchStream::open(caller, request).await?;
        for _ in 0..frames {
            match watch.frame().await? {
                Some(Frame::Batch(batch)) => {
                    self.through = batch.events.last().expect("one at least").revision;
                    self.batches.push(self.through);
                    self.events.extend(batch.events);
                    self.token = batch.resume_token;
                }
                Some(Frame::Bookmark(mark)) => {
                    assert!(mark.revision >= self.through, "a bookmark goes back");
                    self.through = mark.revision;
                    self.token = mark.resume_token;
                }
                other => panic!("events and bookmarks come, not {other:?}"),
            }
        }
        Ok(())
    }

    /// Compares it with the log.
    async fn check(&self, after: u64, which: Which, log: &Log) {
        let (progress, through) = (log.progress.clone(), self.through);
        let told = tokio::task::spawn_blocking(move || progress.reach(through, PATIENCE));
        let told = told.await.expect("it waits");
        assert!(told >= through, "the log is told up to {told} of {through}");
        let events = log.events.lock().expect("the log");
        let behind = events.range(after + 1..).map(|(_, event)| event);
        let meant = behind.take_while(|event| event.revision <= through);
        let mut meant = meant.filter(|event| which.matches(event));
        let mut heard = self.events.iter();
        loop {
            let (expected, came) = (meant.next(), heard.next());
            assert_eq!(came, expected, "{which:?} after {after}");
            if expected.is_none() {
                break;
            }
        }
        for last in &self.batches {
            let parted = is_parted(&events, *last, which);
            assert!(!parted, "{which:?} was given half a decision, up to {last}");
        }
    }
}

/// Whether what was decided together with an event comes behind it, and is meant too.
fn is_parted(events: &BTreeMap<u64, pb::SessionEvent>, last: u64, which: Which) -> bool {
    let (Some(event), Some(next)) = (events.get(&last), events.get(&(last + 1))) else {
        return false;
    };
    let replaced = event.end.as_ref();
    let replaced = replaced.is_some_and(|end| end.reason() == pb::EndReason::Replaced);
    replaced && which.matches(next)
}

fn key(at: u64) -> String {
    format!("key-{at}")
}

/// Opens sessions of one key, each in place of the one before, until it is told to stop.
async fn call(client: Client, at: u64, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let open = pb::OpenSessionRequest {
            key: key(at),
            conflict_policy: pb::ConflictPolicy::Replace.into(),
            ..pb::OpenSessionRequest::default()
        };
        // Whether it was done is in the log.
        drop(client.open(open).await);
    }
}

/// Reads all of the log, once.
async fn follow(client: Client, log: Log) {
    let mut watch = client.watch().after(0).start();
    while let Some(item) = watch.next().await {
        match item.expect("the watch goes on") {
            WatchItem::Event(event) => {
                let next = log.progress.count() + 1;
                assert_eq!(event.revision, next, "a gap or a repeat in the log");
                log.events.lock().expect("the log").insert(next, *event);
                log.progress.step();
            }
            WatchItem::Gap { oldest, .. } => panic!("events before {oldest} went unread"),
            WatchItem::Started(_)
            | WatchItem::Reconnected(_)
            | WatchItem::Initial(_)
            | WatchItem::InitialEnd
            | WatchItem::Bookmark(_) => {}
        }
    }
}
