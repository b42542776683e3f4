//! What settings come of files, variables and flags. What is refused is in the modules below.

use std::path::Path;

use sessiond_core::ids::{MessageKind, PoolName};
use sessiond_core::limits::{Policy, PoolOverrides, PoolPolicy, WhenFull, WorkerCost};
use sessiond_core::time::{Limit, Span};

mod contradictions;
mod exposure;
mod layers;
mod refusals;
mod values;

use super::environment::Environment;
use super::problem::Problem;
use super::{Loaded, Log, ServeArgs, Settings, load, show};
use crate::engine::LiveSessions;
use crate::env::ReleaseTerms;
use crate::logging::LogFormat;

/// A file in a directory of its own.
struct Written {
    _directory: tempfile::TempDir,
    path: std::path::PathBuf,
}

fn written(text: &str) -> Written {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("sessiond.toml");
    std::fs::write(&path, text).expect("a file can be written");
    Written {
        _directory: directory,
        path,
    }
}

fn args(path: &Path) -> ServeArgs {
    ServeArgs {
        config: Some(path.to_owned()),
        ..ServeArgs::default()
    }
}

const HOME: (&str, &str) = ("HOME", "/home/somebody");

fn loaded(text: &str) -> Loaded {
    let file = written(text);
    load(&args(&file.path), &Environment::of_user(&[HOME])).expect("it is a good file")
}

/// What is wrong with a file, without its path.
fn refused(text: &str) -> Vec<String> {
    let file = written(text);
    let problems = load(&args(&file.path), &Environment::of_user(&[HOME]));
    let prefix = format!("{}:", file.path.display());
    let path = file.path.display().to_string();
    let line = |problem: &Problem| {
        let line = problem.to_string();
        let line = line.strip_prefix(&prefix).expect("it names the file");
        line.replace(&path, "FILE")
    };
    problems
        .expect_err("it is refused")
        .iter()
        .map(line)
        .collect()
}

#[track_caller]
fn check_refused(text: &str, lines: &[&str]) {
    assert_eq!(refused(text), lines, "\n{text}");
}

#[test]
fn nothing_said_is_the_defaults() {
    let settings = loaded("").settings;
    let mut expected = Settings {
        data_dir: "/home/somebody/.local/state/sessiond".into(),
        ..Settings::default()
    };
    expected.policy.settle_pools();
    assert_eq!(settings, expected);
    let mut policy = Policy::default();
    policy.settle_pools();
    assert_eq!(settings.policy, policy);
}

#[test]
fn the_settings_of_the_mission_are_read() {
    let policy = loaded(
        "[session]\ncleanup_interval_secs = 30\nmax_idle_time_secs = 1800\nmax_session_age_secs = 43_200\nmax_sessions = 500\n\
         cleanup_on_shutdown = false\n",
    )
    .settings
    .policy;
    assert_eq!(policy.cleanup_interval, Span::seconds(30));
    assert_eq!(policy.idle_timeout, Limit::After(Span::seconds(1_800)));
    assert_eq!(policy.max_lifetime, Limit::After(Span::seconds(43_200)));
    assert_eq!(policy.default_pool().max_sessions, Some(500));
}

/// Every key, each set to something that is not its default.
const EVERYTHING: &str = r#"
[server]
data_dir = "/data"
listen = "0.0.0.0:7377"
max_connections = 100
max_connection_age = "10m"
[tls]
certificate = "/tls/server.pem"
key = "/tls/server.key"
client_ca = "/tls/clients.pem"
[store]
min_free_bytes = "2GiB"
[log]
level = "debug"
format = "json"
[events]
retention = "36h"
max_events = 50_000
max_bytes = "2GiB"
[resources]
grace = "4s"
verify = "3s"
weak_identities = true
[shutdown]
budget = "4s"
[recovery]
live_sessions = "end"
[session]
max_idle_time = "90s"
max_session_age = "1h30m"
owner_timeout = "45s"
cleanup_interval = "10s"
warning_lead = "30s"
max_sessions = 7
emergency_idle = "20s"
emergency_age = "10m"
retention = "3d"
export_before_purge = "/exports"
daily_reset = "04:00"
time_zone = "Europe/Berlin"
cleanup_on_shutdown = false
end_grace = "3s"
end_grace_after_pending = "2m"
[queue]
max_message_bytes = "1MiB"
max_messages = 10
max_bytes = 2_000_000
dead_letter_retention = "never"
[retry]
max_attempts = 9
first_pause = "2s"
max_pause = "1m"
defer_pause = "90s"
circuit_kinds = "summarize, digest"
circuit_failures = 4
circuit_cool_down = "90s"
[workers]
lease = "20s"
claim_lease = "2m"
stuck_after = "4m"
on_stuck = "end"
idle_after = "never"
restart_limit = 4
restart_window = "5m"
on_restart_limit = "end"
cancel_grace = "7s"
[namespaces.blue]
[namespaces."a b"]
[pools.batch]
max_sessions = 5
max_attached = 3
when_full = "evict"
wait = "5s"
emergency_idle = "never"
emergency_age = "8m"
[pools.any]
max_sessions = "never"
max_attached = "never"
when_full = "wait"
wait = "never"
emergency_idle = "7s"
emergency_age = "9m"
"#;

