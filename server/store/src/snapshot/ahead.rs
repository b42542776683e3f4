//! Reading ahead: rows that a decision will ask for, read round the one who decides and before it comes to decide.
//!
//! What is read here may be out of date by the time it is used, so it says as of which commit it is. Whoever uses it knows
//! what was changed since, or does not use it. What this deliberately does not do: judge that.

use std::sync::Arc;

use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::SessionRow;

use super::Rows;
use crate::fault::Fault;

/// Rows as they were after some commit.
#[derive(Debug, Default)]
pub struct ReadAhead {
    commits: u64,
    rows: Vec<(RowKey, Row)>,
}

impl ReadAhead {
    /// Rows as of this many commits of the store, or of a later one.
    #[must_use]
    pub fn new(commits: u64, rows: Vec<(RowKey, Row)>) -> Self {
        Self { commits, rows }
    }

    /// They are as of this many commits of the store, or of a later one. See [`crate::store::Store::commits`].
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits
    }

    /// The rows, each under its key.
    #[must_use]
    pub fn into_rows(self) -> Vec<(RowKey, Row)> {
        self.rows
    }
}

impl Rows {
    /// What a decision about a session asks for that names it by its id. `session` was read here.
    ///
    /// # Errors
    ///
    /// As every read.
    pub fn ahead(&self, session: &Arc<SessionRow>) -> Result<ReadAhead, Fault> {
        let id = RowKey::SessionId(session.namespace.clone(), session.id.clone());
        let mut rows = Vec::with_capacity(5);
        for key in beside(session) {
            if let Some(row) = self.row(&key)? {
                rows.push((key, row));
            }
        }
        rows.push((id, Row::SessionId(session.no)));
        rows.push((
            RowKey::Session(session.no),
            Row::Session(Arc::clone(session)),
        ));
        Ok(ReadAhead::new(self.commits, rows))
    }
}

/// Rows that are asked for with that of a session.
pub(crate) fn beside(session: &SessionRow) -> impl Iterator<Item = RowKey> + use<> {
    let key = session.key.clone();
    let key = key.map(|key| RowKey::Key(session.namespace.clone(), key));
    let rows = [RowKey::Activity(session.no), RowKey::Queue(session.queue)];
    rows.into_iter().chain(key)
}
