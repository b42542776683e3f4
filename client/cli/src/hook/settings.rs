//! The settings of Claude Code with our hooks in them: from text to text.
//!
//! Invariant: what is there stays, in its order; installing twice is installing once; text that is
//! not understood is refused, never replaced. What this deliberately does not do: touch files.

use serde_json::{Map, Value, json};

use super::strict_json;

/// The events that are passed on, and whether their hooks choose tools by a matcher.
const EVENTS: [(&str, Matcher); 7] = [
    ("SessionStart", Matcher::None),
    ("UserPromptSubmit", Matcher::None),
    ("PostToolUse", Matcher::AllTools),
    ("PostToolUseFailure", Matcher::AllTools),
    ("Stop", Matcher::None),
    ("SubagentStop", Matcher::None),
    ("SessionEnd", Matcher::None),
];

/// How long the agent waits for a hook, in seconds. The hook itself takes 0.8 s at most; this says
/// so also where the agent's own bound is shorter or much longer.
const TIMEOUT_SECS: u64 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Matcher {
    None,
    AllTools,
}

/// What installing comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// Everything is there already.
    Unchanged,
    /// The new text.
    Changed(String),
}

/// Why settings are not touched.
#[derive(Debug, thiserror::Error)]
pub(super) enum SettingsError {
    #[error("not valid JSON, so it is left as it is")]
    Json(#[source] serde_json::Error),
    #[error("`{place}` is not {expected}, so it is left as it is")]
    Shape {
        place: String,
        expected: &'static str,
    },
}

/// Puts a hook with this command behind every event. A command of ours that is there already, in
/// whatever form, becomes this one.
pub(super) fn merge(text: &str, command: &str) -> Result<Merged, SettingsError> {
    let mut settings = if text.trim().is_empty() {
        json!({})
    } else {
        strict_json::read(text.trim_start_matches('\u{feff}')).map_err(SettingsError::Json)?
    };
    let before = settings.clone();
    let hooks = entry(object(&mut settings, "settings")?, "hooks", json!({}));
    let hooks = object(hooks, "hooks")?;
    for (event, matcher) in EVENTS {
        let place = format!("hooks.{event}");
        let groups = array(entry(hooks, event, json!([])), &place)?;
        if !update(groups, &place, command)? {
            groups.push(group(matcher, command));
        }
    }
    if settings == before {
        return Ok(Merged::Unchanged);
    }
    Ok(Merged::Changed(format!("{settings:#}\n")))
}

/// Gives our hooks of one event the command; whether there were any.
fn update(groups: &mut [Value], place: &str, command: &str) -> Result<bool, SettingsError> {
    let mut found = false;
    for (at, group) in groups.iter_mut().enumerate() {
        let place = format!("{place}[{at}]");
        let Some(hooks) = object(group, &place)?.get_mut("hooks") else {
            continue;
        };
        for hook in array(hooks, &format!("{place}.hooks"))? {
            let own = hook.get_mut("command").filter(|text| is_ours(text));
            if let Some(text) = own {
                *text = Value::from(command);
                found = true;
            }
        }
    }
    Ok(found)
}

fn is_ours(command: &Value) -> bool {
    command.as_str().is_some_and(|command| {
        command.contains("sessionctl") && command.contains("hook claude-code")
    })
}

fn group(matcher: Matcher, command: &str) -> Value {
    let hooks = json!([{"type": "command", "command": command, "timeout": TIMEOUT_SECS}]);
    match matcher {
        Matcher::None => json!({ "hooks": hooks }),
        Matcher::AllTools => json!({ "matcher": "*", "hooks": hooks }),
    }
}

fn entry<'a>(map: &'a mut Map<String, Value>, key: &str, missing: Value) -> &'a mut Value {
    map.entry(key).or_insert(missing)
}

fn object<'a>(
    value: &'a mut Value,
    place: &str,
) -> Result<&'a mut Map<String, Value>, SettingsError> {
    value.as_object_mut().ok_or_else(|| SettingsError::Shape {
        place: place.to_owned(),
        expected: "an object",
    })
}

