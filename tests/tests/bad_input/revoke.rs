//! RevokeLease.

use sessiond_proto::v1 as pb;
use sessiond_tests::requests::key;

use super::table::{World, bytes, invalid};

fn revoke(epoch: Option<u64>, request_id: &str) -> pb::RevokeLeaseRequest {
    pb::RevokeLeaseRequest {
        r#ref: key("a"),
        epoch,
        request_id: request_id.to_owned(),
    }
}

#[tokio::test]
async fn fields_of_a_revocation() {
    let world = World::new().await;
    let nothing = pb::RevokeLeaseRequest {
        r#ref: None,
        ..revoke(Some(0), "\n")
    };
    let table = vec![
        invalid(revoke(Some(0), ""), &["epoch"]),
        invalid(revoke(None, "\u{1}"), &["request_id"]),
        invalid(revoke(None, &bytes(257)), &["request_id"]),
        invalid(nothing, &["request_id", "ref", "epoch"]),
    ];
    world
        .refuses(table, async |request| {
            world.caller.revoke_lease(request).await
        })
        .await;
}
