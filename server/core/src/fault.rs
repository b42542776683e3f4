//! Deliberate faults, each a mistake that a system of this kind has really made: built only to prove that the model
//! test finds them.
//!
//! At most one is active on a thread, chosen by the test. In every other build this file does not exist and
//! `faulty!` is `false`.

use std::cell::Cell;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

faults! {
    /// An ack counts whatever hand-out it is of.
    AckUnfenced,
    /// A lapse does not count the attempt, so a deadly message goes out for ever.
    LapseUncounted,
    /// The deadline of an end writes its event twice.
    EndTwice,
    /// A draining session keeps its key.
    KeyKept,
    /// A message's name is written without looking whether it is known.
    NameUnchecked,
    /// A lease is taken under the token of the one before it.
    EpochReused,
    /// New messages pass a returned one in a strict queue.
    BarrierIgnored,
    /// A new session begins with an empty queue beside the held one.
    HeldForgotten,
    /// A reset that keeps messages behind takes them over all the same.
    CarryIgnored,
    /// A purge deletes what waits for the next session of its key.
    HeldPurged,
    /// An ended session is purged while something of it is left outside.
    UnreleasedPurged,
    /// The end of a session leaves what it has outside as it is.
    ResourcesKept,
    /// A resource that is gone goes once more with the next report.
    ReleasedTwice,
    /// An attempt that knew only the mark of a resource counts after its registration.
    StaleAttempt,
    /// What an agent says that lost its node counts.
    FencedAgentHeard,
    /// A machine takes over the name of another one on which something is left.
    NodeMoved,
    /// A slot that was kept for a successor is given to whoever waits.
    SlotNotPassed,
    /// A full pool evicts one session after the other while the first one's resources go.
    VictimsPileUp,
    /// A successor begins while something of its predecessor is left outside.
    PredecessorIgnored,
    /// A calendar's day is begun again whenever it is said to have come.
    DayTwice,
    /// An ended session goes although messages of it wait for the next one.
    RetentionBlind,
    /// A session is deleted whatever became of it since it was exported.
    ExportOutdated,
    /// A session that was on record long enough goes without an export.
    RetiredUnexported,
    /// The oldest message stays the oldest after it is gone.
    OldestStale,
    /// Deleting a discarded message leaves it counted.
    DiscardLeaks,
    /// A nack with RETRY refunds the attempt.
    RetryRefunded,
    /// A letter that is brought back keeps its attempts.
    RequeueCounted,
    /// A letter that goes into another queue stays in its own too.
    RequeueCopied,
    /// A letter that is thrown away stays counted as one.
    DiscardKept,
    /// A control mutation is done without leaving its record.
    RequestUnrecorded,
    /// What a replaced session's worker has in flight is handed out again at once.
    SupersededEarly,
    /// The log is cut wherever it is long enough.
    CompactedInTwo,
    /// After a restart nobody has anything in flight, so nobody stands still.
    RestoredUnloaded,
    /// An ended lease's room is not given to the leases that wait.
    RoomUnfilled,
    /// An index entry outlives the row it follows from.
    IndexStale,
    /// An instance may take a session that another one holds.
    HolderIgnored,
    /// A request whose caller is gone stays live.
    RequestImmortal,
    /// A live request does not protect its session.
    RequestUnprotected,
    /// An end does not wait for requests.
    DrainIgnoresRequests,
    /// A session that is past a limit and in use is looked at again too late.
    RecheckLate,
    /// The pause after a nack does not grow.
    BackoffFlat,
    /// A nack that says that nothing failed counts as a failure of its kind.
    DeferFails,
    /// All messages after the pause of an open circuit are let through.
    ProbeUnlimited,
    /// An ack leaves the failures of its kind counted.
    CircuitKept,
    /// A settlement is no progress.
    SettleUnmoved,
    /// What a stuck worker held comes back uncounted.
    StuckUncounted,
    /// A worker's failure is not counted.
    FailureUncounted,
    /// A suspended session is given to workers all the same.
    SuspendedServed,
    /// A worker that was let go does not get its session back.
    RestForgotten,
    /// A warning leaves no trace, and is written again and again.
    WarningForgotten,
    /// A slot that frees is given to nobody that waits for it.
    LineForgotten,
    /// Whoever came last is let in first.
    LineReversed,
    /// A pool takes one session more than it may.
    SlotOverrun,
    /// Messages of a session that waits for its slot are handed out.
    QueuedServed,
    /// A session that is in use is ended to make room.
    BusyEvicted,
    /// Workers hold one session more of a pool than they may.
    AttachedOverrun,
    /// The order of idleness is believed although sessions were used since.
    RankTrusted,
    /// What interrupts goes out beside the work that it stops.
    CancelIgnored,
    /// What is stopped comes back as an attempt that counts.
    CancelCounted,
    /// A newer message replaces what is in flight too.
    InFlightCoalesced,
    /// Each message that waits for a pause moves its end away, as often as one comes.
    PauseEndless,
    /// Messages that are collected go out like all others.
    CollectMixed,
    /// What adds is taken although the disk is short of room.
    ShortageIgnored,
    /// A message that is known is refused while the disk is short of room.
    ShortageForKnown,
    /// A session begins although every session is to end.
    OpenedWhileDraining,
    /// A session that was to do its work first is ended with the server.
    AfterPendingDrained,
    /// A drain is closed although sessions live.
    DrainForgotten,
    /// A drain is called off although it has begun to end sessions.
    DrainCancelledLate,
    /// A drain begins and nobody is told.
    DrainUnannounced,
    /// Events are deleted that a subscription did not acknowledge.
    HoldForgotten,
    /// A subscription that is stale holds the log all the same.
    StaleHolds,
    /// Two consumers read for one subscription.
    ConsumedTwice,
    /// Whoever lost a subscription acknowledges for it.
    AckByAnybody,
    /// A later acknowledgement of less counts.
    AckGoesBack,
    /// A session goes although a required subscription did not hear of its end.
    PurgedUnheard,
}

thread_local! {
    static ACTIVE: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Makes the rules wrong in one way on this thread, or right again.
pub fn activate(fault: Option<Fault>) {
    ACTIVE.set(fault);
}

/// Whether the rules are to be wrong in this way.
pub(crate) fn active(fault: Fault) -> bool {
    ACTIVE.get() == Some(fault)
}
