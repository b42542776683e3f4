//! One connection to a server, and the requests that measurements send most.
//!
//! Raw generated clients without retries, so that what is measured is the server; windows as the SDK
//! sets them. Invariant: an answer that is not the one wanted is an error. What it deliberately does not
//! do: reconnect.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use sessiond_proto::NAMESPACE_METADATA_KEY;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::admin_service_client::AdminServiceClient;
use sessiond_proto::v1::message_service_client::MessageServiceClient;
use sessiond_proto::v1::session_service_client::SessionServiceClient;
use sessiond_proto::v1::worker_service_client::WorkerServiceClient;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

/// Bytes the server may send ahead on one stream; as in the SDK.
const STREAM_WINDOW_BYTES: u32 = 256 * 1_024;
/// Bytes it may send ahead on all streams; as in the SDK.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1_024 * 1_024;
/// Bytes of one answer; the server sends at most 17 MiB.
const ANSWER_BYTES_MAX: usize = 17 * 1_024 * 1_024;
/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Calls under way while sessions are opened beforehand.
const OPENS_AT_ONCE: usize = 128;
/// Sessions that messages are spread over.
pub(crate) const SESSIONS: usize = 64;
/// Messages of one session that may be in flight: the most a session takes, so that the worker's window
/// is what counts.
const SESSION_IN_FLIGHT: u32 = 512;
/// Random bytes that payloads are cut from.
const RANDOM_BYTES: usize = 4 * 1_024 * 1_024;

/// One connection, in one namespace.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    channel: Channel,
    namespace: Option<MetadataValue<Ascii>>,
}

