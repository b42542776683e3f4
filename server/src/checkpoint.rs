//! When checkpoints are made: once a second while anything is committed, and sooner when much is.
//!
//! They run on a thread of their own beside the engine, which goes on committing meanwhile. How a checkpoint
//! is made, and that none is needed for a commit to count, is the store's business; so is the bound at which
//! a commit waits for one. A checkpoint that fails has stopped the store: the engine is told to end, and
//! meets the fault.

use std::sync::Arc;

use sessiond_store::store::Checkpointer;
use tokio::sync::Notify;

use crate::engine::Handle;
use crate::limits::{CHECKPOINT_BYTES, CHECKPOINT_EVERY};

/// The engine's end: says how much has been gathered.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    due: Arc<Notify>,
}

impl Pace {
    /// Has a checkpoint made now when that many bytes are worth one.
    pub fn gathered(&self, bytes: u64) {
        if bytes >= CHECKPOINT_BYTES {
            self.due.notify_one();
        }
    }
}

/// Makes checkpoints until the engine has ended or the store fails.
pub async fn run(checkpointer: Checkpointer, pace: Pace, engine: Handle) {
    loop {
        tokio::select! {
            () = engine.ended() => return,
            () = pace.due.notified() => {}
            () = tokio::time::sleep(CHECKPOINT_EVERY) => {}
        }
        if let Err(fault) = checkpointer.checkpoint() {
            tracing::error!(fault = fault.describe(), "a checkpoint failed");
            engine.stop();
            return;
        }
    }
}
