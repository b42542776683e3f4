//! Where no process can be told from another one, nothing is registered and nothing is ended, and that is said.
//!
//! Built with `--cfg sessiond_elsewhere`, which takes every machine for one that there is no code for. In another build it
//! shows the opposite, as far as there is code.

/// This process, which is there.
fn own() -> i32 {
    std::process::id().cast_signed()
}

#[cfg(not(sessiond_elsewhere))]
#[test]
fn a_platform_that_is_known_tells_processes_apart() {
    let known = sessiond_agent::identity::identify(own());
    assert_eq!(known.is_ok(), cfg!(target_os = "linux"), "{known:?}");
}

#[cfg(sessiond_elsewhere)]
mod elsewhere {
    use std::process::{Child, Command};

    use sessiond_agent::adoption::{adopt_orphans, children, reap};
    use sessiond_agent::cgroup::start_within;
    use sessiond_agent::identity::{IdentifyError, Identity, identify, verify};
    use sessiond_agent::marker::{Marker, VARIABLE};
    use sessiond_agent::registration::{Proof, register};
    use sessiond_agent::release::{is_left, release, release_marked};
    use sessiond_agent::strays::{any_marked, marked_processes};
    use sessiond_agent::terms::{Released, Terms, WeakIdentities};

    use super::own;

    /// How the platform is told.
    const SAYS: &str = "on Linux";

    /// A process of ours that carries a mark; it is gone with the test.
    struct Marked(Child);

    impl Marked {
        fn start(marker: &Marker) -> Self {
            let mut command = Command::new("sleep");
            command.arg("600").env(VARIABLE, marker.value());
            Self(command.spawn().expect("the machine has sleep"))
        }

        fn pid(&self) -> i32 {
            self.0.id().cast_signed()
        }

        fn runs(&mut self) -> bool {
            self.0.try_wait().expect("it is our child").is_none()
        }
    }

    impl Drop for Marked {
        fn drop(&mut self) {
            drop(self.0.kill());
            drop(self.0.wait());
        }
    }

    fn identity(pid: i32) -> Identity {
        Identity {
            boot_id: "0".repeat(36),
            pid,
            start_ticks: 1,
            inode: None,
            uid: 0,
            group: pid,
            session: pid,
        }
    }

    fn is_denied(released: &Released) {
        let Released::Denied(denial) = released else {
            panic!("nothing can be said to be gone: {released:?}");
        };
        assert!(denial.to_string().contains(SAYS), "{denial}");
    }

    /// Proves: F82.
    #[test]
    fn nothing_is_registered() {
        let marker = Marker::new("rs-1-1-0000000000000001").expect("a marker");
        let process = Marked::start(&marker);
        let identified = identify(process.pid());
        assert!(matches!(identified, Err(IdentifyError::Unsupported)));
        for proof in [Proof::SameUser, Proof::Marker(&marker)] {
            let refused = register(process.pid(), proof).expect_err("nobody can tell");
            let cause = std::error::Error::source(&refused).map(ToString::to_string);
            let said = format!("{refused}: {}", cause.unwrap_or_default());
            assert!(said.contains(SAYS), "{said}");
        }
    }

    /// Proves: F82.
    #[test]
    fn nothing_is_ended_and_nothing_is_said_to_be_gone() {
        let marker = Marker::new("rs-1-1-0000000000000002").expect("a marker");
        let mut process = Marked::start(&marker);
        let known = identity(process.pid());
        let terms = Terms {
            marker: Some(marker.clone()),
            weak: WeakIdentities::Allowed,
            ..Terms::default()
        };
        is_denied(&release(&known, &terms));
        is_denied(&release_marked(&marker, &terms));
        assert!(verify(&known, WeakIdentities::Allowed).is_err());
        assert!(is_left(Some(&known), &terms).is_err());
        assert!(any_marked(&marker).is_err());
        assert!(marked_processes().is_err());
        assert!(process.runs(), "it was not touched");
    }

    #[test]
    fn a_command_is_started_all_the_same_and_nothing_is_adopted() {
        let marker = Marker::new("rs-1-1-0000000000000003").expect("a marker");
        let (started, enclosed) = start_within(&marker, || Ok::<_, ()>(own()));
        assert_eq!(started, Ok(own()));
        assert!(enclosed.is_err(), "there are no cgroups");
        assert!(adopt_orphans().is_err());
        assert!(children().is_err());
        assert!(reap(None).is_err());
    }
}
