//! Which source wins, where values are from, and which file is read.

use std::path::{Path, PathBuf};

use sessiond_core::time::{Limit, Span};

use super::super::environment::Environment;
use super::super::problem::{KeyPath, Origin};
use super::super::{Loaded, ServeArgs, check, load, show};
use super::{HOME, args, written};

fn origin(loaded: &Loaded, section: &'static str, key: &'static str) -> String {
    let path = KeyPath::of(section, key);
    loaded
        .origins
        .get(&path)
        .unwrap_or(&Origin::Default)
        .to_string()
}

#[test]
fn a_flag_wins_over_a_variable_and_that_over_the_file() {
    let file = written(
        "[server]\nlisten = \"127.0.0.1:1\"\ndata_dir = \"/file\"\n[log]\nlevel = \"warn\"\n",
    );
    let environment = Environment::of_user(&[
        HOME,
        ("SESSIOND_LISTEN", "127.0.0.1:2"),
        ("SESSIOND_DATA_DIR", "/variable"),
    ]);
    let args = ServeArgs {
        listen: Some("127.0.0.1:3".to_owned()),
        ..args(&file.path)
    };
    let loaded = load(&args, &environment).expect("all is well");
    assert_eq!(loaded.settings.listen.to_string(), "127.0.0.1:3");
    assert_eq!(origin(&loaded, "server", "listen"), "--listen");
    assert_eq!(loaded.settings.data_dir, Path::new("/variable"));
    assert_eq!(origin(&loaded, "server", "data_dir"), "SESSIOND_DATA_DIR");
    assert_eq!(loaded.settings.log.level, "warn");
    assert_eq!(
        origin(&loaded, "log", "level"),
        format!("{}:5", file.path.display())
    );
    assert_eq!(origin(&loaded, "log", "format"), "default");
}

