//! Rare states of a server that is about to go. Each must be met as all others must.

use super::marks;

marks! { Drains {
    /// A drain was begun while one was open.
    Joined,
    /// A drain was to be closed while sessions lived.
    ClosedEarly,
    /// A session was to end although no drain was open.
    NoneOpen,
    /// A session that was to do its work first was left to it.
    LeftToItsWork,
    /// A session ended with something under way.
    EndedLate,
    /// A session that waited for its slot ended.
    WaiterEnded,
    /// A session waited for what was under way.
    Waits,
    /// A session was to begin while a drain was open.
    OpenRefused,
    /// A server died with a drain open.
    FoundAtStart,
    /// A server died when all had ended, and before it said so.
    FoundUnreported,
    /// A server went without ending anything.
    Kept,
    /// A drain was closed while sessions did their work first.
    ClosedWithSomeLeft,
    /// A session was live when the server died, and ended for that.
    Crashed,
    /// A server started after one that had gone in order.
    WentInOrder,
    /// A drain was only announced.
    Announced,
    /// It was called off.
    Cancelled,
    /// One was to be called off that was not only announced.
    CancelledLate,
    /// One was to be called off where none was open.
    CancelledNone,
    /// A drain was said to be over that was not open, or whose sessions lived.
    ReportedOutOfTurn,
}}
