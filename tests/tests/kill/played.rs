//! A recording of real agents, played with workers and a watcher in other processes: first undisturbed,
//! then with the server killed over and over.
//!
//! Invariant: both runs must come to the same, which is what the file says. In the second one the sender
//! is this process, which keeps a journal of what was acknowledged; the plan of kills is drawn over the
//! whole of the work, so that some fall while messages come in and some while they go out. What this
//! deliberately does not do: let a worker fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use fastrand::Rng;
use sessiond_client::hook::event::HookEvent;
use sessiond_client::hook::{self, HookRequest, Occurrence};
use sessiond_client::{Client, RetryPolicy, pb};
use sessiond_tests::progress::Progress;
use sessiond_tests::recording::{Deed, Recorded, Recording};
use sessiond_tests::scale::Scale;
use sessiond_tests::seed;
use sessiond_tests::server::Server;
use sessiond_tests::sessionctl::Sessionctl;

use super::verdict::{self, number, text};

/// How long nothing may happen, restarts and a busy machine included.
const PATIENCE: Duration = Duration::from_secs(90);

/// Worker processes.
const WORKERS: usize = 2;

/// Sessions that send at once.
const LANES: usize = 16;

/// How much later than planned a kill may come: about as long as a commit takes, so that kills fall into
/// every part of one.
const KILL_JITTER: Duration = Duration::from_millis(3);

/// The processes that look on and work.
struct Audience {
    workers: Vec<Sessionctl>,
    watcher: Sessionctl,
}

/// What was acknowledged: the session and number of each message, by key and name.
type Acknowledged = Arc<Mutex<BTreeMap<(String, String), (String, u64)>>>;

#[test]
fn a_recording_comes_to_what_was_recorded() {
    let recording = Recording::load();
    let server = Server::start();
    let progress = Progress::default();
    let audience = Audience::gather(&server, &progress);
    let file = recording.path().to_str().expect("the path is text");
    let mut replay = Sessionctl::start(&server, &["replay", file], &progress);
    assert!(replay.finish().success(), "{}", replay.said().join("\n"));
    let [counts] = replay.printed().try_into().expect("one line of counts");
    for (name, deed) in [
        ("opens", Deed::Open),
        ("prompts", Deed::Prompt),
        ("messages", Deed::Message),
        ("ends", Deed::End),
    ] {
        assert_eq!(
            number(&counts, name),
            recording.count(deed) as u64,
            "{name}"
        );
    }
    let repeated = recording.count(Deed::Message) - recording.messages();
    assert_eq!(number(&counts, "duplicates"), repeated as u64);
    assert_eq!(
        (number(&counts, "ignored"), number(&counts, "failed")),
        (0, 0)
    );
    audience.leave_satisfied(&recording, &server);
}

#[test]
fn a_recording_comes_to_the_same_when_the_server_is_killed() {
    let recording = Arc::new(Recording::load());
    let mut rng = seed::rng("recording under kills");
    let kills = Scale::from_env().pick(10, 20, 60);
    let mut server = Server::start();
    let progress = Progress::default();
    let audience = Audience::gather(&server, &progress);
    let acknowledged = Acknowledged::default();
    let sender = {
        let (recording, url) = (Arc::clone(&recording), server.url());
        let (progress, acknowledged) = (progress.clone(), Arc::clone(&acknowledged));
        std::thread::spawn(move || send(&recording, &url, &progress, &acknowledged))
    };
    // Every event that is sent and every message that is worked on is a step; there are as many kills as
    // planned whatever else is counted.
    let steps = (recording.events().len() + recording.messages()) as u64;
    for point in plan(kills, steps, &mut rng) {
        assert!(
            progress.reach(point, PATIENCE) >= point,
            "stuck before {point}"
        );
        tarry(&mut rng);
        server.kill();
        server.restart();
    }
    sender.join().expect("everything was acknowledged");
    let printed = audience.leave_satisfied(&recording, &server);
    let acknowledged = acknowledged.lock().expect("the sender is done");
    assert_eq!(acknowledged.len(), recording.messages());
    let worked_on: BTreeMap<_, _> = printed
        .iter()
        .flatten()
        .map(|message| (text(message, "session_id"), number(message, "seq")))
        .zip(printed.iter().flatten().map(|m| text(m, "idempotency_key")))
        .collect();
    for ((key, name), (session, seq)) in acknowledged.iter() {
        let seen = worked_on.get(&(session.as_str(), *seq));
        assert_eq!(seen, Some(&name.as_str()), "message {seq} of {key}");
    }
}

/// Distinct steps, in order, at which the server is killed.
fn plan(kills: usize, steps: u64, rng: &mut Rng) -> Vec<u64> {
    let kills = kills.min(usize::try_from(steps / 2).expect("a recording fits in memory"));
    let mut points = std::collections::BTreeSet::new();
    while points.len() < kills {
        points.insert(rng.u64(1..steps));
    }
    points.into_iter().collect()
}