/// The pools of [`EVERYTHING`].
fn two_pools() -> [(PoolName, PoolOverrides); 2] {
    let batch = PoolOverrides {
        max_sessions: Some(Some(5)),
        max_attached: Some(Some(3)),
        when_full: Some(WhenFull::Evict),
        wait: Some(Limit::After(Span::seconds(5))),
        emergency_idle: Some(Limit::Never),
        emergency_age: Some(Limit::After(Span::seconds(480))),
    };
    let any = PoolOverrides {
        max_sessions: Some(None),
        max_attached: Some(None),
        when_full: Some(WhenFull::Wait),
        wait: Some(Limit::Never),
        emergency_idle: Some(Limit::After(Span::seconds(7))),
        emergency_age: Some(Limit::After(Span::seconds(540))),
    };
    let pool = |name: &str| PoolName::parse(name).unwrap();
    [(pool("batch"), batch), (pool("any"), any)]
}

/// How what sessions leave outside is ended.
fn releases() -> ReleaseTerms {
    ReleaseTerms {
        grace: Span::seconds(4),
        verify: Span::seconds(3),
        weak_identities: true,
    }
}

fn check_port(settings: &Settings) {
    assert_eq!(settings.data_dir, Path::new("/data"));
    assert_eq!(settings.listen.to_string(), "0.0.0.0:7377");
    assert_eq!(settings.max_connections, 100);
    assert_eq!(
        settings.max_connection_age,
        Limit::After(Span::seconds(600))
    );
    let tls = settings.tls.files().expect("it has TLS");
    assert_eq!(tls.certificate, Path::new("/tls/server.pem"));
    assert_eq!(tls.key, Path::new("/tls/server.key"));
    let client_ca = tls.client_ca.as_deref();
    assert_eq!(client_ca, Some(Path::new("/tls/clients.pem")));
}

#[track_caller]
fn check_stop(settings: &Settings) {
    assert_eq!(settings.shutdown_budget, Span::seconds(4));
    assert!(!settings.cleanup_on_shutdown);
    assert_eq!(settings.live_sessions, LiveSessions::End);
}

#[test]
fn every_key_is_set_where_it_belongs() {
    let settings = loaded(EVERYTHING).settings;
    let mut policy = Policy {
        message_bytes_max: 1 << 20,
        queue_messages_max: 10,
        queue_bytes_max: 2_000_000,
        max_attempts: 9,
        retry_pause_first: Span::seconds(2),
        retry_pause_max: Span::seconds(60),
        defer_pause: Span::seconds(90),
        circuit_kinds: ["digest", "summarize"]
            .map(|kind| MessageKind::parse(kind).unwrap())
            .into(),
        circuit_failures: 4,
        circuit_cool_down: Span::seconds(90),
        stream_lease: Span::seconds(20),
        claim_lease: Span::seconds(120),
        stuck_after: Limit::After(Span::seconds(240)),
        on_stuck: WorkerCost::End,
        worker_idle: Limit::Never,
        restart_limit: 4,
        restart_window: Span::seconds(300),
        on_restart_limit: WorkerCost::End,
        warning_lead: Limit::After(Span::seconds(30)),
        cancel_grace: Span::seconds(7),
        idle_timeout: Limit::After(Span::seconds(90)),
        max_lifetime: Limit::After(Span::seconds(5_400)),
        owner_timeout: Limit::After(Span::seconds(45)),
        cleanup_interval: Span::seconds(10),
        all_pools: PoolPolicy {
            max_sessions: Some(7),
            emergency_idle: Limit::After(Span::seconds(20)),
            emergency_age: Limit::After(Span::seconds(600)),
            ..PoolPolicy::default()
        },
        session_retention: Limit::After(Span::seconds(3 * 86_400)),
        dead_letter_retention: Limit::Never,
        end_grace: Span::seconds(3),
        after_pending_grace: Span::seconds(120),
        ..Policy::default()
    };
    policy.pools.extend(two_pools());
    policy.settle_pools();
    assert_eq!(policy.default_pool().max_sessions, Some(7), "as all pools");
    assert_eq!(settings.policy, policy);
    assert_eq!(settings.min_free, Some(2 << 30));
    let day_and_a_half = Limit::After(Span::seconds(36 * 3_600));
    assert_eq!(settings.events.age, day_and_a_half);
    assert_eq!(settings.events.max, Some(50_000));
    assert_eq!(settings.resources, releases());
    check_stop(&settings);
    let exports = settings.export_before_purge.as_deref();
    assert_eq!(exports, Some(Path::new("/exports")));
    check_port(&settings);
    let log = Log {
        level: "debug".to_owned(),
        format: LogFormat::Json,
    };
    assert_eq!(settings.log, log);
    let daily = settings.calendar.daily().expect("resets by the calendar");
    assert_eq!(daily.at.to_string(), "04:00");
    assert_eq!(daily.zone.iana_name(), Some("Europe/Berlin"));
    let namespaces: Vec<String> = settings
        .namespaces
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(namespaces, ["a b", "blue", "default"]);
}

