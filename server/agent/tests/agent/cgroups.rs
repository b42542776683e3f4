//! Cgroups: what began in one of its resource is found by it, whatever it cleared and left, and is ended as one.
//!
//! Where cgroup v2 is not delegated to us nothing can begin in one: there each of these tests says so, and proves that a
//! command runs without and is ended by the other means. Where a cgroup is to be entered by this program, the program runs
//! itself, for all of its threads go along.

#[path = "cgroups/home.rs"]
mod home;

use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use home::Home;
use sessiond_agent::cgroup::start_within;
use sessiond_agent::deny::Denial;
use sessiond_agent::identity::Identity;
use sessiond_agent::marker::Marker;
use sessiond_agent::release::{is_left, release, release_marked};
use sessiond_agent::terms::{Released, Survivor, Terms};

use super::denials::{INSIDE, run_inside};
use super::fixture::{Fixture, PATIENCE, Seen, await_that, marker, terms, unique};

/// Leaves parent, group, session and environment behind, and does not mind being asked to end.
const ESCAPES: &str =
    r#"(exec setsid env -i sh -c 'trap "" TERM HUP; echo $$; exec sleep 1000' &)"#;

/// Forks and ends, over and over, so that no look at all processes finds it; in vain after a minute.
const CHAIN: &str = "(exec setsid env -i python3 -c 'import os
print(os.getpid(), flush=True)
for _ in range(200000):
    if os.fork():
        os._exit(0)
print(0, flush=True)' &)";

/// Forks for as long as it can, and leaves alone what it forks.
const SPAWNER: &str = "(exec setsid env -i python3 -c 'import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
for _ in range(400):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        time.sleep(1000)
    os.wait()
time.sleep(1000)' &)";

/// A user that is not us; nobody's, on most machines.
const OTHER: u32 = 65534;

/// Holds the marker of what is outside in a test program that runs in a namespace.
const OUTSIDE: &str = "SESSIOND_AGENT_OUTSIDE";

/// A script whose processes all begin in a cgroup.
fn within(home: &Home, script: &str) -> Fixture {
    Fixture::with(
        &format!("echo 0 >\"$CGROUP/cgroup.procs\"; {script}"),
        &[("CGROUP", &home.path())],
    )
}

/// A process that nothing but its cgroup leads to.
fn escaped(home: &Home) -> Seen {
    let mut fixture = within(home, ESCAPES);
    let stray = fixture.next();
    fixture.reap();
    stray
}

/// A script of a process of another user, which only root may start.
fn as_other() -> String {
    format!("exec setpriv --reuid {OTHER} --clear-groups sh -c 'echo $$; exec sleep 1000'")
}

fn may_be_other() -> bool {
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--reuid", &OTHER.to_string(), "--clear-groups", "true"]);
    setpriv.stderr(Stdio::null());
    setpriv.status().is_ok_and(|status| status.success())
}

/// What is true where there is no cgroup for us.
#[track_caller]
fn ends_without(marker: &Marker) {
    let script = "(setsid sh -c 'trap \"\" TERM; echo $$; exec sleep 1000' &); exec sleep 1000";
    let start = || Ok::<_, ()>(Fixture::marked(marker, script));
    let (fixture, begun) = start_within(marker, start);
    let why = begun.expect_err("nothing is delegated to us");
    eprintln!("no cgroup of its own: {why}");
    let mut fixture = fixture.expect("it is started all the same");
    let stray = fixture.next();
    let terms = Terms {
        marker: Some(marker.clone()),
        ..terms()
    };
    assert_eq!(release(&fixture.identity(), &terms), Released::Killed);
    assert!(!stray.runs() && !fixture.seen().runs());
}

#[test]
fn what_left_everything_but_its_cgroup_is_found_by_it() {
    let marker = marker();
    let Some(home) = Home::of(&marker) else {
        return ends_without(&marker);
    };
    let elsewhere = Home::named(&unique()).expect("there can be another one");
    let bystander = escaped(&elsewhere);
    let stray = escaped(&home);
    assert_eq!(release_marked(&marker, &terms()), Released::Killed);
    assert!(!stray.runs());
    assert!(bystander.runs(), "nothing leads to it");
    assert!(!home.exists(), "it is removed when nothing is in it");
    assert_eq!(release_marked(&marker, &terms()), Released::AlreadyGone);
}

#[test]
fn a_name_that_begins_like_another_is_another() {
    let name = unique();
    let [one, other] = ["1", "12"].map(|end| Marker::new(format!("{name}-{end}")));
    let (one, other) = (one.expect("a marker"), other.expect("a marker"));
    let (Some(home), Some(others)) = (Home::of(&one), Home::of(&other)) else {
        return ends_without(&one);
    };
    let (stray, others_stray) = (escaped(&home), escaped(&others));
    assert_eq!(release_marked(&one, &terms()), Released::Killed);
    assert!(!stray.runs() && !home.exists());
    assert!(others_stray.runs() && others.exists());
}

