//! `sessionctl message`: send, ls, dead, requeue and discard.
//!
//! Invariant: a payload goes out byte for byte as it came in. What this deliberately does not do:
//! look into payloads.

mod dead;
mod discard;
mod requeue;

use std::fs;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use bytes::Bytes;
use clap::{Args, Subcommand};
use futures_util::TryStreamExt as _;
use sessiond_client::{Client, pb};

use self::dead::DeadArgs;
use self::discard::DiscardArgs;
use self::requeue::RequeueArgs;
use crate::args::SessionArg;
use crate::failure::Failure;
use crate::output::Output;
use crate::values::{self, Pair};

/// How many messages a page of a listing has.
const PAGE_SIZE: u32 = 500;

/// The longest payload that is read, in bytes. The server's own limit is lower by default and
/// names itself; this one keeps an endless input from filling the memory.
const PAYLOAD_READ_MAX: u64 = 16 * 1024 * 1024;

#[derive(Debug, Subcommand)]
pub(crate) enum MessageCommand {
    /// Sends one message; it is durable when the command succeeds.
    Send(Box<SendArgs>),
    /// Lists the messages of a session that are not settled, and its dead letters.
    Ls(ListArgs),
    /// Lists dead letters: messages that were given up, of one session or of all.
    Dead(DeadArgs),
    /// Brings dead letters back: into their own queues, or into a live session.
    Requeue(Box<RequeueArgs>),
    /// Deletes messages of a session unprocessed, pending ones and dead letters.
    Discard(DiscardArgs),
}

/// What to send where.
#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    session: SessionArg,
    /// What sort of work it is, for example `observation`.
    #[arg(short, long)]
    kind: String,
    /// The payload as text.
    #[arg(short, long, conflicts_with = "file")]
    payload: Option<String>,
    /// The file with the payload; `-` is stdin.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The media type of the payload, for example `application/json`.
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// An attribute; repeat it for several.
    #[arg(long = "attribute", value_name = "NAME=VALUE")]
    attributes: Vec<Pair>,
    /// The sub-agent it comes from.
    #[arg(long)]
    agent_id: Option<String>,
    /// The type of that sub-agent.
    #[arg(long)]
    agent_type: Option<String>,
    /// The prompt it belongs to [default: the session's current one].
    #[arg(long)]
    prompt_number: Option<u32>,
    /// Makes a repeat of this message harmless.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Hand it out only after this long.
    #[arg(long, value_name = "DURATION", value_parser = values::span)]
    delay: Option<Duration>,
    /// How it relates to work in progress: follow-up, steer, collect or interrupt.
    #[arg(long, visible_alias = "mode", value_parser = values::wire_enum::<pb::DeliveryMode>)]
    delivery_mode: Option<pb::DeliveryMode>,
    /// A newer message with the same key replaces pending ones.
    #[arg(long, value_name = "KEY")]
    coalesce_key: Option<String>,
    /// Hold it back until no more such messages came for this long.
    #[arg(long, value_name = "DURATION", value_parser = values::span, conflicts_with = "delay")]
    debounce: Option<Duration>,
    /// Hold it back for this long at most [default: ten times `--debounce`].
    #[arg(long, value_name = "DURATION", value_parser = values::span, requires = "debounce")]
    max_wait: Option<Duration>,
    /// Open the session if there is none.
    #[arg(long)]
    open: bool,
    /// Makes a repeat of this command harmless.
    #[arg(long)]
    request_id: Option<String>,
}

/// Whose messages to list.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    session: SessionArg,
    /// Messages of this kind; repeat it to ask for several.
    #[arg(short, long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// Messages in this state: pending, in-flight or dead-lettered. Repeat it to ask for several.
    #[arg(long = "state", value_parser = values::wire_enum::<pb::MessageState>)]
    states: Vec<pb::MessageState>,
    /// Fetch the payloads too; JSON shows them.
    #[arg(long)]
    payload: bool,
}

// === impl MessageCommand ===

impl MessageCommand {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::Send(args) => {
                let answer = client.enqueue(args.request()?).await?;
                output.answer(&answer, &answer.results)
            }
            Self::Ls(args) => args.run(client, output).await,
            Self::Dead(args) => args.run(client, output).await,
            Self::Requeue(args) => args.run(client, output).await,
            Self::Discard(args) => args.run(client, output).await,
        }
    }
}

// === impl SendArgs ===

impl SendArgs {
    fn request(&self) -> Result<pb::EnqueueMessagesRequest, Failure> {
        let reference = self.session.session_ref();
        // The key and the id of what is opened are those of the reference.
        let open_if_missing = self.open.then(pb::OpenSessionRequest::default);
        Ok(pb::EnqueueMessagesRequest {
            r#ref: Some(reference),
            messages: vec![self.message()?],
            open_if_missing,
            request_id: self.request_id.clone().unwrap_or_default(),
        })
    }

