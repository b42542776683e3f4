//! What the commands send and print, byte for byte.

use super::*;
use crate::args::{Command, parse};
use crate::output::tests::check;
use crate::output::{Detail, Format};

fn command(arguments: &[&str]) -> Result<SubscriptionCommand, clap::Error> {
    let line = ["sessionctl", "subscription"].iter().chain(arguments);
    let Command::Subscription(command) = parse(line)?.0.command else {
        panic!("another command");
    };
    Ok(command)
}

fn create(arguments: &[&str]) -> pb::CreateSubscriptionRequest {
    let SubscriptionCommand::Create(args) = command(arguments).expect("valid arguments") else {
        panic!("another command");
    };
    args.request()
}

fn seek(arguments: &[&str]) -> Result<pb::SeekSubscriptionRequest, clap::Error> {
    let SubscriptionCommand::Seek(args) = command(arguments)? else {
        panic!("another command");
    };
    Ok(args.request())
}

fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

fn memory() -> pb::Subscription {
    pb::Subscription {
        name: "memory".to_owned(),
        namespace: "default".to_owned(),
        filter: Some(pb::EventFilter {
            types: vec![pb::EventType::SessionEnd.into()],
            project: "web".to_owned(),
            ..Default::default()
        }),
        required: true,
        max_lag: Some(seconds(86_400)),
        max_lag_bytes: 1_024,
        state: pb::SubscriptionState::Active.into(),
        acked_revision: 7,
        epoch: 2,
        consumer: "m-1".to_owned(),
        connected: true,
        delivered_revision: 9,
        lag: Some(pb::SubscriptionLag {
            events: 3,
            bytes: 900,
            age: Some(seconds(61)),
        }),
        ..Default::default()
    }
}

#[test]
fn what_is_given_is_sent_and_nothing_else() {
    let bare = pb::CreateSubscriptionRequest {
        name: "m".to_owned(),
        ..Default::default()
    };
    assert_eq!(create(&["create", "m"]), bare);
    let full = create(&[
        "create",
        "m",
        "--type",
        "session-end",
        "--key-glob",
        "a*",
        "--oldest",
        "--required",
        "--max-lag",
        "1h",
        "--max-lag-bytes",
        "70000",
        "--request-id",
        "r",
    ]);
    let expected = pb::CreateSubscriptionRequest {
        filter: Some(pb::EventFilter {
            types: vec![pb::EventType::SessionEnd.into()],
            key_glob: "a*".to_owned(),
            ..Default::default()
        }),
        start: Some(pb::EventStart {
            start: Some(pb::event_start::Start::Oldest(true)),
        }),
        max_lag: Some(seconds(3_600)),
        max_lag_bytes: Some(70_000),
        required: true,
        request_id: "r".to_owned(),
        ..bare
    };
    assert_eq!(full, expected);
}

#[test]
fn a_place_is_named_in_one_way_and_never_by_forgetting_it() {
    use pb::event_start::Start;
    let start = |arguments: &[&str]| {
        let request = seek(&[&["seek", "m"], arguments].concat());
        request.map(|request| request.start.and_then(|start| start.start))
    };
    let after = start(&["--after", "0"]).expect("a place");
    assert_eq!(after, Some(Start::AfterRevision(0)));
    let resumed = start(&["--resume", "t"]).expect("a place");
    assert_eq!(resumed, Some(Start::ResumeToken("t".to_owned())));
    assert_eq!(start(&["--now"]).expect("a place"), None);
    for bad in [&[][..], &["--now", "--oldest"], &["--after", "1", "--now"]] {
        let error = start(bad).expect_err("no place or two");
        assert_eq!(error.exit_code(), 2, "{bad:?}");
    }
}

#[test]
fn one_is_a_list_of_fields() {
    let table = "name       memory\nstate      active\nnamespace  default\n\
                 events     type session-end, project web\n\
                 required   ended sessions are kept until it acknowledged them, 24h at most\n\
                 max lag    1d, 1024 bytes\nacked      7\ndelivered  9\n\
                 behind     3 events, 900 bytes, the oldest 1m1s old\n\
                 consumer   m-1 (connected)\nepoch      2\n";
    check(Format::Table, Detail::RowsWithHeader, table, |output| {
        show(&memory(), output)
    });
    check(Format::Json, Detail::Ids, "memory\n", |output| {
        show(&memory(), output)
    });
}

#[test]
fn many_are_rows() {
    let table = "NAME    STATE   REQUIRED  ACKED  DELIVERED  BEHIND  BYTES  SINCE  CONSUMER  CONNECTED\n\
                 memory  active  yes       7      9          3       900    1m1s   m-1       yes\n\
                 new     stale   no        0      0          0       0      -      -         no\n";
    let all = pb::ListSubscriptionsResponse {
        subscriptions: vec![
            memory(),
            pb::Subscription {
                name: "new".to_owned(),
                state: pb::SubscriptionState::Stale.into(),
                ..Default::default()
            },
        ],
        next_page_token: String::new(),
    };
    check(Format::Table, Detail::RowsWithHeader, table, |output| {
        output.answer(&all, &all.subscriptions)
    });
}

#[test]
fn one_that_is_gone_is_named() {
    let gone = |output: &mut Output| gone("memory", output);
    check(
        Format::Table,
        Detail::RowsWithHeader,
        "deleted  memory\n",
        gone,
    );
    check(Format::Jsonl, Detail::Rows, "{\"duplicate\":false}\n", gone);
}
