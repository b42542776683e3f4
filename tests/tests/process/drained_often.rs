//! Drains in whatever state sessions are in, asked for by a signal or a call, many of them cut short by a KILL at a random
//! moment: once a drain is on record every session that it means ends once, for its reason.
//!
//! Invariant: the rounds go on with one directory, so a session that ended in any round must never end again in a later one.
//! What this deliberately does not do: count how far a drain was when it was cut short; that is chance.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Signal;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, end, id, key};
use sessiond_tests::scale::Scale;
use sessiond_tests::seed;

use super::drained_by_call::{report, restart};
use super::drains::{again, ended, ends, in_order, live, request, start};
use super::run::Run;

/// The latest moment of a KILL: a drain without anything under way is over sooner.
const KILLED_WITHIN: Duration = Duration::from_millis(40);

/// Sessions of one round.
const SESSIONS: usize = 6;

/// What must become of the sessions of a round.
#[derive(Default)]
struct Round {
    /// They end for the reason of the drain.
    drained: Vec<String>,
    /// They end for their own, which was given before.
    ending: Vec<String>,
    /// They do their work first.
    left: Vec<String>,
    /// They had ended.
    over: Vec<String>,
}

/// Sessions in all sorts of states.
async fn sessions(caller: &Caller, rng: &mut Rng, round: u32) -> Round {
    let mut sessions = Round::default();
    for number in 0..SESSIONS {
        let name = format!("key-{round}-{number}");
        let session = caller.opened(&name).await.session_id;
        let completed = |mode| end(id(&session), pb::EndReason::Completed, mode);
        if rng.bool() {
            caller.enqueued(key(&name), &["m"]).await;
        }
        match rng.u8(..7) {
            0 => drop(request(caller, &name).await),
            1 => drop(caller.claimed(key(&name), "worker").await),
            2 => {
                request(caller, &name).await;
                let asked = completed(pb::EndMode::Graceful);
                caller.end(asked).await.expect("it begins to end");
                sessions.ending.push(session);
                continue;
            }
            3 => {
                caller.enqueued(key(&name), &["first"]).await;
                let asked = completed(pb::EndMode::AfterPending);
                caller.end(asked).await.expect("it begins to end");
                sessions.left.push(session);
                continue;
            }
            4 => {
                let asked = completed(pb::EndMode::Immediate);
                caller.end(asked).await.expect("it ends");
                sessions.over.push(session);
                continue;
            }
            _ => {}
        }
        sessions.drained.push(session);
    }
    sessions
}

/// Asks for a drain and reads what there is of it: a KILL may be sooner than anything.
async fn call(caller: &Caller) {
    if let Ok(answer) = caller.admin().drain_server(restart()).await {
        let mut frames = answer.into_inner();
        while let Ok(Some(_)) = frames.message().await {}
    }
}

/// Has the server go and waits until it is gone, by itself or by a KILL.
async fn stop(run: Run, caller: &Caller, rng: &mut Rng) -> pb::EndReason {
    let by_call = rng.bool();
    let reason = match by_call {
        true => pb::EndReason::Restart,
        false => pb::EndReason::Shutdown,
    };
    let began = Instant::now();
    let drain = async {
        if by_call {
            call(caller).await;
        } else {
            run.signal(Signal::TERM);
        }
    };
    if rng.u8(..3) == 0 {
        drain.await;
        let (code, said) = ended(run).await;
        in_order(code, began, &said);
        return reason;
    }
    let moment = rng.u64(..u64::try_from(KILLED_WITHIN.as_micros()).expect("a short time"));
    let kill = async {
        // There is no condition to wait for: the moment is the test.
        while began.elapsed() < Duration::from_micros(moment) {
            tokio::task::yield_now().await;
        }
        run.signal(Signal::KILL);
    };
    tokio::join!(drain, kill);
    ended(run).await;
    reason
}

/// Ends what a round left, so that the next one begins with nothing that lives.
async fn work_off(caller: &Caller, sessions: &Round) {
    for session in &sessions.left {
        let claimed = caller.claimed(id(session), "finisher").await;
        let acks = claimed.iter().map(ack).collect();
        caller.settled(acks).await;
    }
    for session in sessions.drained.iter().chain(&sessions.ending) {
        let asked = end(
            id(session),
            pb::EndReason::Completed,
            pb::EndMode::Immediate,
        );
        caller.end(asked).await.expect("it ends, or has ended");
    }
}

/// Proves: G2.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_drain_was_cut_short_in_each_session_ends_once_and_for_its_reason() {
    let mut rng = seed::rng("drained_often");
    let rounds = Scale::from_env().pick(6, 60, 300);
    let (_temporary, mut run, address, directory) = start();
    let mut caller = Caller::at(&format!("http://{address}")).await;
    let (mut ended_before, mut on_record) = (BTreeMap::new(), 0);
    for round in 0..rounds {
        let sessions = sessions(&caller, &mut rng, round).await;
        let last = report(&caller).await;
        let reason = stop(run, &caller, &mut rng).await;
        (run, caller) = again(&directory).await;
        let told = report(&caller).await;
        let ends = ends(&caller).await;
        let why = |session: &String| ends.get(session).map(|end| end.0);
        if told == last {
            // The KILL was sooner than the record.
            let lives = sessions
                .drained
                .iter()
                .all(|session| why(session).is_none());
            assert!(lives, "ended by nobody");
        } else {
            on_record += 1;
            let told = told.expect("it is on record");
            assert_eq!(told.state(), pb::DrainState::Closed);
            assert_eq!(told.reason(), reason);
            for session in &sessions.drained {
                assert_eq!(why(session), Some(reason), "round {round}");
            }
            for session in &sessions.ending {
                assert_eq!(
                    why(session),
                    Some(pb::EndReason::Completed),
                    "round {round}"
                );
            }
            assert_eq!(live(&caller).await, sessions.left.len() as u64);
        }
        for session in &sessions.left {
            assert_eq!(why(session), None, "it is left to its work");
        }
        for session in &sessions.over {
            assert_eq!(why(session), Some(pb::EndReason::Completed));
        }
        for (session, end) in &ended_before {
            assert_eq!(ends.get(session), Some(end), "an end does not change");
        }
        work_off(&caller, &sessions).await;
        assert_eq!(live(&caller).await, 0, "round {round}");
        ended_before = super::drains::ends(&caller).await;
    }
    assert!(
        on_record > rounds / 3,
        "{on_record} of {rounds} drains were begun"
    );
}
