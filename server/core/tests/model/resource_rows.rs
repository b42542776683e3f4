//! What is on record of resources against the reference model.
//!
//! Invariant: whatever a row counts or points at is found again by looking at all records of the model. What this
//! deliberately does not do: say what should become of any of it.

use sessiond_core::ids::SessionKey;
use sessiond_core::resource::{ResourcesRow, Unreleased};
use sessiond_core::rows::PoolRow;
use sessiond_core::session::{Behind, PredecessorSlot, SessionRow};

use super::state::{self, Model, Resource, State};
use super::world::NAMESPACE;

/// All resources of a session.
pub(crate) fn check_resources(model: &Model, row: &ResourcesRow) {
    let session = model.session(row.session.0);
    let id = &session.id;
    assert!(!session.purged, "the resources of {id} outlive it");
    assert_eq!(row.namespace.as_str(), NAMESPACE);
    assert_eq!(row.declared.0, session.declared, "those of {id} so far");
    let is: Vec<Resource> = row.list.iter().map(Resource::of).collect();
    assert_eq!(is, session.resources, "the resources of {id}");
}

/// What a session's own row says of them, however long it is over.
pub(crate) fn check_unreleased(model: &Model, row: &SessionRow) {
    let session = model.session(row.no.0);
    let wanted = unreleased(session);
    assert_eq!(row.resources, wanted, "what {} has outside", row.id);
}

impl Model {
    /// How many sessions ever had any.
    pub(crate) fn with_resources(&self) -> usize {
        let on_record = self.sessions.iter().filter(|s| !s.purged);
        on_record.filter(|s| s.declared > 0).count()
    }
}

/// How many are not released; none if there never was one.
pub(crate) fn unreleased(session: &state::Session) -> Option<Unreleased> {
    let count = |number: usize| u32::try_from(number).expect("a session has a few");
    (session.declared > 0).then(|| Unreleased {
        count: count(session.unreleased()),
        lingering: count(session.lingering()),
    })
}

/// Whom a session waits for.
pub(crate) fn check_behind(is: Option<Behind>, wanted: Option<state::Behind>) {
    let is = is.map(|behind| state::Behind {
        predecessor: behind.predecessor.0,
        inherits: behind.slot == PredecessorSlot::Passes,
    });
    assert_eq!(is, wanted, "whom it waits for");
}

/// Nobody waits for nothing, and no later session of a key is in use before nothing of an earlier one is left.
pub(crate) fn check_key_left(model: &Model, key: &SessionKey) {
    let Some(live) = model.live_of(key).map(|no| model.session(no)) else {
        return;
    };
    let left = model.left_of(key);
    assert!(
        left.is_none() || !live.is_active(),
        "{} is in use, and of {left:?} something is left",
        live.id
    );
    if let Some(behind) = live.behind() {
        let some = model.session(behind.predecessor).unreleased() > 0;
        assert!(some, "{} waits for nothing", live.id);
        assert_eq!(left, Some(behind.predecessor), "whom {} waits for", live.id);
    }
}

/// How many sessions of a pool count in what way.
pub(crate) fn pool_row(model: &Model, pool: &sessiond_core::ids::PoolName) -> PoolRow {
    let count = |wanted: fn(&state::Session) -> bool| {
        let counted = model.sessions.iter();
        counted.filter(|s| s.pool == *pool && wanted(s)).count() as u64
    };
    PoolRow {
        live: model.slots_taken(pool),
        draining: count(|s| matches!(s.state, State::Draining(_))),
        queued: count(|s| matches!(s.state, State::Queued(_))),
        releasing: count(|s| s.is_left() && s.lingering() == 0),
        lingering: count(|s| s.is_left() && s.lingering() > 0),
    }
}
