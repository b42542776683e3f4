//! Drains with dead weight on the server, one after the other: it is gone in time, its report is complete, and who did not hear
//! of an end hears of it after the restart.
//!
//! The weight: connections that never say a byte, watches that nobody reads, a plugin that reads and never acknowledges,
//! requests that nobody ends, and callers who end sessions at the same moment. Invariant: the rounds go on with one directory,
//! so a session that ended in any of them must never end again. A disk that hangs has a test of its own (`drains_hung.rs`).

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{end, id};
use sessiond_tests::scale::Scale;
use sessiond_tests::subscription::{consume, create, subscription};
use sessiond_tests::watch_stream::{WatchStream, about};
use tokio::task::JoinHandle;

use super::drained_by_call::report;
use super::drains::{again, ended, ends, in_order, live, request, serving, start, within};
use super::run::Run;

/// Connections that say nothing, and as many watches that nobody reads.
const DEAD: usize = 100;

/// Those of them that begin with the first event, so that there is more to read than any window has room for.
const FAR_BEHIND: usize = 10;

/// Sessions of each sort in a round.
const QUIET: usize = 6;
const HELD: usize = 2;
const ENDING: usize = 8;

/// The subscription that nobody acknowledges for.
const DEAF: &str = "deaf";

fn serve(directory: &str, budget: Duration) -> (Run, String) {
    let mut run = Run::start(serving(directory, budget));
    let address = run.listening();
    (run, address)
}

/// What the server has to get rid of.
struct Weight {
    _silent: Vec<TcpStream>,
    _unread: Vec<WatchStream>,
}

impl Weight {
    async fn on(address: &str) -> Self {
        let connect = |_| TcpStream::connect(address).expect("the port listens");
        let silent = (0..DEAD).map(connect).collect();
        let url = format!("http://{address}");
        let mut unread = Vec::new();
        // What one of them does not read takes room from whatever else its connection is for.
        for _ in 0..FAR_BEHIND {
            unread.push(WatchStream::from_the_start(&Caller::at(&url).await).await);
        }
        let caller = Caller::at(&url).await;
        let deaf = WatchStream::open(&caller, consume(DEAF, "deaf")).await;
        unread.push(deaf.expect("nobody else reads for it"));
        let caller = Caller::at(&url).await;
        while unread.len() < DEAD {
            unread.push(WatchStream::from_now(&caller).await);
        }
        Self {
            _silent: silent,
            _unread: unread,
        }
    }
}

/// Sessions that the server is to end, some of which have a request that nobody ends: their ids, and theirs.
async fn sessions(caller: &Caller, round: usize) -> (Vec<String>, Vec<String>) {
    let (mut quiet, mut held) = (Vec::new(), Vec::new());
    for number in 0..QUIET {
        let name = format!("quiet-{round}-{number}");
        quiet.push(caller.opened(&name).await.session_id);
    }
    for number in 0..HELD {
        let name = format!("held-{round}-{number}");
        held.push(caller.opened(&name).await.session_id);
        request(caller, &name).await;
    }
    (quiet, held)
}

/// Sessions that are ended one after the other while the server goes; answers when the first of them has ended.
async fn ended_meanwhile(caller: &Caller, round: usize) -> (Vec<String>, JoinHandle<()>) {
    let mut ending = Vec::new();
    for number in 0..ENDING {
        let name = format!("ending-{round}-{number}");
        ending.push(caller.opened(&name).await.session_id);
    }
    let completed = |session: &String| {
        end(
            id(session),
            pb::EndReason::Completed,
            pb::EndMode::Immediate,
        )
    };
    caller.end(completed(&ending[0])).await.expect("it ends");
    let (caller, asked) = (caller.clone(), ending.iter().map(completed));
    let asked: Vec<_> = asked.collect();
    let callers = tokio::spawn(async move {
        for asked in asked {
            // The server may have gone: then it was ended by that.
            drop(caller.end(asked).await);
        }
    });
    (ending, callers)
}

/// That a report says all that was left undone, and each thing once.
fn is_complete(told: &pb::DrainReport, held: &[String], mean: u64) {
    assert_eq!(told.state(), pb::DrainState::Closed);
    assert!(!told.recovered && told.end_time.is_some(), "{told:?}");
    assert!((mean..=mean + ENDING as u64).contains(&told.ended));
    assert_eq!(told.ended_late, HELD as u64);
    assert_eq!((told.left, told.resources_unreleased), (0, 0));
    let warnings = told.warnings.iter();
    let subjects: BTreeSet<_> = warnings.map(|one| (&one.code, &one.subject)).collect();
    assert_eq!(subjects.len(), told.warnings.len(), "{:?}", told.warnings);
    let warned = |code: &str, subject: &str| {
        let mut all = told.warnings.iter();
        let found = all.find(|one| one.code == code && one.subject == subject);
        found.map(|one| one.count)
    };
    for session in held {
        assert_eq!(warned("session-drain-timeout", session), Some(1));
    }
    let unheard = warned("session-end-drain", &format!("default/{DEAF}"));
    assert!(unheard >= Some(mean), "{unheard:?} of {mean}");
    assert_eq!(told.warnings.len(), HELD + 1, "{:?}", told.warnings);
}

