//! One `EnqueueStream` with many frames in flight.
//!
//! Invariant: answers come in the order of the frames, each accepts all messages of its frame, and a
//! frame is sent only when there is room for it. One task writes and reads, so that a message costs the
//! client as little as it can. What it deliberately does not do: resume a stream that broke.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sessiond_proto::v1 as pb;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::worker::Worker;
use crate::caller::{Caller, Producer, accepted};
use crate::samples::{Load, Recorder, Samples};

/// Frames handed to the transport ahead of what it has written; more than any load has in flight.
const FRAMES_AHEAD: usize = 4_096;
/// How long the last answers may take.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// Messages of a frame when nothing is measured but much is to be stored.
const STORE_FRAME_MESSAGES: usize = 64;
/// Frames in flight then.
const STORE_IN_FLIGHT: usize = 32;
/// How long storing may take for a thousand messages, on a slow disk.
const STORE_THOUSAND_WITHIN: Duration = Duration::from_secs(5);
/// Messages that may be unsettled before a producer is held back for its workers: some batches of the
/// engine's, so that neither side waits while both are quick.
const UNSETTLED_MAX: u64 = 16_384;

/// A stream.
#[derive(Debug)]
pub(super) struct Pipeline {
    frames: mpsc::Sender<pb::EnqueueStreamRequest>,
    answers: Streaming<pb::EnqueueStreamResponse>,
}

impl Pipeline {
    pub(super) async fn open(caller: &Caller) -> Result<Self> {
        let (frames, sent) = mpsc::channel(FRAMES_AHEAD);
        let mut client = caller.messages();
        let request = caller.call(ReceiverStream::new(sent));
        let answers = client.enqueue_stream(request).await;
        let answers = answers.context("failed to open an enqueue stream")?;
        Ok(Self {
            frames,
            answers: answers.into_inner(),
        })
    }

    /// Keeps `load.callers` frames of one message in flight until the time is over; with a worker, as
    /// long as it keeps up.
    ///
    /// # Errors
    /// When a frame is refused, the worker ends, or answers do not come.
    pub(super) async fn run(
        mut self,
        load: &Load,
        producer: &mut Producer,
        mut worker: Option<&mut Worker>,
    ) -> Result<Samples> {
        let within = load.warm_up + load.duration + LAST_ANSWERS_WITHIN;
        let run = self.keep_in_flight(load, producer, &mut worker);
        tokio::time::timeout(within, run)
            .await
            .context("the stream stopped answering")?
    }

    async fn keep_in_flight(
        &mut self,
        load: &Load,
        producer: &mut Producer,
        worker: &mut Option<&mut Worker>,
    ) -> Result<Samples> {
        let mut recorder = Recorder::start(load);
        let mut in_flight = VecDeque::with_capacity(load.callers);
        let mut sent: u64 = 0;
        let mut now = Instant::now();
        loop {
            let goes_on = recorder.goes_on(now);
            while goes_on && in_flight.len() < load.callers && has_room(worker, sent) {
                in_flight.push_back(Instant::now());
                sent += 1;
                self.send(producer.frame(1)).await?;
            }
            let Some(begun) = in_flight.pop_front() else {
                if !goes_on {
                    return recorder.finish();
                }
                // Nothing is in flight because the worker lags; only it can make room.
                if let Some(worker) = worker {
                    worker.settles_more().await?;
                }
                now = Instant::now();
                continue;
            };
            self.accepted(1).await?;
            now = Instant::now();
            recorder.record(begun, now);
        }
    }

    /// Stores this many messages, many to a frame.
    ///
    /// # Errors
    /// When a frame is refused or answers do not come.
    pub(super) async fn store(mut self, producer: &mut Producer, messages: usize) -> Result<()> {
        let thousands = u32::try_from(messages.div_ceil(1_000)).unwrap_or(u32::MAX);
        let within = LAST_ANSWERS_WITHIN + STORE_THOUSAND_WITHIN * thousands;
        tokio::time::timeout(within, self.store_all(producer, messages))
            .await
            .context("messages were not stored in time")?
    }

    async fn store_all(&mut self, producer: &mut Producer, messages: usize) -> Result<()> {
        let mut left = messages;
        let mut in_flight = VecDeque::with_capacity(STORE_IN_FLIGHT);
        while left > 0 || !in_flight.is_empty() {
            if left > 0 && in_flight.len() < STORE_IN_FLIGHT {
                let next = left.min(STORE_FRAME_MESSAGES);
                self.send(producer.frame(next)).await?;
                in_flight.push_back(next);
                left -= next;
            } else if let Some(next) = in_flight.pop_front() {
                self.accepted(next).await?;
            }
        }
        Ok(())
    }

    async fn send(&self, frame: pb::EnqueueStreamRequest) -> Result<()> {
        ensure!(
            self.frames.send(frame).await.is_ok(),
            "the enqueue stream takes no more frames"
        );
        Ok(())
    }

    /// Takes the next answer.
    async fn accepted(&mut self, messages: usize) -> Result<()> {
        let answer = self.answers.message().await;
        let answer = answer.context("the enqueue stream failed")?;
        let answer = answer.context("the enqueue stream ended")?;
        if let Some(refusal) = answer.status {
            bail!(
                "a frame was refused: {} ({})",
                refusal.message,
                refusal.reason
            );
        }
        accepted(&answer.results, messages)
    }
}

fn has_room(worker: &Option<&mut Worker>, sent: u64) -> bool {
    worker
        .as_ref()
        .is_none_or(|worker| sent.saturating_sub(worker.settled()) < UNSETTLED_MAX)
}
