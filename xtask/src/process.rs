//! Runs other programs: shown before they start, streamed while they run, judged when they end.
//!
//! Invariant: no program that failed, was killed, overran its limit or left a child behind counts
//! as a success. What it deliberately does not do: retry, or interpret what a program printed.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// How long the output of an ended program may stay open before whoever holds it counts as left
/// behind. Long enough for a child that is being killed.
const OUTPUT_GRACE: Duration = Duration::from_secs(10);

/// Lines read ahead of the printing; a full queue holds up the program, as a terminal would.
const LINES_AHEAD_MAX: usize = 1_024;

/// How long a program may run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// Until it ends by itself; it stays in the caller's process group, so Ctrl-C reaches it.
    None,
    /// At most this long; it gets a process group of its own, which is killed on overrun.
    After(Duration),
}

/// How a streamed program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself, with this status.
    Exited(ExitStatus),
    /// Killed with its process group, because the limit had passed.
    Overran,
    /// By itself, but something it started still holds its output.
    LeftBehind,
}

impl Ending {
    /// `Ok` only for an exit with status 0.
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Exited(status) if status.success() => Ok(()),
            Self::Exited(_) | Self::Overran | Self::LeftBehind => bail!("{self}"),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "{status}"),
            Self::Overran => write!(f, "killed: it ran past its time limit"),
            Self::LeftBehind => write!(f, "it left a process behind that holds its output open"),
        }
    }
}

enum Event {
    Line(String),
    Closed,
    Exited(io::Result<ExitStatus>),
}

/// Prints one line of xtask's own, on standard error.
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// Passes one line of a program's output on.
#[expect(
    clippy::print_stdout,
    reason = "the output of the programs is what xtask is run for"
)]
fn echo(line: &str) {
    println!("{line}");
}

/// Runs a program on the caller's terminal; anything but exit status 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    say(&format!("$ {shown}"));
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("could not start `{shown}`"))?;
    Ending::Exited(status)
        .check()
        .with_context(|| format!("`{shown}` failed"))
}

/// Runs a program silently and returns what it printed; anything but exit status 0 is an error
/// that carries what it printed on standard error.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let shown = show(command);
    let done = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not start `{shown}`"))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        bail!("`{shown}` failed: {}: {}", done.status, said.trim());
    }
    Ok(done.stdout)
}

/// Whether a program can be started and ends with status 0; it prints nothing.
pub(crate) fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a program, passing each line of its output on and to `on_line` (without the line's end),
/// standard output and standard error in the order they were written.
pub(crate) fn stream(command: Command, limit: Limit, on_line: impl FnMut(&str)) -> Result<Ending> {
    stream_with_grace(command, limit, OUTPUT_GRACE, on_line)
}

fn stream_with_grace(
    mut command: Command,
    limit: Limit,
    grace: Duration,
    mut on_line: impl FnMut(&str),
) -> Result<Ending> {
    let shown = show(&command);
    say(&format!("$ {shown}"));
    let (reader, writer) = io::pipe().context("could not make a pipe")?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    if matches!(limit, Limit::After(_)) {
        command.process_group(0);
    }
    let child = command
        .spawn()
        .with_context(|| format!("could not start `{shown}`"))?;
    // The command holds the writing ends: kept, the output would never end.
    drop(command);
    let group = Pid::from_child(&child);
    let events = watch(child, reader);
    follow(&events, limit, grace, group, |line| {
        echo(line);
        on_line(line);
    })
}

/// One thread reads the lines, one waits for the end; neither can hold up the other.
fn watch(mut child: Child, reader: io::PipeReader) -> Receiver<Event> {
    let (sender, receiver) = sync_channel(LINES_AHEAD_MAX);
    let lines = sender.clone();
    thread::spawn(move || read_lines(reader, &lines));
    thread::spawn(move || {
        let _ = sender.send(Event::Exited(child.wait()));
    });
    receiver
}

fn read_lines(reader: io::PipeReader, sender: &SyncSender<Event>) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A read that fails ends the output like its end does: the exit status still counts.
        let read = reader.read_until(b'\n', &mut line).unwrap_or(0);
        let event = match read {
            0 => Event::Closed,
            _ => Event::Line(String::from_utf8_lossy(line.trim_ascii_end()).into_owned()),
        };
        if sender.send(event).is_err() || read == 0 {
            return;
        }
    }
}

