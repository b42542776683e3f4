//! AgentLink: the link of a node's agent, frames both ways.
//!
//! The first frame must be a hello, within its time; who has the node is decided by the engine. Invariant: what comes by a
//! link counts for the agent that said hello on it, and a link that is silent for the node's lease is closed. What this
//! deliberately does not do: ask an agent anything; see `nodes`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use sessiond_core::command::Command;
use sessiond_core::command::node::{ForgetNode, NodeCommand, NodeFrame};
use sessiond_core::ids::{Epoch, Namespace, StreamId};
use sessiond_core::limits::NODE_LEASE;
use sessiond_core::node::{NodeKey, NodeRejection};
use sessiond_core::rejection::Rejection;
use sessiond_core::reply::Reply;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::agent_link_response::Frame;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::context::{Context, faulted, refused, span};
use super::two_way;
use crate::app::VERSION;
use crate::limits::{HEARTBEAT_EVERY, NODE_HEARD_EVERY, STREAM_AHEAD};
use crate::transport::MaxAge;
use crate::wire::parse;
use crate::wire::parse::agent_link::{Hello, LinkFrame};
use crate::wire::show;
use crate::wire::show::time::duration;
use crate::wire::status::Refusal;

/// What the agent is sent.
pub(super) type Frames = Pin<Box<dyn Stream<Item = Result<pb::AgentLinkResponse, Status>> + Send>>;

type Out = mpsc::Sender<Result<pb::AgentLinkResponse, Status>>;

/// One link's name towards the engine and the nodes.
#[derive(Clone, Debug)]
struct Link {
    context: Arc<Context>,
    node: NodeKey,
    stream: StreamId,
    /// That of its connection.
    max_age: MaxAge,
    /// Cancelled when either half has ended.
    over: CancellationToken,
}

/// Serves a link from its first frame on.
pub(super) fn serve(
    context: &Arc<Context>,
    called: (Namespace, MaxAge),
    incoming: Streaming<pb::AgentLinkRequest>,
) -> Frames {
    let (out, frames) = mpsc::channel(STREAM_AHEAD);
    let own = Arc::clone(context);
    // The answer's head must not wait for the hello: a client may send it after the head.
    context.env.spawn.task(
        "agent-link",
        Box::pin(async move {
            if let Err(status) = begin(own, called, incoming, out.clone()).await {
                two_way::say_why(status, &out).await;
            }
        }),
    );
    Box::pin(ReceiverStream::new(frames))
}

/// Takes the hello and starts both halves.
async fn begin(
    context: Arc<Context>,
    (namespace, max_age): (Namespace, MaxAge),
    mut incoming: Streaming<pb::AgentLinkRequest>,
    out: Out,
) -> Result<(), Status> {
    let Some(first) = two_way::first(&mut incoming).await? else {
        return Ok(());
    };
    let first = parse::agent_link::frame(first).map_err(|invalid| Refusal::invalid(&invalid))?;
    let LinkFrame::Hello(hello) = first else {
        return Err(Refusal::field_invalid("frame", "must be a hello first").into());
    };
    let link = Link {
        stream: context.dispatcher.number(),
        node: (namespace, hello.node.clone()),
        context,
        max_age,
        over: CancellationToken::new(),
    };
    let epoch = link.take(&hello).await?;
    let frames = link.context.nodes.open(&link.node, epoch, link.stream);
    let Some(frames) = frames else {
        // A newer link of the same agent was sooner.
        link.tell(NodeFrame::Closed).await?;
        return Err(Refusal::rejected(&Rejection::StreamReplaced).into());
    };
    let (_, node) = &link.node;
    let instance = &hello.instance;
    tracing::info!(%node, %instance, build = hello.build_id, %epoch, "agent linked");
    let spawn = Arc::clone(&link.context.env.spawn);
    let writer = write(link.clone(), epoch, frames, out);
    spawn.task("agent-link-writer", Box::pin(writer));
    let read = read(&link, incoming).await;
    link.over.cancel();
    read
}

impl Link {
    /// Takes the node for the agent; answers with its fencing token.
    async fn take(&self, hello: &Hello) -> Result<Epoch, Status> {
        let mut made_room = false;
        loop {
            let asked = self.command(NodeFrame::Hello {
                instance: hello.instance.clone(),
                machine: hello.machine.clone(),
            });
            let answer = self.context.engine.ask(asked).await.map_err(refused)?;
            match answer.outcome {
                Ok(Reply::NodeTaken { epoch }) => return Ok(epoch),
                Ok(other) => panic!("a hello is answered with {other:?}"),
                Err(rejection) => {
                    let full = matches!(rejection, Rejection::Node(NodeRejection::TooMany { .. }));
                    if made_room || !full || !self.forget_one().await? {
                        return Err(Refusal::rejected(&rejection).into());
                    }
                    made_room = true;
                }
            }
        }
    }

    /// Forgets the node that was taken longest ago, of those that nobody needs; answers whether there was one.
    async fn forget_one(&self) -> Result<bool, Status> {
        let nodes = self.context.rows()?.nodes();
        let mut nodes = nodes.map_err(|fault| faulted(&fault))?;
        nodes.sort_unstable_by_key(|row| row.epoch);
        let linked = self.context.nodes.linked();
        let unneeded = nodes.into_iter().find(|row| {
            let key = (row.namespace.clone(), row.name.clone());
            row.unreleased == 0 && !linked.contains(&key)
        });
        let Some(row) = unneeded else {
            return Ok(false);
        };
        let node = (row.namespace.clone(), row.name.clone());
        let epoch = row.epoch;
        self.context
            .ask(Command::ForgetNode(ForgetNode { node, epoch }))
            .await?;
        Ok(true)
    }

