//! ClaimMessages and SettleMessages.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::settlement::Outcome;
use sessiond_tests::requests::{ack, claim, claim_any, key, labels, nack, settlement};
use tonic::Code;

use super::table::{World, bytes, invalid, no_spans, not_built, raw, too_many_labels};

#[tokio::test]
async fn claims() {
    let world = World::new().await;
    let one = |change: &dyn Fn(&mut pb::ClaimMessagesRequest)| {
        let mut request = claim(key("a"), "other");
        change(&mut request);
        request
    };
    let selecting = |change: fn(&mut pb::SessionFilter)| {
        let mut filter = pb::SessionFilter::default();
        change(&mut filter);
        claim_any(filter, "other")
    };
    let everything = |r: &mut pb::ClaimMessagesRequest| {
        r.target = None;
        r.worker = String::new();
        r.lease_duration = raw(0, 0);
        r.max_messages = Some(0);
        r.wait = raw(0, 0);
    };
    let fields = ["worker", "lease_duration", "max_messages", "wait"];
    let mut table = vec![
        invalid(one(&|r| r.worker = String::new()), &["worker"]),
        invalid(one(&|r| r.worker = "\0".to_owned()), &["worker"]),
        invalid(one(&|r| r.worker = bytes(257)), &["worker"]),
        invalid(one(&|r| r.instance_id = "\0".to_owned()), &["instance_id"]),
        invalid(one(&|r| r.instance_id = bytes(257)), &["instance_id"]),
        invalid(
            one(&|r| r.lease_duration = raw(0, 999_000_000)),
            &["lease_duration"],
        ),
        invalid(
            one(&|r| r.lease_duration = raw(3_601, 0)),
            &["lease_duration"],
        ),
        invalid(one(&|r| r.max_messages = Some(0)), &["max_messages"]),
        invalid(one(&|r| r.max_messages = Some(257)), &["max_messages"]),
        invalid(one(&|r| r.wait = raw(61, 0)), &["wait"]),
        invalid(one(&everything), &fields),
        invalid(
            selecting(|f| f.labels = too_many_labels()),
            &["selector.labels"],
        ),
        invalid(selecting(|f| f.states = vec![0]), &["selector.states[0]"]),
        not_built(selecting(|f| f.states = vec![2]), &["selector.states"]),
        not_built(
            selecting(|f| {
                f.states = vec![2];
                f.ended_after_revision = Some(0);
                f.labels = labels(&[("fine", "")]);
            }),
            &["selector.states", "selector.ended_after_revision"],
        ),
    ];
    for span in no_spans() {
        table.push(invalid(
            one(&|r| r.lease_duration = span),
            &["lease_duration"],
        ));
        table.push(invalid(one(&|r| r.wait = span), &["wait"]));
    }
    world
        .refuses(table, async |request| world.caller.claim(request).await)
        .await;
}

#[tokio::test]
async fn settlements() {
    let world = World::new().await;
    let fine = ack(&world.delivery);
    let one = |bad: pb::Settlement| pb::SettleMessagesRequest {
        settlements: vec![fine.clone(), bad],
    };
    let with = |outcome: Outcome| one(settlement(&world.delivery, outcome));
    let nacked = |kind: i32, delay: Option<prost_types::Duration>, error: usize| {
        with(Outcome::Nack(pb::Nack {
            kind,
            delay,
            error: bytes(error),
        }))
    };
    let extended = |by: Option<prost_types::Duration>| with(Outcome::Extend(pb::Extend { by }));
    let permanent = pb::NackKind::Permanent.into();
    let many = |count: usize| pb::SettleMessagesRequest {
        settlements: vec![nack(&world.delivery, pb::NackKind::Retry, None); count],
    };
    let by = "settlements[1].extend.by";
    let mut table = vec![
        invalid(many(0), &["settlements"]),
        invalid(many(257), &["settlements"]),
        invalid(
            one(pb::Settlement::default()),
            &[
                "settlements[1].queue_id",
                "settlements[1].seq",
                "settlements[1].delivery_id",
                "settlements[1]",
            ],
        ),
        invalid(
            one(pb::Settlement {
                session_id: "\0".to_owned(),
                ..fine.clone()
            }),
            &["settlements[1].session_id"],
        ),
        invalid(nacked(4, None, 0), &["settlements[1].nack.kind"]),
        invalid(
            nacked(permanent, raw(1, 0), 0),
            &["settlements[1].nack.delay"],
        ),
        invalid(
            nacked(1, raw(24 * 3_600 + 1, 0), 0),
            &["settlements[1].nack.delay"],
        ),
        invalid(nacked(2, None, 4_097), &["settlements[1].nack.error"]),
        invalid(extended(None), &[by]),
        invalid(extended(raw(3_601, 0)), &[by]),
    ];
    for span in no_spans() {
        table.push(invalid(extended(span), &[by]));
        table.push(invalid(nacked(1, span, 0), &["settlements[1].nack.delay"]));
    }
    // None of them is taken, the good one in front included.
    world
        .refuses(table, async |request| world.caller.settle(request).await)
        .await;
}

#[tokio::test]
async fn what_is_well_formed_and_means_nothing_changes_nothing() {
    let world = World::new().await;
    let caller = &world.caller;
    let stale = pb::Settlement {
        delivery_id: 99,
        ..ack(&world.delivery)
    };
    let unknown = pb::Settlement {
        queue_id: 99,
        ..ack(&world.delivery)
    };
    let fenced = pb::Settlement {
        epoch: 99,
        ..nack(&world.delivery, pb::NackKind::Retry, None)
    };
    let codes: Vec<pb::SettleCode> = caller
        .settled(vec![stale, unknown, fenced])
        .await
        .iter()
        .map(pb::SettleResult::code)
        .collect();
    use pb::SettleCode::{Fenced, StaleDelivery, UnknownMessage};
    assert_eq!(codes, [StaleDelivery, UnknownMessage, Fenced]);
    let unknown = caller
        .claim(claim(key("none"), "w"))
        .await
        .expect_err("no such session");
    unknown.is(Code::NotFound, Reason::SessionNotFound);
    world.is_unchanged().await;
}
