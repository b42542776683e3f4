//! The release of a tmux session: its processes are held first, then the server ends the session, which only hangs up
//! on them, and then they are ended like any others.
//!
//! | what is at the socket            | what is released                                          |
//! |----------------------------------|-----------------------------------------------------------|
//! | the registered session           | it, its panes of now and of registration                  |
//! | its server without it, or none   | the panes of registration                                 |
//! | another server or session        | the panes of registration; if none lives: `Mismatch`      |
//! | a server that does not answer    | the panes of registration; if none lives: an error        |
//! | whatever came after a boot       | nothing but what carries the marker                       |
//!
//! The panes of registration are identified by themselves, so they can be ended whoever is at the socket. A private
//! server is ended in each case, if it lives. What this deliberately does not do: find panes that were opened after
//! registration of a server that does not answer, unless they carry the marker.

use std::path::Path;

use super::client::{Refusal, call};
use super::listing::{self, Pane, Reach, target};
use super::{Ownership, TmuxError, TmuxIdentity};
use crate::deny::Denial;
use crate::fault::Fault;
use crate::identity::{Found, find};
use crate::platform::Pin;
use crate::release::run;
use crate::sweep::Sweep;
use crate::terms::{Released, Terms};

/// What stands where the session was registered.
#[derive(Debug)]
enum Place {
    Registered { panes: Vec<Pane> },
    Empty,
    Another,
    Unknown(TmuxError),
}

/// Ends a session, its processes, all that belongs to them as [`release`](crate::release::release) has it, and the
/// server if it is private. Blocks for as long as the terms say and a few calls to tmux.
///
/// # Errors
///
/// When the server does not answer or cannot be reached, and no process that was registered lives: the session may
/// still be there.
pub fn release(identity: &TmuxIdentity, terms: &Terms) -> Result<Released, TmuxError> {
    match try_release(identity, terms) {
        Ok(released) => released,
        Err(denial) => Ok(Released::Denied(denial)),
    }
}

