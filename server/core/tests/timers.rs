//! The timers on simulated time, scripted: each alone, at the instant before and at its own, and each against each.
//!
//! Every step is held against the reference model too, so what happens beside what a test looks at is checked as well.

#[expect(
    clippy::unwrap_used,
    dead_code,
    reason = "all of it is test code, which stops at what cannot be, and uses a part of what the model has"
)]
#[path = "model/harness.rs"]
mod harness;

#[path = "timers/desk.rs"]
mod desk;
#[path = "timers/limits.rs"]
mod limits;
#[path = "timers/outside.rs"]
mod outside;
#[path = "timers/races.rs"]
mod races;
#[path = "timers/requests.rs"]
mod requests;
#[path = "timers/restarts.rs"]
mod restarts;
#[path = "timers/unwatched.rs"]
mod unwatched;
#[path = "timers/workers.rs"]
mod workers;
