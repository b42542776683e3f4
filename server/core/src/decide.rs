//! Decisions: one pure function from what is known, a command and the time to what happens.
//!
//! `decide` changes nothing. Its answer is applied to the view by the engine, committed with the rest
//! of the batch, and spoken only then. There is one file per command; what several commands do alike
//! (find a session, hand out, give a lease up, finish an end) has a file of its own.

use crate::change::Change;
use crate::command::{Command, WorkerFrame};
use crate::draft::Draft;
pub use crate::draft::Stop;
use crate::ids::{Revision, SessionNo, StreamId};
use crate::presence::PresenceChange;
use crate::rejection::Rejection;
use crate::reply::{Push, Reply, Wake};
use crate::time::Now;
use crate::view::View;

mod acquire;
mod assign;
mod attach;
mod attached;
mod begin_request;
mod behind;
mod calendar;
mod cancel;
mod circuits;
mod claim;
mod compact;
mod consume;
mod debounce;
mod declare;
mod detach;
mod discard;
mod drain;
mod due;
mod end;
mod end_request;
mod enqueue;
mod explain;
mod find;
mod finish;
mod hand_out;
mod hello;
mod lag;
mod lapse;
mod lease_progress;
mod let_go;
mod list_workers;
mod make_room;
mod node;
mod open;
mod purge;
mod reap;
mod recovery;
mod release;
mod request;
mod requeue;
mod reset;
mod rest;
mod restart_guard;
mod restore;
mod retention;
mod returned;
mod revoke;
mod room;
mod session_due;
mod settle;
mod slot;
mod stuck;
mod subscription;
mod touch;
mod update;
mod worker;

/// What a command does.
#[derive(Debug)]
pub struct Decision {
    /// To the store.
    pub changes: Vec<Change>,
    /// To presence.
    pub presence: Vec<PresenceChange>,
    /// What workers are told.
    pub pushes: Vec<Push>,
    /// Which waiting claims should look again.
    pub wakes: Vec<Wake>,
    /// What must be decided next because of it.
    pub follow_ups: Vec<Command>,
    /// Whether resources are to go: whoever may signal should look.
    pub releases: bool,
    /// Sessions that wait to be exported, after which they may be deleted.
    pub exports: Vec<SessionNo>,
    /// Watches of consumers that are over, and what each is told.
    pub cuts: Vec<(StreamId, Box<Rejection>)>,
    /// Messages that were acked.
    pub acked: u64,
    /// What the caller is told.
    pub reply: Reply,
    /// The answer is no all the same: what the decision does, it does for the next caller.
    pub refused: Option<Box<Rejection>>,
    /// The newest event after it.
    pub revision: Revision,
}

/// Decides a command.
///
/// # Errors
/// [`Stop::Rejected`] when the answer is no; [`Stop::Missing`] when rows must be loaded first.
pub fn decide(view: &View, command: &Command, now: Now) -> Result<Decision, Stop> {
    let mut draft = Draft::new(view, now);
    match dispatch(&mut draft, command) {
        Ok(reply) => conclude(draft, command, reply, None),
        Err(Stop::Rejected(rejection)) => refuse(Draft::new(view, now), command, rejection),
        Err(missing @ Stop::Missing(_)) => Err(missing),
    }
}

/// A refusal changes nothing, but for what a full pool had to do to find that it is full.
fn refuse(
    mut draft: Draft<'_>,
    command: &Command,
    rejection: Box<Rejection>,
) -> Result<Decision, Stop> {
    if let Rejection::TooManySessions {
        namespace, pool, ..
    } = &*rejection
    {
        make_room::after_refusal(&mut draft, &(namespace.clone(), pool.clone()))?;
        if draft.writes() {
            return conclude(draft, command, Reply::Done, Some(rejection));
        }
    }
    Err(Stop::Rejected(rejection))
}

