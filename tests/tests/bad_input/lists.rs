//! ListSessions, ListMessages and ListWorkers.

use sessiond_proto::v1 as pb;
use sessiond_tests::requests::key;

use super::table::{World, bytes, invalid, too_long_labels, too_many_labels};

fn filtered(change: impl Fn(&mut pb::SessionFilter)) -> pb::ListSessionsRequest {
    let mut filter = pb::SessionFilter::default();
    change(&mut filter);
    pb::ListSessionsRequest {
        filter: Some(filter),
        ..pb::ListSessionsRequest::default()
    }
}

#[tokio::test]
async fn lists_of_sessions() {
    let world = World::new().await;
    let paged = |page_size: u32, page_token: &str| pb::ListSessionsRequest {
        page_size,
        page_token: page_token.to_owned(),
        ..pb::ListSessionsRequest::default()
    };
    let table = vec![
        invalid(filtered(|f| f.states = vec![0]), &["filter.states[0]"]),
        invalid(
            filtered(|f| f.states = vec![2, 9, -3]),
            &["filter.states[1]", "filter.states[2]"],
        ),
        invalid(
            filtered(|f| f.labels = too_many_labels()),
            &["filter.labels"],
        ),
        invalid(
            filtered(|f| f.labels = too_long_labels()),
            &["filter.labels"],
        ),
        invalid(filtered(|f| f.project = bytes(4_097)), &["filter.project"]),
        invalid(
            filtered(|f| f.key_prefix = bytes(257)),
            &["filter.key_prefix"],
        ),
        invalid(filtered(|f| f.pool = bytes(257)), &["filter.pool"]),
        invalid(paged(1_001, ""), &["page_size"]),
        invalid(paged(u32::MAX, "zz"), &["page_size", "page_token"]),
        invalid(paged(0, &bytes(100_000)), &["page_token"]),
        invalid(paged(0, "é"), &["page_token"]),
    ];
    world
        .refuses(table, async |request| world.caller.list(request).await)
        .await;
}

#[tokio::test]
async fn lists_of_messages() {
    let world = World::new().await;
    let of = |kinds: &[&str], states: &[i32]| pb::ListMessagesRequest {
        r#ref: key("a"),
        filter: Some(pb::MessageFilter {
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            states: states.to_vec(),
        }),
        ..pb::ListMessagesRequest::default()
    };
    let paged = pb::ListMessagesRequest {
        page_size: 1_001,
        page_token: "zz".to_owned(),
        ..of(&[], &[])
    };
    let table = vec![
        invalid(of(&[""], &[]), &["filter.kinds[0]"]),
        invalid(
            of(&["ok", "\0"], &[4]),
            &["filter.kinds[1]", "filter.states[0]"],
        ),
        invalid(of(&[&bytes(65)], &[]), &["filter.kinds[0]"]),
        invalid(of(&["k"; 65], &[]), &["filter.kinds"]),
        invalid(of(&[], &[0]), &["filter.states[0]"]),
        invalid(paged, &["page_size", "page_token"]),
    ];
    world
        .refuses(table, async |request| {
            world.caller.list_messages(request).await
        })
        .await;
}

#[tokio::test]
async fn lists_of_workers() {
    let world = World::new().await;
    let paged = |page_size: u32, page_token: &str| pb::ListWorkersRequest {
        page_size,
        page_token: page_token.to_owned(),
    };
    let table = vec![
        invalid(paged(1_001, ""), &["page_size"]),
        invalid(paged(0, "0"), &["page_token"]),
    ];
    world
        .refuses(table, async |request| {
            world.caller.list_workers(request).await
        })
        .await;
}
