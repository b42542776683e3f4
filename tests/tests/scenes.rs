//! Scenes: what people complained of, played against a server whose time is in the test's hands.
//!
//! Each is named after the complaint that caused it and goes through the wire. The rules that they come down to have
//! tests of their own in `rules.rs`; here it is shown that together they keep the complaint from coming true.

#[path = "scenes/absent.rs"]
mod absent;
#[path = "scenes/clock.rs"]
mod clock;
#[path = "scenes/crowd.rs"]
mod crowd;
#[path = "scenes/events_kept.rs"]
mod events_kept;
#[path = "scenes/falling_behind.rs"]
mod falling_behind;
#[path = "scenes/full.rs"]
mod full;
#[path = "scenes/full_disk.rs"]
mod full_disk;
#[path = "scenes/hung.rs"]
mod hung;
#[path = "scenes/leftover.rs"]
mod leftover;
#[path = "scenes/overlooked.rs"]
mod overlooked;
#[path = "scenes/returned.rs"]
mod returned;
#[path = "scenes/successor.rs"]
mod successor;
#[path = "scenes/unheard.rs"]
mod unheard;
#[path = "scenes/unnoticed.rs"]
mod unnoticed;
#[path = "scenes/unreleased.rs"]
mod unreleased;
