//! Four timers, four reasons: each alone, and each against each other one at one instant, two milliseconds and half a
//! minute apart.
//!
//! Idle, age, owner and stuck end the session (the last where the policy says so), a lost worker costs the lease. A
//! timer whose condition another one's doing takes away does not fire any more; each fires at most once.

use sessiond_core::command::TimeoutOverrides;
use sessiond_core::event::EventKind;
use sessiond_core::limits::{Policy, WorkerCost};
use sessiond_core::session::EndReason;
use sessiond_core::time::{Limit, Span};

use super::desk::{Desk, MINUTE, SECOND, Worker, after, patient, s, unlimited};

/// What can run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timer {
    Idle,
    Age,
    Owner,
    Stuck,
    Lost,
}

const TIMERS: [Timer; 5] = [
    Timer::Idle,
    Timer::Age,
    Timer::Owner,
    Timer::Stuck,
    Timer::Lost,
];

/// A session with some timers, each of which runs out so many milliseconds from its start.
struct Race {
    desk: Desk,
    worker: Option<Worker>,
    start: u64,
    /// Whether the worker is heard to the end: it is lost one lease after it is not.
    silent_from: Option<u64>,
}

fn lease() -> u64 {
    Policy::default().stream_lease.0
}

impl Race {
    fn of(timers: &[(Timer, u64)]) -> Self {
        let at = |timer| timers.iter().find(|(t, _)| *t == timer).map(|(_, at)| *at);
        // A limit is passed when strictly more time is gone.
        let limit = |timer| at(timer).map(|at| Limit::After(Span(at - 1)));
        let limits = TimeoutOverrides {
            idle: limit(Timer::Idle).or(Some(Limit::Never)),
            // Held work excuses age up to twice its value.
            lifetime: match (limit(Timer::Age), at(Timer::Stuck).or(at(Timer::Lost))) {
                (Some(_), Some(_)) => at(Timer::Age).map(|at| Limit::After(Span((at - 1) / 2))),
                (limit, _) => limit.or(Some(Limit::Never)),
            },
            owner: limit(Timer::Owner).or(Some(Limit::Never)),
        };
        let policy = Policy {
            stuck_after: limit(Timer::Stuck).unwrap_or(Limit::Never),
            on_stuck: WorkerCost::End,
            ..patient()
        };
        let mut desk = Desk::open(policy, limits);
        let start = desk.now();
        let held = at(Timer::Stuck).or(at(Timer::Lost));
        let worker = held.map(|_| {
            desk.send(s());
            let worker = desk.hello("w", None);
            desk.attach(&worker);
            worker
        });
        let silent_from = at(Timer::Lost).map(|at| start + at - lease());
        Self {
            desk,
            worker,
            start,
            silent_from,
        }
    }

    /// Runs until so long after the start; the worker is heard as long as it is.
    fn run(&mut self, until: u64) {
        let target = self.start + until;
        while self.desk.now() < target {
            let quiet = self.silent_from.unwrap_or(u64::MAX);
            let next = (self.desk.now() + 5 * SECOND).min(target);
            let next = if self.desk.now() < quiet {
                next.min(quiet)
            } else {
                next
            };
            self.desk.pass(next - self.desk.now());
            if self.desk.now() <= quiet
                && let Some(worker) = &self.worker
            {
                let heartbeat = sessiond_core::command::WorkerFrame::Heartbeat;
                self.desk.say(worker, heartbeat);
            }
        }
    }

    /// What came of it: why the session ended and how long after the start, and how often a worker was lost or stuck.
    fn result(&self) -> (Option<(EndReason, u64)>, usize, usize) {
        let end = self.desk.end();
        (
            end.map(|(reason, at)| (reason, at - self.start)),
            self.desk.count(EventKind::WorkerLost),
            self.desk.count(EventKind::WorkerStuck),
        )
    }
}

fn reason(timer: Timer) -> Option<EndReason> {
    match timer {
        Timer::Idle => Some(EndReason::Idle),
        Timer::Age => Some(EndReason::Expired),
        Timer::Owner => Some(EndReason::OwnerLost),
        Timer::Stuck => Some(EndReason::WorkerStuck),
        Timer::Lost => None,
    }
}

