//! Rare states of what sessions have outside, and of those that wait for it. Each must be met as all others must.

use super::marks;

marks! { Outside {
    /// A resource was declared under a lease that did not hold the session.
    DeclareFenced,
    /// A session had as many resources as it may, none of them released.
    TooMany,
    /// A released resource was forgotten for a new one.
    Forgotten,
    /// The declaration of a forgotten resource was repeated.
    ForgottenRepeated,
    /// That of a resource that is gone was.
    GoneRepeated,
    /// A resource was registered while it was to go.
    RegisteredInRelease,
    /// A resource was registered twice as the same.
    RegisteredAgain,
    /// A resource was to be registered as something else than it is.
    RegisteredOther,
    /// A resource was to be registered that was gone.
    RegisteredLate,
    /// A resource was let go before its session ended.
    ReleasedInUse,
    /// An operator forced a resource.
    Forced,
    /// An operator forced what had not gone.
    ForcedLingering,
    /// A resource did not go when it was to.
    Lingers,
    /// It did not go for another cause than before.
    LingersOtherwise,
    /// A resource in use was found gone.
    FoundGone,
    /// A resource in use did not go, which it was not to.
    LeftInUse,
    /// A report was about a resource that was gone, or that there never was.
    ReportStale,
    /// A report was of an attempt that began before the resource was registered.
    ReportOutdated,
    /// A report was of somebody who may not speak of its machine.
    ReportUnheard,
    /// An agent spoke of a node that it had lost.
    AgentFenced,
    /// A resource was declared on a node that there never was.
    NodeUnknown,
    /// An agent came while another one had the node.
    NodeHeld,
    /// An agent took a node over from one that was silent.
    NodeSilent,
    /// The agent of a node came back.
    NodeBack,
    /// Another machine came under the name of one on which something was left.
    NodeElsewhere,
    /// Another machine took a name over from one on which nothing was left.
    NodeMoved,
    /// A node was forgotten.
    NodeForgotten,
    /// A node was to be forgotten that somebody needs.
    NodeNeeded,
    /// What belonged to a lease was to go when the lease lapsed.
    LeaseLapsed,
    /// The same, when its worker gave the lease back.
    LeaseReturned,
    /// The same, when its worker was stuck.
    LeaseStuck,
    /// The same, when an operator took the lease.
    LeaseRevoked,
    /// A lease ended and left what belonged to its session or to an earlier lease.
    LeaseSpared,
    /// The last resource of a session was gone while it drained.
    GoneInDrain,
    /// A session ended after all it had outside was gone.
    GoneBeforeEnd,
    /// A session ended and kept its slot, for which others waited.
    SlotKept,
    /// A kept slot became free, and somebody in the line had it.
    SlotFreed,
    /// A kept slot passed to the successor while others waited for one.
    SlotPassed,
    /// The same in a pool that has more sessions than it may.
    SlotPassedOverfull,
    /// A session began behind an earlier one of its key.
    Behind,
    /// The earlier one drained by then.
    BehindDraining,
    /// A session gave way to one of another pool, and was waited for all the same.
    BehindElsewhere,
    /// A session that waited behind another took its turn in a line.
    BehindInLine,
    /// A session began or was let in although one that was opened sooner waited behind another.
    Overtaken,
    /// A session that waited behind another gave way to a successor, who waited on.
    SuccessorOfWaiter,
    /// The same, in another pool.
    SuccessorOfWaiterElsewhere,
    /// A session that would have had a slot passed to it ended before.
    HeirEnded,
    /// A session waited behind another for as long as it would.
    BehindInVain,
    /// Somebody would have waited for longer, behind what is waited for as long as it takes.
    WaitUnbounded,
    /// A pool evicted nobody because a slot was about to be free.
    EvictionHeldBack,
    /// A pool evicted somebody although something of another did not go.
    EvictedBesideLingering,
    /// Whoever ended to make room kept the slot for now.
    RoomComes,
    /// A session with something outside was to be purged.
    PurgeRefused,
    /// It had been on record long enough, and stayed.
    RetentionExcused,
    /// A session was purged with the record of what it had outside.
    PurgedWithRecord,
}}
