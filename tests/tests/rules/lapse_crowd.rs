//! A crowd of leases that lapse in one tick, while another session is served.
//!
//! All leases of a worker's stream lapse one lease after its last frame, at one instant. What is shown: the server takes
//! them a bounded number at a time, and whoever calls meanwhile is answered between two of these.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_request::Frame as Said;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, enqueue, key, open};
use sessiond_tests::scale::Scale;
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use sessiond_tests::work_stream::{WorkStream, serving};
use tokio::task::JoinSet;

/// Sessions of one worker: as many as one stream may hold, or nearly.
const SESSIONS_PER_WORKER: usize = 4_000;
/// Callers at once while the crowd comes together.
const CALLERS: usize = 64;

/// The shortest lease there is, and room for all of them.
const CONFIG: &str = "[workers]\nlease = \"10s\"\n\n[session]\nmax_sessions = 200_000\n";

/// Reads whatever comes, and is heard for each frame until it is to be silent.
async fn hold(mut worker: WorkStream, silent: Arc<AtomicBool>) {
    while let Ok(Some(_)) = worker.frame().await {
        if !silent.load(Ordering::SeqCst) {
            worker.say(Said::Heartbeat(pb::Heartbeat {}));
        }
    }
}

/// Workers that hold thousands of sessions of the crowd, with a message of each.
async fn gather(caller: &Caller, crowd: usize, silent: &Arc<AtomicBool>) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    for number in 0..crowd.div_ceil(SESSIONS_PER_WORKER) {
        let crowded = pb::SessionFilter {
            key_prefix: "crowd-".to_owned(),
            ..pb::SessionFilter::default()
        };
        let mut hello = serving(&format!("w{number}"), 4_096, crowded);
        let window = hello.window.as_mut().expect("it has one");
        window.max_sessions = Some(u32::try_from(SESSIONS_PER_WORKER).expect("a small number"));
        window.max_bytes = Some(1 << 30);
        let (worker, _) = WorkStream::greet(caller, hello).await;
        workers.spawn(hold(worker, Arc::clone(silent)));
    }
    let mut tasks = JoinSet::new();
    for lane in 0..CALLERS {
        let caller = caller.clone();
        tasks.spawn(async move {
            for number in (lane..crowd).step_by(CALLERS) {
                let name = format!("crowd-{number}");
                let sent = pb::EnqueueMessagesRequest {
                    open_if_missing: Some(open(&name)),
                    ..enqueue(key(&name), &["m"])
                };
                caller.enqueue(sent).await.expect("enqueued");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a caller of the crowd");
    }
    workers
}

/// Messages that are handed out, over all sessions.
async fn in_flight(caller: &Caller) -> u64 {
    let stats = caller.stats(pb::GetStatsRequest {}).await;
    stats
        .expect("counts")
        .messages
        .expect("of messages")
        .in_flight
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_served_while_a_crowd_of_leases_lapses_in_one_tick() {
    let crowd = Scale::from_env().pick(2_000, 4_000, 100_000);
    let server = Server::configured(CONFIG);
    let caller = Caller::to(&server).await;
    let silent = Arc::new(AtomicBool::new(false));
    let workers = gather(&caller, crowd, &silent).await;
    while in_flight(&caller).await < crowd as u64 {}
    caller.opened("served").await;
    let mut watch = WatchStream::from_now(&caller).await;
    silent.store(true, Ordering::SeqCst);
    let lapsing = tokio::spawn(async move {
        let mut lost = Vec::new();
        while lost.len() < crowd {
            let mut events = watch.batch().await.events;
            events.retain(|event| event.r#type() == pb::EventType::WorkerLost);
            lost.extend(events.iter().map(|event| event.revision));
        }
        lost
    });
    let mut answered = Vec::new();
    while !lapsing.is_finished() {
        let sent = caller.enqueue(enqueue(key("served"), &["m"])).await;
        answered.push(sent.expect("enqueued").revision);
        let out = caller.claimed(key("served"), "w").await;
        assert_eq!(out.len(), 1, "nobody else is given it");
        assert_eq!(caller.code(ack(&out[0])).await, pb::SettleCode::Ok);
    }
    let lost = lapsing.await.expect("all of them lapse");
    assert_eq!(lost.len(), crowd);
    let (first, last) = (lost[0], lost[crowd - 1]);
    let between = answered.iter().filter(|at| first < **at && **at < last);
    assert!(
        between.count() > 0,
        "nobody was answered between {first} and {last}: {answered:?}"
    );
    assert_eq!(in_flight(&caller).await, 0, "everything came back");
    drop(workers);
}