/// What the subscription gets that nobody acknowledged for: every end there was, once.
async fn hears_of_all(caller: &Caller, sessions: &BTreeSet<String>) {
    assert_eq!(subscription(caller, DEAF).await.acked_revision, 0);
    let watch = WatchStream::open(caller, consume(DEAF, "hears")).await;
    let mut watch = watch.expect("it reads");
    let mut heard = BTreeSet::new();
    for event in watch.up_to(caller.revision().await).await {
        if event.r#type() == pb::EventType::SessionEnd {
            assert!(heard.insert(about(&event).to_owned()), "twice: {event:?}");
        }
    }
    assert_eq!(heard, *sessions);
}

/// Proves: F17, B4.
#[tokio::test(flavor = "multi_thread")]
async fn dead_weight_holds_no_drain_up_and_loses_no_end() {
    let (short, long) = Scale::from_env().pick((2, 0), (60, 3), (300, 3));
    let budgets = [(1_000, short), (10_000, long)];
    let budgets = budgets.map(|(ms, count)| vec![Duration::from_millis(ms); count]);
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let directory = temporary.path().join("data");
    let directory = directory.to_str().expect("a temporary path is UTF-8");
    let mut all = BTreeSet::new();
    let mut in_time = 0;
    let budgets = budgets.concat();
    for (round, budget) in budgets.iter().copied().enumerate() {
        let (run, address) = serve(directory, budget);
        let caller = Caller::at(&format!("http://{address}")).await;
        if round == 0 {
            let made = caller.create_subscription(create(DEAF)).await;
            made.expect("it is made");
        }
        let (quiet, held) = sessions(&caller, round).await;
        let weight = Weight::on(&address).await;
        let (ending, callers) = ended_meanwhile(&caller, round).await;
        let began = Instant::now();
        run.signal(Signal::TERM);
        let (code, said) = ended(run).await;
        let kept = within(budget, code, began, &said);
        callers.await.expect("nobody waits for ever");
        drop(weight);

        let (run, address) = serve(directory, budget);
        let caller = Caller::at(&format!("http://{address}")).await;
        assert_eq!(live(&caller).await, 0, "round {round}");
        if kept {
            in_time += 1;
            let told = report(&caller).await.expect("it was drained");
            is_complete(&told, &held, (QUIET + HELD) as u64);
        }
        let ends = ends(&caller).await;
        for session in quiet.iter().chain(&held) {
            assert_eq!(ends[session].0, pb::EndReason::Shutdown, "round {round}");
        }
        let whole = [quiet, held, ending].concat();
        all.extend(whole);
        assert_eq!(ends.len(), all.len(), "round {round}");
        if round + 1 == budgets.len() {
            hears_of_all(&caller, &all).await;
        }
        drop(run);
    }
    assert!(in_time * 2 > budgets.len(), "{in_time} were gone in time");
}

/// Proves: F17.
#[tokio::test(flavor = "multi_thread")]
async fn connections_and_streams_that_are_dead_weight_hold_nothing_up() {
    let (_temporary, run, address, directory) = start();
    let caller = Caller::at(&format!("http://{address}")).await;
    let mut sessions = Vec::new();
    for number in 0..20 {
        sessions.push(caller.opened(&format!("key-{number}")).await.session_id);
    }
    let connect = |_| TcpStream::connect(&address).expect("the port listens");
    let silent: Vec<TcpStream> = (0..100).map(connect).collect();
    let mut unread = Vec::new();
    for _ in 0..100 {
        unread.push(WatchStream::from_the_start(&caller).await);
        unread.push(WatchStream::from_now(&caller).await);
    }
    let began = Instant::now();
    run.signal(Signal::TERM);
    let (code, said) = ended(run).await;
    in_order(code, began, &said);
    drop((silent, unread));
    let (_run, caller) = again(&directory).await;
    let ends = ends(&caller).await;
    assert!(
        sessions
            .iter()
            .all(|session| ends[session].0 == pb::EndReason::Shutdown)
    );
}