/// Proves: B15.
#[test]
fn each_timer_alone_fires_at_its_instant_with_its_reason() {
    const AT: u64 = 4 * MINUTE + 1;
    for timer in TIMERS {
        let mut race = Race::of(&[(timer, AT)]);
        race.run(AT - 1);
        assert_eq!(
            race.result(),
            (None, 0, 0),
            "{timer:?} a millisecond before"
        );
        race.run(AT);
        let end = reason(timer).map(|reason| (reason, AT));
        let lost = usize::from(timer == Timer::Lost);
        let stuck = usize::from(timer == Timer::Stuck);
        assert_eq!(
            race.result(),
            (end, lost, stuck),
            "{timer:?} at its instant"
        );
        race.run(3 * AT);
        assert_eq!(race.result(), (end, lost, stuck), "{timer:?} once");
    }
}

/// Proves: B15.
#[test]
fn each_pair_of_timers_fires_in_order_and_the_first_reason_holds() {
    const AT: u64 = 4 * MINUTE + 1;
    for first in TIMERS {
        for second in TIMERS {
            if first == second {
                continue;
            }
            for lead in [0, 2, 30 * SECOND] {
                let mut race = Race::of(&[(first, AT), (second, AT + lead)]);
                race.run(2 * AT + lead);
                check(first, second, lead, &race);
            }
        }
    }
}

/// The first end that is not excused holds; at one instant any of the two may be first.
fn check(first: Timer, second: Timer, lead: u64, race: &Race) {
    const AT: u64 = 4 * MINUTE + 1;
    let (end, lost, stuck) = race.result();
    let case =
        format!("{first:?}, {lead} ms later {second:?}: {end:?}, {lost} lost, {stuck} stuck");
    let times = [(first, AT), (second, AT + lead)];
    let at = |timer| times.iter().find(|(t, _)| *t == timer).map(|(_, at)| *at);
    let holds = at(Timer::Stuck).or(at(Timer::Lost)).is_some();
    // What a worker holds or held excuses idleness; once it is gone the message is pending and protects for a day.
    let ends: Vec<(EndReason, u64)> = times
        .iter()
        .filter(|(timer, _)| !(holds && *timer == Timer::Idle))
        .filter_map(|(timer, at)| Some((reason(*timer)?, *at)))
        .collect();
    let Some(earliest) = ends.iter().map(|(_, at)| *at).min() else {
        assert_eq!(end, None, "{case}");
        assert!(lost <= 1 && stuck == 0, "{case}");
        return;
    };
    let Some((why, when)) = end else {
        // A worker that is lost first is not stuck any more, and that was all there was.
        let outrun = at(Timer::Lost) <= at(Timer::Stuck) && ends.len() == 1;
        assert!(outrun && at(Timer::Stuck).is_some(), "{case}");
        assert_eq!((lost, stuck), (1, 0), "{case}");
        return;
    };
    assert!(ends.contains(&(why, when)), "{case}");
    let lost_first = at(Timer::Lost).is_some_and(|at| at <= earliest);
    assert!(when == earliest || lost_first, "{case}");
    assert_eq!(stuck, usize::from(why == EndReason::WorkerStuck), "{case}");
    let lost_at = at(Timer::Lost).unwrap_or(u64::MAX);
    let must = usize::from(lost_at < when);
    let may = usize::from(lost_at <= when);
    assert!((must..=may).contains(&lost), "{case}");
}

#[test]
fn a_worker_that_is_lost_cannot_be_stuck_and_one_that_is_stuck_cannot_be_lost() {
    const AT: u64 = 4 * MINUTE + 1;
    let mut race = Race::of(&[(Timer::Lost, AT), (Timer::Stuck, AT + 1)]);
    race.run(2 * AT);
    assert_eq!(race.result(), (None, 1, 0));
    let mut race = Race::of(&[(Timer::Stuck, AT), (Timer::Lost, AT + 1)]);
    race.run(2 * AT);
    assert_eq!(race.result(), (Some((EndReason::WorkerStuck, AT)), 0, 1));
}

#[test]
fn a_touch_at_the_last_instant_keeps_the_session() {
    let mut limits = unlimited();
    limits.idle = after(MINUTE);
    limits.owner = after(MINUTE);
    let mut desk = Desk::open(patient(), limits);
    for _ in 0..10 {
        desk.pass(MINUTE);
        desk.touch();
    }
    assert_eq!(desk.end(), None);
    desk.pass(MINUTE + 1);
    assert!(desk.end().is_some());
}
