//! One event from stdin to the server, or to the spool.
//!
//! Invariant: the events of a session go out in order: its backlog first, and behind a backlog that
//! cannot be sent the event waits too. An event is in the spool, synced, before it counts as kept.
//! What this deliberately does not do: repeat a call; the next hook does.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use sessiond_client::hook::event::HookEvent;
use sessiond_client::hook::{self, HookRequest, Occurrence};
use sessiond_client::{Client, Error, RetryPolicy};
use uuid::Uuid;

use super::journal::Journal;
use crate::deliver::{self, Fate};
use crate::spool::{Owner, Record, Spool, Verdict};
use crate::target::Target;

/// How long a connection may take to be made. The server is on this machine or next to it.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(50);

/// When, after the start of the process, the backlog of other sessions is left to the next hook.
const OTHERS_UNTIL: Duration = Duration::from_millis(350);

/// When the last answer counts; the rest of the budget is for the disk.
const ANSWER_UNTIL: Duration = Duration::from_millis(550);

/// When waiting for other hooks to leave the spool ends.
const SPOOL_UNTIL: Duration = Duration::from_millis(750);

/// One event as the agent writes it, in bytes. Far above any message, and below what would take
/// the budget to read.
const EVENT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Starts a server on an address, with the state directory for what it prints.
pub(super) type Start = fn(&str, &Path) -> anyhow::Result<()>;

/// Passes one event on.
#[derive(Debug)]
pub(super) struct Teller {
    pub(super) target: Target,
    pub(super) state: PathBuf,
    /// When the process started.
    pub(super) started: Instant,
    /// How to start a server on an address when none answers there; `None`: not at all.
    pub(super) start: Option<Start>,
    pub(super) journal: Journal,
}

/// What became of a backlog.
#[derive(Debug)]
enum Backlog {
    Sent,
    /// Another hook is sending one.
    Busy,
    /// It cannot be sent yet.
    Stuck(Error),
}

/// What became of a call.
#[derive(Debug)]
enum Told {
    /// The server has it, or will never take it.
    Done,
    /// Not yet.
    NotYet(Error),
}

// === impl Teller ===

