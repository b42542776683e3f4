//! Exporter: one lane of exports, one session after the other.

use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use prost::Message as _;
use sessiond_core::command::{Command, Purge, Retire};
use sessiond_core::exported::Exported;
use sessiond_core::ids::SessionNo;
use sessiond_core::purging;
use sessiond_core::rejection::Rejection;
use sessiond_core::reply::Answer;
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::{PendingPolicy, SessionRow};
use sessiond_proto::v1 as pb;
use sessiond_store::snapshot::ReadAhead;
use tokio::sync::mpsc;
use tonic::Status;

use super::place::Place;
use super::{Exports, Job, slow};
use crate::grpc::context::Context;
use crate::grpc::export::{Export, Found};
use crate::limits::{EXPORT_ROOM_LOOK_BYTES, EXPORT_ROUNDS_MAX, EXPORT_SLOW_AFTER};
use crate::over::Over;

/// Where exports go.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The directory of all of them.
    pub(crate) directory: PathBuf,
    /// That of the store, and the bytes that must stay free there; none if exports take no room from it.
    pub(crate) spare: Option<(PathBuf, u64)>,
}

/// Whoever exports the sessions of a lane.
#[derive(Debug)]
pub(crate) struct Exporter {
    pub(crate) context: Arc<Context>,
    pub(crate) exports: Arc<Exports>,
    pub(crate) terms: Terms,
    pub(crate) lane: usize,
    pub(crate) jobs: mpsc::Receiver<Job>,
}

/// A session that is to be exported, as it is.
struct Looked {
    found: Found,
    exported: Exported,
}

/// Why a session was not exported.
enum Unexported {
    /// In words.
    Failed(String),
    /// Nothing is exported any more.
    Over(Over),
}

/// Exports until the engine has ended. What it waits for is the disk: for a thread of its own.
pub(crate) async fn run(exporter: Exporter) {
    match exporter.export_all().await {
        Ok(()) | Err(Over::Ended) => {}
        Err(Over::Fault(fault)) => {
            tracing::error!(fault = fault.describe(), "sessions are no longer exported");
        }
    }
}

impl Exporter {
    async fn export_all(mut self) -> Result<(), Over> {
        let exports = Arc::clone(&self.exports);
        let bell = &exports.lanes[self.lane].bell;
        loop {
            let is_stopping = self.context.stopping.has_begun();
            // Who waits for an answer goes first.
            let job = tokio::select! {
                biased;
                () = self.context.engine.ended() => return Ok(()),
                Some(job) = self.jobs.recv() => Some(job),
                () = bell.notified(), if !is_stopping => None,
            };
            match job {
                Some(job) => self.purge(job).await?,
                None => {
                    if let Some(no) = exports.lanes[self.lane].next() {
                        self.retire(no).await?;
                    }
                }
            }
        }
    }

    /// Exports a session that was on record long enough, and has it deleted. One that changes meanwhile is exported anew.
    async fn retire(&self, no: SessionNo) -> Result<(), Over> {
        for _ in 0..EXPORT_ROUNDS_MAX {
            let Some(looked) = self.look(no, None)? else {
                self.exports.succeeded(no);
                return Ok(());
            };
            let exported = match self.export(looked).await {
                Ok(exported) => Box::new(exported),
                Err(Unexported::Failed(_)) => return Ok(()),
                Err(Unexported::Over(over)) => return Err(over),
            };
            let session = no;
            let answer = self
                .ask(Command::Retire(Retire { session, exported }))
                .await?;
            if !is_outdated(&answer) {
                return Ok(());
            }
        }
        // It is asked for again.
        Ok(())
    }

    /// Exports a session that is to be purged, and has it deleted, or answers why not. One that would be refused anyway is
    /// not exported.
    async fn purge(&self, Job { no, purge, answer }: Job) -> Result<(), Over> {
        let mut answered = None;
        for _ in 0..EXPORT_ROUNDS_MAX {
            let exported = match self.look(no, Some(&purge))? {
                None => None,
                Some(looked) => match self.export(looked).await {
                    Ok(exported) => Some(exported),
                    Err(Unexported::Failed(why)) => {
                        answered = Some(self.refusal(&purge, why)?);
                        break;
                    }
                    Err(Unexported::Over(over)) => return Err(over),
                },
            };
            let command = Command::Purge(Purge {
                exported: exported.map(Box::new),
                ..purge.clone()
            });
            let said = self.ask(command).await?;
            let again = is_outdated(&said);
            answered = Some(said);
            if !again {
                break;
            }
        }
        if let Some(said) = answered {
            // Whoever asked may have hung up.
            let _nobody = answer.send(said);
        }
        Ok(())
    }

