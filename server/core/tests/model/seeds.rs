//! Seeds: many scripts on two threads, the first failing one cut down to what it needs.
//!
//! A failure is any panic, of the model or of the rules. It is reported once, with its seed and the commands that are
//! left when none of them can be taken away.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use std::thread;
use std::time::{Duration, Instant};

use super::marks::hits::Marks;
use super::script::{Act, Script};
use super::world::{Trace, World};

/// Threads that run seeds.
const THREADS: u64 = 2;
/// Every so many seeds, one is run twice and must do the same both times.
const REPEAT_EVERY: u64 = 32;
/// Runs that cutting a failing script may take.
const CUTS_MAX: usize = 3_000;

const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What was run.
#[derive(Debug, Default)]
pub(crate) struct Total {
    pub(crate) seeds: u64,
    pub(crate) commands: u64,
    pub(crate) marks: Marks,
}

/// A seed that broke a rule.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) report: String,
}

/// Which seeds, and how long at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) first: u64,
    pub(crate) count: u64,
    /// Stops in good order when it is over.
    pub(crate) time_max: Option<Duration>,
}

/// Runs the seeds of a plan until one fails. `prepare` is called on each thread before its first seed.
pub(crate) fn run(plan: Plan, prepare: impl Fn() + Sync) -> Result<Total, Failure> {
    let next = AtomicU64::new(plan.first);
    let stop = AtomicBool::new(false);
    let total = Mutex::new(Total::default());
    let failure = Mutex::new(None);
    let start = Instant::now();
    let work = || {
        prepare();
        let mut own = Total::default();
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let late = plan.time_max.is_some_and(|max| start.elapsed() > max);
            if seed >= plan.first + plan.count || late {
                break;
            }
            match seed_passes(seed) {
                Ok(world) => own.add(&world),
                Err(said) => {
                    stop.store(true, Ordering::Relaxed);
                    let mut failure = failure.lock().unwrap();
                    if failure.is_none() {
                        *failure = Some((seed, said));
                    }
                }
            }
        }
        let mut total = total.lock().unwrap();
        total.seeds += own.seeds;
        total.commands += own.commands;
        total.marks.add(&own.marks);
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(work);
        }
    });
    match failure.into_inner().unwrap() {
        Some((seed, said)) => {
            prepare();
            Err(Failure {
                seed,
                report: report(seed, &said),
            })
        }
        None => Ok(total.into_inner().unwrap()),
    }
}

impl Total {
    fn add(&mut self, world: &World) {
        self.seeds += 1;
        self.commands += world.commands;
        self.marks.add(&world.model.marks);
    }
}

fn seed_passes(seed: u64) -> Result<World, String> {
    let script = Script::of(seed);
    if !seed.is_multiple_of(REPEAT_EVERY) {
        return attempt(&script, &script.acts, Trace::default());
    }
    let traced = || Trace {
        hash: Some(HASH_START),
        lines: None,
    };
    let first = attempt(&script, &script.acts, traced())?;
    let second = attempt(&script, &script.acts, traced())?;
    if first.trace.hash == second.trace.hash {
        Ok(first)
    } else {
        Err("two runs of the seed differ".to_owned())
    }
}

/// Runs acts; a panic becomes what it said.
fn attempt(script: &Script, acts: &[Act], trace: Trace) -> Result<World, String> {
    install_hook();
    let mut world = World::new(script.policy.clone(), trace);
    QUIET.set(true);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        for (place, act) in acts.iter().enumerate() {
            world.act(*act);
            if place % 16 == 0 {
                world.store.check_indexes();
            }
        }
        if script.heals {
            world.rng = fastrand::Rng::with_seed(0);
            world.note_line("well");
            world.heal();
        }
        world.commit();
        world.store.check_indexes();
    }));
    QUIET.set(false);
    match ended {
        Ok(()) => Ok(world),
        Err(_) => {
            let mut said = SAID.take();
            for line in world.trace.lines.into_iter().flatten() {
                said.push('\n');
                said.push_str(&line);
            }
            Err(said)
        }
    }
}

/// The seed, what broke, and the shortest script that still breaks.
fn report(seed: u64, said: &str) -> String {
    let script = Script::of(seed);
    let acts = cut(&script, said);
    let trace = Trace {
        hash: None,
        lines: Some(Vec::new()),
    };
    let told = match attempt(&script, &acts, trace) {
        Ok(_) => "the cut script passes: run the seed itself".to_owned(),
        Err(told) => told,
    };
    format!(
        "SEED={seed}\n{said}\n--- cut to {} of {} acts, policy {:?}:\n{told}\n--- again with SESSIOND_SEED={seed}",
        acts.len(),
        script.acts.len(),
        script.policy,
    )
}

/// Leaves out acts, many at a time and then one by one, as long as it still fails in the same place.
fn cut(script: &Script, said: &str) -> Vec<Act> {
    let place = |said: &str| said.lines().next().unwrap_or_default().to_owned();
    let wanted = place(said);
    let fails = |acts: &[Act]| match attempt(script, acts, Trace::default()) {
        Ok(_) => false,
        Err(said) => place(&said) == wanted,
    };
    let mut acts = script.acts.clone();
    let mut runs = 0;
    let mut size = acts.len() / 2;
    while size > 0 {
        let mut shorter = false;
        let mut at = 0;
        while at < acts.len() && runs < CUTS_MAX {
            let mut fewer = acts.clone();
            fewer.drain(at..(at + size).min(fewer.len()));
            runs += 1;
            if fails(&fewer) {
                acts = fewer;
                shorter = true;
            } else {
                at += size;
            }
        }
        if !shorter || size > 1 {
            size = if size == 1 { 0 } else { size / 2 };
        }
    }
    acts
}

/// Panics of a run are kept instead of printed.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if QUIET.get() {
                SAID.set(info.to_string());
            } else {
                before(info);
            }
        }));
    });
}
