//! A lease on record whose clock was lost, which no rule of ours does.

use sessiond_core::command::Command;
use sessiond_core::event::EventKind;
use sessiond_core::presence::PresenceChange;
use sessiond_core::reply::Reply;

use super::desk::{Desk, SECOND, patient, s, unlimited};

/// Proves: G3.
#[test]
fn a_lease_that_nobody_watches_gets_its_clock_back_and_a_watched_one_keeps_its_own() {
    let mut desk = Desk::open(patient(), unlimited());
    desk.send(s());
    let out = desk.claim("w", 10 * SECOND);
    let epoch = out[0].epoch;
    let restore = Command::Restore(vec![epoch]);
    desk.pass(4 * SECOND);
    assert_eq!(desk.did(&restore), Reply::Restored(Vec::new()));
    desk.pass(6 * SECOND - 1);
    assert_eq!(
        desk.count(EventKind::WorkerLost),
        0,
        "it has a term of its own"
    );
    let presence = &mut desk.world.view.presence;
    presence.apply(PresenceChange::Clock(epoch, None));
    // To the model this is a restart that only the one lease met.
    desk.world.model.term_anew(epoch.0);
    assert_eq!(desk.did(&restore), Reply::Restored(vec![epoch]));
    desk.pass(10 * SECOND);
    assert_eq!(
        desk.count(EventKind::WorkerLost),
        1,
        "and lapses after a term"
    );
}
