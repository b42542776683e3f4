//! What sessions have outside that is to go and is not gone.
//!
//! What this deliberately does not do: end anything; the releaser does.

use sessiond_core::ids::{SessionId, SessionNo};
use sessiond_core::resource::{Resource, Standing};
use sessiond_core::rows::{Row, RowKey};
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::Rows;

use crate::limits::DRAIN_PAGE;

/// How many resources nobody has tried to end yet.
pub(crate) fn untried(rows: &Rows) -> Result<u64, Fault> {
    let mut count = 0;
    each(rows, |_, resources| {
        let new = resources.filter(|one| one.standing == Standing::Releasing(None));
        count += new.count() as u64;
        Ok(())
    })?;
    Ok(count)
}

/// How many are left of each session.
pub(crate) fn unreleased(rows: &Rows) -> Result<Vec<(SessionId, u64)>, Fault> {
    let mut left = Vec::new();
    each(rows, |no, resources| {
        if let Some(Row::Session(session)) = rows.row(&RowKey::Session(no))? {
            left.push((session.id.clone(), resources.count() as u64));
        }
        Ok(())
    })?;
    Ok(left)
}

/// Looks at the resources of each session that are to go.
fn each(
    rows: &Rows,
    mut look: impl FnMut(SessionNo, &mut dyn Iterator<Item = &Resource>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut after = SessionNo(0);
    loop {
        let page = rows.releasing_after(after, DRAIN_PAGE)?;
        for no in &page {
            if let Some(row) = rows.resources_of(*no)? {
                let mut to_go = row.list.iter().filter(|one| one.is_releasing());
                look(*no, &mut to_go)?;
            }
        }
        match page.last() {
            Some(last) if page.len() == DRAIN_PAGE => after = *last,
            Some(_) | None => return Ok(()),
        }
    }
}
