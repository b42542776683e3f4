//! `sessionctl work`: a worker that prints what it gets.
//!
//! Invariant: a message is settled after it was printed, never before; a print that fails settles
//! nothing. What this deliberately does not do: work.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::{Args, ValueEnum};
use sessiond_client::{Client, Delivery, Handler, Outcome, Worker, WorkerEvent, pb};
use tokio_util::sync::CancellationToken;

use crate::args::FilterArgs;
use crate::failure::{Exit, Failure};
use crate::interrupt::{self, Signal};
use crate::output::Output;
use crate::output::rows::Delivered;
use crate::say;
use crate::values;

/// How long to wait before a deferred message comes again, unless said otherwise.
const DEFER_DEFAULT: Duration = Duration::from_secs(5);

/// What the server is told about a message that is nacked.
const NACK_ERROR: &str = "nacked by sessionctl work";

/// Whose messages to take and what to do with them.
#[derive(Debug, Args)]
pub(crate) struct WorkArgs {
    /// The worker's name, the same after a restart.
    #[arg(long, default_value = "sessionctl")]
    name: String,
    /// This process, told apart from others of the name [default: a new one each time].
    #[arg(long, value_name = "INSTANCE")]
    instance_id: Option<String>,
    /// How many messages to take at once.
    #[arg(long, value_name = "MESSAGES")]
    window: Option<u32>,
    /// Take the session with this key, and no others; repeat it for several. Without it the server
    /// assigns sessions that have work and match.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["labels", "project", "key_prefix", "pool"])]
    attach: Vec<String>,
    #[command(flatten)]
    serves: FilterArgs,
    /// What of a message to print.
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = Print::Line,
        default_missing_value = "payload"
    )]
    print: Print,
    /// Print and nack messages of this kind only, and ack others in silence; repeat it for several.
    #[arg(short, long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// Nack instead of ack: retry, defer or permanent.
    #[arg(long, value_name = "HOW", value_parser = values::wire_enum::<pb::NackKind>)]
    nack: Option<pb::NackKind>,
    /// How long a nacked message waits before it comes again.
    #[arg(long, value_name = "DURATION", value_parser = values::span, requires = "nack")]
    nack_delay: Option<Duration>,
    /// Stop after this many messages.
    #[arg(long, value_name = "MESSAGES")]
    count: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Print {
    /// Nothing.
    Never,
    /// A line with the beginning of the payload, or the message as JSON.
    Line,
    /// The payload as it is, and a line end.
    Payload,
}

/// What happens to every message.
#[derive(Debug)]
struct Printer {
    args: WorkArgs,
    state: Mutex<State>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct State {
    output: Output,
    handled: u64,
    failure: Option<Failure>,
}

// === impl WorkArgs ===

impl WorkArgs {
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let worker = self.worker(client)?;
        say::line(&format!(
            "working as {} ({})",
            worker.name(),
            worker.instance_id()
        ));
        let stop = CancellationToken::new();
        let printer = Arc::new(Printer {
            args: self,
            state: Mutex::new(State {
                output,
                handled: 0,
                failure: None,
            }),
            stop: stop.clone(),
        });
        let mut signal = None;
        let stopped = async {
            // A signal and the end of the count both stop gracefully; which came first decides
            // the exit code.
            tokio::select! {
                () = stop.cancelled() => {}
                received = interrupt::signal() => {
                    say::line("stopping: once more to stop at once");
                    signal = Some(received);
                    tokio::spawn(stop_at_once());
                }
            }
        };
        worker.run(Shared(Arc::clone(&printer)), stopped).await?;
        let mut state = printer.lock();
        say::line(&format!("handled {} messages", state.handled));
        match (state.failure.take(), signal) {
            (Some(failure), _) => Err(failure),
            (None, Some(Signal::Interrupt)) => Err(Failure::Interrupted),
            (None, Some(Signal::Terminate) | None) => Ok(()),
        }
    }

    fn worker(&self, client: &Client) -> Result<Worker, Failure> {
        let mut builder = Worker::builder(client.clone())
            .name(&self.name)
            .build_id(concat!("sessionctl ", env!("CARGO_PKG_VERSION")));
        if let Some(instance_id) = &self.instance_id {
            builder = builder.instance_id(instance_id);
        }
        if let Some(window) = self.window {
            builder = builder.window(window);
        }
        if self.attach.is_empty() {
            builder = builder.serves(self.serves.filter());
        }
        for key in &self.attach {
            builder = builder.attach(sessiond_client::session_key(key));
        }
        Ok(builder.build()?)
    }

    fn concerns(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|wanted| wanted == kind)
    }

    fn outcome(&self) -> Outcome {
        match self.nack {
            None => Outcome::ack(),
            Some(pb::NackKind::Permanent) => Outcome::permanent(NACK_ERROR),
            Some(pb::NackKind::Defer) => {
                Outcome::defer(NACK_ERROR, self.nack_delay.unwrap_or(DEFER_DEFAULT))
            }
            Some(pb::NackKind::Retry | pb::NackKind::Unspecified) => Outcome::Retry {
                error: NACK_ERROR.to_owned(),
                delay: self.nack_delay,
            },
        }
    }
}

// === impl Printer ===

