//! Hooks of a coding agent through the real command line into a real server.
//!
//! What is claimed: a hook is never noticed by the agent, whatever the server does; what could not be
//! sent waits on disk and arrives first, with its own time; and a conversation comes out as one session
//! whose messages and end are what the agent said.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use sessiond_tests::binaries;
use sessiond_tests::server::Server;
use tempfile::TempDir;

/// The agent's id of the conversation.
const CONVERSATION: &str = "9ecf22fa-edf8-4332-ae85-b6d5456eda64";

/// One agent's machine: its state directory and where it believes the server to be.
struct Agent {
    state: TempDir,
    address: String,
}

impl Agent {
    fn new(server: &Server) -> Self {
        Self {
            state: tempfile::tempdir().expect("a temporary directory can be made"),
            address: server.address().to_owned(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binaries::sessionctl());
        command
            .args(arguments)
            .env("XDG_STATE_HOME", self.state.path())
            .env("HOME", self.state.path())
            .env("SESSIOND_ADDR", &self.address)
            .env_remove("SESSIOND_NAMESPACE")
            .env_remove("SESSIOND_TOKEN");
        command
    }

    /// Runs a hook; whatever happens, the agent must not notice.
    fn hook(&self, event: &Value) {
        let mut child = self
            .command(&["hook", "claude-code"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a hook can be started");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        stdin
            .write_all(event.to_string().as_bytes())
            .expect("a hook reads its input");
        drop(stdin);
        let output = child.wait_with_output().expect("a hook ends");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }

    /// Runs a command that must succeed; answers with the JSON it prints.
    fn ask(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["-o", "json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).expect("the answer is JSON")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .output()
            .expect("sessionctl can be run")
    }

    fn session(&self) -> Value {
        self.ask(&["session", "get", CONVERSATION])["session"].clone()
    }

    /// Kinds and payloads of the messages that are unsettled, in order.
    fn messages(&self) -> Vec<Value> {
        let listed = self.ask(&["message", "ls", CONVERSATION, "--payload"]);
        listed["messages"].as_array().cloned().unwrap_or_default()
    }
}

fn event(name: &str, fields: &Value) -> Value {
    let mut event = json!({
        "session_id": CONVERSATION,
        "transcript_path": "/home/u/.claude/projects/app/transcript.jsonl",
        "cwd": "/home/u/app",
        "hook_event_name": name,
    });
    for (key, value) in fields.as_object().expect("fields are an object") {
        event[key] = value.clone();
    }
    event
}

fn tool_use(id: &str, command: &str) -> Value {
    event(
        "PostToolUse",
        &json!({
            "tool_name": "Bash",
            "tool_input": {"command": command},
            "tool_response": {"stdout": "", "stderr": "", "interrupted": false},
            "tool_use_id": id,
        }),
    )
}

fn kinds(messages: &[Value]) -> Vec<&str> {
    messages
        .iter()
        .filter_map(|message| message["kind"].as_str())
        .collect()
}

#[test]
fn a_conversation_becomes_a_session_its_messages_and_its_end() {
    let server = Server::start();
    let agent = Agent::new(&server);
    agent.hook(&event("SessionStart", &json!({"source": "startup"})));
    agent.hook(&event(
        "UserPromptSubmit",
        &json!({"prompt": "make it work"}),
    ));
    agent.hook(&tool_use("toolu_1", "cargo test"));
    agent.hook(&tool_use("toolu_1", "cargo test"));
    agent.hook(&event(
        "Stop",
        &json!({"last_assistant_message": "it works"}),
    ));
    let session = agent.session();
    assert_eq!(session["state"], "SESSION_STATE_ACTIVE");
    assert_eq!(session["key"], CONVERSATION);
    assert_eq!(session["project"], "app");
    assert_eq!(session["prompt"], "make it work");
    assert_eq!(session["prompt_number"], 1);
    let messages = agent.messages();
    assert_eq!(
        kinds(&messages),
        ["observation", "summarize"],
        "a tool use that is told twice is one message"
    );
    // A compacted conversation goes on; it is the same session.
    agent.hook(&event("SessionStart", &json!({"source": "compact"})));
    assert_eq!(agent.session()["session_id"], session["session_id"]);
    agent.hook(&event("SessionEnd", &json!({"reason": "logout"})));
    let ending = agent.session();
    assert_eq!(
        ending["state"], "SESSION_STATE_DRAINING",
        "it waits for what is pending"
    );
    let worked = agent.run(&["work", "--attach", CONVERSATION, "--count", "2"]);
    // By key only a live session is meant; a draining one is worked on when it is assigned.
    assert!(!worked.status.success());
    let worked = agent.run(&["work", "--count", "2"]);
    assert!(worked.status.success(), "{worked:?}");
    let waited = agent.run(&["session", "wait", CONVERSATION, "--for", "ended"]);
    assert!(waited.status.success(), "{waited:?}");
    let ended = agent.session();
    assert_eq!(ended["state"], "SESSION_STATE_ENDED");
    assert_eq!(ended["end"]["reason"], "END_REASON_COMPLETED");
    assert_eq!(ended["end"]["detail"], "logout");
}

#[test]
fn what_happens_while_the_server_is_away_waits_and_comes_first() {
    let mut server = Server::start();
    let agent = Agent::new(&server);
    agent.hook(&event("SessionStart", &json!({"source": "startup"})));
    server.kill();
    agent.hook(&tool_use("toolu_1", "first"));
    agent.hook(&tool_use("toolu_2", "second"));
    let spooled = agent.ask(&["spool", "ls"]);
    assert_ne!(spooled, json!([]), "the events wait on disk: {spooled}");
    server.restart();
    agent.hook(&tool_use("toolu_3", "third"));
    let messages = agent.messages();
    let keys: Vec<&Value> = messages.iter().map(|m| &m["idempotency_key"]).collect();
    assert_eq!(keys, ["toolu_1", "toolu_2", "toolu_3"]);
    let times = |name: &str| -> Vec<String> {
        let time = |message: &Value| message[name].as_str().unwrap_or_default().to_owned();
        messages.iter().map(time).collect()
    };
    let (occurred, enqueued) = (times("occurred_time"), times("enqueue_time"));
    assert!(occurred.is_sorted(), "{occurred:?}");
    assert!(occurred[0] < enqueued[0], "an event keeps its own time");
}

#[test]
fn the_spool_is_sent_by_hand_too() {
    let mut server = Server::start();
    let agent = Agent::new(&server);
    server.kill();
    agent.hook(&event(
        "UserPromptSubmit",
        &json!({"prompt": "anybody there?"}),
    ));
    agent.hook(&tool_use("toolu_1", "ls"));
    let away = agent.run(&["spool", "flush"]);
    assert_eq!(away.status.code(), Some(3), "{away:?}");
    server.restart();
    let flushed = agent.run(&["spool", "flush"]);
    assert!(flushed.status.success(), "{flushed:?}");
    assert_eq!(agent.session()["prompt"], "anybody there?");
    assert_eq!(kinds(&agent.messages()), ["observation"]);
}

#[test]
fn a_reaped_session_comes_back_with_its_queue() {
    let server = Server::start();
    let agent = Agent::new(&server);
    agent.hook(&tool_use("toolu_1", "first"));
    let first = agent.session();
    let reaped = agent.run(&[
        "session",
        "end",
        CONVERSATION,
        "--reason",
        "idle",
        "--mode",
        "immediate",
    ]);
    assert!(reaped.status.success(), "{reaped:?}");
    agent.hook(&tool_use("toolu_2", "second"));
    let second = agent.session();
    assert_ne!(first["session_id"], second["session_id"]);
    assert_eq!(second["predecessor_id"], first["session_id"]);
    let messages = agent.messages();
    let seqs: Vec<&Value> = messages.iter().map(|m| &m["seq"]).collect();
    assert_eq!(seqs, ["1", "2"], "the held queue goes on where it stood");
}

#[test]
fn hooks_are_installed_where_the_agent_looks_and_only_once() {
    let server = Server::start();
    let agent = Agent::new(&server);
    let project = tempfile::tempdir().expect("a temporary directory can be made");
    let install = |arguments: &[&str], home: &Path| {
        let output = agent
            .command(&[&["hook", "install", "claude-code"], arguments].concat())
            .current_dir(project.path())
            .output()
            .expect("sessionctl can be run");
        assert!(output.status.success(), "{output:?}");
        std::fs::read_to_string(home.join(".claude/settings.json")).expect("settings were written")
    };
    for (arguments, home) in [
        (&[][..], agent.state.path()),
        (&["--project"], project.path()),
    ] {
        let once = install(arguments, home);
        assert_eq!(
            once,
            install(arguments, home),
            "a second time changes nothing"
        );
        let settings: Value = serde_json::from_str(&once).expect("settings are JSON");
        for hook in ["SessionStart", "PostToolUse", "Stop", "SessionEnd"] {
            assert!(settings["hooks"][hook].is_array(), "{hook}: {once}");
        }
    }
}
