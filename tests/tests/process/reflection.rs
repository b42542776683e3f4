//! Reflection, v1 and v1alpha: what a generic client needs to find and call every service.

use sessiond_tests::caller::Caller;
use sessiond_tests::server::Server;
use tonic_reflection::pb::{v1, v1alpha};

/// The services that a server of this version has.
const SERVICES: [&str; 9] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "sessiond.v1.AdminService",
    "sessiond.v1.MessageService",
    "sessiond.v1.ResourceService",
    "sessiond.v1.SessionService",
    "sessiond.v1.SubscriptionService",
    "sessiond.v1.WorkerService",
];

/// The services that are ours to find, out of a list.
fn ours(mut listed: Vec<String>) -> Vec<String> {
    listed.sort();
    listed.dedup();
    listed.retain(|name| !name.starts_with("grpc.reflection."));
    listed
}

fn awaited() -> Vec<String> {
    ours(SERVICES.map(str::to_owned).to_vec())
}

#[tokio::test]
async fn v1_lists_the_services_and_gives_their_descriptors() {
    use v1::server_reflection_client::ServerReflectionClient;
    use v1::server_reflection_request::MessageRequest;
    use v1::server_reflection_response::MessageResponse;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut client = ServerReflectionClient::new(caller.channel());
    let asked = [
        MessageRequest::ListServices(String::new()),
        MessageRequest::FileContainingSymbol("sessiond.v1.SessionService".to_owned()),
        MessageRequest::FileContainingSymbol("sessiond.v1.Nothing".to_owned()),
    ];
    let asked = asked.map(|request| v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    });
    let answers = client
        .server_reflection_info(tokio_stream::iter(asked))
        .await;
    let mut answers = answers.expect("reflection answers").into_inner();
    let listed = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(listed)) = listed else {
        panic!("a list is awaited, not {listed:?}");
    };
    let names = listed
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    assert_eq!(ours(names), awaited());
    let file = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::FileDescriptorResponse(file)) = file else {
        panic!("a descriptor is awaited, not {file:?}");
    };
    assert!(!file.file_descriptor_proto.is_empty());
    let unknown = answers.message().await;
    let refused = match unknown {
        Err(_) | Ok(None) => true,
        Ok(Some(answer)) => matches!(
            answer.message_response,
            Some(MessageResponse::ErrorResponse(_))
        ),
    };
    assert!(refused, "a symbol that is not there");
}

#[tokio::test]
async fn v1alpha_lists_the_same() {
    use v1alpha::server_reflection_client::ServerReflectionClient;
    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut client = ServerReflectionClient::new(caller.channel());
    let asked = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = client
        .server_reflection_info(tokio_stream::iter([asked]))
        .await;
    let mut answers = answers.expect("reflection answers").into_inner();
    let listed = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(listed)) = listed else {
        panic!("a list is awaited, not {listed:?}");
    };
    let names = listed
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    assert_eq!(ours(names), awaited());
}
