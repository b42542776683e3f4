//! A disk with as much room as a test says. What is written is written to the machine's own.
//!
//! Invariant: when [`SmallDisk::leave`] returns, a server on it knows. What it deliberately does not do: fail.

use std::io;
use std::path::Path;

use sessiond::env::{Disk, Opened};
use sessiond_store::data_dir::{self, OpenError};
use sessiond_store::kv::redb::Identity;
use sessiond_store::space::Space;
use tokio::sync::watch;

/// Looks after which a server has been told of what the first of them saw.
const LOOKS: u64 = 2;

/// The disk.
#[derive(Debug)]
pub struct SmallDisk {
    /// What it has left, and how often somebody looked since that was said.
    left: watch::Sender<(Space, u64)>,
}

impl SmallDisk {
    /// A disk with so many bytes left.
    #[must_use]
    pub fn with(free: u64) -> Self {
        Self {
            left: watch::Sender::new((Space { free, growth: 0 }, 0)),
        }
    }

    /// So many bytes are left from here on. Answers when the server has taken that in.
    ///
    /// # Panics
    /// Never: the disk is there as long as it is asked.
    pub async fn leave(&self, free: u64) {
        self.left.send_replace((Space { free, growth: 0 }, 0));
        let mut looked = self.left.subscribe();
        let looked = looked.wait_for(|(_, looks)| *looks >= LOOKS).await;
        drop(looked.expect("the disk is there"));
    }

    fn look(&self) -> Space {
        let mut space = None;
        self.left.send_modify(|(left, looks)| {
            space = Some(*left);
            *looks += 1;
        });
        space.expect("it was looked at")
    }
}

impl Disk for SmallDisk {
    fn open(&self, directory: &Path, identity: &Identity) -> Result<Opened, OpenError> {
        let look = |_: &Path| Ok(self.look());
        let kv = data_dir::open_with(directory, identity, &look)?;
        let log_id = kv.log_id();
        Ok(Opened {
            kv: std::sync::Arc::new(kv),
            log_id,
        })
    }

    fn space(&self, _directory: &Path) -> io::Result<Space> {
        Ok(self.look())
    }

    fn lay_ballast(&self, directory: &Path) -> io::Result<()> {
        data_dir::lay_ballast(directory)
    }
}
