//! The hook events of an agent session, one JSON object a line.
//!
//! Invariant: every id comes from the commit, so the same commit gives the same lines. What it
//! deliberately does not do: add fields that a commit can't fill, such as times.

use anyhow::{Context, Result};
use serde::Serialize;

use super::edit::{Region, cut};
use super::history::{Change, Ran};

/// Where the recorded agent worked: no path of any real machine.
const CWD: &str = "/repo";

/// Hex digits of a commit that start a tool-use id; the rest is the count.
const TOOL_USE_COMMIT_DIGITS: usize = 18;

/// Writes the events of one commit's session.
#[derive(Debug)]
pub(super) struct Hooks {
    commit: String,
    session_id: String,
    transcript_path: String,
    tool_uses: usize,
}

#[derive(Debug, Serialize)]
struct Hook<'a> {
    hook_event_name: &'static str,
    session_id: &'a str,
    transcript_path: &'a str,
    cwd: &'static str,
    #[serde(flatten)]
    detail: Detail<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Detail<'a> {
    Start {
        source: &'static str,
    },
    Prompt {
        prompt: &'a str,
    },
    Tool {
        tool_name: &'static str,
        tool_input: Input<'a>,
        tool_response: Output<'a>,
        tool_use_id: String,
    },
    Stop {
        stop_hook_active: bool,
        last_assistant_message: &'a str,
    },
    End {
        reason: &'static str,
    },
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Input<'a> {
    Bash {
        command: &'a str,
        description: &'a str,
    },
    Edit {
        file_path: &'a str,
        old_string: &'a str,
        new_string: &'a str,
        replace_all: bool,
    },
    Write {
        file_path: &'a str,
        content: &'a str,
    },
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Output<'a> {
    #[serde(rename_all = "camelCase")]
    Bash {
        stdout: &'a str,
        stderr: &'a str,
        interrupted: bool,
        is_image: bool,
    },
    #[serde(rename_all = "camelCase")]
    Edit {
        file_path: &'a str,
        old_string: &'a str,
        new_string: &'a str,
        original_file: &'a str,
        user_modified: bool,
        replace_all: bool,
    },
    #[serde(rename_all = "camelCase")]
    Write {
        r#type: &'static str,
        file_path: &'a str,
        content: &'a str,
    },
}

impl Hooks {
    pub(super) fn of(commit: &str) -> Self {
        let session_id = session_id(commit);
        let transcript_path = format!("transcripts/{session_id}.jsonl");
        Self {
            commit: commit.to_owned(),
            session_id,
            transcript_path,
            tool_uses: 0,
        }
    }

    pub(super) fn start(&self) -> Result<String> {
        self.line("SessionStart", Detail::Start { source: "startup" })
    }

    pub(super) fn prompt(&self, prompt: &str) -> Result<String> {
        self.line("UserPromptSubmit", Detail::Prompt { prompt })
    }

    pub(super) fn edit(&mut self, change: &Change) -> Result<String> {
        let path = format!("{CWD}/{}", change.path);
        let file_path = path.as_str();
        let Some(before) = &change.before else {
            let content = &cut(&change.after);
            let input = Input::Write { file_path, content };
            return self.tool(
                "Write",
                input,
                Output::Write {
                    r#type: "create",
                    file_path,
                    content,
                },
            );
        };
        let region = Region::between(before, &change.after);
        let (old_string, new_string) = (&cut(region.old), &cut(region.new));
        let original_file = &cut(before);
        let input = Input::Edit {
            file_path,
            old_string,
            new_string,
            replace_all: false,
        };
        let output = Output::Edit {
            file_path,
            old_string,
            new_string,
            original_file,
            user_modified: false,
            replace_all: false,
        };
        self.tool("Edit", input, output)
    }

    pub(super) fn command(&mut self, ran: &Ran) -> Result<String> {
        let input = Input::Bash {
            command: &ran.command,
            description: ran.description,
        };
        let stdout = &cut(&ran.stdout);
        let output = Output::Bash {
            stdout,
            stderr: "",
            interrupted: false,
            is_image: false,
        };
        self.tool("Bash", input, output)
    }

    pub(super) fn stop(&self, last_assistant_message: &str) -> Result<String> {
        self.line(
            "Stop",
            Detail::Stop {
                stop_hook_active: false,
                last_assistant_message,
            },
        )
    }

    pub(super) fn end(&self) -> Result<String> {
        self.line("SessionEnd", Detail::End { reason: "other" })
    }

    fn tool(
        &mut self,
        tool_name: &'static str,
        tool_input: Input<'_>,
        tool_response: Output<'_>,
    ) -> Result<String> {
        self.tool_uses += 1;
        let digits = self
            .commit
            .get(..TOOL_USE_COMMIT_DIGITS)
            .unwrap_or(&self.commit);
        let tool_use_id = format!("toolu_{digits}{:06}", self.tool_uses);
        self.line(
            "PostToolUse",
            Detail::Tool {
                tool_name,
                tool_input,
                tool_response,
                tool_use_id,
            },
        )
    }

    fn line(&self, hook_event_name: &'static str, detail: Detail<'_>) -> Result<String> {
        let (session_id, transcript_path) = (&self.session_id, &self.transcript_path);
        let hook = Hook {
            hook_event_name,
            session_id,
            transcript_path,
            cwd: CWD,
            detail,
        };
        serde_json::to_string(&hook).context("could not write an event")
    }
}

/// The first 128 bits of the commit's hash as a UUID of version 5, which is such a hash.
fn session_id(commit: &str) -> String {
    let mut digits: Vec<char> = commit.chars().take(32).collect();
    digits.resize(32, '0');
    digits[12] = '5';
    let variant = digits[16].to_digit(16).unwrap_or(0) & 0b0011 | 0b1000;
    digits[16] = char::from_digit(variant, 16).expect("four bits are one hex digit");
    let group = |from: usize, to: usize| digits[from..to].iter().collect::<String>();
    [
        group(0, 8),
        group(8, 12),
        group(12, 16),
        group(16, 20),
        group(20, 32),
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_is_a_uuid_of_the_commit() {
        let commit = "00112233445566778899aabbccddeeff00112233";
        assert_eq!(session_id(commit), "00112233-4455-5677-8899-aabbccddeeff");
        let commit = "ffffffffffffffffffffffffffffffffffffffff";
        assert_eq!(session_id(commit), "ffffffff-ffff-5fff-bfff-ffffffffffff");
    }

    #[test]
    fn events_open_with_their_name_and_session() {
        let hooks = Hooks::of(&"ab".repeat(20));
        assert_eq!(
            hooks.start().unwrap(),
            "{\"hook_event_name\":\"SessionStart\",\
             \"session_id\":\"abababab-abab-5bab-abab-abababababab\",\
             \"transcript_path\":\"transcripts/abababab-abab-5bab-abab-abababababab.jsonl\",\
             \"cwd\":\"/repo\",\"source\":\"startup\"}"
        );
    }
}
