//! EndSessions.

use sessiond_proto::v1 as pb;

use super::table::{World, bytes, invalid, no_spans, raw, too_many_labels};

fn all() -> pb::EndSessionsRequest {
    pb::EndSessionsRequest {
        filter: Some(pb::SessionFilter::default()),
        ..pb::EndSessionsRequest::default()
    }
}

fn one(change: impl Fn(&mut pb::EndSessionsRequest)) -> pb::EndSessionsRequest {
    let mut request = all();
    change(&mut request);
    request
}

fn filtered(change: impl Fn(&mut pb::SessionFilter)) -> pb::EndSessionsRequest {
    one(|request| change(request.filter.as_mut().expect("a filter")))
}

fn by_ids(ids: &[&str]) -> pb::EndSessionsRequest {
    pb::EndSessionsRequest {
        session_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..pb::EndSessionsRequest::default()
    }
}

#[tokio::test]
async fn ways_to_choose_sessions() {
    let world = World::new().await;
    let three = pb::EndSessionsRequest {
        key_glob: "*".to_owned(),
        filter: Some(pb::SessionFilter::default()),
        ..by_ids(&["a"])
    };
    let two = pb::EndSessionsRequest {
        key_glob: "*".to_owned(),
        ..by_ids(&["a"])
    };
    let paged = pb::EndSessionsRequest {
        page_size: 1,
        page_token: "x".to_owned(),
        ..by_ids(&["a"])
    };
    let ended = filtered(|f| {
        f.states = vec![
            pb::SessionState::Active.into(),
            pb::SessionState::Ended.into(),
        ];
        f.ended_after_revision = Some(0);
    });
    let table = vec![
        invalid(pb::EndSessionsRequest::default(), &["filter"]),
        invalid(two, &["key_glob"]),
        invalid(three, &["session_ids", "key_glob"]),
        invalid(
            by_ids(&["", "a", "\0", &bytes(257)]),
            &["session_ids[0]", "session_ids[2]", "session_ids[3]"],
        ),
        invalid(by_ids(&["a"; 10_001]), &["session_ids"]),
        invalid(paged, &["page_size", "page_token"]),
        invalid(ended, &["filter.states[1]", "filter.ended_after_revision"]),
        invalid(filtered(|f| f.states = vec![0]), &["filter.states[0]"]),
        invalid(
            filtered(|f| f.labels = too_many_labels()),
            &["filter.labels"],
        ),
        invalid(one(|r| r.page_size = 100_001), &["page_size"]),
        invalid(one(|r| r.page_token = "zz".to_owned()), &["page_token"]),
    ];
    world
        .refuses(table, async |request| world.caller.end_many(request).await)
        .await;
}

#[tokio::test]
async fn terms_of_the_ends() {
    let world = World::new().await;
    let mut table = vec![
        invalid(
            one(|r| r.reason = pb::EndReason::Evicted.into()),
            &["reason"],
        ),
        invalid(one(|r| r.reason = pb::EndReason::Admin.into()), &["reason"]),
        invalid(one(|r| r.detail = bytes(4_097)), &["detail"]),
        invalid(
            one(|r| {
                r.mode = pb::EndMode::Immediate.into();
                r.end_grace = raw(1, 0);
            }),
            &["end_grace"],
        ),
        invalid(
            one(|r| {
                r.filter = None;
                r.key_glob = bytes(257);
                r.reason = 99;
                r.mode = 99;
                r.end_grace = raw(24 * 3_600, 1);
                r.pending_policy = 99;
                r.page_size = u32::MAX;
                r.validate_only = true;
            }),
            &[
                "key_glob",
                "page_size",
                "reason",
                "mode",
                "end_grace",
                "pending_policy",
            ],
        ),
    ];
    for span in no_spans() {
        table.push(invalid(one(|r| r.end_grace = span), &["end_grace"]));
    }
    world
        .refuses(table, async |request| world.caller.end_many(request).await)
        .await;
}
