//! ListSessions, ListMessages and ListWorkers: filters, what they match, pages.

use std::sync::Arc;

use sessiond_core::ids::{MessageKind, Namespace, QueueId, Revision, Seq, SessionNo};
use sessiond_core::message::{DeadReason, Standing};
use sessiond_core::queue::Disposition;
use sessiond_core::time::{EngineTime, WallTime};
use sessiond_proto::v1 as pb;

use super::samples::{active, draining, ended, message_row};
use super::{Spoiled, by_id, by_key, check_spoiled, labels, namespace, too_many_labels};
use crate::wire::faults::Invalid;
use crate::wire::parse::list_messages::{self, ListMessagesCall, Payloads};
use crate::wire::parse::list_sessions::{self, ListSessionsCall};
use crate::wire::parse::list_workers;
use crate::wire::token::PagePosition;

const LOG: &str = "log-1";

fn sessions(request: pb::ListSessionsRequest) -> Result<ListSessionsCall, Invalid> {
    list_sessions::list_sessions(&namespace(), request, LOG)
}

fn messages(request: pb::ListMessagesRequest) -> Result<ListMessagesCall, Invalid> {
    list_messages::list_messages(&namespace(), request, LOG)
}

fn filtered(filter: pb::SessionFilter) -> pb::ListSessionsRequest {
    pb::ListSessionsRequest {
        filter: Some(filter),
        ..pb::ListSessionsRequest::default()
    }
}

fn of_session() -> pb::ListMessagesRequest {
    pb::ListMessagesRequest {
        r#ref: by_key("k"),
        ..pb::ListMessagesRequest::default()
    }
}

#[test]
fn a_page_has_a_size_and_goes_on_after_a_position() {
    for (asked, size) in [(0, 100), (1, 1), (1_000, 1_000)] {
        let request = pb::ListSessionsRequest {
            page_size: asked,
            ..pb::ListSessionsRequest::default()
        };
        let page = sessions(request).unwrap().page;
        assert_eq!((page.size, page.after), (size, None));
    }
    let filter = pb::SessionFilter {
        project: "/src".to_owned(),
        ..pb::SessionFilter::default()
    };
    let first = sessions(filtered(filter.clone())).unwrap();
    let position = PagePosition::Sessions {
        after: SessionNo(7),
        revision: Revision(9),
    };
    let token = first.page.binding.token(&position);
    let next = pb::ListSessionsRequest {
        page_token: token.clone(),
        page_size: 5,
        ..filtered(filter)
    };
    assert_eq!(sessions(next.clone()).unwrap().page.after, Some(position));
    let bad: [Spoiled<pb::ListSessionsRequest>; 4] = [
        ("page_token", "unchanged", |r| {
            r.page_token = "feed".to_owned()
        }),
        ("page_token", "unchanged", |r| {
            r.page_token.pop();
        }),
        ("page_token", "filter that it came from", |r| {
            r.filter = None
        }),
        ("page_size", "at most 1000, got 1001", |r| {
            r.page_size = 1_001
        }),
    ];
    for way in bad {
        check_spoiled(&next, sessions, &[way]);
    }
    for (namespace, log, part) in [
        (namespace(), "log-2", "another store"),
        (Namespace::parse("other").unwrap(), LOG, "came from"),
    ] {
        let invalid = list_sessions::list_sessions(&namespace, next.clone(), log).unwrap_err();
        let told = &invalid.violations[0].description;
        assert!(told.contains(part), "{told}");
    }
    // A token of another list of the same log is no token of this one.
    let mut request = of_session();
    request.page_token = token;
    let invalid = messages(request).unwrap_err();
    assert_eq!(super::fields(&invalid), ["page_token"].into());
}