    async fn tell(&self, frame: NodeFrame) -> Result<(), Status> {
        let told = self.context.engine.tell(vec![self.command(frame)]).await;
        told.map_err(refused)
    }

    /// Hands a frame to the transport; answers whether the link goes on. An agent that reads nothing for the lease of its
    /// node is cut like one that says nothing.
    async fn send(&self, frame: Frame, out: &Out) -> bool {
        let response = pb::AgentLinkResponse { frame: Some(frame) };
        two_way::send(Ok(response), out, &self.over, silence()).await
    }

    fn command(&self, frame: NodeFrame) -> Command {
        Command::Node(NodeCommand {
            node: self.node.clone(),
            stream: self.stream,
            frame,
        })
    }
}

/// Reads until the agent ends its half, breaks the contract, is silent for too long, or the link is closed.
async fn read(link: &Link, mut incoming: Streaming<pb::AgentLinkRequest>) -> Result<(), Status> {
    let mut told_at = Instant::now();
    loop {
        // The end of the writer wins: it has told the agent that the link is over.
        let frame = tokio::select! {
            biased;
            () = link.over.cancelled() => return Ok(()),
            frame = tokio::time::timeout(silence(), incoming.message()) => frame,
        };
        let Ok(frame) = frame else {
            let (_, node) = &link.node;
            tracing::warn!(%node, "the agent of a node is silent; its link is closed");
            return Ok(());
        };
        let frame = match frame {
            Ok(Some(frame)) => frame,
            // It hung up, or the connection broke.
            Ok(None) | Err(_) => return Ok(()),
        };
        match parse::agent_link::frame(frame).map_err(|invalid| Refusal::invalid(&invalid))? {
            LinkFrame::Hello(_) => {
                return Err(
                    Refusal::field_invalid("hello", "must come once, as the first frame").into(),
                );
            }
            LinkFrame::Heartbeat => {}
            LinkFrame::Answer { command, outcome } => {
                let nodes = &link.context.nodes;
                nodes.answered(&link.node, link.stream, command, outcome);
            }
        }
        if told_at.elapsed() >= NODE_HEARD_EVERY {
            told_at = Instant::now();
            link.tell(NodeFrame::Heard).await?;
        }
    }
}

/// How long an agent may be silent, or read nothing.
fn silence() -> Duration {
    Duration::from_millis(NODE_LEASE.0)
}

/// Writes until the link is closed or the agent is gone, then says so.
async fn write(link: Link, epoch: Epoch, mut frames: mpsc::Receiver<Frame>, out: Out) {
    forward(&link, epoch, &mut frames, &out).await;
    drop(out);
    link.over.cancel();
    link.context.nodes.close(&link.node, link.stream);
    let (_, node) = &link.node;
    tracing::info!(%node, %epoch, "agent unlinked");
    // An engine that has ended has forgotten it as well.
    drop(link.tell(NodeFrame::Closed).await);
}

async fn forward(link: &Link, epoch: Epoch, frames: &mut mpsc::Receiver<Frame>, out: &Out) {
    let welcome = Frame::Welcome(pb::AgentWelcome {
        epoch: epoch.0,
        lease_duration: Some(duration(NODE_LEASE)),
        heartbeat_interval: Some(duration(span(HEARTBEAT_EVERY))),
        server_version: VERSION.to_owned(),
    });
    if !link.send(welcome, out).await {
        return;
    }
    let mut heartbeat = tokio::time::interval(HEARTBEAT_EVERY);
    heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let frame = tokio::select! {
            biased;
            () = out.closed() => return,
            () = link.over.cancelled() => return,
            // Releases that are under way need their agent for a while yet.
            () = link.context.stopping.begun() => {
                return leave(link, frames, out, pb::GoAwayReason::ServerDraining).await;
            }
            // So do those of this link, until the agent is back.
            () = link.max_age.reached() => {
                return leave(link, frames, out, pb::GoAwayReason::MaxAge).await;
            }
            frame = frames.recv() => match frame {
                Some(frame) => frame,
                // Cut, or taken over by another link.
                None => return,
            },
            _ = heartbeat.tick() => Frame::Heartbeat(pb::AgentHeartbeat {}),
        };
        if !link.send(frame, out).await {
            return;
        }
    }
}

/// The link is about to be closed: what is asked and answered until then still goes out.
async fn leave(link: &Link, frames: &mut mpsc::Receiver<Frame>, out: &Out, why: pb::GoAwayReason) {
    let close_time = link.context.closing_time();
    let away = show::frame::go_away(why, close_time);
    if !link.send(Frame::GoAway(away), out).await {
        return;
    }
    let over = tokio::time::sleep(crate::limits::STOP_STREAMS_WITHIN);
    tokio::pin!(over);
    loop {
        let frame = tokio::select! {
            biased;
            () = out.closed() => return,
            () = link.over.cancelled() => return,
            () = &mut over => return,
            frame = frames.recv() => frame,
        };
        let Some(frame) = frame else {
            return;
        };
        if !link.send(frame, out).await {
            return;
        }
    }
}
