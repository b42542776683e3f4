//! The link of a node's agent, frame by frame: an agent whose every word is a test's.
//!
//! Waiting is bounded, heartbeats and notes are passed over unless they are asked for. It ends nothing and looks at nothing.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test that awaits one frame fails on every other"
)]

use std::time::Duration;

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::agent_answer::Outcome;
use sessiond_proto::v1::agent_command::Command;
use sessiond_proto::v1::agent_link_request::Frame as Said;
use sessiond_proto::v1::agent_link_response::Frame;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

use crate::caller::Caller;
use crate::refusal::Refusal;

/// How long a frame that must come may take: a look for what is to go each second, and many of them to spare.
const FRAME_WITHIN: Duration = Duration::from_secs(25);

/// An agent's link. Dropping it hangs up.
#[derive(Debug)]
pub struct AgentLink {
    said: mpsc::UnboundedSender<pb::AgentLinkRequest>,
    frames: Streaming<pb::AgentLinkResponse>,
}

/// A run of an agent of a node, on a machine.
#[must_use]
pub fn hello(node: &str, run: &str, machine: &str) -> pb::AgentHello {
    pb::AgentHello {
        node: node.to_owned(),
        instance_id: run.to_owned(),
        machine_id: machine.to_owned(),
        build_id: "a test".to_owned(),
    }
}

/// A process as an agent tells it from all others.
#[must_use]
pub fn process(pid: u32) -> pb::ResourceIdentity {
    let process = pb::ProcessIdentity {
        boot_id: "7f4f30ac-7bd1-4fdd-9f5c-4a1b7c3f0d10".to_owned(),
        pid,
        start_ticks: 77,
        inode: Some(5),
        uid: 1_000,
        group: pid,
        session: pid,
    };
    pb::ResourceIdentity {
        identity: Some(pb::resource_identity::Identity::Process(process)),
    }
}

/// What came of a release that went well.
#[must_use]
pub fn gone(outcome: pb::ResourceOutcome) -> Outcome {
    Outcome::Released(pb::AgentReleased {
        outcome: outcome.into(),
        ..pb::AgentReleased::default()
    })
}

impl AgentLink {
    /// Opens a link and says nothing.
    ///
    /// # Errors
    /// The refusal.
    pub async fn open(caller: &Caller) -> Result<Self, Refusal> {
        let (said, queue) = mpsc::unbounded_channel();
        let mut resources = caller.resources();
        let answer = resources
            .agent_link(UnboundedReceiverStream::new(queue))
            .await;
        let frames = answer.map_err(Refusal::from)?.into_inner();
        Ok(Self { said, frames })
    }

    /// Opens a link and says hello.
    ///
    /// # Errors
    /// The refusal.
    pub async fn greet(
        caller: &Caller,
        hello: pb::AgentHello,
    ) -> Result<(Self, pb::AgentWelcome), Refusal> {
        let mut link = Self::open(caller).await?;
        link.say(Said::Hello(hello));
        match link.frame().await? {
            Some(Frame::Welcome(welcome)) => Ok((link, welcome)),
            other => panic!("a hello is answered by a welcome, not {other:?}"),
        }
    }

    /// The link of an agent that has its node.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn of(caller: &Caller, node: &str, run: &str) -> Self {
        let greeted = Self::greet(caller, hello(node, run, "")).await;
        greeted.expect("the node is free").0
    }

    /// Sends a frame.
    pub fn say(&self, frame: Said) {
        self.send(pb::AgentLinkRequest { frame: Some(frame) });
    }

    /// Sends a request as it is.
    pub fn send(&self, request: pb::AgentLinkRequest) {
        // A link that the server has ended takes nothing; what it told is read all the same.
        drop(self.said.send(request));
    }

    /// Answers a command.
    pub fn answer(&self, command_number: u64, outcome: Outcome) {
        self.say(Said::Answer(pb::AgentAnswer {
            command_number,
            outcome: Some(outcome),
        }));
    }

    /// The next frame, whatever it is; none when the server has closed the link in order.
    ///
    /// # Errors
    /// The status that ended it.
    ///
    /// # Panics
    /// If none comes in time.
    pub async fn frame(&mut self) -> Result<Option<Frame>, Refusal> {
        let read = tokio::time::timeout(FRAME_WITHIN, self.frames.message()).await;
        let read = read
            .expect("a frame comes in time")
            .map_err(Refusal::from)?;
        Ok(read.map(|response| response.frame.expect("a frame that this client knows")))
    }

    /// The next command; what is only looked at and listed is answered on the way: everything is there, nothing is marked.
    ///
    /// # Panics
    /// If the link ends.
    pub async fn command(&mut self) -> (u64, Command) {
        loop {
            let command = match self.frame().await.expect("the link goes on") {
                Some(Frame::Command(command)) => command,
                Some(Frame::Heartbeat(_) | Frame::Noted(_)) => continue,
                other => panic!("a command is awaited, not {other:?}"),
            };
            let number = command.command_number;
            match command.command.expect("a command that this client knows") {
                Command::Look(look) => {
                    let there = pb::AgentPresence::There.into();
                    let presences = vec![there; look.subjects.len()];
                    self.answer(number, Outcome::Looked(pb::AgentLooked { presences }));
                }
                Command::ListMarked(_) => {
                    self.answer(number, Outcome::Marked(pb::AgentMarked::default()));
                }
                other => return (number, other),
            }
        }
    }

    /// The next command, which must be a release.
    ///
    /// # Panics
    /// If it is not.
    pub async fn release(&mut self) -> (u64, pb::AgentRelease) {
        match self.command().await {
            (number, Command::Release(release)) => (number, release),
            other => panic!("a release is awaited, not {other:?}"),
        }
    }

    /// Reads until the server closes the link; answers with the last frames that were no heartbeats.
    ///
    /// # Panics
    /// If it ends with an error.
    pub async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.frame().await.expect("it is closed in order") {
            if !matches!(frame, Frame::Heartbeat(_)) {
                frames.push(frame);
            }
        }
        frames
    }
}
