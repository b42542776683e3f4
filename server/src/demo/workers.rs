//! The demo's workers, and the ledger of what they were handed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sessiond_client::{Client, Delivery, Error, Handler, Outcome, Worker, pb};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Messages a worker has in flight.
const WINDOW: u32 = 16;

/// What workers were handed, by queue.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    queues: Mutex<BTreeMap<u64, Handed>>,
}

/// What was handed out of one queue.
#[derive(Clone, Debug, Default)]
struct Handed {
    /// Hand-outs by seq.
    times: BTreeMap<u64, u64>,
    /// First hand-outs that came before one with a lower seq.
    out_of_order: u64,
}

/// What the ledger comes to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    /// Different messages handed out.
    pub(crate) messages: u64,
    /// Hand-outs beyond the first of each.
    pub(crate) again: u64,
    /// First hand-outs out of order.
    pub(crate) out_of_order: u64,
}

impl Ledger {
    fn note(&self, message: &pb::Message) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let handed = queues.entry(message.queue_id).or_default();
        let last = handed.times.last_key_value().map_or(0, |(seq, _)| *seq);
        let times = handed.times.entry(message.seq).or_default();
        if *times == 0 && message.seq < last {
            handed.out_of_order += 1;
        }
        *times += 1;
    }

    /// What it comes to.
    pub(crate) fn totals(&self) -> Totals {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let mut totals = Totals::default();
        for handed in queues.values() {
            totals.messages += handed.times.len() as u64;
            totals.again += handed.times.values().map(|times| times - 1).sum::<u64>();
            totals.out_of_order += handed.out_of_order;
        }
        totals
    }
}

#[derive(Debug)]
struct Note {
    ledger: Arc<Ledger>,
}

impl Handler for Note {
    async fn handle(&self, delivery: Delivery) -> Outcome {
        self.ledger.note(delivery.message());
        // An observation is JSON; one that arrived broken must not count as done.
        match serde_json::from_slice::<serde_json::Value>(delivery.payload()) {
            Ok(_) => Outcome::ack(),
            Err(error) => Outcome::permanent(error.to_string()),
        }
    }
}

/// Starts workers that take any session with work.
pub(crate) fn start(
    client: &Client,
    count: usize,
    ledger: &Arc<Ledger>,
    stop: &CancellationToken,
) -> Result<Vec<JoinHandle<Result<(), Error>>>, Error> {
    (1..=count)
        .map(|number| {
            let worker = Worker::builder(client.clone())
                .name(format!("demo-worker-{number}"))
                .window(WINDOW)
                .serves(pb::SessionFilter::default())
                .build()?;
            let note = Note {
                ledger: Arc::clone(ledger),
            };
            let stop = stop.clone().cancelled_owned();
            Ok(tokio::spawn(worker.run(note, stop)))
        })
        .collect()
}
