//! PurgeSessions.

use sessiond_proto::v1 as pb;

use super::table::{World, bytes, invalid, no_spans, raw, too_many_labels};

fn all() -> pb::PurgeSessionsRequest {
    pb::PurgeSessionsRequest {
        filter: Some(pb::SessionFilter::default()),
        ..pb::PurgeSessionsRequest::default()
    }
}

fn one(change: impl Fn(&mut pb::PurgeSessionsRequest)) -> pb::PurgeSessionsRequest {
    let mut request = all();
    change(&mut request);
    request
}

fn filtered(change: impl Fn(&mut pb::SessionFilter)) -> pb::PurgeSessionsRequest {
    one(|request| change(request.filter.as_mut().expect("a filter")))
}

fn by_ids(ids: &[&str]) -> pb::PurgeSessionsRequest {
    pb::PurgeSessionsRequest {
        session_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..pb::PurgeSessionsRequest::default()
    }
}

#[tokio::test]
async fn choices_and_terms_of_a_purge() {
    let world = World::new().await;
    let both = pb::PurgeSessionsRequest {
        filter: Some(pb::SessionFilter::default()),
        ..by_ids(&["a"])
    };
    let paged = pb::PurgeSessionsRequest {
        page_size: 1,
        page_token: "x".to_owned(),
        ended_for: raw(1, 0),
        pending_policy: 9,
        ..by_ids(&["a"])
    };
    let live = filtered(|f| {
        f.states = vec![
            pb::SessionState::Ended.into(),
            pb::SessionState::Active.into(),
            pb::SessionState::Draining.into(),
        ];
    });
    let mut table = vec![
        invalid(pb::PurgeSessionsRequest::default(), &["filter"]),
        invalid(both, &["session_ids"]),
        invalid(
            by_ids(&["", "a", "\0", &bytes(257)]),
            &["session_ids[0]", "session_ids[2]", "session_ids[3]"],
        ),
        invalid(by_ids(&["a"; 10_001]), &["session_ids"]),
        invalid(
            paged,
            &["pending_policy", "ended_for", "page_size", "page_token"],
        ),
        invalid(live, &["filter.states[1]", "filter.states[2]"]),
        invalid(filtered(|f| f.states = vec![0]), &["filter.states[0]"]),
        invalid(
            filtered(|f| f.labels = too_many_labels()),
            &["filter.labels"],
        ),
        invalid(one(|r| r.page_size = 100_001), &["page_size"]),
        invalid(one(|r| r.page_token = "zz".to_owned()), &["page_token"]),
        invalid(one(|r| r.pending_policy = 3), &["pending_policy"]),
        invalid(
            one(|r| r.ended_for = raw(3_650 * 86_400, 1)),
            &["ended_for"],
        ),
    ];
    for span in no_spans() {
        table.push(invalid(one(|r| r.ended_for = span), &["ended_for"]));
    }
    world
        .refuses(table, async |request| world.caller.purge(request).await)
        .await;
}
