//! EndSessions: whom it means, how they end, and what is told of each.

use std::sync::Arc;

use sessiond_core::command::Effect;
use sessiond_core::ids::{Namespace, SessionId, SessionKey, SessionNo, SessionRef};
use sessiond_core::rejection::Rejection;
use sessiond_core::reply::Reply;
use sessiond_core::session::{EndMode, EndReason, PendingPolicy, SessionView};
use sessiond_core::time::Span;
use sessiond_proto::v1 as pb;

use super::samples::{active, draining, ended};
use super::{caller, check_spoiled, labels, namespace, seconds, too_many_labels};
use crate::wire::faults::Invalid;
use crate::wire::parse::end_sessions::{self, EndSessionsCall, Selection};
use crate::wire::parse::page::Page;
use crate::wire::query::LiveQuery;
use crate::wire::show::end_result;
use crate::wire::token::PagePosition;

fn parse(request: pb::EndSessionsRequest) -> Result<EndSessionsCall, Invalid> {
    end_sessions::end_sessions(&namespace(), request, caller(), "log-1")
}

fn filtered(filter: pb::SessionFilter) -> pb::EndSessionsRequest {
    pb::EndSessionsRequest {
        filter: Some(filter),
        ..pb::EndSessionsRequest::default()
    }
}

fn globbed(glob: &str) -> pb::EndSessionsRequest {
    pb::EndSessionsRequest {
        key_glob: glob.to_owned(),
        ..pb::EndSessionsRequest::default()
    }
}

fn full() -> pb::EndSessionsRequest {
    pb::EndSessionsRequest {
        session_ids: vec!["b".to_owned(), "a".to_owned(), "b".to_owned()],
        reason: pb::EndReason::Deleted.into(),
        detail: "two\nlines".to_owned(),
        mode: pb::EndMode::AfterPending.into(),
        end_grace: seconds(60),
        pending_policy: pb::PendingPolicy::Discard.into(),
        validate_only: true,
        ..pb::EndSessionsRequest::default()
    }
}

fn matching(request: pb::EndSessionsRequest) -> (LiveQuery, Page) {
    match parse(request).unwrap().selection {
        Selection::Matching { query, page } => (*query, page),
        Selection::Ids(ids) => panic!("not by ids: {ids:?}"),
    }
}

fn id(id: &str) -> SessionId {
    SessionId::parse(id).unwrap()
}

#[test]
fn every_field_reaches_the_commands() {
    let call = parse(full()).unwrap();
    assert_eq!(call.effect, Effect::LeftOut);
    let ids = ["b", "a", "b"].map(id).to_vec();
    assert_eq!(call.selection, Selection::Ids(ids));
    let end = call.end(id("a"));
    assert_eq!(end.namespace, namespace());
    assert_eq!(end.session, SessionRef::Id(id("a")));
    assert_eq!(end.reason, EndReason::Deleted);
    assert_eq!(end.detail, "two\nlines");
    assert_eq!(end.mode, EndMode::AfterPending);
    assert_eq!(end.grace, Some(Span::seconds(60)));
    assert_eq!(end.pending, PendingPolicy::Discard);
    assert_eq!(end.actor, caller());
    assert!(end.successor.is_none() && end.request.is_none());
    let bare = parse(globbed("*")).unwrap();
    assert_eq!(bare.effect, Effect::Made);
    let end = bare.end(id("a"));
    assert_eq!(end.reason, EndReason::Completed);
    assert_eq!((end.mode, end.grace), (EndMode::Graceful, None));
    assert_eq!(end.pending, PendingPolicy::Keep);
}

#[test]
fn filters_and_globs_mean_live_sessions_of_the_namespace() {
    let check = |request: pb::EndSessionsRequest, view: &SessionView, meant| {
        let (query, _) = matching(request.clone());
        assert_eq!(query.matches(&view.session), meant, "{request:?}");
    };
    let all = || filtered(pb::SessionFilter::default());
    check(all(), &active(), true);
    check(all(), &draining(), true);
    check(all(), &ended(), false);
    check(globbed("*"), &ended(), false);
    let mut elsewhere = active();
    Arc::make_mut(&mut elsewhere.session).namespace = Namespace::parse("other").unwrap();
    check(all(), &elsewhere, false);
    let states = vec![pb::SessionState::Draining.into()];
    let drains = filtered(pb::SessionFilter {
        states,
        ..pb::SessionFilter::default()
    });
    check(drains.clone(), &active(), false);
    check(drains, &draining(), true);
    let labelled = filtered(pb::SessionFilter {
        labels: labels([("no such", "label")]),
        ..pb::SessionFilter::default()
    });
    check(labelled, &active(), false);
    let mut keyed = active();
    Arc::make_mut(&mut keyed.session).key = Some(SessionKey::parse("agent:main").unwrap());
    check(globbed("agent:*"), &keyed, true);
    check(globbed("agent:?"), &keyed, false);
    Arc::make_mut(&mut keyed.session).key = None;
    check(globbed("*"), &keyed, false);
}

