//! ListResources, and the walk over the resources of a namespace that are not released.
//!
//! A page is filled from one snapshot and a bounded number of rows; a filter that matches few answers with a short page
//! and a token to go on. Sessions without resources cost nothing: the others are found by an index.

use std::sync::Arc;

use sessiond_core::ids::{Namespace, ResourceNo, SessionNo, SessionRef};
use sessiond_core::rejection::Rejection;
use sessiond_core::resource::Resource;
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::SessionRow;
use sessiond_proto::v1 as pb;
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::Rows;
use tonic::Status;

use super::context::{Context, faulted};
use super::list::CHUNK;
use crate::limits::LIST_SCAN_MAX;
use crate::wire::parse::list_resources::ListResourcesCall;
use crate::wire::status::Refusal;
use crate::wire::token::PagePosition;
use crate::wire::{parse, show};

/// A resource and the session that has it.
pub(super) type Owned = (Arc<SessionRow>, Resource);

/// A page of resources, and where the next one begins if there may be more.
pub(super) type Found = (Vec<Owned>, Option<PagePosition>);

/// Where a walk is: the resource that was looked at last, and the newest session that is meant.
#[derive(Clone, Copy, Debug)]
struct Place {
    session: SessionNo,
    after: ResourceNo,
    until: SessionNo,
}

/// Fills a page.
struct Filling<'a, W> {
    wanted: W,
    size: usize,
    rows: &'a Rows,
    scanned: usize,
    place: Place,
    found: Vec<Owned>,
}

/// Whether a page has room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Left,
    Full,
}

/// Answers ListResources.
pub(super) fn resources(
    context: &Context,
    namespace: &Namespace,
    request: pb::ListResourcesRequest,
) -> Result<pb::ListResourcesResponse, Status> {
    let log_id = &context.identification.log_id;
    let call = parse::list_resources::list_resources(namespace, request, log_id)
        .map_err(|invalid| Refusal::invalid(&invalid))?;
    let rows = context.rows()?;
    let (found, next) = match &call.session {
        Some(asked) => of_session(&rows, namespace, asked, &call)?,
        None => {
            let wanted = |one: &Resource| is_in_state(&call, one);
            unreleased(
                &rows,
                namespace,
                call.page.after.as_ref(),
                call.page.size,
                wanted,
            )
            .map_err(|fault| faulted(&fault))?
        }
    };
    let shown = found
        .iter()
        .map(|(session, one)| show::resource::resource(session, one));
    Ok(pb::ListResourcesResponse {
        resources: shown.collect(),
        next_page_token: next.map_or_else(String::new, |next| call.page.binding.token(&next)),
    })
}

/// A page of the resources of a namespace that are not released and `wanted`.
pub(super) fn unreleased(
    rows: &Rows,
    namespace: &Namespace,
    position: Option<&PagePosition>,
    size: usize,
    wanted: impl Fn(&Resource) -> bool,
) -> Result<Found, Fault> {
    let newest = rows.counters()?.session;
    let wanted = |one: &Resource| one.is_unreleased() && wanted(one);
    let mut filling = Filling::new(rows, position, newest, size, wanted);
    let begun = filling.place.session;
    if filling.session(begun)? == Room::Full {
        return Ok(filling.page(Room::Full));
    }
    loop {
        let after = filling.place.session;
        let sessions = rows.unreleased_after(namespace, after, CHUNK)?;
        for no in &sessions {
            if *no > filling.place.until {
                return Ok(filling.page(Room::Left));
            }
            if filling.session(*no)? == Room::Full {
                return Ok(filling.page(Room::Full));
            }
        }
        if sessions.len() < CHUNK {
            return Ok(filling.page(Room::Left));
        }
    }
}

/// A page of all that is on record of one session.
fn of_session(
    rows: &Rows,
    namespace: &Namespace,
    asked: &SessionRef,
    call: &ListResourcesCall,
) -> Result<Found, Status> {
    let found = rows
        .find(namespace, asked)
        .map_err(|fault| faulted(&fault))?;
    let Some(no) = found else {
        let asked = asked.clone();
        return Err(Refusal::rejected(&Rejection::SessionNotFound { asked }).into());
    };
    let wanted = |one: &Resource| is_in_state(call, one);
    let (position, size) = (call.page.after.as_ref(), call.page.size);
    let mut filling = Filling::new(rows, position, no, size, wanted);
    let place = filling.place;
    // The key may mean another incarnation by now: its resources are another list.
    if place.session != SessionNo(0) && place.session != no {
        return Ok((Vec::new(), None));
    }
    let room = filling.session(no).map_err(|fault| faulted(&fault))?;
    Ok(filling.page(room))
}

fn is_in_state(call: &ListResourcesCall, one: &Resource) -> bool {
    let state = show::resource::state(&one.standing);
    call.states.is_empty() || call.states.contains(&state)
}

impl<'a, W: Fn(&Resource) -> bool> Filling<'a, W> {
    fn new(
        rows: &'a Rows,
        position: Option<&PagePosition>,
        newest: SessionNo,
        size: usize,
        wanted: W,
    ) -> Self {
        let place = match position {
            Some(PagePosition::Resources {
                session,
                after,
                until,
            }) => Place {
                session: *session,
                after: *after,
                until: *until,
            },
            Some(_) | None => Place {
                session: SessionNo(0),
                after: ResourceNo(0),
                until: newest,
            },
        };
        Self {
            wanted,
            size,
            rows,
            scanned: 0,
            place,
            found: Vec::new(),
        }
    }

    /// Takes what is wanted of one session, behind the place if that is in it.
    fn session(&mut self, no: SessionNo) -> Result<Room, Fault> {
        if no != self.place.session {
            self.place.session = no;
            self.place.after = ResourceNo(0);
        }
        let session = match self.rows.row(&RowKey::Session(no))? {
            Some(Row::Session(session)) => session,
            Some(_) | None => return Ok(Room::Left),
        };
        let Some(row) = self.rows.resources_of(no)? else {
            return Ok(Room::Left);
        };
        let behind = self.place.after;
        for one in row.list.iter().filter(|one| one.number > behind) {
            if self.found.len() == self.size || self.scanned == LIST_SCAN_MAX {
                return Ok(Room::Full);
            }
            self.scanned += 1;
            self.place.after = one.number;
            if (self.wanted)(one) {
                self.found.push((Arc::clone(&session), one.clone()));
            }
        }
        Ok(Room::Left)
    }

    fn page(self, room: Room) -> Found {
        let Place {
            session,
            after,
            until,
        } = self.place;
        let next = (room == Room::Full).then_some(PagePosition::Resources {
            session,
            after,
            until,
        });
        (self.found, next)
    }
}
