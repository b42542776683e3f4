//! What a tmux server says of its sessions and panes, in lines that a name cannot forge.
//!
//! A line has numbers first and the name last, and each kind of line says whose it is, so that one answer is about one
//! server at one moment. tmux before 3.2 may print a newline in a name as it is; a forged line is then no line of the
//! panes of the session it claims. Invariant: an answer with a line that is not understood is no answer.

use std::path::Path;

use super::TmuxIdentity;
use super::client::{Refusal, call, refused};

const SESSION: &str = "#{pid} #{session_id} #{session_created} #{session_name}";

/// A window can be in several sessions, by itself or because the sessions are a group; what is not in a group has no
/// size.
const PANE: &str = "#{pane_pid} #{window_linked_sessions} #{session_group_size} \
                    #{pid} #{session_id} #{session_created} #{session_name}";

/// A session as its server lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// The pid that the server says it has.
    pub(super) server: i32,
    pub(super) session: u32,
    /// In seconds since 1970.
    pub(super) created: u64,
    pub(super) name: String,
}

/// A pane of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pane {
    pub(super) of: Listed,
    pub(super) pid: i32,
    pub(super) reach: Reach,
}

/// Which sessions a pane is seen in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    One,
    Several,
}

/// The sessions of a server.
pub(super) fn sessions(socket: &Path) -> Result<Vec<Listed>, Refusal> {
    lines(&call(socket, &["list-sessions", "-F", SESSION])?, session)
}

/// The panes of a session.
pub(super) fn panes(socket: &Path, session: u32) -> Result<Vec<Pane>, Refusal> {
    let target = target(session);
    let arguments = ["list-panes", "-s", "-t", target.as_str(), "-F", PANE];
    lines(&call(socket, &arguments)?, pane)
}

/// The only form in which a session is meant to tmux.
pub(super) fn target(session: u32) -> String {
    format!("${session}")
}

/// Reads one session: what a server prints for a session it makes is the same line.
pub(super) fn one_session(said: &str) -> Result<Listed, Refusal> {
    let mut sessions = lines(said, session)?;
    match (sessions.pop(), sessions.is_empty()) {
        (Some(listed), true) => Ok(listed),
        (_, _) => Err(refused(said)),
    }
}

/// The format that [`one_session`] reads.
pub(super) fn session_format() -> &'static str {
    SESSION
}

impl Listed {
    /// Whether it is the registered one, as far as the server tells.
    pub(super) fn is(&self, identity: &TmuxIdentity) -> bool {
        let Self {
            server,
            session,
            created,
            name: _,
        } = self;
        (*server, *session, *created) == (identity.server.pid, identity.session, identity.created)
    }
}

fn lines<T>(said: &str, read: fn(&str) -> Option<T>) -> Result<Vec<T>, Refusal> {
    said.split_terminator('\n')
        .map(|line| read(line).ok_or_else(|| refused(line)))
        .collect()
}

fn session(line: &str) -> Option<Listed> {
    let mut fields = line.splitn(4, ' ');
    Some(Listed {
        server: fields.next()?.parse().ok()?,
        session: fields.next()?.strip_prefix('$')?.parse().ok()?,
        created: fields.next()?.parse().ok()?,
        name: fields.next()?.to_owned(),
    })
}

fn pane(line: &str) -> Option<Pane> {
    let mut fields = line.splitn(4, ' ');
    let pid = fields.next()?.parse().ok()?;
    let linked: u32 = fields.next()?.parse().ok()?;
    let group = fields.next()?;
    let grouped: u32 = if group.is_empty() {
        1
    } else {
        group.parse().ok()?
    };
    Some(Pane {
        of: session(fields.next()?)?,
        pid,
        reach: if linked.max(grouped) > 1 {
            Reach::Several
        } else {
            Reach::One
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::Ownership;
    use super::*;
    use crate::identity::Identity;

    #[test]
    fn names_are_what_is_left_of_a_line() {
        for name in ["abc", " a  b ", "$1 5 x", "*"] {
            let listed = Listed {
                server: 70,
                session: 3,
                created: 9,
                name: name.to_owned(),
            };
            assert_eq!(session(&format!("70 $3 9 {name}")), Some(listed.clone()));
            let reaches = [
                ("1 ", Reach::One),
                ("1 2", Reach::Several),
                ("2 ", Reach::Several),
            ];
            for (counts, reach) in reaches {
                let expected = Pane {
                    of: listed.clone(),
                    pid: 71,
                    reach,
                };
                assert_eq!(pane(&format!("71 {counts} 70 $3 9 {name}")), Some(expected));
            }
        }
    }

    #[test]
    fn an_answer_with_a_line_that_is_none_is_refused() {
        for bad in ["", "x", "70 3 9 abc", "70 $3 9", "70 $3 abc", "-  "] {
            assert_eq!(session(bad), None, "{bad:?}");
        }
        assert!(lines("70 $3 9 abc\nb\n", session).is_err());
        assert_eq!(
            lines("70 $3 9 abc\n70 $4 9 b\n", session)
                .expect("two")
                .len(),
            2
        );
        assert!(one_session("70 $3 9 abc\n70 $4 9 b\n").is_err());
        assert!(one_session("").is_err());
    }

    #[test]
    fn a_session_is_meant_by_its_server_its_number_and_its_time() {
        let process = Identity {
            boot_id: String::new(),
            pid: 70,
            start_ticks: 0,
            inode: None,
            uid: 0,
            group: 70,
            session: 70,
        };
        let identity = TmuxIdentity {
            socket: "tmux".into(),
            server: process,
            session: 3,
            created: 9,
            name: "abc".to_owned(),
            panes: Vec::new(),
            ownership: Ownership::Adopted,
        };
        let is = |line| session(line).expect("a session").is(&identity);
        assert!(is("70 $3 9 abc") && is("70 $3 9 renamed"));
        for other in ["71 $3 9 abc", "70 $4 9 abc", "70 $3 8 abc"] {
            assert!(!is(other), "{other}");
        }
    }
}