#[test]
fn times_of_day_and_zones_are_known() {
    check_refused(
        "[session]\ndaily_reset = \"4\"\ntime_zone = \"Mars\"\n",
        &[
            "2:1: [session] daily_reset: \"4\": is no time of day as HH:MM; takes a time of day as HH:MM, or \
             \"never\"",
            "3:1: [session] time_zone: \"Mars\": no such time zone; takes the name of a time zone, such as \
             \"Europe/Berlin\" or \"UTC\"",
        ],
    );
    let never = loaded("[session]\ndaily_reset = \"never\"\n").settings;
    assert_eq!(never.calendar.daily(), None);
}

#[test]
fn exports_go_into_a_full_path_or_nowhere() {
    check_refused(
        "[session]\nexport_before_purge = \"exports\"\n",
        &[
            "2:1: [session] export_before_purge: \"exports\": does not begin with /; takes the full path of a \
             directory, or \"never\"",
        ],
    );
    for refused in ["\"\"", "1", "true", "\"/a\\u0000b\""] {
        let lines = super::tests::refused(&format!("[session]\nexport_before_purge = {refused}\n"));
        let place = "2:1: [session] export_before_purge: ";
        assert!(lines[0].starts_with(place), "{lines:?}");
    }
    let never = loaded("[session]\nexport_before_purge = \"never\"\n").settings;
    assert_eq!(never.export_before_purge, None);
    assert_eq!(loaded("").settings.export_before_purge, None);
}

#[test]
fn the_file_of_everything_has_every_key() {
    let loaded = loaded(EVERYTHING);
    for section in super::keys::SECTIONS {
        for name in section.instances(&loaded.settings) {
            for key in section.keys {
                let path = section.path(&name, key);
                // What always exists has defaults, whatever is in the file.
                let always = section.names.is_some() && name == "default";
                assert!(
                    always || loaded.origins.contains_key(&path),
                    "{path} is not in it"
                );
            }
        }
    }
}

#[test]
fn what_is_shown_gives_the_same_settings() {
    for text in [
        "",
        EVERYTHING,
        "[session]\nmax_idle_time = \"never\"\nmax_session_age = \"never\"",
    ] {
        let first = loaded(text);
        for origins in [show::Origins::Hidden, show::Origins::Shown] {
            let shown = show::toml(&first, origins);
            let second = loaded(&shown);
            assert_eq!(second.settings, first.settings, "{shown}");
            let again = show::toml(&second, show::Origins::Hidden);
            assert_eq!(again, show::toml(&first, show::Origins::Hidden));
        }
    }
}

#[test]
fn a_limit_that_is_off_is_spelled_never() {
    let policy = loaded("[session]\nmax_idle_time_secs = \"never\"\nowner_timeout = \"never\"")
        .settings
        .policy;
    assert_eq!(policy.idle_timeout, Limit::Never);
    assert_eq!(policy.owner_timeout, Limit::Never);
    let lines = refused("[session]\nend_grace = \"never\"");
    assert!(
        lines[0].starts_with("2:1: [session] end_grace: \"never\" is not taken"),
        "{lines:?}"
    );
}
