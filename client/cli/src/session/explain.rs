//! `sessionctl session explain`: why a session is as it is, for a person, in the order in which one asks.
//!
//! Invariant: it says what the server answered and nothing else; as JSON it says all of it. What this deliberately does
//! not do: give advice.

use jiff::Timestamp;
use sessiond_client::{Client, pb};

use crate::args::SessionArg;
use crate::failure::Failure;
use crate::output::{Output, age, json};
use crate::values::enum_name;

/// Asks for the explanation and prints it.
pub(super) async fn run(
    session: &SessionArg,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let answer = client.explain(session.session_ref()).await?;
    let id = answer.session.as_ref();
    output.fields(
        &answer,
        id.map_or("", |session| session.session_id.as_str()),
        || json::line(&answer),
        || lines(&answer, Timestamp::now()),
    )
}

/// What it is, what holds it, what becomes of it, and what does not move.
fn lines(answer: &pb::ExplainSessionResponse, now: Timestamp) -> Vec<[String; 2]> {
    let mut lines = Vec::new();
    if let Some(session) = &answer.session {
        let state = enum_name::<pb::SessionState>(session.state);
        lines.push(["session".to_owned(), session.session_id.clone()]);
        lines.push(["state".to_owned(), state]);
    }
    let holds = answer.holds.iter();
    lines.extend(holds.map(|hold| ["held by".to_owned(), held_by(hold, now)]));
    let deadlines = answer.deadlines.iter();
    lines.extend(deadlines.map(|deadline| {
        let when = format!("in {}", age::until(deadline.time, now));
        [when, becomes(deadline)]
    }));
    let stalls = answer.stalls.iter();
    lines.extend(stalls.map(|stall| ["does not move".to_owned(), stalled(stall, now)]));
    lines
}

fn held_by(hold: &pb::SessionHold, now: Timestamp) -> String {
    let what = if hold.worker.is_empty() {
        format!("{} {}", hold.count, enum_name::<pb::HoldKind>(hold.kind))
    } else {
        format!("worker {}", hold.worker)
    };
    let until = for_long(hold.until_time, now);
    if hold.detail.is_empty() {
        return format!("{what}{until}");
    }
    format!("{what}{until}: {}", hold.detail)
}

fn becomes(deadline: &pb::SessionDeadline) -> String {
    let effect = enum_name::<pb::DeadlineEffect>(deadline.effect);
    let reason = if deadline.end_reason() == pb::EndReason::Unspecified {
        String::new()
    } else {
        format!(" {}", enum_name::<pb::EndReason>(deadline.end_reason))
    };
    let spared: Vec<String> = deadline
        .spared_by
        .iter()
        .map(|kind| enum_name::<pb::HoldKind>(*kind))
        .collect();
    let spared = match spared.as_slice() {
        [] => String::new(),
        by => format!(", spared by {}", by.join(" and ")),
    };
    let kind = enum_name::<pb::DeadlineKind>(deadline.kind);
    format!("{effect}{reason} ({kind}){spared}")
}

fn stalled(stall: &pb::Stall, now: Timestamp) -> String {
    let reason = enum_name::<pb::StallReason>(stall.reason);
    let until = for_long(stall.until_time, now);
    format!("{} pending: {reason}{until}", stall.messages)
}

/// For how long it still holds, if that is known.
fn for_long(until: Option<prost_types::Timestamp>, now: Timestamp) -> String {
    until.map_or_else(String::new, |time| {
        format!(", for {}", age::until(Some(time), now))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_what_holds_it_what_becomes_of_it_and_what_is_stuck() {
        let now = Timestamp::from_second(1_000).expect("a time");
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let answer = pb::ExplainSessionResponse {
            session: Some(pb::Session {
                session_id: "s".to_owned(),
                state: pb::SessionState::Active.into(),
                ..pb::Session::default()
            }),
            holds: vec![
                pb::SessionHold {
                    kind: pb::HoldKind::Lease.into(),
                    count: 1,
                    until_time: at(1_015),
                    worker: "w".to_owned(),
                    ..pb::SessionHold::default()
                },
                pb::SessionHold {
                    kind: pb::HoldKind::InFlight.into(),
                    count: 2,
                    ..pb::SessionHold::default()
                },
                pb::SessionHold {
                    kind: pb::HoldKind::Export.into(),
                    count: 1,
                    detail: "the disk is full".to_owned(),
                    ..pb::SessionHold::default()
                },
            ],
            deadlines: vec![pb::SessionDeadline {
                kind: pb::DeadlineKind::Idle.into(),
                time: at(1_060),
                effect: pb::DeadlineEffect::Ends.into(),
                end_reason: pb::EndReason::Idle.into(),
                spared_by: vec![pb::HoldKind::InFlight.into()],
            }],
            stalls: vec![pb::Stall {
                reason: pb::StallReason::NotDue.into(),
                messages: 3,
                until_time: at(1_008),
            }],
            revision: 7,
            time: at(1_000),
        };
        let expected = [
            ["session", "s"],
            ["state", "active"],
            ["held by", "worker w, for 15s"],
            ["held by", "2 in-flight"],
            ["held by", "1 export: the disk is full"],
            ["in 1m", "ends idle (idle), spared by in-flight"],
            ["does not move", "3 pending: not-due, for 8s"],
        ];
        let expected = expected.map(|pair| pair.map(str::to_owned));
        assert_eq!(lines(&answer, now), expected);
    }
}