#[test]
fn what_is_in_cgroups_below_its_own_ends_and_these_are_removed() {
    let marker = marker();
    let Some(home) = Home::of(&marker) else {
        return ends_without(&marker);
    };
    let script = format!(
        "for of in a a/b c; do mkdir \"$CGROUP/$of\"; done
         {ESCAPES}
         echo 0 >\"$CGROUP/a/b/cgroup.procs\"
         {ESCAPES}"
    );
    let mut fixture = within(&home, &script);
    let strays = [fixture.next(), fixture.next()];
    fixture.reap();
    assert_eq!(release_marked(&marker, &terms()), Released::Killed);
    assert!(strays.iter().all(|stray| !stray.runs()), "{strays:?}");
    assert!(!home.exists());
}

/// Each look at all processes comes too late for such a one, and one signal after the other as well.
#[test]
fn what_forks_and_ends_all_the_time_is_ended() {
    let marker = marker();
    let Some(home) = Home::of(&marker) else {
        return ends_without(&marker);
    };
    let mut fixture = within(&home, CHAIN);
    let first: i32 = fixture.word().parse().expect("a number");
    fixture.reap();
    assert_ne!(first, 0);
    assert_eq!(release_marked(&marker, &terms()), Released::Killed);
    assert!(!home.exists(), "nothing is in it");
    assert_eq!(
        fixture.rest(),
        "",
        "it was ended, and did not end by itself"
    );
}

#[test]
fn what_forks_while_it_is_ended_ends_with_all_that_it_forked() {
    let marker = marker();
    let Some(home) = Home::of(&marker) else {
        return ends_without(&marker);
    };
    let mut fixture = within(&home, SPAWNER);
    let spawner = fixture.next();
    fixture.reap();
    assert_eq!(release_marked(&marker, &terms()), Released::Killed);
    assert!(!spawner.runs());
    assert!(!home.exists(), "nothing is in it");
}

/// The parent of this program is an ancestor, whoever runs the test; root has processes of others as well.
#[test]
fn a_cgroup_with_something_that_must_not_be_signalled_is_not_ended_as_one() {
    if std::env::var_os(INSIDE).is_none() {
        let name =
            "cgroups::a_cgroup_with_something_that_must_not_be_signalled_is_not_ended_as_one";
        return run_inside(name, "");
    }
    let marker = marker();
    let Some(home) = Home::of(&marker) else {
        return ends_without(&marker);
    };
    let parent = std::os::unix::process::parent_id().cast_signed();
    home.take(parent);
    let mut expected = vec![(parent, Denial::Ancestor)];
    let ours = rustix::process::getuid().as_raw();
    let others = may_be_other().then(|| within(&home, &as_other()));
    let others = others.map(|mut fixture| (fixture.next(), fixture));
    if let Some((process, _)) = &others {
        let uid = OTHER;
        expected.push((process.pid, Denial::OtherUser { uid, ours }));
    }
    let stray = escaped(&home);
    let Released::TimedOut { survivors } = release_marked(&marker, &terms()) else {
        panic!("not all of it may be ended");
    };
    let named = survivors
        .into_iter()
        .filter_map(|Survivor { pid, denial, .. }| Some((pid, denial?)));
    let mut named: Vec<(i32, Denial)> = named.collect();
    named.sort_by_key(|(pid, _)| *pid);
    expected.sort_by_key(|(pid, _)| *pid);
    assert_eq!(named, expected);
    assert!(!stray.runs());
    assert!(others.is_none_or(|(process, _)| process.runs()));
    assert!(home.exists() && !home.is_frozen());
    home.leave(parent);
}

#[test]
fn an_empty_cgroup_of_a_released_resource_is_removed_and_no_other_is() {
    let [one, other] = [marker(), marker()];
    let (Some(home), Some(others)) = (Home::of(&one), Home::of(&other)) else {
        return ends_without(&one);
    };
    for of in ["a", "a/b"] {
        fs::create_dir(home.directory().join(of)).expect("it is ours");
    }
    assert_eq!(release_marked(&one, &terms()), Released::AlreadyGone);
    assert!(!home.exists());
    assert!(others.exists());
}

/// Nobody releases it any more, so whoever finds that must not leave its cgroup behind.
#[test]
fn a_cgroup_goes_when_its_resource_is_found_gone_and_not_before() {
    let marker = marker();
    let Some(home) = Home::of(&marker) else {
        return ends_without(&marker);
    };
    let terms = Terms {
        marker: Some(marker),
        ..terms()
    };
    let mut fixture = within(&home, "echo $$; read line");
    let (process, identity) = (fixture.next(), fixture.identity());
    assert!(looked(&identity, &terms));
    assert!(home.exists() && process.runs());
    fixture.let_go();
    fixture.reap();
    assert!(!looked(&identity, &terms));
    assert!(!home.exists());
}

/// Whether something is left. A machine on which processes come and go all the time cannot be told at once: whoever asks asks
/// again, as the server does.
fn looked(identity: &Identity, terms: &Terms) -> bool {
    let began = Instant::now();
    loop {
        match is_left(Some(identity), terms) {
            Ok(left) => return left,
            Err(Denial::Unverifiable { .. }) if began.elapsed() < PATIENCE => {}
            Err(denial) => panic!("{denial}"),
        }
    }
}

