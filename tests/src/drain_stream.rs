//! One drain over gRPC, read frame by frame.
//!
//! Waiting is bounded. It checks what holds for every drain: `started` comes first and once, counts of what has ended do not
//! go back, and behind the report nothing comes.

use std::time::Duration;

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::drain_server_response::Frame;
use tonic::Streaming;

use crate::caller::Caller;
use crate::refusal::Refusal;

/// How long a frame that must come may take: longer than any budget that a test sets, on a busy machine.
const FRAME_WITHIN: Duration = Duration::from_secs(60);

/// A drain that has begun.
#[derive(Debug)]
pub struct DrainStream {
    /// Its first frame.
    pub started: pb::DrainStarted,
    frames: Streaming<pb::DrainServerResponse>,
    /// How many sessions had ended by the newest progress.
    ended: u64,
    is_reported: bool,
}

impl DrainStream {
    /// Asks for a drain.
    ///
    /// # Errors
    /// The refusal.
    ///
    /// # Panics
    /// If no first frame comes, or another one than `started`.
    pub async fn open(caller: &Caller, request: pb::DrainServerRequest) -> Result<Self, Refusal> {
        let mut admin = caller.admin();
        let answer = tokio::time::timeout(FRAME_WITHIN, admin.drain_server(request)).await;
        let answer = answer.expect("a drain is answered or refused in time");
        let mut frames = answer.map_err(Refusal::from)?.into_inner();
        let first = read(&mut frames).await?.expect("a drain has a first frame");
        let Frame::Started(started) = first else {
            panic!("the first frame is `started`, not {first:?}");
        };
        Ok(Self {
            started,
            frames,
            ended: 0,
            is_reported: false,
        })
    }

    /// The next frame; none when the server has closed the stream in order.
    ///
    /// # Errors
    /// The status that ended the stream.
    ///
    /// # Panics
    /// If none comes in time, or one breaks what holds for every drain.
    pub async fn frame(&mut self) -> Result<Option<Frame>, Refusal> {
        let frame = read(&mut self.frames).await?;
        let is_behind = self.is_reported && frame.is_some();
        assert!(!is_behind, "behind the report there is {frame:?}");
        match &frame {
            Some(Frame::Started(_)) => panic!("`started` comes once"),
            Some(Frame::Progress(progress)) => {
                assert!(progress.ended >= self.ended, "what has ended goes back");
                self.ended = progress.ended;
            }
            Some(Frame::Report(_)) => self.is_reported = true,
            None => {}
        }
        Ok(frame)
    }

    /// The next progress that is as it is meant; other progress is passed over.
    ///
    /// # Panics
    /// If the stream ends or the report comes before.
    pub async fn progress(
        &mut self,
        meant: impl Fn(&pb::DrainProgress) -> bool,
    ) -> pb::DrainProgress {
        loop {
            match self.frame().await.expect("the drain goes on") {
                Some(Frame::Progress(progress)) if meant(&progress) => return progress,
                Some(Frame::Progress(_)) => {}
                other @ (Some(Frame::Started(_) | Frame::Report(_)) | None) => {
                    panic!("progress is awaited, not {other:?}")
                }
            }
        }
    }

    /// What came of it, once it is over.
    ///
    /// # Panics
    /// If the stream ends before.
    pub async fn report(mut self) -> pb::DrainReport {
        loop {
            match self.frame().await.expect("the drain goes on") {
                Some(Frame::Report(report)) => return report,
                Some(Frame::Progress(_)) => {}
                other @ (Some(Frame::Started(_)) | None) => {
                    panic!("the report is awaited, not {other:?}")
                }
            }
        }
    }
}

async fn read(frames: &mut Streaming<pb::DrainServerResponse>) -> Result<Option<Frame>, Refusal> {
    let read = tokio::time::timeout(FRAME_WITHIN, frames.message()).await;
    let read = read
        .expect("a frame comes in time")
        .map_err(Refusal::from)?;
    Ok(read.map(|response| response.frame.expect("a frame that this client knows")))
}
