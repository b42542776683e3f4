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
    /// Announce it for so long, at most 1h, before any session ends; until then `cancel-drain` calls
    /// it off.
    #[arg(long, value_name = "DURATION", value_parser = values::span)]
    notice: Option<Duration>,
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
        let begins = now.checked_add(self.notice.unwrap_or_default());
        let deadline = begins.zip(self.within);
        let deadline = deadline.and_then(|(begins, within)| begins.checked_add(within));
        pb::DrainServerRequest {
            reason: reason.into(),
            deadline: deadline.map(prost_types::Timestamp::from),
            sessions: sessions.into(),
            notice: self.notice.map(values::wire_span),
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
            let mut fields = vec![
                ["drain".to_owned(), how_begun(&begun).to_owned()],
                reason(begun.reason),
                sessions(begun.sessions),
                ["began".to_owned(), age::ago(begun.begin_time, now)],
            ];
            fields.extend(notice(begun.notice_end_time, now));
            fields.push(["gone in".to_owned(), age::until(begun.deadline, now)]);
            fields
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

/// Prints that a drain is called off.
pub(super) fn cancelled(
    report: Option<pb::DrainReport>,
    output: &mut Output,
) -> Result<(), Failure> {
    let told = report.unwrap_or_default();
    let (state, line) = (state(&told), json::line(&told));
    let fields = report_fields(&told, Timestamp::now());
    let answer = pb::CancelDrainResponse { report: Some(told) };
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
    let now = Timestamp::now();
    let left = age::until(begun.deadline, now);
    let notice = notice(begun.notice_end_time, now);
    let notice = notice.map_or_else(String::new, |[name, left]| format!(", {name} {left}"));
    format!("{whose}: sessions: {sessions}, reason: {reason}{notice}, gone in {left}")
}

/// Until when it may be called off, if it may.
fn notice(until: Option<prost_types::Timestamp>, now: Timestamp) -> Option<[String; 2]> {
    until.map(|_| ["begins in".to_owned(), age::until(until, now)])
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
    ];
    fields.extend(notice(report.notice_end_time, now));
    fields.extend([
        ["took".to_owned(), age::wire_length(report.duration)],
        number("ended", report.ended),
        number("ended late", report.ended_late),
        number("left", report.left),
        number("unreleased", report.resources_unreleased),
    ]);
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
mod tests;
