//! The tables' frame: a server with something on it, a case, and the check that nothing changed.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::refusal::Refusal;
use sessiond_tests::requests::{key, open, unforeseen};
use sessiond_tests::server::Server;
use tonic::Code;

/// A server with a live session `a` that has a message, and one that is handed out.
pub(crate) struct World {
    pub(crate) caller: Caller,
    pub(crate) delivery: pb::Delivery,
    before: State,
    /// Stops with the test.
    _server: Server,
}

/// Whatever a request could change.
#[derive(Debug, PartialEq)]
struct State {
    session: pb::Session,
    messages: Vec<pb::Message>,
    sessions: Option<pb::SessionStats>,
    counts: Option<pb::MessageStats>,
    revision: u64,
}

/// A request and what is wrong with it.
pub(crate) struct Bad<R> {
    request: R,
    reason: Reason,
    fields: Vec<String>,
}

/// A request with fields that no server would take.
pub(crate) fn invalid<R>(request: R, fields: &[&str]) -> Bad<R> {
    bad(request, Reason::FieldInvalid, fields)
}

/// A request with fields that are not built.
pub(crate) fn not_built<R>(request: R, fields: &[&str]) -> Bad<R> {
    bad(request, Reason::NotBuilt, fields)
}

/// A request that is refused for a reason of its own.
pub(crate) fn bad<R>(request: R, reason: Reason, fields: &[&str]) -> Bad<R> {
    Bad {
        request,
        reason,
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let server = Server::start();
        let caller = Caller::to(&server).await;
        caller.open(open("a")).await.expect("opened");
        caller.enqueued(key("a"), &["one", "two"]).await;
        let claim = pb::ClaimMessagesRequest {
            max_messages: Some(1),
            ..sessiond_tests::requests::claim(key("a"), "w")
        };
        let mut out = caller.claim(claim).await.expect("claimed").deliveries;
        let before = state(&caller).await;
        Self {
            caller,
            delivery: out.remove(0),
            before,
            _server: server,
        }
    }

    /// Asks each request of a table and checks its refusal, then that nothing changed.
    pub(crate) async fn refuses<R: std::fmt::Debug, T: std::fmt::Debug>(
        &self,
        table: Vec<Bad<R>>,
        call: impl AsyncFn(R) -> Result<T, Refusal>,
    ) {
        assert!(!table.is_empty(), "an empty table shows nothing");
        for case in table {
            let shown = shorten(&format!("{:?}", case.request));
            match call(case.request).await {
                Ok(answer) => panic!(
                    "taken: {shown}\nanswer: {}",
                    shorten(&format!("{answer:?}"))
                ),
                Err(refusal) => judge(&refusal, case.reason, &case.fields, &shown),
            }
        }
        self.is_unchanged().await;
    }

    pub(crate) async fn is_unchanged(&self) {
        assert_eq!(state(&self.caller).await, self.before);
    }
}

/// Checks a refusal against what is awaited of it.
pub(crate) fn judge(refusal: &Refusal, reason: Reason, fields: &[String], shown: &str) {
    assert_eq!(refusal.reason, reason.as_str(), "{shown}\n{refusal:?}");
    let (code, named) = if reason == Reason::NotBuilt {
        let named = refusal.metadata.get("fields").cloned().unwrap_or_default();
        let named = named.split(", ").map(str::to_owned).collect();
        (Code::Unimplemented, named)
    } else {
        (Code::InvalidArgument, refusal.fields.clone())
    };
    assert_eq!(refusal.code, code, "{shown}\n{refusal:?}");
    assert_eq!(
        named, fields,
        "every faulty field, and no other: {shown}\n{refusal:?}"
    );
    assert!(
        refusal.message.contains(&fields[0]),
        "people are told too: {refusal:?}"
    );
    assert!(
        refusal.message.len() < 1_024,
        "a message is no page: {refusal:?}"
    );
}

async fn state(caller: &Caller) -> State {
    let stats = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
    let mut messages = caller.messages_of(key("a")).await;
    for status in messages
        .iter_mut()
        .filter_map(|message| message.status.as_mut())
    {
        status.deadline = None;
    }
    State {
        session: unforeseen(caller.session(key("a")).await),
        messages,
        sessions: stats.sessions,
        counts: stats.messages,
        revision: stats.revision,
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(600).collect()
}

/// A text of so many bytes.
pub(crate) fn bytes(count: usize) -> String {
    "x".repeat(count)
}

/// One more label than a session may have.
pub(crate) fn too_many_labels() -> std::collections::BTreeMap<String, String> {
    (0..65)
        .map(|at| (format!("l{at}"), String::new()))
        .collect()
}

/// Labels of one byte more than a session may have.
pub(crate) fn too_long_labels() -> std::collections::BTreeMap<String, String> {
    [("l".to_owned(), bytes(8_192))].into()
}

/// A span that may be of no use: negative, of mixed signs, with too many nanoseconds.
pub(crate) fn raw(seconds: i64, nanos: i32) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos })
}

/// Spans that no field takes.
pub(crate) fn no_spans() -> Vec<Option<prost_types::Duration>> {
    vec![
        raw(0, 0),
        raw(-1, 0),
        raw(0, -1),
        raw(1, -1),
        raw(-1, 1),
        raw(0, 1_000_000_000),
        raw(i64::MAX, 0),
        raw(i64::MIN, 0),
    ]
}
