//! `sessionctl session import`: a new session from an export, with its unsettled messages.
//!
//! Invariant: nothing is opened before the file was read through and found whole; a message is enqueued once, however often
//! an import of it into one session is repeated. What this deliberately does not do: bring back events, counts or lease;
//! they were another session's.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use prost::Message as _;
use sessiond_client::pb::export_session_response::Record;
use sessiond_client::{Client, pb};

use crate::failure::Failure;
use crate::output::Output;

/// The form of the records that this version reads.
const FORMAT: u32 = 1;
/// Bytes of one record: a message of the largest size and what is said of it.
const RECORD_BYTES_MAX: u64 = 32 * 1_024 * 1_024;
/// Messages of one call.
const BATCH_MESSAGES: usize = 256;
/// Payload bytes of one call, and one message more.
const BATCH_BYTES: usize = 4 * 1_024 * 1_024;

/// What to import, and as what.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// A file that `session export` made.
    file: PathBuf,
    /// The key of the new session [default: the one it had].
    #[arg(long)]
    key: Option<String>,
    /// The pool of the new session [default: the one it had].
    #[arg(long)]
    pool: Option<String>,
    /// Enqueue the dead letters too, as messages that were never tried.
    #[arg(long)]
    dead_letters: bool,
    /// Go on with an import that broke off: the live session of the key is used, and what it has is not enqueued again.
    #[arg(long)]
    resume: bool,
}

/// What an export has, but for its messages.
struct Contents {
    header: pb::ExportHeader,
    session: pb::Session,
}

impl ImportArgs {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let contents = check(&self.file)?;
        let opened = client.open(self.opening(&contents.session)).await?;
        let session = opened.session.clone().unwrap_or_default();
        let mut batch = Batch {
            client,
            into: session.session_id.clone(),
            messages: Vec::new(),
            bytes: 0,
        };
        let mut records = Records::open(&self.file)?;
        while let Some(record) = records.next()? {
            let message = match record {
                Record::Message(message) => Some(message),
                Record::DeadLetter(letter) if self.dead_letters => letter.message,
                Record::DeadLetter(_)
                | Record::Header(_)
                | Record::Session(_)
                | Record::Event(_)
                | Record::Summary(_) => None,
            };
            if let Some(message) = message {
                batch.add(fresh(message, &contents.header.log_id)).await?;
            }
        }
        batch.send().await?;
        let by_id = pb::SessionRef {
            r#ref: Some(pb::session_ref::Ref::SessionId(session.session_id)),
        };
        let now = client.get(by_id).await?;
        output.answer(&opened, std::slice::from_ref(&now))
    }

    /// The new session: what callers said of the old one, without what belonged to its conversation.
    fn opening(&self, old: &pb::Session) -> pb::OpenSessionRequest {
        let conflict = if self.resume {
            pb::ConflictPolicy::UseExisting
        } else {
            pb::ConflictPolicy::Fail
        };
        pb::OpenSessionRequest {
            key: self.key.clone().unwrap_or_else(|| old.key.clone()),
            pool: self.pool.clone().unwrap_or_else(|| old.pool.clone()),
            project: old.project.clone(),
            source: old.source.clone(),
            agent_id: old.agent_id.clone(),
            labels: old.labels.clone(),
            transcript_path: old.transcript_path.clone(),
            idle_timeout: old.idle_timeout,
            max_lifetime: old.max_lifetime,
            conflict_policy: conflict.into(),
            ordering: old.ordering,
            max_in_flight: Some(old.max_in_flight),
            parent_session_id: old.parent_session_id.clone(),
            ..pb::OpenSessionRequest::default()
        }
    }
}

/// A message as if it were new, under the name that it had or one that only it has.
fn fresh(message: pb::Message, log_id: &str) -> pb::Message {
    let name = match message.idempotency_key.as_str() {
        "" => format!("import/{log_id}/{}/{}", message.queue_id, message.seq),
        name => name.to_owned(),
    };
    pb::Message {
        session_id: String::new(),
        queue_id: 0,
        seq: 0,
        enqueue_time: None,
        attempt: 0,
        status: None,
        idempotency_key: name,
        ..message
    }
}

