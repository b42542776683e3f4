//! The writing half of a worker's stream: takes what the engine pushes, adds payloads and heartbeats, and hands it to the
//! transport. When the stream is gone it tells the engine so and gives back the deliveries it never wrote.

use sessiond_core::command::WorkerFrame;
use sessiond_core::ids::{DeliveryId, QueueId, Seq};
use sessiond_core::limits::DELIVERY_BYTES_MAX;
use sessiond_core::message::DeliveryMode;
use sessiond_core::presence::Window;
use sessiond_core::reply::{Delivery, Frame};
use sessiond_proto::v1 as pb;
use tokio::sync::mpsc;
use tonic::Status;

use super::{Out, Worker};
use crate::grpc::context::span;
use crate::grpc::payloads;
use crate::limits::{HEARTBEAT_EVERY, OLD_STREAM_WITHIN, STOP_STREAMS_WITHIN};
use crate::wire::show;
use crate::wire::show::frame::Act;

/// Writes until the stream is closed or the client is gone, then gives back what was not written.
pub(super) async fn write(worker: Worker, mut frames: mpsc::Receiver<Vec<Frame>>, out: Out) {
    let unsent = forward(&worker, &mut frames, &out).await;
    drop(out);
    worker.over.cancel();
    worker.context.dispatcher.close(worker.stream);
    // Nobody pushes any more; what is left in the buffer was not written either.
    frames.close();
    let mut places = unsent;
    while let Some(frames) = frames.recv().await {
        places.extend(frames.iter().flat_map(places_of));
    }
    // The stream is told as closed first: what comes back must not be pushed to it again.
    let closed = worker.post(WorkerFrame::Closed).await;
    if closed.is_ok() && !places.is_empty() {
        drop(worker.post(WorkerFrame::Unsent(places)).await);
    }
}

type Place = (QueueId, Seq, DeliveryId);

/// Hands frames to the transport until the stream is over; answers with the deliveries that were not written.
async fn forward(
    worker: &Worker,
    frames: &mut mpsc::Receiver<Vec<Frame>>,
    out: &Out,
) -> Vec<Place> {
    let mut heartbeat = tokio::time::interval(HEARTBEAT_EVERY);
    heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut stops = false;
    let mut close_at = None;
    loop {
        // Frames win over heartbeats: any frame shows that the server is alive.
        let commit = tokio::select! {
            biased;
            () = out.closed() => return Vec::new(),
            frames = frames.recv() => match frames {
                Some(frames) => frames,
                None => return Vec::new(),
            },
            () = worker.context.stopping.begun(), if !stops => {
                say_goodbye(worker, out).await;
                stops = true;
                close_at = Some(tokio::time::Instant::now() + STOP_STREAMS_WITHIN);
                continue;
            }
            () = worker.max_age.reached(), if close_at.is_none() => {
                say_come_back(worker, out).await;
                close_at = Some(tokio::time::Instant::now() + OLD_STREAM_WITHIN);
                continue;
            }
            () = passed(close_at) => return Vec::new(),
            _ = heartbeat.tick() => {
                if out.send(Ok(show::frame::heartbeat())).await.is_err() {
                    return Vec::new();
                }
                continue;
            }
        };
        let mut left = joined(commit).into_iter();
        while let Some(frame) = left.next() {
            let places = places_of(&frame);
            let unwritten = match send(worker, frame, out).await {
                Sent::Yes => continue,
                Sent::Last => Vec::new(),
                Sent::No => places,
            };
            return unwritten
                .into_iter()
                .chain(left.flat_map(|frame| places_of(&frame)))
                .collect();
        }
    }
}

/// The frames of a commit, with neighbours that deliver made one. Those that settle stay: each answers a frame.
fn joined(frames: Vec<Frame>) -> Vec<Frame> {
    let mut joined: Vec<Frame> = Vec::with_capacity(frames.len());
    for frame in frames {
        match (joined.last_mut(), frame) {
            (Some(Frame::Deliveries(earlier)), Frame::Deliveries(later))
                if !is_collected(earlier)
                    && !is_collected(&later)
                    && bytes_of(earlier) + bytes_of(&later) <= DELIVERY_BYTES_MAX =>
            {
                earlier.extend(later);
            }
            (_, frame) => joined.push(frame),
        }
    }
    joined
}