fn array<'a>(value: &'a mut Value, place: &str) -> Result<&'a mut Vec<Value>, SettingsError> {
    value.as_array_mut().ok_or_else(|| SettingsError::Shape {
        place: place.to_owned(),
        expected: "a list",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMAND: &str = "sessionctl hook claude-code";

    #[track_caller]
    fn changed(text: &str, command: &str) -> Value {
        match merge(text, command).unwrap() {
            Merged::Changed(text) => {
                assert!(text.ends_with("}\n"));
                assert_eq!(
                    merge(&text, command).unwrap(),
                    Merged::Unchanged,
                    "once is enough"
                );
                serde_json::from_str(&text).unwrap()
            }
            Merged::Unchanged => panic!("nothing changed"),
        }
    }

    fn commands(settings: &Value, event: &str) -> Vec<String> {
        let groups = settings["hooks"][event].as_array().unwrap();
        groups
            .iter()
            .flat_map(|group| group["hooks"].as_array().unwrap())
            .map(|hook| hook["command"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn nothing_becomes_a_hook_for_every_event() {
        for text in ["", " \n", "{}", "{\"hooks\":{}}"] {
            let settings = changed(text, COMMAND);
            for (event, matcher) in EVENTS {
                assert_eq!(commands(&settings, event), [COMMAND], "{event}");
                let group = &settings["hooks"][event][0];
                assert_eq!(group.get("matcher").is_some(), matcher == Matcher::AllTools);
                assert_eq!(group["hooks"][0]["type"], "command");
            }
        }
    }

    #[test]
    fn what_is_there_stays_in_its_order() {
        let text = r#"{
            "zeta": {"b": 1, "a": [null, 2.5]},
            "hooks": {
                "PreToolUse": [{"matcher": "Bash", "hooks": [{"type": "command", "command": "lint"}]}],
                "Stop": [{"hooks": [{"type": "command", "command": "notify", "later": true}]}, {}]
            },
            "alpha": "x"
        }"#;
        let settings = changed(text, COMMAND);
        let keys: Vec<&String> = settings.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["zeta", "hooks", "alpha"]);
        assert_eq!(settings["zeta"].to_string(), r#"{"b":1,"a":[null,2.5]}"#);
        assert_eq!(commands(&settings, "PreToolUse"), ["lint"]);
        let stop = settings["hooks"]["Stop"].as_array().unwrap();
        assert_eq!(stop.len(), 3);
        assert_eq!(stop[0]["hooks"][0]["later"], true);
        assert_eq!(stop[1], json!({}));
        assert_eq!(stop[2]["hooks"][0]["command"], COMMAND);
    }

    #[test]
    fn an_older_command_of_ours_is_replaced_where_it_stands() {
        let first = changed("", "'/old/bin/sessionctl' hook claude-code").to_string();
        let settings = changed(&first, "sessionctl hook claude-code --start-server");
        for (event, _) in EVENTS {
            assert_eq!(
                commands(&settings, event),
                ["sessionctl hook claude-code --start-server"]
            );
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in ["{", "// a comment\n{}", "{\"a\":1,\"a\":2}", "{}}"] {
            let error = merge(text, COMMAND).expect_err(text);
            assert!(matches!(error, SettingsError::Json(_)), "{error}");
        }
        for (text, named) in [
            ("[]", "settings"),
            ("{\"hooks\":[]}", "hooks"),
            ("{\"hooks\":{\"Stop\":{}}}", "hooks.Stop"),
            ("{\"hooks\":{\"Stop\":[1]}}", "hooks.Stop[0]"),
            (
                "{\"hooks\":{\"Stop\":[{\"hooks\":\"x\"}]}}",
                "hooks.Stop[0].hooks",
            ),
        ] {
            let error = merge(text, COMMAND).expect_err(text);
            assert!(error.to_string().contains(&format!("`{named}`")), "{error}");
        }
    }
}
