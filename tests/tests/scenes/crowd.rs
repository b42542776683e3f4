//! "One busy conversation starved all others", and "they all timed out at once and the server stood still".

use std::time::Duration;

use sessiond_proto::v1 as pb;
use sessiond_tests::requests::{ack, claim, enqueue, key, message, millis, payloads};
use sessiond_tests::simulated::Simulated;
use sessiond_tests::work_stream::WorkStream;

/// Sessions beside the hot one.
const QUIET: usize = 8;

#[tokio::test]
async fn a_hot_session_takes_nothing_from_quiet_ones() {
    let server = Simulated::start().await;
    let caller = server.caller();
    let mut worker = WorkStream::worker(&caller, "w", 4).await;
    caller.opened("hot").await;
    worker.attached_to(key("hot")).await;
    let many: Vec<String> = (0..200).map(|at| format!("hot {at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    caller.enqueued(key("hot"), &many).await;
    let mut out = worker.delivered(4).await;
    for at in 0..QUIET {
        let name = format!("quiet {at}");
        caller.opened(&name).await;
        worker.attached_to(key(&name)).await;
        caller.enqueued(key(&name), &[&name]).await;
    }
    // Each message that is settled makes room for one, and whoever waits has its turn before the hot one has its second.
    let mut heard = Vec::new();
    for _ in 0..=QUIET {
        assert_eq!(worker.code(ack(&out.remove(0))).await, pb::SettleCode::Ok);
        let next = worker.delivered(1).await;
        heard.extend(payloads(&next));
        out.extend(next);
    }
    let hot = heard.iter().filter(|one| one.starts_with("hot")).count();
    assert_eq!((heard.len(), hot), (QUIET + 1, 1), "{heard:?}");
}

/// Leases that lapse at once.
const LEASES: usize = 2_000;

/// Proves: F84.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_that_lapse_in_one_tick_return_everything_while_others_are_served() {
    let server =
        Simulated::start_with(|policy| policy.all_pools.max_sessions = Some(LEASES as u64 + 1))
            .await;
    let caller = server.caller();
    for at in 0..LEASES {
        let name = format!("s{at}");
        let opened = pb::EnqueueMessagesRequest {
            open_if_missing: Some(pb::OpenSessionRequest {
                key: name.clone(),
                ..pb::OpenSessionRequest::default()
            }),
            ..enqueue(key(&name), &["m"])
        };
        caller.enqueue(opened).await.expect("taken");
        let asked = pb::ClaimMessagesRequest {
            lease_duration: millis(10_000),
            ..claim(key(&name), &format!("w{at}"))
        };
        let out = caller.claim(asked).await.expect("a claim").deliveries;
        assert_eq!(out.len(), 1);
    }
    caller.opened("other").await;
    let served = {
        let caller = server.caller();
        tokio::spawn(async move {
            for at in 0..50 {
                let request = pb::EnqueueMessagesRequest {
                    messages: vec![message(&format!("m{at}"))],
                    ..enqueue(key("other"), &[])
                };
                caller.enqueue(request).await.expect("served");
            }
        })
    };
    server.advance(Duration::from_secs(10)).await;
    served.await.expect("others are served");
    let stats = caller
        .stats(pb::GetStatsRequest::default())
        .await
        .expect("counts");
    let messages = stats.messages.expect("counts");
    assert_eq!(messages.in_flight, 0);
    assert_eq!(messages.pending, LEASES as u64 + 50);
}
