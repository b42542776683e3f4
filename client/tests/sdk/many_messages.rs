//! Requeueing and discarding: the calls that many messages are divided among, and the sum of their answers.

use sessiond_client::pb;

use crate::fake_server::{Call, FakeServer, within};

#[tokio::test]
async fn named_letters_are_brought_back_in_calls_of_their_own_ids() {
    let mut server = FakeServer::start().await;
    let letters = (1..=300).map(|seq| (7, seq));
    let requeue = server
        .client()
        .requeue(letters)
        .into_session(sessiond_client::session_key("k"))
        .request_id("r");
    let sent = tokio::spawn(requeue.send_all());
    for (request_id, count, first, not_reached) in [("r", 256, 1, 56), ("r/2", 100, 201, 0)] {
        let Call::Requeue(call) = server.call().await else {
            panic!("expected a requeue");
        };
        let seqs: Vec<u64> = call.request.letters.iter().map(|one| one.seq).collect();
        assert_eq!(call.request.request_id, request_id);
        assert_eq!((seqs.len(), seqs[0]), (count, first));
        assert!(call.request.into.is_some() && call.request.filter.is_none());
        call.answer(pb::RequeueDeadLettersResponse {
            requeued: count as u64 - not_reached,
            not_reached,
            ..Default::default()
        });
    }
    let told = within(sent).await.unwrap().unwrap();
    assert_eq!((told.requeued, told.not_reached), (300, 0));
}

#[tokio::test]
async fn messages_are_discarded_page_by_page_and_the_counts_are_added() {
    let mut server = FakeServer::start().await;
    let session = sessiond_client::session_id("s");
    let filter = pb::MessageFilter::default();
    let discard = server.client().discard_matching(session, filter);
    let sent = tokio::spawn(discard.send_all());
    let mut ids = Vec::new();
    for (token, next) in [("", "more"), ("more", "")] {
        let Call::Discard(call) = server.call().await else {
            panic!("expected a discard");
        };
        assert_eq!(call.request.page_token, token);
        ids.push(call.request.request_id.clone());
        call.answer(pb::DiscardMessagesResponse {
            discarded: 2,
            in_flight: 1,
            next_page_token: next.to_owned(),
            ..Default::default()
        });
    }
    let told = within(sent).await.unwrap().unwrap();
    assert_eq!((told.discarded, told.in_flight), (4, 2));
    assert!(ids.iter().all(|id| !id.is_empty()) && ids[0] != ids[1]);
}
