//! EndSession.

use sessiond_proto::v1 as pb;
use sessiond_tests::requests::{end, key};

use super::table::{World, bytes, invalid, no_spans, raw};

fn graceful() -> pb::EndSessionRequest {
    end(key("a"), pb::EndReason::Idle, pb::EndMode::Graceful)
}

fn one(change: impl Fn(&mut pb::EndSessionRequest)) -> pb::EndSessionRequest {
    let mut request = graceful();
    change(&mut request);
    request
}

#[tokio::test]
async fn reasons_that_callers_may_not_give() {
    let world = World::new().await;
    let reasons = [
        pb::EndReason::Evicted,
        pb::EndReason::Capacity,
        pb::EndReason::Expired,
        pb::EndReason::WorkerStuck,
        pb::EndReason::RestartLimit,
        pb::EndReason::OwnerLost,
        pb::EndReason::Admin,
    ];
    let numbers = reasons.map(i32::from).into_iter().chain([19, 99, -1]);
    let table = numbers.map(|number| invalid(one(|r| r.reason = number), &["reason"]));
    world
        .refuses(table.collect(), async |request| {
            world.caller.end(request).await
        })
        .await;
}

#[tokio::test]
async fn fields_of_an_end() {
    let world = World::new().await;
    let immediate = pb::EndSessionRequest {
        end_grace: raw(1, 0),
        ..end(key("a"), pb::EndReason::Idle, pb::EndMode::Immediate)
    };
    let over = pb::EndSessionRequest {
        successor_id: "next".to_owned(),
        ..end(key("a"), pb::EndReason::Completed, pb::EndMode::Graceful)
    };
    let mut table = vec![
        invalid(one(|r| r.mode = 4), &["mode"]),
        invalid(one(|r| r.pending_policy = 3), &["pending_policy"]),
        invalid(one(|r| r.detail = bytes(4_097)), &["detail"]),
        invalid(one(|r| r.end_grace = raw(24 * 3_600, 1)), &["end_grace"]),
        invalid(immediate, &["end_grace"]),
        invalid(over, &["successor_id"]),
        invalid(one(|r| r.request_id = "\0".to_owned()), &["request_id"]),
        invalid(one(|r| r.wait = raw(61, 0)), &["wait"]),
        invalid(
            one(|r| r.wait_for = pb::WaitFor::Ended.into()),
            &["wait_for"],
        ),
        invalid(one(|r| r.wait_for = 9), &["wait_for"]),
        invalid(
            one(|r| r.wait_for = pb::WaitFor::Released.into()),
            &["wait_for"],
        ),
        invalid(
            one(|r| {
                r.reason = 99;
                r.mode = 99;
                r.end_grace = raw(0, 0);
                r.pending_policy = 99;
                r.wait = raw(0, 0);
            }),
            &["reason", "mode", "end_grace", "pending_policy", "wait"],
        ),
    ];
    for span in no_spans() {
        table.push(invalid(one(|r| r.end_grace = span), &["end_grace"]));
        table.push(invalid(one(|r| r.wait = span), &["wait"]));
    }
    world
        .refuses(table, async |request| world.caller.end(request).await)
        .await;
}
