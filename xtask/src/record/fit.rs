//! Makes a recording fit its bound: the largest edits go first, then the oldest sessions.
//!
//! Invariant: the result is never longer than the bound, and the same sessions give the same
//! result. What it deliberately does not do: cut a line; an event is whole or absent.

use std::cmp::Reverse;

/// One session's events, as lines without their end.
#[derive(Debug, Default)]
pub(super) struct Session {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    text: String,
    is_edit: bool,
}

/// The recording, and what did not get into it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fitted {
    pub(super) text: String,
    pub(super) sessions: usize,
    pub(super) events: usize,
    pub(super) edits_left_out: usize,
    pub(super) sessions_left_out: usize,
}

impl Session {
    /// Adds an event that stays as long as the session does.
    pub(super) fn keep(&mut self, text: String) {
        self.lines.push(Line {
            text,
            is_edit: false,
        });
    }

    /// Adds an edit, which may be left out.
    pub(super) fn offer(&mut self, text: String) {
        self.lines.push(Line {
            text,
            is_edit: true,
        });
    }

    fn bytes(&self) -> usize {
        self.lines.iter().map(Line::bytes).sum()
    }
}

impl Line {
    fn bytes(&self) -> usize {
        self.text.len() + "\n".len()
    }
}

/// Leaves out what does not fit; `sessions` come oldest first and stay in order.
pub(super) fn fit(mut sessions: Vec<Session>, bytes_max: usize) -> Fitted {
    let edits_left_out = drop_edits(&mut sessions, bytes_max);
    let sessions_left_out = drop_sessions(&mut sessions, bytes_max);
    let mut text = String::new();
    for line in sessions.iter().flat_map(|session| &session.lines) {
        text.push_str(&line.text);
        text.push('\n');
    }
    let events = sessions.iter().map(|session| session.lines.len()).sum();
    Fitted {
        text,
        sessions: sessions.len(),
        events,
        edits_left_out,
        sessions_left_out,
    }
}

fn drop_edits(sessions: &mut [Session], bytes_max: usize) -> usize {
    let mut total: usize = sessions.iter().map(Session::bytes).sum();
    let mut edits: Vec<(usize, usize, usize)> = Vec::new();
    for (at, session) in sessions.iter().enumerate() {
        let lines = session
            .lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.is_edit);
        edits.extend(lines.map(|(place, line)| (line.bytes(), at, place)));
    }
    edits.sort_unstable_by_key(|&edit| Reverse(edit));
    let mut dropped = Vec::new();
    for (bytes, at, place) in edits {
        if total <= bytes_max {
            break;
        }
        total -= bytes;
        dropped.push((at, place));
    }
    // From the back, so that the places still to be dropped do not move.
    dropped.sort_unstable_by_key(|&place| Reverse(place));
    for &(at, place) in &dropped {
        sessions[at].lines.remove(place);
    }
    dropped.len()
}

fn drop_sessions(sessions: &mut Vec<Session>, bytes_max: usize) -> usize {
    let mut total: usize = sessions.iter().map(Session::bytes).sum();
    let mut oldest = 0;
    while total > bytes_max {
        total -= sessions[oldest].bytes();
        oldest += 1;
    }
    sessions.drain(..oldest);
    oldest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions() -> Vec<Session> {
        let session = |name: &str, edits: [usize; 2]| {
            let mut session = Session::default();
            session.keep(format!("{name}-start"));
            edits.iter().for_each(|&len| session.offer("e".repeat(len)));
            session.keep(format!("{name}-end"));
            session
        };
        vec![session("a", [50, 10]), session("b", [20, 70])]
    }

    #[track_caller]
    fn check(bytes_max: usize, edits: usize, dropped: usize, sessions_left: usize) {
        let fitted = fit(sessions(), bytes_max);
        assert!(
            fitted.text.len() <= bytes_max,
            "{} bytes",
            fitted.text.len()
        );
        assert_eq!(fitted.edits_left_out, edits, "edits");
        assert_eq!(fitted.sessions_left_out, dropped, "sessions");
        assert_eq!(fitted.sessions, sessions_left);
        assert_eq!(fitted.events, fitted.text.lines().count());
        assert_eq!(fitted, fit(sessions(), bytes_max));
    }

    #[test]
    fn the_largest_edits_go_first_then_the_oldest_sessions() {
        let all = 2 * ("a-start\n".len() + "a-end\n".len()) + 51 + 11 + 21 + 71;
        check(all, 0, 0, 2);
        check(all - 1, 1, 0, 2);
        check(all - 71, 1, 0, 2);
        check(all - 72, 2, 0, 2);
        check(28, 4, 0, 2);
        check(27, 4, 1, 1);
        check(0, 4, 2, 0);
        assert!(fit(sessions(), 27).text.starts_with("b-start"));
    }
}
