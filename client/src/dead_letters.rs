//! Dead letters: which ones, and what to do with them.
//!
//! Keeps nothing of its own: it fills in one filter and sends it with each
//! request.

use std::time::SystemTime;

use futures_util::Stream;
use sessiond_proto::v1 as pb;

use crate::client::Client;
use crate::error::Error;

/// The dead letters that meet every condition, of the whole namespace unless a
/// session is named.
#[derive(Clone, Debug)]
#[must_use = "nothing is asked for before `list`"]
pub struct DeadLetters {
    client: Client,
    filter: pb::DeadLetterFilter,
}

impl Client {
    /// The dead letters of the namespace; [`DeadLetters::list`] reads them.
    pub fn dead_letters(&self) -> DeadLetters {
        DeadLetters {
            client: self.clone(),
            filter: pb::DeadLetterFilter::default(),
        }
    }
}

// === impl DeadLetters ===

impl DeadLetters {
    /// Only those in the queue of this session.
    pub fn session(mut self, session: pb::SessionRef) -> Self {
        self.filter.r#ref = Some(session);
        self
    }

    /// Only those of this kind; called again, of any of these kinds.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.filter.kinds.push(kind.into());
        self
    }

    /// Only those given up for this reason; called again, for any of these.
    pub fn reason(mut self, reason: pb::DeadLetterReason) -> Self {
        self.filter.reasons.push(reason.into());
        self
    }

    /// Only those given up at this time or later.
    pub fn since(mut self, time: SystemTime) -> Self {
        self.filter.since_time = Some(time.into());
        self
    }

    /// Only those given up before this time.
    pub fn until(mut self, time: SystemTime) -> Self {
        self.filter.until_time = Some(time.into());
        self
    }

    /// The filter, for requests of one's own.
    pub fn filter(self) -> pb::DeadLetterFilter {
        self.filter
    }

    /// Lists them without their payloads, those of older queues first; pages are
    /// fetched as they are read. The stream ends after the first error.
    pub fn list(&self) -> impl Stream<Item = Result<pb::DeadLetter, Error>> + Send + Unpin + use<> {
        self.list_with(false)
    }

    /// The same with their payloads.
    pub fn list_with_payloads(
        &self,
    ) -> impl Stream<Item = Result<pb::DeadLetter, Error>> + Send + Unpin + use<> {
        self.list_with(true)
    }

    fn list_with(
        &self,
        include_payload: bool,
    ) -> impl Stream<Item = Result<pb::DeadLetter, Error>> + Send + Unpin + use<> {
        self.client
            .list_all_dead_letters(pb::ListDeadLettersRequest {
                filter: Some(self.filter.clone()),
                include_payload,
                ..Default::default()
            })
    }
}
