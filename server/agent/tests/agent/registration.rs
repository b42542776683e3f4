//! Registration: a process is registered on a proof, and never one that could not be ended.

use sessiond_agent::identity::{IdentifyError, Identity, Verdict, verify};
use sessiond_agent::marker::{Marker, VARIABLE};
use sessiond_agent::registration::{Proof, RegisterError, register};
use sessiond_agent::terms::WeakIdentities;

use super::denials::{INSIDE, denied, run_inside};
use super::fixture::{EXECS, Fixture, marker};

/// How often what depends on the moment is tried.
const TRIALS: usize = 50;

/// Asks for a process on both proofs.
fn on_both(pid: i32) -> [Result<Identity, RegisterError>; 2] {
    [Proof::Marker(&marker()), Proof::SameUser].map(|proof| register(pid, proof))
}

#[test]
fn a_process_that_carries_the_marker_is_registered_until_it_ends() {
    let marker = marker();
    let mut fixture = Fixture::marked(&marker, "echo $$; read line");
    let process = fixture.next();
    let registered = register(process.pid, Proof::Marker(&marker)).expect("it is marked");
    assert_eq!(registered, fixture.identity());
    let verdict = || verify(&registered, WeakIdentities::Refused);
    assert_eq!(verdict(), Ok(Verdict::Alive));
    fixture.let_go();
    process.await_state("Z");
    assert_eq!(verdict(), Ok(Verdict::AlreadyGone));
    for _ in ["a zombie", "reaped"] {
        for proof in [Proof::Marker(&marker), Proof::SameUser] {
            let refused = register(process.pid, proof).expect_err("it has ended");
            let gone = RegisterError::Unidentified(IdentifyError::Gone { pid: process.pid });
            assert_eq!(refused.to_string(), gone.to_string());
        }
        fixture.reap();
    }
}

#[test]
fn a_process_without_the_marker_is_registered_for_its_user_only() {
    let asked = marker();
    // The value of the one is the beginning of the other's.
    let other = Marker::new(format!("{}x", asked.value())).expect("a marker");
    for fixture in [
        Fixture::bystander(),
        Fixture::marked(&other, "exec sleep 1000"),
    ] {
        let refused = register(fixture.pid(), Proof::Marker(&asked)).expect_err("not its marker");
        assert!(
            matches!(&refused, RegisterError::NotMarked { pid, marker } if *pid == fixture.pid() && *marker == asked),
            "{refused:?}"
        );
        assert!(refused.to_string().contains(&asked.to_string()));
        let registered = register(fixture.pid(), Proof::SameUser).expect("it is ours");
        assert_eq!(registered, fixture.identity());
    }
}

#[test]
fn what_could_not_be_ended_is_not_registered() {
    for (pid, expected) in denied() {
        for answer in on_both(pid) {
            let refused = answer.expect_err("it is on the list");
            assert!(
                matches!(&refused, RegisterError::Denied { denial, .. } if *denial == expected),
                "{refused:?}"
            );
            assert!(refused.to_string().contains(&expected.to_string()));
        }
    }
}

#[test]
fn what_is_no_process_is_not_registered() {
    for pid in [i32::MIN, -1, 0] {
        for answer in on_both(pid) {
            let gone = matches!(
                answer,
                Err(RegisterError::Unidentified(IdentifyError::Gone { .. }))
            );
            assert!(gone, "{pid}: {answer:?}");
        }
    }
}

#[test]
fn a_process_in_the_middle_of_an_exec_is_waited_for() {
    let marker = marker();
    let mut fixture = Fixture::marked(&marker, EXECS);
    let process = fixture.next();
    for trial in 0..TRIALS {
        let registered = register(process.pid, Proof::Marker(&marker));
        assert!(registered.is_ok(), "trial {trial}: {registered:?}");
    }
}

/// As a shell knows the pid of what it starts before the marker is there.
#[test]
fn a_process_that_is_about_to_carry_the_marker_is_waited_for() {
    let marker = marker();
    let script = format!(
        r#"echo $$
        export WITHOUT='unset {VARIABLE}; exec sh -c "$WITH"'
        export WITH='export {marker}; exec sh -c "$WITHOUT"'
        exec sh -c "$WITHOUT""#
    );
    let mut fixture = Fixture::sh(&script);
    let process = fixture.next();
    for trial in 0..TRIALS {
        let registered = register(process.pid, Proof::Marker(&marker));
        assert!(registered.is_ok(), "trial {trial}: {registered:?}");
    }
}

/// Root may look at everything unless it gives that up.
#[test]
fn a_process_that_hides_its_environment_is_registered_for_its_user_only() {
    if std::env::var_os(INSIDE).is_none() {
        return run_inside(
            "registration::a_process_that_hides_its_environment_is_registered_for_its_user_only",
            "$([ $(id -u) = 0 ] && echo setpriv --bounding-set=-all)",
        );
    }
    let marker = marker();
    let hides = "exec python3 -c 'import ctypes, os, time
PR_SET_DUMPABLE = 4
ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0)
print(os.getpid(), flush=True)
time.sleep(1000)'";
    let mut fixture = Fixture::marked(&marker, hides);
    let process = fixture.next();
    let refused = register(process.pid, Proof::Marker(&marker)).expect_err("it hides");
    assert!(
        matches!(refused, RegisterError::Hidden { .. }),
        "{refused:?}"
    );
    register(process.pid, Proof::SameUser).expect("it is ours");
}
