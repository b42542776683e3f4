//! The calls of nearly every test, which fails when they are refused.

use sessiond_proto::v1 as pb;

use super::Caller;

/// Between two looks at what the server does in its own time: little of the seconds that this takes.
const MOMENT_MS: u64 = 100;

impl Caller {
    /// Opens a key, and answers with its session.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn opened(&self, key: &str) -> pb::Session {
        self.opened_as(crate::requests::open(key)).await
    }

    /// Opens as asked, and answers with the session.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn opened_as(&self, request: pb::OpenSessionRequest) -> pb::Session {
        let opened = self.open(request).await;
        opened.expect("an open").session.expect("a session")
    }

    /// Says that a session is in use.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn touched(&self, session: Option<pb::SessionRef>) -> pb::Session {
        let touch = pb::TouchSessionRequest {
            r#ref: session,
            usage_delta: None,
        };
        let touched = self.touch(touch).await;
        touched.expect("a touch").session.expect("a session")
    }

    /// Opens a session and gives it one message that says its key.
    ///
    /// # Panics
    /// If either is refused.
    pub async fn with_work(&self, request: pb::OpenSessionRequest) {
        let name = request.key.clone();
        self.open(request).await.expect("opened");
        self.enqueued(crate::requests::key(&name), &[&name]).await;
    }

    /// Waits until the server's clock has moved: age counts in milliseconds, and a commit may take less.
    ///
    /// # Panics
    /// If the server does not count.
    pub async fn a_millisecond_later(&self) {
        let uptime = async || {
            let stats = self.stats(pb::GetStatsRequest::default()).await;
            stats.expect("the server counts").uptime
        };
        let before = uptime().await;
        while uptime().await == before {}
    }

    /// The session as it is.
    ///
    /// # Panics
    /// If there is none.
    pub async fn session(&self, session: Option<pb::SessionRef>) -> pb::Session {
        let found = self.get(pb::GetSessionRequest { r#ref: session }).await;
        found.expect("a get").session.expect("a session")
    }

    /// Enqueues one message for each payload, and answers with their seqs.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn enqueued(&self, session: Option<pb::SessionRef>, payloads: &[&str]) -> Vec<u64> {
        let request = crate::requests::enqueue(session, payloads);
        let answer = self.enqueue(request).await.expect("an enqueue");
        answer.results.iter().map(|result| result.seq).collect()
    }

    /// Enqueues messages, and answers with what became of each.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn sent(
        &self,
        session: Option<pb::SessionRef>,
        messages: impl IntoIterator<Item = pb::Message>,
    ) -> Vec<(u64, pb::EnqueueStatus)> {
        let request = crate::requests::send(session, messages);
        let answer = self.enqueue(request).await.expect("an enqueue");
        let results = answer.results.iter();
        results.map(|one| (one.seq, one.status())).collect()
    }

    /// Lets the server be for a moment, between two looks at what it does in its own time: a claim that waits for work of
    /// which there is none.
    ///
    /// # Panics
    /// If there is some.
    pub async fn a_moment(&self) {
        let claimed = self
            .claim(crate::requests::claim_within(None, "nobody", MOMENT_MS))
            .await;
        let claimed = claimed.expect("a claim that finds nothing");
        assert!(claimed.lease.is_none(), "there is work");
    }

    /// Claims what there is to claim of a session, without waiting.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn claimed(
        &self,
        session: Option<pb::SessionRef>,
        worker: &str,
    ) -> Vec<pb::Delivery> {
        let request = crate::requests::claim(session, worker);
        self.claim(request).await.expect("a claim").deliveries
    }

    /// Settles, and answers with what became of each.
    ///
    /// # Panics
    /// If the call is refused.
    pub async fn settled(&self, settlements: Vec<pb::Settlement>) -> Vec<pb::SettleResult> {
        let request = pb::SettleMessagesRequest { settlements };
        self.settle(request).await.expect("a settle").results
    }

    /// Settles one delivery, and answers with its code.
    ///
    /// # Panics
    /// If the call is refused.
    pub async fn code(&self, settlement: pb::Settlement) -> pb::SettleCode {
        self.settled(vec![settlement]).await[0].code()
    }

    /// Lists the messages of a session.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn messages_of(&self, session: Option<pb::SessionRef>) -> Vec<pb::Message> {
        let request = pb::ListMessagesRequest {
            r#ref: session,
            page_size: 1_000,
            ..pb::ListMessagesRequest::default()
        };
        self.list_messages(request).await.expect("a list").messages
    }

    /// Lists the dead letters of a session, or of the whole namespace.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn dead_letters_of(&self, session: Option<pb::SessionRef>) -> Vec<pb::DeadLetter> {
        let request = crate::requests::dead_letters(session);
        let answer = self.list_dead_letters(request).await;
        answer.expect("a list").dead_letters
    }

    /// The newest revision.
    ///
    /// # Panics
    /// If the server does not tell.
    pub async fn revision(&self) -> u64 {
        let info = self.info(pb::GetServerInfoRequest {}).await;
        info.expect("the server's info").current_revision
    }
}
