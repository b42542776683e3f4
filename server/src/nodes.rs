//! Nodes: the agents of other machines that are linked, and what each was asked and has not answered.
//!
//! Invariant: an answer counts for the agent that has the node, by the fencing token of its link, and for nobody else. What
//! was asked stays asked over a broken link for as long as the node's lease lasts, and is sent again on the next one; then
//! whoever waits is told that the agent is away. What this deliberately does not do: decide who has a node, or what an
//! answer means.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sessiond_core::ids::{Epoch, NodeName, StreamId};
use sessiond_core::limits::NODE_LEASE;
use sessiond_core::node::NodeKey;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::agent_link_response::Frame;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::env::Spawn;
use crate::limits::NODE_FRAMES_MAX;
use crate::wire::show;

pub mod ask;
pub mod works;

use ask::{Ask, Outcome};

/// The nodes of which an agent is here, or was a moment ago.
#[derive(Clone, Debug)]
pub struct Nodes(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    nodes: Mutex<BTreeMap<NodeKey, Node>>,
    next_command: AtomicU64,
    spawn: Arc<dyn Spawn>,
    came: Notify,
}

#[derive(Debug, Default)]
struct Node {
    link: Option<Link>,
    /// By number, so that they are sent again in their order.
    asked: BTreeMap<u64, Asked>,
}

#[derive(Debug)]
struct Link {
    stream: StreamId,
    epoch: Epoch,
    frames: mpsc::Sender<Frame>,
}

#[derive(Debug)]
struct Asked {
    ask: Ask,
    answer: oneshot::Sender<(Epoch, Outcome)>,
}

/// What an agent answered.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The fencing token of the agent.
    pub(crate) epoch: Epoch,
    /// What it says.
    pub(crate) outcome: Outcome,
    /// Which command it answers.
    pub(crate) command: u64,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Away {
    /// No agent of the node is here.
    NotHere(NodeName),
    /// The one that is here did not answer in time.
    Silent(NodeName),
}

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHere(node) => write!(f, "the agent of node {node} is not here"),
            Self::Silent(node) => write!(f, "the agent of node {node} did not answer in time"),
        }
    }
}

impl Nodes {
    /// No agent is here. Commands are numbered from somewhere that another start of the server does not take.
    #[must_use]
    pub fn new(first_command: u64, spawn: Arc<dyn Spawn>) -> Self {
        Self(Arc::new(Shared {
            nodes: Mutex::default(),
            next_command: AtomicU64::new(first_command),
            spawn,
            came: Notify::new(),
        }))
    }

    /// Whether an agent of the node is here, or was a moment ago.
    pub(crate) fn is_here(&self, node: &NodeKey) -> bool {
        self.lock().contains_key(node)
    }

    /// The nodes whose agents are here.
    pub(crate) fn linked(&self) -> Vec<NodeKey> {
        let nodes = self.lock();
        let linked = nodes.iter().filter(|(_, node)| node.link.is_some());
        linked.map(|(key, _)| key.clone()).collect()
    }

    /// Completes when an agent has come since the last time.
    pub(crate) async fn came(&self) {
        self.0.came.notified().await;
    }

    /// An agent has the node by this link; answers with what is to be sent to it. None if another link of it is newer.
    pub(crate) fn open(
        &self,
        key: &NodeKey,
        epoch: Epoch,
        stream: StreamId,
    ) -> Option<mpsc::Receiver<Frame>> {
        let (frames, receiver) = mpsc::channel(NODE_FRAMES_MAX);
        let mut nodes = self.lock();
        let node = nodes.entry(key.clone()).or_default();
        if let Some(old) = &node.link {
            if (old.epoch, old.stream) > (epoch, stream) {
                return None;
            }
            // It ends when its sender is gone, and says this before, if there is room for it.
            let taken_over = Frame::GoAway(pb::GoAway {
                close_time: None,
                reason: pb::GoAwayReason::TakenOver.into(),
            });
            drop(old.frames.try_send(taken_over));
        }
        for (number, asked) in &node.asked {
            let command = show::agent_link::command(*number, &asked.ask);
            // Fewer are asked at a time than there is room for.
            drop(frames.try_send(Frame::Command(command)));
        }
        node.link = Some(Link {
            stream,
            epoch,
            frames,
        });
        drop(nodes);
        self.0.came.notify_one();
        Some(receiver)
    }

