//! Dead letters: which ones a filter means.

use sessiond_core::ids::MessageKind;
use sessiond_core::message::{DeadReason, Standing};
use sessiond_core::queue::Disposition;
use sessiond_core::time::{EngineTime, WallTime};
use sessiond_proto::v1 as pb;

use super::samples::message_row;
use crate::wire::query::LetterQuery;

#[test]
fn dead_letters_are_chosen_by_reason_and_by_a_half_open_time() {
    let mut row = message_row();
    let ended = Disposition::Dead {
        since: EngineTime(1),
        time: WallTime(200),
        until: None,
    };
    let serving = Disposition::Serving;
    let any = LetterQuery::default();
    assert!(!any.matches(&row, serving), "it lives");
    assert!(any.matches(&row, ended), "its session's end gave it up");
    let since = |time: u64| LetterQuery {
        since: Some(WallTime(time)),
        ..LetterQuery::default()
    };
    let until = |time: u64| LetterQuery {
        until: Some(WallTime(time)),
        ..LetterQuery::default()
    };
    assert!(since(200).matches(&row, ended) && !since(201).matches(&row, ended));
    assert!(until(201).matches(&row, ended) && !until(200).matches(&row, ended));
    let because = |reason| LetterQuery {
        reasons: vec![reason],
        ..LetterQuery::default()
    };
    let by_end = because(pb::DeadLetterReason::SessionEnded);
    let permanent = because(pb::DeadLetterReason::Permanent);
    assert!(by_end.matches(&row, ended) && !permanent.matches(&row, ended));
    row.standing = Standing::Dead {
        reason: DeadReason::Permanent,
        time: WallTime(150),
        until: None,
    };
    assert!(permanent.matches(&row, ended) && !by_end.matches(&row, ended));
    assert!(until(151).matches(&row, ended), "its own time holds");
    let other = LetterQuery {
        kinds: vec![MessageKind::parse("other").expect("a kind")],
        ..LetterQuery::default()
    };
    assert!(!other.matches(&row, serving));
}
