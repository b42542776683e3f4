//! The deny list: what is never signalled, whoever asks.
//!
//! A pure function over facts. Invariant: every denial names its reason, and the first that holds is named. What this
//! deliberately does not do: gather the facts, or ask whether a process is the one that was meant.
//!
//! Pid 2 and its children are not on the list by their number: in a pid namespace they are ordinary processes. The
//! kernel marks its threads itself.

/// Why something is not signalled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    #[error("it is the first process, or no process")]
    FirstProcess,
    #[error("it is this process")]
    Ourselves,
    #[error("this process descends from it")]
    Ancestor,
    #[error("it is a thread of the kernel")]
    KernelThread,
    #[error("it runs as user {uid}, this process as {ours}")]
    OtherUser { uid: u32, ours: u32 },
    #[error("it leads the process group of this process")]
    OwnGroup,
    #[error("it leads the session of this process")]
    OwnSession,
    /// Everything this process starts would be taken for the resource's.
    #[error("this process carries the marker itself")]
    OwnMarker,
    #[error("nothing but pid and start time tell it from another process")]
    WeakIdentity,
    #[error("there are more than {max} processes to look at")]
    TooManyProcesses { max: usize },
    #[error("it cannot be verified: {what}")]
    Unverifiable { what: String },
    #[error("processes can only be verified on Linux")]
    Unsupported,
}

/// What is known of a process that might be signalled.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub pid: i32,
    pub group: i32,
    pub session: i32,
    /// The real user.
    pub uid: u32,
    pub kernel_thread: bool,
}

/// What is known of the process that asks.
#[derive(Clone, Debug)]
pub struct Ourselves {
    pub pid: i32,
    pub group: i32,
    pub session: i32,
    /// The real user.
    pub uid: u32,
    /// The parent, its parent and so on, up to the first process.
    pub ancestors: Vec<i32>,
}

/// Why a process must not be signalled; `None` if nothing forbids it.
///
/// A leader stands for its group and its session, which are released with it: one that leads ours is denied.
pub fn denial(facts: &Facts, ourselves: &Ourselves) -> Option<Denial> {
    let leads = |number: i32| facts.pid == number;
    if facts.pid <= 1 {
        Some(Denial::FirstProcess)
    } else if facts.pid == ourselves.pid {
        Some(Denial::Ourselves)
    } else if ourselves.ancestors.contains(&facts.pid) {
        Some(Denial::Ancestor)
    } else if facts.kernel_thread {
        Some(Denial::KernelThread)
    } else if facts.uid != ourselves.uid {
        Some(Denial::OtherUser {
            uid: facts.uid,
            ours: ourselves.uid,
        })
    } else if facts.group == ourselves.group && leads(facts.group) {
        Some(Denial::OwnGroup)
    } else if facts.session == ourselves.session && leads(facts.session) {
        Some(Denial::OwnSession)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process of ours that nothing forbids to signal.
    const FACTS: Facts = Facts {
        pid: 500,
        group: 500,
        session: 500,
        uid: 1000,
        kernel_thread: false,
    };

    #[track_caller]
    fn check(facts: Facts, expected: Option<&Denial>) {
        let ourselves = Ourselves {
            pid: 100,
            group: 90,
            session: 80,
            uid: 1000,
            ancestors: vec![99, 70, 1],
        };
        assert_eq!(denial(&facts, &ourselves).as_ref(), expected, "{facts:?}");
    }

    #[test]
    fn processes_of_ours_may_be_signalled() {
        check(FACTS, None);
        let in_our_group = Facts {
            group: 90,
            session: 80,
            ..FACTS
        };
        check(in_our_group, None);
        // An ordinary process of a pid namespace.
        check(Facts { pid: 2, ..FACTS }, None);
    }

    #[test]
    fn processes_are_denied_by_number() {
        for pid in [i32::MIN, -1, 0, 1] {
            check(Facts { pid, ..FACTS }, Some(&Denial::FirstProcess));
        }
        check(Facts { pid: 100, ..FACTS }, Some(&Denial::Ourselves));
        check(Facts { pid: 99, ..FACTS }, Some(&Denial::Ancestor));
        check(Facts { pid: 70, ..FACTS }, Some(&Denial::Ancestor));
    }

    #[test]
    fn the_kernel_and_other_users_are_denied() {
        let thread = Facts {
            kernel_thread: true,
            ..FACTS
        };
        check(thread, Some(&Denial::KernelThread));
        for uid in [0, 1001] {
            let other = Denial::OtherUser { uid, ours: 1000 };
            check(Facts { uid, ..FACTS }, Some(&other));
        }
    }

    #[test]
    fn leaders_of_what_we_are_in_are_denied() {
        let leader = Facts {
            pid: 90,
            group: 90,
            session: 80,
            ..FACTS
        };
        check(leader, Some(&Denial::OwnGroup));
        let leader = Facts {
            pid: 80,
            group: 85,
            session: 80,
            ..FACTS
        };
        check(leader, Some(&Denial::OwnSession));
    }
}
