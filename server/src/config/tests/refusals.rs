//! What is wrong with a file is told all at once, each with its place and the way out.

use super::{check_refused, refused};

#[test]
fn all_that_is_wrong_is_told_at_once_with_its_place() {
    check_refused(
        "[session]\nmax_sessions = 0\n  max_idle_time_secs = -5\nmax_sesions = 3\n[qeue]\n[retry]\nmax_attempts = 1.5\n",
        &[
            "2:1: [session] max_sessions: 0 is not taken; takes a whole number from 1 to 4294967295, or \"never\" for no \
             limit",
            "3:3: [session] max_idle_time_secs: -5 is not taken; takes a whole number of seconds from 1 to 315360000, \
             or \"never\" for no limit",
            "4:1: [session] max_sesions: no such key; did you mean `max_sessions`?",
            "5:2: [qeue]: no such section; did you mean [queue]?",
            "7:1: [retry] max_attempts: a number with a fraction is not taken; takes a whole number from 1 to 1000",
        ],
    );
}

#[test]
fn names_that_do_not_exist_are_told_with_the_one_that_is_meant() {
    for (text, line) in [
        (
            "[session]\nmax-idle-time = \"1s\"",
            "2:1: [session] max-idle-time: no such key; did you mean `max_idle_time`?",
        ),
        (
            "[session]\nmax_attempts = 1",
            "2:1: [session] max_attempts: no such key here; it belongs in [retry]",
        ),
        (
            "[retry]\ncolour = 1",
            "2:1: [retry] colour: no such key; [retry] takes max_attempts, first_pause, max_pause, defer_pause, \
             circuit_kinds, circuit_failures, circuit_cool_down",
        ),
        (
            "[namespaces.blue]\nquota = 1",
            "2:1: [namespaces.blue] quota: no such key; [namespaces.NAME] takes none",
        ),
        (
            "[namespaces]\nblue = true",
            "2:1: [namespaces] blue: stands outside of a section; write it below [namespaces.NAME], with the name it is for",
        ),
        (
            "max_sessions = 1",
            "1:1: max_sessions: stands outside of a section; it belongs in [session]",
        ),
        (
            "session = 1",
            "1:1: session: is a section and not a value; write [session] on a line of its own",
        ),
        (
            "[[session]]\nmax_sessions = 1",
            "1:3: session: is a section and not a value; write [session] on a line of its own",
        ),
        (
            "[auth]",
            "1:2: [auth]: no such section; there are [server], [tls], [store], [log], [events], [session], [queue], [retry], [workers], [resources], [shutdown], [recovery], [namespaces.NAME], [pools.NAME]",
        ),
        (
            "session.max_session = 1",
            "1:9: [session] max_session: no such key; did you mean `max_sessions`?",
        ),
    ] {
        check_refused(text, &[line]);
    }
}

#[test]
fn one_limit_is_given_once() {
    check_refused(
        "[session]\nmax_idle_time_secs = 5\nmax_sessions = 2\nmax_idle_time = \"5s\"\n",
        &[
            "4:1: [session] max_idle_time: says the same as `max_idle_time_secs` (FILE:2); keep one of them",
        ],
    );
}

#[test]
fn text_that_is_no_toml_is_told_with_everything_else() {
    let lines = refused(
        "[session]\nmax_sessions = \nmax_idle = \"1s\"\nmax_session_age = \"1h\nend_grace = 5\n",
    );
    assert!(lines[0].starts_with("2:"), "{lines:?}");
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("3:1: [session] max_idle: no such key")),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line.starts_with("4:")), "{lines:?}");
    let lines = refused("[session]\nmax_sessions = 1\nmax_sessions = 2\n");
    assert!(lines[0].starts_with("3:1: duplicate key"), "{lines:?}");
    assert_eq!(lines.len(), 1, "{lines:?}");
}
