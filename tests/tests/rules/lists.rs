//! Lists of sessions: pages that miss nothing, tokens that are checked, and no gap to a watch.

use std::collections::BTreeSet;

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::watch_session_events_request::Start;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{end, key, labels, open, unforeseen};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, watch_from};
use tokio::task::JoinSet;
use tonic::Code;

fn all() -> pb::ListSessionsRequest {
    pb::ListSessionsRequest::default()
}

fn of(filter: pb::SessionFilter) -> pb::ListSessionsRequest {
    pb::ListSessionsRequest {
        filter: Some(filter),
        ..all()
    }
}

async fn keys(caller: &Caller, filter: pb::SessionFilter) -> BTreeSet<String> {
    let listed = caller.list(of(filter)).await.expect("listed").sessions;
    listed.into_iter().map(|session| session.key).collect()
}

/// Every page of a list, in order.
async fn pages(caller: &Caller, request: pb::ListSessionsRequest) -> Vec<pb::ListSessionsResponse> {
    let mut pages: Vec<pb::ListSessionsResponse> = Vec::new();
    loop {
        let page_token = pages
            .last()
            .map_or(String::new(), |page| page.next_page_token.clone());
        let asked = pb::ListSessionsRequest {
            page_token,
            ..request.clone()
        };
        let page = caller.list(asked).await.expect("a page");
        let last = page.next_page_token.is_empty();
        pages.push(page);
        if last {
            return pages;
        }
    }
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn sessions_are_listed_newest_first() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    for name in ["c", "a", "b"] {
        caller.opened(name).await;
    }
    let listed = caller.list(all()).await.expect("listed").sessions;
    let names: Vec<&str> = listed.iter().map(|session| session.key.as_str()).collect();
    assert_eq!(names, ["b", "a", "c"]);
    let session = caller.session(key("a")).await;
    assert_eq!(unforeseen(listed[1].clone()), unforeseen(session));
}

#[tokio::test]
async fn pages_cover_everything_once() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let expected: BTreeSet<String> = (0..25).map(|at| format!("k{at}")).collect();
    for name in &expected {
        caller.opened(name).await;
    }
    for page_size in [1, 7, 24, 25, 26] {
        let request = pb::ListSessionsRequest { page_size, ..all() };
        let pages = pages(&caller, request).await;
        let listed: Vec<String> = pages
            .iter()
            .flat_map(|page| page.sessions.iter().map(|session| session.key.clone()))
            .collect();
        assert_eq!(listed.len(), 25, "pages of {page_size}");
        assert_eq!(listed.into_iter().collect::<BTreeSet<String>>(), expected);
        assert!(
            pages
                .iter()
                .all(|page| page.sessions.len() <= page_size as usize)
        );
        let tokens: BTreeSet<&str> = pages
            .iter()
            .map(|page| page.resume_token.as_str())
            .collect();
        assert_eq!(tokens.len(), 1, "the same on every page of one listing");
    }
}

#[tokio::test]
async fn a_hundred_sessions_are_a_page_unless_another_size_is_asked_for() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut opens = JoinSet::new();
    for at in 0..130 {
        let caller = caller.clone();
        opens.spawn(async move { caller.opened(&format!("k{at}")).await });
    }
    opens.join_all().await;
    let first = caller.list(all()).await.expect("listed");
    assert_eq!(first.sessions.len(), 100);
    assert!(!first.next_page_token.is_empty());
    let largest = pb::ListSessionsRequest {
        page_size: 1_000,
        ..all()
    };
    assert_eq!(
        caller.list(largest).await.expect("listed").sessions.len(),
        130
    );
}

/// A live, a draining and an ended session; answers with the revision before the end.
async fn three_sessions(caller: &Caller) -> u64 {
    let full = |name: &str, project: &str, team: &str| pb::OpenSessionRequest {
        project: project.to_owned(),
        labels: labels(&[("team", team), ("tier", "1")]),
        ..open(name)
    };
    caller
        .open(full("agent:1", "/src", "blue"))
        .await
        .expect("opened");
    caller
        .open(full("agent:2", "/src", "red"))
        .await
        .expect("opened");
    caller
        .open(full("other", "/lib", "red"))
        .await
        .expect("opened");
    caller.enqueued(key("agent:2"), &["m"]).await;
    caller.claimed(key("agent:2"), "w").await;
    caller
        .end(end(
            key("agent:2"),
            pb::EndReason::Idle,
            pb::EndMode::Graceful,
        ))
        .await
        .expect("ends");
    let before_end = caller.revision().await;
    caller
        .end(end(
            key("other"),
            pb::EndReason::Failed,
            pb::EndMode::Immediate,
        ))
        .await
        .expect("ended");
    before_end
}

