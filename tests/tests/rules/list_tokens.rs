//! Tokens of lists: each goes with the list it came from, and a watch goes on where a list began.

use std::collections::BTreeSet;

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::watch_session_events_request::Start;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::key;
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, about, watch_from};
use tonic::Code;

fn all() -> pb::ListSessionsRequest {
    pb::ListSessionsRequest::default()
}

#[tokio::test]
async fn a_token_goes_with_the_list_that_it_came_from() {
    let server = Server::start_with(&["--namespaces", "other"]);
    let caller = Caller::to(&server).await;
    let elsewhere = Server::start();
    let stranger = Caller::to(&elsewhere).await;
    for name in ["a", "b", "c"] {
        caller.opened(name).await;
        stranger.opened(name).await;
        caller.in_namespace("other").opened(name).await;
    }
    let one = |page_token: &str| pb::ListSessionsRequest {
        page_size: 1,
        page_token: page_token.to_owned(),
        ..all()
    };
    let token = caller.list(one("")).await.expect("listed").next_page_token;
    let foreign = stranger
        .list(one(""))
        .await
        .expect("listed")
        .next_page_token;
    let filtered = pb::ListSessionsRequest {
        filter: Some(pb::SessionFilter {
            project: "/src".to_owned(),
            ..pb::SessionFilter::default()
        }),
        ..one(&token)
    };
    let messages = pb::ListMessagesRequest {
        r#ref: key("a"),
        page_token: token.clone(),
        ..pb::ListMessagesRequest::default()
    };
    let workers = pb::ListWorkersRequest {
        page_size: 1,
        page_token: token.clone(),
    };
    let resume = caller.list(all()).await.expect("listed").resume_token;
    let cut = &token[..token.len() - 2];
    let refusals = [
        caller
            .list(one(&foreign))
            .await
            .expect_err("of another store"),
        caller.list(filtered).await.expect_err("of another filter"),
        caller
            .in_namespace("other")
            .list(one(&token))
            .await
            .expect_err("of another namespace"),
        caller
            .list_messages(messages)
            .await
            .expect_err("of another list"),
        caller
            .list_workers(workers)
            .await
            .expect_err("of another list"),
        caller.list(one(&resume)).await.expect_err("no page's"),
        caller.list(one(cut)).await.expect_err("cut"),
        caller.list(one("garbage")).await.expect_err("none at all"),
    ];
    for refusal in refusals {
        let refusal = refusal.is(Code::InvalidArgument, Reason::FieldInvalid);
        assert_eq!(refusal.fields, ["page_token"]);
    }
}

#[tokio::test]
async fn list_then_watch_misses_nothing() {
    const SESSIONS: usize = 400;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let opens = tokio::spawn({
        let caller = caller.clone();
        async move {
            for at in 0..SESSIONS {
                caller.opened(&format!("k{at}")).await;
            }
        }
    });
    for page_size in [1, 3, 50, 1_000] {
        let request = pb::ListSessionsRequest { page_size, ..all() };
        let mut pages = Vec::new();
        let mut page_token = String::new();
        // A listing that sessions are added to may go on for as long as they are: a few pages do.
        for _ in 0..20 {
            let asked = pb::ListSessionsRequest {
                page_token: page_token.clone(),
                ..request.clone()
            };
            let page = caller.list(asked).await.expect("a page");
            page_token.clone_from(&page.next_page_token);
            pages.push(page);
            if page_token.is_empty() {
                break;
            }
        }
        let resume = pages[0].resume_token.clone();
        let listed: BTreeSet<String> = pages
            .into_iter()
            .flat_map(|page| page.sessions.into_iter().map(|session| session.session_id))
            .collect();
        let mut watch = WatchStream::open(&caller, watch_from(Start::ResumeToken(resume)))
            .await
            .expect("a watch");
        let (events, mark) = watch.bookmark(pb::BookmarkCause::CaughtUp).await;
        let watched: BTreeSet<String> =
            events.iter().map(|event| about(event).to_owned()).collect();
        if page_token.is_empty() {
            let known = listed.union(&watched).count() as u64;
            assert_eq!(
                known, mark.revision,
                "every open so far is in the list or in the watch"
            );
        }
    }
    opens.await.expect("opened");
}