/// Lets some time pass on purpose: what is being killed is in the midst of something.
pub(crate) fn tarry(rng: &mut Rng) {
    let life = KILL_JITTER.mul_f64(rng.f64());
    let start = Instant::now();
    while start.elapsed() < life {
        std::thread::yield_now();
    }
}

/// Sends all events, side by side and each session in order; repeats until each is acknowledged.
fn send(recording: &Recording, url: &str, progress: &Progress, acknowledged: &Acknowledged) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    runtime.block_on(async {
        let patient = RetryPolicy::within(PATIENCE)
            .backoff(Duration::from_millis(20), Duration::from_millis(200));
        let client = Client::builder().addr(url).retry(patient).build();
        let client = client.expect("the address is a URL");
        let sessions = recording.sessions();
        let lanes = sessions.into_iter().map(|(key, events)| {
            let client = &client;
            async move { send_session(client, key, &events, progress, acknowledged).await }
        });
        let lanes = futures_util::stream::iter(lanes);
        futures_util::StreamExt::for_each_concurrent(lanes, LANES, |lane| lane).await;
    });
}

async fn send_session(
    client: &Client,
    key: &str,
    events: &[&Recorded],
    progress: &Progress,
    acknowledged: &Acknowledged,
) {
    for (at, recorded) in events.iter().enumerate() {
        let event = HookEvent::parse(&recorded.text).expect("a recorded event");
        let occurrence = Occurrence {
            time: SystemTime::UNIX_EPOCH,
            key: format!("{key}:{at}"),
        };
        match hook::request(&event, &occurrence) {
            None => {}
            Some(HookRequest::Open(open)) => {
                client.open(*open).await.expect("it opens");
            }
            Some(HookRequest::End(end)) => {
                client.end(*end).await.expect("it ends");
            }
            Some(HookRequest::Enqueue(enqueue)) => {
                let name = enqueue.messages[0].idempotency_key.clone();
                let answer = client.enqueue(*enqueue).await.expect("it is taken");
                let told = (answer.session_id, answer.results[0].seq);
                let mut journal = acknowledged.lock().expect("no lane panics with it");
                let known = journal.insert((key.to_owned(), name), told.clone());
                assert!(
                    known.is_none_or(|known| known == told),
                    "a repeat of {told:?} was told something else before"
                );
            }
        }
        progress.step();
    }
}

// === impl Audience ===

impl Audience {
    fn gather(server: &Server, progress: &Progress) -> Self {
        let watcher = Sessionctl::start(server, &["watch", "--after", "0"], &Progress::default());
        watcher.until_said("watching log");
        let workers: Vec<_> = (0..WORKERS)
            .map(|at| {
                let name = format!("worker-{at}");
                Sessionctl::start(server, &["work", "--name", &name], progress)
            })
            .collect();
        for worker in &workers {
            worker.until_said("connected");
        }
        Self { workers, watcher }
    }

    /// Waits for the end of everything and checks it; answers what each worker printed.
    fn leave_satisfied(
        mut self,
        recording: &Recording,
        server: &Server,
    ) -> Vec<Vec<serde_json::Value>> {
        let is_end = |event: &&serde_json::Value| event["type"] == "EVENT_TYPE_SESSION_END";
        self.watcher.until(PATIENCE, |events| {
            events.iter().filter(is_end).count() >= recording.sessions().len()
        });
        for worker in &mut self.workers {
            assert!(worker.terminate().success(), "{}", worker.said().join("\n"));
            let complaint = worker
                .said()
                .into_iter()
                .find(|line| line.contains("not settled"));
            assert_eq!(
                complaint, None,
                "every message was settled by its one delivery"
            );
        }
        let stats = stats(server);
        verdict::nothing_left(recording, &stats);
        let newest = stats.revision;
        self.watcher.until(PATIENCE, |events| {
            let last = events.last().map_or(0, |event| number(event, "revision"));
            last >= newest
        });
        // It knows no end of its own; however it goes, it has printed what there was.
        self.watcher.terminate();
        let events = self.watcher.printed();
        verdict::whole_log(&events);
        assert_eq!(events.len() as u64, newest);
        assert_eq!(
            events,
            read_again(server, newest),
            "a second look shows another log"
        );
        let keys = verdict::ends(recording, &events);
        let printed: Vec<_> = self.workers.iter().map(Sessionctl::printed).collect();
        verdict::handed_out(recording, &keys, &printed);
        printed
    }
}

/// The log as a new watcher sees it.
fn read_again(server: &Server, newest: u64) -> Vec<serde_json::Value> {
    let arguments = ["watch", "--after", "0", "--count", &newest.to_string()];
    let mut watcher = Sessionctl::start(server, &arguments, &Progress::default());
    assert!(watcher.finish().success(), "{}", watcher.said().join("\n"));
    watcher.printed()
}

fn stats(server: &Server) -> pb::GetStatsResponse {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    runtime.block_on(async {
        let client = Client::builder().addr(server.url()).build();
        let client = client.expect("the address is a URL");
        client.stats().await.expect("the server counts")
    })
}