impl Printer {
    fn handle(&self, message: &pb::Message) -> Outcome {
        let mut state = self.lock();
        let is_over = self.args.count.is_some_and(|count| state.handled >= count);
        if is_over || state.failure.is_some() {
            // It is given back unharmed: nothing was printed, nothing failed.
            return Outcome::defer("sessionctl work stops", DEFER_DEFAULT);
        }
        let outcome = if self.args.concerns(&message.kind) {
            if let Err(failure) = print(self.args.print, message, &mut state.output) {
                state.failure = Some(failure);
                self.stop.cancel();
                return Outcome::defer("sessionctl work cannot print", DEFER_DEFAULT);
            }
            self.args.outcome()
        } else {
            Outcome::ack()
        };
        state.handled += 1;
        if self.args.count.is_some_and(|count| state.handled >= count) {
            self.stop.cancel();
        }
        outcome
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the state")
    }
}

/// Ends the process by the second signal; the leases lapse.
async fn stop_at_once() {
    interrupt::signal().await;
    std::process::exit(Exit::Interrupted.code().into());
}

fn print(what: Print, message: &pb::Message, output: &mut Output) -> Result<(), Failure> {
    match what {
        Print::Never => Ok(()),
        Print::Line => output.thing(&Delivered {
            message: message.clone(),
        }),
        Print::Payload => {
            output.write_bytes(&message.payload)?;
            output.write("\n")
        }
    }
}

/// The printer as a handler, which the worker owns.
struct Shared(Arc<Printer>);

impl Handler for Shared {
    async fn handle(&self, delivery: Delivery) -> Outcome {
        self.0.handle(delivery.message())
    }

    fn observe(&self, event: &WorkerEvent) {
        say::line(&notice(event));
    }
}

/// What a person wants to hear of what happens to the worker.
fn notice(event: &WorkerEvent) -> String {
    match event {
        WorkerEvent::Connected => "connected".to_owned(),
        WorkerEvent::Disconnected { error, retry_in } => {
            format!("{error}; again in {retry_in:.1?}")
        }
        WorkerEvent::Attached { session, .. } => {
            format!("took session {} {}", session.key, session.session_id)
        }
        WorkerEvent::AttachFailed {
            session,
            error,
            retry_in,
        } => {
            let name = match &session.r#ref {
                Some(pb::session_ref::Ref::Key(name) | pb::session_ref::Ref::SessionId(name)) => {
                    name.as_str()
                }
                None => "",
            };
            let again =
                retry_in.map_or_else(String::new, |after| format!("; again in {after:.1?}"));
            format!("cannot take {name}: {error}{again}")
        }
        WorkerEvent::SessionEnding(ending) => format!("session {} ends", ending.session_id),
        WorkerEvent::LeaseLost(lost) => {
            let reason = lost.reason().as_str_name();
            format!("gave up session {}: {reason}", lost.session_id)
        }
        WorkerEvent::Quiesced => "the server is about to stop".to_owned(),
        WorkerEvent::NotSettled(result) => format!(
            "message {} was not settled: {}",
            result.seq,
            values::enum_name::<pb::SettleCode>(result.code)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, parse};

    fn printer(arguments: &[&str]) -> Printer {
        let line = ["sessionctl", "-q", "work"].iter().chain(arguments);
        let (cli, _) = parse(line).expect("valid arguments");
        let output = Output::nowhere();
        let Command::Work(args) = cli.command else {
            panic!("another command");
        };
        Printer {
            args,
            state: Mutex::new(State {
                output,
                handled: 0,
                failure: None,
            }),
            stop: CancellationToken::new(),
        }
    }

    fn message(kind: &str) -> pb::Message {
        pb::Message {
            kind: kind.to_owned(),
            ..Default::default()
        }
    }

    #[test]
    fn kinds_choose_what_is_nacked() {
        let printer = printer(&["--kind", "bad", "--nack", "permanent"]);
        assert_eq!(printer.handle(&message("good")), Outcome::ack());
        let nacked = printer.handle(&message("bad"));
        assert_eq!(nacked, Outcome::permanent(NACK_ERROR));
        let every = printer_outcome(&["--nack", "retry", "--nack-delay", "2s"]);
        let expected = Outcome::Retry {
            error: NACK_ERROR.to_owned(),
            delay: Some(Duration::from_secs(2)),
        };
        assert_eq!(every, expected);
        assert_eq!(
            printer_outcome(&["--nack", "defer"]),
            Outcome::defer(NACK_ERROR, DEFER_DEFAULT)
        );
    }

    fn printer_outcome(arguments: &[&str]) -> Outcome {
        printer(arguments).handle(&message("any"))
    }

    #[test]
    fn the_count_stops_and_gives_back_the_rest() {
        let printer = printer(&["--count", "2"]);
        assert_eq!(printer.handle(&message("a")), Outcome::ack());
        assert!(!printer.stop.is_cancelled());
        assert_eq!(printer.handle(&message("b")), Outcome::ack());
        assert!(printer.stop.is_cancelled());
        assert!(matches!(
            printer.handle(&message("c")),
            Outcome::Defer { .. }
        ));
        assert_eq!(printer.lock().handled, 2);
    }

    #[test]
    fn what_cannot_be_printed_is_not_settled() {
        let printer = printer(&["--print"]);
        assert_eq!(printer.args.print, Print::Payload);
        printer.lock().output = Output::closed();
        assert!(matches!(
            printer.handle(&message("a")),
            Outcome::Defer { .. }
        ));
        assert!(printer.stop.is_cancelled());
        assert!(matches!(printer.lock().failure, Some(Failure::NobodyReads)));
    }
}
