//! `sessionctl replay`: recorded hook events of a JSONL file, through the mapping of the hooks.
//!
//! Invariant: sessions go out side by side, each in the order of the file; a line has the same key
//! whenever it is sent, so that replaying again, after an interruption or for the fun of it, adds
//! nothing within the time for which the server remembers keys. What this deliberately does not do:
//! hold the file in memory.

mod lane;
mod pace;
mod summary;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::Args;
use sessiond_client::hook::event::HookEvent;
use sessiond_client::hook::{self, ID_BYTES_MAX, Occurrence};
use sessiond_client::{Client, RetryPolicy};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::lane::{Lane, Step};
use self::pace::Pace;
use self::summary::Tally;
use crate::failure::Failure;
use crate::output::Output;
use crate::say;
use crate::values;

/// Lines that are read and not yet answered, over all sessions: enough to keep every connection
/// busy, and a bound on the memory.
const LINES_AHEAD_MAX: usize = 1024;

/// How often to say how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// What to replay, and how fast.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The file: one hook event as JSON on each line, those of a session in order.
    file: PathBuf,
    /// Send at most this many events a second [default: as fast as the server takes them].
    #[arg(long, value_name = "EVENTS", value_parser = pace::parse)]
    speed: Option<Pace>,
    /// How many calls may be under way at once.
    #[arg(long, value_name = "CALLS", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,
    /// How long to go on when the server is away or has no room.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = values::span)]
    retry_for: Duration,
}

/// What all lanes share.
#[derive(Debug)]
struct Shared {
    client: Client,
    retry_for: Duration,
    calls: Semaphore,
    tally: Tally,
    /// Set when going on makes no sense.
    stop: CancellationToken,
}

/// Reads the file and hands its lines to the lanes.
struct Reader {
    shared: Arc<Shared>,
    lines_ahead: Arc<Semaphore>,
    lanes: HashMap<String, mpsc::UnboundedSender<Step>>,
    running: JoinSet<Result<(), Failure>>,
    pace: Option<Pace>,
}

// === impl ReplayArgs ===

impl ReplayArgs {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let file = File::open(&self.file)
            .with_context(|| format!("cannot open `{}`", self.file.display()))?;
        let shared = Arc::new(Shared {
            client: client.with_retry(RetryPolicy::within(self.retry_for)),
            retry_for: self.retry_for,
            calls: Semaphore::new(self.jobs.into()),
            tally: Tally::default(),
            stop: CancellationToken::new(),
        });
        let reader = Reader {
            shared: Arc::clone(&shared),
            lines_ahead: Arc::new(Semaphore::new(LINES_AHEAD_MAX)),
            lanes: HashMap::new(),
            running: JoinSet::new(),
            pace: self.speed,
        };
        let done = {
            let mut replay = std::pin::pin!(reader.run(BufReader::new(file)));
            let mut clock = tokio::time::interval(PROGRESS_INTERVAL);
            clock.tick().await;
            loop {
                // Either may win: the clock only prints.
                tokio::select! {
                    done = &mut replay => break done,
                    _ = clock.tick() => say::line(&shared.tally.counts().progress()),
                }
            }
        };
        let counts = shared.tally.counts();
        counts.print(output)?;
        if done.is_err() {
            say::line("stopped before the end: run it again to go on, nothing is sent twice");
        }
        done?;
        counts.check()
    }
}

// === impl Reader ===

impl Reader {
    /// Ends when every line is answered, or when going on makes no sense.
    async fn run(mut self, mut lines: BufReader<File>) -> Result<(), Failure> {
        let mut line = Vec::new();
        let mut number = 0;
        while !self.shared.stop.is_cancelled() {
            line.clear();
            let read = lines.read_until(b'\n', &mut line);
            if read.context("cannot read the file")? == 0 {
                break;
            }
            number += 1;
            self.line(number, &String::from_utf8_lossy(&line)).await;
        }
        self.lanes.clear();
        let mut result = Ok(());
        while let Some(lane) = self.running.join_next().await {
            let lane = lane.unwrap_or_else(|error| {
                Err(Failure::Other(
                    anyhow::Error::new(error).context("a lane broke"),
                ))
            });
            // The first failure is the cause; the others stopped because of it.
            result = result.and(lane);
        }
        result
    }

    async fn line(&mut self, number: u64, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        let event = match HookEvent::parse(text) {
            Ok(event) => event,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
                return self
                    .shared
                    .tally
                    .malformed(number, &format!("{error}{cause}"));
            }
        };
        let occurrence = Occurrence {
            time: SystemTime::now(),
            key: line_key(event.session_id(), number),
        };
        let Some(request) = hook::request(&event, &occurrence) else {
            return self.shared.tally.ignored();
        };
        if let Some(pace) = &mut self.pace {
            // Whichever is first: after a stop the line is dropped by its lane.
            tokio::select! {
                () = pace.next() => {}
                () = self.shared.stop.cancelled() => {}
            }
        }
        let ahead = Arc::clone(&self.lines_ahead).acquire_owned().await;
        let step = Step {
            number,
            request,
            open: hook::open_body(&event),
            key: occurrence.key,
            _ahead: ahead.expect("the semaphore is never closed"),
        };
        self.send(event.session_id(), step);
    }

    /// Hands a step to the lane of its session.
    fn send(&mut self, session: &str, step: Step) {
        if !self.lanes.contains_key(session) {
            self.shared.tally.session();
            let (sender, steps) = mpsc::unbounded_channel();
            let lane = Lane::new(Arc::clone(&self.shared));
            self.running.spawn(lane.run(steps));
            self.lanes.insert(session.to_owned(), sender);
        }
        let lane = self.lanes.get(session).expect("it is there by now");
        // A lane that failed has stopped the replay; what is left needs no answer.
        let _ = lane.send(step);
    }
}

/// What names a line among all others. The number keeps lines apart where an id is too long to
/// stand beside it.
fn line_key(session: &str, number: u64) -> String {
    let suffix = format!(":{number}");
    let room = ID_BYTES_MAX - suffix.len();
    format!("{}{suffix}", hook::cut(session, room))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fit_and_differ() {
        assert_eq!(line_key("s", 7), "s:7");
        let long = "é".repeat(128);
        let key = line_key(&long, u64::MAX);
        assert!(key.len() <= ID_BYTES_MAX, "{}", key.len());
        assert!(key.ends_with(":18446744073709551615"));
        assert_ne!(line_key(&long, 1), line_key(&long, 2));
    }
}
