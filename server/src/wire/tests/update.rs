//! UpdateSession: the mask, what it resets, and every way to get a field wrong.

use std::num::NonZeroU32;

use sessiond_core::command::{TimeoutOverrides, Update};
use sessiond_core::limits::{MAX_IN_FLIGHT_DEFAULT, Policy};
use sessiond_core::session::Ordering;
use sessiond_core::time::{Limit, Span};
use sessiond_proto::v1 as pb;

use super::{
    Spoiled, after, by_key, caller, check_spoiled, labels, namespace, never, too_many_labels,
};
use crate::wire::faults::Invalid;
use crate::wire::parse::update;

fn policy() -> Policy {
    Policy {
        idle_timeout: Limit::After(Span::seconds(7)),
        ..Policy::default()
    }
}

fn parse(request: pb::UpdateSessionRequest) -> Result<Update, Invalid> {
    update::update(&namespace(), request, caller(), &policy())
}

fn bare() -> pb::UpdateSessionRequest {
    pb::UpdateSessionRequest {
        r#ref: by_key("k"),
        ..pb::UpdateSessionRequest::default()
    }
}

fn masked(paths: &[&str]) -> pb::UpdateSessionRequest {
    pb::UpdateSessionRequest {
        update_mask: Some(prost_types::FieldMask {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }),
        ..bare()
    }
}

fn full() -> pb::UpdateSessionRequest {
    pb::UpdateSessionRequest {
        etag: "1f".to_owned(),
        project: "/src".to_owned(),
        source: "hook".to_owned(),
        agent_id: "a-1".to_owned(),
        labels: labels([("team", "blue")]),
        prompt: "next".to_owned(),
        prompt_number: Some(4),
        transcript_path: "/t".to_owned(),
        idle_timeout: after(60),
        max_lifetime: never(true),
        owner_timeout: after(5),
        ordering: pb::Ordering::Serial.into(),
        max_in_flight: Some(1),
        request_id: "r-1".to_owned(),
        ..bare()
    }
}

const ALL: [&str; 12] = [
    "project",
    "source",
    "agent_id",
    "labels",
    "prompt",
    "prompt_number",
    "transcript_path",
    "idle_timeout",
    "max_lifetime",
    "owner_timeout",
    "ordering",
    "max_in_flight",
];

#[test]
fn without_a_mask_every_set_field_changes() {
    let given = parse(full()).unwrap();
    let same = parse(pb::UpdateSessionRequest {
        update_mask: masked(&ALL).update_mask,
        request_id: String::new(),
        ..full()
    });
    let expected = Update {
        namespace: namespace(),
        session: given.session.clone(),
        project: Some("/src".to_owned()),
        source: Some("hook".to_owned()),
        agent_id: Some("a-1".to_owned()),
        labels: Some(labels([("team", "blue")])),
        transcript_path: Some("/t".to_owned()),
        prompt: Some("next".to_owned()),
        prompt_number: Some(4),
        timeouts: TimeoutOverrides {
            idle: Some(Limit::After(Span::seconds(60))),
            lifetime: Some(Limit::Never),
            owner: Some(Limit::After(Span::seconds(5))),
        },
        ordering: Some(Ordering::Serial),
        max_in_flight: NonZeroU32::new(1),
        etag: Some("1f".to_owned()),
        request: None,
        actor: caller(),
    };
    assert!(given.request.is_some());
    assert_eq!(
        Update {
            request: None,
            ..given
        },
        expected
    );
    assert_eq!(same.unwrap(), expected);
}

#[test]
fn nothing_set_and_nothing_named_changes_nothing() {
    let update = parse(bare()).unwrap();
    let untouched = [
        update.project.is_none(),
        update.source.is_none(),
        update.agent_id.is_none(),
        update.labels.is_none(),
        update.transcript_path.is_none(),
        update.prompt.is_none(),
        update.prompt_number.is_none(),
        update.timeouts == TimeoutOverrides::default(),
        update.ordering.is_none(),
        update.max_in_flight.is_none(),
        update.etag.is_none(),
    ];
    assert!(untouched.into_iter().all(|untouched| untouched));
    assert_eq!(parse(masked(&[])).unwrap(), update);
}

