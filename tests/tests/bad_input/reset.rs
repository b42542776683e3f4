//! ResetSession.

use sessiond_proto::v1 as pb;
use sessiond_tests::requests::key;

use super::table::{World, bytes, invalid, no_spans, raw, too_long_labels, too_many_labels};

fn one(change: impl Fn(&mut pb::ResetSessionRequest)) -> pb::ResetSessionRequest {
    let mut request = pb::ResetSessionRequest {
        r#ref: key("a"),
        ..pb::ResetSessionRequest::default()
    };
    change(&mut request);
    request
}

fn spanned(span: Option<prost_types::Duration>) -> Option<pb::Limit> {
    Some(pb::Limit {
        bound: span.map(pb::limit::Bound::After),
    })
}

#[tokio::test]
async fn reasons_that_no_reset_has() {
    let world = World::new().await;
    let rotated = [
        pb::EndReason::Unspecified,
        pb::EndReason::Reset,
        pb::EndReason::Compacted,
        pb::EndReason::Scheduled,
        pb::EndReason::Replaced,
    ];
    let numbers = (0..=18).filter(|number| rotated.iter().all(|one| i32::from(*one) != *number));
    let numbers = numbers.chain([19, 99, -1]);
    let table = numbers.map(|number| invalid(one(|r| r.reason = number), &["reason"]));
    world
        .refuses(table.collect(), async |request| {
            world.caller.reset(request).await
        })
        .await;
}

#[tokio::test]
async fn fields_of_a_reset() {
    let world = World::new().await;
    let mut table = vec![
        invalid(one(|r| r.r#ref = None), &["ref"]),
        invalid(one(|r| r.detail = bytes(4_097)), &["detail"]),
        invalid(one(|r| r.new_session_id = bytes(257)), &["new_session_id"]),
        invalid(
            one(|r| r.new_session_id = "\0".to_owned()),
            &["new_session_id"],
        ),
        invalid(one(|r| r.carry = 4), &["carry"]),
        invalid(one(|r| r.etag = bytes(257)), &["etag"]),
        invalid(one(|r| r.project = bytes(4_097)), &["project"]),
        invalid(one(|r| r.source = bytes(257)), &["source"]),
        invalid(one(|r| r.agent_id = "\u{7f}".to_owned()), &["agent_id"]),
        invalid(one(|r| r.labels = too_many_labels()), &["labels"]),
        invalid(one(|r| r.labels = too_long_labels()), &["labels"]),
        invalid(one(|r| r.prompt = bytes(64 * 1_024 + 1)), &["prompt"]),
        invalid(
            one(|r| r.transcript_path = bytes(4_097)),
            &["transcript_path"],
        ),
        invalid(one(|r| r.ordering = 4), &["ordering"]),
        invalid(one(|r| r.max_in_flight = Some(0)), &["max_in_flight"]),
        invalid(one(|r| r.max_in_flight = Some(513)), &["max_in_flight"]),
        invalid(
            one(|r| r.parent_session_id = "\t".to_owned()),
            &["parent_session_id"],
        ),
        invalid(one(|r| r.request_id = bytes(257)), &["request_id"]),
        invalid(
            one(|r| {
                r.r#ref = None;
                r.reason = 99;
                r.carry = 99;
                r.idle_timeout = spanned(raw(0, 0));
                r.ordering = pb::Ordering::Serial.into();
                r.max_in_flight = Some(2);
                r.request_id = "\0".to_owned();
            }),
            &[
                "request_id",
                "ref",
                "reason",
                "carry",
                "idle_timeout.after",
                "max_in_flight",
            ],
        ),
    ];
    for span in no_spans() {
        table.push(invalid(
            one(|r| r.max_lifetime = spanned(span)),
            &["max_lifetime.after"],
        ));
    }
    world
        .refuses(table, async |request| world.caller.reset(request).await)
        .await;
}
