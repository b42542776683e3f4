//! One worker's stream: hello, attach, deliveries in, settlements out.
//!
//! Invariant: a frame that means lost work (a lease lost, a cancel, the end of a session) is an error,
//! so that nothing measured was fenced. It answers heartbeats, and nothing else by itself. What it
//! deliberately does not do: resume.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::settlement::Outcome;
use sessiond_proto::v1::work_request::Frame as Said;
use sessiond_proto::v1::work_response::Frame;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

use crate::caller::{Caller, by_id};

/// How long the leases of all sessions may take.
const ATTACH_WITHIN: Duration = Duration::from_secs(30);
/// Settlements of one frame; the server takes no more.
pub(super) const SETTLEMENTS_MAX: usize = 256;

/// A stream that holds its sessions.
#[derive(Debug)]
pub(super) struct WorkStream {
    // Not bounded: the window bounds what there is to say.
    said: mpsc::UnboundedSender<pb::WorkRequest>,
    frames: Streaming<pb::WorkResponse>,
    /// What was delivered while leases were still being taken.
    early: Vec<pb::Delivery>,
}

/// What a worker hears.
#[derive(Debug)]
pub(super) enum Heard {
    Deliveries(Vec<pb::Delivery>),
    /// This many settlements counted.
    Settled(usize),
}

impl WorkStream {
    /// Opens a stream with this much credit and takes the leases of these sessions.
    pub(super) async fn attach(caller: &Caller, sessions: &[String], credit: u32) -> Result<Self> {
        let (said, queue) = mpsc::unbounded_channel();
        let request = caller.call(UnboundedReceiverStream::new(queue));
        let frames = caller.workers().work(request).await;
        let frames = frames.context("failed to open a worker's stream")?;
        let mut stream = Self {
            said,
            frames: frames.into_inner(),
            early: Vec::new(),
        };
        stream.say(Said::Hello(pb::Hello {
            worker: "bench".to_owned(),
            window: Some(pb::Window {
                max_messages: Some(credit),
                ..pb::Window::default()
            }),
            ..pb::Hello::default()
        }));
        for session in sessions {
            stream.say(Said::Attach(pb::Attach {
                r#ref: by_id(session),
            }));
        }
        tokio::time::timeout(ATTACH_WITHIN, stream.attached(sessions.len()))
            .await
            .context("leases were not granted in time")??;
        Ok(stream)
    }

    async fn attached(&mut self, sessions: usize) -> Result<()> {
        let mut held = 0;
        while held < sessions {
            match self.frame().await? {
                Frame::Attached(_) => held += 1,
                Frame::Delivery(batch) => self.early.extend(batch.deliveries),
                Frame::Welcome(_) => {}
                Frame::AttachFailed(_)
                | Frame::Settled(_)
                | Frame::Cancel(_)
                | Frame::SessionEnding(_)
                | Frame::LeaseLost(_)
                | Frame::Quiesce(_)
                | Frame::Heartbeat(_)
                | Frame::GoAway(_) => bail!("a lease was not granted"),
            }
        }
        Ok(())
    }

    /// What comes next.
    pub(super) async fn heard(&mut self) -> Result<Heard> {
        if !self.early.is_empty() {
            return Ok(Heard::Deliveries(std::mem::take(&mut self.early)));
        }
        match self.frame().await? {
            Frame::Delivery(batch) => Ok(Heard::Deliveries(batch.deliveries)),
            Frame::Settled(settled) => {
                let counted = |result: &pb::SettleResult| result.code() == pb::SettleCode::Ok;
                ensure!(
                    settled.results.iter().all(counted),
                    "a settlement did not count"
                );
                Ok(Heard::Settled(settled.results.len()))
            }
            other @ (Frame::Welcome(_)
            | Frame::Attached(_)
            | Frame::AttachFailed(_)
            | Frame::Cancel(_)
            | Frame::SessionEnding(_)
            | Frame::LeaseLost(_)
            | Frame::Quiesce(_)
            | Frame::Heartbeat(_)
            | Frame::GoAway(_)) => bail!("a worker was told {other:?}"),
        }
    }

    /// The next frame that is no heartbeat.
    async fn frame(&mut self) -> Result<Frame> {
        loop {
            let response = self.frames.message().await;
            let response = response.context("the worker's stream failed")?;
            let response = response.context("the worker's stream ended")?;
            match response.frame.context("an empty frame")? {
                // Answered, so that a worker without work keeps its leases.
                Frame::Heartbeat(_) => self.say(Said::Heartbeat(pb::Heartbeat {})),
                frame @ (Frame::Welcome(_)
                | Frame::Attached(_)
                | Frame::AttachFailed(_)
                | Frame::Delivery(_)
                | Frame::Settled(_)
                | Frame::Cancel(_)
                | Frame::SessionEnding(_)
                | Frame::LeaseLost(_)
                | Frame::Quiesce(_)
                | Frame::GoAway(_)) => return Ok(frame),
            }
        }
    }

    /// Acknowledges deliveries, in one frame.
    pub(super) fn settle(&self, deliveries: &[pb::Delivery]) {
        let settlements = deliveries.iter().map(ack).collect();
        self.say(Said::Settle(pb::Settle { settlements }));
    }

    fn say(&self, frame: Said) {
        // A stream that is over says so when it is read.
        drop(self.said.send(pb::WorkRequest { frame: Some(frame) }));
    }
}

fn ack(delivery: &pb::Delivery) -> pb::Settlement {
    let (queue_id, seq) = delivery
        .message
        .as_ref()
        .map_or((0, 0), |message| (message.queue_id, message.seq));
    pb::Settlement {
        queue_id,
        seq,
        delivery_id: delivery.delivery_id,
        epoch: delivery.epoch,
        session_id: String::new(),
        outcome: Some(Outcome::Ack(pb::Ack::default())),
    }
}