#[test]
fn a_variable_behind_a_flag_is_not_looked_at_and_a_file_always_is() {
    let file = written("[server]\nlisten = \"nowhere\"\n");
    let environment = Environment::of_user(&[HOME, ("SESSIOND_LISTEN", "0.0.0.0:1")]);
    let flag = ServeArgs {
        listen: Some("127.0.0.1:3".to_owned()),
        ..args(Path::new("/dev/null"))
    };
    load(&flag, &environment).expect("the flag wins");
    let both = ServeArgs {
        listen: flag.listen,
        ..args(&file.path)
    };
    let problems = load(&both, &environment).expect_err("the file is bad");
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn every_key_has_a_variable_in_both_spellings() {
    let environment = Environment::of_user(&[
        HOME,
        ("SESSIOND_SESSION_MAX_IDLE_TIME_SECS", "90"),
        ("SESSIOND_SESSION_MAX_SESSION_AGE", "never"),
        ("SESSIOND_SESSION_MAX_SESSIONS", "12"),
        ("SESSIOND_SESSION_CLEANUP_ON_SHUTDOWN", "false"),
        ("SESSIOND_QUEUE_MAX_BYTES", "1GiB"),
        ("SESSIOND_QUEUE_MAX_MESSAGE_BYTES", "1000"),
        ("SESSIOND_LOG", "trace"),
        ("SESSIOND_RETRY_MAX_ATTEMPTS", ""),
    ]);
    let loaded = load(&args(Path::new("/dev/null")), &environment).expect("all is well");
    let policy = &loaded.settings.policy;
    assert_eq!(policy.idle_timeout, Limit::After(Span::seconds(90)));
    assert_eq!(policy.max_lifetime, Limit::Never);
    assert_eq!(policy.default_pool().max_sessions, Some(12));
    assert_eq!(policy.message_bytes_max, 1_000);
    assert_eq!(loaded.settings.log.level, "trace");
    assert_eq!(policy.max_attempts, 3, "an empty variable is none");
    assert_eq!(
        origin(&loaded, "session", "max_idle_time"),
        "SESSIOND_SESSION_MAX_IDLE_TIME_SECS"
    );
}

#[test]
fn problems_of_variables_and_flags_name_them() {
    let environment = Environment::of_user(&[
        HOME,
        ("SESSIOND_LOG_FORMAT", "runes"),
        ("SESSIOND_SESSION_MAX_IDLE_TIME_SECS", "1h"),
        ("SESSIOND_SESSION_MAX_IDLE_TIME", "1h"),
    ]);
    let flags = ServeArgs {
        listen: Some("here".to_owned()),
        namespaces: vec!["a,b\u{7}".to_owned(), "c".to_owned()],
        ..args(Path::new("/dev/null"))
    };
    let problems = load(&flags, &environment).expect_err("all is bad");
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let starts = [
        "SESSIOND_LOG_FORMAT: [log] format (--log-format): \"runes\" is not taken",
        "SESSIOND_SESSION_MAX_IDLE_TIME_SECS: [session] max_idle_time_secs: \"1h\" is not taken",
        "SESSIOND_SESSION_MAX_IDLE_TIME_SECS: [session] max_idle_time_secs: says the same as `max_idle_time`",
        "--listen: [server] listen: \"here\": ",
        "--namespaces: [namespaces.\"b\\u0007\"]: the name \"b\\u{7}\" must not contain control characters",
    ];
    assert_eq!(lines.len(), starts.len(), "{lines:#?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn namespaces_of_all_sources_exist_together() {
    let file = written("[namespaces.file]\n[namespaces.default]\n");
    let environment = Environment::of_user(&[HOME, ("SESSIOND_NAMESPACES", "variable,,file")]);
    let names = |loaded: &Loaded| -> Vec<String> {
        loaded
            .settings
            .namespaces
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    let loaded = load(&args(&file.path), &environment).expect("all is well");
    assert_eq!(names(&loaded), ["default", "file", "variable"]);
    let flags = ServeArgs {
        namespaces: vec!["x,y".to_owned(), "z".to_owned()],
        ..args(&file.path)
    };
    let loaded = load(&flags, &environment).expect("all is well");
    assert_eq!(
        names(&loaded),
        ["default", "file", "x", "y", "z"],
        "a flag goes before its variable"
    );
    let shown = show::toml(&loaded, show::Origins::Shown);
    assert!(
        shown.contains("[namespaces.z]  # --namespaces\n"),
        "{shown}"
    );
    assert!(
        shown.contains(&format!("[namespaces.file]  # {}:1\n", file.path.display())),
        "{shown}"
    );
}

#[test]
fn a_shell_may_name_relative_paths() {
    let flags = ServeArgs {
        data_dir: Some("data".to_owned()),
        listen: Some("unix:s".to_owned()),
        ..args(Path::new("/dev/null"))
    };
    let settings = load(&flags, &Environment::of_user(&[HOME]))
        .expect("all is well")
        .settings;
    let here = std::env::current_dir().expect("there is one");
    assert_eq!(settings.data_dir, here.join("data"));
    assert_eq!(
        settings.listen.to_string(),
        format!("unix:{}", here.join("s").display())
    );
    for flags in [
        ServeArgs {
            data_dir: Some(String::new()),
            ..args(Path::new("/dev/null"))
        },
        ServeArgs {
            listen: Some("unix:".to_owned()),
            ..args(Path::new("/dev/null"))
        },
    ] {
        load(&flags, &Environment::of_user(&[HOME])).expect_err("it names nothing");
    }
}

#[test]
fn the_user_s_file_is_read_if_it_is_there() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let config = directory.path().join(".config/sessiond");
    let home = directory
        .path()
        .to_str()
        .expect("a temporary path is UTF-8");
    let environment = Environment::of_user(&[("HOME", home)]);
    let loaded = load(&ServeArgs::default(), &environment).expect("none is none");
    assert_eq!(loaded.file, None);
    std::fs::create_dir_all(&config).expect("a directory can be made");
    std::fs::write(
        config.join("sessiond.toml"),
        "[session]\nmax_sessions = 5\n",
    )
    .expect("it can be written");
    let loaded = load(&ServeArgs::default(), &environment).expect("it is read");
    assert_eq!(loaded.settings.policy.all_pools.max_sessions, Some(5));
    assert_eq!(loaded.file, Some(config.join("sessiond.toml")));
    let xdg = config.to_str().expect("a temporary path is UTF-8");
    let elsewhere = Environment::of_user(&[("HOME", home), ("XDG_CONFIG_HOME", xdg)]);
    let loaded = load(&ServeArgs::default(), &elsewhere).expect("none is none");
    assert_eq!(loaded.file, None);
    let named = Environment::of_user(&[("HOME", home), ("SESSIOND_CONFIG", "/dev/null")]);
    let loaded = load(&ServeArgs::default(), &named).expect("all is well");
    assert_eq!(loaded.file, Some(PathBuf::from("/dev/null")));
}

#[test]
fn a_file_that_cannot_be_read_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let check_file = |path: &Path, what: &str| {
        for problems in [
            load(&args(path), &Environment::of_user(&[HOME])).expect_err("it is refused"),
            check(path).expect_err("it is refused"),
        ] {
            assert_eq!(problems.len(), 1, "{problems:?}");
            let line = problems[0].to_string();
            assert!(line.starts_with(&format!("{}", path.display())), "{line}");
            assert!(line.contains(what), "{line}");
        }
    };
    check_file(
        &directory.path().join("missing.toml"),
        "failed to read the configuration",
    );
    check_file(directory.path(), "failed to read the configuration");
    let binary = directory.path().join("binary.toml");
    std::fs::write(&binary, b"[session]\n# \xc3\xa4\xff\n").expect("it can be written");
    check_file(&binary, ":2:4: is not UTF-8");
    let large = directory.path().join("large.toml");
    std::fs::write(&large, "#".repeat(4 * 1_024 * 1_024 + 1)).expect("it can be written");
    check_file(&large, "has more than 4194304 bytes");
}

#[test]
fn a_file_alone_is_checked_without_the_environment() {
    let file = written("[retry]\nmax_attempts = 4\n");
    let loaded = check(&file.path).expect("it is good");
    assert_eq!(loaded.settings.policy.max_attempts, 4);
    let bad = written("[retry]\nmax_attempts = 0\n");
    check(&bad.path).expect_err("it is bad");
}

#[test]
fn a_variable_that_sets_nothing_is_warned_of() {
    let environment = Environment::of_user(&[
        HOME,
        ("SESSIOND_SESSION_MAX_SESION", "5"),
        ("SESSIOND_LISTN", "127.0.0.1:1"),
        ("SESSIOND_RETRY_COLOUR", "5"),
        ("SESSIOND_ADDR", "127.0.0.1:1"),
        ("SESSIOND_NAMESPACE", "blue"),
        ("SESSIOND_TOKEN", "secret"),
        ("SESSIOND_SOMETHING_ELSE", "5"),
        ("SESSIOND_CONFIG", "/dev/null"),
    ]);
    let loaded = load(&ServeArgs::default(), &environment).expect("all is well");
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "SESSIOND_LISTN: sets nothing; did you mean SESSIOND_LISTEN?",
            "SESSIOND_RETRY_COLOUR: sets nothing; `sessiond config show` shows what can be set",
            "SESSIOND_SESSION_MAX_SESION: sets nothing; did you mean SESSIOND_SESSION_MAX_SESSIONS?",
        ]
    );
}

#[test]
fn root_has_the_places_of_the_machine() {
    let root = Environment::of_root();
    assert_eq!(
        root.usual_file(),
        Some("/etc/sessiond/sessiond.toml".into())
    );
    assert_eq!(root.data_dir(), Ok("/var/lib/sessiond".into()));
}

#[test]
fn nowhere_to_keep_data_is_a_problem_of_its_own() {
    let nobody = Environment::of_user(&[]);
    let problems = load(&args(Path::new("/dev/null")), &nobody).expect_err("there is no home");
    assert_eq!(
        problems[0].to_string(),
        "default: [server] data_dir: there is no home directory to keep state in; name one with --data-dir"
    );
    let flags = ServeArgs {
        data_dir: Some("/data".to_owned()),
        ..args(Path::new("/dev/null"))
    };
    load(&flags, &nobody).expect("a flag says where");
}
