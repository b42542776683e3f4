//! Old connections: their streams are told to come back and their calls are finished, and whoever comes back misses nothing
//! and does nothing twice.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use sessiond_client::{Client, Delivery, NewMessage, Outcome, WatchItem, Worker};
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::agent_link_response::Frame as Linked;
use sessiond_proto::v1::watch_session_events_response::Frame as Watched;
use sessiond_proto::v1::work_response::Frame as Worked;
use sessiond_tests::agent_link::AgentLink;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{claim_within, enqueue, id};
use sessiond_tests::scrape::Scrape;
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use sessiond_tests::work_stream::WorkStream;
use tokio::sync::{mpsc, oneshot};

const AGE: &str = "[server]\nmax_connection_age = \"2s\"\n";
/// The age without its tenth: nothing is told before.
const SOONEST: Duration = Duration::from_millis(1_800);
/// With its tenth, the second for which the peer opens no more calls, the two for which a link goes on, and 5 s to spare.
const LATEST: Duration = Duration::from_millis(2_200 + 1_000 + 2_000 + 5_000);

fn is_in_time(began: Instant) {
    let took = began.elapsed();
    assert!((SOONEST..LATEST).contains(&took), "{took:?}");
}

#[tokio::test]
async fn streams_on_an_old_connection_are_told_to_come_back() {
    let server = Server::configured(AGE);
    let began = Instant::now();
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let mut work = WorkStream::worker(&caller, "w", 4).await;
    let away = loop {
        if let Watched::GoAway(away) = watch.next().await {
            break away;
        }
    };
    is_in_time(began);
    assert_eq!(away.reason(), pb::GoAwayReason::MaxAge);
    let last = watch.frame().await.expect("it is closed in order");
    assert_eq!(last, None);
    let mut told = work.next().await;
    while matches!(told, Worked::Heartbeat(_)) {
        told = work.next().await;
    }
    let Worked::GoAway(away) = told else {
        panic!("nothing else is told: {told:?}");
    };
    assert_eq!(away.reason(), pb::GoAwayReason::MaxAge);
    // A worker that stays for a while works as before; a call comes on another connection.
    let session = Caller::to(&server).await.opened("a").await;
    let session = id(&session.session_id);
    work.attached_to(session.clone()).await;
    let enqueued = Caller::to(&server)
        .await
        .enqueue(enqueue(session, &["one"]))
        .await;
    enqueued.expect("it is enqueued");
    let deliveries = work.delivered(1).await;
    assert_eq!(deliveries.len(), 1);
}

#[tokio::test]
async fn an_agent_is_told_and_its_link_closed() {
    let server = Server::configured(AGE);
    let began = Instant::now();
    let caller = Caller::to(&server).await;
    let mut link = AgentLink::of(&caller, "far", "run").await;
    let told = link.rest().await;
    is_in_time(began);
    let is_told = |frame: &Linked| matches!(frame, Linked::GoAway(away) if away.reason() == pb::GoAwayReason::MaxAge);
    assert!(told.iter().any(is_told), "{told:?}");
    // The node is free for the agent's next link.
    AgentLink::of(&Caller::to(&server).await, "far", "next run").await;
}

/// A call that takes longer than its connection may live is answered.
#[tokio::test]
async fn a_call_that_is_open_is_finished() {
    let server = Server::configured(AGE);
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await;
    let began = Instant::now();
    let claim = claim_within(id(&session.session_id), "w", 5_000);
    caller.claim(claim).await.expect("it is answered");
    assert!(began.elapsed() >= Duration::from_secs(5));
}

/// What the SDK's watch and worker see over several connections.
#[tokio::test]
async fn over_many_connections_nothing_is_missed_and_nothing_done_twice() {
    let server = Server::configured("[server]\nmax_connection_age = \"1s\"\n");
    let admitted = || Scrape::of(server.address()).value("connections_admitted_total");
    let client = Client::builder()
        .addr(server.url())
        .build()
        .expect("a client");
    let (done, mut handled) = mpsc::unbounded_channel();
    let worker = Worker::builder(client.clone())
        .name("w")
        .serves(pb::SessionFilter::default());
    let worker = worker.build().expect("a worker");
    let (stop, stopped) = oneshot::channel::<()>();
    let working = tokio::spawn(worker.run(
        move |delivery: Delivery| {
            let done = done.clone();
            async move {
                drop(done.send(String::from_utf8_lossy(delivery.payload()).into_owned()));
                Outcome::ack()
            }
        },
        async move { drop(stopped.await) },
    ));
    let mut watch = client.watch().after(0).start();
    let before = admitted();
    let began = Instant::now();
    let mut rounds = 0;
    let mut revision = 0;
    // Watch and worker are on one connection, calls on another. Streams are told a second after calls.
    while began.elapsed() < Duration::from_secs(7) {
        let session = client
            .session(format!("k{rounds}"))
            .open()
            .await
            .expect("it is opened");
        let message = NewMessage::new("note").payload(rounds.to_string());
        session.send(message).await.expect("it is enqueued");
        let payload = handled.recv().await.expect("the worker works");
        assert_eq!(payload, rounds.to_string(), "each once, in turn");
        session
            .end(pb::EndReason::Completed)
            .send()
            .await
            .expect("it ends");
        loop {
            let item = watch.next().await.expect("the watch goes on");
            let WatchItem::Event(event) = item.expect("it heals") else {
                continue;
            };
            assert!(event.revision > revision, "once and in order");
            revision = event.revision;
            if event.r#type() == pb::EventType::SessionEnd {
                let ended = event.session.expect("it is of a session");
                assert_eq!(ended.session_id, session.id(), "none is missed");
                break;
            }
        }
        rounds += 1;
    }
    // Each was made anew twice at least; the other one is that of the scrape.
    let more = admitted() - before - 1.0;
    assert!(more >= 4.0, "{more} connections in {rounds} rounds");
    drop(stop);
    working.await.expect("no panic").expect("it stops in order");
    assert!(handled.recv().await.is_none(), "nothing was done twice");
}