impl Caller {
    /// A connection of its own, in the namespace `default`.
    pub(crate) async fn connect(address: &str) -> Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_WITHIN)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .connect()
            .await
            .with_context(|| format!("failed to connect to {address}"))?;
        Ok(Self {
            channel,
            namespace: None,
        })
    }

    /// The same connection in another namespace.
    pub(crate) fn within(&self, namespace: &str) -> Self {
        let namespace = namespace.parse().expect("our namespaces are plain ASCII");
        Self {
            channel: self.channel.clone(),
            namespace: Some(namespace),
        }
    }

    /// The connection itself.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The request as a call of the namespace.
    pub(crate) fn call<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(namespace) = &self.namespace {
            let metadata = request.metadata_mut();
            metadata.insert(NAMESPACE_METADATA_KEY, namespace.clone());
        }
        request
    }

    pub(crate) fn messages(&self) -> MessageServiceClient<Channel> {
        MessageServiceClient::new(self.channel.clone())
    }

    pub(crate) fn workers(&self) -> WorkerServiceClient<Channel> {
        WorkerServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(crate) fn sessions(&self) -> SessionServiceClient<Channel> {
        SessionServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// What the server counts.
    pub(crate) async fn stats(&self) -> Result<pb::GetStatsResponse> {
        let mut admin = AdminServiceClient::new(self.channel.clone());
        let stats = admin.get_stats(self.call(pb::GetStatsRequest {})).await;
        Ok(stats
            .context("failed to read the server's counts")?
            .into_inner())
    }

    /// Opens the sessions that messages go to; answers with their ids.
    pub(crate) async fn open_sessions(&self) -> Result<Arc<[String]>> {
        let requests = (0..SESSIONS).map(|index| pb::OpenSessionRequest {
            key: format!("bench/{index}"),
            max_in_flight: Some(SESSION_IN_FLIGHT),
            ..pb::OpenSessionRequest::default()
        });
        Ok(self.open_all(requests).await?.into())
    }

    /// Opens sessions, many at a time; answers with their ids, in the order of the requests.
    pub(crate) async fn open_all(
        &self,
        requests: impl Iterator<Item = pb::OpenSessionRequest>,
    ) -> Result<Vec<String>> {
        stream::iter(requests.map(|request| self.open(request)))
            .buffered(OPENS_AT_ONCE)
            .try_collect()
            .await
    }

    /// Opens one session that must be new; answers with its id.
    pub(crate) async fn open(&self, request: pb::OpenSessionRequest) -> Result<String> {
        let answer = self.sessions().open_session(self.call(request)).await;
        let answer = answer.context("failed to open a session")?.into_inner();
        ensure!(answer.created, "a session was there before it was opened");
        Ok(answer
            .session
            .context("no session in the answer")?
            .session_id)
    }

    /// Ends one session that must be live, and is over with the answer.
    pub(crate) async fn end(&self, session: &str) -> Result<()> {
        let request = pb::EndSessionRequest {
            r#ref: by_id(session),
            mode: pb::EndMode::Immediate.into(),
            ..pb::EndSessionRequest::default()
        };
        let answer = self.sessions().end_session(self.call(request)).await;
        let answer = answer.context("failed to end a session")?.into_inner();
        ensure!(!answer.already_ended, "a session was over before its end");
        Ok(())
    }

    /// Ends every session of the namespace by one call, each over with the answer; answers with how many.
    pub(crate) async fn end_all(&self) -> Result<usize> {
        let request = pb::EndSessionsRequest {
            filter: Some(pb::SessionFilter::default()),
            mode: pb::EndMode::Immediate.into(),
            ..pb::EndSessionsRequest::default()
        };
        let answer = self.sessions().end_sessions(self.call(request)).await;
        let answer = answer.context("failed to end all sessions")?.into_inner();
        ensure!(answer.next_page_token.is_empty(), "one call was not enough");
        let mut results = answer.results.iter();
        let all = results.all(|result| result.outcome() == pb::EndOutcome::Ended);
        ensure!(all, "a session was not ended by the call");
        Ok(answer.results.len())
    }
}

/// A session by its id.
pub(crate) fn by_id(id: &str) -> Option<pb::SessionRef> {
    let named = pb::session_ref::Ref::SessionId(id.to_owned());
    Some(pb::SessionRef { r#ref: Some(named) })
}

/// Ids of sessions that nobody looks for: what the no-op server is asked with.
pub(crate) fn ids_of_nobody() -> Arc<[String]> {
    (0..SESSIONS)
        .map(|_| uuid::Uuid::now_v7().to_string())
        .collect()
}

/// Random bytes to cut payloads from, so that making one costs the client nothing.
#[derive(Debug, Clone)]
pub(crate) struct Payloads {
    random: Bytes,
    each: usize,
}

impl Payloads {
    pub(crate) fn of(each: usize) -> Self {
        let mut random = vec![0; RANDOM_BYTES + each];
        fastrand::fill(&mut random);
        Self {
            random: random.into(),
            each,
        }
    }

    pub(crate) fn next(&self) -> Bytes {
        let at = fastrand::usize(..=self.random.len() - self.each);
        self.random.slice(at..at + self.each)
    }
}

/// Makes messages, each with an idempotency key nobody else has, and says where each goes.
#[derive(Debug, Clone)]
pub(crate) struct Producer {
    sessions: Arc<[String]>,
    payloads: Payloads,
    prefix: String,
    /// Messages made, for their idempotency keys.
    made: usize,
    /// Requests made: each goes to the next session, however many messages it has.
    turn: usize,
}

impl Producer {
    /// The producer with this index, of payloads from this source, to these sessions in turn.
    pub(crate) fn new(index: usize, sessions: &Arc<[String]>, payloads: &Payloads) -> Self {
        Self {
            sessions: Arc::clone(sessions),
            payloads: payloads.clone(),
            prefix: format!("{:016x}-{index}", fastrand::u64(..)),
            made: 0,
            // Callers begin at different sessions.
            turn: index,
        }
    }

    fn message(&mut self) -> pb::Message {
        self.made += 1;
        pb::Message {
            kind: "observation".to_owned(),
            payload: self.payloads.next(),
            idempotency_key: format!("{}-{}", self.prefix, self.made),
            ..pb::Message::default()
        }
    }

    fn session(&mut self) -> Option<pb::SessionRef> {
        self.turn += 1;
        by_id(&self.sessions[self.turn % self.sessions.len()])
    }

    /// One message, as a call.
    pub(crate) fn request(&mut self) -> pb::EnqueueMessagesRequest {
        let message = self.message();
        pb::EnqueueMessagesRequest {
            r#ref: self.session(),
            messages: vec![message],
            ..pb::EnqueueMessagesRequest::default()
        }
    }

    /// Some messages for one session, as a frame.
    pub(crate) fn frame(&mut self, messages: usize) -> pb::EnqueueStreamRequest {
        let messages = (0..messages).map(|_| self.message()).collect();
        pb::EnqueueStreamRequest {
            stream_id: self.made.to_string(),
            r#ref: self.session(),
            messages,
            ..pb::EnqueueStreamRequest::default()
        }
    }
}

/// Checks that every message of an enqueue was accepted.
pub(crate) fn accepted(results: &[pb::EnqueueResult], messages: usize) -> Result<()> {
    ensure!(
        results.len() == messages,
        "an enqueue got no answer for each message"
    );
    let all = results
        .iter()
        .all(|result| result.status() == pb::EnqueueStatus::Enqueued);
    ensure!(all, "a message was not accepted");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn named(frame: &pb::EnqueueStreamRequest) -> pb::session_ref::Ref {
        frame.r#ref.clone().unwrap().r#ref.unwrap()
    }

    #[test]
    fn frames_of_any_size_are_spread_over_all_sessions_evenly() {
        let sessions: Arc<[String]> = (0..SESSIONS).map(|index| index.to_string()).collect();
        let payloads = Payloads::of(16);
        for size in [1, 64, 100] {
            let mut producer = Producer::new(3, &sessions, &payloads);
            let frames: Vec<_> = (0..SESSIONS).map(|_| producer.frame(size)).collect();
            for (index, frame) in frames.iter().enumerate() {
                let before = &frames[..index];
                assert!(before.iter().all(|other| named(other) != named(frame)));
            }
            let keys: BTreeSet<&str> = frames
                .iter()
                .flat_map(|frame| &frame.messages)
                .map(|message| message.idempotency_key.as_str())
                .collect();
            assert_eq!(keys.len(), SESSIONS * size);
        }
    }
}
