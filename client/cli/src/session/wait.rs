//! `sessionctl session wait`: until a session is active, has ended, or is released.
//!
//! Invariant: one incarnation is waited for, the one that was there at the start; it is read first
//! and then watched from where it was read, so that nothing falls between. It survives restarts of
//! the server. What this deliberately does not do: end the session.

use std::time::Duration;

use clap::{Args, ValueEnum};
use sessiond_client::{Client, pb};

use crate::args::SessionArg;
use crate::failure::Failure;
use crate::values;

/// Which session to wait for.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    session: SessionArg,
    /// What to wait for.
    #[arg(long = "for", value_enum, default_value_t = Goal::Ended, value_name = "STATE")]
    goal: Goal,
    /// Give up after this long, with exit code 7 [default: wait for ever].
    #[arg(long, value_name = "DURATION", value_parser = values::span)]
    timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Goal {
    /// It has its slot.
    Active,
    /// It is over.
    Ended,
    /// It is over and all of its resources are released.
    Released,
}

/// How a state relates to a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Reached,
    Possible,
    Missed,
}

// === impl WaitArgs ===

impl WaitArgs {
    /// The session as it is once it has reached the goal.
    pub(crate) async fn run(&self, client: &Client) -> Result<pb::Session, Failure> {
        let wait = self.wait(client);
        match self.timeout {
            None => wait.await,
            Some(timeout) => tokio::time::timeout(timeout, wait).await.map_err(|_| {
                let goal = self.goal.name();
                Failure::Deadline(format!("the session is not {goal} after {timeout:?}"))
            })?,
        }
    }

    async fn wait(&self, client: &Client) -> Result<pb::Session, Failure> {
        let session = client.existing(self.session.session_ref()).await?;
        if self.goal == Goal::Released {
            return Ok(session.released().await?);
        }
        session.until(|state| self.goal.verdict(state)).await??;
        Ok(session.get().await?)
    }
}

// === impl Goal ===

impl Goal {
    fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Ended => "ended",
            Self::Released => "released",
        }
    }

    /// Whether the goal is reached with a state, or will not be; nothing while it may be.
    fn verdict(self, state: pb::SessionState) -> Option<Result<(), Failure>> {
        match self.progress(state) {
            Progress::Reached => Some(Ok(())),
            Progress::Possible => None,
            Progress::Missed => Some(Err(Failure::Conflict(format!(
                "the session is {} and will not be {}",
                values::enum_name::<pb::SessionState>(state.into()),
                self.name()
            )))),
        }
    }

    fn progress(self, state: pb::SessionState) -> Progress {
        use pb::SessionState as State;
        match (self, state) {
            (Self::Active, State::Active) => Progress::Reached,
            (Self::Active, State::Draining | State::Ended) => Progress::Missed,
            (Self::Ended | Self::Released, State::Ended) => Progress::Reached,
            (Self::Active, State::Queued | State::Unspecified)
            | (
                Self::Ended | Self::Released,
                State::Queued | State::Active | State::Draining | State::Unspecified,
            ) => Progress::Possible,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_reached_missed_or_still_possible() {
        use pb::SessionState as State;
        for (goal, state, progress) in [
            (Goal::Active, State::Queued, Progress::Possible),
            (Goal::Active, State::Active, Progress::Reached),
            (Goal::Active, State::Draining, Progress::Missed),
            (Goal::Active, State::Ended, Progress::Missed),
            (Goal::Ended, State::Draining, Progress::Possible),
            (Goal::Ended, State::Ended, Progress::Reached),
        ] {
            assert_eq!(goal.progress(state), progress, "{goal:?} {state:?}");
        }
        let missed = Goal::Active.verdict(State::Ended);
        assert!(matches!(missed, Some(Err(Failure::Conflict(text))) if text.contains("ended")));
    }
}
