//! Marked processes: whoever carries a marker is found by it, and nobody else is.

use sessiond_agent::deny::Denial;
use sessiond_agent::marker::Marker;
use sessiond_agent::registration::{Proof, RegisterError, register};
use sessiond_agent::release::{is_left, release, release_marked};
use sessiond_agent::strays::{Marked, any_marked, marked_processes};
use sessiond_agent::terms::{Released, Terms};

use super::denials::{INSIDE, run_inside};
use super::fixture::{EXECS, Fixture, Seen, marker, terms};

/// Which processes are said to carry the marker, by pid.
fn carriers(marker: &Marker) -> Vec<i32> {
    let mut all = marked_processes().expect("we can look");
    all.retain(|marked| marked.marker == *marker);
    all.iter().map(|marked| marked.pid).collect()
}

/// Whether anything that carries the marker is left.
fn left(marker: &Marker) -> Result<bool, Denial> {
    let terms = Terms {
        marker: Some(marker.clone()),
        ..Terms::default()
    };
    is_left(None, &terms)
}

/// A zombie has its number still, and so what is in its group is its own.
#[test]
fn what_hangs_on_a_process_that_nobody_waited_for_is_left() {
    let mut fixture = Fixture::sh("sleep 1000 & echo $!; read line");
    let child = fixture.next();
    let identity = fixture.identity();
    fixture.let_go();
    Seen::of(identity.pid).await_state("Z");
    assert_eq!(is_left(Some(&identity), &terms()), Ok(true));
    assert_eq!(release(&identity, &terms()), Released::Killed);
    assert!(!child.runs());
    assert_eq!(is_left(Some(&identity), &terms()), Ok(false));
}

/// As a daemon begins: each look may come between two of its forks, and it stays once it is through with them.
#[test]
fn what_forks_and_ends_while_it_is_looked_for_is_not_said_to_be_gone() {
    let script = "(exec setsid python3 -c 'import os, time
print(os.getpid(), flush=True)
through = time.monotonic() + 0.03
while time.monotonic() < through:
    if os.fork():
        os._exit(0)
time.sleep(1000)' &)";
    for trial in 0..10 {
        let marker = marker();
        let mut fixture = Fixture::marked(&marker, script);
        fixture.word();
        fixture.reap();
        let released = release_marked(&marker, &terms());
        assert_eq!(released, Released::Killed, "trial {trial}");
        assert_eq!(fixture.running(), [], "trial {trial}");
    }
}

#[test]
fn processes_are_found_with_their_markers_until_they_end() {
    let [one, other] = [marker(), marker()];
    let mut fixture = Fixture::marked(&one, "echo $$; read line");
    let process = fixture.next();
    let mut tree = Fixture::marked(&other, "sleep 1000 & echo $!; wait");
    let child = tree.next();
    let unmarked = Fixture::bystander();
    let all = marked_processes().expect("we can look");
    let expected = Marked {
        pid: process.pid,
        start_ticks: fixture.identity().start_ticks,
        marker: one.clone(),
    };
    assert!(all.contains(&expected), "{all:?}");
    assert!(all.iter().all(|marked| marked.pid != unmarked.pid()));
    let mut both = [tree.pid(), child.pid];
    both.sort_unstable();
    assert_eq!(carriers(&other), both);
    assert_eq!(any_marked(&one), Ok(true));
    assert_eq!(left(&one), Ok(true));
    fixture.let_go();
    process.await_state("Z");
    assert_eq!(any_marked(&one), Ok(false));
    assert_eq!(left(&one), Ok(false));
    assert_eq!(carriers(&one), []);
    assert_eq!(any_marked(&other), Ok(true));
}

#[test]
fn a_process_in_the_middle_of_an_exec_is_not_missed() {
    let marker = marker();
    let mut fixture = Fixture::marked(&marker, EXECS);
    let process = fixture.next();
    for trial in 0..50 {
        assert_eq!(any_marked(&marker), Ok(true), "trial {trial}");
        assert_eq!(carriers(&marker), [process.pid], "trial {trial}");
    }
}

/// One without any environment looks as if it were in the middle of an exec for good.
#[test]
fn a_process_that_never_shows_an_environment_is_not_waited_for_long() {
    let mut fixture = Fixture::sh("exec env -i sh -c 'echo $$; exec env -i sleep 1000'");
    fixture.next();
    assert_eq!(any_marked(&marker()), Ok(false));
    assert!(
        !marked_processes()
            .expect("we can look")
            .iter()
            .any(|marked| marked.pid == fixture.pid())
    );
}

/// What carries it then need not be the resource's.
#[test]
fn a_marker_that_we_carry_ourselves_tells_nothing_of_others() {
    let Ok(marker) = std::env::var(INSIDE) else {
        return run_inside(
            "marked::a_marker_that_we_carry_ourselves_tells_nothing_of_others",
            "",
        );
    };
    let marker = Marker::new(marker).expect("a marker");
    let fixture = Fixture::bystander();
    assert_eq!(any_marked(&marker), Err(Denial::OwnMarker));
    let refused = register(fixture.pid(), Proof::Marker(&marker));
    assert!(
        matches!(
            refused,
            Err(RegisterError::Denied {
                denial: Denial::OwnMarker,
                ..
            })
        ),
        "{refused:?}"
    );
    // They are reported all the same, but for ourselves.
    let own = std::process::id().cast_signed();
    let found = carriers(&marker);
    assert!(
        found.contains(&fixture.pid()) && !found.contains(&own),
        "{found:?}"
    );
}
