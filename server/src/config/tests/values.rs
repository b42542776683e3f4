//! Values that are not taken are refused one by one, with what is.

use super::refused;

/// Files with one bad value each, and how the line begins that tells it.
const BAD_VALUES: &[(&str, &str)] = &[
    (
        "[session]\nmax_idle_time = 90",
        "2:1: [session] max_idle_time: 90 is not taken; takes a duration with its unit",
    ),
    (
        "[session]\nmax_idle_time = \"0s\"",
        "2:1: [session] max_idle_time: \"0s\" is not taken",
    ),
    (
        "[session]\nmax_idle_time = \"-1s\"",
        "2:1: [session] max_idle_time: \"-1s\" is not taken",
    ),
    (
        "[session]\nmax_idle_time = \"4000d\"",
        "2:1: [session] max_idle_time: \"4000d\" is not taken",
    ),
    (
        "[session]\nmax_idle_time_secs = \"90s\"",
        "2:1: [session] max_idle_time_secs: \"90s\" is not taken; takes a whole number of seconds",
    ),
    (
        "[session]\nmax_sessions = \"many\"",
        "2:1: [session] max_sessions: \"many\" is not taken",
    ),
    (
        "[session]\nmax_sessions = 4294967296",
        "2:1: [session] max_sessions: 4294967296 is not taken",
    ),
    (
        "[session]\nmax_sessions = 99999999999999999999999999999999999999999",
        "2:1: [session] max_sessions: a number that is too large",
    ),
    (
        "[session]\nmax_sessions = [1]",
        "2:1: [session] max_sessions: a list is not taken",
    ),
    (
        "[session]\nmax_sessions = 2026-01-01",
        "2:1: [session] max_sessions: a date is not taken",
    ),
    (
        "[session]\nmax_sessions = {}",
        "2:1: [session] max_sessions: a section is not taken",
    ),
    (
        "[queue]\nmax_message_bytes = \"17MiB\"",
        "2:1: [queue] max_message_bytes: \"17MiB\" is not taken; takes a number of bytes",
    ),
    (
        "[queue]\nmax_bytes = 256",
        "2:1: [queue] max_bytes: 256 is not taken",
    ),
    (
        "[store]\nmin_free_bytes = \"63MiB\"",
        "2:1: [store] min_free_bytes: \"63MiB\" is not taken; takes a number of bytes, or a size such as \"64KiB\" or \
         \"8MiB\", from 64MiB to 1048576GiB, or \"never\" for no limit",
    ),
    (
        "[store]\nmin_free_bytes = \"1048577GiB\"",
        "2:1: [store] min_free_bytes: \"1048577GiB\" is not taken",
    ),
    (
        "[workers]\nlease = \"9s\"",
        "2:1: [workers] lease: \"9s\" is not taken",
    ),
    (
        "[workers]\nclaim_lease = \"2h\"",
        "2:1: [workers] claim_lease: \"2h\" is not taken",
    ),
    (
        "[log]\nformat = \"runes\"",
        "2:1: [log] format: \"runes\" is not taken; takes \"auto\" or \"human\" or \"json\"",
    ),
    ("[log]\nlevel = \"=,=\"", "2:1: [log] level: \"=,=\""),
    (
        "[server]\nlisten = \"0.0.0.0:1\"",
        "2:1: [server] listen: 0.0.0.0:1 is not a loopback address",
    ),
    (
        "[server]\nlisten = \"unix:s\"",
        "2:1: [server] listen: \"unix:s\": the path does not begin with /",
    ),
    (
        "[server]\ndata_dir = \"here\"",
        "2:1: [server] data_dir: \"here\": does not begin with /",
    ),
    (
        "[shutdown]\nbudget = \"499ms\"",
        "2:1: [shutdown] budget: \"499ms\" is not taken; takes a duration with its unit",
    ),
    (
        "[session]\ncleanup_on_shutdown = \"false\"",
        "2:1: [session] cleanup_on_shutdown: \"false\" is not taken; takes true or false",
    ),
    (
        "[namespaces.\"\"]",
        "1:13: [namespaces]: the name \"\" must not be empty",
    ),
    (
        "[pools.\"a\\u0007\"]",
        "1:8: [pools.\"a\\u0007\"]: the name \"a\\u{7}\" must not contain control characters",
    ),
];

#[test]
fn values_out_of_bounds_or_of_another_type_say_what_is_taken() {
    for (text, start) in BAD_VALUES {
        let lines = refused(text);
        assert_eq!(lines.len(), 1, "{text}: {lines:?}");
        assert!(lines[0].starts_with(start), "{text}: {lines:?}");
    }
}
