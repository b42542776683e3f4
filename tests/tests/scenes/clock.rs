//! "The clock was set back and all sessions were reaped", and its opposite.

use std::time::Duration;

use sessiond_proto::v1 as pb;
use sessiond_tests::requests::{after, key, open};
use sessiond_tests::simulated::Simulated;

const HOUR_MS: i64 = 3_600_000;

async fn state(server: &Simulated, name: &str) -> pb::SessionState {
    server.caller().session(key(name)).await.state()
}

/// Proves: F8, F25.
#[tokio::test]
async fn a_clock_that_jumps_an_hour_either_way_ends_nothing_early_or_late() {
    for step in [HOUR_MS, -HOUR_MS] {
        let server = Simulated::start().await;
        let asked = pb::OpenSessionRequest {
            idle_timeout: after(60_000),
            ..open("a")
        };
        server.caller().open(asked).await.expect("opened");
        server.advance(Duration::from_secs(30)).await;
        server.step_wall(step).await;
        assert_eq!(
            state(&server, "a").await,
            pb::SessionState::Active,
            "{step}"
        );
        server.advance(Duration::from_secs(30)).await;
        assert_eq!(
            state(&server, "a").await,
            pb::SessionState::Active,
            "exactly at the limit is not over it"
        );
        server.advance(Duration::from_millis(1)).await;
        let session = server.caller().session(key("a")).await;
        assert_eq!(session.state(), pb::SessionState::Ended, "{step}");
        let end = session.end.expect("an end");
        assert_eq!(end.reason(), pb::EndReason::Idle);
        let lived = end.duration.expect("a duration");
        assert_eq!((lived.seconds, lived.nanos), (60, 1_000_000));
    }
}

/// Proves: F26.
#[tokio::test]
async fn a_server_that_was_down_for_a_week_ends_nothing_because_of_it() {
    let mut server = Simulated::start().await;
    let asked = pb::OpenSessionRequest {
        idle_timeout: after(60_000),
        max_lifetime: after(120_000),
        ..open("a")
    };
    server.caller().open(asked).await.expect("opened");
    server.advance(Duration::from_secs(59)).await;
    server.restart().await;
    server.step_wall(7 * 24 * HOUR_MS).await;
    assert_eq!(state(&server, "a").await, pb::SessionState::Active);
    server.advance(Duration::from_secs(1)).await;
    assert_eq!(state(&server, "a").await, pb::SessionState::Active);
    server.advance(Duration::from_millis(1)).await;
    assert_eq!(state(&server, "a").await, pb::SessionState::Ended);
}
