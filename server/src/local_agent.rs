//! The agent of this machine: what is on record of a resource, as the crate that may signal takes it, and its answers as
//! the rules take them.
//!
//! Invariant: nothing is ended but what is on record, by the identity it was registered with and by its marker. What this
//! deliberately does not do: decide that something is to go, or remember what came of it.

use std::path::PathBuf;
use std::time::Duration;

use sessiond_agent::identity::{Identity, Verdict, verify};
use sessiond_agent::marker::Marker;
use sessiond_agent::release;
use sessiond_agent::strays;
use sessiond_agent::terms::{Released, Survivor, Terms, WeakIdentities};
use sessiond_agent::tmux::{self, Ownership};
use sessiond_core::limits::TEXT_BYTES_MAX;
use sessiond_core::resource::{
    Attempt, LingeringCause, ProcessIdentity, ReleaseOutcome, ResourceToken, Target, TmuxIdentity,
};
use sessiond_core::time::Span;

use crate::env::{Agent, Marked, Presence, Proof, ReleaseTerms, Sought, Unregistered};

mod register;

/// Characters of what is said of an attempt, of up to four bytes each.
const DETAIL_CHARS: usize = TEXT_BYTES_MAX / 4;
/// Survivors that are named when some are left.
const SURVIVORS_NAMED: usize = 8;

/// This machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalAgent;

impl Agent for LocalAgent {
    fn release(&self, token: ResourceToken, target: &Target, terms: &ReleaseTerms) -> Attempt {
        let marker = marker_of(token);
        let terms = terms_of(terms, marker.clone());
        let released = match target {
            Target::Marked => release::release_marked(&marker, &terms),
            Target::Process(process) => match identity_of(process) {
                Some(identity) => release::release(&identity, &terms),
                None => Released::Mismatch,
            },
            Target::Tmux(tmux) => match tmux_of(tmux) {
                Some(identity) => match tmux::release(&identity, &terms) {
                    Ok(released) => released,
                    Err(error) => return left(LingeringCause::TimedOut, &error.to_string()),
                },
                None => Released::Mismatch,
            },
        };
        match (released, target) {
            // What the number means now is not touched; what was started of ours may still be there.
            (Released::Mismatch, Target::Process(_) | Target::Tmux(_)) => {
                match release::release_marked(&marker, &terms) {
                    Released::AlreadyGone => Attempt::Gone(ReleaseOutcome::Mismatch),
                    other @ (Released::Killed
                    | Released::Mismatch
                    | Released::Denied(_)
                    | Released::TimedOut { .. }) => attempt_of(other),
                }
            }
            (released, _) => attempt_of(released),
        }
    }

    fn presence(&self, token: ResourceToken, target: &Target, terms: &ReleaseTerms) -> Presence {
        let terms = terms_of(terms, marker_of(token));
        match target {
            Target::Marked => Presence::Unknown,
            Target::Process(process) => process_presence(process, &terms),
            Target::Tmux(tmux) => tmux_presence(tmux, &terms),
        }
    }

    fn marked(&self) -> Vec<Marked> {
        marked()
    }

    fn register(&self, sought: &Sought, proof: Proof) -> Result<Target, Unregistered> {
        register::register(sought, proof)
    }
}

/// What was registered may have ended and left the work to others, as a daemon does when it begins.
fn process_presence(process: &ProcessIdentity, terms: &Terms) -> Presence {
    let identity = identity_of(process);
    let verdict = identity
        .as_ref()
        .map(|identity| verify(identity, terms.weak));
    match verdict {
        Some(Ok(Verdict::Alive)) => Presence::There,
        Some(Err(_)) => Presence::Unknown,
        Some(Ok(Verdict::AlreadyGone | Verdict::Mismatch)) | None => {
            left_presence(identity.as_ref(), terms)
        }
    }
}