#[test]
fn workers_have_pages_too() {
    let list = |request| list_workers::list_workers(&namespace(), &request, LOG);
    let first = list(pb::ListWorkersRequest::default()).unwrap();
    assert_eq!((first.size, first.after), (100, None));
    let position = PagePosition::Workers {
        worker: sessiond_core::ids::WorkerName::parse("wörker").unwrap(),
        instance: sessiond_core::ids::InstanceId::parse("i".repeat(256)).unwrap(),
    };
    let next = pb::ListWorkersRequest {
        page_size: 2,
        page_token: first.binding.token(&position),
    };
    assert_eq!(list(next).unwrap().after, Some(position));
    let bad = pb::ListWorkersRequest {
        page_size: 1_001,
        page_token: "x".to_owned(),
    };
    assert_eq!(
        super::fields(&list(bad).unwrap_err()),
        ["page_size", "page_token"].into()
    );
}

#[test]
fn every_bad_field_of_a_session_filter_is_told() {
    fn filter(request: &mut pb::ListSessionsRequest) -> &mut pb::SessionFilter {
        request.filter.as_mut().unwrap()
    }
    check_spoiled(
        &filtered(pb::SessionFilter {
            states: vec![1, 2, 3, 4, 4],
            ended_after_revision: Some(0),
            ..pb::SessionFilter::default()
        }),
        sessions,
        &[
            ("filter.states[1]", "5 is no value of SessionState", |r| {
                filter(r).states[1] = 5;
            }),
            ("filter.states[0]", "must name a value", |r| {
                filter(r).states[0] = 0
            }),
            ("filter.labels", "64", |r| {
                filter(r).labels = too_many_labels()
            }),
            ("filter.project", "4096", |r| {
                filter(r).project = "x".repeat(4_097)
            }),
            ("filter.key_prefix", "256", |r| {
                filter(r).key_prefix = "x".repeat(257)
            }),
            ("filter.pool", "256", |r| filter(r).pool = "x".repeat(257)),
            ("page_size", "1000", |r| r.page_size = u32::MAX),
            ("page_token", "unchanged", |r| {
                r.page_token = "é".repeat(9_999)
            }),
        ],
    );
}

/// Which of an active, a draining and an ended session a filter shows.
fn shown(set: impl FnOnce(&mut pb::SessionFilter)) -> [bool; 3] {
    let mut filter = pb::SessionFilter::default();
    set(&mut filter);
    let query = sessions(filtered(filter)).unwrap().query;
    [active(), draining(), ended()].map(|view| query.matches(&view.session))
}

#[test]
fn a_session_filter_chooses_by_state_and_end() {
    assert_eq!(shown(|_| {}), [true; 3]);
    assert_eq!(shown(|f| f.states = vec![2]), [true, false, false]);
    assert_eq!(shown(|f| f.states = vec![3, 4]), [false, true, true]);
    // Nothing waits for a slot yet, so a filter for what does matches nothing.
    assert_eq!(shown(|f| f.states = vec![1]), [false; 3]);
    let revision = ended().session.revision.0;
    for (after, expected) in [(0, true), (revision - 1, true), (revision, false)] {
        let found = shown(|f| f.ended_after_revision = Some(after));
        assert_eq!(found, [false, false, expected], "{after}");
    }
}

#[test]
fn a_session_filter_chooses_by_what_a_session_says() {
    assert_eq!(shown(|f| f.project = "/src".to_owned()), [true; 3]);
    assert_eq!(shown(|f| f.project = "/".to_owned()), [false; 3]);
    assert_eq!(shown(|f| f.key_prefix = "agent:".to_owned()), [true; 3]);
    assert_eq!(shown(|f| f.key_prefix = "main".to_owned()), [false; 3]);
    assert_eq!(shown(|f| f.pool = "batch".to_owned()), [true; 3]);
    assert_eq!(shown(|f| f.pool = "default".to_owned()), [false; 3]);
    assert_eq!(shown(|f| f.labels = labels([("team", "blue")])), [true; 3]);
    assert_eq!(shown(|f| f.labels = labels([("team", "red")])), [false; 3]);
    let mut elsewhere = Arc::unwrap_or_clone(active().session);
    elsewhere.namespace = Namespace::parse("other").unwrap();
    let all = pb::SessionFilter::default();
    assert!(!sessions(filtered(all)).unwrap().query.matches(&elsewhere));
}

