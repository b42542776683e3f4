//! Random resources of a session.

use fastrand::Rng;
use sessiond_core::ids::{
    Epoch, InstanceId, MachineId, Namespace, NodeName, ResourceName, ResourceNo, SessionNo,
};
use sessiond_core::node::NodeRow;
use sessiond_core::resource::{
    Lingering, LingeringCause, ProcessIdentity, ReleaseOutcome, Resource, ResourcesRow, Scope,
    Standing, Target, TmuxIdentity,
};

use crate::draw::{free_text, id, namespace, number, one_of, option, small, wall};

pub(crate) fn resources(rng: &mut Rng, session: SessionNo) -> ResourcesRow {
    ResourcesRow {
        session,
        namespace: namespace(rng),
        declared: ResourceNo(number(rng)),
        list: (0..rng.usize(..4)).map(|_| resource(rng)).collect(),
    }
}

pub(crate) fn node(rng: &mut Rng, namespace: &Namespace, name: &NodeName) -> NodeRow {
    NodeRow {
        namespace: namespace.clone(),
        name: name.clone(),
        epoch: Epoch(number(rng)),
        instance: id(rng, InstanceId::parse),
        machine: option(rng, |rng| id(rng, MachineId::parse)),
        acquire_time: wall(rng),
        unreleased: small(rng),
    }
}

fn resource(rng: &mut Rng) -> Resource {
    Resource {
        number: ResourceNo(number(rng)),
        salt: number(rng),
        name: option(rng, |rng| id(rng, ResourceName::parse)),
        scope: match rng.bool() {
            true => Scope::Session,
            false => Scope::Lease(Epoch(number(rng))),
        },
        node: option(rng, |rng| id(rng, NodeName::parse)),
        target: match rng.u8(..3) {
            0 => Target::Marked,
            1 => Target::Process(process(rng)),
            _ => Target::Tmux(Box::new(tmux(rng))),
        },
        standing: standing(rng),
        create_time: wall(rng),
    }
}

fn standing(rng: &mut Rng) -> Standing {
    let causes = [
        LingeringCause::Denied,
        LingeringCause::TimedOut,
        LingeringCause::NodeAway,
    ];
    let outcomes = [
        ReleaseOutcome::Killed,
        ReleaseOutcome::AlreadyGone,
        ReleaseOutcome::Mismatch,
        ReleaseOutcome::Forced,
    ];
    match rng.u8(..3) {
        0 => Standing::Held,
        1 => Standing::Releasing(option(rng, |rng| Lingering {
            cause: one_of(rng, &causes),
            detail: free_text(rng),
            since: wall(rng),
        })),
        _ => Standing::Released {
            outcome: one_of(rng, &outcomes),
            time: wall(rng),
        },
    }
}

fn process(rng: &mut Rng) -> ProcessIdentity {
    ProcessIdentity {
        boot_id: free_text(rng),
        pid: small(rng),
        start_ticks: number(rng),
        inode: option(rng, number),
        uid: small(rng),
        group: small(rng),
        session: small(rng),
    }
}

fn tmux(rng: &mut Rng) -> TmuxIdentity {
    TmuxIdentity {
        socket: free_text(rng),
        server: process(rng),
        session: small(rng),
        created: number(rng),
        name: free_text(rng),
        panes: (0..rng.usize(..3)).map(|_| process(rng)).collect(),
        private: rng.bool(),
    }
}
