//! One worker's stream over gRPC, frame by frame.
//!
//! Waiting is bounded, heartbeats are passed over unless they are asked for. It settles and resumes
//! nothing by itself.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test that awaits one frame fails on every other"
)]

use std::time::Duration;

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_request::Frame as Said;
use sessiond_proto::v1::work_response::Frame;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

use crate::caller::Caller;
use crate::refusal::Refusal;

/// How long a frame that must come may take: one lease of a stream, and 5 s to spare.
const FRAME_WITHIN: Duration = Duration::from_secs(25);

/// A worker's stream. Dropping it hangs up without a goodbye.
#[derive(Debug)]
pub struct WorkStream {
    said: mpsc::UnboundedSender<pb::WorkRequest>,
    frames: Streaming<pb::WorkResponse>,
}

/// A hello of a worker with a window of messages; the rest is unset.
#[must_use]
pub fn hello(worker: &str, window: u32) -> pb::Hello {
    pb::Hello {
        worker: worker.to_owned(),
        window: Some(pb::Window {
            max_messages: Some(window),
            ..pb::Window::default()
        }),
        ..pb::Hello::default()
    }
}

/// A hello of a worker that wants sessions assigned.
#[must_use]
pub fn serving(worker: &str, window: u32, serves: pb::SessionFilter) -> pb::Hello {
    pb::Hello {
        serves: Some(serves),
        ..hello(worker, window)
    }
}

impl WorkStream {
    /// Opens a stream and says nothing.
    ///
    /// # Errors
    /// The refusal.
    pub async fn open(caller: &Caller) -> Result<Self, Refusal> {
        let (said, queue) = mpsc::unbounded_channel();
        let mut workers = caller.workers();
        let answer = workers.work(UnboundedReceiverStream::new(queue)).await;
        let frames = answer.map_err(Refusal::from)?.into_inner();
        Ok(Self { said, frames })
    }

