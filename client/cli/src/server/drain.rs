//! `sessionctl server drain` and what came of it.
//!
//! Invariant: a drain is asked for once; what it says on its way goes to stderr, what came of it to stdout. What this
//! deliberately does not do: find out whether the process has gone.

use std::time::{Duration, SystemTime};

use clap::Args;
use jiff::Timestamp;
use sessiond_client::pb::drain_server_response::Frame;
use sessiond_client::{Client, pb};

use crate::failure::Failure;
use crate::output::{Output, age, json};
use crate::{say, values};

/// How the server is to go.
#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// Wait until the server reports what came of it, and print that; Ctrl-C then ends the wait and
    /// not the drain [default: until it says that it drains].
    #[arg(long)]
    wait: bool,
    /// Announce a restart: sessions end with reason restart [default: shutdown].
    #[arg(long)]
    restart: bool,
    /// Leave live sessions on record; they go on at the next start [default: as the server is
    /// configured].
    #[arg(long)]
    keep: bool,
    /// End live sessions.
    #[arg(long, conflicts_with = "keep")]
    end: bool,
    /// How long the server may take, if that is less than it is configured with.
    #[arg(long, value_name = "DURATION", value_parser = values::span)]
    within: Option<Duration>,
}

// === impl DrainArgs ===

impl DrainArgs {
    pub(super) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let mut drain = client.drain_server(self.request(SystemTime::now())).await?;
        while let Some(frame) = drain.next().await? {
            match frame {
                Frame::Started(begun) if self.wait => say::line(&started_line(&begun)),
                Frame::Started(begun) => {
                    say::line(
                        "the server goes; what comes of it is told by `sessionctl server drain-report`",
                    );
                    return started(begun, output);
                }
                Frame::Progress(progress) => say::line(&progress_line(&progress)),
                Frame::Report(told) => return report(told, output),
            }
        }
        Ok(())
    }

    fn request(&self, now: SystemTime) -> pb::DrainServerRequest {
        let reason = if self.restart {
            pb::EndReason::Restart
        } else {
            pb::EndReason::Unspecified
        };
        let sessions = match (self.keep, self.end) {
            (true, _) => pb::DrainSessions::Keep,
            (false, true) => pb::DrainSessions::End,
            (false, false) => pb::DrainSessions::Unspecified,
        };
        // A time that this machine cannot say is later than any budget.
        let deadline = self.within.and_then(|within| now.checked_add(within));
        pb::DrainServerRequest {
            reason: reason.into(),
            deadline: deadline.map(prost_types::Timestamp::from),
            sessions: sessions.into(),
        }
    }
}

/// Prints that a drain has begun.
fn started(begun: pb::DrainStarted, output: &mut Output) -> Result<(), Failure> {
    let answer = pb::DrainServerResponse {
        frame: Some(Frame::Started(begun)),
    };
    let now = Timestamp::now();
    output.fields(
        &answer,
        how_begun(&begun),
        || json::line(&begun),
        || {
            vec![
                ["drain".to_owned(), how_begun(&begun).to_owned()],
                reason(begun.reason),
                sessions(begun.sessions),
                ["began".to_owned(), age::ago(begun.begin_time, now)],
                ["gone in".to_owned(), age::until(begun.deadline, now)],
            ]
        },
    )
}

/// Prints what came of a drain that was waited for.
fn report(told: pb::DrainReport, output: &mut Output) -> Result<(), Failure> {
    let (state, line) = (state(&told), json::line(&told));
    let fields = report_fields(&told, Timestamp::now());
    let answer = pb::DrainServerResponse {
        frame: Some(Frame::Report(told)),
    };
    output.fields(&answer, &state, || line, || fields)
}

/// Prints what came of the last drain, if there was one.
pub(super) fn last_report(
    report: Option<pb::DrainReport>,
    output: &mut Output,
) -> Result<(), Failure> {
    let answer = pb::GetDrainReportResponse { report };
    let Some(report) = &answer.report else {
        say::line("this store was never drained");
        return output.fields(&answer, "never", || json::line(&answer), Vec::new);
    };
    output.fields(
        &answer,
        &state(report),
        || json::line(report),
        || report_fields(report, Timestamp::now()),
    )
}

fn started_line(begun: &pb::DrainStarted) -> String {
    let whose = if begun.joined {
        "the server drains already"
    } else {
        "the server drains"
    };
    let [_, sessions] = sessions(begun.sessions);
    let [_, reason] = reason(begun.reason);
    let left = age::until(begun.deadline, Timestamp::now());
    format!("{whose}: sessions: {sessions}, reason: {reason}, gone in {left}")
}

fn progress_line(progress: &pb::DrainProgress) -> String {
    let pb::DrainProgress {
        ended,
        waiting,
        left,
        releasing,
    } = progress;
    format!(
        "{ended} ended, {waiting} wait for what is under way, {left} go on at the next start, \
         {releasing} resources are being released"
    )
}

/// What a person wants to know of a drain.
fn report_fields(report: &pb::DrainReport, now: Timestamp) -> Vec<[String; 2]> {
    let number = |name: &str, value: u64| [name.to_owned(), value.to_string()];
    let recovered = if report.recovered {
        "by the next start"
    } else {
        "by the server itself"
    };
    let mut fields = vec![
        ["drain".to_owned(), state(report)],
        reason(report.reason),
        sessions(report.sessions),
        ["began".to_owned(), age::ago(report.begin_time, now)],
        ["took".to_owned(), age::wire_length(report.duration)],
        number("ended", report.ended),
        number("ended late", report.ended_late),
        number("left", report.left),
        number("unreleased", report.resources_unreleased),
    ];
    if report.state() == pb::DrainState::Closed {
        fields.push(["finished".to_owned(), recovered.to_owned()]);
    }
    fields.extend(report.warnings.iter().map(|warning| {
        let pb::DrainWarning {
            code,
            subject,
            count,
        } = warning;
        let gap = if subject.is_empty() { "" } else { " " };
        [
            "warning".to_owned(),
            format!("{code}{gap}{subject}: {count}"),
        ]
    }));
    fields
}

fn how_begun(started: &pb::DrainStarted) -> &'static str {
    if started.joined { "joined" } else { "begun" }
}

fn state(report: &pb::DrainReport) -> String {
    values::enum_name::<pb::DrainState>(report.state)
}

fn reason(number: i32) -> [String; 2] {
    let name = values::enum_name::<pb::EndReason>(number);
    ["reason".to_owned(), name]
}

fn sessions(number: i32) -> [String; 2] {
    let name = values::enum_name::<pb::DrainSessions>(number);
    ["sessions".to_owned(), name]
}

#[cfg(test)]
mod tests {
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
        };
        assert_eq!(full.expect("valid arguments"), expected);
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
        };
        let table =
            "drain     joined\nreason    shutdown\nsessions  keep\nbegan     -\ngone in   0s\n";
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
}
