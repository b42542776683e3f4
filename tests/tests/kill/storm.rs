//! Clients that do whatever they may, and a server that is killed in the midst of it, again and again.
//!
//! Invariant: a round is chaos, a kill, a restart (sometimes itself killed), and a look at everything while
//! nobody calls. Each client lives through all rounds with what it knows. At the end everything is worked
//! off and ended, and the sums must be right. What this deliberately does not do: check answers; the
//! journal does, as they come.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use sessiond_client::{Client, RetryPolicy, pb};
use sessiond_tests::scale::Scale;
use sessiond_tests::seed;
use sessiond_tests::server::Server;

use super::aftermath::{open_once_more, processed, work_off};
use super::draw;
use super::eventlog::Fold;
use super::journal::{Call, Journal};
use super::played::tarry;
use super::producer::Producer;
use super::worker::{Mood, Worker};
use super::{look, order};

/// Clients that open, enqueue and end; with 20 sessions of each, 200 live at once.
const PRODUCERS: usize = 10;

/// Clients that claim and settle.
const WORKERS: usize = 20;

/// Sessions that live at once in a run that proves what it says: most of the 200 there may be.
const LIVE_AT_ONCE: usize = 150;

/// Answers between two kills, at most: in half as many on average, every client had its turn many times.
const ANSWERS_MAX: u64 = 1_000;

/// One start in so many is killed before it is done.
const STILLBORN: u32 = 4;

/// How long a start is given before it is killed.
const STILLBORN_AFTER: Duration = Duration::from_millis(60);

/// With so many kills, calls of every sort are cut off and every way out of a queue is taken; a run in
/// which they are not proves less than it says.
const KILLS_TO_MEET_ALL: u32 = 30;

/// Kills of one storm; the next one begins with nothing. Everything that was ever told is looked at after each kill, so
/// the last ones of a long storm would take most of its time.
const KILLS_OF_ONE_MAX: u32 = 100;

/// How long nothing may happen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Wakes who waits for answers when a client finds fault: it will give none.
struct Alarm(Arc<Journal>);

struct Storm {
    runtime: tokio::runtime::Runtime,
    server: Server,
    rng: Rng,
    journal: Arc<Journal>,
    fold: Fold,
    producers: Vec<Producer>,
    workers: Vec<Worker>,
    /// The most sessions that lived at once when somebody looked.
    most_live: usize,
}

#[test]
fn nothing_that_was_told_is_ever_taken_back() {
    let mut left = Scale::from_env().pick(3, KILLS_TO_MEET_ALL, 300);
    let mut rng = seed::rng("storm");
    while left > 0 {
        let kills = left.min(KILLS_OF_ONE_MAX);
        one_storm(rng.fork(), kills);
        left -= kills;
    }
}

fn one_storm(rng: Rng, kills: u32) {
    let mut storm = Storm::new(rng);
    for _ in 0..kills {
        storm.round();
    }
    storm.settle_down();
    storm.end_everything();
    storm.sums();
    if kills >= KILLS_TO_MEET_ALL {
        storm.rarities();
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.answered.give_up();
        }
    }
}

// === impl Storm ===

impl Storm {
    fn new(mut rng: Rng) -> Self {
        let journal = Arc::new(Journal::default());
        let producers = (0..PRODUCERS).map(|at| {
            let journal = Arc::clone(&journal);
            Producer::new(format!("p{at}"), rng.fork(), journal)
        });
        let producers = producers.collect();
        let workers = (0..WORKERS).map(|at| {
            let journal = Arc::clone(&journal);
            Worker::new(format!("w{at}"), rng.fork(), journal)
        });
        let workers = workers.collect();
        Self {
            runtime: tokio::runtime::Runtime::new().expect("a runtime can be made"),
            server: Server::start(),
            rng,
            journal,
            fold: Fold::default(),
            producers,
            workers,
            most_live: 0,
        }
    }

    /// A client that makes every call once, on connections of its own.
    fn client(&self) -> Client {
        let _inside = self.runtime.enter();
        let builder = Client::builder().addr(self.server.url());
        let client = builder.retry(RetryPolicy::none()).build();
        client.expect("the address is a URL")
    }

    fn round(&mut self) {
        let dying = Arc::new(AtomicBool::new(false));
        let answers = self.journal.answered.count() + self.rng.u64(1..=ANSWERS_MAX);
        let producers = std::mem::take(&mut self.producers)
            .into_iter()
            .map(|mut producer| {
                let (client, dying) = (self.client(), Arc::clone(&dying));
                let alarm = Alarm(Arc::clone(&self.journal));
                self.runtime.spawn(async move {
                    let _alarm = alarm;
                    while !dying.load(Ordering::SeqCst) && producer.step(&client).await {}
                    assert!(dying.load(Ordering::SeqCst), "the server went by itself");
                    producer
                })
            });
        let producers: Vec<_> = producers.collect();
        let workers = std::mem::take(&mut self.workers)
            .into_iter()
            .map(|mut worker| {
                let (client, dying) = (self.client(), Arc::clone(&dying));
                let alarm = Alarm(Arc::clone(&self.journal));
                self.runtime.spawn(async move {
                    let _alarm = alarm;
                    while !dying.load(Ordering::SeqCst) && worker.step(&client, Mood::Wild).await {}
                    assert!(dying.load(Ordering::SeqCst), "the server went by itself");
                    worker
                })
            });
        let workers: Vec<_> = workers.collect();
        let reached = self.journal.answered.reach(answers, PATIENCE);
        tarry(&mut self.rng);
        dying.store(true, Ordering::SeqCst);
        self.server.kill();
        // First of all whether a client found fault: the rest is a consequence.
        for producer in self.runtime.block_on(join_all(producers)) {
            self.producers
                .push(producer.expect("a producer found no fault"));
        }
        for worker in self.runtime.block_on(join_all(workers)) {
            self.workers.push(worker.expect("a worker found no fault"));
        }
        assert!(reached >= answers, "nothing is answered any more");
        while self.rng.u32(..STILLBORN) == 0 {
            let life = STILLBORN_AFTER.mul_f64(self.rng.f64());
            self.server.start_and_kill(life);
        }
        self.server.restart();
        self.look();
    }

