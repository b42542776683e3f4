//! ResetCircuit.

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::reset_circuit_request::Target;
use sessiond_tests::requests::key;

use super::table::{World, bytes, invalid};

fn reset(kind: Option<&str>) -> pb::ResetCircuitRequest {
    pb::ResetCircuitRequest {
        r#ref: key("a"),
        target: kind.map(|kind| Target::Kind(kind.to_owned())),
        ..pb::ResetCircuitRequest::default()
    }
}

#[tokio::test]
async fn fields_of_a_reset() {
    let world = World::new().await;
    let unnamed = pb::ResetCircuitRequest {
        request_id: "\0".to_owned(),
        ..pb::ResetCircuitRequest::default()
    };
    let no_guard = pb::ResetCircuitRequest {
        r#ref: key("a"),
        target: Some(Target::RestartGuard(false)),
        ..pb::ResetCircuitRequest::default()
    };
    let table = vec![
        invalid(no_guard, &["restart_guard"]),
        invalid(reset(None), &["target"]),
        invalid(reset(Some("")), &["kind"]),
        invalid(reset(Some("a\nb")), &["kind"]),
        invalid(reset(Some(&bytes(65))), &["kind"]),
        invalid(unnamed, &["request_id", "ref", "target"]),
    ];
    world
        .refuses(table, async |request| {
            world.caller.reset_circuit(request).await
        })
        .await;
}
