//! Releaser: ends what sessions left outside, and reports what came of it.
//!
//! The rules mark what is to go; here it is looked for in the store, ended by the agent of its machine, and the outcome
//! handed to the engine as a command. Nothing but the record says what is to go, so a server that was killed between an
//! end and its kill finds the same at its start, and what was killed before it could be reported is found gone.
//!
//! Invariant: a resource is tried by one attempt at a time, and tried again for as long as it is on record as one that is
//! to go. What did not go is tried again after a pause that grows up to [`RELEASE_PAUSE_MAX_MS`], a few at a time, so that it
//! never holds up what is new. What this deliberately does not do: judge what counts as gone; give anything up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sessiond_core::command::Command;
use sessiond_core::command::resource::{Attempted, Knowledge};
use sessiond_core::ids::{Namespace, ResourceNo, SessionNo};
use sessiond_core::node::{NodeKey, Witness};
use sessiond_core::resource::{Attempt, LingeringCause, Resource, ResourceToken, Standing};
use sessiond_store::snapshot::{ReadAhead, Reader};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::engine::Handle;
use crate::env::{Agent, Clock, ReleaseTerms};
use crate::limits::{
    RELEASE_LOOK_EVERY, RELEASE_PAUSE_MAX_MS, RELEASE_PAUSE_MIN_MS, RELEASES_PAGE,
};
use crate::nodes::ask::{self, Ask, Outcome};
use crate::nodes::{Away, Nodes};
use crate::over::Over;
use crate::stopping::Stopping;

mod turns;

use turns::Turns;

/// Rung by the engine when something is to go.
#[derive(Clone, Debug, Default)]
pub struct Bell(Arc<Notify>);

impl Bell {
    /// Has the releaser look, now or as soon as it can.
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

/// A resource by its place.
type Place = (SessionNo, ResourceNo);

/// Whoever ends what is left.
#[derive(Debug)]
pub(crate) struct Releaser {
    pub(crate) reader: Reader,
    pub(crate) engine: Handle,
    pub(crate) agent: Arc<dyn Agent>,
    pub(crate) nodes: Nodes,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) terms: ReleaseTerms,
    pub(crate) bell: Bell,
    pub(crate) stopping: Stopping,
}

/// What is known of the attempts at one resource.
#[derive(Clone, Debug)]
enum Tried {
    /// One is under way.
    Now {
        /// On which machine.
        node: Option<NodeKey>,
        /// Whether there were others before it.
        again: bool,
        /// How long to wait after it if it is in vain, in milliseconds.
        pause: u64,
    },
    /// It did not go.
    InVain {
        /// When it is tried again, in milliseconds of the monotonic clock.
        next: u64,
        /// How long that is, in milliseconds.
        pause: u64,
    },
}

/// The attempts, by resource. One that went is forgotten.
#[derive(Debug, Default)]
struct Attempts {
    tried: BTreeMap<Place, Tried>,
    /// Those of the attempts that are under way.
    turns: Turns,
    running: JoinSet<Done>,
}

/// An attempt that is over.
#[derive(Debug)]
struct Done {
    attempted: Attempted,
    /// The agent that keeps what came of it, and as which command.
    kept: Option<(NodeKey, u64)>,
    /// When it is tried again if it is in vain.
    retry: Retry,
}

/// How far it is looked for what is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// At all of it: some may be new, or have had its pause.
    AtAll,
    /// Until every turn is taken again that was given back and that something waits for: with much to go, looking at all of it
    /// after each attempt would take most of the time.
    ForTurns,
}

/// When what did not go is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    /// After a pause.
    Later,
    /// When the agent of its node is back.
    WhenBack,
}

/// Releases until the engine has ended, or until the server stops and what was begun is over.
pub(crate) async fn run(releaser: Releaser) {
    match releaser.release().await {
        Ok(()) | Err(Over::Ended) => {}
        Err(Over::Fault(fault)) => {
            tracing::error!(fault = fault.describe(), "resources are no longer released");
        }
    }
}