    /// A link is gone. The node counts as here for the time of its lease, in which its agent may come back.
    pub(crate) fn close(&self, key: &NodeKey, stream: StreamId) {
        let mut nodes = self.lock();
        let Some(node) = nodes.get_mut(key) else {
            return;
        };
        // One that was cut has none.
        if node.link.as_ref().is_some_and(|link| link.stream != stream) {
            return;
        }
        node.link = None;
        drop(nodes);
        let (shared, key) = (Arc::clone(&self.0), key.clone());
        let forget = async move {
            tokio::time::sleep(std::time::Duration::from_millis(NODE_LEASE.0)).await;
            Self(shared).forget(&key);
        };
        self.0.spawn.task("node-lease", Box::pin(forget));
    }

    /// Tells whoever waits for a node without a link that it is away. One whose link broke again meanwhile is forgotten a
    /// little early, and what was asked of it is asked again by whoever waited.
    fn forget(&self, key: &NodeKey) {
        let mut nodes = self.lock();
        if nodes.get(key).is_some_and(|node| node.link.is_none()) {
            nodes.remove(key);
        }
    }

    /// What an agent says of a command. What nobody waits for any more, and what does not answer it, counts for nothing.
    pub(crate) fn answered(&self, key: &NodeKey, stream: StreamId, command: u64, outcome: Outcome) {
        let mut nodes = self.lock();
        let Some(node) = nodes.get_mut(key) else {
            return;
        };
        let Some(link) = node.link.as_ref().filter(|link| link.stream == stream) else {
            return;
        };
        let epoch = link.epoch;
        let asked = node.asked.get(&command);
        if !asked.is_some_and(|asked| outcome.answers(&asked.ask)) {
            tracing::debug!(node = %key.1, command, "an agent answers what it was not asked");
            return;
        }
        if let Some(asked) = node.asked.remove(&command) {
            // Whoever asked may have stopped waiting.
            drop(asked.answer.send((epoch, outcome)));
        }
    }

    /// What came of a command is on record: its agent need not keep it.
    pub(crate) fn noted(&self, key: &NodeKey, command: u64) {
        let nodes = self.lock();
        if let Some(link) = nodes.get(key).and_then(|node| node.link.as_ref()) {
            let noted = pb::AgentNoted {
                command_numbers: vec![command],
            };
            // Whoever is not told keeps it, and says it again.
            drop(link.frames.try_send(Frame::Noted(noted)));
        }
    }

    /// Asks the agent of a node, and waits for its answer.
    pub(crate) async fn ask(&self, key: &NodeKey, ask: Ask) -> Result<Answered, Away> {
        let within = ask.within();
        let number = self.0.next_command.fetch_add(1, Ordering::Relaxed);
        let asked = self.begin(key, number, ask)?;
        let _forgotten = Forgotten {
            nodes: self,
            key,
            number,
        };
        match tokio::time::timeout(within, asked).await {
            Ok(Ok((epoch, outcome))) => Ok(Answered {
                epoch,
                outcome,
                command: number,
            }),
            Ok(Err(_)) => Err(Away::NotHere(key.1.clone())),
            Err(_) => Err(Away::Silent(key.1.clone())),
        }
    }

    fn begin(
        &self,
        key: &NodeKey,
        number: u64,
        ask: Ask,
    ) -> Result<oneshot::Receiver<(Epoch, Outcome)>, Away> {
        let mut nodes = self.lock();
        let Some(node) = nodes.get_mut(key) else {
            return Err(Away::NotHere(key.1.clone()));
        };
        let (answer, receiver) = oneshot::channel();
        let full = match &node.link {
            Some(link) => {
                let command = show::agent_link::command(number, &ask);
                link.frames.try_send(Frame::Command(command)).is_err()
            }
            None => false,
        };
        if full {
            // It does not read: it is cut, and what was asked goes out on its next link.
            tracing::warn!(node = %key.1, "the agent of a node does not read; its link is cut");
            node.link = None;
        }
        node.asked.insert(number, Asked { ask, answer });
        Ok(receiver)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeKey, Node>> {
        self.0.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody waits for an answer any more once this is dropped.
struct Forgotten<'n> {
    nodes: &'n Nodes,
    key: &'n NodeKey,
    number: u64,
}

impl Drop for Forgotten<'_> {
    fn drop(&mut self) {
        if let Some(node) = self.nodes.lock().get_mut(self.key) {
            node.asked.remove(&self.number);
        }
    }
}
