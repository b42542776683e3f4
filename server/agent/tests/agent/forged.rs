//! Identities that fit no process, or no longer: what has the number is never signalled.

use sessiond_agent::deny::Denial;
use sessiond_agent::identity::{IdentifyError, Identity, Verdict, identify, verify};
use sessiond_agent::release::release;
use sessiond_agent::terms::{Released, Terms, WeakIdentities};

use super::fixture::{Fixture, terms};

#[track_caller]
fn check(
    forge: impl FnOnce(&mut Identity),
    expected: &Released,
    verdict: &Result<Verdict, Denial>,
) {
    let fixture = Fixture::bystander();
    let mut identity = fixture.identity();
    forge(&mut identity);
    assert_eq!(verify(&identity, WeakIdentities::Refused), *verdict);
    assert_eq!(release(&identity, &terms()), *expected);
    assert!(fixture.seen().runs());
}

#[test]
fn a_process_that_is_not_the_one_meant_lives() {
    let mismatch = Released::Mismatch;
    let another_inode = |identity: &mut Identity| identity.inode = identity.inode.map(|i| i + 1);
    check(another_inode, &mismatch, &Ok(Verdict::Mismatch));
    check(|i| i.start_ticks += 1, &mismatch, &Ok(Verdict::Mismatch));
    check(|i| i.uid += 1, &mismatch, &Ok(Verdict::Mismatch));
    let other_boot = |i: &mut Identity| i.boot_id = "00000000-0000-0000-0000-000000000000".into();
    check(
        other_boot,
        &Released::AlreadyGone,
        &Ok(Verdict::AlreadyGone),
    );
}

#[test]
fn the_number_of_a_thread_is_no_process() {
    let fixture = Fixture::bystander();
    let (tell, told) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let thread = std::fs::read_link("/proc/thread-self").expect("/proc");
        tell.send(thread).expect("the test waits");
        // Ends with an error, when the test has looked.
        let _ = ended.recv();
    });
    let thread_of = told.recv().expect("the thread tells");
    let number = thread_of.file_name().and_then(|name| name.to_str());
    let identity = Identity {
        pid: number.expect("a name").parse().expect("a number"),
        ..fixture.identity()
    };
    assert_eq!(release(&identity, &terms()), Released::Mismatch);
    drop(end);
    thread.join().expect("the thread ends");
}

#[test]
fn without_an_inode_nothing_is_signalled_unless_that_is_allowed() {
    let weak = Released::Denied(Denial::WeakIdentity);
    check(|i| i.inode = None, &weak, &Err(Denial::WeakIdentity));
    let fixture = Fixture::bystander();
    let identity = Identity {
        inode: None,
        ..fixture.identity()
    };
    let allowed = Terms {
        weak: WeakIdentities::Allowed,
        ..terms()
    };
    assert_eq!(release(&identity, &allowed), Released::Killed);
    assert!(!fixture.seen().runs());
}

#[test]
fn a_process_that_has_ended_is_gone() {
    let mut fixture = Fixture::sh("echo $$; read line");
    let identity = fixture.identity();
    let process = fixture.next();
    assert_eq!(
        verify(&identity, WeakIdentities::Refused),
        Ok(Verdict::Alive)
    );
    fixture.let_go();
    process.await_state("Z");
    assert!(matches!(
        identify(identity.pid),
        Err(IdentifyError::Gone { .. })
    ));
    for _ in 0..2 {
        assert_eq!(release(&identity, &terms()), Released::AlreadyGone);
        assert_eq!(
            verify(&identity, WeakIdentities::Refused),
            Ok(Verdict::AlreadyGone)
        );
        fixture.reap();
    }
}

#[test]
fn an_identity_says_what_the_kernel_says() {
    let fixture = Fixture::bystander();
    let identity = fixture.identity();
    assert_eq!(identity, fixture.identity());
    assert_eq!(
        (identity.pid, identity.group),
        (fixture.pid(), fixture.pid())
    );
    assert_eq!(identity.uid, rustix::process::getuid().as_raw());
    assert_ne!(identity.session, fixture.pid());
    assert_eq!(identity.boot_id.len(), 36);
    let other = Fixture::bystander().identity();
    assert!(identity.inode.is_some() && identity.inode != other.inode);
}
