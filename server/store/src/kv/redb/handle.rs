//! The open database, closed without a panic.
//!
//! Closing a redb database records its free pages, and on a file that is damaged there redb panics. That must not take
//! the rest of a shutdown with it: nothing committed depends on the closing, and the next open repairs.

use std::ops::{Deref, DerefMut};
use std::panic::{self, AssertUnwindSafe};

use redb::Database;

/// An open database; dropping it closes the file.
pub(crate) struct Handle {
    /// Always there until the drop.
    database: Option<Database>,
}

const OPEN: &str = "the database is there until the handle is dropped";

impl Handle {
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database: Some(database),
        }
    }
}

impl Deref for Handle {
    type Target = Database;

    fn deref(&self) -> &Database {
        self.database.as_ref().expect(OPEN)
    }
}

impl DerefMut for Handle {
    fn deref_mut(&mut self) -> &mut Database {
        self.database.as_mut().expect(OPEN)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let database = self.database.take();
        if panic::catch_unwind(AssertUnwindSafe(|| drop(database))).is_err() {
            tracing::error!("redb panicked while closing the store; the next open will verify it");
        }
    }
}