    /// A session as it is, if it has ended, and would be purged as somebody asks.
    fn look(&self, no: SessionNo, purge: Option<&Purge>) -> Result<Option<Looked>, Over> {
        let rows = self.context.reader.snapshot()?;
        let Some(seen) = rows.session_view(no)? else {
            return Ok(None);
        };
        let own = match rows.row(&RowKey::Queue(seen.session.queue))? {
            Some(Row::Queue(queue)) if queue.owner == no => Some(queue),
            // A successor took it over, or it went with one.
            Some(_) | None => None,
        };
        let pending = purge.map_or(PendingPolicy::Keep, |purge| purge.pending);
        let behind = rows.furthest_behind(&seen.session.namespace)?;
        let now = self.context.now().engine;
        let judged = purging::judge(&seen.session, own.as_deref(), pending)
            .and_then(|_| purging::judge_heard(&seen.session, behind, now));
        if judged.is_err() {
            return Ok(None);
        }
        let (_, through) = rows.log_bounds()?;
        let session = Arc::clone(&seen.session);
        let exported = Exported::new(session, &seen.activity, own.as_deref());
        let queue = own.map(|queue| queue.id);
        let found = Found {
            seen,
            queue,
            through,
        };
        Ok(Some(Looked { found, exported }))
    }

    /// Writes a session into its file, whole and on disk.
    async fn export(&self, looked: Looked) -> Result<Exported, Unexported> {
        let session = Arc::clone(&looked.found.seen.session);
        let no = session.no;
        let log_id = &self.context.identification.log_id;
        let place = Place::of(&self.terms.directory, &session, log_id);
        let _under_way = self.watch(Arc::clone(&session), place.path());
        match self.write(looked.found, &place).await {
            Ok(()) => {
                self.exports.succeeded(no);
                Ok(looked.exported)
            }
            Err(Unwritten::Io(error)) => {
                let why = format!("{}: {error}", place.path().display());
                self.exports.failed(&session, &why);
                Err(Unexported::Failed(why))
            }
            Err(Unwritten::Over(over)) => Err(Unexported::Over(over)),
        }
    }

    /// Has it told if the export of a session takes long.
    fn watch(&self, session: Arc<SessionRow>, path: PathBuf) -> slow::UnderWay {
        let tell = move || {
            tracing::warn!(
                namespace = %session.namespace,
                session_id = %session.id,
                key = session.key.as_ref().map(tracing::field::display),
                file = %path.display(),
                seconds = EXPORT_SLOW_AFTER.as_secs(),
                "the export of a session takes long; it is not purged meanwhile, and other exports wait for it"
            );
        };
        slow::watch(&*self.context.env.spawn, tell)
    }

    async fn write(&self, found: Found, place: &Place) -> Result<(), Unwritten> {
        self.look_for_room()?;
        let mut file = BufWriter::new(self.context.env.exports.begin(place)?);
        let mut export = Export::begin(&self.context, found)
            .await
            .map_err(|status| unread(&status))?;
        let mut unlooked = 0;
        while let Some(record) = export.next().await.map_err(|status| unread(&status))? {
            let record = Some(record);
            let bytes = pb::ExportSessionResponse { record }.encode_length_delimited_to_vec();
            file.write_all(&bytes)?;
            unlooked += bytes.len();
            if unlooked > EXPORT_ROOM_LOOK_BYTES {
                unlooked = 0;
                self.look_for_room()?;
            }
            if !self.context.engine.is_running() {
                return Err(Unwritten::Over(Over::Ended));
            }
        }
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(file.finish()?)
    }

    /// Fails when the store would have too little room left: it cannot do without.
    fn look_for_room(&self) -> io::Result<()> {
        let Some((store, spare)) = &self.terms.spare else {
            return Ok(());
        };
        let space = self.context.env.disk.space(store)?;
        let spare = (*spare).max(space.growth);
        if space.free >= spare {
            return Ok(());
        }
        let mebibytes = |bytes: u64| bytes >> 20;
        Err(io::Error::new(
            io::ErrorKind::StorageFull,
            format!(
                "the disk, which is the store's too, has {} MiB free, and {} must stay free ([store] min_free_bytes)",
                mebibytes(space.free),
                mebibytes(spare)
            ),
        ))
    }

    async fn ask(&self, command: Command) -> Result<Answer, Over> {
        let engine = &self.context.engine;
        let answer = engine.post_waiting(command, ReadAhead::default()).await?;
        answer.await.map_err(|_| Over::Ended)
    }

    /// The answer that a session stays, for it could not be exported.
    fn refusal(&self, purge: &Purge, why: String) -> Result<Answer, Over> {
        let counters = self.context.reader.snapshot()?.counters()?;
        Ok(Answer {
            revision: counters.revision,
            outcome: Err(Rejection::SessionUnexported {
                session: purge.session.clone(),
                why: Some(why),
            }),
        })
    }
}

/// Why a file did not come to be.
enum Unwritten {
    Io(io::Error),
    Over(Over),
}

impl From<io::Error> for Unwritten {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The store could not be read. The engine meets the same and stops.
fn unread(status: &Status) -> Unwritten {
    Unwritten::Io(io::Error::other(status.message().to_owned()))
}

/// Whether a session changed since it was exported.
fn is_outdated(answer: &Answer) -> bool {
    matches!(answer.outcome, Err(Rejection::SessionUnexported { .. }))
}
