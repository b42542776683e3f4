//! Resources: what sessions have outside.

use sessiond_core::ids::Revision;
use sessiond_core::reply::Reply;
use sessiond_core::resource::{
    Lingering, LingeringCause, ProcessIdentity, ReleaseOutcome, Resource, Scope, Standing, Target,
    TmuxIdentity,
};
use sessiond_core::session::SessionRow;
use sessiond_proto::v1 as pb;

use super::time::timestamp;

/// A resource of a session.
pub(crate) fn resource(session: &SessionRow, resource: &Resource) -> pb::Resource {
    let (scope, epoch) = match resource.scope {
        Scope::Session => (pb::ResourceScope::Session, 0),
        Scope::Lease(epoch) => (pb::ResourceScope::Lease, epoch.0),
    };
    let text = |id: Option<&dyn ToString>| id.map_or_else(String::new, ToString::to_string);
    let mut shown = pb::Resource {
        resource_id: resource.token(session.no).to_string(),
        session_id: session.id.to_string(),
        key: text(session.key.as_ref().map(|key| key as _)),
        name: text(resource.name.as_ref().map(|name| name as _)),
        scope: scope.into(),
        epoch,
        state: state(&resource.standing).into(),
        target: target(&resource.target),
        create_time: Some(timestamp(resource.create_time)),
        node: text(resource.node.as_ref().map(|node| node as _)),
        ..pb::Resource::default()
    };
    match &resource.standing {
        Standing::Held | Standing::Releasing(None) => {}
        Standing::Releasing(Some(Lingering {
            cause,
            detail,
            since,
        })) => {
            shown.set_lingering_cause(lingering_cause(*cause));
            shown.detail.clone_from(detail);
            shown.lingering_time = Some(timestamp(*since));
        }
        Standing::Released {
            outcome: known,
            time,
        } => {
            shown.set_outcome(outcome(*known));
            shown.release_time = Some(timestamp(*time));
        }
    }
    shown
}

/// Whether a resource is there.
pub(crate) fn state(standing: &Standing) -> pb::ResourceState {
    match standing {
        Standing::Held => pb::ResourceState::Held,
        Standing::Releasing(None) => pb::ResourceState::Releasing,
        Standing::Releasing(Some(_)) => pb::ResourceState::Lingering,
        Standing::Released { .. } => pb::ResourceState::Released,
    }
}

/// How a resource is known to be gone, without the prefix of the enum.
pub(crate) fn outcome_name(of: ReleaseOutcome) -> &'static str {
    let name = outcome(of).as_str_name();
    name.strip_prefix("RESOURCE_OUTCOME_").unwrap_or(name)
}

/// The answer to DeclareResource.
pub(crate) fn declared(reply: Reply, revision: Revision) -> pb::DeclareResourceResponse {
    let Reply::Resource {
        session,
        resource: declared,
        duplicate,
    } = reply
    else {
        unreachable!("a declaration is answered with its resource")
    };
    pb::DeclareResourceResponse {
        resource: Some(resource(&session.session, &declared)),
        duplicate,
        revision: revision.0,
    }
}

pub(super) fn outcome(outcome: ReleaseOutcome) -> pb::ResourceOutcome {
    match outcome {
        ReleaseOutcome::Killed => pb::ResourceOutcome::Killed,
        ReleaseOutcome::AlreadyGone => pb::ResourceOutcome::AlreadyGone,
        ReleaseOutcome::Mismatch => pb::ResourceOutcome::Mismatch,
        ReleaseOutcome::Forced => pb::ResourceOutcome::Forced,
    }
}

pub(super) fn lingering_cause(cause: LingeringCause) -> pb::LingeringCause {
    match cause {
        LingeringCause::Denied => pb::LingeringCause::Denied,
        LingeringCause::TimedOut => pb::LingeringCause::Timeout,
        LingeringCause::NodeAway => pb::LingeringCause::NodeAway,
    }
}

fn target(target: &Target) -> Option<pb::resource::Target> {
    match target {
        Target::Marked => None,
        Target::Process(identity) => Some(pb::resource::Target::Process(process(identity))),
        Target::Tmux(identity) => Some(pb::resource::Target::Tmux(tmux(identity))),
    }
}

fn process(identity: &ProcessIdentity) -> pb::ProcessResource {
    pb::ProcessResource {
        pid: identity.pid,
        start_ticks: identity.start_ticks,
        uid: identity.uid,
    }
}

fn tmux(identity: &TmuxIdentity) -> pb::TmuxResource {
    pb::TmuxResource {
        socket: identity.socket.clone(),
        session_name: identity.name.clone(),
        tmux_id: format!("${}", identity.session),
        server_pid: identity.server.pid,
        private: identity.private,
    }
}
