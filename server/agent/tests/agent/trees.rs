//! Trees that hang together: children, groups, sessions, whatever their processes do about signals.

use std::time::Instant;

use sessiond_agent::identity::{Verdict, identify, verify};
use sessiond_agent::release::release;
use sessiond_agent::terms::{Released, Terms, WeakIdentities};

use super::fixture::{Fixture, PATIENCE, Seen, terms};

/// Releases a fixture: all of its processes end, and a bystander does not.
#[track_caller]
fn check(fixture: &Fixture, processes: &[Seen], expected: &Released) {
    let bystander = Fixture::bystander();
    assert!(
        processes.iter().all(|process| process.runs()),
        "{processes:?}"
    );
    assert_eq!(release(&fixture.identity(), &terms()), *expected);
    for process in processes {
        assert!(!process.runs(), "{process:?} of {processes:?}");
    }
    assert!(bystander.seen().runs());
}

#[test]
fn what_ends_when_asked_is_not_waited_for() {
    let fixture = Fixture::sh("exec sleep 1000");
    let terms = Terms {
        grace: PATIENCE,
        ..terms()
    };
    let begun = Instant::now();
    assert_eq!(release(&fixture.identity(), &terms), Released::Killed);
    assert!(begun.elapsed() < terms.grace);
    assert!(!fixture.seen().runs());
}

#[test]
fn what_ignores_being_asked_is_killed() {
    let mut fixture = Fixture::sh("trap '' TERM HUP INT; sleep 1000 & echo $!; exec sleep 1000");
    let processes = [fixture.next(), fixture.seen()];
    check(&fixture, &processes, &Released::Killed);
}

#[test]
fn grandchildren_and_twice_forked_children_end() {
    let mut fixture = Fixture::sh(
        "sh -c 'sh -c \"sleep 1000 & echo \\$!; wait\" & echo $!; wait' &
         (sleep 1000 & echo $!)
         sleep 1000 & echo $!
         wait",
    );
    let mut processes = vec![fixture.seen()];
    processes.extend((0..4).map(|_| fixture.next()));
    check(&fixture, &processes, &Released::Killed);
}

#[test]
fn children_in_sessions_of_their_own_end_with_all_that_is_in_these() {
    // The leader's child is not the fixture's: only its session leads to it once its parent has ended.
    let mut fixture = Fixture::sh(
        "setsid sh -c 'echo $$; (trap \"\" TERM; sleep 1000 & echo $!); wait; exec sleep 1000' &
         exec sleep 1000",
    );
    let processes = [fixture.seen(), fixture.next(), fixture.next()];
    check(&fixture, &processes, &Released::Killed);
}

/// The parent and the leader of its group have ended and been reaped: only its session leads to it.
#[test]
fn what_is_only_in_the_session_of_the_released_process_ends() {
    let mut fixture = Fixture::sh(
        "setsid python3 -c 'import os
print(os.getpid(), flush=True)
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    stray = os.fork()
    if stray == 0:
        os.execlp(\"sleep\", \"sleep\", \"1000\")
    print(stray, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(\"reaped\", flush=True)
os.execlp(\"sleep\", \"sleep\", \"1000\")' & read line",
    );
    let leader = fixture.next();
    let stray = fixture.next();
    assert_eq!(fixture.word(), "reaped");
    let bystander = Fixture::bystander();
    let identity = identify(leader.pid).expect("it runs");
    assert_eq!(release(&identity, &terms()), Released::Killed);
    assert!(!leader.runs() && !stray.runs());
    assert!(bystander.seen().runs());
}

#[test]
fn a_zombie_is_gone_but_its_group_is_not() {
    let mut fixture = Fixture::sh("echo $$; read line; sleep 1000 & echo $!");
    let identity = fixture.identity();
    let leader = fixture.next();
    fixture.let_go();
    let child = fixture.next();
    leader.await_state("Z");
    let bystander = Fixture::bystander();
    assert_eq!(release(&identity, &terms()), Released::Killed);
    assert!(!child.runs());
    assert!(bystander.seen().runs());
    assert_eq!(release(&identity, &terms()), Released::AlreadyGone);
}

#[test]
fn what_was_stopped_is_let_end_by_itself() {
    let mut fixture = Fixture::sh("trap 'echo ended; exit' TERM; echo $$; kill -STOP $$; wait");
    let process = fixture.next();
    process.await_state("T");
    let terms = Terms {
        grace: PATIENCE,
        ..terms()
    };
    assert_eq!(release(&fixture.identity(), &terms), Released::Killed);
    assert_eq!(fixture.word(), "ended");
    assert!(!process.runs());
}

/// Starts more, in its group and by parents that end, each time it is asked to end.
#[test]
fn a_tree_that_grows_when_it_is_asked_to_end_ends() {
    let mut fixture = Fixture::sh(
        "grow() { (trap '' TERM; sleep 1000 & sleep 1000 &) ; }
         trap grow TERM
         echo $$
         while :; do sleep 1000 & wait; done",
    );
    let process = fixture.next();
    check(&fixture, &[process], &Released::Killed);
    assert_eq!(fixture.running(), []);
}

#[test]
fn two_hundred_processes_end_in_one_sweep() {
    let mut fixture =
        Fixture::sh("i=0; while [ $i -lt 200 ]; do sleep 1000 & echo $!; i=$((i+1)); done; wait");
    let mut processes = vec![fixture.seen()];
    processes.extend((0..200).map(|_| fixture.next()));
    check(&fixture, &processes, &Released::Killed);
}

/// The shell that leads the group is reaped at once by its parent, as an ended process mostly is: when it goes before
/// the last of its children is held, nothing leads to that.
#[test]
fn more_processes_than_are_held_at_once_end() {
    let mut fixture = Fixture::sh(
        "exec 2>&-; sh -c 'setsid sh -c \"echo \\$\\$
             i=0; while [ \\$i -lt 600 ]; do sleep 1000 & i=\\$((i+1)); done
             echo started; wait\"'; read line",
    );
    let leader = fixture.next();
    assert_eq!(fixture.word(), "started");
    let identity = identify(leader.pid).expect("it runs");
    let bystander = Fixture::bystander();
    let terms = Terms {
        grace: PATIENCE,
        ..terms()
    };
    assert_eq!(release(&identity, &terms), Released::Killed);
    fixture.let_go();
    fixture.reap();
    assert_eq!(fixture.running(), []);
    assert!(bystander.seen().runs());
}

/// Linux shows such a process as a zombie, though its other threads go on.
#[test]
fn a_process_whose_first_thread_has_ended_is_not_gone() {
    let mut fixture = Fixture::sh(
        "exec python3 -c 'import ctypes, os, threading
threading.Thread(target=threading.Event().wait).start()
print(os.getpid(), flush=True)
ctypes.CDLL(None).pthread_exit(None)'",
    );
    let process = fixture.next();
    let identity = fixture.identity();
    process.await_state("Z");
    let verdict = || verify(&identity, WeakIdentities::Refused);
    assert_eq!(verdict(), Ok(Verdict::Alive));
    assert_eq!(release(&identity, &terms()), Released::Killed);
    assert_eq!(verdict(), Ok(Verdict::AlreadyGone));
    fixture.reap();
}
