//! Lists: their pages one after the other, and where they end.

use futures_util::StreamExt;
use sessiond_client::{Error, Reason, pb};
use tonic::Code;

use crate::fake_server::{Call, FakeServer, refusal, session, within};

#[tokio::test]
async fn lists_go_over_their_pages() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let request = pb::ListSessionsRequest {
        page_size: 2,
        ..Default::default()
    };
    let listing = tokio::spawn(client.list_all(request).collect::<Vec<_>>());
    let pages = [
        ("", "1", vec!["a", "b"]),
        ("1", "2", vec![]),
        ("2", "", vec!["c"]),
    ];
    for (token, next, ids) in pages {
        let Call::List(call) = server.call().await else {
            panic!("expected a list");
        };
        assert_eq!(call.request.page_token, token);
        assert_eq!(call.request.page_size, 2);
        call.answer(pb::ListSessionsResponse {
            sessions: ids.iter().filter_map(|id| session(id)).collect(),
            next_page_token: next.to_owned(),
            resume_token: String::new(),
        });
    }
    let sessions = within(listing).await.unwrap();
    let ids: Vec<String> = sessions
        .into_iter()
        .map(|one| one.unwrap().session_id)
        .collect();
    assert_eq!(ids, ["a", "b", "c"]);
}

#[tokio::test]
async fn dead_letters_are_listed_over_pages_with_the_filter_on_each() {
    let mut server = FakeServer::start().await;
    let letters = server
        .client()
        .dead_letters()
        .session(sessiond_client::session_key("k"))
        .kind("note")
        .reason(pb::DeadLetterReason::Permanent)
        .since(std::time::UNIX_EPOCH);
    let listing = tokio::spawn(letters.list_with_payloads().collect::<Vec<_>>());
    let letter = |attempts: u32| pb::DeadLetter {
        attempts,
        ..Default::default()
    };
    for (token, next, attempts) in [("", "more", 1), ("more", "", 2)] {
        let Call::ListDeadLetters(call) = server.call().await else {
            panic!("expected a list");
        };
        let filter = call.request.filter.clone().unwrap();
        assert_eq!(filter, letters.clone().filter());
        assert_eq!(filter.kinds, ["note"]);
        assert_eq!(call.request.page_token, token);
        assert!(call.request.include_payload);
        call.answer(pb::ListDeadLettersResponse {
            dead_letters: vec![letter(attempts)],
            next_page_token: next.to_owned(),
        });
    }
    let listed = within(listing).await.unwrap();
    let attempts: Vec<u32> = listed
        .into_iter()
        .map(|one| one.unwrap().attempts)
        .collect();
    assert_eq!(attempts, [1, 2]);
}

#[tokio::test]
async fn a_list_ends_after_an_error() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let request = pb::ListMessagesRequest::default();
    let listing = tokio::spawn(client.list_all_messages(request).collect::<Vec<_>>());
    let Call::ListMessages(call) = server.call().await else {
        panic!("expected a list");
    };
    call.answer(pb::ListMessagesResponse {
        messages: vec![pb::Message::default()],
        next_page_token: "more".to_owned(),
    });
    let Call::ListMessages(call) = server.call().await else {
        panic!("expected a list");
    };
    call.refuse(refusal(Code::NotFound, Reason::SessionNotFound, None));
    let items = within(listing).await.unwrap();
    assert_eq!(items.len(), 2);
    assert!(items[0].is_ok());
    assert!(matches!(items[1], Err(Error::NotFound(_))));
}
