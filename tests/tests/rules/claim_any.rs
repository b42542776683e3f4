//! Claims of any session: which one a claim without a reference finds.

use std::time::{Duration, Instant};

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{
    ack, claim, claim_any, claim_within, key, labels, millis, open, payloads,
};
use sessiond_tests::server::Server;

async fn found(caller: &Caller, filter: pb::SessionFilter, worker: &str) -> Vec<String> {
    let answer = caller
        .claim(claim_any(filter, worker))
        .await
        .expect("claimed");
    payloads(&answer.deliveries)
}

#[tokio::test]
async fn the_session_with_the_oldest_pending_message_comes_first() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("late").await;
    caller.with_work(open("first")).await;
    caller.a_millisecond_later().await;
    caller.with_work(open("second")).await;
    caller.a_millisecond_later().await;
    caller.enqueued(key("late"), &["late"]).await;
    let all = pb::SessionFilter::default;
    for (worker, expected) in [("w1", "first"), ("w2", "second"), ("w3", "late")] {
        assert_eq!(
            found(&caller, all(), worker).await,
            [expected],
            "oldest work, not oldest session"
        );
    }
    assert_eq!(
        found(&caller, all(), "w4").await,
        [""; 0],
        "the others hold everything"
    );
}

#[tokio::test]
async fn an_answer_is_of_one_session() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.with_work(open("a")).await;
    caller.with_work(open("b")).await;
    caller.enqueued(key("a"), &["a2"]).await;
    let first = caller.claim(claim(None, "w")).await.expect("claimed");
    assert_eq!(payloads(&first.deliveries), ["a", "a2"]);
    let again = caller.claim(claim(None, "w")).await.expect("claimed");
    assert_eq!(
        payloads(&again.deliveries),
        ["a", "a2"],
        "what it holds comes first"
    );
    caller
        .settled(again.deliveries.iter().map(ack).collect())
        .await;
    let next = caller.claim(claim(None, "w")).await.expect("claimed");
    assert_eq!(payloads(&next.deliveries), ["b"]);
}

#[tokio::test]
async fn a_selector_means_sessions_that_meet_every_condition() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let full = |name: &str, project: &str, team: &str| pb::OpenSessionRequest {
        project: project.to_owned(),
        labels: labels(&[("team", team)]),
        ..open(name)
    };
    caller.with_work(full("agent:one", "/src", "blue")).await;
    caller.with_work(full("agent:two", "/src", "red")).await;
    caller.with_work(full("other:three", "/src", "red")).await;
    caller.with_work(full("agent:four", "/lib", "red")).await;
    let red = || pb::SessionFilter {
        labels: labels(&[("team", "red")]),
        ..pb::SessionFilter::default()
    };
    let none = pb::SessionFilter {
        pool: "gpu".to_owned(),
        ..red()
    };
    assert_eq!(found(&caller, none, "w0").await, [""; 0]);
    let narrow = pb::SessionFilter {
        project: "/lib".to_owned(),
        key_prefix: "agent:".to_owned(),
        pool: "default".to_owned(),
        ..red()
    };
    assert_eq!(found(&caller, narrow, "w1").await, ["agent:four"]);
    let keyed = pb::SessionFilter {
        key_prefix: "other:".to_owned(),
        ..pb::SessionFilter::default()
    };
    assert_eq!(found(&caller, keyed, "w2").await, ["other:three"]);
    assert_eq!(found(&caller, red(), "w3").await, ["agent:two"]);
    assert_eq!(found(&caller, red(), "w4").await, [""; 0]);
}

#[tokio::test]
async fn a_waiting_claim_finds_a_session_that_did_not_exist_when_it_began() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let filter = pb::SessionFilter {
        key_prefix: "agent:".to_owned(),
        ..pb::SessionFilter::default()
    };
    let waits = pb::ClaimMessagesRequest {
        wait: millis(25_000),
        ..claim_any(filter, "w")
    };
    let begun = Instant::now();
    let opens = async {
        caller.with_work(open("other")).await;
        caller.with_work(open("agent:one")).await;
    };
    let (answer, ()) = tokio::join!(caller.claim(waits), opens);
    assert_eq!(
        payloads(&answer.expect("claimed").deliveries),
        ["agent:one"]
    );
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "it did not wait its time out"
    );
}

#[tokio::test]
async fn many_waiting_claims_share_the_work() {
    const WORKERS: usize = 20;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut claims = tokio::task::JoinSet::new();
    for worker in 0..WORKERS {
        let caller = caller.clone();
        claims.spawn(async move {
            let waits = claim_within(None, &format!("w{worker}"), 25_000);
            payloads(&caller.claim(waits).await.expect("claimed").deliveries)
        });
    }
    for at in 0..WORKERS {
        caller.with_work(open(&format!("k{at}"))).await;
    }
    let mut got: Vec<String> = claims.join_all().await.into_iter().flatten().collect();
    got.sort();
    let mut expected: Vec<String> = (0..WORKERS).map(|at| format!("k{at}")).collect();
    expected.sort();
    assert_eq!(
        got, expected,
        "every worker got one session, every session one worker"
    );
}
