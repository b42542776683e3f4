//! What sessions have outside, as it is on record: of one session, and which sessions have any.
//!
//! Pages are bounded by whoever asks. What this deliberately does not do: say whether any of it is there.

use std::sync::Arc;

use sessiond_core::ids::{Namespace, SessionNo};
use sessiond_core::index::IndexEntry;
use sessiond_core::resource::ResourcesRow;

use super::Rows;
use crate::fault::Fault;
use crate::kv::Range;
use crate::row;

impl Rows {
    /// What a session has; none if it never had anything.
    pub fn resources_of(&self, no: SessionNo) -> Result<Option<Arc<ResourcesRow>>, Fault> {
        self.resources(no)
    }

    /// Sessions behind `after` with resources that are to go, in the order in which they were opened.
    pub fn releasing_after(&self, after: SessionNo, limit: usize) -> Result<Vec<SessionNo>, Fault> {
        self.sessions_of(&row::releasing_after(after, limit))
    }

    /// Sessions of a namespace behind `after` with resources that are not released.
    pub fn unreleased_after(
        &self,
        namespace: &Namespace,
        after: SessionNo,
        limit: usize,
    ) -> Result<Vec<SessionNo>, Fault> {
        self.sessions_of(&row::unreleased_after(namespace, after, limit))
    }

    fn sessions_of(&self, range: &Range) -> Result<Vec<SessionNo>, Fault> {
        let entries = self.entries(range)?;
        Ok(entries.iter().filter_map(IndexEntry::session).collect())
    }
}
