//! Dead letters: which ones, and what to do with them.
//!
//! Keeps nothing of its own: it fills in one filter and sends it with each
//! request.

use std::time::SystemTime;

use futures_util::Stream;
use sessiond_proto::v1 as pb;

use crate::client::Client;
use crate::error::Error;
use crate::many_messages::{Pages, page_setters};

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

    /// Those that this filter means, instead of what was set before.
    pub fn matching(mut self, filter: pb::DeadLetterFilter) -> Self {
        self.filter = filter;
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

/// Dead letters on their way back, to be sent.
#[derive(Clone, Debug)]
#[must_use = "nothing is brought back before `send` or `send_all`"]
pub struct RequeueBuilder {
    client: Client,
    request: pb::RequeueDeadLettersRequest,
}

impl Client {
    /// Prepares to bring back these dead letters, named by queue and number;
    /// [`RequeueBuilder::send_all`] does it.
    pub fn requeue(&self, letters: impl IntoIterator<Item = (u64, u64)>) -> RequeueBuilder {
        let letters = letters
            .into_iter()
            .map(|(queue_id, seq)| pb::DeadLetterRef { queue_id, seq });
        RequeueBuilder {
            client: self.clone(),
            request: pb::RequeueDeadLettersRequest {
                letters: letters.collect(),
                ..Default::default()
            },
        }
    }
}

impl DeadLetters {
    /// Prepares to bring them back; [`RequeueBuilder::send_all`] does it.
    pub fn requeue(self) -> RequeueBuilder {
        RequeueBuilder {
            client: self.client,
            request: pb::RequeueDeadLettersRequest {
                filter: Some(self.filter),
                ..Default::default()
            },
        }
    }
}

// === impl RequeueBuilder ===

impl RequeueBuilder {
    /// Into this live session. Default: each into its own queue, if its session
    /// is live.
    pub fn into_session(mut self, session: pb::SessionRef) -> Self {
        self.request.into = Some(session);
        self
    }

    page_setters!();

    /// Brings back one page of them, or the named ones, at most 256; the answer's
    /// `next_page_token` and `not_reached` tell whether there are more.
    ///
    /// # Errors
    ///
    /// What `RequeueDeadLetters` refuses. A letter that stays where it is is
    /// counted in the answer, and is no error.
    pub async fn send(self) -> Result<pb::RequeueDeadLettersResponse, Error> {
        self.client.requeue_page(self.request).await
    }

    /// Brings back all of them, page by page, and answers with the sum of all
    /// pages.
    ///
    /// # Errors
    ///
    /// Those of [`RequeueBuilder::send`]; the pages before the one that failed
    /// were brought back.
    pub async fn send_all(mut self) -> Result<pb::RequeueDeadLettersResponse, Error> {
        let mut pages = Pages::new(&mut self.request.letters, &self.request.request_id);
        let mut whole = pb::RequeueDeadLettersResponse::default();
        loop {
            self.request.letters = pages.names();
            let page = self.client.requeue_page(self.request.clone()).await?;
            pages.not_reached(&mut self.request.letters, page.not_reached);
            add(&mut whole, &page);
            let Some(request_id) = pages.next_id(&page.next_page_token) else {
                return Ok(whole);
            };
            self.request.page_token = page.next_page_token;
            self.request.request_id = request_id;
        }
    }
}

/// Adds a page to the sum of those before it.
fn add(whole: &mut pb::RequeueDeadLettersResponse, page: &pb::RequeueDeadLettersResponse) {
    whole.requeued += page.requeued;
    whole.not_found += page.not_found;
    whole.in_flight += page.in_flight;
    whole.without_session += page.without_session;
    whole.no_room += page.no_room;
    whole.duplicates += page.duplicates;
    whole.duplicate |= page.duplicate;
    whole.revision = page.revision;
}