#[tokio::test]
async fn filters_choose_sessions_by_state_and_end() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let before_end = three_sessions(&caller).await;
    let any = pb::SessionFilter::default;
    let states = |states: &[pb::SessionState]| pb::SessionFilter {
        states: states.iter().map(|state| i32::from(*state)).collect(),
        ..any()
    };
    use pb::SessionState::{Active, Draining, Ended, Queued};
    assert_eq!(
        keys(&caller, any()).await,
        set(["agent:1", "agent:2", "other"])
    );
    assert_eq!(keys(&caller, states(&[Active])).await, set(["agent:1"]));
    assert_eq!(
        keys(&caller, states(&[Draining, Ended])).await,
        set(["agent:2", "other"])
    );
    assert_eq!(keys(&caller, states(&[Queued])).await, set([]));
    let ended_after = |revision: u64| pb::SessionFilter {
        ended_after_revision: Some(revision),
        ..any()
    };
    assert_eq!(keys(&caller, ended_after(0)).await, set(["other"]));
    assert_eq!(keys(&caller, ended_after(before_end)).await, set(["other"]));
    assert_eq!(keys(&caller, ended_after(before_end + 1)).await, set([]));
}

#[tokio::test]
async fn filters_choose_sessions_that_meet_every_condition() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    three_sessions(&caller).await;
    let any = pb::SessionFilter::default;
    let labelled = |pairs: &[(&str, &str)]| pb::SessionFilter {
        labels: labels(pairs),
        ..any()
    };
    assert_eq!(
        keys(&caller, labelled(&[("team", "red")])).await,
        set(["agent:2", "other"])
    );
    assert_eq!(
        keys(&caller, labelled(&[("team", "red"), ("tier", "2")])).await,
        set([])
    );
    let project = |project: &str| pb::SessionFilter {
        project: project.to_owned(),
        ..any()
    };
    assert_eq!(
        keys(&caller, project("/src")).await,
        set(["agent:1", "agent:2"])
    );
    assert_eq!(keys(&caller, project("/s")).await, set([]), "exactly this");
    let prefixed = pb::SessionFilter {
        key_prefix: "agent:".to_owned(),
        labels: labels(&[("team", "blue")]),
        ..any()
    };
    assert_eq!(keys(&caller, prefixed).await, set(["agent:1"]));
    let pool = |pool: &str| pb::SessionFilter {
        pool: pool.to_owned(),
        ..any()
    };
    assert_eq!(keys(&caller, pool("default")).await.len(), 3);
    assert_eq!(keys(&caller, pool("gpu")).await, set([]));
}

#[tokio::test]
async fn a_page_token_is_no_resume_token_and_takes_another_size() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    for name in ["a", "b", "c"] {
        caller.opened(name).await;
    }
    let one = |page_token: &str| pb::ListSessionsRequest {
        page_size: 1,
        page_token: page_token.to_owned(),
        ..all()
    };
    let token = caller.list(one("")).await.expect("listed").next_page_token;
    let watch = WatchStream::open(&caller, watch_from(Start::ResumeToken(token.clone()))).await;
    watch
        .expect_err("a page's token")
        .is(Code::InvalidArgument, Reason::FieldInvalid);
    let larger = pb::ListSessionsRequest {
        page_size: 2,
        ..one(&token)
    };
    assert_eq!(
        caller
            .list(larger)
            .await
            .expect("another size is no other list")
            .sessions
            .len(),
        2
    );
}

#[tokio::test]
async fn reads_create_nothing() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let before = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
    caller.session(key("a")).await;
    caller.list(all()).await.expect("listed");
    caller.messages_of(key("a")).await;
    caller
        .list_workers(pb::ListWorkersRequest::default())
        .await
        .expect("listed");
    caller
        .get(pb::GetSessionRequest { r#ref: key("b") })
        .await
        .expect_err("none");
    let after = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
    assert_eq!(after.sessions, before.sessions);
    assert_eq!(
        (after.messages, after.revision),
        (before.messages, before.revision)
    );
    assert_eq!(after.engine.unwrap().events, before.engine.unwrap().events);
}