fn follow(
    events: &Receiver<Event>,
    limit: Limit,
    grace: Duration,
    group: Pid,
    mut on_line: impl FnMut(&str),
) -> Result<Ending> {
    let mut wake_at = match limit {
        Limit::None => None,
        Limit::After(span) => Some(Instant::now() + span),
    };
    let mut overran = false;
    let mut closed = false;
    let mut exited = None;
    loop {
        if let (true, Some(status)) = (closed, exited) {
            return Ok(if overran {
                Ending::Overran
            } else {
                Ending::Exited(status)
            });
        }
        match next(events, wake_at) {
            Ok(Event::Line(line)) => on_line(&line),
            Ok(Event::Closed) => closed = true,
            Ok(Event::Exited(status)) => {
                exited = Some(status.context("could not wait for the program")?);
                wake_at = Some(Instant::now() + grace);
            }
            Err(RecvTimeoutError::Disconnected) => bail!("lost sight of the program"),
            Err(RecvTimeoutError::Timeout) if exited.is_some() => {
                return Ok(if overran {
                    Ending::Overran
                } else {
                    Ending::LeftBehind
                });
            }
            Err(RecvTimeoutError::Timeout) => {
                overran = true;
                wake_at = None;
                kill_process_group(group, Signal::KILL).context("could not kill the program")?;
            }
        }
    }
}

fn next(events: &Receiver<Event>, wake_at: Option<Instant>) -> Result<Event, RecvTimeoutError> {
    match wake_at {
        None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        Some(at) => events.recv_timeout(at.saturating_duration_since(Instant::now())),
    }
}

/// The command as one would type it; arguments with anything special are quoted.
fn show(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut shown = program
        .file_name()
        .unwrap_or(OsStr::new("?"))
        .to_string_lossy()
        .into_owned();
    for argument in command.get_args() {
        let text = argument.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:@,+%^~".contains(c);
        shown.push(' ');
        if !text.is_empty() && text.chars().all(plain) {
            shown.push_str(&text);
        } else {
            shown.push_str(&format!("'{text}'"));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn stream_lines(script: &str, limit: Limit) -> (Vec<String>, Ending) {
        let mut lines = Vec::new();
        let ending = stream(sh(script), limit, |line| lines.push(line.to_owned())).unwrap();
        (lines, ending)
    }

    #[test]
    fn both_outputs_arrive_in_order_and_the_status_counts() {
        let (lines, ending) = stream_lines("echo a; echo b >&2; echo c; exit 3", Limit::None);
        assert_eq!(lines, ["a", "b", "c"]);
        assert!(ending.check().unwrap_err().to_string().contains('3'));
        assert!(stream_lines("true", Limit::None).1.check().is_ok());
    }

    #[test]
    fn an_unfinished_last_line_and_bad_utf8_are_lines() {
        let (lines, _) = stream_lines("printf 'one\\r\\n\\377'", Limit::None);
        assert_eq!(lines, ["one", "\u{fffd}"]);
    }

    #[test]
    fn an_overrun_kills_the_whole_group() {
        let limit = Limit::After(Duration::from_millis(50));
        let (_, ending) = stream_lines("cat /dev/zero >/dev/null & wait", limit);
        assert_eq!(ending, Ending::Overran);
        assert!(ending.check().is_err());
    }

    #[test]
    fn a_child_that_keeps_the_output_open_is_a_failure() {
        let script = sh("sleep 2 & echo started");
        let grace = Duration::from_millis(50);
        let ending = stream_with_grace(script, Limit::None, grace, |_| ()).unwrap();
        assert_eq!(ending, Ending::LeftBehind);
        assert!(ending.check().is_err());
    }

    #[test]
    fn a_killed_program_is_a_failure() {
        assert!(stream_lines("kill -9 $$", Limit::None).1.check().is_err());
        assert!(run(&mut sh("exit 1")).is_err());
        assert!(!works(&mut sh("exit 1")));
        assert!(!works(&mut Command::new("no-such-program-anywhere")));
    }

    #[test]
    fn output_returns_what_was_printed_or_what_was_said() {
        assert_eq!(output(&mut sh("echo x")).unwrap(), b"x\n");
        let error = output(&mut sh("echo why >&2; false"))
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("why"), "{error}");
    }

    #[test]
    fn commands_are_shown_as_typed() {
        let mut command = Command::new("/usr/bin/git");
        command.args(["log", "--format=%s", "", "a b"]);
        assert_eq!(show(&command), "git log --format=%s '' 'a b'");
    }
}
