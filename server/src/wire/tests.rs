//! Tests of the edge through its functions: what they build, and what they refuse and how.

mod agent_link;
mod calls;
mod cause;
mod claim;
mod end;
mod end_sessions;
mod enqueue;
mod enqueue_fields;
mod letters;
mod lists;
mod namespace;
mod open;
mod purge_sessions;
mod random;
mod reset;
mod resources;
pub(crate) mod samples;
mod settle;
mod show_events;
mod show_frames;
mod show_messages;
mod show_resources;
mod show_session;
mod status;
mod status_bounds;
mod status_edge;
mod status_full;
mod subscriptions;
mod token;
mod update;
mod watch;
mod work;

use std::collections::BTreeSet;
use std::fmt::Debug;

use sessiond_core::event::{Actor, ActorKind};
use sessiond_core::ids::{Namespace, SessionId};
use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use tonic::Code;

use super::faults::Invalid;
use super::status::Refusal;

/// One way to spoil a request: the field that is told, a part of the description, and how.
type Spoiled<R> = (&'static str, &'static str, fn(&mut R));

/// One field that is not built, and how to set it.
type Unbuilt<R> = (&'static str, fn(&mut R));

/// Spoils a request in each way, then in all ways at once: every violation is told, and no other.
fn check_spoiled<R: Clone, T: Debug>(
    valid: &R,
    parse: impl Fn(R) -> Result<T, Invalid>,
    ways: &[Spoiled<R>],
) {
    parse(valid.clone()).expect("the request is in order before it is spoiled");
    let mut spoiled = valid.clone();
    let mut spoiled_fields = BTreeSet::new();
    for (field, part, spoil) in ways {
        let mut request = valid.clone();
        spoil(&mut request);
        let invalid = parse(request).expect_err(field);
        let told = &invalid.violations;
        assert_eq!(fields(&invalid), BTreeSet::from([*field]), "{told:?}");
        assert!(told[0].description.contains(part), "{part}: {told:?}");
        assert_refused(&invalid, Reason::FieldInvalid, Code::InvalidArgument);
        if spoiled_fields.insert(*field) {
            spoil(&mut spoiled);
        }
    }
    let invalid = parse(spoiled).expect_err("every way at once");
    assert_eq!(fields(&invalid), spoiled_fields);
    assert_eq!(invalid.left_out, 0);
}

/// Sets fields that are not built: each is named, alone and together.
fn check_not_built<R: Clone, T: Debug>(
    valid: &R,
    parse: impl Fn(R) -> Result<T, Invalid>,
    ways: &[Unbuilt<R>],
) {
    let mut all = valid.clone();
    for (field, set) in ways {
        let mut request = valid.clone();
        set(&mut request);
        set(&mut all);
        let invalid = parse(request).expect_err(field);
        assert_eq!(invalid.not_built, [*field]);
        assert_refused(&invalid, Reason::NotBuilt, Code::Unimplemented);
    }
    let invalid = parse(all).expect_err("every field at once");
    let named: BTreeSet<&str> = invalid.not_built.iter().map(String::as_str).collect();
    assert_eq!(named, ways.iter().map(|(field, _)| *field).collect());
}

fn fields(invalid: &Invalid) -> BTreeSet<&str> {
    let violations = invalid.violations.iter();
    violations.map(|one| one.field.as_str()).collect()
}

fn assert_refused(invalid: &Invalid, reason: Reason, code: Code) {
    assert_told(Refusal::invalid(invalid), reason, code);
}

fn assert_told(refusal: Refusal, reason: Reason, code: Code) {
    let told = pb::RefusalStatus::from(refusal);
    assert_eq!(
        (told.reason.as_str(), told.code),
        (reason.as_str(), code as i32)
    );
}

fn namespace() -> Namespace {
    Namespace::parse("default").unwrap()
}

fn drawn() -> SessionId {
    SessionId::parse("drawn").unwrap()
}

fn caller() -> Actor {
    Actor::unnamed(ActorKind::Api)
}

fn by_key(key: &str) -> Option<pb::SessionRef> {
    Some(pb::SessionRef {
        r#ref: Some(pb::session_ref::Ref::Key(key.to_owned())),
    })
}

fn by_id(id: &str) -> Option<pb::SessionRef> {
    Some(pb::SessionRef {
        r#ref: Some(pb::session_ref::Ref::SessionId(id.to_owned())),
    })
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

fn after(seconds: i64) -> Option<pb::Limit> {
    let duration = prost_types::Duration { seconds, nanos: 0 };
    Some(pb::Limit {
        bound: Some(pb::limit::Bound::After(duration)),
    })
}

fn never(value: bool) -> Option<pb::Limit> {
    Some(pb::Limit {
        bound: Some(pb::limit::Bound::Never(value)),
    })
}

fn labels<const N: usize>(
    entries: [(&str, &str); N],
) -> std::collections::BTreeMap<String, String> {
    entries
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// One entry more than labels may have.
fn too_many_labels() -> std::collections::BTreeMap<String, String> {
    (0..65).map(|n| (n.to_string(), String::new())).collect()
}
