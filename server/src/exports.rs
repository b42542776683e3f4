//! Exports: ended sessions are written into files before they are deleted.
//!
//! The engine asks for the exports of sessions that were on record long enough, callers have sessions purged; here each is
//! written, and the command that deletes it goes to the engine with what it was when it was exported. Nothing but the record
//! says what is to go: what was asked for and is not done is asked for again, by this server or the next one.
//!
//! Invariant: the file is whole and on disk before the command is sent, and from the first look at a session to the answer of
//! the engine nobody else exports or deletes it, for each session has its lane. A session that could not be exported
//! stays. What this deliberately does not do: judge whether a session may go; the engine does, once more.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sessiond_core::command::Purge;
use sessiond_core::ids::SessionNo;
use sessiond_core::reply::Answer;
use sessiond_core::session::SessionRow;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::app::StartError;
use crate::config::Settings;
use crate::engine::Refused;
use crate::env::Env;
use crate::grpc::context::Context;
use crate::limits::{EXPORT_FAILURES_KEPT, EXPORT_LANES, EXPORTS_ASKED_MAX, PURGES_AHEAD};

mod exporter;
mod failures;
pub mod files;
pub mod place;
mod slow;

use exporter::{Exporter, Terms};
use failures::{Failures, Telling};

/// Exports that are to begin when the server does.
#[derive(Debug)]
pub(crate) struct Exporting {
    exports: Arc<Exports>,
    jobs: Vec<mpsc::Receiver<Job>>,
    terms: Terms,
}

impl Exporting {
    /// Sees that exports can be written, if there are to be any.
    ///
    /// # Errors
    /// [`StartError::Exports`].
    pub(crate) fn prepare(settings: &Settings, env: &Env) -> Result<Option<Self>, StartError> {
        let Some(directory) = settings.export_before_purge.clone() else {
            return Ok(None);
        };
        let (files, store) = (&env.exports, &settings.data_dir);
        let prepared = files.prepare(&directory);
        let shares = prepared.and_then(|()| files.share_room(&directory, store));
        let shares = shares.map_err(|source| StartError::Exports {
            directory: directory.clone(),
            source,
        })?;
        let spare = settings.min_free.filter(|_| shares);
        let (exports, jobs) = Exports::new();
        Ok(Some(Self {
            exports,
            jobs,
            terms: Terms {
                directory,
                spare: spare.map(|spare| (store.clone(), spare)),
            },
        }))
    }

    /// The way to those who export.
    pub(crate) fn exports(&self) -> Arc<Exports> {
        Arc::clone(&self.exports)
    }

    /// Has them begin, if there are to be any; what is answered closes when all are over.
    pub(crate) fn run(
        exporting: Option<Self>,
        context: &Arc<Context>,
        env: &Env,
    ) -> mpsc::Receiver<Infallible> {
        let (open, over) = mpsc::channel(1);
        let lanes = exporting.into_iter().flat_map(|exporting| {
            let Self {
                exports,
                jobs,
                terms,
            } = exporting;
            let lanes = jobs.into_iter().enumerate();
            lanes.map(move |(lane, jobs)| (Arc::clone(&exports), terms.clone(), lane, jobs))
        });
        for (exports, terms, lane, jobs) in lanes {
            let exporter = Exporter {
                context: Arc::clone(context),
                exports,
                terms,
                lane,
                jobs,
            };
            let open = open.clone();
            let run = async move {
                exporter::run(exporter).await;
                drop(open);
            };
            env.spawn.thread("exports", Box::pin(run));
        }
        over
    }
}

/// The way to whoever exports.
#[derive(Debug)]
pub struct Exports {
    lanes: Vec<Lane>,
    /// What kept sessions from being exported, when that was tried last.
    failed: Mutex<Failures>,
}

/// Sessions that are exported one after the other.
#[derive(Debug)]
struct Lane {
    /// Those that the engine asks for. It asks again for what has no room here.
    asked: Mutex<BTreeSet<SessionNo>>,
    bell: Notify,
    purges: mpsc::Sender<Job>,
}

/// A purge of a session, which is to be exported before.
#[derive(Debug)]
pub(crate) struct Job {
    no: SessionNo,
    purge: Purge,
    answer: oneshot::Sender<Answer>,
}

impl Exports {
    /// The way, and for each lane the purges that come along it.
    #[must_use]
    pub(crate) fn new() -> (Arc<Self>, Vec<mpsc::Receiver<Job>>) {
        let (mut lanes, mut ends) = (Vec::new(), Vec::new());
        for _ in 0..EXPORT_LANES {
            let (purges, end) = mpsc::channel(PURGES_AHEAD);
            lanes.push(Lane {
                asked: Mutex::default(),
                bell: Notify::new(),
                purges,
            });
            ends.push(end);
        }
        let failed = Mutex::default();
        (Arc::new(Self { lanes, failed }), ends)
    }

    /// Has sessions exported that were on record long enough. Waits for nothing.
    pub(crate) fn ask(&self, sessions: &[SessionNo]) {
        for no in sessions {
            let lane = self.lane(*no);
            let mut asked = hold(&lane.asked);
            if asked.len() < EXPORTS_ASKED_MAX {
                asked.insert(*no);
            }
            drop(asked);
            lane.bell.notify_one();
        }
    }

    /// Has a session exported and then purged. The answer is the engine's, or that it could not be exported.
    ///
    /// # Errors
    /// [`Refused::Stopped`].
    pub(crate) async fn purge(
        &self,
        no: SessionNo,
        purge: Purge,
    ) -> Result<oneshot::Receiver<Answer>, Refused> {
        let (answer, answered) = oneshot::channel();
        let job = Job { no, purge, answer };
        let sent = self.lane(no).purges.send(job).await;
        sent.map_err(|_| Refused::Stopped)?;
        Ok(answered)
    }

    /// What kept a session from being exported, when that was tried last.
    pub(crate) fn failure(&self, no: SessionNo) -> Option<String> {
        hold(&self.failed).of(no)
    }

    fn lane(&self, no: SessionNo) -> &Lane {
        let lanes = self.lanes.len() as u64;
        let place = usize::try_from(no.0 % lanes).expect("there are few lanes");
        &self.lanes[place]
    }

    /// Remembers why a session stays, and warns of it unless that was said already.
    fn failed(&self, session: &SessionRow, why: &str) {
        let telling = hold(&self.failed).add(session.no, why);
        match telling {
            Telling::This => tracing::warn!(
                namespace = %session.namespace,
                session_id = %session.id,
                key = session.key.as_ref().map(tracing::field::display),
                cause = why,
                "session kept: it could not be exported and so is not purged; it is tried again"
            ),
            Telling::More => tracing::warn!(
                told = EXPORT_FAILURES_KEPT,
                cause = why,
                "more sessions are kept for want of an export than are told one by one; all are tried again"
            ),
            Telling::Nothing => {}
        }
    }

    /// Forgets why a session stayed.
    fn succeeded(&self, no: SessionNo) {
        hold(&self.failed).remove(no);
    }
}

impl Lane {
    /// The next session that the engine asks for, and the bell rung again if there are more.
    fn next(&self) -> Option<SessionNo> {
        let mut asked = hold(&self.asked);
        let next = asked.pop_first();
        if !asked.is_empty() {
            self.bell.notify_one();
        }
        next
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in it is whole between any two steps.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
