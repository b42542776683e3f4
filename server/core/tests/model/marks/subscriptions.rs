//! Rare states of subscriptions. Each must be met as all others must.

use super::marks;

marks! { Subscriptions {
    /// One was made that existed as it was to be.
    Found,
    /// One was made that existed otherwise.
    Differs,
    /// One was to be made while the disk was short of room.
    StoreFull,
    /// Its making was repeated once it was gone.
    RepeatedOnceGone,
    /// A consumer came while another one read.
    Held,
    /// A consumer took over from one that read.
    TakenOver,
    /// A consumer came back under its token.
    ComesBack,
    /// A consumer came by another watch while it had one.
    ComesAgain,
    /// It came by one that it had begun before that.
    ComesLate,
    /// A watch was gone that was no longer its consumer's.
    LeftLate,
    /// A watch was cut.
    Cut,
    /// An acknowledgement came under an earlier token.
    AckFenced,
    /// One was of what was not sent yet.
    AckTooFar,
    /// One was of less than was acknowledged.
    AckAgain,
    /// One was of an event in the middle of a decision.
    AckInMiddle,
    /// One came while its consumer had no watch.
    AckWhileAway,
    /// One was behind, and not too far.
    BehindALittle,
    /// One was behind for too long.
    StaleByAge,
    /// One was not, and too much of the log was behind it.
    StaleBySize,
    /// A stale one was to be used.
    StaleRefused,
    /// A stale one was moved, and is active again.
    SeekOfStale,
    /// One was moved back.
    SeekBack,
    /// One was to begin where the log is deleted.
    StartCompacted,
    /// One was to begin where it is not written yet.
    StartAhead,
    /// One began in the middle of a decision.
    StartInMiddle,
    /// The log was to be deleted further than a subscription let.
    HeldLog,
    /// A session was to be deleted of which a required one had not heard all.
    PurgeUnheard,
    /// Its retention was over, and it stayed for that.
    RetentionUnheard,
    /// It was deleted without, after its time.
    DeletedUnheard,
}}
