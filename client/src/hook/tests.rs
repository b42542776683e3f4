//! The mapping of every event, whole and broken, against the requests it must become.
//!
//! Invariant: goes through `HookEvent::parse` and `request` only. What it deliberately does not
//! do: send anything.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::event::EventError;
use super::*;

fn occurrence() -> Occurrence {
    Occurrence {
        time: UNIX_EPOCH + Duration::new(1_700_000_000, 5),
        key: "once".to_owned(),
    }
}

/// What an event becomes, with the fields that all events share filled in.
#[track_caller]
fn map(mut event: Value) -> Option<HookRequest> {
    for (name, value) in [
        ("session_id", json!("9ecf22fa")),
        ("transcript_path", json!("/home/u/t.jsonl")),
        ("cwd", json!("/home/u/app")),
        ("permission_mode", json!("default")),
    ] {
        if event.get(name).is_none() {
            event[name] = value;
        }
    }
    let text = event.to_string();
    let event = HookEvent::parse(&text).expect("an event");
    let mapped = request(&event, &occurrence());
    assert_eq!(mapped, request(&event, &occurrence()), "it is pure");
    if let Some(mapped) = &mapped {
        assert_eq!(mapped.session_key(), event.session_id());
    }
    mapped
}

#[track_caller]
fn open(event: Value) -> OpenSessionRequest {
    match map(event) {
        Some(HookRequest::Open(open)) => *open,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn end_of(event: Value) -> EndSessionRequest {
    match map(event) {
        Some(HookRequest::End(end)) => *end,
        other => panic!("{other:?}"),
    }
}

/// The one message of an event, its payload, and what opens the session.
#[track_caller]
fn message(event: Value) -> (Message, Value, OpenSessionRequest) {
    let Some(HookRequest::Enqueue(mut enqueue)) = map(event) else {
        panic!("no enqueue");
    };
    assert_eq!(enqueue.messages.len(), 1);
    let message = enqueue.messages.remove(0);
    let payload = serde_json::from_slice(&message.payload).expect("JSON");
    let open = enqueue.open_if_missing.expect("every message can open");
    assert_eq!(open.key, "9ecf22fa");
    assert_eq!(open.request_id, "", "only a call of its own has one");
    (message, payload, open)
}

#[test]
fn a_start_opens_by_key_whatever_its_source() {
    for source in ["startup", "resume", "clear", "compact", "later"] {
        let open = open(json!({"hook_event_name": "SessionStart", "source": source}));
        let expected = OpenSessionRequest {
            key: "9ecf22fa".to_owned(),
            project: "app".to_owned(),
            source: "claude-code".to_owned(),
            transcript_path: "/home/u/t.jsonl".to_owned(),
            request_id: "once".to_owned(),
            ..OpenSessionRequest::default()
        };
        assert_eq!(open, expected, "{source}");
    }
}

#[test]
fn a_prompt_opens_with_it() {
    let event = |prompt: &str| json!({"hook_event_name": "UserPromptSubmit", "prompt": prompt});
    let short = open(event("fix the tests"));
    assert_eq!(short.prompt, "fix the tests");
    assert_eq!(short.request_id, "once");
    assert_eq!(open(event(&"é".repeat(32 * 1024))).prompt.len(), 65_536);
    let long = open(event(&"é".repeat(50_000))).prompt;
    assert!((65_530..=65_536).contains(&long.len()), "{}", long.len());
    assert!(long.ends_with("é\n[truncated, 100000 bytes]"));
}

#[test]
fn a_tool_use_is_an_observation() {
    let (message, payload, open) = message(json!({
        "hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_use_id": "toolu_01",
        "tool_input": {"command": "cargo test"},
        "tool_response": {"stdout": "ok", "stderr": "", "interrupted": false},
    }));
    assert_eq!(message.kind, "observation");
    assert_eq!(message.content_type, "application/json");
    assert_eq!(message.idempotency_key, "toolu_01");
    assert_eq!(
        message.occurred_time,
        Some(prost_types::Timestamp {
            seconds: 1_700_000_000,
            nanos: 5
        })
    );
    assert_eq!(
        payload,
        json!({
            "tool_name": "Bash", "tool_input": {"command": "cargo test"},
            "tool_response": {"stdout": "ok", "stderr": "", "interrupted": false},
        })
    );
    assert_eq!(message.attributes["tool_name"], "Bash");
    assert_eq!(message.attributes["cwd"], "/home/u/app");
    assert_eq!(message.attributes["hook_event_name"], "PostToolUse");
    assert!(!message.attributes.contains_key("truncated"));
    assert_eq!((message.agent_id, message.agent_type), Default::default());
    assert_eq!(open.project, "app");
}

#[test]
fn a_tool_failure_is_an_observation_with_its_error() {
    let (message, payload, _) = message(json!({
        "hook_event_name": "PostToolUseFailure", "tool_name": "Bash", "tool_use_id": "toolu_02",
        "tool_input": {}, "error": "exit 1", "is_interrupt": true,
    }));
    assert_eq!(message.kind, "observation");
    assert_eq!(message.idempotency_key, "toolu_02");
    assert_eq!(
        payload,
        json!({"tool_name": "Bash", "tool_input": {}, "error": "exit 1", "is_interrupt": true})
    );
}

#[test]
fn without_a_usable_tool_use_id_the_occurrence_names_the_message() {
    for id in [
        json!(null),
        json!(7),
        json!(""),
        json!("a\nb"),
        json!("x".repeat(257)),
    ] {
        let event = json!({"hook_event_name": "PostToolUse", "tool_name": "T", "tool_use_id": id});
        assert_eq!(message(event).0.idempotency_key, "once", "{id}");
    }
    let longest = "x".repeat(256);
    let event = json!({"hook_event_name": "PostToolUse", "tool_use_id": longest});
    assert_eq!(message(event).0.idempotency_key, longest);
}

#[test]
fn stops_ask_for_a_summary() {
    let (main, payload, _) = message(json!({
        "hook_event_name": "Stop", "stop_hook_active": false, "last_assistant_message": "Done.",
    }));
    assert_eq!(main.kind, "summarize");
    assert_eq!(main.idempotency_key, "once");
    assert_eq!(
        payload,
        json!({"last_assistant_message": "Done.", "stop_hook_active": false})
    );
    let (sub, payload, open) = message(json!({
        "hook_event_name": "SubagentStop", "agent_id": "a1", "agent_type": "Explore",
        "agent_transcript_path": "/t", "last_assistant_message": "Found.",
    }));
    assert_eq!(sub.kind, "summarize");
    assert_eq!(
        (sub.agent_id.as_str(), sub.agent_type.as_str()),
        ("a1", "Explore")
    );
    assert_eq!(
        payload,
        json!({"last_assistant_message": "Found.", "agent_transcript_path": "/t"})
    );
    assert_eq!(open.agent_id, "", "the session is not the sub-agent's");
}

#[test]
fn agents_are_told_apart() {
    let tool = |extra: Value| {
        let mut event = json!({"hook_event_name": "PostToolUse", "tool_name": "Read"});
        for (name, value) in extra.as_object().expect("an object") {
            event[name] = value.clone();
        }
        message(event)
    };
    let (sub, _, open) = tool(json!({"agent_id": "a1", "agent_type": "Explore"}));
    assert_eq!(
        (sub.agent_id.as_str(), sub.agent_type.as_str()),
        ("a1", "Explore")
    );
    assert_eq!(open.agent_id, "");
    let (main, _, open) = tool(json!({"agent_type": "reviewer"}));
    assert_eq!(
        (main.agent_id.as_str(), main.agent_type.as_str()),
        ("", "reviewer")
    );
    assert_eq!(open.agent_id, "reviewer");
    let (odd, _, _) =
        tool(json!({"agent_id": 3, "agent_type": format!("a\u{7}{}", "b".repeat(300))}));
    assert_eq!((odd.agent_id.len(), odd.agent_type.len()), (0, 256));
}

#[test]
fn an_end_says_whether_the_conversation_goes_on() {
    for (word, reason, detail) in [
        (json!("clear"), EndReason::Reset, ""),
        (json!("resume"), EndReason::Replaced, ""),
        (json!("logout"), EndReason::Completed, "logout"),
        (
            json!("prompt_input_exit"),
            EndReason::Completed,
            "prompt_input_exit",
        ),
        (json!("other"), EndReason::Completed, "other"),
        (json!("a later word"), EndReason::Completed, "a later word"),
        (json!(null), EndReason::Completed, ""),
    ] {
        let end = end_of(json!({"hook_event_name": "SessionEnd", "reason": word}));
        assert_eq!(end.reason(), reason, "{word}");
        assert_eq!(end.detail, detail);
        assert_eq!(end.mode(), EndMode::AfterPending);
        assert_eq!(end.request_id, "once");
    }
}

#[test]
fn other_events_are_ignored_even_without_a_session() {
    for name in [
        "PreToolUse",
        "PreCompact",
        "Notification",
        "session_start",
        "Later",
    ] {
        assert_eq!(map(json!({"hook_event_name": name})), None, "{name}");
    }
    let event = HookEvent::parse(r#"{"hook_event_name":"Later"}"#).expect("an event");
    assert_eq!(request(&event, &occurrence()), None);
}

#[test]
fn projects_are_the_last_part_of_a_directory() {
    for (cwd, project) in [
        (json!("/home/u/app/"), "app"),
        (json!("/"), "/"),
        (json!("app"), "app"),
        (json!("C:\\code\\app"), "app"),
        (json!("/a/b\\c"), "b\\c"),
        (json!(""), ""),
        (json!(4), ""),
    ] {
        let open = open(json!({"hook_event_name": "SessionStart", "cwd": cwd}));
        assert_eq!(open.project, project, "{cwd}");
    }
}

#[test]
fn a_payload_over_the_limit_is_cut_and_marked() {
    let (message, payload, _) = message(json!({
        "hook_event_name": "PostToolUse", "tool_name": "Read", "tool_use_id": "t",
        "tool_input": {"file_path": "/big"}, "tool_response": "q".repeat(PAYLOAD_BYTES_MAX),
    }));
    assert_eq!(message.payload.len(), PAYLOAD_BYTES_MAX);
    assert_eq!(message.attributes["truncated"], "true");
    let original: usize = message.attributes["original_size"].parse().expect("a size");
    assert!(original > PAYLOAD_BYTES_MAX);
    assert_eq!(payload["tool_input"]["file_path"], "/big");
}

#[test]
fn half_characters_cost_no_prompt() {
    let text = r#"{"hook_event_name":"UserPromptSubmit","session_id":"s","prompt":"a\ud83db"}"#;
    let event = HookEvent::parse(text).expect("an event");
    let Some(HookRequest::Open(open)) = request(&event, &occurrence()) else {
        panic!("no open");
    };
    assert!(open.prompt.starts_with('a') && open.prompt.ends_with('b'));
    assert!(open.prompt.contains('\u{fffd}'));
}

#[test]
fn what_is_no_event_is_refused_with_its_cause() {
    for text in ["", "null", "[]", "{", "{}{}", "\"Stop\"", "\u{0}"] {
        assert!(
            matches!(HookEvent::parse(text), Err(EventError::Json(_))),
            "{text}"
        );
    }
    for text in [
        "{}",
        r#"{"hook_event_name":3}"#,
        r#"{"hook_event_name":""}"#,
    ] {
        assert!(
            matches!(HookEvent::parse(text), Err(EventError::NoName)),
            "{text}"
        );
    }
    for id in [
        json!(null),
        json!(1),
        json!(""),
        json!("a\u{1}"),
        json!("x".repeat(257)),
    ] {
        let text = json!({"hook_event_name": "Stop", "session_id": id}).to_string();
        assert!(
            matches!(HookEvent::parse(&text), Err(EventError::NoSession)),
            "{text}"
        );
    }
    let with_mark = "\u{feff}{\"hook_event_name\":\"Stop\",\"session_id\":\"s\"}\n";
    assert!(HookEvent::parse(with_mark).is_ok());
}