#[test]
fn a_page_goes_on_for_the_same_choice_only() {
    let (_, page) = matching(globbed("a*"));
    assert_eq!((page.size, page.after), (100_000, None));
    let position = PagePosition::Ends {
        after: SessionNo(7),
        until: SessionNo(9),
    };
    let next = pb::EndSessionsRequest {
        page_token: page.binding.token(&position),
        page_size: 5,
        ..globbed("a*")
    };
    let (_, page) = matching(next.clone());
    assert_eq!((page.size, page.after), (5, Some(position)));
    check_spoiled(
        &next,
        parse,
        &[
            ("page_token", "filter that it came from", |r| {
                r.key_glob = "b*".to_owned();
            }),
            ("page_token", "filter that it came from", |r| {
                r.key_glob = String::new();
                r.filter = Some(pb::SessionFilter::default());
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
        &full(),
        parse,
        &[
            ("session_ids[1]", "empty", |r| {
                r.session_ids[1] = String::new();
            }),
            ("session_ids", "at most 10000 items, got 10001", |r| {
                r.session_ids.resize(10_001, "a".to_owned());
            }),
            ("reason", "finding", |r| {
                r.reason = pb::EndReason::OwnerLost.into();
            }),
            ("detail", "4096", |r| r.detail = "x".repeat(4_097)),
            ("mode", "4 is no value", |r| r.mode = 4),
            ("end_grace", "more than zero", |r| r.end_grace = seconds(0)),
            ("pending_policy", "3 is no value", |r| r.pending_policy = 3),
        ],
    );
    check_spoiled(
        &globbed("*"),
        parse,
        &[("key_glob", "got 257", |r| r.key_glob = "x".repeat(257))],
    );
    check_spoiled(
        &filtered(pb::SessionFilter::default()),
        parse,
        &[("filter.labels", "64", |r| {
            r.filter.as_mut().unwrap().labels = too_many_labels();
        })],
    );
}

#[test]
fn sessions_are_chosen_in_exactly_one_way() {
    check_spoiled(
        &full(),
        parse,
        &[
            ("key_glob", "unset with `session_ids`", |r| {
                r.key_glob = "*".to_owned();
            }),
            ("page_size", "unset with `session_ids`", |r| r.page_size = 1),
            ("page_token", "empty with `session_ids`", |r| {
                r.page_token = "x".to_owned();
            }),
        ],
    );
    let none = pb::EndSessionsRequest {
        session_ids: Vec::new(),
        ..full()
    };
    let invalid = parse(none).unwrap_err();
    assert_eq!(super::fields(&invalid), ["filter"].into());
    let ended = filtered(pb::SessionFilter {
        states: vec![pb::SessionState::Ended.into()],
        ended_after_revision: Some(0),
        ..pb::SessionFilter::default()
    });
    let invalid = parse(ended).unwrap_err();
    let told = ["filter.states[0]", "filter.ended_after_revision"];
    assert_eq!(super::fields(&invalid), told.into());
}

#[test]
fn results_tell_who_decided_the_end() {
    let reply = |view: SessionView, already_ended| {
        let reply = Reply::Session {
            session: Box::new(view),
            already_ended,
            duplicate: false,
        };
        end_result::decided(&id("s-1"), Ok(reply))
    };
    let told = |outcome: pb::EndOutcome| pb::EndResult {
        session_id: "s-1".to_owned(),
        key: "agent:main".to_owned(),
        outcome: outcome.into(),
        error: None,
    };
    assert_eq!(reply(ended(), false), told(pb::EndOutcome::Ended));
    assert_eq!(reply(draining(), false), told(pb::EndOutcome::Draining));
    assert_eq!(reply(ended(), true), told(pb::EndOutcome::AlreadyEnded));
    assert_eq!(reply(draining(), true), told(pb::EndOutcome::AlreadyEnded));
    let foreseen = |view: SessionView| end_result::foreseen(&view.session);
    assert_eq!(foreseen(active()), told(pb::EndOutcome::WouldEnd));
    assert_eq!(foreseen(draining()), told(pb::EndOutcome::AlreadyEnded));
    let missing = end_result::not_found(&id("gone"));
    assert_eq!(missing.outcome(), pb::EndOutcome::Failed);
    assert_eq!((&*missing.session_id, &*missing.key), ("gone", ""));
    assert_eq!(missing.error.as_ref().unwrap().reason, "SESSION_NOT_FOUND");
    let asked = SessionRef::Id(id("gone"));
    let refused = end_result::decided(&id("gone"), Err(Rejection::SessionNotFound { asked }));
    assert_eq!(refused, missing);
}
