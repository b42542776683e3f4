//! The two texts in which Linux describes a process: `stat` and `status`.
//!
//! Invariant: a name of a process, which it chooses itself, cannot pass for a field. What this deliberately does not do:
//! read anything.

use crate::fault::{Fault, Row};

/// Set in the flags of the kernel's own threads.
const PF_KTHREAD: u64 = 0x0020_0000;

/// Places after the name: the state has 0, which is field 3 of proc(5).
const PARENT: usize = 1;
const GROUP: usize = 2;
const SESSION: usize = 3;
const FLAGS: usize = 6;
const START: usize = 19;

/// `/proc/PID/stat`: `pid (name) state ppid …`, where the name may hold blanks and parentheses.
pub(super) fn parse(stat: &str) -> Result<Row, Fault> {
    read(stat).ok_or_else(|| Fault::Malformed {
        what: format!("the state {stat:?} of a process"),
    })
}

fn read(stat: &str) -> Option<Row> {
    let (pid, _) = stat.split_once(" (")?;
    let (_, after) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<i32>().ok();
    Some(Row {
        pid: pid.parse().ok()?,
        parent: number(PARENT)?,
        group: number(GROUP)?,
        session: number(SESSION)?,
        start_ticks: fields.get(START)?.parse().ok()?,
        state: fields.first()?.chars().next()?,
        kernel_thread: fields.get(FLAGS)?.parse::<u64>().ok()? & PF_KTHREAD != 0,
    })
}

/// The real user of `/proc/PID/status`: the first number of the line `Uid:`.
pub(super) fn real_uid(status: &str) -> Result<u32, Fault> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let uid = line.and_then(|uids| uids.split_ascii_whitespace().next()?.parse().ok());
    uid.ok_or_else(|| Fault::Malformed {
        what: "the user of a process".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER_NAME: &str = "S 3 7 8 0 -1 4194560 0 0 0 0 1 2 3 4 20 0 1 0 98765 0 0";

    #[test]
    fn names_cannot_pass_for_fields() {
        for name in ["sh", "a b", "x) R 1 1 1 (", ")", "((", "\u{fffd}"] {
            let row = parse(&format!("12 ({name}) {AFTER_NAME}")).expect("a row");
            let expected = Row {
                pid: 12,
                parent: 3,
                group: 7,
                session: 8,
                start_ticks: 98765,
                state: 'S',
                kernel_thread: false,
            };
            assert_eq!(row, expected, "{name:?}");
        }
    }

    #[test]
    fn threads_of_the_kernel_say_so() {
        let stat = format!("2 (kthreadd) {}", AFTER_NAME.replace("4194560", "2129984"));
        assert!(parse(&stat).expect("a row").kernel_thread);
    }

    #[test]
    fn what_is_cut_is_no_row() {
        for bad in ["", "12 (sh", "12 (sh) S 3 7", "x (sh) S 3 7 8"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        let stat = format!("12 (sh) {AFTER_NAME}");
        assert!(parse(&stat.replace("98765", "-1")).is_err());
    }

    #[test]
    fn the_real_user_is_the_first_of_four() {
        let status = "Name:\tsh\nUid:\t1000\t0\t0\t0\nGid:\t5\t5\t5\t5\n";
        assert_eq!(real_uid(status).expect("a user"), 1000);
        assert!(real_uid("Name:\tsh\n").is_err());
    }
}
