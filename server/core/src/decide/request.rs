//! Request ids: a control mutation that is asked twice is done once.
//!
//! The record is written in the commit of the effect. A repeat within [`REQUEST_RETENTION`] is
//! answered from the present state of its subject; the same id with another body is refused. The
//! oldest records give way to new ones, so their number stays bounded without a timer.

use crate::command::RequestTag;
use crate::draft::{Draft, Stop};
use crate::ids::{Namespace, ResourceNo, SessionNo};
use crate::index::{Entries, IndexEntry, Scan};
use crate::limits::{REQUEST_RETENTION, REQUESTS_MAX};
use crate::rejection::Rejection;
use crate::rows::{MessageTally, RequestRow, Row, RowKey};

/// Old records dropped beside each new one: two, so that a backlog of expired ones shrinks.
const DROPPED_PER_RECORD: usize = 2;

/// The record of an earlier call with the same request id.
pub(super) fn earlier(
    draft: &Draft<'_>,
    namespace: &Namespace,
    tag: Option<&RequestTag>,
) -> Result<Option<RequestRow>, Stop> {
    let Some(tag) = tag else {
        return Ok(None);
    };
    let Some(row) = draft.request(namespace, &tag.id)? else {
        return Ok(None);
    };
    if row.at + REQUEST_RETENTION <= draft.now.engine {
        return Ok(None);
    }
    if row.body != tag.body {
        return Err(Rejection::RequestIdReused {
            request_id: tag.id.to_string(),
        }
        .into());
    }
    // What was done with messages is on record itself, and of nobody else's state; what was about no session needs none.
    let about_session = row.tally.is_none() && row.subject != SessionNo(0);
    if about_session && draft.session_if(row.subject)?.is_none() {
        return Err(Rejection::SubjectPurged {
            request_id: tag.id.to_string(),
        }
        .into());
    }
    Ok(Some(row))
}

/// Remembers what a call did with messages.
pub(super) fn record_tally(
    draft: &mut Draft<'_>,
    namespace: &Namespace,
    tag: Option<&RequestTag>,
    subject: SessionNo,
    tally: MessageTally,
) -> Result<(), Stop> {
    let row = RequestRow {
        tally: Some(tally),
        ..new_row(draft, tag, subject, false)
    };
    put_record(draft, namespace, tag, row)
}

/// Remembers what a call did.
pub(super) fn record(
    draft: &mut Draft<'_>,
    namespace: &Namespace,
    tag: Option<&RequestTag>,
    subject: SessionNo,
    flag: bool,
) -> Result<(), Stop> {
    let row = new_row(draft, tag, subject, flag);
    put_record(draft, namespace, tag, row)
}

/// Remembers which resource a call declared.
pub(super) fn record_resource(
    draft: &mut Draft<'_>,
    namespace: &Namespace,
    tag: Option<&RequestTag>,
    subject: SessionNo,
    resource: ResourceNo,
) -> Result<(), Stop> {
    let row = RequestRow {
        resource: Some(resource),
        ..new_row(draft, tag, subject, false)
    };
    put_record(draft, namespace, tag, row)
}

fn new_row(
    draft: &Draft<'_>,
    tag: Option<&RequestTag>,
    subject: SessionNo,
    flag: bool,
) -> RequestRow {
    RequestRow {
        body: tag.map_or([0; 32], |tag| tag.body),
        subject,
        flag,
        at: draft.now.engine,
        tally: None,
        resource: None,
    }
}

fn put_record(
    draft: &mut Draft<'_>,
    namespace: &Namespace,
    tag: Option<&RequestTag>,
    row: RequestRow,
) -> Result<(), Stop> {
    let Some(tag) = tag.filter(|_| !faulty!(RequestUnrecorded)) else {
        return Ok(());
    };
    drop_old(draft)?;
    let mut counters = draft.counters()?;
    if let Some(expired) = draft.request(namespace, &tag.id)? {
        forget(
            draft,
            IndexEntry::RequestAge(expired.at, namespace.clone(), tag.id.clone()),
        );
        counters.requests -= 1;
    }
    counters.requests += 1;
    draft.put_counters(counters);
    let at = row.at;
    draft.put(
        RowKey::Request(namespace.clone(), tag.id.clone()),
        Row::Request(row.into()),
    );
    let age = IndexEntry::RequestAge(at, namespace.clone(), tag.id.clone());
    draft.reindex(&Entries::default(), [Some(age), None, None, None]);
    Ok(())
}

fn drop_old(draft: &mut Draft<'_>) -> Result<(), Stop> {
    let mut counters = draft.counters()?;
    for entry in draft.scan(&Scan::RequestAges, DROPPED_PER_RECORD)? {
        let IndexEntry::RequestAge(at, ..) = &entry else {
            continue;
        };
        let expired = *at + REQUEST_RETENTION <= draft.now.engine;
        if expired || counters.requests >= REQUESTS_MAX {
            forget(draft, entry);
            counters.requests -= 1;
        }
    }
    draft.put_counters(counters);
    Ok(())
}

fn forget(draft: &mut Draft<'_>, entry: IndexEntry) {
    if let IndexEntry::RequestAge(_, namespace, id) = &entry {
        draft.remove(RowKey::Request(namespace.clone(), id.clone()));
    }
    draft.reindex(&[Some(entry), None, None, None], Entries::default());
}
