//! Changes: what a decision does to the store, row by row and entry by entry.
//!
//! The list is complete: applying it to the rows the decision saw gives the rows the reply speaks of.

use crate::index::IndexEntry;
use crate::rows::{Row, RowKey};

/// One row or index entry, written or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The row under the key is as given, or gone.
    Row(RowKey, Option<Row>),
    /// The entry is in its index, or not.
    Index(IndexEntry, Membership),
}

/// Whether an entry is in its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It is.
    In,
    /// It is not.
    Out,
}
