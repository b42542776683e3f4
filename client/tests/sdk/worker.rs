//! A worker over connections that break: every delivery once, every settlement
//! answered, and an orderly end.

mod leases;
mod reconnect;
mod settle;
mod stop;

use std::time::Duration;

use pb::work_response::Frame;
use sessiond_client::{
    Delivery, Error, Handler, Outcome, Worker, WorkerBuilder, WorkerEvent, pb, session_key,
};
use sessiond_proto::reason::Reason;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::fake_server::{FakeServer, WorkCall, within};

/// A handler that leaves everything to the test.
#[derive(Debug)]
struct Probe {
    jobs: mpsc::UnboundedSender<Job>,
    events: mpsc::UnboundedSender<WorkerEvent>,
}

/// A delivery that a handler works on until the test says what came of it.
#[derive(Debug)]
struct Job {
    delivery: Delivery,
    outcome: oneshot::Sender<Outcome>,
}

/// A worker that runs.
#[derive(Debug)]
struct Running {
    jobs: mpsc::UnboundedReceiver<Job>,
    events: mpsc::UnboundedReceiver<WorkerEvent>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

// === impl Probe ===

impl Handler for Probe {
    async fn handle(&self, delivery: Delivery) -> Outcome {
        let (outcome, decided) = oneshot::channel();
        let _ = self.jobs.send(Job { delivery, outcome });
        decided.await.unwrap_or(Outcome::Abandoned)
    }

    fn observe(&self, event: &WorkerEvent) {
        let _ = self.events.send(event.clone());
    }
}

// === impl Job ===

impl Job {
    fn finish(self, outcome: Outcome) {
        let _ = self.outcome.send(outcome);
    }

    fn seq(&self) -> u64 {
        self.delivery.message().seq
    }
}

// === impl Running ===

impl Running {
    async fn job(&mut self) -> Job {
        within(self.jobs.recv()).await.unwrap()
    }

    /// The next event for which `pick` gives something.
    async fn event<T>(&mut self, pick: impl Fn(WorkerEvent) -> Option<T>) -> T {
        loop {
            let event = within(self.events.recv()).await.unwrap();
            if let Some(picked) = pick(event) {
                return picked;
            }
        }
    }

    /// How the worker ended.
    async fn end(self) -> Result<(), Error> {
        within(self.task).await.unwrap()
    }
}

fn builder(server: &FakeServer) -> WorkerBuilder {
    Worker::builder(server.client()).name("w").instance_id("i")
}

fn run(builder: WorkerBuilder) -> Running {
    let worker = builder.build().unwrap();
    let (jobs_in, jobs) = mpsc::unbounded_channel();
    let (events_in, events) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel();
    let handler = Probe {
        jobs: jobs_in,
        events: events_in,
    };
    // A test that drops `stop` does not want the worker to stop.
    let shutdown = async move {
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    Running {
        jobs,
        events,
        stop,
        task: tokio::spawn(worker.run(handler, shutdown)),
    }
}

/// A worker that serves anything, and its stream up to the `welcome`.
async fn serving(server: &mut FakeServer) -> (Running, WorkCall) {
    let running = run(builder(server).serves(pb::SessionFilter::default()));
    let work = welcome(server).await.1;
    (running, work)
}

/// Takes the next stream of the worker and greets it.
async fn welcome(server: &mut FakeServer) -> (pb::Hello, WorkCall) {
    let (hello, work) = server.work().await;
    work.send(Frame::Welcome(pb::Welcome::default())).await;
    (hello, work)
}

fn attached(session_id: &str, queue_id: u64, epoch: u64) -> Frame {
    Frame::Attached(pb::Attached {
        lease: Some(pb::Lease {
            epoch,
            session_id: session_id.to_owned(),
            ..Default::default()
        }),
        session: Some(pb::Session {
            session_id: session_id.to_owned(),
            key: format!("key-{session_id}"),
            queue_id,
            ..Default::default()
        }),
        voided_keys: Vec::new(),
    })
}

/// Deliveries of one session: (queue, epoch) and for each its seq and id.
fn deliveries(session_id: &str, queue: (u64, u64), each: &[(u64, u64)]) -> Frame {
    let delivery = |(seq, delivery_id): &(u64, u64)| pb::Delivery {
        message: Some(pb::Message {
            session_id: session_id.to_owned(),
            queue_id: queue.0,
            seq: *seq,
            kind: "observation".to_owned(),
            attempt: 1,
            ..Default::default()
        }),
        delivery_id: *delivery_id,
        epoch: queue.1,
        deadline: None,
    };
    Frame::Delivery(pb::DeliveryBatch {
        deliveries: each.iter().map(delivery).collect(),
    })
}

/// The answer OK to some settlements.
fn settled(settlements: &[pb::Settlement]) -> Frame {
    coded(settlements, pb::SettleCode::Ok)
}

fn coded(settlements: &[pb::Settlement], code: pb::SettleCode) -> Frame {
    let result = |settlement: &pb::Settlement| {
        let mut result = pb::SettleResult {
            queue_id: settlement.queue_id,
            seq: settlement.seq,
            delivery_id: settlement.delivery_id,
            ..Default::default()
        };
        result.set_code(code);
        result
    };
    Frame::Settled(pb::Settled {
        results: settlements.iter().map(result).collect(),
        revision: 1,
    })
}

fn lease_lost(session_id: &str, reason: pb::LeaseLostReason, successor_id: &str) -> Frame {
    let mut lost = pb::LeaseLost {
        session_id: session_id.to_owned(),
        successor_id: successor_id.to_owned(),
        ..Default::default()
    };
    lost.set_reason(reason);
    Frame::LeaseLost(lost)
}

fn attach_failed(key: &str, reason: Reason, retry_after: Option<Duration>) -> Frame {
    let status = pb::RefusalStatus {
        code: 9,
        reason: reason.as_str().to_owned(),
        retry_after: retry_after.map(|span| span.try_into().unwrap()),
        ..Default::default()
    };
    Frame::AttachFailed(pb::AttachFailed {
        r#ref: Some(session_key(key)),
        status: Some(status),
    })
}

/// The ids of some settlements.
fn ids(settlements: &[pb::Settlement]) -> Vec<u64> {
    settlements.iter().map(|one| one.delivery_id).collect()
}
