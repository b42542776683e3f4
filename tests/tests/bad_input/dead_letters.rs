//! ListDeadLetters, RequeueDeadLetters and DiscardMessages.

use sessiond_proto::v1 as pb;
use sessiond_tests::requests::{id, key};

use super::table::{World, bytes, invalid};

/// A time that no calendar has, and one that there is.
fn time(seconds: i64, nanos: i32) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos })
}

/// Filters that choose nothing that could be meant, with what is wrong with each.
pub(crate) fn filters() -> Vec<(pb::DeadLetterFilter, Vec<&'static str>)> {
    let none = pb::DeadLetterFilter::default;
    let of = |session| pb::DeadLetterFilter {
        r#ref: session,
        ..none()
    };
    let kinds = |kinds: &[&str]| pb::DeadLetterFilter {
        kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        ..none()
    };
    let between = |since_time, until_time| pb::DeadLetterFilter {
        since_time,
        until_time,
        ..none()
    };
    let everything = pb::DeadLetterFilter {
        r#ref: key("\u{0}"),
        reasons: vec![0, 3, 9],
        since_time: time(-1, 0),
        until_time: time(0, -1),
        ..kinds(&["k", ""])
    };
    vec![
        (of(Some(pb::SessionRef { r#ref: None })), vec!["ref"]),
        (of(id("")), vec!["ref.session_id"]),
        (of(key(&bytes(257))), vec!["ref.key"]),
        (kinds(&["ok", "\u{0}"]), vec!["kinds[1]"]),
        (kinds(&["k"; 65]), vec!["kinds"]),
        (between(time(5, 0), time(5, 0)), vec!["until_time"]),
        (between(time(253_402_300_800, 0), None), vec!["since_time"]),
        (between(None, time(1, 1_000_000_000)), vec!["until_time"]),
        (
            everything,
            vec![
                "ref.key",
                "kinds[1]",
                "reasons[0]",
                "reasons[2]",
                "since_time",
                "until_time",
            ],
        ),
    ]
}

/// The paths of fields under `filter`.
pub(crate) fn under_filter(fields: &[&str]) -> Vec<String> {
    fields
        .iter()
        .map(|field| format!("filter.{field}"))
        .collect()
}

#[tokio::test]
async fn lists_of_dead_letters() {
    let world = World::new().await;
    let paged = |page_size: u32, page_token: &str| pb::ListDeadLettersRequest {
        page_size,
        page_token: page_token.to_owned(),
        ..pb::ListDeadLettersRequest::default()
    };
    let mut table = vec![
        invalid(paged(1_001, ""), &["page_size"]),
        invalid(paged(1_001, "zz"), &["page_size", "page_token"]),
    ];
    for (filter, fields) in filters() {
        let fields = under_filter(&fields);
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let request = pb::ListDeadLettersRequest {
            filter: Some(filter),
            ..pb::ListDeadLettersRequest::default()
        };
        table.push(invalid(request, &fields));
    }
    world
        .refuses(table, async |request| {
            world.caller.list_dead_letters(request).await
        })
        .await;
}

#[tokio::test]
async fn requeues() {
    let world = World::new().await;
    let none = pb::RequeueDeadLettersRequest::default;
    let letters = |letters: &[(u64, u64)]| pb::RequeueDeadLettersRequest {
        letters: letters
            .iter()
            .map(|&(queue_id, seq)| pb::DeadLetterRef { queue_id, seq })
            .collect(),
        ..none()
    };
    let all = || pb::RequeueDeadLettersRequest {
        filter: Some(pb::DeadLetterFilter::default()),
        ..none()
    };
    let everything = pb::RequeueDeadLettersRequest {
        filter: Some(pb::DeadLetterFilter::default()),
        into: key(""),
        request_id: "\u{0}".to_owned(),
        page_size: 1,
        page_token: "x".to_owned(),
        ..letters(&[(1, 1), (0, 0)])
    };
    let paged = pb::RequeueDeadLettersRequest {
        page_size: 257,
        page_token: "zz".to_owned(),
        into: Some(pb::SessionRef { r#ref: None }),
        ..all()
    };
    let mut table = vec![
        invalid(none(), &["letters"]),
        invalid(letters(&[(0, 1)]), &["letters[0].queue_id"]),
        invalid(letters(&[(1, 1), (1, 0)]), &["letters[1].seq"]),
        invalid(letters(&[(1, 1); 257]), &["letters"]),
        invalid(paged, &["into", "page_size", "page_token"]),
        invalid(
            everything,
            &[
                "request_id",
                "into.key",
                "page_size",
                "page_token",
                "letters",
                "letters[1].queue_id",
                "letters[1].seq",
            ],
        ),
    ];
    for (filter, fields) in filters() {
        let fields = under_filter(&fields);
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let request = pb::RequeueDeadLettersRequest {
            filter: Some(filter),
            ..none()
        };
        table.push(invalid(request, &fields));
    }
    world
        .refuses(table, async |request| world.caller.requeue(request).await)
        .await;
}

#[tokio::test]
async fn discards() {
    let world = World::new().await;
    let of = |session| pb::DiscardMessagesRequest {
        r#ref: session,
        ..pb::DiscardMessagesRequest::default()
    };
    let seqs = |seqs: &[u64]| pb::DiscardMessagesRequest {
        seqs: seqs.to_vec(),
        ..of(key("a"))
    };
    let filtered = |kinds: &[&str], states: &[i32]| pb::DiscardMessagesRequest {
        filter: Some(pb::MessageFilter {
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            states: states.to_vec(),
        }),
        ..of(key("a"))
    };
    let everything = pb::DiscardMessagesRequest {
        r#ref: None,
        filter: Some(pb::MessageFilter::default()),
        request_id: bytes(257),
        page_size: 1,
        page_token: "x".to_owned(),
        ..seqs(&[1, 0])
    };
    let paged = pb::DiscardMessagesRequest {
        page_size: 257,
        page_token: "zz".to_owned(),
        ..filtered(&[], &[])
    };
    let table = vec![
        invalid(of(key("a")), &["seqs"]),
        invalid(of(None), &["ref", "seqs"]),
        invalid(seqs(&[0]), &["seqs[0]"]),
        invalid(seqs(&[1; 257]), &["seqs"]),
        invalid(filtered(&[""], &[]), &["filter.kinds[0]"]),
        invalid(
            filtered(&[], &[0, 9]),
            &["filter.states[0]", "filter.states[1]"],
        ),
        invalid(filtered(&[], &[1, 2]), &["filter.states[1]"]),
        invalid(paged, &["page_size", "page_token"]),
        invalid(
            everything,
            &[
                "request_id",
                "ref",
                "page_size",
                "page_token",
                "seqs",
                "seqs[1]",
            ],
        ),
    ];
    world
        .refuses(table, async |request| world.caller.discard(request).await)
        .await;
}
