//! The frames of a worker's stream.
//!
//! An attach that names no session is answered by a frame; every other fault of a frame ends the
//! stream. Which frame may come first is the stream's business.

use sessiond_core::command::{CancelOutcome, Hello, WorkerFrame};
use sessiond_core::ids::{Epoch, InstanceId, SessionId};
use sessiond_core::limits::TEXT_BYTES_MAX;
use sessiond_core::session::Labels;
use sessiond_proto::v1 as pb;

use super::{enumeration, hello, reference, settle, text};
use crate::wire::faults::{Faults, Invalid};
use crate::wire::status::Refusal;

/// What a worker's stream says, as far as it is in order.
#[derive(Clone, Debug)]
pub(crate) enum WorkFrame {
    /// Who it is.
    Hello {
        /// Which instance, within the namespace of the call.
        instance: InstanceId,
        /// What it says of itself.
        hello: Box<Hello>,
    },
    /// A frame for the engine as it is.
    Frame(WorkerFrame),
    /// An attach that names no session: this is the answer.
    AttachFailed(pb::AttachFailed),
    /// What it made of a cancel: tell the engine, and a person more about it.
    CancelResult {
        /// Of which session.
        session: SessionId,
        /// Whether it stopped.
        outcome: CancelOutcome,
        /// In the worker's words; may be empty.
        detail: String,
    },
    /// It leaves: tell the engine, and a person why.
    Goodbye {
        /// In the worker's words; may be empty.
        detail: String,
    },
}

/// One frame.
pub(crate) fn frame(request: pb::WorkRequest) -> Result<WorkFrame, Invalid> {
    use pb::work_request::Frame;
    let mut faults = Faults::default();
    let frame = match request.frame {
        Some(Frame::Attach(attach)) => return Ok(attach_frame(attach)),
        Some(Frame::Hello(given)) => faults
            .within("hello", |faults| hello::hello(faults, given))
            .map(|(instance, hello)| WorkFrame::Hello {
                instance,
                hello: Box::new(hello),
            }),
        Some(Frame::Detach(given)) => faults
            .within("detach", |faults| detach(faults, given))
            .map(WorkFrame::Frame),
        Some(Frame::Window(given)) => {
            let window = faults.within("window", |faults| hello::window(faults, given));
            Some(WorkFrame::Frame(WorkerFrame::Window(window)))
        }
        Some(Frame::Settle(given)) => {
            let settlements = faults.within("settle", |faults| {
                settle::settlements(faults, given.settlements)
            });
            Some(WorkFrame::Frame(WorkerFrame::Settle(settlements)))
        }
        Some(Frame::Progress(given)) => faults
            .within("progress", |faults| progress(faults, given))
            .map(WorkFrame::Frame),
        Some(Frame::Heartbeat(pb::Heartbeat {})) => Some(WorkFrame::Frame(WorkerFrame::Heartbeat)),
        Some(Frame::CancelResult(given)) => {
            faults.within("cancel_result", |faults| cancel_result(faults, given))
        }
        Some(Frame::Goodbye(given)) => {
            let detail = faults.within("goodbye", |faults| {
                text::bounded(faults, "detail", given.detail, TEXT_BYTES_MAX)
            });
            Some(WorkFrame::Goodbye { detail })
        }
        None => {
            faults.invalid("frame", "must be set to a frame that this server knows");
            None
        }
    };
    faults.finish(frame)
}

fn attach_frame(attach: pb::Attach) -> WorkFrame {
    let mut faults = Faults::default();
    let named = attach.r#ref.clone();
    let session = faults.within("attach", |faults| {
        reference::required(faults, "ref", attach.r#ref)
    });
    match faults.finish(session) {
        Ok(session) => WorkFrame::Frame(WorkerFrame::Attach { session }),
        Err(invalid) => WorkFrame::AttachFailed(pb::AttachFailed {
            r#ref: named,
            status: Some(Refusal::invalid(&invalid).into()),
        }),
    }
}

fn detach(faults: &mut Faults, given: pb::Detach) -> Option<WorkerFrame> {
    let id = text::required(faults, "session_id", given.session_id, SessionId::parse)?;
    Some(WorkerFrame::Detach { session: id })
}

/// What a worker made of a cancel.
fn cancel_result(faults: &mut Faults, given: pb::CancelResult) -> Option<WorkFrame> {
    let session = text::required(faults, "session_id", given.session_id, SessionId::parse);
    let outcome = enumeration::known(faults, "outcome", given.outcome, "CancelOutcome");
    let outcome = match outcome {
        None => None,
        Some(pb::CancelOutcome::Unspecified) => {
            faults.invalid("outcome", "must be set");
            None
        }
        Some(pb::CancelOutcome::Stopped) => Some(CancelOutcome::Stopped),
        Some(pb::CancelOutcome::Finished) => Some(CancelOutcome::Finished),
        Some(pb::CancelOutcome::Failed) => Some(CancelOutcome::Failed),
    };
    let detail = text::bounded(faults, "detail", given.detail, TEXT_BYTES_MAX);
    Some(WorkFrame::CancelResult {
        session: session?,
        outcome: outcome?,
        detail,
    })
}

fn progress(faults: &mut Faults, given: pb::Progress) -> Option<WorkerFrame> {
    let session = text::required(faults, "session_id", given.session_id, SessionId::parse);
    let volatile = volatile(faults, given.volatile);
    Some(WorkerFrame::Progress {
        session: session?,
        epoch: (given.epoch != 0).then_some(Epoch(given.epoch)),
        volatile,
    })
}

/// What the worker wants back, all of it; nothing said leaves what there is. An entry with an empty
/// value is one that it does not want back.
fn volatile(faults: &mut Faults, given: Labels) -> Option<Labels> {
    if given.is_empty() {
        return None;
    }
    let mut entries = text::labels(faults, "volatile", given);
    entries.retain(|_, value| !value.is_empty());
    Some(entries)
}
