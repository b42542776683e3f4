//! Counts: the session's, the store's and what is there, which agree at every step.

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, claim, end, id, key, nack};
use sessiond_tests::server::Server;
use sessiond_tests::work_stream::WorkStream;

async fn stats(caller: &Caller) -> (pb::SessionStats, pb::MessageStats) {
    let stats = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
    (stats.sessions.unwrap(), stats.messages.unwrap())
}

fn sessions(active: u64, draining: u64, ended: u64) -> pb::SessionStats {
    pb::SessionStats {
        queued: 0,
        active,
        draining,
        ended,
    }
}

fn messages(pending: u64, in_flight: u64, dead_lettered: u64) -> pb::MessageStats {
    pb::MessageStats {
        pending,
        in_flight,
        dead_lettered,
    }
}

/// Proves: F74.
#[tokio::test]
async fn totals_follow_every_step_of_a_message_and_a_session() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    assert_eq!(stats(&caller).await, (sessions(0, 0, 0), messages(0, 0, 0)));
    let first = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["m"; 5]).await;
    assert_eq!(stats(&caller).await, (sessions(1, 0, 0), messages(5, 0, 0)));
    let three = pb::ClaimMessagesRequest {
        max_messages: Some(3),
        ..claim(key("a"), "w")
    };
    let out = caller.claim(three).await.expect("claimed").deliveries;
    assert_eq!(stats(&caller).await.1, messages(2, 3, 0));
    caller.settled(vec![ack(&out[0])]).await;
    assert_eq!(stats(&caller).await.1, messages(2, 2, 0));
    caller
        .settled(vec![nack(&out[1], pb::NackKind::Permanent, None)])
        .await;
    assert_eq!(stats(&caller).await.1, messages(2, 1, 1));
    caller
        .end(end(key("a"), pb::EndReason::Idle, pb::EndMode::Graceful))
        .await
        .expect("ends");
    assert_eq!(stats(&caller).await, (sessions(0, 1, 0), messages(2, 1, 1)));
    caller.settled(vec![ack(&out[2])]).await;
    assert_eq!(
        stats(&caller).await,
        (sessions(0, 0, 1), messages(2, 0, 1)),
        "held ones are pending"
    );
    caller.opened("a").await;
    assert_eq!(stats(&caller).await, (sessions(1, 0, 1), messages(2, 0, 1)));
    caller
        .end(end(key("a"), pb::EndReason::Failed, pb::EndMode::Immediate))
        .await
        .expect("ended");
    assert_eq!(
        stats(&caller).await,
        (sessions(0, 0, 2), messages(0, 0, 3)),
        "given up with it"
    );
    let counts = caller.session(id(&first)).await.counts.unwrap();
    assert_eq!(
        (counts.enqueued, counts.processed, counts.dead_lettered),
        (5, 2, 1)
    );
}

#[tokio::test]
async fn what_the_engine_did_and_who_is_connected_is_counted() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let before = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
    let worker = WorkStream::worker(&caller, "w", 1).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["m"]).await;
    let after = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
    let (was, is) = (before.engine.unwrap(), after.engine.unwrap());
    assert_eq!(is.events - was.events, 1);
    assert!(is.commits > was.commits && is.commands >= was.commands + 3);
    assert_eq!((before.workers_connected, after.workers_connected), (0, 1));
    assert_eq!(after.revision, 1);
    assert!(after.uptime.is_some());
    drop(worker);
    for question in 0.. {
        let now = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
        if now.workers_connected == 0 {
            break;
        }
        assert!(question < 100_000, "it hung up long ago");
    }
}

#[tokio::test]
async fn the_server_says_what_it_is_and_what_it_takes() {
    let server = Server::start_with(&["--namespaces", "blue,amber"]);
    let caller = Caller::to(&server).await;
    let info = caller
        .info(pb::GetServerInfoRequest {})
        .await
        .expect("info");
    assert!(!info.version.is_empty() && !info.log_id.is_empty());
    assert_eq!((info.current_revision, info.oldest_revision), (0, 1));
    assert_eq!(info.namespaces, ["amber", "blue", "default"]);
    assert!(!info.draining);
    assert!(info.start_time.is_some() && info.server_time.is_some() && info.uptime.is_some());
    let limits = info.limits.unwrap();
    assert_eq!(limits.max_payload_bytes, 8 * 1_024 * 1_024);
    assert_eq!(
        (limits.max_batch_messages, limits.max_batch_bytes),
        (256, 16 * 1_024 * 1_024)
    );
    assert_eq!(
        (limits.max_queue_messages, limits.max_sessions),
        (100_000, 1_000)
    );
    assert_eq!(
        (
            limits.max_id_bytes,
            limits.max_kind_bytes,
            limits.max_page_size
        ),
        (256, 64, 1_000)
    );
    let defaults = info.defaults.unwrap();
    let seconds = |span: Option<prost_types::Duration>| span.unwrap().seconds;
    assert_eq!(seconds(defaults.lease_duration), 15);
    assert_eq!(seconds(defaults.claim_lease_duration), 60);
    assert_eq!(seconds(defaults.heartbeat_interval), 5);
    assert_eq!(
        (
            seconds(defaults.end_grace),
            seconds(defaults.end_grace_after_pending)
        ),
        (5, 600)
    );
    assert_eq!(
        (defaults.max_attempts, seconds(defaults.idempotency_window)),
        (3, 86_400)
    );
}
