//! Rare states of sessions that are exported before they are deleted. Each must be met as all others must.

use super::marks;

marks! { Exports {
    /// A session was to be deleted that nobody had exported.
    Missing,
    /// A session was to be deleted that had changed since it was exported.
    Outdated,
    /// The same, and its newest event was the same one.
    OutdatedSilently,
    /// A session was deleted that was exported some time before.
    Kept,
    /// A session was on record long enough, and an export of it was asked for.
    Asked,
    /// The same with dead letters.
    AskedWithLetters,
    /// It was asked for, and came.
    Retired,
    /// It came, and a required subscription had come since that has not heard of the session.
    RetiredUnheard,
    /// It came once the session was gone.
    RetiredLate,
    /// Dead letters stayed longer, to go with their session.
    LettersStayed,
}}
