//! A command in a tmux session of its own, on a server that nobody else uses.
//!
//! What is started instead of the command makes the server, and ends when it does, with the code of the command. Invariant:
//! the command gets its arguments as they are; the socket is in a directory that only this user can enter, and goes with this
//! process. What this deliberately does not do: end anything; the server is adopted like whatever loses its parent, and
//! carries the mark of the command, so it is ended with the rest.

use std::ffi::{OsStr, OsString};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use uuid::Uuid;

/// Characters of the session's name.
const NAME_CHARS: usize = 64;

/// Makes the server with `$3…`, waits until the command or whatever runs it is over, and ends as the command did, which it is
/// told through the pipe `$2`.
const WATCH: &str = r#"
socket=$1 told=$2
shift 2
unset TMUX TMUX_PANE
mkfifo -m 600 "$told" || exit 125
tmux -u -S "$socket" -f /dev/null "$@" || exit 125
read -r code <"$told" && exit "$code"
exit 125
"#;

/// Runs `$2…` and tells its code through the pipe `$1`. That is open from the beginning, and for nobody else, so that whoever
/// reads there also learns that nothing will be told: what tmux says of a server that is about to end is not to be relied on.
const NOTE: &str = r#"
exec 3>"$1"
shift
"$@" 3>&-
echo "$?" >&3
"#;

/// The place of a private tmux server.
#[derive(Debug)]
pub(super) struct Pane {
    directory: PathBuf,
}

impl Pane {
    /// A place of its own.
    pub(super) fn new() -> io::Result<Self> {
        let parent = std::env::var_os("XDG_RUNTIME_DIR").filter(|parent| !parent.is_empty());
        let parent = parent.map_or_else(std::env::temp_dir, PathBuf::from);
        let directory = parent.join(format!("sessiond-run-{}", Uuid::now_v7().simple()));
        DirBuilder::new().mode(0o700).create(&directory)?;
        Ok(Self { directory })
    }

    /// Where the server is.
    pub(super) fn socket(&self) -> PathBuf {
        self.directory.join("tmux")
    }

    /// What to start in the place of a command.
    pub(super) fn around(&self, key: &str, command: &[OsString]) -> Vec<OsString> {
        let told = self.directory.join("told");
        let words =
            |words: &[&str]| -> Vec<OsString> { words.iter().map(OsString::from).collect() };
        let mut line = words(&["sh", "-c", WATCH, "sessiond-run"]);
        line.push(self.socket().into());
        line.push(told.clone().into());
        line.extend(words(&["new-session", "-d", "-s", &name(key), "--"]));
        let mut inner = words(&["sh", "-c", NOTE, "sessiond-run"]);
        inner.push(told.into());
        inner.extend_from_slice(command);
        line.extend(inner.iter().map(|word| literal(word)));
        line
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        // What is left there is a socket that nobody answers on.
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

/// tmux ends a command at an argument with a semicolon at its end, unless that is escaped.
fn literal(word: &OsStr) -> OsString {
    match word.as_bytes().split_last() {
        Some((b';', before)) => OsString::from_vec([before, br"\;"].concat()),
        Some(_) | None => word.to_owned(),
    }
}

/// A name that tmux keeps as it is. The server has no other session, so it need not be unlike any.
fn name(key: &str) -> String {
    let kept = key.chars().map(|c| match c {
        ':' | '.' | '\\' | '#' | ';' => '-',
        c if c.is_control() => '-',
        c => c,
    });
    kept.take(NAME_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_semicolon_at_the_end_is_escaped() {
        for (word, kept) in [
            ("a", "a"),
            (";", r"\;"),
            ("a;", r"a\;"),
            ("a;b", "a;b"),
            ("", ""),
        ] {
            assert_eq!(literal(OsStr::new(word)), OsString::from(kept));
        }
    }

    #[test]
    fn a_key_becomes_a_name_that_tmux_keeps() {
        assert_eq!(name("agent:main.1"), "agent-main-1");
        assert_eq!(name(&"x".repeat(100)).len(), NAME_CHARS);
    }
}