/// Whether a frame is one that was put together: it is worked on as a whole.
fn is_collected(deliveries: &[Delivery]) -> bool {
    deliveries
        .iter()
        .any(|delivery| delivery.message.mode == DeliveryMode::Collect)
}

fn bytes_of(deliveries: &[Delivery]) -> u64 {
    deliveries.iter().map(|d| d.message.bytes).sum()
}

/// What became of a frame.
enum Sent {
    /// The transport has it.
    Yes,
    /// It has it, and that was the last one.
    Last,
    /// It does not.
    No,
}

async fn send(worker: &Worker, frame: Frame, out: &Out) -> Sent {
    let (shown, sent) = match act(worker, frame) {
        Ok(Act::Send(shown)) => (Ok(shown), Sent::Yes),
        Ok(Act::Skip) => return Sent::Yes,
        Ok(Act::SendAndClose(shown)) => (Ok(shown), Sent::Last),
        Ok(Act::Close) => {
            // What was answered until here is still written; nothing is pushed any more.
            worker.context.dispatcher.close(worker.stream);
            return Sent::Yes;
        }
        Err(status) => (Err(status), Sent::No),
    };
    match out.send(shown).await {
        Ok(()) => sent,
        Err(_) => Sent::No,
    }
}

/// Completes at an instant; never, if there is none.
async fn passed(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Tells the worker that the server goes away: it gets nothing new, and settles what it has until the
/// stream is closed, by it or at the time that it is told.
async fn say_goodbye(worker: &Worker, out: &Out) {
    let closed = Window {
        messages: 0,
        bytes: 0,
        sessions: 0,
    };
    // An engine that has stopped hands out nothing either.
    drop(worker.post(WorkerFrame::Window(closed)).await);
    let close_time = worker.context.closing_time();
    let away = show::frame::go_away(pb::GoAwayReason::ServerDraining, close_time);
    let frames = [
        show::frame::quiesce(close_time),
        show::frame::response(pb::work_response::Frame::GoAway(away)),
    ];
    for frame in frames {
        // A client that is gone need not be told.
        drop(out.send(Ok(frame)).await);
    }
}

/// Tells the worker to come back on another connection. Nothing is different until it does, or the stream is closed.
async fn say_come_back(worker: &Worker, out: &Out) {
    let now = worker.context.now();
    let close_time = now.wall_of(now.engine + span(OLD_STREAM_WITHIN));
    let away = show::frame::go_away(pb::GoAwayReason::MaxAge, close_time);
    let frame = show::frame::response(pb::work_response::Frame::GoAway(away));
    // A client that is gone need not be told.
    drop(out.send(Ok(frame)).await);
}

fn places_of(frame: &Frame) -> Vec<Place> {
    match frame {
        Frame::Deliveries(deliveries) => deliveries
            .iter()
            .map(|d| (d.message.queue, d.message.seq, d.delivery_id))
            .collect(),
        Frame::Welcome { .. }
        | Frame::Attached { .. }
        | Frame::AttachFailed { .. }
        | Frame::Settled(_)
        | Frame::Cancel { .. }
        | Frame::SessionEnding { .. }
        | Frame::LeaseLost { .. }
        | Frame::GoAway { .. } => Vec::new(),
    }
}

/// What the stream is sent for a frame of the engine.
fn act(worker: &Worker, frame: Frame) -> Result<Act, Status> {
    let context = &worker.context;
    let frame = if let Frame::Deliveries(deliveries) = frame {
        let deliveries = payloads::load(context, deliveries)?;
        if deliveries.is_empty() {
            return Ok(Act::Skip);
        }
        Frame::Deliveries(deliveries)
    } else {
        frame
    };
    let revision = context.feed.newest();
    Ok(show::frame::frame(
        frame,
        &worker.terms,
        revision,
        context.now(),
    ))
}