    /// Holds what the server shows against what was told.
    fn look(&mut self) {
        let client = self.client();
        let queues = {
            let mut book = self.journal.book();
            self.runtime
                .block_on(look::read_log(&client, &mut self.fold));
            look::signs(&mut book, &self.fold);
            look::open_queues(&book, &self.fold)
        };
        let listed = self
            .runtime
            .block_on(look::list(&client, &self.fold, &queues));
        let live = self.fold.sessions.values();
        let live = live.filter(|life| life.ended.is_none()).count();
        self.most_live = self.most_live.max(live);
        let mut book = self.journal.book();
        look::promises(&mut book, &self.fold, &listed);
        look::batches(&book, &self.fold);
        order::check(&book, &self.fold.dead);
    }

    /// Everybody learns what they do not know, and all there is to do is done.
    fn settle_down(&mut self) {
        let client = self.client();
        let Self {
            runtime,
            journal,
            fold,
            producers,
            workers,
            ..
        } = self;
        runtime.block_on(async {
            join_all(producers.iter_mut().map(|one| one.resolve(&client))).await;
            for key in (0..draw::LASTING_KEYS).map(draw::lasting_name) {
                open_once_more(&client, journal, key).await;
            }
            work_off(&client, journal, fold, workers).await;
        });
        self.look();
    }

    /// Ends what still lives, so that every session has its end.
    fn end_everything(&mut self) {
        let client = self.client();
        let alive = self
            .fold
            .sessions
            .iter()
            .filter(|(_, life)| life.ended.is_none());
        let alive: Vec<String> = alive.map(|(id, _)| id.clone()).collect();
        self.runtime.block_on(async {
            for id in alive {
                let end = pb::EndSessionRequest {
                    r#ref: Some(sessiond_client::session_id(id)),
                    mode: pb::EndMode::Immediate.into(),
                    ..Default::default()
                };
                let ended = client.end(end).await.expect("it ends");
                let state = ended.session.expect("an end answers a session").state();
                assert_eq!(state, pb::SessionState::Ended);
            }
        });
        self.look();
        self.runtime
            .block_on(look::read_log_again(&client, &self.fold));
    }

    /// What can only be said when all is over.
    fn sums(&self) {
        let client = self.client();
        for (id, life) in &self.fold.sessions {
            assert!(life.ended.is_some(), "{id} has no end");
        }
        let book = self.journal.book();
        for (key, queue) in &book.lasting {
            let seqs: BTreeSet<u64> = book
                .names
                .keys()
                .filter(|at| at.0 == *queue)
                .map(|at| at.1)
                .collect();
            let whole: BTreeSet<u64> = (1..).take(seqs.len()).collect();
            assert_eq!(seqs, whole, "a number of {key} was given to nothing");
            let opened = self
                .fold
                .sessions
                .values()
                .filter(|life| life.key == *key)
                .count();
            let told = book.opened[key] as usize;
            let perhaps = book.perhaps_opened.get(key).copied().unwrap_or_default() as usize;
            assert!(
                (told..=told + perhaps).contains(&opened),
                "{key} was opened {opened} times"
            );
        }
        let acked = book.settling.values().filter(|one| one.acked > 0).count() as u64;
        let unsure = book
            .settling
            .values()
            .filter(|one| one.acked == 0 && one.ack_unknown);
        let unsure = unsure.count() as u64;
        let counted = self.runtime.block_on(processed(&client));
        assert!(
            (acked..=acked + unsure).contains(&counted),
            "{acked} acks, {counted} counted"
        );
        assert!(acked > 0, "the storm was none");
    }

    /// The storm met what it is for.
    fn rarities(&self) {
        let book = self.journal.book();
        let met = format!(
            "{} sessions at once, {} answers, {} messages, {} given up, {} sessions to be discarded, {:?} unanswered",
            self.most_live,
            self.journal.answered.count(),
            book.names.len(),
            self.fold.dead.len(),
            book.discarding.len(),
            book.unknown,
        );
        eprintln!("storm: {met}");
        for call in [Call::Open, Call::Enqueue, Call::Claim, Call::Settle] {
            assert!(
                book.unknown.contains_key(&call),
                "no {call:?} was cut off: {met}"
            );
        }
        assert!(
            !self.fold.dead.is_empty() && !book.discarding.is_empty(),
            "{met}"
        );
        let drained = self
            .fold
            .sessions
            .values()
            .filter(|life| life.draining.is_some());
        assert!(drained.count() > 0, "no session was drained: {met}");
        assert!(self.most_live >= LIVE_AT_ONCE, "{met}");
    }
}
