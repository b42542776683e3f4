//! What asks `sessiond run` to stop, and what of it is the command's business.
//!
//! Invariant: what was ignored when this process was started, as by `nohup`, stays so, for the command as well. On a
//! terminal INT and QUIT reach the command too, which decides what they mean; before there is a command, and when it is
//! being ended, they are ours. What this deliberately does not do: send a signal.

use std::io::{self, IsTerminal as _};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that are listened to.
#[derive(Debug)]
pub(super) struct Signals {
    term: Signal,
    hangup: Option<Signal>,
    interrupt: Option<Signal>,
    quit: Option<Signal>,
    terminal: bool,
}

impl Signals {
    pub(super) fn take() -> io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let unless_ignored = |kind: SignalKind| {
            let taken = !is_ignored(&status, kind.as_raw_value());
            taken.then(|| signal(kind)).transpose()
        };
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            hangup: unless_ignored(SignalKind::hangup())?,
            interrupt: unless_ignored(SignalKind::interrupt())?,
            quit: unless_ignored(SignalKind::quit())?,
            terminal: io::stdin().is_terminal(),
        })
    }

    /// The next signal, whichever it is.
    pub(super) async fn any(&mut self) {
        // Any of them; they mean the same.
        tokio::select! {
            _ = self.term.recv() => {}
            () = received(&mut self.hangup) => {}
            () = received(&mut self.interrupt) => {}
            () = received(&mut self.quit) => {}
        }
    }

    /// The next signal that is not for the command to decide about.
    pub(super) async fn ours(&mut self) {
        loop {
            // Any of them; they mean the same.
            tokio::select! {
                _ = self.term.recv() => return,
                () = received(&mut self.hangup) => return,
                () = received(&mut self.interrupt) => if !self.terminal { return },
                () = received(&mut self.quit) => if !self.terminal { return },
            }
        }
    }
}

/// The next one of a signal; of one that is ignored there is none.
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether a signal is ignored, by the mask in a process's status.
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_from_the_mask() {
        let status = "Name:\tsh\nSigIgn:\t0000000000000003\nSigCgt:\tffffffffffffffff\n";
        assert!(is_ignored(status, 1) && is_ignored(status, 2));
        assert!(!is_ignored(status, 3) && !is_ignored(status, 15));
        assert!(
            !is_ignored("", 1),
            "where nothing is said nothing is ignored"
        );
    }
}
