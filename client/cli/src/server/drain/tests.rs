//! How a drain is asked for on the command line, and how it is shown.

use super::*;
use crate::args::{Command, parse};
use crate::output::tests::check;
use crate::output::{Detail, Format};
use crate::server::ServerCommand;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn request(arguments: &[&str]) -> Result<pb::DrainServerRequest, clap::Error> {
    let line = ["sessionctl", "server", "drain"].iter().chain(arguments);
    let Command::Server(ServerCommand::Drain(args)) = parse(line)?.0.command else {
        panic!("another command");
    };
    Ok(args.request(NOW))
}

fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

fn closed() -> pb::DrainReport {
    pb::DrainReport {
        state: pb::DrainState::Closed.into(),
        reason: pb::EndReason::Restart.into(),
        sessions: pb::DrainSessions::End.into(),
        begin_time: at(i64::MAX),
        end_time: None,
        duration: Some(prost_types::Duration {
            seconds: 61,
            nanos: 5,
        }),
        ended: 7,
        ended_late: 1,
        left: 2,
        resources_unreleased: 3,
        recovered: true,
        notice_end_time: None,
        warnings: vec![
            pb::DrainWarning {
                code: "session-drain-timeout".to_owned(),
                subject: "s1".to_owned(),
                count: 4,
            },
            pb::DrainWarning {
                code: "later".to_owned(),
                subject: String::new(),
                count: 1,
            },
        ],
    }
}

#[test]
fn what_is_given_is_sent_and_nothing_else() {
    let bare = pb::DrainServerRequest::default();
    assert_eq!(request(&[]).expect("nothing is needed"), bare);
    assert_eq!(request(&["--wait"]).expect("valid arguments"), bare);
    let full = request(&["--restart", "--keep", "--within", "5s"]);
    let expected = pb::DrainServerRequest {
        reason: pb::EndReason::Restart.into(),
        deadline: at(5),
        sessions: pb::DrainSessions::Keep.into(),
        notice: None,
    };
    assert_eq!(full.expect("valid arguments"), expected);
    let announced = request(&["--notice", "1m", "--within", "5s"]);
    let announced = announced.expect("valid arguments");
    let minute = prost_types::Duration {
        seconds: 60,
        nanos: 0,
    };
    assert_eq!(
        (announced.notice, announced.deadline),
        (Some(minute), at(65))
    );
    let ended = request(&["--end"]).expect("valid arguments").sessions();
    assert_eq!(ended, pb::DrainSessions::End);
}

#[test]
fn sessions_end_or_stay_and_time_is_more_than_none() {
    for bad in [&["--keep", "--end"][..], &["--within", "0s"], &["now"]] {
        let error = request(bad).expect_err("bad arguments");
        assert_eq!(error.exit_code(), 2, "{bad:?}");
    }
}

#[test]
fn a_report_is_a_list_of_fields_with_its_warnings() {
    let table = "drain       closed\nreason      restart\nsessions    end\nbegan       0s\n\
                 took        1m1s\nended       7\nended late  1\nleft        2\n\
                 unreleased  3\nfinished    by the next start\n\
                 warning     session-drain-timeout s1: 4\nwarning     later: 1\n";
    let rows = Detail::RowsWithHeader;
    check(Format::Table, rows, table, |output| {
        report(closed(), output)
    });
    check(Format::Table, rows, table, |output| {
        last_report(Some(closed()), output)
    });
    check(Format::Json, Detail::Ids, "closed\n", |output| {
        report(closed(), output)
    });
}

#[test]
fn an_announced_drain_says_when_it_begins_and_one_that_was_called_off_that_it_was() {
    let now = Timestamp::now();
    let begun = pb::DrainStarted {
        notice_end_time: at(now.as_second() + 90),
        ..Default::default()
    };
    let line = started_line(&begun);
    assert!(line.contains(", begins in 1m"), "{line}");
    let report = pb::DrainReport {
        state: pb::DrainState::Cancelled.into(),
        ..closed()
    };
    let shown = |output: &mut Output| cancelled(Some(report.clone()), output);
    check(Format::Json, Detail::Ids, "cancelled\n", shown);
    let fields = report_fields(&report, now);
    assert_eq!(fields[0][1], "cancelled");
    assert!(
        fields
            .iter()
            .all(|[name, _]| name != "begins in" && name != "finished")
    );
}

#[test]
fn both_commands_have_the_report_at_one_place_of_their_json() {
    let told = pb::DrainReport {
        ended: 7,
        ..Default::default()
    };
    let line = json::line(&told);
    let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let whole = format!("{:#}\n", serde_json::json!({ "report": value }));
    let rows = Detail::RowsWithHeader;
    let again = told.clone();
    check(Format::Jsonl, rows, &line, |output| {
        report(again.clone(), output)
    });
    check(Format::Json, rows, &whole, |output| report(again, output));
    check(Format::Json, rows, &whole, |output| {
        last_report(Some(told), output)
    });
}

#[test]
fn a_store_that_was_never_drained_has_an_empty_answer() {
    let never = |output: &mut Output| last_report(None, output);
    check(Format::Table, Detail::RowsWithHeader, "", never);
    check(Format::Json, Detail::RowsWithHeader, "{}\n", never);
}

#[test]
fn a_drain_that_began_is_told_with_what_holds() {
    let begun = pb::DrainStarted {
        joined: true,
        begin_time: None,
        deadline: at(0),
        reason: pb::EndReason::Shutdown.into(),
        sessions: pb::DrainSessions::Keep.into(),
        notice_end_time: None,
    };
    let table = "drain     joined\nreason    shutdown\nsessions  keep\nbegan     -\ngone in   0s\n";
    check(Format::Table, Detail::RowsWithHeader, table, |output| {
        started(begun, output)
    });
    assert_eq!(
        started_line(&begun),
        "the server drains already: sessions: keep, reason: shutdown, gone in 0s"
    );
    let progress = pb::DrainProgress {
        ended: 1,
        waiting: 2,
        left: 3,
        releasing: 4,
    };
    assert_eq!(
        progress_line(&progress),
        "1 ended, 2 wait for what is under way, 3 go on at the next start, 4 resources are being \
         released"
    );
}