    /// Opens a stream, says hello, and takes the welcome.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn greet(caller: &Caller, hello: pb::Hello) -> (Self, pb::Welcome) {
        let mut stream = Self::open(caller).await.expect("a stream");
        stream.say(Said::Hello(hello));
        match stream.next().await {
            Frame::Welcome(welcome) => (stream, welcome),
            other => panic!("a hello is answered by a welcome, not {other:?}"),
        }
    }

    /// A worker with a window of messages that serves nothing by itself.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn worker(caller: &Caller, worker: &str, window: u32) -> Self {
        Self::greet(caller, hello(worker, window)).await.0
    }

    /// Sends a frame.
    pub fn say(&self, frame: Said) {
        let request = pb::WorkRequest { frame: Some(frame) };
        // A stream that the server has ended takes nothing; what it told is read all the same.
        drop(self.said.send(request));
    }

    /// Sends a request as it is.
    pub fn send(&self, request: pb::WorkRequest) {
        drop(self.said.send(request));
    }

    /// The next frame, heartbeats included; none when the server has closed the stream in order.
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

    /// The next frame that is no heartbeat.
    ///
    /// # Panics
    /// If the stream ends.
    pub async fn next(&mut self) -> Frame {
        loop {
            let frame = self.frame().await.expect("the stream goes on");
            let frame = frame.expect("the stream goes on");
            if !matches!(frame, Frame::Heartbeat(_)) {
                return frame;
            }
        }
    }

    /// The status that ends the stream, after whatever frames came before it.
    ///
    /// # Panics
    /// If it is closed in order.
    pub async fn refusal(&mut self) -> Refusal {
        loop {
            match self.frame().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream is refused, not closed in order"),
                Err(refusal) => return refusal,
            }
        }
    }

    /// Waits until the server closes the stream in order.
    ///
    /// # Panics
    /// If another frame than a heartbeat comes, or a status.
    pub async fn closed(&mut self) {
        while let Some(frame) = self.frame().await.expect("closed in order") {
            assert!(
                matches!(frame, Frame::Heartbeat(_)),
                "closed, not {frame:?}"
            );
        }
    }

    /// Asks for a session.
    pub fn attach(&self, session: Option<pb::SessionRef>) {
        self.say(Said::Attach(pb::Attach { r#ref: session }));
    }

    /// Asks for a session and takes the answer.
    ///
    /// # Panics
    /// If it is not attached.
    pub async fn attached_to(&mut self, session: Option<pb::SessionRef>) -> pb::Attached {
        self.attach(session);
        self.attached().await
    }

    /// Takes `attached`.
    ///
    /// # Panics
    /// If another frame comes.
    pub async fn attached(&mut self) -> pb::Attached {
        match self.next().await {
            Frame::Attached(attached) => attached,
            other => panic!("`attached` is awaited, not {other:?}"),
        }
    }

    /// Takes deliveries.
    ///
    /// # Panics
    /// If another frame comes.
    pub async fn deliveries(&mut self) -> Vec<pb::Delivery> {
        match self.next().await {
            Frame::Delivery(batch) => batch.deliveries,
            other => panic!("deliveries are awaited, not {other:?}"),
        }
    }

    /// Takes as many deliveries as are awaited, in however many frames.
    ///
    /// # Panics
    /// If more or other frames come.
    pub async fn delivered(&mut self, count: usize) -> Vec<pb::Delivery> {
        let mut deliveries = Vec::new();
        while deliveries.len() < count {
            deliveries.extend(self.deliveries().await);
        }
        assert_eq!(deliveries.len(), count, "more than was awaited");
        deliveries
    }

    /// Takes `lease_lost`.
    ///
    /// # Panics
    /// If another frame comes.
    pub async fn lease_lost(&mut self) -> pb::LeaseLost {
        match self.next().await {
            Frame::LeaseLost(lost) => lost,
            other => panic!("`lease_lost` is awaited, not {other:?}"),
        }
    }

    /// Takes `cancel`.
    ///
    /// # Panics
    /// If another frame comes.
    pub async fn cancel(&mut self) -> pb::Cancel {
        match self.next().await {
            Frame::Cancel(cancel) => cancel,
            other => panic!("`cancel` is awaited, not {other:?}"),
        }
    }

    /// Takes `attach_failed`.
    ///
    /// # Panics
    /// If another frame comes.
    pub async fn attach_failed(&mut self) -> pb::RefusalStatus {
        match self.next().await {
            Frame::AttachFailed(failed) => failed.status.expect("why it failed"),
            other => panic!("`attach_failed` is awaited, not {other:?}"),
        }
    }

    /// Settles and takes the answer.
    ///
    /// # Panics
    /// If another frame comes before.
    pub async fn settle(&mut self, settlements: Vec<pb::Settlement>) -> Vec<pb::SettleResult> {
        self.say(Said::Settle(pb::Settle { settlements }));
        match self.next().await {
            Frame::Settled(settled) => settled.results,
            other => panic!("`settled` is awaited, not {other:?}"),
        }
    }

    /// Settles one delivery and takes its code.
    ///
    /// # Panics
    /// If another frame comes before.
    pub async fn code(&mut self, settlement: pb::Settlement) -> pb::SettleCode {
        self.settle(vec![settlement]).await[0].code()
    }

    /// Checks that what was said so far brings no further frame: two questions in a row are answered,
    /// each in a commit after whatever the ones before it caused, and nothing comes between.
    ///
    /// # Panics
    /// If something comes between.
    pub async fn is_quiet(&mut self) {
        for _ in 0..2 {
            let nothing = pb::Settlement {
                queue_id: u64::MAX,
                seq: 1,
                delivery_id: 1,
                epoch: 1,
                session_id: String::new(),
                outcome: Some(pb::settlement::Outcome::Ack(pb::Ack::default())),
            };
            let code = self.code(nothing).await;
            assert_eq!(code, pb::SettleCode::UnknownMessage);
        }
    }
}