#[test]
fn what_is_named_and_unset_is_reset() {
    let update = parse(masked(&ALL)).unwrap();
    let empty = Some(String::new());
    assert_eq!(update.project, empty);
    assert_eq!(update.source, empty);
    assert_eq!(update.agent_id, empty);
    assert_eq!(update.labels, Some(labels([])));
    assert_eq!(update.transcript_path, empty);
    assert_eq!(update.prompt, empty);
    assert_eq!(update.prompt_number, None);
    assert_eq!(update.timeouts.idle, Some(Limit::After(Span::seconds(7))));
    assert_eq!(update.timeouts.lifetime, Some(policy().max_lifetime));
    assert_eq!(update.timeouts.owner, Some(Limit::Never));
    assert_eq!(update.ordering, Some(Ordering::Strict));
    assert_eq!(update.max_in_flight, NonZeroU32::new(MAX_IN_FLIGHT_DEFAULT));
    let one = parse(masked(&["project"])).unwrap();
    assert_eq!((one.project, one.source), (empty, None));
}

#[test]
fn every_bad_field_is_told() {
    check_spoiled(
        &full(),
        parse,
        &[
            ("ref", "`session_id` or `key`", |r| r.r#ref = None),
            ("etag", "256", |r| r.etag = "x".repeat(257)),
            ("project", "4096", |r| r.project = "x".repeat(4_097)),
            ("source", "256", |r| r.source = "x".repeat(257)),
            ("agent_id", "control", |r| r.agent_id = "\t".to_owned()),
            ("labels", "64", |r| r.labels = too_many_labels()),
            ("prompt", "65536", |r| r.prompt = "x".repeat(65_537)),
            ("transcript_path", "4096", |r| {
                r.transcript_path = "x".repeat(4_097);
            }),
            ("idle_timeout.after", "more than zero", |r| {
                r.idle_timeout = after(0)
            }),
            ("max_lifetime.never", "true", |r| {
                r.max_lifetime = never(false)
            }),
            ("owner_timeout", "`after`", |r| {
                r.owner_timeout = Some(pb::Limit { bound: None });
            }),
            ("max_in_flight", "1 to 1, got 2", |r| {
                r.max_in_flight = Some(2)
            }),
            ("request_id", "control", |r| r.request_id = "\r".to_owned()),
        ],
    );
    check_spoiled(
        &full(),
        parse,
        &[("ordering", "77 is no value", |r| r.ordering = 77)],
    );
}

#[test]
fn the_mask_is_held_against_the_request() {
    fn mask(request: &mut pb::UpdateSessionRequest, paths: &[&str]) {
        request.update_mask = masked(paths).update_mask;
    }
    let spoiled: [Spoiled<pb::UpdateSessionRequest>; 11] = [
        ("update_mask.paths[0]", "`prject` is no field", |r| {
            mask(r, &["prject"])
        }),
        ("update_mask.paths[0]", "`labels.a` is no field", |r| {
            mask(r, &["labels.a"])
        }),
        ("update_mask.paths[0]", "`*` is no field", |r| {
            mask(r, &["*"])
        }),
        ("update_mask.paths[0]", "`` is no field", |r| mask(r, &[""])),
        ("update_mask.paths[0]", "`a\u{fffd}b`", |r| {
            mask(r, &["a\nb"])
        }),
        ("update_mask.paths[0]", "…", |r| {
            mask(r, &["x".repeat(9_999).as_str()])
        }),
        ("update_mask.paths[0]", "`etag` is no field", |r| {
            mask(r, &["etag"])
        }),
        ("update_mask.paths[1]", "named twice", |r| {
            mask(r, &["source", "source"])
        }),
        ("project", "not named", |r| {
            r.project = "p".to_owned();
            mask(r, &["source"]);
        }),
        ("prompt_number", "not named", |r| {
            r.prompt_number = Some(0);
            mask(r, &["prompt"]);
        }),
        ("prompt_number", "without `prompt`", |r| {
            mask(r, &["prompt_number"])
        }),
    ];
    for way in spoiled {
        check_spoiled(&bare(), parse, &[way]);
    }
    let invalid = parse(masked(&["source"; 13])).unwrap_err();
    assert!(super::fields(&invalid).contains("update_mask.paths"));
    assert!(
        invalid.violations.len() <= 13,
        "what lies past the bound is not looked at"
    );
    let invalid = parse(pb::UpdateSessionRequest {
        project: "p".to_owned(),
        prompt_number: Some(0),
        idle_timeout: after(1),
        ..masked(&["source", "nothing"])
    })
    .unwrap_err();
    assert_eq!(
        super::fields(&invalid),
        [
            "update_mask.paths[1]",
            "project",
            "prompt_number",
            "idle_timeout"
        ]
        .into()
    );
}