fn conclude(
    mut draft: Draft<'_>,
    command: &Command,
    reply: Reply,
    refused: Option<Box<Rejection>>,
) -> Result<Decision, Stop> {
    slot::serve_lines(&mut draft)?;
    attached::offer_freed(&mut draft)?;
    if !is_unsent(command) {
        hand_out::fill_freed(&mut draft)?;
    }
    let revision = draft.counters()?.revision;
    draft.number_siblings();
    let pushes = std::mem::take(&mut draft.pushes);
    let wakes = std::mem::take(&mut draft.wakes);
    let follow_ups = std::mem::take(&mut draft.follow_ups);
    let exports = std::mem::take(&mut draft.exports);
    let cuts = std::mem::take(&mut draft.cuts);
    let (releases, acked) = (draft.releases, draft.acked);
    let (changes, presence) = draft.into_changes();
    Ok(Decision {
        changes,
        presence,
        pushes,
        wakes,
        follow_ups,
        releases,
        exports,
        cuts,
        acked,
        reply,
        refused,
        revision,
    })
}

/// Whether the command says that a stream cannot be written to, which is no time to write to it.
fn is_unsent(command: &Command) -> bool {
    matches!(command, Command::Worker(worker) if matches!(worker.frame, WorkerFrame::Unsent(_)))
}

fn dispatch(draft: &mut Draft<'_>, command: &Command) -> Result<Reply, Stop> {
    match command {
        Command::Open(open) => open::open(draft, open),
        Command::Update(update) => update::update(draft, update),
        Command::Touch(touch) => touch::touch(draft, touch),
        Command::BeginRequest(begin) => begin_request::begin_request(draft, begin),
        Command::EndRequest(end) => end_request::end_request(draft, end),
        Command::End(end) => end::end(draft, end),
        Command::Reset(reset) => reset::reset(draft, reset),
        Command::ResetCircuit(reset) => circuits::reset_circuit(draft, reset),
        Command::Revoke(asked) => revoke::revoke(draft, asked),
        Command::Purge(purge) => purge::purge(draft, purge),
        Command::Retire(retire) => retention::retire(draft, retire),
        Command::Enqueue(enqueue) => enqueue::enqueue(draft, enqueue),
        Command::Claim(claim) => claim::claim(draft, claim),
        Command::Settle(settle) => settle::settle(draft, settle),
        Command::Requeue(requeue) => requeue::requeue(draft, requeue),
        Command::Discard(discard) => discard::discard(draft, discard),
        Command::Worker(command) => worker::worker(draft, command),
        Command::Assign { instance, skip } => assign::assign(draft, instance, *skip),
        Command::Due(due) => due::due(draft, *due),
        Command::Recheck(no) => session_due::recheck(draft, *no),
        Command::Lapse(epoch) => lapse::lapse(draft, *epoch),
        Command::CalendarDay(day) => calendar::day(draft, *day),
        Command::CalendarDone(day) => calendar::done(draft, *day),
        Command::CompactEvents { through } => compact::compact(draft, *through),
        Command::Declare(asked) => declare::declare(draft, asked),
        Command::Register(asked) => declare::register(draft, asked),
        Command::Release(asked) => let_go::release(draft, asked),
        Command::Attempted(report) => let_go::attempted(draft, report),
        Command::Node(command) => node::node(draft, command),
        Command::ForgetNode(asked) => node::forget(draft, asked),
        Command::Subscription(command) => subscription::subscription(draft, command),
        Command::Drain(command) => drain::drain(draft, command),
        Command::Recovery(command) => recovery::recovery(draft, *command),
        Command::Restore(epochs) => restore::restore(draft, epochs),
        Command::Room(shortage) => Ok(room::note(draft, *shortage)),
        Command::Attached { namespace } => Ok(attached::counts(draft, namespace)),
        Command::Admit { namespace, pool } => Ok(slot::admit_waiting(draft, namespace, pool)),
        Command::LeaseProgress => Ok(lease_progress::lease_progress(draft)),
        Command::LeaseTimes(epochs) => Ok(list_workers::lease_times(draft, epochs)),
        Command::HeldBy(key) => Ok(list_workers::held_by(draft, key)),
        Command::Reap(asked) => reap::reap(draft, asked),
        Command::Explain(asked) => explain::explain(draft, asked),
        Command::ListWorkers { namespace } => Ok(list_workers::list_workers(draft, namespace)),
    }
}
