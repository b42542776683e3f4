//! Subscriptions on the command line: made, followed across a kill, moved and forgotten.

use serde_json::Value;
use sessiond_tests::server::Server;
use sessiond_tests::sessionctl::Sessionctl;

/// The exit code for what there is not.
const NOT_FOUND: i32 = 5;

/// Opens and ends a session of that key.
fn live_and_end(server: &Server, key: &str) {
    Sessionctl::succeeded(server, &["session", "open", "--key", key]);
    Sessionctl::succeeded(server, &["session", "end", key]);
}

/// The keys of the sessions that are printed as ended.
fn followed(server: &Server, more: &[&str]) -> Vec<String> {
    let arguments = [&["subscription", "follow", "memory"], more].concat();
    let events = Sessionctl::succeeded(server, &arguments).into_iter();
    let keys = events.map(|event| {
        assert_eq!(event["type"], "EVENT_TYPE_SESSION_END");
        event["session"]["key"].as_str().expect("a key").to_owned()
    });
    keys.collect()
}

fn memory(server: &Server) -> Value {
    Sessionctl::succeeded(server, &["subscription", "get", "memory"]).remove(0)
}

#[test]
fn a_plugin_of_the_shell_hears_of_each_end_once_across_a_kill() {
    let mut server = Server::start();
    live_and_end(&server, "before");
    let create = ["subscription", "create", "memory"];
    let create = [&create[..], &["--type", "session-end", "--required"]].concat();
    Sessionctl::succeeded(&server, &create);
    // It is there, so this changes nothing.
    Sessionctl::succeeded(&server, &create);
    for key in ["a", "b", "c"] {
        live_and_end(&server, key);
    }
    assert_eq!(followed(&server, &["--count", "1", "--no-ack"]), ["a"]);
    assert_eq!(followed(&server, &["--count", "2"]), ["a", "b"]);
    server.kill();
    server.restart();
    live_and_end(&server, "d");
    assert_eq!(followed(&server, &["--count", "2"]), ["c", "d"]);
    assert_eq!(memory(&server)["required"], true);

    let seek = ["subscription", "seek", "memory", "--oldest"];
    let moved = Sessionctl::succeeded(&server, &seek).remove(0);
    assert_eq!(moved["acked_revision"], "0");
    let all = ["before", "a", "b", "c", "d"];
    assert_eq!(followed(&server, &["--count", "5"]), all);

    let names = Sessionctl::succeeded(&server, &["subscription", "ls"]);
    assert_eq!(names.len(), 1, "{names:?}");
    Sessionctl::succeeded(&server, &["subscription", "rm", "memory"]);
    for gone in [
        &["subscription", "get", "memory"][..],
        &["subscription", "rm", "memory"],
        &["subscription", "follow", "memory"],
        &["subscription", "seek", "memory", "--now"],
    ] {
        assert_eq!(
            Sessionctl::finished(&server, gone).0,
            Some(NOT_FOUND),
            "{gone:?}"
        );
    }
}
