//! The engine's inbox: bounded in commands and in payload bytes, refusing rather than growing.
//!
//! A unary call that finds it full is told OVERLOADED; a stream waits, which is how a stream is told.
//! A command that was taken is decided even if its caller has hung up by then.

use std::sync::Arc;
use std::time::Duration;

use sessiond_core::command::Command;
use sessiond_core::reply::Answer;
use sessiond_store::snapshot::ReadAhead;
use smallvec::{SmallVec, smallvec};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::clock::EngineClock;
use super::progress::Progress;
use crate::limits::{INBOX_COMMANDS_MAX, INBOX_KIB_MAX};

/// Commands on their way, and who waits for their answers. Those of one envelope are decided in order and committed
/// together; each stands for itself: one that is refused leaves the others as they are.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) commands: SmallVec<[Command; 1]>,
    pub(super) reply: ReplyTo,
    /// What was read for the commands before the engine had them.
    pub(super) ahead: ReadAhead,
    bytes: usize,
    /// Held until the command is decided and committed.
    _room: Option<OwnedSemaphorePermit>,
}

impl Envelope {
    /// A command of the server's own.
    pub(super) fn silent(command: Command) -> Self {
        Self {
            commands: smallvec![command],
            reply: ReplyTo::Nobody,
            ahead: ReadAhead::default(),
            bytes: 0,
            _room: None,
        }
    }
}

/// Who waits for the answers of an envelope.
#[derive(Debug)]
pub(super) enum ReplyTo {
    Nobody,
    One(oneshot::Sender<Answer>),
    Group(oneshot::Sender<Vec<Answer>>),
}

impl ReplyTo {
    /// Gives the answers to whoever waits. A caller that hung up does not hear what was done for it all the same.
    pub(super) fn send(self, mut answers: SmallVec<[Answer; 1]>) {
        match self {
            Self::Nobody => {}
            Self::One(reply) => {
                let answer = answers.pop().expect("a command has its answer");
                drop(reply.send(answer));
            }
            Self::Group(reply) => drop(reply.send(answers.into_vec())),
        }
    }
}

/// Why a command did not reach the engine, or no answer came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too much is waiting; nothing was done.
    Overloaded(Backlog),
    /// The engine has stopped; the outcome is unknown if the command was taken.
    Stopped,
}

/// What waits, and how much of it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// What is counted.
    pub of: &'static str,
    /// How much waits.
    pub used: usize,
    /// How much may.
    pub limit: usize,
}

/// The way to the engine.
#[derive(Clone, Debug)]
pub struct Handle {
    sender: mpsc::Sender<Envelope>,
    room: Arc<Semaphore>,
    progress: Arc<Progress>,
    clock: EngineClock,
    stop: CancellationToken,
}

/// What the engine finds when it looks.
#[derive(Debug)]
pub(super) enum Next {
    Envelope(Box<Envelope>),
    Timer,
    Closed,
}

/// The engine's end.
#[derive(Debug)]
pub(super) struct Inbox {
    receiver: mpsc::Receiver<Envelope>,
    stop: CancellationToken,
}

pub(super) fn channel(progress: Arc<Progress>, clock: EngineClock) -> (Handle, Inbox) {
    let (sender, receiver) = mpsc::channel(INBOX_COMMANDS_MAX);
    let room = Arc::new(Semaphore::new(INBOX_KIB_MAX));
    let stop = CancellationToken::new();
    let handle = Handle {
        sender,
        room,
        progress,
        clock,
        stop: stop.clone(),
    };
    (handle, Inbox { receiver, stop })
}

impl Handle {
    /// Asks and waits for the answer, which comes after the commit.
    ///
    /// # Errors
    /// [`Refused`]: the inbox is full, or the engine has stopped.
    pub async fn ask(&self, command: Command) -> Result<Answer, Refused> {
        let answer = self.post(command)?;
        answer.await.map_err(|_| Refused::Stopped)
    }