impl Teller {
    /// Reads an event and passes it on. An event that sessiond has no use for is nothing to do.
    pub(super) fn tell(&self, stdin: &mut dyn Read) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        stdin
            .take(EVENT_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .context("cannot read stdin")?;
        if bytes.len() as u64 > EVENT_BYTES_MAX {
            bail!("the event is longer than {EVENT_BYTES_MAX} bytes");
        }
        let text = String::from_utf8_lossy(&bytes);
        // A byte order mark is no part of what is kept.
        let text = text.trim_start_matches('\u{feff}');
        let event = HookEvent::parse(text).context("not a hook event")?;
        let record = Record {
            time: SystemTime::now(),
            key: Uuid::now_v7().to_string(),
            event: text,
        };
        let Some(request) = request(&event, &record) else {
            return Ok(());
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let told = runtime.block_on(self.pass_on(&record, request));
        // The budget does not wait for a name that is still being resolved.
        runtime.shutdown_background();
        told
    }

    async fn pass_on(&self, record: &Record<'_>, request: HookRequest) -> anyhow::Result<()> {
        let client = self.client().context("cannot send")?;
        let spool = Spool::open(&self.state).context("cannot open the spool");
        let owner = Owner {
            addr: client.addr(),
            namespace: self.target.namespace_name().to_owned(),
            session: request.session_key().to_owned(),
        };
        let Ok(spool) = spool else {
            // Without a disk the server is all there is.
            self.send(&client, request).await;
            return spool.map(drop);
        };
        let told = match self.send_backlog(&client, &spool, &owner).await? {
            Backlog::Sent => self.send(&client, request).await,
            Backlog::Stuck(error) => Told::NotYet(error),
            Backlog::Busy => return self.keep(&spool, &owner, record),
        };
        match told {
            Told::Done => self.send_backlogs(&client, &spool, &owner).await,
            Told::NotYet(error) => {
                self.journal.note(&format!("kept for later: {error}"));
                self.keep(&spool, &owner, record)?;
                if error.is_connect() {
                    self.start_server(&client.addr());
                }
                Ok(())
            }
        }
    }

    fn client(&self) -> Result<Client, Error> {
        self.target
            .builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .retry(RetryPolicy::none())
            .build()
    }

    /// Makes one call, unless the time for answers is over.
    async fn send(&self, client: &Client, request: HookRequest) -> Told {
        let left = self
            .at(ANSWER_UNTIL)
            .saturating_duration_since(Instant::now());
        // A deadline of nothing is none; a call that cannot be answered in time fails in time.
        let client = client.with_deadline(left.max(Duration::from_millis(1)));
        match deliver::deliver(&client, request).await {
            Ok(_) => Told::Done,
            Err(error) => match deliver::fate(&error) {
                Fate::Keep => Told::NotYet(error),
                Fate::GiveUp => {
                    self.journal.note(&format!("given up: {error}"));
                    Told::Done
                }
            },
        }
    }

    /// Sends what waits for one session.
    async fn send_backlog(
        &self,
        client: &Client,
        spool: &Spool,
        owner: &Owner,
    ) -> anyhow::Result<Backlog> {
        if !spool.has(owner) {
            return Ok(Backlog::Sent);
        }
        let Some(flusher) = spool.flusher()? else {
            return Ok(Backlog::Busy);
        };
        let mut stuck = None;
        let send = async |record: &Record<'_>| {
            let event = HookEvent::parse(record.event);
            let Some(request) = event.ok().and_then(|event| request(&event, record)) else {
                return Verdict::Done;
            };
            match self.send(client, request).await {
                Told::Done => Verdict::Done,
                Told::NotYet(error) => {
                    stuck = Some(error);
                    Verdict::Keep
                }
            }
        };
        let broken = |line: &str| self.journal.note(&format!("no spool record: {line}"));
        flusher
            .drain(owner, self.at(SPOOL_UNTIL), send, broken)
            .await
            .context("cannot send what waits in the spool")?;
        Ok(stuck.map_or(Backlog::Sent, Backlog::Stuck))
    }

    /// Sends what waits for other sessions of the same server, as far as the time goes.
    async fn send_backlogs(
        &self,
        client: &Client,
        spool: &Spool,
        own: &Owner,
    ) -> anyhow::Result<()> {
        for waiting in spool.waiting()? {
            let is_here =
                waiting.owner.addr == own.addr && waiting.owner.namespace == own.namespace;
            if Instant::now() >= self.at(OTHERS_UNTIL) {
                break;
            }
            if !is_here {
                continue;
            }
            match self.send_backlog(client, spool, &waiting.owner).await? {
                Backlog::Sent => {}
                Backlog::Busy | Backlog::Stuck(_) => break,
            }
        }
        Ok(())
    }

    fn keep(&self, spool: &Spool, owner: &Owner, record: &Record<'_>) -> anyhow::Result<()> {
        spool
            .append(owner, record, self.at(SPOOL_UNTIL))
            .context("cannot keep the event, it is lost")
    }

    fn start_server(&self, addr: &str) {
        if let Some(start) = self.start
            && let Err(error) = start(addr, &self.state)
        {
            self.journal
                .note(&format!("cannot start sessiond: {error:#}"));
        }
    }

    fn at(&self, offset: Duration) -> Instant {
        self.started + offset
    }
}

