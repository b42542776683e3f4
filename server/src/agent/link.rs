//! One link of an agent: frames both ways, and when it is over.
//!
//! Invariant: reading never waits for writing. A link on which nothing came for a lease is over before anything else of it
//! is read: a process that was stopped for an hour does nothing that it was asked then. What this deliberately does not do:
//! carry a command out.

use std::time::Duration;

use sessiond::nodes::works::Begin;
use sessiond_client::pb::agent_link_request::Frame as Request;
use sessiond_client::pb::agent_link_response::Frame as Response;
use sessiond_client::{Client, Error, pb};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;

use super::NodeAgent;

/// Frames on their way to the server; more wait only when it does not read, and then the link is of no use.
const FRAMES_AHEAD: usize = 256;
/// How long the server may take to begin its answer.
const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// What holds until the server has said otherwise.
const LEASE_DEFAULT: Duration = Duration::from_secs(15);
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(5);
/// How long the server may take to close its half.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// An open link.
#[derive(Debug)]
pub(super) struct Link {
    frames: tonic::Streaming<pb::AgentLinkResponse>,
    writer: mpsc::Sender<pb::AgentLinkRequest>,
    heard: Instant,
    lease: Duration,
    heartbeat: Interval,
    /// Whether the node is ours.
    linked: bool,
}

/// How a link ended.
#[derive(Debug)]
pub(super) enum Parted {
    /// This process is to stop.
    Stopped,
    /// The server will not have this agent, however often it asks.
    Refused(Error),
    /// It broke, or another agent has the node.
    Broken {
        /// In words.
        why: String,
        /// Whether the node was ours.
        linked: bool,
        /// How long to wait, if the server said.
        wait: Option<Duration>,
    },
}

impl Parted {
    pub(super) fn of(error: Error, linked: bool) -> Self {
        let is_final = matches!(
            error,
            Error::Invalid { .. }
                | Error::NotBuilt(_)
                | Error::NotFound(_)
                | Error::PermissionDenied(_)
                | Error::Unauthenticated(_)
        );
        // Once it has served us, or where somebody else answers for it, another try may go better.
        if is_final && !linked && error.reason().is_some() {
            return Self::Refused(error);
        }
        Self::Broken {
            why: error.to_string(),
            linked,
            wait: error.retry_after(),
        }
    }

    fn broken(why: &str, linked: bool) -> Self {
        Self::Broken {
            why: why.to_owned(),
            linked,
            wait: None,
        }
    }
}

impl Link {
    /// Opens a link and says hello. Whether the node is ours is said by the first frame.
    pub(super) async fn open(client: &Client, hello: pb::AgentHello) -> Result<Self, Error> {
        let (writer, queue) = mpsc::channel(FRAMES_AHEAD);
        let first = pb::AgentLinkRequest {
            frame: Some(Request::Hello(hello)),
        };
        // The queue is new: there is room for its first frame.
        drop(writer.try_send(first));
        let frames = client
            .agent_link(ReceiverStream::new(queue), OPEN_WITHIN)
            .await?;
        Ok(Self {
            frames,
            writer,
            heard: Instant::now(),
            lease: LEASE_DEFAULT,
            heartbeat: beats(HEARTBEAT_DEFAULT),
            linked: false,
        })
    }

    /// The next frame of the server; heartbeats go out meanwhile.
    pub(super) async fn frame(&mut self) -> Result<Response, Parted> {
        loop {
            let over = self.heard + self.lease;
            let frame = tokio::select! {
                biased;
                () = tokio::time::sleep_until(over) => {
                    return Err(Parted::broken("the server is silent", self.linked));
                }
                _ = self.heartbeat.tick() => {
                    self.send(Request::Heartbeat(pb::AgentHeartbeat {}))?;
                    continue;
                }
                frame = self.frames.message() => frame,
            };
            self.heard = Instant::now();
            match frame {
                Ok(Some(pb::AgentLinkResponse { frame: Some(frame) })) => return Ok(frame),
                // Of a kind that this version does not know.
                Ok(Some(pb::AgentLinkResponse { frame: None })) => {}
                Ok(None) => return Err(Parted::broken("the server closed the link", self.linked)),
                Err(status) => return Err(Parted::of(status.into(), self.linked)),
            }
        }
    }

    /// Sends answers.
    pub(super) fn answer(&mut self, answers: Vec<pb::AgentAnswer>) -> Result<(), Parted> {
        let mut answers = answers.into_iter();
        answers.try_for_each(|answer| self.send(Request::Answer(answer)))
    }

    fn send(&mut self, frame: Request) -> Result<(), Parted> {
        let request = pb::AgentLinkRequest { frame: Some(frame) };
        let sent = self.writer.try_send(request);
        sent.map_err(|_| Parted::broken("the server does not read", self.linked))
    }

    /// Ends our half, and waits until what was sent has arrived.
    pub(super) async fn close(self) {
        let Self {
            mut frames, writer, ..
        } = self;
        drop(writer);
        let closed = async { while let Ok(Some(_)) = frames.message().await {} };
        drop(tokio::time::timeout(CLOSE_WITHIN, closed).await);
    }
}

impl NodeAgent {
    /// Does what a frame says.
    pub(super) fn take(&mut self, link: &mut Link, frame: Response) -> Result<(), Parted> {
        match frame {
            Response::Welcome(welcome) => {
                link.welcomed(&welcome);
                let node = &self.hello.node;
                tracing::info!(node, epoch = welcome.epoch, "linked");
                eprintln!("linked as {node}");
            }
            Response::Command(command) => return self.begin(link, command),
            Response::Noted(noted) => self.works.noted(&noted),
            Response::Heartbeat(pb::AgentHeartbeat {}) => {}
            Response::GoAway(away) => match away.reason() {
                pb::GoAwayReason::TakenOver => {
                    return Err(Parted::broken("another agent has the node", link.linked));
                }
                pb::GoAwayReason::ServerDraining
                | pb::GoAwayReason::MaxAge
                | pb::GoAwayReason::Unresponsive
                | pb::GoAwayReason::Unspecified => {
                    tracing::info!("the server closes the link");
                }
            },
        }
        Ok(())
    }

    fn begin(&mut self, link: &mut Link, command: pb::AgentCommand) -> Result<(), Parted> {
        let number = command.command_number;
        match self.works.begin(command) {
            Begin::CarryOut(no, ask) => {
                let (agent, adoption) = (std::sync::Arc::clone(&self.agent), self.adoption);
                self.running
                    .spawn_blocking(move || (no, ask.carry_out(agent.as_ref(), adoption)));
                Ok(())
            }
            Begin::UnderWay => Ok(()),
            Begin::Refused { why, answer } => {
                tracing::warn!(command = number, why, "a command is not carried out");
                link.answer(answer.into_iter().map(|answer| *answer).collect())
            }
        }
    }
}

impl Link {
    fn welcomed(&mut self, welcome: &pb::AgentWelcome) {
        let span = |given: Option<prost_types::Duration>| {
            given.and_then(|given| Duration::try_from(given).ok())
        };
        self.linked = true;
        self.lease = span(welcome.lease_duration).unwrap_or(LEASE_DEFAULT);
        let interval = span(welcome.heartbeat_interval).filter(|span| !span.is_zero());
        self.heartbeat = beats(interval.unwrap_or(HEARTBEAT_DEFAULT));
    }
}

fn beats(interval: Duration) -> Interval {
    let mut beats = tokio::time::interval(interval);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats
}