#[test]
fn a_message_filter_matches_kind_and_state() {
    let query = |kinds: &[&str], states: &[pb::MessageState]| {
        let filter = pb::MessageFilter {
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            states: states.iter().map(|state| i32::from(*state)).collect(),
        };
        let request = pb::ListMessagesRequest {
            filter: Some(filter),
            ..of_session()
        };
        messages(request).unwrap().query
    };
    let row = message_row();
    let serving = Disposition::Serving;
    assert!(query(&[], &[]).matches(&row, serving));
    assert!(query(&["observation", "other"], &[]).matches(&row, serving));
    assert!(!query(&["other"], &[]).matches(&row, serving));
    let pending = query(&[], &[pb::MessageState::Pending]);
    let dead = query(&[], &[pb::MessageState::DeadLettered]);
    assert!(pending.matches(&row, serving) && !dead.matches(&row, serving));
    // The end of a session gives up what it leaves, whatever the message itself says.
    let given_up = Disposition::Dead {
        since: EngineTime(1),
        time: WallTime(1),
        until: None,
    };
    assert!(!pending.matches(&row, given_up) && dead.matches(&row, given_up));
    let mut row = row;
    row.kind = MessageKind::parse("summarize").unwrap();
    row.standing = Standing::Dead {
        reason: DeadReason::Permanent,
        time: WallTime(1),
        until: None,
    };
    assert!(dead.matches(&row, serving) && !pending.matches(&row, serving));
    assert!(!query(&["observation"], &[]).matches(&row, serving));
}

#[test]
fn a_list_of_messages_is_bound_to_its_session() {
    let shown = pb::ListMessagesRequest {
        include_payload: true,
        ..of_session()
    };
    let call = messages(shown.clone()).unwrap();
    assert_eq!(call.payloads, Payloads::Shown);
    assert_eq!(messages(of_session()).unwrap().payloads, Payloads::LeftOut);
    let position = PagePosition::Messages {
        queue: QueueId(3),
        after: Seq(4),
    };
    let next = pb::ListMessagesRequest {
        page_token: call.page.binding.token(&position),
        ..shown
    };
    assert_eq!(messages(next.clone()).unwrap().page.after, Some(position));
    let bad: [Spoiled<pb::ListMessagesRequest>; 7] = [
        ("page_token", "came from", |r| r.r#ref = by_key("other")),
        ("page_token", "came from", |r| r.r#ref = by_id("k")),
        ("page_token", "came from", |r| {
            r.filter = Some(pb::MessageFilter {
                kinds: vec!["a".to_owned()],
                states: Vec::new(),
            });
        }),
        ("page_size", "1000", |r| r.page_size = 1_001),
        ("ref", "must name", |r| {
            r.page_token.clear();
            r.r#ref = None;
        }),
        ("filter.kinds[1]", "64 bytes", |r| {
            r.page_token.clear();
            r.filter = Some(pb::MessageFilter {
                kinds: vec!["a".to_owned(), "x".repeat(65)],
                states: Vec::new(),
            });
        }),
        ("filter.states[0]", "4 is no value", |r| {
            r.page_token.clear();
            r.filter = Some(pb::MessageFilter {
                kinds: Vec::new(),
                states: vec![4],
            });
        }),
    ];
    for way in bad {
        check_spoiled(&next, messages, &[way]);
    }
    let many = pb::ListMessagesRequest {
        filter: Some(pb::MessageFilter {
            kinds: vec!["a".to_owned(); 65],
            states: Vec::new(),
        }),
        ..of_session()
    };
    let invalid = messages(many).unwrap_err();
    assert_eq!(super::fields(&invalid), ["filter.kinds"].into());
}
