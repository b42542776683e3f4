//! Plugins of the SDK, and a server that is killed under them: each hears of every end, and of nothing it should not.
//!
//! Invariant: what a plugin has handled is kept as its disk would keep it, whatever becomes of the run that handled it; runs
//! are cut off in the midst of an event as often as the server is killed. Events are deleted all the while, so nobody could
//! come back to what was lost. What this deliberately does not do: look at what the server says of itself; one more plugin,
//! which is never cut off, says what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use sessiond_client::{Client, EndSelection, HandlerError, Plugin, PluginEvent, PluginHandler, pb};
use sessiond_tests::progress::Progress;
use sessiond_tests::scale::Scale;
use sessiond_tests::seed;
use sessiond_tests::server::Server;
use tokio::task::JoinHandle;

/// Clients that open and end sessions.
const CALLERS: u32 = 8;

/// How long nothing may get on, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server works at most so long between two kills, and is not killed later than after so many events.
const LIFE_MAX: Duration = Duration::from_millis(250);
const LIFE_EVENTS: u64 = 200;

/// One event in so many fails in its handler.
const FAILS: u32 = 200;

/// The fewest events that may be kept: those of some rounds.
const CONFIG: &str = "[events]\nmax_events = 10_000\n[session]\nmax_sessions = 1_000_000\n";

/// What a plugin has on its disk.
#[derive(Debug, Default)]
struct Notes {
    /// How often each event was handled, by its id.
    handled: BTreeMap<String, u32>,
    /// The ends it knows of, by session.
    ends: BTreeMap<String, u64>,
    /// How many events it knows of.
    known: Progress,
}

/// Notes what it is given, and now and then fails before or after that.
struct NoteTaker {
    notes: Arc<Mutex<Notes>>,
    rng: Mutex<Rng>,
    /// What this run has handled.
    own: Mutex<BTreeSet<u64>>,
}

/// A plugin through all its runs.
struct Subscriber {
    name: &'static str,
    ends_only: bool,
    notes: Arc<Mutex<Notes>>,
    runs: Vec<JoinHandle<()>>,
}

struct Stage {
    runtime: tokio::runtime::Runtime,
    server: Server,
    rng: Rng,
    subscribers: Vec<Subscriber>,
    callers: Vec<JoinHandle<()>>,
    /// Set once no caller may begin anything.
    stop: Arc<AtomicBool>,
    log: JoinHandle<()>,
    told: Arc<Mutex<Told>>,
}

/// What one watch saw of the whole log.
#[derive(Debug, Default)]
struct Told {
    opened: BTreeSet<String>,
    ends: BTreeMap<String, u64>,
    events: BTreeMap<u64, String>,
    progress: Progress,
}

impl PluginHandler for NoteTaker {
    async fn handle(&self, event: PluginEvent) -> Result<(), HandlerError> {
        let (before, after) = {
            let mut rng = self.rng.lock().expect("a source of chance");
            (rng.u32(..FAILS) == 0, rng.u32(..FAILS) == 0)
        };
        if before {
            return Err("it fails before it has noted it".into());
        }
        let mut own = self.own.lock().expect("its own");
        let newest = own.last().copied().unwrap_or(0);
        // What is new to a run comes in order, whatever came again before it.
        let is_new = own.insert(event.revision());
        assert!(!is_new || event.revision() > newest, "{event:?} comes late");
        drop(own);
        self.notes.lock().expect("the notes").take(&event);
        if after {
            return Err("it fails when it has noted it".into());
        }
        Ok(())
    }
}

impl Notes {
    fn take(&mut self, event: &PluginEvent) {
        let times = self.handled.entry(event.id().to_owned()).or_default();
        *times += 1;
        if *times == 1 {
            self.known.step();
        }
        if let (Some(_), Some(session)) = (event.session_end(), event.session()) {
            let known = self
                .ends
                .insert(session.session_id.clone(), event.revision());
            let same = known.is_none_or(|revision| revision == event.revision());
            assert!(same, "{} ends twice", session.session_id);
        }
    }
}

/// Proves: B1, G20.
#[test]
fn every_plugin_hears_of_every_end_whatever_dies() {
    let kills = Scale::from_env().pick(4, 60, 600);
    let mut stage = Stage::new(seed::rng("plugins"));
    for _ in 0..kills {
        stage.round();
    }
    stage.end_all();
    stage.check();
}