fn try_release(
    identity: &TmuxIdentity,
    terms: &Terms,
) -> Result<Result<Released, TmuxError>, Denial> {
    // Held to the end, so that no other process can answer with its pid.
    let (server, place) = match find(&identity.server, terms.weak)? {
        Found::Alive(pin) => (Some(pin), look(identity)),
        Found::Zombie(_) | Found::Gone | Found::Mismatch => {
            (None, look_without_server(&identity.socket))
        }
        // No session outlives a boot, whoever is at the socket. What was started again after it may have the marker.
        Found::OtherBoot => (None, Place::Empty),
    };
    let mut sweep = Sweep::new(terms)?;
    hold_panes(&mut sweep, identity, terms, &place, server.as_ref())?;
    if let (Ownership::Private, Some(_)) = (identity.ownership, &server) {
        match Pin::take(identity.server.pid) {
            Ok(pin) => sweep.add(pin)?,
            Err(Fault::Gone | Fault::NotAProcess) => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    // What a pane started in a session of its own cannot be found once the pane has ended.
    sweep.gather()?;
    let asked = match &place {
        Place::Registered { .. } => Some(hang_up(identity)),
        Place::Empty | Place::Another | Place::Unknown(_) => None,
    };
    let released = run(sweep)?;
    let ends_server = identity.ownership == Ownership::Private && server.is_some();
    Ok(outcome(released, place, asked, ends_server))
}

fn outcome(
    released: Released,
    place: Place,
    asked: Option<Result<(), TmuxError>>,
    ends_server: bool,
) -> Result<Released, TmuxError> {
    if ends_server || released != Released::AlreadyGone {
        return match (released, asked) {
            // Hung up on, everything ended by itself.
            (Released::AlreadyGone, Some(Ok(()))) => Ok(Released::Killed),
            (released, _) => Ok(released),
        };
    }
    match (place, asked) {
        (Place::Registered { .. }, Some(Err(TmuxError::Ended))) => Ok(Released::Mismatch),
        (Place::Registered { .. }, Some(Err(error))) => Err(error),
        (Place::Registered { .. }, Some(Ok(())) | None) => Ok(Released::Killed),
        (Place::Empty, _) => Ok(Released::AlreadyGone),
        (Place::Another, _) => Ok(Released::Mismatch),
        (Place::Unknown(error), _) => Err(error),
    }
}

/// Asks the server that was registered, which is running, for the session.
fn look(identity: &TmuxIdentity) -> Place {
    match listing::panes(&identity.socket, identity.session) {
        Ok(panes) if panes.is_empty() => Place::Empty,
        Ok(panes) if panes.iter().all(|pane| pane.of.is(identity)) => Place::Registered { panes },
        Ok(_) => Place::Another,
        // Any server may say so.
        Err(Refusal::NoSession) => match listing::sessions(&identity.socket) {
            Ok(others)
                if others
                    .iter()
                    .all(|other| other.server == identity.server.pid) =>
            {
                Place::Empty
            }
            Ok(_) => Place::Another,
            Err(refusal) => Place::Unknown(refusal.into()),
        },
        Err(refusal) => Place::Unknown(refusal.into()),
    }
}

/// Asks whether another server has the place of the one that was registered, which has ended.
fn look_without_server(socket: &Path) -> Place {
    match listing::sessions(socket) {
        Ok(_) | Err(Refusal::Other(TmuxError::Hung)) => Place::Another,
        Err(Refusal::NoServer | Refusal::NoSession | Refusal::Other(_)) => Place::Empty,
    }
}

/// Adds the panes of now and of registration, without those that another session shows too.
fn hold_panes(
    sweep: &mut Sweep<'_>,
    identity: &TmuxIdentity,
    terms: &Terms,
    place: &Place,
    server: Option<&Pin>,
) -> Result<(), Denial> {
    let panes: &[Pane] = match place {
        Place::Registered { panes } => panes,
        Place::Empty | Place::Another | Place::Unknown(_) => &[],
    };
    let is_shared = |pid: i32| {
        panes
            .iter()
            .any(|pane| pane.pid == pid && pane.reach == Reach::Several)
    };
    for pane in identity.panes.iter().filter(|pane| !is_shared(pane.pid)) {
        match find(pane, terms.weak)? {
            Found::Alive(pin) | Found::Zombie(pin) => sweep.add(pin)?,
            Found::Gone | Found::OtherBoot | Found::Mismatch => {}
        }
    }
    for pane in panes.iter().filter(|pane| pane.reach == Reach::One) {
        let pin = match Pin::take(pane.pid) {
            Ok(pin) => pin,
            Err(Fault::Gone | Fault::NotAProcess) => continue,
            Err(fault) => return Err(fault.into()),
        };
        // A pane can outlive its process, whose number may be another's then: that one has another parent.
        let is_child = pin.row().is_ok_and(|row| row.parent == identity.server.pid);
        if is_child && server.is_some_and(Pin::is_running) {
            sweep.add(pin)?;
        }
    }
    Ok(())
}

/// Has the server end the session, or itself if it is private, after it compared itself with what is registered: between
/// a question and a command another server may have come to the socket. [`TmuxError::Ended`] when it did.
fn hang_up(identity: &TmuxIdentity) -> Result<(), TmuxError> {
    let TmuxIdentity {
        socket,
        server,
        session,
        created,
        ..
    } = identity;
    let session = target(*session);
    let is_registered = format!(
        "#{{&&:#{{==:#{{pid}},{}}},#{{==:#{{session_created}},{created}}}}}",
        server.pid
    );
    let end = match identity.ownership {
        Ownership::Adopted => format!("kill-session -t '{session}'"),
        Ownership::Private => "kill-server".to_owned(),
    };
    let arguments = [
        "if-shell",
        "-F",
        "-t",
        &session,
        &is_registered,
        &end,
        "display-message -p other",
    ];
    match call(socket, &arguments) {
        Ok(said) if said.trim() == "other" => Err(TmuxError::Ended),
        // A server that ends may not see its client off.
        Ok(_) | Err(Refusal::NoServer | Refusal::NoSession) => Ok(()),
        Err(Refusal::Other(error)) => Err(error),
    }
}

#[cfg(all(test, target_os = "linux", not(sessiond_elsewhere)))]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Tmux;
    use super::*;

    /// The server can only be another one between two calls, which no test of a release can bring about.
    #[test]
    fn a_server_that_is_not_the_registered_one_ends_nothing() {
        let directory = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .expect("a directory");
        let socket = directory.path().join("tmux");
        let created = Tmux { socket }.create("abc", &["sleep", "1000"], None);
        let identity = created.expect("a session");
        let mut answers = Vec::new();
        for ownership in [Ownership::Adopted, Ownership::Private] {
            let mut forged = identity.clone();
            forged.ownership = ownership;
            forged.server.pid += 1;
            answers.push(hang_up(&forged));
            forged.server.pid -= 1;
            forged.created += 1;
            answers.push(hang_up(&forged));
        }
        let place = look(&identity);
        // Before anything is asserted, as nothing else ends the server.
        let released = release(&identity, &Terms::default());
        assert!(matches!(place, Place::Registered { .. }), "{place:?}");
        let is_other = |answer: &Result<(), TmuxError>| matches!(answer, Err(TmuxError::Ended));
        assert!(answers.iter().all(is_other), "{answers:?}");
        assert_eq!(released.expect("done"), Released::Killed);
    }
}