/// The call of an event that happened once, now or when it was kept.
pub(crate) fn request(event: &HookEvent<'_>, record: &Record<'_>) -> Option<HookRequest> {
    let occurrence = Occurrence {
        time: record.time,
        key: record.key.clone(),
    };
    hook::request(event, &occurrence)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A port that nobody listens on: bound once and given back.
    fn absent_server() -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    }

    const STARTS: &str = "starts";

    /// Starts nothing, and leaves a trace of having been asked to.
    fn note_start(addr: &str, state: &Path) -> anyhow::Result<()> {
        let path = state.join(STARTS);
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, format!("{before}{addr}\n"))?;
        Ok(())
    }

    struct Place {
        state: tempfile::TempDir,
        addr: String,
    }

    impl Place {
        fn new() -> Self {
            Self {
                state: tempfile::tempdir().unwrap(),
                addr: absent_server(),
            }
        }

        fn tell(&self, input: &[u8]) -> anyhow::Result<()> {
            let line = ["sessionctl", "--addr", &self.addr, "stats"];
            let teller = Teller {
                target: crate::args::parse(line).unwrap().1,
                state: self.state.path().to_owned(),
                started: Instant::now(),
                start: Some(note_start),
                journal: Journal::new(Some(self.state.path().join("hook.log"))),
            };
            teller.tell(&mut &*input)
        }

        /// The events that wait, with their keys.
        fn waiting(&self) -> Vec<(String, u64)> {
            let waiting = Spool::open(self.state.path()).unwrap().waiting().unwrap();
            waiting
                .into_iter()
                .map(|one| (one.owner.session, one.events))
                .collect()
        }
    }

    fn event(name: &str, session: &str) -> Vec<u8> {
        format!(r#"{{"hook_event_name":"{name}","session_id":"{session}","prompt":"p"}}"#)
            .into_bytes()
    }

    #[test]
    fn events_without_a_server_wait_in_order() {
        let place = Place::new();
        for name in ["SessionStart", "UserPromptSubmit", "Stop", "SessionEnd"] {
            place.tell(&event(name, "s")).unwrap();
        }
        place.tell(&event("Stop", "other")).unwrap();
        let mut waiting = place.waiting();
        waiting.sort();
        assert_eq!(waiting, [("other".to_owned(), 1), ("s".to_owned(), 4)]);
        let log = std::fs::read_to_string(place.state.path().join("hook.log")).unwrap();
        assert!(log.contains("kept for later"), "{log}");
    }

    #[test]
    fn the_server_is_started_when_it_is_away_also_behind_a_backlog() {
        let place = Place::new();
        place.tell(&event("SessionStart", "s")).unwrap();
        place.tell(&event("Stop", "s")).unwrap();
        let starts = std::fs::read_to_string(place.state.path().join(STARTS)).unwrap();
        let once = format!("http://{}\n", place.addr);
        assert_eq!(starts, once.repeat(2));
    }

    #[test]
    fn what_is_kept_reads_back_as_the_event_it_was() {
        let place = Place::new();
        let pretty = "\u{feff}\n{\n  \"hook_event_name\": \"Stop\",\r\n\"session_id\":\"s\"}\n\n";
        place.tell(pretty.as_bytes()).unwrap();
        let spool = Spool::open(place.state.path()).unwrap();
        let owner = spool.waiting().unwrap().remove(0).owner;
        let flusher = spool.flusher().unwrap().unwrap();
        let mut read = Vec::new();
        let take = async |record: &Record<'_>| {
            let event = HookEvent::parse(record.event).unwrap();
            read.push(request(&event, record).unwrap().session_key().to_owned());
            Verdict::Done
        };
        let patience = Instant::now() + SPOOL_UNTIL;
        let drain = flusher.drain(&owner, patience, take, |line| panic!("broken: {line}"));
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(drain).unwrap();
        assert_eq!(read, ["s"]);
    }

    #[test]
    fn events_of_no_use_are_no_error_and_leave_nothing() {
        let place = Place::new();
        place.tell(&event("PreToolUse", "s")).unwrap();
        place.tell(br#"{"hook_event_name":"Later"}"#).unwrap();
        assert!(place.waiting().is_empty());
    }

    #[test]
    fn bad_input_is_an_error_and_no_panic() {
        let place = Place::new();
        for input in [
            &b""[..],
            b"{",
            b"[]",
            b"\xff\xfe",
            b"{\"hook_event_name\":\"Stop\"}",
        ] {
            place.tell(input).expect_err("no event");
        }
        assert!(place.waiting().is_empty());
    }

    #[test]
    fn an_event_that_is_no_utf8_is_kept_nevertheless() {
        let place = Place::new();
        let input = [
            &br#"{"hook_event_name":"Stop","session_id":"s","last_assistant_message":""#[..],
            b"\xff\"}",
        ]
        .concat();
        place.tell(&input).unwrap();
        assert_eq!(place.waiting(), [("s".to_owned(), 1)]);
    }
}