    /// Asks; the answer comes through what is returned.
    ///
    /// # Errors
    /// As [`Handle::ask`].
    pub fn post(&self, command: Command) -> Result<oneshot::Receiver<Answer>, Refused> {
        let bytes = payload_bytes(&command);
        let room = Arc::clone(&self.room)
            .try_acquire_many_owned(kib(bytes))
            .map_err(|_| self.full_of_payload())?;
        let (reply, answer) = oneshot::channel();
        let envelope = Envelope {
            commands: smallvec![command],
            reply: ReplyTo::One(reply),
            ahead: ReadAhead::default(),
            bytes,
            _room: Some(room),
        };
        match self.sender.try_send(envelope) {
            Ok(()) => Ok(answer),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Refused::Overloaded(Backlog {
                of: "commands",
                used: INBOX_COMMANDS_MAX,
                limit: INBOX_COMMANDS_MAX,
            })),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Refused::Stopped),
        }
    }

    fn full_of_payload(&self) -> Refused {
        Refused::Overloaded(Backlog {
            of: "KiB of payload",
            used: INBOX_KIB_MAX.saturating_sub(self.room.available_permits()),
            limit: INBOX_KIB_MAX,
        })
    }

    /// Asks on behalf of a call that asks much: waits for room instead of refusing, and may bring along what the decision
    /// will ask for.
    ///
    /// # Errors
    /// [`Refused::Stopped`].
    pub async fn post_waiting(
        &self,
        command: Command,
        ahead: ReadAhead,
    ) -> Result<oneshot::Receiver<Answer>, Refused> {
        let (reply, answer) = oneshot::channel();
        self.send_waiting(smallvec![command], ReplyTo::One(reply), ahead)
            .await?;
        Ok(answer)
    }

    /// Asks several things at once, to be decided in order and committed together; the answers come in that order.
    ///
    /// # Errors
    /// [`Refused::Stopped`].
    pub async fn post_group(
        &self,
        commands: Vec<Command>,
    ) -> Result<oneshot::Receiver<Vec<Answer>>, Refused> {
        let (reply, answers) = oneshot::channel();
        let ahead = ReadAhead::default();
        self.send_waiting(commands.into(), ReplyTo::Group(reply), ahead)
            .await?;
        Ok(answers)
    }

    /// Tells several things at once, and waits for no answer.
    ///
    /// # Errors
    /// [`Refused::Stopped`].
    pub async fn tell(&self, commands: Vec<Command>) -> Result<(), Refused> {
        let ahead = ReadAhead::default();
        self.send_waiting(commands.into(), ReplyTo::Nobody, ahead)
            .await
    }

    async fn send_waiting(
        &self,
        commands: SmallVec<[Command; 1]>,
        reply: ReplyTo,
        ahead: ReadAhead,
    ) -> Result<(), Refused> {
        let bytes = commands.iter().map(payload_bytes).sum();
        let room = commands.iter().map(|command| kib(payload_bytes(command)));
        let room = Arc::clone(&self.room)
            .acquire_many_owned(room.sum())
            .await
            .map_err(|_| Refused::Stopped)?;
        let envelope = Envelope {
            commands,
            reply,
            ahead,
            bytes,
            _room: Some(room),
        };
        let sent = self.sender.send(envelope).await;
        sent.map_err(|_| Refused::Stopped)
    }

    /// Has the engine finish what it has taken and end.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Completes when the engine has ended, or died.
    pub async fn ended(&self) {
        self.sender.closed().await;
    }

    /// Whether the engine takes commands.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.sender.is_closed()
    }

    /// The present, as the engine reads it.
    #[must_use]
    pub fn clock(&self) -> &EngineClock {
        &self.clock
    }

    /// How the engine is getting on.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }
}

impl Inbox {
    /// The next command, or that a timer came first.
    pub(super) async fn next(&mut self, wait: Duration) -> Next {
        if self.stop.is_cancelled() {
            self.receiver.close();
        }
        // A command wins over a stop, and both over a timer: what was taken is finished first.
        let envelope = tokio::select! {
            biased;
            envelope = self.receiver.recv() => envelope,
            () = self.stop.cancelled() => {
                self.receiver.close();
                self.receiver.recv().await
            }
            () = tokio::time::sleep(wait) => return Next::Timer,
        };
        envelope.map_or(Next::Closed, |envelope| Next::Envelope(Box::new(envelope)))
    }

    /// What else is waiting, as far as the batch has room.
    pub(super) fn take_waiting(
        &mut self,
        envelopes: &mut Vec<Envelope>,
        commands_max: usize,
        bytes_max: usize,
    ) {
        let mut bytes: usize = envelopes.iter().map(|envelope| envelope.bytes).sum();
        let mut commands: usize = envelopes
            .iter()
            .map(|envelope| envelope.commands.len())
            .sum();
        while commands < commands_max && bytes < bytes_max {
            let Ok(envelope) = self.receiver.try_recv() else {
                break;
            };
            bytes += envelope.bytes;
            commands += envelope.commands.len();
            envelopes.push(envelope);
        }
    }
}

fn payload_bytes(command: &Command) -> usize {
    match command {
        Command::Enqueue(enqueue) => enqueue
            .messages
            .iter()
            .map(|message| message.payload.len())
            .sum(),
        Command::Open(_)
        | Command::Update(_)
        | Command::Touch(_)
        | Command::BeginRequest(_)
        | Command::EndRequest(_)
        | Command::Revoke(_)
        | Command::End(_)
        | Command::Reset(_)
        | Command::ResetCircuit(_)
        | Command::Purge(_)
        | Command::Retire(_)
        | Command::Claim(_)
        | Command::Settle(_)
        | Command::Declare(_)
        | Command::Register(_)
        | Command::Release(_)
        | Command::Attempted(_)
        | Command::Node(_)
        | Command::ForgetNode(_)
        | Command::Requeue(_)
        | Command::Discard(_)
        | Command::Worker(_)
        | Command::Assign { .. }
        | Command::Due(_)
        | Command::Recheck(_)
        | Command::Lapse(_)
        | Command::CalendarDay(_)
        | Command::CalendarDone(_)
        | Command::CompactEvents { .. }
        | Command::Subscription(_)
        | Command::Drain(_)
        | Command::Recovery(_)
        | Command::Restore(_)
        | Command::Admit { .. }
        | Command::Room(_)
        | Command::Attached { .. }
        | Command::LeaseProgress
        | Command::LeaseTimes(_)
        | Command::HeldBy(_)
        | Command::Reap(_)
        | Command::Explain(_)
        | Command::ListWorkers { .. } => 0,
    }
}

/// Room a command takes; one KiB at least, so that small ones are counted too.
fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes / 1_024 + 1).unwrap_or(u32::MAX)
}
