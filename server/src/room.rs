//! Room: looks how much the disk has left, tells the engine when it is too little for more, and keeps the ballast laid.
//!
//! Below the low-water mark the engine refuses what adds (`sessiond_core::decide`), long before a write fails: a write that
//! fails ends the process. Invariant: the first look is told before anybody is served, and each side of the mark is
//! logged once, when it is reached. A disk that cannot be asked stays what it was thought to be. What this deliberately
//! does not do: make room.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use sessiond_core::command::Command;
use sessiond_core::presence::Shortage;
use sessiond_store::data_dir::BALLAST_BYTES;
use sessiond_store::space::Space;

use crate::engine::Handle;
use crate::env::Disk;
use crate::limits::{BALLAST_RETRY_LOOKS, ROOM_LOOK_EVERY, ROOM_MARGIN_PART};

/// The mark, and on which side of it the disk is.
#[derive(Debug)]
struct Gauge {
    /// The least that must be free; none: whatever is free is enough.
    min_free: Option<u64>,
    shortage: Option<Shortage>,
}

/// What becomes of the ballast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ballast {
    /// It is to be made as soon as there is room, after so many looks.
    Wanted(u32),
    /// It is there.
    Laid,
}

/// Whoever looks.
#[derive(Debug)]
pub(crate) struct Watch {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    gauge: Gauge,
    ballast: Ballast,
    /// What was seen last; none if it could not be seen.
    seen: Option<Space>,
    /// It was logged that nothing can be seen.
    is_blind: bool,
    /// What the engine was told last.
    told: Option<Shortage>,
}

/// Looks until the engine has ended. What it waits for is the disk: for a thread of its own.
pub(crate) async fn run(mut watch: Watch, engine: Handle) {
    loop {
        watch.keep_ballast();
        // Either one; a look that comes too late is of no use to anybody.
        tokio::select! {
            () = engine.ended() => return,
            () = tokio::time::sleep(ROOM_LOOK_EVERY) => {}
        }
        if watch.tell(&engine).await.is_err() {
            return;
        }
    }
}

impl Watch {
    /// Whoever looks at the file system of an open store.
    pub(crate) fn new(disk: Arc<dyn Disk>, directory: PathBuf, min_free: Option<u64>) -> Self {
        Self {
            disk,
            directory,
            gauge: Gauge {
                min_free,
                shortage: None,
            },
            ballast: Ballast::Wanted(0),
            seen: None,
            is_blind: false,
            told: None,
        }
    }

    /// Looks, and tells the engine if that changes what it was told.
    ///
    /// # Errors
    /// The engine has ended.
    pub(crate) async fn tell(&mut self, engine: &Handle) -> Result<(), crate::engine::Refused> {
        let looked = self.disk.space(&self.directory);
        self.take(looked);
        if self.told == self.gauge.shortage {
            return Ok(());
        }
        self.told = self.gauge.shortage;
        engine.tell(vec![Command::Room(self.told)]).await
    }

    /// Judges a look, and logs what is new about it.
    fn take(&mut self, looked: io::Result<Space>) {
        let space = match looked {
            Ok(space) => space,
            Err(error) => {
                if !self.is_blind {
                    tracing::warn!(%error, "failed to look how much room the disk has");
                }
                (self.seen, self.is_blind) = (None, true);
                return;
            }
        };
        (self.seen, self.is_blind) = (Some(space), false);
        let before = self.gauge.shortage;
        match (before, self.gauge.judge(space)) {
            (None, Some(shortage)) => {
                tracing::warn!(
                    free_bytes = shortage.free,
                    mark_bytes = shortage.mark,
                    enough_bytes = shortage.enough,
                    "the disk is short of room: new messages and sessions are refused"
                );
            }
            (Some(_), None) => {
                // Whoever made room may have removed the ballast, too.
                self.ballast = Ballast::Wanted(0);
                tracing::info!(free_bytes = space.free, "the disk has room again");
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
    }

    /// Makes the ballast if it is wanted and there is room for it.
    fn keep_ballast(&mut self) {
        match (self.ballast, self.seen) {
            (Ballast::Wanted(0), Some(space)) if self.gauge.can_spare(space, BALLAST_BYTES) => {
                self.ballast = match self.disk.lay_ballast(&self.directory) {
                    Ok(()) => Ballast::Laid,
                    Err(error) => {
                        tracing::warn!(%error, "failed to make the ballast of the data directory");
                        Ballast::Wanted(BALLAST_RETRY_LOOKS)
                    }
                };
            }
            (Ballast::Wanted(looks), _) => self.ballast = Ballast::Wanted(looks.saturating_sub(1)),
            (Ballast::Laid, _) => {}
        }
    }
}

impl Gauge {
    /// Whether the disk is short of room as it is seen now. The mark is what was set, or what a file of the store may ask
    /// for next, if that is more.
    fn judge(&mut self, space: Space) -> Option<Shortage> {
        let mark = self.min_free?.max(space.growth);
        let enough = mark.saturating_add(mark / ROOM_MARGIN_PART);
        let bound = if self.shortage.is_some() {
            enough
        } else {
            mark
        };
        self.shortage = (space.free < bound).then_some(Shortage {
            free: space.free,
            mark,
            enough,
        });
        self.shortage
    }

    /// Whether the disk has enough left when so much is taken of it, as much again included: what is taken now is not to be
    /// given back by the next start.
    fn can_spare(&self, space: Space, bytes: u64) -> bool {
        let mark = self.min_free.map_or(0, |free| free.max(space.growth));
        let enough = mark.saturating_add(mark / ROOM_MARGIN_PART);
        self.shortage.is_none() && space.free >= bytes.saturating_add(enough.max(bytes))
    }
}

#[cfg(test)]
mod tests;