impl Stage {
    fn new(mut rng: Rng) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
        let server = Server::configured(CONFIG);
        let told = Arc::new(Mutex::new(Told::default()));
        let client = client(&runtime, &server);
        let log = runtime.spawn(follow(client.clone(), Arc::clone(&told)));
        let stop = Arc::new(AtomicBool::new(false));
        let callers = (0..CALLERS).map(|at| {
            let call = call(client.clone(), at, rng.fork(), Arc::clone(&stop));
            runtime.spawn(call)
        });
        let callers = callers.collect();
        let subscribers = [("memory", true), ("search", false), ("pair", true)];
        let subscribers = subscribers.map(|(name, ends_only)| Subscriber {
            name,
            ends_only,
            notes: Arc::default(),
            runs: Vec::new(),
        });
        let mut stage = Self {
            runtime,
            server,
            rng,
            subscribers: subscribers.into(),
            callers,
            stop,
            log,
            told,
        };
        for at in 0..stage.subscribers.len() {
            stage.begin_run(at);
        }
        // Two runs of it: one reads, the other stands by.
        stage.begin_run(2);
        stage
    }

    /// Another run of a plugin, a process of its own.
    fn begin_run(&mut self, at: usize) {
        let client = client(&self.runtime, &self.server);
        let rng = Mutex::new(self.rng.fork());
        let subscriber = &mut self.subscribers[at];
        let builder = client.plugin(subscriber.name).from_oldest().required();
        let builder = match subscriber.ends_only {
            true => builder.session_ends(),
            false => builder,
        };
        let notes = Arc::clone(&subscriber.notes);
        let own = Mutex::default();
        let run = run(builder.build(), NoteTaker { notes, rng, own });
        subscriber.runs.push(self.runtime.spawn(run));
    }

    fn round(&mut self) {
        let progress = self.progress();
        let last = progress.count() + self.rng.u64(..LIFE_EVENTS);
        // It dies at that event, or before it.
        let _ = progress.reach(last, LIFE_MAX.mul_f64(self.rng.f64()));
        self.server.kill();
        for at in 0..self.subscribers.len() {
            if self.rng.u32(..3) == 0 {
                let runs = &mut self.subscribers[at].runs;
                let dies = self.rng.usize(..runs.len());
                // It dies with whatever it was about.
                runs.remove(dies).abort();
                self.begin_run(at);
            }
        }
        self.server.restart();
        let found_fault = |run: &JoinHandle<()>| run.is_finished();
        let all = self.subscribers.iter().flat_map(|one| &one.runs);
        let all = all.chain(&self.callers).chain([&self.log]);
        assert!(!all.into_iter().any(found_fault), "somebody found fault");
    }

    /// Nobody calls any more, and every session ends.
    fn end_all(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Each hears its last answer: an open under way would outlive the end of all.
        for caller in self.callers.drain(..) {
            let stopped = self.runtime.block_on(caller);
            stopped.expect("a caller finds no fault");
        }
        let client = client(&self.runtime, &self.server);
        let all = EndSelection::Filter(pb::SessionFilter::default());
        let ended = client.end_sessions(all, pb::EndReason::Completed);
        let ended = self.runtime.block_on(ended.send_all());
        self.all_heard(ended.expect("they end").revision);
    }

    /// Waits until everybody has what is in the log.
    fn all_heard(&self, newest: u64) {
        // Events are numbered from 1 on.
        let seen = self.progress().reach(newest, PATIENCE);
        assert!(seen >= newest, "the watch is at {seen} of {newest}");
        let ends = self.told.lock().expect("the log").ends.len() as u64;
        for one in &self.subscribers {
            let known = one.notes.lock().expect("the notes").known.clone();
            let goal = if one.ends_only { ends } else { newest };
            let heard = known.reach(goal, PATIENCE);
            assert!(heard >= goal, "{} knows {heard} of {goal}", one.name);
        }
    }

    fn progress(&self) -> Progress {
        self.told.lock().expect("the log").progress.clone()
    }

    fn check(self) {
        let told = self.told.lock().expect("the log");
        let ended: BTreeSet<_> = told.ends.keys().collect();
        same("the log's ends", &ended, &told.opened.iter().collect());
        for one in &self.subscribers {
            let notes = one.notes.lock().expect("the notes");
            let ends: BTreeSet<_> = notes.ends.iter().collect();
            same(one.name, &ends, &told.ends.iter().collect());
            if !one.ends_only {
                let heard: BTreeSet<_> = notes.handled.keys().collect();
                same(one.name, &heard, &told.events.values().collect());
            }
        }
    }
}

/// Names one thing that only one of them has: all of them are too many to print.
fn same<T: Ord + std::fmt::Debug>(whose: &str, are: &BTreeSet<T>, should_be: &BTreeSet<T>) {
    let missed = should_be.difference(are).next();
    let too_many = are.difference(should_be).next();
    assert_eq!((missed, too_many), (None, None), "{whose}");
}

fn client(runtime: &tokio::runtime::Runtime, server: &Server) -> Client {
    let _inside = runtime.enter();
    let client = Client::builder().addr(server.url()).build();
    client.expect("the address is a URL")
}

async fn run(plugin: Plugin, handler: NoteTaker) {
    let ended = plugin.run(handler, std::future::pending()).await;
    panic!("a plugin ended by itself: {ended:?}");
}

/// Opens sessions and ends some of them, for as long as it is let.
async fn call(client: Client, at: u32, mut rng: Rng, stop: Arc<AtomicBool>) {
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("s{at}-{number}");
        let Ok(session) = client.session(key).open().await else {
            continue;
        };
        if rng.u32(..4) > 0 {
            let end = session.end(pb::EndReason::Completed);
            // Whether it was done is in the log.
            drop(end.send().await);
        }
    }
}

/// Reads all of the log, as one more plugin: nothing is deleted before it is noted.
async fn follow(client: Client, told: Arc<Mutex<Told>>) {
    let note = move |event: PluginEvent| {
        told.lock().expect("the log").take(event.event());
        std::future::ready(Ok(()))
    };
    let plugin = client.plugin("log").from_oldest().build();
    let ended = plugin.run(note, std::future::pending()).await;
    panic!("the log goes on: {ended:?}");
}

impl Told {
    fn take(&mut self, event: &pb::SessionEvent) {
        let last = self.events.len() as u64;
        if let Some(known) = self.events.get(&event.revision) {
            assert_eq!(*known, event.event_id, "it comes again as it was");
            return;
        }
        assert_eq!(event.revision, last + 1, "a gap in the log");
        self.events.insert(event.revision, event.event_id.clone());
        self.progress.step();
        let Some(session) = &event.session else {
            return;
        };
        let id = session.session_id.clone();
        if event.r#type() == pb::EventType::SessionOpened {
            assert!(self.opened.insert(id), "opened twice: {event:?}");
        } else if event.r#type() == pb::EventType::SessionEnd {
            let twice = self.ends.insert(id, event.revision);
            assert_eq!(twice, None, "a session ends twice: {event:?}");
        }
    }
}
