//! Resources as they are shown, what of them sessions show, and what is refused for their sake.

use std::sync::Arc;

use sessiond_core::ids::{Epoch, InstanceId, NodeName, ResourceName, ResourceNo, SessionNo};
use sessiond_core::node::NodeRejection;
use sessiond_core::rejection::Rejection;
use sessiond_core::resource::{
    Lingering, LingeringCause, ProcessIdentity, ReleaseOutcome, Resource, ResourceToken, Scope,
    Standing, Target, TmuxIdentity,
};
use sessiond_core::session::{Behind, Lifecycle, PredecessorSlot, Wait};
use sessiond_core::time::{EngineTime, Now, Span, WallTime};
use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use tonic::Code;

use super::samples::active;
use super::show_session::millis;
use super::status::{Expected, check, session};
use crate::env::Unregistered;
use crate::wire::show;
use crate::wire::status::Refusal;

fn process(pid: u32) -> ProcessIdentity {
    ProcessIdentity {
        boot_id: "boot".to_owned(),
        pid,
        start_ticks: 77,
        inode: Some(5),
        uid: 1_000,
        group: 1,
        session: 1,
    }
}

fn held() -> Resource {
    Resource {
        number: ResourceNo(3),
        salt: 0xab,
        name: Some(ResourceName::parse("shell").unwrap()),
        scope: Scope::Lease(Epoch(7)),
        node: Some(NodeName::parse("far").unwrap()),
        target: Target::Process(process(41)),
        standing: Standing::Held,
        create_time: WallTime(1_000),
    }
}

fn shown(resource: &Resource) -> pb::Resource {
    show::resource::resource(&active().session, resource)
}

#[test]
fn every_field_of_a_resource_is_shown() {
    let target = pb::ProcessResource {
        pid: 41,
        start_ticks: 77,
        uid: 1_000,
    };
    let expected = pb::Resource {
        resource_id: "rs-1-3-00000000000000ab".to_owned(),
        session_id: "s-1".to_owned(),
        key: "agent:main".to_owned(),
        name: "shell".to_owned(),
        scope: pb::ResourceScope::Lease.into(),
        epoch: 7,
        state: pb::ResourceState::Held.into(),
        target: Some(pb::resource::Target::Process(target)),
        create_time: millis(1_000),
        node: "far".to_owned(),
        ..pb::Resource::default()
    };
    assert_eq!(shown(&held()), expected);
    let bare = Resource {
        name: None,
        scope: Scope::Session,
        node: None,
        target: Target::Marked,
        ..held()
    };
    let expected = pb::Resource {
        name: String::new(),
        scope: pb::ResourceScope::Session.into(),
        epoch: 0,
        target: None,
        node: String::new(),
        ..expected
    };
    assert_eq!(shown(&bare), expected);
}

#[test]
fn a_tmux_session_is_shown_by_the_id_that_tmux_gives() {
    let tmux = TmuxIdentity {
        socket: "/tmp/s".to_owned(),
        server: process(9),
        session: 3,
        created: 12,
        name: "agent".to_owned(),
        panes: vec![process(10)],
        private: true,
    };
    let resource = Resource {
        target: Target::Tmux(Box::new(tmux)),
        ..held()
    };
    let expected = pb::TmuxResource {
        socket: "/tmp/s".to_owned(),
        session_name: "agent".to_owned(),
        tmux_id: "$3".to_owned(),
        server_pid: 9,
        private: true,
    };
    let expected = pb::resource::Target::Tmux(expected);
    assert_eq!(shown(&resource).target, Some(expected));
}

#[test]
fn what_became_of_a_resource_is_shown() {
    let standing = |standing| shown(&Resource { standing, ..held() });
    let going = standing(Standing::Releasing(None));
    assert_eq!(going.state(), pb::ResourceState::Releasing);
    for (cause, name) in [
        (LingeringCause::Denied, pb::LingeringCause::Denied),
        (LingeringCause::TimedOut, pb::LingeringCause::Timeout),
        (LingeringCause::NodeAway, pb::LingeringCause::NodeAway),
    ] {
        let left = standing(Standing::Releasing(Some(Lingering {
            cause,
            detail: "why".to_owned(),
            since: WallTime(2_000),
        })));
        assert_eq!(left.state(), pb::ResourceState::Lingering);
        assert_eq!(
            (left.lingering_cause(), left.detail.as_str()),
            (name, "why")
        );
        assert_eq!(left.lingering_time, millis(2_000));
    }
    for (outcome, name) in [
        (ReleaseOutcome::Killed, pb::ResourceOutcome::Killed),
        (
            ReleaseOutcome::AlreadyGone,
            pb::ResourceOutcome::AlreadyGone,
        ),
        (ReleaseOutcome::Mismatch, pb::ResourceOutcome::Mismatch),
        (ReleaseOutcome::Forced, pb::ResourceOutcome::Forced),
    ] {
        let time = WallTime(3_000);
        let gone = standing(Standing::Released { outcome, time });
        assert_eq!(gone.state(), pb::ResourceState::Released);
        assert_eq!((gone.outcome(), gone.release_time), (name, millis(3_000)));
    }
}

