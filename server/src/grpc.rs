//! The services: thin handlers that parse, ask the engine or a snapshot, and show the answer.
//!
//! A handler decides nothing. What a request may say is in `wire::parse`, what a refusal looks like in
//! `wire::status`. A command that reached the engine is decided even if its caller hangs up, so no
//! handler can leave anything half done.

use std::sync::Arc;

use sessiond_proto::v1::admin_service_server::AdminServiceServer;
use sessiond_proto::v1::message_service_server::MessageServiceServer;
use sessiond_proto::v1::resource_service_server::ResourceServiceServer;
use sessiond_proto::v1::session_service_server::SessionServiceServer;
use sessiond_proto::v1::subscription_service_server::SubscriptionServiceServer;
use sessiond_proto::v1::worker_service_server::WorkerServiceServer;
use tonic::service::Routes;
use tonic_web::GrpcWebLayer;
use tower::util::{MapRequestLayer, MapResponseLayer};

use crate::answers::Answers;
use crate::env::Env;
use crate::health::Health;
use crate::http;
use crate::limits::REQUEST_BYTES_MAX;
use crate::metrics;
use crate::metrics::calls::Calls;
use bulk::Bulk;
use context::Context;
use resource::Lookups;
use unfinished::Room;

mod admin;
mod agent_link;
mod bulk;
mod claim;
pub mod context;
mod dead_letters;
mod discard;
mod drain_server;
mod end_sessions;
mod enqueue_stream;
pub(crate) mod export;
mod letters;
mod list;
mod list_resources;
mod message;
mod oversize;
mod payloads;
mod pools;
mod purge_sessions;
mod release_resource;
mod requeue;
mod resource;
mod session;
pub(crate) mod stats;
pub(crate) mod subscription;
mod sweep;
mod two_way;
mod unfinished;
mod watch;
mod work;

/// A service's handlers.
#[derive(Clone, Debug)]
struct Handlers {
    context: Arc<Context>,
    bulk: Arc<Bulk>,
    /// For calls that wait for exports.
    exporting: Arc<Bulk>,
    lookups: Arc<Lookups>,
}

/// Everything served on the port.
///
/// # Errors
/// If the descriptors that reflection serves are not what they should be.
pub fn routes(
    context: &Arc<Context>,
    health: Health,
    env: &Env,
) -> Result<Routes, tonic_reflection::server::Error> {
    let handlers = Handlers {
        context: Arc::clone(context),
        bulk: Bulk::of_engine(),
        exporting: Bulk::of_exports(),
        lookups: Arc::default(),
    };
    let (reporter, health_service) = tonic_health::server::health_reporter();
    env.spawn
        .task("health", Box::pin(health.clone().report(reporter)));
    let descriptors = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(sessiond_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let services = Routes::new(health_service)
        .add_service(descriptors().build_v1()?)
        .add_service(descriptors().build_v1alpha()?)
        .add_service(
            SessionServiceServer::new(handlers.clone())
                .max_decoding_message_size(REQUEST_BYTES_MAX),
        )
        .add_service(
            MessageServiceServer::new(handlers.clone())
                .max_decoding_message_size(REQUEST_BYTES_MAX)
                .max_encoding_message_size(REQUEST_BYTES_MAX),
        )
        .add_service(
            WorkerServiceServer::new(handlers.clone())
                .max_decoding_message_size(REQUEST_BYTES_MAX)
                .max_encoding_message_size(REQUEST_BYTES_MAX),
        )
        .add_service(
            ResourceServiceServer::new(handlers.clone())
                .max_decoding_message_size(REQUEST_BYTES_MAX),
        )
        .add_service(
            SubscriptionServiceServer::new(handlers.clone())
                .max_decoding_message_size(REQUEST_BYTES_MAX)
                .max_encoding_message_size(REQUEST_BYTES_MAX),
        )
        .add_service(
            AdminServiceServer::new(handlers).max_decoding_message_size(REQUEST_BYTES_MAX),
        );
    let room = Room::default();
    let bounded = move |request| oversize::bounded(request, &room);
    // gRPC-Web answers every other HTTP/1 request with 400, so what is plain HTTP lies beside it.
    let calls = Calls::new();
    let services = services
        .into_axum_router()
        // Inside of gRPC-Web, whose messages may be spelled otherwise.
        .layer(MapRequestLayer::new(bounded))
        .layer(MapResponseLayer::new(watch::streamed))
        .layer(Answers(calls.clone()))
        .layer(GrpcWebLayer::new());
    let plain = http::probes(health).merge(metrics::route(context, &calls));
    Ok(Routes::from(plain.merge(services)))
}
