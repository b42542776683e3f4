//! A plugin: one event at a time, acknowledged after its handler, whatever breaks.

mod endings;
mod handling;

use std::time::Duration;

use pb::watch_session_events_response::Frame;
use sessiond_client::{
    HandlerError, PluginBuilder, PluginError, PluginEvent, PluginHandler, PluginNotice,
    PluginObserver, pb,
};
use sessiond_proto::reason::Reason;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::fake_server::{Call, FakeServer, WatchCall, within};

/// An event that the handler has, until the test says what comes of it.
struct Job {
    event: PluginEvent,
    outcome: oneshot::Sender<Result<(), HandlerError>>,
}

/// Hands every event to the test.
struct Probe {
    jobs: mpsc::UnboundedSender<Job>,
    notices: mpsc::UnboundedSender<PluginNotice>,
}

impl PluginHandler for Probe {
    async fn handle(&self, event: PluginEvent) -> Result<(), HandlerError> {
        let (outcome, said) = oneshot::channel();
        self.jobs.send(Job { event, outcome })?;
        // A job that the test drops is one whose handler panics.
        said.await.expect("the test says what comes of it")
    }

    fn observe(&self, notice: &PluginNotice) {
        let _ = self.notices.send(notice.clone());
    }
}

/// A plugin that runs.
struct Running {
    jobs: mpsc::UnboundedReceiver<Job>,
    notices: mpsc::UnboundedReceiver<PluginNotice>,
    observer: PluginObserver,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), PluginError>>,
}

impl Job {
    fn done(self) {
        self.outcome.send(Ok(())).unwrap();
    }

    fn fail(self) {
        self.outcome.send(Err("the disk is full".into())).unwrap();
    }
}

impl Running {
    async fn job(&mut self) -> Job {
        within(self.jobs.recv()).await.unwrap()
    }

    /// The next event, which is handled at once.
    async fn handles(&mut self, revision: u64) {
        let job = self.job().await;
        assert_eq!(job.event.revision(), revision);
        job.done();
    }

    async fn notice(&mut self) -> PluginNotice {
        within(self.notices.recv()).await.unwrap()
    }

    async fn end(self) -> Result<(), PluginError> {
        within(self.task).await.unwrap()
    }
}

fn run(builder: PluginBuilder) -> Running {
    let plugin = builder.build();
    let (jobs_in, jobs) = mpsc::unbounded_channel();
    let (notices_in, notices) = mpsc::unbounded_channel();
    let observer = plugin.observer();
    let (stop, stopped) = oneshot::channel();
    let probe = Probe {
        jobs: jobs_in,
        notices: notices_in,
    };
    let shutdown = async move {
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    Running {
        jobs,
        notices,
        observer,
        stop: Some(stop),
        task: tokio::spawn(plugin.run(probe, shutdown)),
    }
}

fn builder(server: &FakeServer) -> PluginBuilder {
    server.client().plugin("memory").consumer("run-1")
}

fn started(epoch: u64, acked: u64) -> Frame {
    Frame::Started(pb::WatchStarted {
        log_id: "log".to_owned(),
        oldest_revision: 1,
        current_revision: 9,
        subscription_epoch: epoch,
        acked_revision: acked,
    })
}

fn batch(revisions: &[u64]) -> Frame {
    let event = |revision: &u64| pb::SessionEvent {
        revision: *revision,
        event_id: format!("log-{revision}"),
        ..Default::default()
    };
    Frame::Batch(pb::EventBatch {
        events: revisions.iter().map(event).collect(),
        resume_token: format!("t{}", revisions.last().unwrap()),
    })
}

fn bookmark(revision: u64, lag_events: u64) -> Frame {
    Frame::Bookmark(pb::Bookmark {
        revision,
        resume_token: format!("t{revision}"),
        lag_events,
        ..Default::default()
    })
}

fn refusal(code: Code, reason: Reason, facts: &[(&str, &str)]) -> Status {
    let owned = facts
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let mut details = ErrorDetails::new();
    let metadata: std::collections::HashMap<String, String> = owned.collect();
    details.set_error_info(reason.as_str(), "sessiond", metadata);
    if reason == Reason::LeaseHeld {
        details.set_retry_info(Some(Duration::from_millis(5)));
    }
    Status::with_error_details(code, "refused", details)
}

fn fenced() -> Status {
    refusal(Code::FailedPrecondition, Reason::LeaseFenced, &[])
}

/// Answers the making of the subscription.
async fn made(server: &mut FakeServer) -> pb::CreateSubscriptionRequest {
    let Call::CreateSubscription(call) = server.call().await else {
        panic!("expected the making of the subscription");
    };
    let request = call.request.clone();
    call.answer(pb::CreateSubscriptionResponse::default());
    request
}

/// The watch of a plugin that has just begun, with its first frame sent.
async fn reads(server: &mut FakeServer, epoch: u64, acked: u64) -> WatchCall {
    let watch = server.watch().await;
    watch.send(started(epoch, acked)).await;
    watch
}

/// The next acknowledgement.
async fn acked(server: &mut FakeServer) -> pb::AckEventsRequest {
    let Call::AckEvents(call) = server.call().await else {
        panic!("expected an acknowledgement");
    };
    let request = call.request.clone();
    let acked_revision = request.revision;
    call.answer(pb::AckEventsResponse { acked_revision });
    request
}
