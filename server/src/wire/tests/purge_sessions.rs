//! PurgeSessions: ways to choose, and what is shown of each session.

use sessiond_core::command::{Effect, Purge};
use sessiond_core::ids::{SessionId, SessionKey, SessionNo};
use sessiond_core::rejection::Rejection;
use sessiond_core::reply::Reply;
use sessiond_core::session::{Lifecycle, PendingPolicy, SessionView};
use sessiond_core::time::{EngineTime, Span};
use sessiond_proto::v1 as pb;

use super::samples::{active, draining, ended};
use super::{caller, check_spoiled, labels, namespace, seconds};
use crate::wire::faults::Invalid;
use crate::wire::parse::purge_sessions::{self, PurgeSessionsCall, Selection};
use crate::wire::query::EndedQuery;
use crate::wire::show::purge_result;
use crate::wire::token::PagePosition;

fn parse(request: pb::PurgeSessionsRequest) -> Result<PurgeSessionsCall, Invalid> {
    purge_sessions::purge_sessions(&namespace(), request, caller(), "log")
}

fn filtered(filter: pb::SessionFilter) -> pb::PurgeSessionsRequest {
    pb::PurgeSessionsRequest {
        filter: Some(filter),
        ..pb::PurgeSessionsRequest::default()
    }
}

fn by_ids(ids: &[&str]) -> pb::PurgeSessionsRequest {
    pb::PurgeSessionsRequest {
        session_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..pb::PurgeSessionsRequest::default()
    }
}

fn id(text: &str) -> SessionId {
    SessionId::parse(text).unwrap()
}

fn query(request: pb::PurgeSessionsRequest) -> EndedQuery {
    match parse(request).unwrap().selection {
        Selection::Matching { query, .. } => *query,
        other @ Selection::Ids(_) => panic!("{other:?}"),
    }
}

#[test]
fn every_field_reaches_the_command() {
    let request = pb::PurgeSessionsRequest {
        pending_policy: pb::PendingPolicy::Discard.into(),
        validate_only: true,
        ..by_ids(&["a", "b"])
    };
    let call = parse(request).unwrap();
    assert_eq!(call.effect, Effect::LeftOut);
    assert_eq!(call.selection, Selection::Ids(vec![id("a"), id("b")]));
    let purge = Purge {
        namespace: namespace(),
        session: id("a"),
        pending: PendingPolicy::Discard,
        exported: None,
        actor: caller(),
    };
    assert_eq!(call.purge(id("a")), purge);
    let bare = parse(filtered(pb::SessionFilter::default())).unwrap();
    assert_eq!(
        (bare.effect, bare.pending),
        (Effect::Made, PendingPolicy::Keep)
    );
}

#[test]
fn only_ended_sessions_match_and_those_that_ended_long_enough_ago() {
    let any = query(filtered(pb::SessionFilter::default()));
    let later = EngineTime(1_000_000);
    let check = |query: &EndedQuery, view: &SessionView, now, expected| {
        assert_eq!(query.matches(&view.session, now), expected, "{query:?}");
    };
    check(&any, &ended(), later, true);
    check(&any, &active(), later, false);
    check(&any, &draining(), later, false);
    let states = vec![pb::SessionState::Ended.into()];
    let spelled = query(filtered(pb::SessionFilter {
        states,
        ..pb::SessionFilter::default()
    }));
    check(&spelled, &ended(), later, true);
    let labelled = query(filtered(pb::SessionFilter {
        labels: labels([("no such", "label")]),
        ..pb::SessionFilter::default()
    }));
    check(&labelled, &ended(), later, false);
    let old = query(pb::PurgeSessionsRequest {
        ended_for: seconds(10),
        ..filtered(pb::SessionFilter::default())
    });
    let view = ended();
    let Lifecycle::Ended(end) = &view.session.lifecycle else {
        panic!("the sample has ended");
    };
    let ended_at = view.session.created_at + end.duration;
    check(&old, &view, ended_at + Span(9_999), false);
    check(&old, &view, ended_at + Span(10_000), true);
}

#[test]
fn a_page_goes_on_for_the_same_choice_only() {
    let first = parse(filtered(pb::SessionFilter::default())).unwrap();
    let Selection::Matching { page, .. } = first.selection else {
        panic!("a filter means a page");
    };
    assert_eq!((page.size, page.after), (100_000, None));
    let position = PagePosition::Ends {
        after: SessionNo(7),
        until: SessionNo(9),
    };
    let next = pb::PurgeSessionsRequest {
        page_token: page.binding.token(&position),
        page_size: 5,
        ..filtered(pb::SessionFilter::default())
    };
    check_spoiled(
        &next,
        parse,
        &[
            ("page_token", "filter that it came from", |r| {
                r.ended_for = seconds(1);
            }),
            ("page_token", "filter that it came from", |r| {
                r.filter.as_mut().unwrap().project = "p".to_owned();
            }),
            ("page_size", "at most 100000, got 100001", |r| {
                r.page_size = 100_001;
            }),
        ],
    );
}

#[test]
fn every_bad_field_is_told() {
    check_spoiled(
        &by_ids(&["a", "b"]),
        parse,
        &[
            ("session_ids[1]", "empty", |r| {
                r.session_ids[1] = String::new();
            }),
            ("ended_for", "must be unset with", |r| {
                r.ended_for = seconds(1)
            }),
            ("pending_policy", "PendingPolicy", |r| r.pending_policy = 9),
            ("page_size", "must be unset with", |r| r.page_size = 1),
            ("page_token", "must be empty with", |r| {
                r.page_token = "x".to_owned();
            }),
        ],
    );
    check_spoiled(
        &filtered(pb::SessionFilter::default()),
        parse,
        &[
            ("ended_for", "more than zero", |r| r.ended_for = seconds(0)),
            ("filter.states[0]", "only ended sessions", |r| {
                let filter = r.filter.get_or_insert_default();
                filter.states = vec![pb::SessionState::Active.into()];
            }),
        ],
    );
    check_spoiled(
        &filtered(pb::SessionFilter::default()),
        parse,
        &[("filter", "must be set", |r| r.filter = None)],
    );
    check_spoiled(
        &by_ids(&["a"]),
        parse,
        &[("session_ids", "must be unset with `filter`", |r| {
            r.filter = Some(pb::SessionFilter::default());
        })],
    );
}

#[test]
fn each_result_says_what_went_or_why_not() {
    let key = Some(SessionKey::parse("k").unwrap());
    let purged = purge_result::decided(&id("s"), Ok(Reply::Purged { key, messages: 3 }));
    assert_eq!(purged.outcome(), pb::PurgeOutcome::Purged);
    assert_eq!(
        (purged.session_id.as_str(), purged.key.as_str()),
        ("s", "k")
    );
    assert_eq!((purged.messages, purged.error), (3, None));
    let foreseen = purge_result::foreseen(&ended().session, 4);
    assert_eq!(foreseen.outcome(), pb::PurgeOutcome::WouldPurge);
    assert_eq!(foreseen.messages, 4);
    let session = id("s");
    let refused = purge_result::decided(&id("s"), Err(Rejection::SessionActive { session }));
    assert_eq!(refused.outcome(), pb::PurgeOutcome::Failed);
    assert_eq!((refused.messages, refused.key.as_str()), (0, ""));
    assert_eq!(refused.error.unwrap().reason, "SESSION_ACTIVE");
}