    fn message(&self) -> Result<pb::Message, Failure> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Ok(pb::Message {
            kind: self.kind.clone(),
            payload: self.read_payload()?,
            content_type: text(&self.content_type),
            attributes: values::map(&self.attributes),
            agent_id: text(&self.agent_id),
            agent_type: text(&self.agent_type),
            prompt_number: self.prompt_number,
            idempotency_key: text(&self.idempotency_key),
            not_before_time: self
                .delay
                .and_then(|delay| SystemTime::now().checked_add(delay))
                .map(prost_types::Timestamp::from),
            delivery_mode: self.delivery_mode.unwrap_or_default().into(),
            coalesce_key: text(&self.coalesce_key),
            debounce: self.debounce.map(|quiet| pb::Debounce {
                quiet: Some(values::wire_span(quiet)),
                max_wait: self.max_wait.map(values::wire_span),
            }),
            ..Default::default()
        })
    }

    fn read_payload(&self) -> Result<Bytes, Failure> {
        let Some(path) = &self.file else {
            return Ok(Bytes::from(self.payload.clone().unwrap_or_default()));
        };
        let mut payload = Vec::new();
        let mut read =
            |source: &mut dyn io::Read| source.take(PAYLOAD_READ_MAX + 1).read_to_end(&mut payload);
        let result = if path.as_os_str() == "-" {
            read(&mut io::stdin().lock())
        } else {
            fs::File::open(path).and_then(|mut file| read(&mut file))
        };
        result.with_context(|| format!("cannot read the payload from `{}`", path.display()))?;
        if payload.len() as u64 > PAYLOAD_READ_MAX {
            return Err(Failure::Usage(format!(
                "the payload in `{}` is longer than {PAYLOAD_READ_MAX} bytes",
                path.display()
            )));
        }
        Ok(Bytes::from(payload))
    }
}

// === impl ListArgs ===

impl ListArgs {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let request = pb::ListMessagesRequest {
            r#ref: Some(self.session.session_ref()),
            filter: Some(pb::MessageFilter {
                kinds: self.kinds,
                states: self.states.iter().map(|&state| state.into()).collect(),
            }),
            page_size: PAGE_SIZE,
            page_token: String::new(),
            include_payload: self.payload,
        };
        let mut messages = std::pin::pin!(client.list_all_messages(request));
        if output.is_one_by_one() {
            while let Some(message) = messages.try_next().await? {
                output.thing(&message)?;
            }
            return Ok(());
        }
        let answer = pb::ListMessagesResponse {
            messages: messages.try_collect().await?,
            next_page_token: String::new(),
        };
        output.answer(&answer, &answer.messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, parse};

    fn request(arguments: &[&str]) -> Result<pb::EnqueueMessagesRequest, Failure> {
        let line = ["sessionctl", "message", "send"].iter().chain(arguments);
        let (cli, _) = parse(line).expect("valid arguments");
        let Command::Message(MessageCommand::Send(args)) = cli.command else {
            panic!("another command");
        };
        args.request()
    }

    #[test]
    fn payloads_are_text_or_files() {
        let payload = |arguments: &[&str]| {
            let all: Vec<&str> = ["k", "--kind", "note"]
                .iter()
                .chain(arguments)
                .copied()
                .collect();
            request(&all).map(|request| request.messages[0].payload.clone())
        };
        assert_eq!(payload(&[]).unwrap(), Bytes::new());
        assert_eq!(payload(&["-p", "a b"]).unwrap(), Bytes::from("a b"));
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), [0xff, 0, b'\n']).unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(payload(&["-f", path]).unwrap().as_ref(), [0xff, 0, b'\n']);
        file.as_file().set_len(PAYLOAD_READ_MAX + 1).unwrap();
        assert!(matches!(payload(&["-f", path]), Err(Failure::Usage(text)) if text.contains(path)));
        let missing = format!("{path}.missing");
        assert!(
            matches!(payload(&["-f", &missing]), Err(Failure::Other(error))
            if error.to_string().contains(&missing))
        );
    }

    #[test]
    fn modes_keys_and_pauses_are_sent_as_given() {
        let line = "k --kind note --mode interrupt --coalesce-key c --debounce 2s --max-wait 1m";
        let arguments: Vec<&str> = line.split(' ').collect();
        let message = request(&arguments).unwrap().messages.remove(0);
        assert_eq!(message.delivery_mode(), pb::DeliveryMode::Interrupt);
        assert_eq!(message.coalesce_key, "c");
        let span = |seconds| Some(values::wire_span(Duration::from_secs(seconds)));
        let debounce = pb::Debounce {
            quiet: span(2),
            max_wait: span(60),
        };
        assert_eq!(message.debounce, Some(debounce));
        for bad in [
            &["--max-wait", "1s"][..],
            &["--debounce", "1s", "--delay", "1s"],
        ] {
            let line = ["sessionctl", "message", "send", "k", "--kind", "note"];
            assert!(parse(line.iter().chain(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_not_given_is_unset() {
        let sent = request(&["k", "--kind", "note"]).unwrap();
        let expected = pb::EnqueueMessagesRequest {
            r#ref: Some(sessiond_client::session_key("k")),
            messages: vec![pb::Message {
                kind: "note".to_owned(),
                ..Default::default()
            }],
            ..Default::default()
        };
        assert_eq!(sent, expected);
        let opening = request(&["--id", "s", "--kind", "note", "--open"]).unwrap();
        assert_eq!(opening.open_if_missing, Some(Default::default()));
    }
}