/// Messages of the next call.
struct Batch<'a> {
    client: &'a Client,
    into: String,
    messages: Vec<pb::Message>,
    bytes: usize,
}

impl Batch<'_> {
    async fn add(&mut self, message: pb::Message) -> Result<(), Failure> {
        let bytes = message.payload.len();
        if self.messages.len() == BATCH_MESSAGES || self.bytes + bytes > BATCH_BYTES {
            self.send().await?;
        }
        self.bytes += bytes;
        self.messages.push(message);
        Ok(())
    }

    async fn send(&mut self) -> Result<(), Failure> {
        if self.messages.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let request = pb::EnqueueMessagesRequest {
            r#ref: Some(pb::SessionRef {
                r#ref: Some(pb::session_ref::Ref::SessionId(self.into.clone())),
            }),
            messages: std::mem::take(&mut self.messages),
            ..pb::EnqueueMessagesRequest::default()
        };
        self.client.enqueue(request).await?;
        Ok(())
    }
}

/// Reads a file through: it is of a form that is known, and whole.
fn check(path: &Path) -> Result<Contents, Failure> {
    let mut records = Records::open(path)?;
    let Some(Record::Header(header)) = records.next()? else {
        return Err(bad(path, "it does not begin with the header of an export"));
    };
    if header.format != FORMAT {
        let why = format!(
            "it has format {}, and this version reads {FORMAT}",
            header.format
        );
        return Err(bad(path, why));
    }
    let Some(Record::Session(session)) = records.next()? else {
        return Err(bad(path, "it has no session"));
    };
    let (mut found, mut said) = (pb::ExportSummary::default(), None);
    while let Some(record) = records.next()? {
        match record {
            Record::Message(message) => {
                found.messages += 1;
                found.payload_bytes += message.payload.len() as u64;
            }
            Record::DeadLetter(letter) => {
                found.dead_letters += 1;
                found.payload_bytes += letter.message.map_or(0, |of| of.payload.len() as u64);
            }
            Record::Event(_) => found.events += 1,
            Record::Summary(summary) => said = Some(summary),
            Record::Header(_) | Record::Session(_) => {
                return Err(bad(path, "it has two headers or sessions"));
            }
        }
    }
    match said {
        Some(said) if said == found => Ok(Contents { header, session }),
        Some(_) => Err(bad(path, "its summary counts something else than it has")),
        None => Err(bad(path, "it breaks off before its summary")),
    }
}

/// The records of a file, one at a time.
struct Records<'a> {
    path: &'a Path,
    file: BufReader<File>,
}

impl<'a> Records<'a> {
    fn open(path: &'a Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| bad(path, error))?;
        let file = BufReader::new(file);
        Ok(Self { path, file })
    }

    fn next(&mut self) -> Result<Option<Record>, Failure> {
        let Some(length) = self.length()? else {
            return Ok(None);
        };
        if length > RECORD_BYTES_MAX {
            return Err(bad(self.path, format!("it has a record of {length} bytes")));
        }
        let mut bytes = Vec::new();
        let read = (&mut self.file).take(length).read_to_end(&mut bytes);
        let read = read.map_err(|error| bad(self.path, error))?;
        if read as u64 != length {
            return Err(bad(self.path, "it breaks off in a record"));
        }
        let response = pb::ExportSessionResponse::decode(bytes.as_slice());
        match response.map_err(|error| bad(self.path, error))?.record {
            Some(record) => Ok(Some(record)),
            None => Err(bad(self.path, "it has a record of no known kind")),
        }
    }

    /// The length of the next record, a varint before it; nothing at the end of the file.
    fn length(&mut self) -> Result<Option<u64>, Failure> {
        let mut length = 0_u64;
        for place in 0..10 {
            let mut byte = [0];
            let read = self.file.read(&mut byte);
            if read.map_err(|error| bad(self.path, error))? == 0 {
                return match place {
                    0 => Ok(None),
                    _ => Err(bad(self.path, "it breaks off in a record")),
                };
            }
            length |= u64::from(byte[0] & 0x7f) << (7 * place);
            if byte[0] < 0x80 {
                return Ok(Some(length));
            }
        }
        Err(bad(self.path, "it is no export"))
    }
}

fn bad(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::Usage(format!("{}: {why}", path.display()))
}