impl Releaser {
    async fn release(self) -> Result<(), Over> {
        let mut attempts = Attempts::default();
        let mut ticks = interval(RELEASE_LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = Look::AtAll;
        loop {
            if self.stopping.has_begun() {
                if attempts.running.is_empty() {
                    return Ok(());
                }
            } else {
                self.look(&mut attempts, look)?;
            }
            look = Look::AtAll;
            tokio::select! {
                () = self.engine.ended() => return Ok(()),
                () = self.stopping.begun(), if !self.stopping.has_begun() => {}
                () = self.bell.0.notified() => {}
                _ = ticks.tick() => {}
                Some(done) = attempts.running.join_next() => {
                    let done = done.expect("an attempt does not panic");
                    self.report(&mut attempts, done).await?;
                    look = Look::ForTurns;
                }
            }
        }
    }

    /// Begins whatever is to go and has its time, as far as it is looked.
    fn look(&self, attempts: &mut Attempts, look: Look) -> Result<(), Over> {
        let wanted = attempts.turns.wanted();
        let is_enough = |turns: &Turns| look == Look::ForTurns && !turns.serve(&wanted);
        if is_enough(&attempts.turns) {
            attempts.turns.still_wanted(wanted);
            return Ok(());
        }
        let mut after = SessionNo(0);
        let mut open = BTreeSet::new();
        loop {
            let rows = self.reader.snapshot()?;
            let page = rows.releasing_after(after, RELEASES_PAGE)?;
            for no in &page {
                let Some(row) = rows.resources_of(*no)? else {
                    continue;
                };
                for resource in row.list.iter().filter(|one| one.is_releasing()) {
                    open.insert((*no, resource.number));
                    let begun = self.begin(attempts, &row.namespace, resource.token(*no), resource);
                    if begun && is_enough(&attempts.turns) {
                        attempts.turns.still_wanted(wanted);
                        return Ok(());
                    }
                }
            }
            match page.last() {
                Some(last) if page.len() == RELEASES_PAGE => after = *last,
                _ => break,
            }
        }
        // All was looked at. What was not there an operator let go, or it was purged: what is known of it is of no use.
        attempts
            .tried
            .retain(|place, tried| open.contains(place) || matches!(tried, Tried::Now { .. }));
        Ok(())
    }

    /// Begins an attempt at a resource, unless one is under way or its pause is not over, or there are enough; answers
    /// whether it did.
    fn begin(
        &self,
        attempts: &mut Attempts,
        namespace: &Namespace,
        token: ResourceToken,
        resource: &Resource,
    ) -> bool {
        let place = (token.session, token.number);
        let node = resource.node.clone().map(|name| (namespace.clone(), name));
        if node
            .as_ref()
            .is_some_and(|node| self.is_known_away(node, resource))
        {
            return false;
        }
        let (again, pause) = match attempts.tried.get(&place) {
            Some(Tried::Now { .. }) => return false,
            Some(Tried::InVain { next, .. }) if *next > self.clock.monotonic_ms() => return false,
            Some(Tried::InVain { pause, .. }) => (true, (*pause * 2).min(RELEASE_PAUSE_MAX_MS)),
            // One that did not go before the server started is a retry as well.
            None => (was_tried(resource), RELEASE_PAUSE_MIN_MS),
        };
        if !attempts.turns.take(node.as_ref(), again) {
            return false;
        }
        let now = Tried::Now {
            node: node.clone(),
            again,
            pause,
        };
        attempts.tried.insert(place, now);
        let (target, terms) = (resource.target.clone(), self.terms);
        if let Some(node) = node {
            let nodes = self.nodes.clone();
            let ask = Ask::Release {
                token,
                target,
                terms,
            };
            attempts.running.spawn(attempt_on(nodes, node, token, ask));
            return true;
        }
        let agent = Arc::clone(&self.agent);
        attempts.running.spawn_blocking(move || Done {
            attempted: Attempted {
                session: token.session,
                number: token.number,
                knew: Knowledge::of(&target),
                attempt: agent.release(token, &target, &terms),
                witness: Witness::Server,
            },
            kept: None,
            retry: Retry::Later,
        });
        true
    }

    /// Whether the agent that would end a resource is away, and that is on record: it is begun when it comes back.
    fn is_known_away(&self, node: &NodeKey, resource: &Resource) -> bool {
        let on_record = match &resource.standing {
            Standing::Releasing(Some(lingering)) => lingering.cause == LingeringCause::NodeAway,
            Standing::Held | Standing::Releasing(None) | Standing::Released { .. } => false,
        };
        on_record && !self.nodes.is_here(node)
    }

    /// Tells the engine what came of an attempt, however busy it is.
    async fn report(&self, attempts: &mut Attempts, done: Done) -> Result<(), Over> {
        let Done {
            attempted,
            kept,
            retry,
        } = done;
        let place = (attempted.session, attempted.number);
        let pause = match attempts.tried.remove(&place) {
            Some(Tried::Now { node, again, pause }) => {
                attempts.turns.give_back(node.as_ref(), again);
                pause
            }
            Some(Tried::InVain { .. }) | None => RELEASE_PAUSE_MIN_MS,
        };
        let is_left = matches!(attempted.attempt, Attempt::Left { .. });
        if is_left && retry == Retry::Later {
            let next = self.clock.monotonic_ms() + pause;
            attempts.tried.insert(place, Tried::InVain { next, pause });
        }
        let command = Command::Attempted(attempted);
        let answer = self.engine.post_waiting(command, ReadAhead::default());
        answer.await?.await.map_err(|_| Over::Ended)?;
        if let Some((node, command)) = kept {
            self.nodes.noted(&node, command);
        }
        Ok(())
    }
}

/// Whether it is on record that a resource did not go. What only waited for its agent was tried by nobody.
fn was_tried(resource: &Resource) -> bool {
    match &resource.standing {
        Standing::Releasing(Some(lingering)) => lingering.cause != LingeringCause::NodeAway,
        Standing::Held | Standing::Releasing(None) | Standing::Released { .. } => false,
    }
}

/// One attempt by the agent of a node.
async fn attempt_on(nodes: Nodes, node: NodeKey, token: ResourceToken, ask: Ask) -> Done {
    let knew = match &ask {
        Ask::Release { target, .. } => Knowledge::of(target),
        Ask::Look { .. } | Ask::Register { .. } | Ask::ListMarked => Knowledge::Mark,
    };
    let (attempt, witness, kept, retry) = match nodes.ask(&node, ask).await {
        Ok(answered) => {
            let Outcome::Released(attempt) = answered.outcome else {
                unreachable!("what does not answer the question is not taken");
            };
            let witness = Witness::Agent(answered.epoch);
            (
                attempt,
                witness,
                Some((node, answered.command)),
                Retry::Later,
            )
        }
        Err(away) => {
            let retry = match away {
                Away::NotHere(_) => Retry::WhenBack,
                Away::Silent(_) => Retry::Later,
            };
            let attempt = ask::away(&away.to_string());
            (attempt, Witness::Server, None, retry)
        }
    };
    Done {
        attempted: Attempted {
            session: token.session,
            number: token.number,
            knew,
            attempt,
            witness,
        },
        kept,
        retry,
    }
}