#[test]
fn a_session_says_that_it_waits_for_resources_and_until_when() {
    let now = Now {
        engine: EngineTime(100_000),
        wall: WallTime(1_100_000),
    };
    let behind = Behind {
        predecessor: SessionNo(1),
        slot: PredecessorSlot::Passes,
    };
    let waiting = |until, behind| {
        let mut view = active();
        let place = SessionNo(1);
        Arc::make_mut(&mut view.session).lifecycle = Lifecycle::Queued(Wait {
            until,
            place,
            behind,
        });
        let shown = show::session::session(&view, now);
        (shown.waiting_for(), shown.expire_time)
    };
    let until = Some(EngineTime(105_000));
    let at = millis(1_105_000);
    assert_eq!(waiting(until, None), (pb::WaitingFor::Slot, at));
    let for_resources = pb::WaitingFor::PredecessorResources;
    assert_eq!(waiting(until, Some(behind)), (for_resources, at));
    assert_eq!(waiting(None, Some(behind)), (for_resources, None));
}

#[test]
fn refusals_about_resources_say_which_and_why() {
    let token = held().token(SessionNo(1));
    let name = "rs-1-3-00000000000000ab";
    check(
        Refusal::rejected(&Rejection::ResourceNotFound { token }),
        &Expected {
            metadata: &[("resource_id", name)],
            resource: Some(("resource", name)),
            ..Expected::of(Reason::ResourceNotFound, Code::NotFound)
        },
    );
    let token_of_none = ResourceToken::default();
    check(
        Refusal::rejected(&Rejection::ResourceNotFound {
            token: token_of_none,
        }),
        &Expected {
            resource: Some(("resource", "")),
            ..Expected::of(Reason::ResourceNotFound, Code::NotFound)
        },
    );
    let outcome = ReleaseOutcome::AlreadyGone;
    check(
        Refusal::rejected(&Rejection::ResourceReleased { token, outcome }),
        &Expected {
            metadata: &[("outcome", "ALREADY_GONE"), ("resource_id", name)],
            resource: Some(("resource", name)),
            ..Expected::of(Reason::ResourceReleased, Code::FailedPrecondition)
        },
    );
    check(
        Refusal::rejected(&Rejection::ResourceRegistered { token }),
        &Expected {
            metadata: &[("resource_id", name)],
            resource: Some(("resource", name)),
            ..Expected::of(Reason::ResourceRegistered, Code::FailedPrecondition)
        },
    );
    check(
        Refusal::rejected(&Rejection::SessionUnreleased {
            session: session(),
            resources: 2,
        }),
        &Expected {
            metadata: &[("count", "2"), ("session_id", "s-1")],
            ..Expected::of(Reason::ResourcesUnreleased, Code::FailedPrecondition)
        },
    );
}

#[test]
fn what_is_not_registered_says_why() {
    let why = "only its user may".to_owned();
    check(
        Refusal::unregistered(&Unregistered::NotEntitled { why: why.clone() }, "somebody"),
        &Expected::of(Reason::PermissionDenied, Code::PermissionDenied),
    );
    let field = "process.pid";
    check(
        Refusal::unregistered(&Unregistered::Unfit { field, why }, "somebody"),
        &Expected {
            violations: &[field],
            ..Expected::of(Reason::FieldInvalid, Code::InvalidArgument)
        },
    );
}

#[test]
fn a_node_that_cannot_be_used_says_why_and_when_to_come_back() {
    let node = || NodeName::parse("far").unwrap();
    check(
        Refusal::rejected(&Rejection::Node(NodeRejection::NotFound { node: node() })),
        &Expected {
            metadata: &[("node", "far")],
            resource: Some(("node", "far")),
            ..Expected::of(Reason::NodeNotFound, Code::NotFound)
        },
    );
    check(
        Refusal::rejected(&Rejection::Node(NodeRejection::Elsewhere {
            node: node(),
            resources: 3,
        })),
        &Expected {
            metadata: &[("count", "3"), ("node", "far")],
            resource: Some(("node", "far")),
            ..Expected::of(Reason::NodeElsewhere, Code::FailedPrecondition)
        },
    );
    let held = Rejection::Node(NodeRejection::Held {
        node: node(),
        holder: InstanceId::parse("a1").unwrap(),
        retry_after: Span(1_500),
    });
    check(
        Refusal::rejected(&held),
        &Expected {
            metadata: &[("holder", "a1"), ("node", "far")],
            retry_ms: Some(1_500),
            ..Expected::of(Reason::LeaseHeld, Code::FailedPrecondition)
        },
    );
}