#[test]
fn a_command_begins_in_a_cgroup_of_its_own_and_we_stay_where_we_are() {
    if std::env::var_os(INSIDE).is_none() {
        let name = "cgroups::a_command_begins_in_a_cgroup_of_its_own_and_we_stay_where_we_are";
        return run_inside(name, "");
    }
    let marker = marker();
    let own = || fs::read_to_string("/proc/self/cgroup").expect("Linux says so");
    let before = own();
    match Home::of(&marker) {
        // The command's is made for it.
        Some(home) => drop(home),
        None => return ends_without(&marker),
    }
    let script = format!("grep ^0:: /proc/$$/cgroup; {ESCAPES}");
    let start = || Ok::<_, ()>(Fixture::sh(&script));
    let (fixture, begun) = start_within(&marker, start);
    begun.expect("it has a cgroup of its own");
    let home = Home::made_for(&marker);
    assert_eq!(own(), before);
    let mut fixture = fixture.expect("it is started");
    let told = fixture.word();
    let name = format!("/sessiond-{}", marker.value());
    assert!(told.ends_with(&name), "{told}");
    let stray = fixture.next();
    assert_eq!(release_marked(&marker, &terms()), Released::Killed);
    assert!(!stray.runs() && !home.exists());
    let (failed, begun) = start_within(&marker, || Err::<(), _>("it is not there"));
    assert_eq!((failed, begun.is_ok()), (Err("it is not there"), true));
    assert!(!home.exists(), "it was made for nothing");
    assert_eq!(own(), before);
}

/// What we start is in it as well, and is not the resource's.
#[test]
fn a_cgroup_that_we_are_in_ourselves_counts_for_nothing() {
    if std::env::var_os(INSIDE).is_none() {
        let name = "cgroups::a_cgroup_that_we_are_in_ourselves_counts_for_nothing";
        return run_inside(name, "");
    }
    let marker = marker();
    let Some(home) = Home::of(&marker) else {
        return ends_without(&marker);
    };
    let own = std::process::id().cast_signed();
    home.take(own);
    let bystander = Fixture::bystander();
    let fixture = Fixture::marked(&marker, "exec sleep 1000");
    let released = release_marked(&marker, &terms());
    home.leave(own);
    assert_eq!(released, Released::Killed);
    assert!(!fixture.seen().runs());
    assert!(bystander.seen().runs());
    home.leave(bystander.pid());
}

/// Whoever sees the name of a cgroup can give it to one of its own, and must not keep the resource from being gone by that.
#[test]
fn a_cgroup_that_another_user_made_counts_for_nothing() {
    let marker = marker();
    let Some(home) = Home::of(&marker) else {
        return ends_without(&marker);
    };
    let ours = rustix::process::getuid().as_raw();
    let other = if ours == OTHER { 0 } else { OTHER };
    let given = std::os::unix::fs::chown(home.directory(), Some(other), None);
    if !may_be_other() {
        return assert!(given.is_err(), "only root can make it look like this");
    }
    given.expect("root may");
    let mut fixture = within(&home, &as_other());
    let process = fixture.next();
    assert_eq!(release_marked(&marker, &terms()), Released::AlreadyGone);
    assert!(process.runs() && home.exists());
}

/// As a container sees what its host has put into a cgroup that both have.
#[test]
fn what_is_in_another_pid_namespace_is_neither_ended_nor_said_to_be_gone() {
    let name = "cgroups::what_is_in_another_pid_namespace_is_neither_ended_nor_said_to_be_gone";
    if let Ok(outside) = std::env::var(OUTSIDE) {
        let marker = Marker::new(outside).expect("a marker");
        let terms = Terms {
            verify: terms().grace,
            ..terms()
        };
        let what = "processes in its cgroup cannot be seen".to_owned();
        let denied = Released::Denied(Denial::Unverifiable { what });
        assert_eq!(release_marked(&marker, &terms), denied);
        return;
    }
    let marker = marker();
    let Some(home) = Home::of(&marker) else {
        return ends_without(&marker);
    };
    let stray = escaped(&home);
    let apart = "unshare --user --map-root-user --pid --fork --mount-proc";
    run_inside(name, &format!("{OUTSIDE}={} {apart}", marker.value()));
    assert!(stray.runs() && !home.is_frozen());
}

/// A machine where there is no cgroup for us, whatever this one has.
#[test]
fn without_a_cgroup_a_command_runs_and_is_ended_all_the_same() {
    let marker = marker();
    if std::env::var_os(INSIDE).is_some() {
        return ends_without(&marker);
    }
    let hide = r#"unshare --user --map-root-user --mount sh -c 'mount -t tmpfs none /sys/fs/cgroup && exec "$0" "$@"'"#;
    run_inside(
        "cgroups::without_a_cgroup_a_command_runs_and_is_ended_all_the_same",
        hide,
    );
    await_that("it made none", || {
        Home::of(&marker).is_none_or(|home| home.exists())
    });
}
