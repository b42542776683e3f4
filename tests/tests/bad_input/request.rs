//! BeginRequest and EndRequest.

use sessiond_proto::v1 as pb;
use sessiond_tests::requests::key;

use super::table::{World, bytes, invalid, no_spans, raw};

fn begin(lease: Option<prost_types::Duration>, token: &str) -> pb::BeginRequestRequest {
    pb::BeginRequestRequest {
        r#ref: key("a"),
        request_lease: lease,
        request_token: token.to_owned(),
    }
}

fn end(token: &str) -> pb::EndRequestRequest {
    pb::EndRequestRequest {
        r#ref: key("a"),
        request_token: token.to_owned(),
    }
}

#[tokio::test]
async fn fields_of_a_beginning() {
    let world = World::new().await;
    let mut table = vec![
        invalid(begin(raw(0, 999_000_000), ""), &["request_lease"]),
        invalid(begin(raw(3_600, 1), ""), &["request_lease"]),
        invalid(begin(None, "\u{7}"), &["request_token"]),
        invalid(begin(None, &bytes(257)), &["request_token"]),
        invalid(
            pb::BeginRequestRequest {
                r#ref: None,
                ..begin(raw(-1, 0), "\0")
            },
            &["ref", "request_lease", "request_token"],
        ),
    ];
    for span in no_spans() {
        table.push(invalid(begin(span, ""), &["request_lease"]));
    }
    world
        .refuses(table, async |request| {
            world.caller.begin_request(request).await
        })
        .await;
}

#[tokio::test]
async fn fields_of_an_end() {
    let world = World::new().await;
    let nothing = pb::EndRequestRequest::default();
    let table = vec![
        invalid(end(""), &["request_token"]),
        invalid(end("a\nb"), &["request_token"]),
        invalid(end(&bytes(257)), &["request_token"]),
        invalid(nothing, &["ref", "request_token"]),
    ];
    world
        .refuses(table, async |request| {
            world.caller.end_request(request).await
        })
        .await;
}