/// tmux only hangs up on what runs in a session, so that it is there no more says nothing of that.
fn tmux_presence(tmux: &TmuxIdentity, terms: &Terms) -> Presence {
    let Some(identity) = tmux_of(tmux) else {
        return left_presence(None, terms);
    };
    match identity.refreshed() {
        Ok(Some(_)) => return Presence::There,
        Ok(None) => {}
        Err(_) => return Presence::Unknown,
    }
    let panes = identity.panes.iter();
    let mut seen = panes.map(|pane| left_presence(Some(pane), terms));
    let not_gone = seen.find(|presence| *presence != Presence::Gone);
    not_gone.unwrap_or_else(|| left_presence(None, terms))
}

fn left_presence(identity: Option<&Identity>, terms: &Terms) -> Presence {
    match release::is_left(identity, terms) {
        Ok(true) => Presence::There,
        Ok(false) => Presence::Gone,
        Err(_) => Presence::Unknown,
    }
}

/// What cannot be looked at is told by whoever has to end it.
fn marked() -> Vec<Marked> {
    let found = strays::marked_processes().unwrap_or_default();
    let marked = found.into_iter().filter_map(|one| {
        Some(Marked {
            pid: one.pid.try_into().ok()?,
            start_ticks: one.start_ticks,
            marker: one.marker.value().to_owned(),
        })
    });
    marked.collect()
}

fn marker_of(token: ResourceToken) -> Marker {
    Marker::new(token.to_string()).expect("the name of a resource is short, and has no NUL")
}

fn weak(terms: &ReleaseTerms) -> WeakIdentities {
    if terms.weak_identities {
        WeakIdentities::Allowed
    } else {
        WeakIdentities::Refused
    }
}

fn terms_of(terms: &ReleaseTerms, marker: Marker) -> Terms {
    let duration = |Span(ms)| Duration::from_millis(ms);
    Terms {
        grace: duration(terms.grace),
        verify: duration(terms.verify),
        marker: Some(marker),
        weak: weak(terms),
    }
}

fn attempt_of(released: Released) -> Attempt {
    match released {
        Released::Killed => Attempt::Gone(ReleaseOutcome::Killed),
        Released::AlreadyGone => Attempt::Gone(ReleaseOutcome::AlreadyGone),
        Released::Mismatch => Attempt::Gone(ReleaseOutcome::Mismatch),
        Released::Denied(denial) => left(LingeringCause::Denied, &denial.to_string()),
        Released::TimedOut { survivors } => left(LingeringCause::TimedOut, &named(&survivors)),
    }
}

fn left(cause: LingeringCause, detail: &str) -> Attempt {
    Attempt::Left {
        cause,
        detail: detail.chars().take(DETAIL_CHARS).collect(),
    }
}

/// What is left, in words.
fn named(survivors: &[Survivor]) -> String {
    let shown = survivors.iter().take(SURVIVORS_NAMED);
    let shown: Vec<String> = shown
        .map(|one| match &one.denial {
            Some(denial) => format!("process {} ({denial})", one.pid),
            None => format!("process {} in state {}", one.pid, one.state),
        })
        .collect();
    let more = survivors.len().saturating_sub(SURVIVORS_NAMED);
    let rest = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{rest} left", shown.join(", "))
}

/// None for numbers that no process of this machine can have.
fn identity_of(process: &ProcessIdentity) -> Option<Identity> {
    Some(Identity {
        boot_id: process.boot_id.clone(),
        pid: process.pid.try_into().ok()?,
        start_ticks: process.start_ticks,
        inode: process.inode,
        uid: process.uid,
        group: process.group.try_into().ok()?,
        session: process.session.try_into().ok()?,
    })
}

fn tmux_of(tmux: &TmuxIdentity) -> Option<tmux::TmuxIdentity> {
    let panes = tmux.panes.iter().map(identity_of);
    Some(tmux::TmuxIdentity {
        socket: PathBuf::from(&tmux.socket),
        server: identity_of(&tmux.server)?,
        session: tmux.session,
        created: tmux.created,
        name: tmux.name.clone(),
        panes: panes.collect::<Option<_>>()?,
        ownership: if tmux.private {
            Ownership::Private
        } else {
            Ownership::Adopted
        },
    })
}
