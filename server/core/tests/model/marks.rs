//! Rare states that a run must have met, or it proves less than it seems to. A mark is hit where the model itself reaches
//! the state; one that nobody hits fails the run.

pub(crate) mod drains;
pub(crate) mod exports;
pub(crate) mod hits;
pub(crate) mod outside;
pub(crate) mod subscriptions;

macro_rules! marks {
    ($list:ident { $($(#[$doc:meta])* $name:ident,)* }) => {
        /// A state worth meeting.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $list {
            $($(#[$doc])* $name,)*
        }

        impl $list {
            /// What all of them are called, in order.
            pub(crate) const NAMES: &[&str] = &[$(stringify!($name),)*];
        }
    };
}
pub(crate) use marks;
marks! { Mark {
    /// An ack came after the lease lapsed and counted.
    LateAckAccepted,
    /// An ack came after the message was handed out again and did not count.
    LateAckRefused,
    /// An ack came after its session ended.
    AckAfterEnd,
    /// An ack under a replaced session's lease settled a message of its successor.
    AckAfterMove,
    /// An ack took a message out of the dead letters.
    AckOfDeadLetter,
    /// An ack was faster than the deletion of a discarded queue.
    AckBeforeDiscard,
    /// A nack or extend came with an old token.
    Fenced,
    /// A settlement named a message that never was.
    UnknownMessage,
    /// A settlement came twice.
    AlreadySettled,
    /// A settlement came from another namespace.
    ForeignNamespace,
    /// A session was replaced with deliveries in flight.
    ReplaceInFlight,
    /// A session of a full pool was replaced.
    ReplaceInFullPool,
    /// A session was reset with deliveries in flight, which went over.
    ResetInFlight,
    /// A reset left pending messages behind as dead letters.
    ResetKept,
    /// A reset deleted pending messages.
    ResetDiscarded,
    /// A session without a key was reset with messages.
    ResetWithoutKey,
    /// A queue with messages that were given up before went over to another session.
    DeadLettersMoved,
    /// A purge deleted messages that a worker had in flight.
    PurgeInFlight,
    /// A session was purged whose queue its successor has.
    PurgeOfPredecessor,
    /// A purge would have deleted messages that wait for the next session of a key.
    PurgeOfHeldRefused,
    /// A purge did, as it was told to.
    PurgeOfHeld,
    /// An ended session had been on record long enough.
    SessionRetired,
    /// It had, and stayed for its messages.
    RetentionExcused,
    /// A message that was given up by itself was kept long enough.
    LetterExpired,
    /// What a session's end gave up was kept long enough.
    DeadQueueExpired,
    /// A request was repeated whose session was purged since.
    SubjectPurged,
    /// Old events were deleted.
    Compacted,
    /// With them went more of the decision that the last of them was of.
    CompactedWhole,
    /// A day of the calendar came.
    DayCame,
    /// It was said to have come again.
    DayCameAgain,
    /// A day came long before the one that was known.
    DayFarBack,
    /// A new session took over a held queue with messages.
    HeldAdopted,
    /// A held queue was given up.
    HeldExpired,
    /// A draining session ended at its deadline with work open.
    DrainedByDeadline,
    /// A draining session ended with the last ack or nack.
    DrainedBySettle,
    /// A draining session ended because its worker gave its deliveries back.
    DrainedByReturn,
    /// A second end made the first one shorter.
    EndShortened,
    /// An end had nothing left to do.
    AlreadyEnded,
    /// A sweep with tighter limits ended what its own limits would not have.
    Swept,
    /// A sweep found a limit passed and the session in use.
    SweepSpared,
    /// A session was used in the very millisecond in which a sweep came to it.
    SweepAfterTouch,
    /// A key had a draining session and a live one.
    SuccessorBesideDraining,
    /// A reconnecting worker did not list a delivery and got it again.
    ResumeUnlisted,
    /// A reconnecting worker listed a lease that was gone.
    ResumeGone,
    /// A reconnecting worker did not list a lease and lost it.
    LeaseUnlisted,
    /// A claim's lease went on as a stream's by resume.
    ClaimResumed,
    /// A claim's lease was taken over by an attach.
    ClaimAttached,
    /// A delivery that was never written came back.
    UnsentReturned,
    /// The same was said too late.
    UnsentIgnored,
    /// The same was said too late, of a lease of which the new stream was told nothing.
    UnsentSuperseded,
    /// A message was sent twice under one name.
    DuplicateName,
    /// A name was used again after its time.
    NameForgotten,
    /// A batch repeated a name within itself.
    DuplicateInBatch,
    /// A queue had too many messages.
    FullOfMessages,
    /// A queue had too many bytes.
    FullOfBytes,
    /// A message was handed out as often as allowed and lapsed.
    DeadByLapse,
    /// A message was handed out as often as allowed and came back with RETRY.
    DeadByRetry,
    /// A worker said that a message cannot succeed.
    DeadByWord,
    /// A dead letter went back into its own queue.
    RequeuedHome,
    /// A dead letter went into another queue.
    RequeuedElsewhere,
    /// A letter that a session's end had left was brought back.
    RequeueOfEnded,
    /// A letter was still held by a worker.
    RequeueInFlight,
    /// A letter had no live session to go to.
    RequeueWithoutSession,
    /// The queue of a letter's new session knew its name.
    RequeueDuplicate,
    /// A call brought back what there was room for.
    RequeueInPart,
    /// A call that named a session without room was refused.
    RequeueRefused,
    /// A call told what it would do.
    RequeueForeseen,
    /// A pending message was thrown away.
    DiscardedPending,
    /// A dead letter was thrown away.
    DiscardedLetter,
    /// A message that held others back was thrown away.
    DiscardedBarrier,
    /// A message to be thrown away was in flight.
    DiscardInFlight,
    /// A draining session ended with the last message that was thrown away.
    DrainedByDiscard,
    /// A lease lapsed that the server's own absence kept from renewing.
    RestartRefund,
    /// A lease lapsed with deliveries out.
    LapsedInFlight,
    /// A superseded lease's time was over with deliveries out.
    SupersededReturned,
    /// A worker gave back what it had of a session that was over.
    SupersededDetached,
    /// A claim was answered with what it had before.
    ClaimAgain,
    /// A claim found nothing and took no lease.
    ClaimEmpty,
    /// A session was held by somebody else.
    LeaseHeld,
    /// A pool was full.
    TooManySessions,
    /// An id was taken.
    IdInUse,
    /// A key was taken.
    KeyInUse,
    /// A control mutation was repeated.
    RequestRepeated,
    /// A request id was used for something else.
    RequestReused,
    /// A request id was used again after its time.
    RequestForgotten,
    /// An update was too late.
    EtagRefused,
    /// A session ended idle.
    EndedIdle,
    /// A session ended at its age limit.
    EndedExpired,
    /// A session lost its owner.
    EndedOwnerLost,
    /// A session passed a limit and was in use.
    Protected,
    /// A session that had passed a limit was used, and looked at no sooner for it.
    ProtectedUse,
    /// The server found a worker for a session.
    Assigned,
    /// An instance opened a second stream.
    StreamReplaced,
    /// A worker left with leases.
    GoodbyeWithLeases,
    /// A worker that had said goodbye asked for a session.
    AttachAfterGoodbye,
    /// A worker gave back a session that there never was.
    DetachUnknown,
    /// A message waited for room in a window.
    WindowFull,
    /// A message waited for bytes in a window.
    WindowBytesFull,
    /// A message larger than the window went out alone.
    Oversize,
    /// A message waited for one before it that pauses.
    BarrierHeld,
    /// A message passed one before it that pauses.
    RelaxedPassed,
    /// Another worker's volatile attributes were voided.
    VolatileVoided,
    /// A worker got its volatile attributes back under a new token.
    VolatileKept,
    /// A queue was deleted.
    Discarded,
    /// A message became due by its sender's time.
    DeferredDue,
    /// A message opened its session.
    OpenedByEnqueue,
    /// Failures in a row opened a circuit.
    CircuitOpened,
    /// A message was skipped.
    CircuitSkipped,
    /// A message was let through an open circuit.
    CircuitProbed,
    /// Another one was, for nothing was heard of the first.
    CircuitProbedAgain,
    /// A failure came while a probe was out.
    CircuitProbeFailed,
    /// An ack closed an open circuit.
    CircuitClosed,
    /// An operator did.
    CircuitReset,
    /// A pending message gave way to a newer one with its coalesce key.
    Superseded,
    /// Several did.
    SupersededSeveral,
    /// One that held a strict queue back did.
    SupersededPause,
    /// One in flight did not.
    InFlightSpared,
    /// A message came while others waited for a pause.
    PauseProlonged,
    /// It came so late that the pause ended no later.
    PauseBounded,
    /// A pause was over.
    PauseOver,
    /// It let several messages go.
    PauseOverSeveral,
    /// What it held back was gone by then.
    PauseForNothing,
    /// Messages that are collected went out together.
    Collected,
    /// One waited for what was in flight.
    CollectWaited,
    /// A message that steers went out before one that was there first.
    SteerFirst,
    /// A message that steers passed one that pauses.
    SteerPassedPause,
    /// A message interrupted what was in flight.
    Interrupted,
    /// Another one came before that was stopped.
    InterruptedAgain,
    /// A worker stopped.
    CancelStopped,
    /// A worker had finished.
    CancelFinished,
    /// A worker could not stop.
    CancelFailed,
    /// A worker did not answer in time.
    CancelUnanswered,
    /// A lease lapsed while its worker was to stop.
    CancelLapsed,
    /// A worker without a stream claimed anew instead of an answer.
    CancelByClaim,
    /// A worker came back on another stream while it was to stop.
    CancelToldAgain,
    /// The server restarted with deliveries out.
    RestartInFlight,
    /// A worker with nothing to do was let go.
    Rested,
    /// It got its session back.
    RestOver,
    /// It was told that its session ended meanwhile.
    RestEnded,
    /// An end by idleness was warned of.
    WarnedIdle,
    /// An end by age was warned of.
    WarnedAge,
    /// A second end of one limit was warned of.
    WarnedAgain,
    /// A session in use was not warned of a limit that does not end it.
    WarningSpared,
    /// A worker was found stuck.
    Stuck,
    /// A worker without a stream was found stuck.
    StuckClaim,
    /// A draining session ended because its stuck worker lost its deliveries.
    DrainedByStuck,
    /// A message was handed out as often as allowed, and its worker was stuck.
    DeadByStuck,
    /// A session ended with its stuck worker.
    EndedStuck,
    /// A worker came back without what it held, which is a failure.
    RestartCounted,
    /// Workers failed too often.
    RestartLimited,
    /// A session ended because its workers failed too often.
    EndedLimited,
    /// A worker was refused a suspended session.
    SuspendedRefused,
    /// A suspension was over in time.
    SuspensionLifted,
    /// A suspension was reset.
    SuspensionReset,
    /// A lease was revoked with deliveries out.
    Revoked,
    /// A lease was to be revoked that was another one.
    RevokeFenced,
    /// A session was to be taken that nobody held.
    RevokeNothing,
    /// A request was renewed while its session waited for it.
    RequestRenewedInDrain,
    /// A request was renewed too late.
    RequestRenewedLate,
    /// A request ended twice, or after its lease or its session.
    RequestEndedAgain,
    /// A request that never was should have ended.
    RequestUnknown,
    /// A request was named by a key that had gone on to another session.
    RequestOfEarlier,
    /// A draining session ended with its last request.
    DrainedByRequest,
    /// A draining session ended when its last request's lease was over.
    DrainedByLapse,
    /// A grace was over before a request.
    DrainedInRequest,
    /// A session ended with requests that nobody waited for.
    RequestVoided,
    /// A request alone protected its session from a limit.
    RequestProtects,
    /// A session had to wait for a slot.
    Queued,
    /// A session that waited got its slot.
    Admitted,
    /// The same, with messages that came meanwhile.
    AdmittedWithWork,
    /// A restart with other limits let somebody in.
    AdmittedAtRestart,
    /// A session waited for a slot in vain.
    WaitedInVain,
    /// A session lost its owner while it waited.
    WaiterLost,
    /// A session was ended while it waited.
    WaiterEnded,
    /// A session was replaced while it waited.
    PlaceTakenOver,
    /// Room came to be had while somebody waited.
    RoomMadeForWaiter,
    /// A session that was idle for long ended to make room.
    SweptIdle,
    /// A session that was old ended to make room.
    SweptAged,
    /// The room made was not enough.
    SweptInVain,
    /// The idlest session ended to make room.
    Evicted,
    /// A worker asked for one session more of a pool than workers may hold.
    TooManyAttached,
    /// A session that was idle for longer was in use and stayed.
    BusyPassedOver,
    /// The disk was too short of room for more.
    StoreFull,
    /// It was, and a message that was known was answered all the same.
    KnownWhileShort,
    /// It was, and a session was found.
    FoundWhileShort,
    /// It was, and a session gave way to another.
    ReplacedWhileShort,
    /// It was, and something was settled.
    SettledWhileShort,
}}
