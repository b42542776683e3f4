//! The namespace of a call: metadata that is no name, or says two things.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::session_service_client::SessionServiceClient;
use sessiond_proto::{NAMESPACE_METADATA_KEY, v1};
use sessiond_tests::refusal::Refusal;
use sessiond_tests::requests::open;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request};

use super::table::{World, bytes};

async fn refused(world: &World, values: &[&[u8]]) -> Refusal {
    let mut request = Request::new(open("b"));
    for value in values {
        let value = MetadataValue::try_from(*value).expect("a header's value");
        request.metadata_mut().append(NAMESPACE_METADATA_KEY, value);
    }
    let mut client = SessionServiceClient::new(world.caller.channel());
    let answer: Result<tonic::Response<v1::OpenSessionResponse>, tonic::Status> =
        client.open_session(request).await;
    Refusal::from(answer.expect_err("refused"))
}

#[tokio::test]
async fn metadata_that_is_no_name() {
    let world = World::new().await;
    let long = bytes(257);
    let values: [&[&[u8]]; 5] = [
        &[b""],
        &[long.as_bytes()],
        &[b"\xff\xfe"],
        &[b"default", b"default"],
        &[b"default", b"other"],
    ];
    for value in values {
        let refusal = refused(&world, value).await;
        let refusal = refusal.is(Code::InvalidArgument, Reason::FieldInvalid);
        assert_eq!(refusal.fields, [NAMESPACE_METADATA_KEY]);
    }
    world.is_unchanged().await;
}

#[tokio::test]
async fn a_name_that_is_not_configured() {
    let world = World::new().await;
    for name in ["Default", "default ", "other", "日本語"] {
        let refusal = refused(&world, &[name.as_bytes()]).await;
        let refusal = refusal.is(Code::NotFound, Reason::NamespaceNotFound);
        assert_eq!(refusal.metadata.len(), 1);
    }
    let get = pb::GetSessionRequest {
        r#ref: sessiond_tests::requests::key("b"),
    };
    world.caller.get(get).await.expect_err("nothing was opened");
    world.is_unchanged().await;
}
