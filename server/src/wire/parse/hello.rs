//! The first frame of a worker, and its window.

use sessiond_core::command::{Hello, Resume};
use sessiond_core::ids::{DeliveryId, Epoch, InstanceId, SessionId, WorkerName};
use sessiond_core::limits::{
    ID_BYTES_MAX, RESUME_DELIVERIES_MAX, RESUME_SESSIONS_MAX, WINDOW_BYTES_DEFAULT,
    WINDOW_BYTES_MAX, WINDOW_MESSAGES_DEFAULT, WINDOW_MESSAGES_MAX, WINDOW_SESSIONS_DEFAULT,
    WINDOW_SESSIONS_MAX,
};
use sessiond_core::presence::Window;
use sessiond_proto::v1 as pb;

use super::claim::instance;
use super::{number, session_filter, text};
use crate::wire::faults::Faults;

/// Who the worker is: its instance and what it says of itself.
pub(crate) fn hello(faults: &mut Faults, given: pb::Hello) -> Option<(InstanceId, Hello)> {
    let worker = text::required(faults, "worker", given.worker, WorkerName::parse);
    let instance = instance(faults, given.instance_id, worker.as_ref());
    let build_id = text::bounded(faults, "build_id", given.build_id, ID_BYTES_MAX);
    let labels = text::labels(faults, "labels", given.labels);
    let window = faults.within("window", |faults| {
        window(faults, given.window.unwrap_or_default())
    });
    let serves = given
        .serves
        .map(|filter| faults.within("serves", |faults| session_filter::of_work(faults, filter)));
    let resume = resume(faults, given.resume);
    let hello = Hello {
        worker: worker?,
        build_id,
        labels,
        window,
        serves,
        resume,
    };
    Some((instance?, hello))
}

/// How much a worker takes; what is unset takes the default.
pub(crate) fn window(faults: &mut Faults, given: pb::Window) -> Window {
    Window {
        messages: number::at_most(
            faults,
            "max_messages",
            given.max_messages,
            WINDOW_MESSAGES_DEFAULT,
            WINDOW_MESSAGES_MAX,
        ),
        bytes: number::at_most(
            faults,
            "max_bytes",
            given.max_bytes,
            WINDOW_BYTES_DEFAULT,
            WINDOW_BYTES_MAX,
        ),
        sessions: number::at_most(
            faults,
            "max_sessions",
            given.max_sessions,
            WINDOW_SESSIONS_DEFAULT,
            WINDOW_SESSIONS_MAX,
        ),
    }
}

fn resume(faults: &mut Faults, given: Vec<pb::Resume>) -> Vec<Resume> {
    number::items(faults, "resume", given.len(), RESUME_SESSIONS_MAX);
    let mut resume = Vec::with_capacity(given.len().min(RESUME_SESSIONS_MAX));
    for (index, one) in given.into_iter().take(RESUME_SESSIONS_MAX).enumerate() {
        resume.extend(faults.within_item("resume", index, |faults| lease(faults, one)));
    }
    resume
}

fn lease(faults: &mut Faults, given: pb::Resume) -> Option<Resume> {
    let session = text::required(faults, "session_id", given.session_id, SessionId::parse);
    // The epoch alone names the lease; the queue is asked for so that the contract can rest on it.
    number::required(faults, "queue_id", given.queue_id);
    let epoch = number::required(faults, "epoch", given.epoch);
    let found = given.delivery_ids.len();
    number::items(faults, "delivery_ids", found, RESUME_DELIVERIES_MAX);
    let listed = given.delivery_ids.into_iter().take(RESUME_DELIVERIES_MAX);
    Some(Resume {
        session: session?,
        epoch: Epoch(epoch),
        deliveries: listed.map(DeliveryId).collect(),
    })
}
