//! What the formats print, byte for byte.
//!
//! Invariant: goes through `Output` as commands do. What it deliberately does not do: look at
//! colours or terminals; there is no difference.

use std::sync::{Arc, Mutex};

use sessiond_client::pb;

use super::*;

#[derive(Clone, Debug, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Closed;

impl Write for Closed {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    /// An output that takes everything and shows nothing.
    pub(crate) fn nowhere() -> Self {
        Self::to(Box::new(io::sink()), Format::Table, Detail::Rows)
    }

    /// An output that nobody reads.
    pub(crate) fn closed() -> Self {
        Self::to(Box::new(Closed), Format::Table, Detail::Rows)
    }
}

#[track_caller]
pub(crate) fn check(
    format: Format,
    detail: Detail,
    expected: &str,
    print: impl FnOnce(&mut Output) -> Result<(), Failure>,
) {
    let sink = Sink::default();
    let mut output = Output::to(Box::new(sink.clone()), format, detail);
    print(&mut output).unwrap();
    let printed = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    assert_eq!(printed, expected);
}

fn sent() -> pb::EnqueueMessagesResponse {
    pb::EnqueueMessagesResponse {
        results: vec![
            pb::EnqueueResult { seq: 7, status: 1 },
            pb::EnqueueResult { seq: 3, status: 2 },
        ],
        revision: 9,
        session_id: "s".to_owned(),
        queue_id: 4,
        opened: true,
    }
}

#[test]
fn an_answer_is_printed_in_every_format() {
    let print = |output: &mut Output| {
        let answer = sent();
        output.answer(&answer, &answer.results)
    };
    check(
        Format::Table,
        Detail::RowsWithHeader,
        "SEQ  STATUS\n7    enqueued\n3    duplicate\n",
        print,
    );
    check(
        Format::Table,
        Detail::Rows,
        "7  enqueued\n3  duplicate\n",
        print,
    );
    check(
        Format::Jsonl,
        Detail::RowsWithHeader,
        "{\"seq\":\"7\",\"status\":\"ENQUEUE_STATUS_ENQUEUED\"}\n\
         {\"seq\":\"3\",\"status\":\"ENQUEUE_STATUS_DUPLICATE\"}\n",
        print,
    );
    let whole = "{\n  \"results\": [\n    {\n      \"seq\": \"7\",\n      \
                 \"status\": \"ENQUEUE_STATUS_ENQUEUED\"\n    },\n    {\n      \"seq\": \"3\",\n      \
                 \"status\": \"ENQUEUE_STATUS_DUPLICATE\"\n    }\n  ],\n  \"revision\": \"9\",\n  \
                 \"session_id\": \"s\",\n  \"queue_id\": \"4\",\n  \"opened\": true\n}\n";
    check(Format::Json, Detail::RowsWithHeader, whole, print);
    for format in [Format::Table, Format::Json, Format::Jsonl] {
        check(format, Detail::Ids, "7\n3\n", print);
    }
}

#[test]
fn many_ends_are_rows_with_what_became_of_each() {
    let ended = pb::EndResult {
        session_id: "s1".to_owned(),
        key: "k".to_owned(),
        outcome: pb::EndOutcome::Ended.into(),
        error: None,
    };
    let failed = pb::EndResult {
        session_id: "s2".to_owned(),
        outcome: pb::EndOutcome::Failed.into(),
        error: Some(pb::RefusalStatus {
            reason: "SESSION_NOT_FOUND".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let answer = pb::EndSessionsResponse {
        results: vec![ended, failed],
        ..Default::default()
    };
    let print = |output: &mut Output| output.answer(&answer, &answer.results);
    let table = "KEY  SESSION  OUTCOME  ERROR\nk    s1       ended    -\n\
                 -    s2       failed   SESSION_NOT_FOUND\n";
    check(Format::Table, Detail::RowsWithHeader, table, print);
    check(Format::Table, Detail::Ids, "s1\ns2\n", print);
}

#[test]
fn a_growing_table_has_one_header() {
    let event = |revision| pb::SessionEvent {
        revision,
        r#type: pb::EventType::SessionOpened.into(),
        session: Some(pb::SessionSnapshot {
            key: "k".to_owned(),
            session_id: "s".to_owned(),
            state: pb::SessionState::Active.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let print = |output: &mut Output| {
        output.thing(&event(1))?;
        output.thing(&event(22))
    };
    let row = |revision: &str| {
        format!(
            "{revision:<8}  session-opened         {:<24}  {:<36}  active    -         -\n",
            "k", "s"
        )
    };
    let header = format!(
        "REVISION  TYPE                   {:<24}  {:<36}  STATE     ACTOR     DETAIL\n",
        "KEY", "SESSION"
    );
    check(
        Format::Table,
        Detail::RowsWithHeader,
        &format!("{header}{}{}", row("1"), row("22")),
        print,
    );
    check(Format::Json, Detail::Ids, "1\n22\n", print);
}

#[test]
fn an_event_about_the_server_says_nothing_of_a_session() {
    let event = pb::SessionEvent {
        revision: 7,
        r#type: pb::EventType::ServerDraining.into(),
        actor: Some(pb::Actor {
            kind: pb::ActorKind::Api.into(),
            ..Default::default()
        }),
        attributes: [("reason", "RESTART"), ("sessions", "end")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..Default::default()
    };
    let row = format!(
        "7         server-draining        {:<24}  {:<36}  -         api       reason=RESTART sessions=end\n",
        "-", "-"
    );
    check(Format::Table, Detail::Rows, &row, |output| {
        output.thing(&event)
    });
}

#[test]
fn cells_match_their_headers() {
    fn same<R: Row + Default>() {
        let cells = R::default().cells(Timestamp::UNIX_EPOCH);
        assert_eq!(cells.len(), R::HEADERS.len(), "{:?}", R::HEADERS);
        assert_eq!(cells.len(), R::WIDTHS.len(), "{:?}", R::HEADERS);
    }
    same::<pb::Session>();
    same::<pb::Message>();
    same::<pb::EnqueueResult>();
    same::<rows::Delivered>();
    same::<pb::SessionEvent>();
    same::<pb::PoolInfo>();
    same::<pb::Resource>();
    same::<pb::ReleaseResult>();
}

#[test]
fn a_reader_that_left_is_no_error() {
    let failure = Output::closed().write("x").expect_err("nobody reads");
    assert!(matches!(failure, Failure::NobodyReads));
}
