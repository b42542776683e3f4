//! The part of etcd's gRPC interface that is used here: its messages and its calls.
//!
//! Invariant: field numbers are etcd's own (version 3), and fields that are not read are left out. What
//! it deliberately does not do: leases, transactions, authentication; there is no client library that
//! builds without a protobuf compiler on the machine.

use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

const PUT: &str = "/etcdserverpb.KV/Put";
const RANGE: &str = "/etcdserverpb.KV/Range";
const DELETE_RANGE: &str = "/etcdserverpb.KV/DeleteRange";
const COMPACT: &str = "/etcdserverpb.KV/Compact";
const DEFRAGMENT: &str = "/etcdserverpb.Maintenance/Defragment";
const STATUS: &str = "/etcdserverpb.Maintenance/Status";
const WATCH: &str = "/etcdserverpb.Watch/Watch";

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) value: Bytes,
}

/// Only the revision is read, which every answer has at the same place.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Header {
    #[prost(int64, tag = "3")]
    pub(crate) revision: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Written {
    #[prost(message, optional, tag = "1")]
    pub(crate) header: Option<Header>,
    /// How many keys, when they were deleted.
    #[prost(int64, tag = "2")]
    pub(crate) deleted: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PutResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) header: Option<Header>,
}

/// A request for a range of keys, or for its deletion: the first two fields are the same.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct KeyRange {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) range_end: Bytes,
    /// Of a read only: the number of keys without the keys.
    #[prost(bool, tag = "9")]
    pub(crate) count_only: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Counted {
    #[prost(int64, tag = "4")]
    pub(crate) count: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Compaction {
    #[prost(int64, tag = "1")]
    pub(crate) revision: i64,
    /// Answer when the old revisions are gone from the file.
    #[prost(bool, tag = "2")]
    pub(crate) physical: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Nothing {}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ServerStatus {
    #[prost(string, tag = "2")]
    pub(crate) version: String,
    /// Zero as long as none is elected.
    #[prost(uint64, tag = "4")]
    pub(crate) leader: u64,
}

/// A watch's first and only message to the server.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WatchRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) create: Option<KeyRange>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WatchResponse {
    #[prost(bool, tag = "3")]
    pub(crate) created: bool,
    #[prost(bool, tag = "4")]
    pub(crate) canceled: bool,
    #[prost(message, repeated, tag = "11")]
    pub(crate) events: Vec<Event>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Event {
    #[prost(message, optional, tag = "2")]
    pub(crate) pair: Option<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct KeyValue {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) value: Bytes,
}

pub(crate) async fn put(channel: Channel, key: Bytes, value: Bytes) -> Result<(), Status> {
    let _: PutResponse = unary(channel, PUT, PutRequest { key, value }).await?;
    Ok(())
}

pub(crate) async fn count(channel: Channel, range: KeyRange) -> Result<i64, Status> {
    let counted: Counted = unary(channel, RANGE, range).await?;
    Ok(counted.count)
}

pub(crate) async fn delete(channel: Channel, range: KeyRange) -> Result<Written, Status> {
    unary(channel, DELETE_RANGE, range).await
}

pub(crate) async fn compact(channel: Channel, revision: i64) -> Result<(), Status> {
    let request = Compaction {
        revision,
        physical: true,
    };
    let _: Nothing = unary(channel, COMPACT, request).await?;
    Ok(())
}

pub(crate) async fn defragment(channel: Channel) -> Result<(), Status> {
    let _: Nothing = unary(channel, DEFRAGMENT, Nothing {}).await?;
    Ok(())
}

pub(crate) async fn status(channel: Channel) -> Result<ServerStatus, Status> {
    unary(channel, STATUS, Nothing {}).await
}

/// Watches a range; the stream of requests stays open as long as the answers are read.
pub(crate) async fn watch(
    channel: Channel,
    range: KeyRange,
) -> Result<Streaming<WatchResponse>, Status> {
    let request = WatchRequest {
        create: Some(range),
    };
    let open = futures_util::stream::pending();
    let requests = futures_util::StreamExt::chain(futures_util::stream::iter([request]), open);
    let mut grpc = ready(channel).await?;
    let codec = ProstCodec::<WatchRequest, WatchResponse>::default();
    let path = PathAndQuery::from_static(WATCH);
    let answers = grpc.streaming(Request::new(requests), path, codec).await?;
    Ok(answers.into_inner())
}

async fn unary<Q, A>(channel: Channel, path: &'static str, request: Q) -> Result<A, Status>
where
    Q: Message + Send + Sync + 'static,
    A: Message + Default + Send + Sync + 'static,
{
    let mut grpc = ready(channel).await?;
    let path = PathAndQuery::from_static(path);
    let codec = ProstCodec::<Q, A>::default();
    let answer = grpc.unary(Request::new(request), path, codec).await?;
    Ok(answer.into_inner())
}

async fn ready(channel: Channel) -> Result<Grpc<Channel>, Status> {
    let mut grpc = Grpc::new(channel);
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::unavailable(format!("etcd takes no request: {error}")))?;
    Ok(grpc)
}
