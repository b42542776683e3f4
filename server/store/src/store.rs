//! The store as the engine has it: loads what a decision misses, commits what decisions change.
//!
//! There is one `Store` per set of tables, in the hands of the one who decides, so what it loads is not changed by
//! anybody else before it commits. A commit is applied whole and durable when it returns, or the store has stopped for
//! good. Readers go round it. What the rows mean is the core's business; what they look like, `row`'s.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;
use sessiond_core::change::{Change, Membership};
use sessiond_core::ids::Seq;
use sessiond_core::index::{Extent, IndexEntry, Scan};
use sessiond_core::rows::{Read, Row, RowKey};
use sessiond_core::view::View;

use crate::fault::Fault;
use crate::kv::{Kv, Op, Prior};
use crate::row;
use crate::snapshot::{Reader, Rows, beside};
use crate::stop::Stop;

/// The one writer.
#[derive(Debug)]
pub struct Store {
    kv: Arc<dyn Kv>,
    stop: Stop,
    reader: Reader,
    /// How many commits have returned.
    commits: Arc<AtomicU64>,
}

impl Store {
    /// The store over tables that nobody else writes to.
    #[must_use]
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        let stop = Stop::default();
        let commits = Arc::default();
        let reader = Reader::new(Arc::clone(&kv), stop.clone(), Arc::clone(&commits));
        Self {
            kv,
            stop,
            reader,
            commits,
        }
    }

    /// Loads what a decision said it misses, all of it as of the last commit.
    ///
    /// # Errors
    ///
    /// What the tables report, or `Fault::Malformed` when a row cannot be decoded. Part of the reads may have been
    /// loaded by then.
    pub fn load(&self, view: &mut View, reads: &[Read]) -> Result<(), Fault> {
        let rows = self.reader.snapshot()?;
        for read in reads {
            match read {
                Read::Row(key) => {
                    let row = rows.row(key)?;
                    load_beside(view, &rows, row.as_ref())?;
                    view.load_row(key.clone(), row);
                }
                Read::KeyBlocks(queue) => {
                    view.load_key_blocks(*queue, rows.key_blocks(*queue)?);
                }
                Read::Scan { scan, limit } => {
                    let (entries, extent) = rows.scan(scan, *limit)?;
                    load_messages(view, &rows, scan, entries.len())?;
                    view.load_scan(scan.clone(), entries, extent);
                }
            }
        }
        Ok(())
    }

    /// Commits the changes of a batch of decisions, in their order: of several about one row or entry, the last holds.
    /// Durable when it returns; no changes are no commit.
    ///
    /// # Errors
    ///
    /// What the tables report, or `Fault::Stopped` after an earlier fault of this store or any of its readers. Whether
    /// anything was written is then not known, and every later commit is refused.
    pub fn commit(&self, changes: &[Change]) -> Result<(), Fault> {
        self.stop.check()?;
        let ops = ops(changes);
        if ops.is_empty() {
            return Ok(());
        }
        self.stop.note(self.kv.commit(&ops))?;
        self.commits.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// How many commits have returned since the store was opened.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Acquire)
    }

    /// How much commits have gathered that no checkpoint has carried on yet, in bytes.
    #[must_use]
    pub fn gathered_bytes(&self) -> u64 {
        self.kv.gathered_bytes()
    }

    /// Makes checkpoints; for a thread of its own.
    #[must_use]
    pub fn checkpointer(&self) -> Checkpointer {
        Checkpointer {
            kv: Arc::clone(&self.kv),
            stop: self.stop.clone(),
        }
    }

    /// Leaves the store so that its next opening is quick. For moments when there is nothing else to do.
    ///
    /// # Errors
    ///
    /// As `commit`.
    pub fn settle(&self) -> Result<(), Fault> {
        self.stop.check()?;
        self.stop.note(self.kv.settle())
    }

    /// A reader of committed rows; as many as are wanted.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }
}

/// Loads what a decision asks for after it has seen a row, so that it need not be taken anew for each step of the way from
/// a session's id to its queue.
fn load_beside(view: &mut View, rows: &Rows, row: Option<&Row>) -> Result<(), Fault> {
    let beside = match row {
        Some(Row::SessionId(no)) => vec![RowKey::Session(*no)],
        Some(Row::Key(row)) => row.live.map(RowKey::Session).into_iter().collect(),
        Some(Row::Session(session)) => beside(session).collect(),
        Some(
            Row::Counters(_)
            | Row::Activity(_)
            | Row::Queue(_)
            | Row::Message(_)
            | Row::Payload(_)
            | Row::Lease(_)
            | Row::KeyBlock(_)
            | Row::Request(_)
            | Row::Pool(_)
            | Row::Event(_)
            | Row::Resources(_)
            | Row::Node(_)
            | Row::Drain(_)
            | Row::Subscription(_),
        )
        | None => Vec::new(),
    };
    for key in beside {
        if view.row(&key).is_none() {
            let row = rows.row(&key)?;
            if matches!(row, Some(Row::Session(_))) {
                load_beside(view, rows, row.as_ref())?;
            }
            view.load_row(key, row);
        }
    }
    Ok(())
}

/// Loads the first messages of a queue with what may be handed out of it: that is what is asked for next, and a decision
/// is taken anew each time it has to ask.
fn load_messages(view: &mut View, rows: &Rows, scan: &Scan, limit: usize) -> Result<(), Fault> {
    let Scan::Ready(queue) = scan else {
        return Ok(());
    };
    let limit = limit.max(1);
    let messages = rows.messages_after(*queue, Seq(0), limit)?;
    let pending = messages
        .iter()
        .map(|message| IndexEntry::Pending(*queue, message.seq));
    let pending: Vec<IndexEntry> = pending.collect();
    let extent = match pending.last() {
        Some(last) if pending.len() >= limit => Extent::Through(last.clone()),
        Some(_) | None => Extent::All,
    };
    view.load_scan(Scan::Pending(*queue), pending, extent);
    for message in messages {
        let key = RowKey::Message(message.queue, message.seq);
        view.load_row(key, Some(Row::Message(Arc::new(message))));
    }
    Ok(())
}

/// Carries what commits have gathered to where it is kept for good, beside the one writer.
#[derive(Debug)]
pub struct Checkpointer {
    kv: Arc<dyn Kv>,
    stop: Stop,
}

impl Checkpointer {
    /// Makes one checkpoint of what has been committed by now. Blocks for as long as that takes.
    ///
    /// # Errors
    ///
    /// What the tables report; the store has then stopped, and its next commit says so.
    pub fn checkpoint(&self) -> Result<(), Fault> {
        self.stop.check()?;
        self.stop.note(self.kv.checkpoint())
    }
}

/// What a change is about.
#[derive(PartialEq, Eq, Hash)]
enum Subject<'a> {
    Row(&'a RowKey),
    Entry(&'a IndexEntry),
}

impl<'a> From<&'a Change> for Subject<'a> {
    fn from(change: &'a Change) -> Self {
        match change {
            Change::Row(key, _) => Subject::Row(key),
            Change::Index(entry, _) => Subject::Entry(entry),
        }
    }
}

/// What a batch makes of one row or entry: where it begins and where it ends.
struct Fate<'a> {
    first: &'a Change,
    last: &'a Change,
}

/// What a batch makes of each row and entry it changes, in the order of the first changes.
struct Fates<'a> {
    places: HashMap<Subject<'a>, usize, RandomState>,
    fates: Vec<Fate<'a>>,
}

impl<'a> Fates<'a> {
    fn of(changes: &'a [Change]) -> Self {
        let mut all = Self {
            places: HashMap::with_capacity_and_hasher(changes.len(), RandomState::default()),
            fates: Vec::with_capacity(changes.len()),
        };
        for change in changes {
            match all.places.entry(change.into()) {
                Entry::Occupied(place) => all.fates[*place.get()].last = change,
                Entry::Vacant(place) => {
                    place.insert(all.fates.len());
                    all.fates.push(Fate {
                        first: change,
                        last: change,
                    });
                }
            }
        }
        all
    }

    fn get(&self, subject: &Subject<'_>) -> Option<&Fate<'a>> {
        self.places.get(subject).map(|place| &self.fates[*place])
    }
}

/// One write per row and entry. A batch changes some rows once per command (the counters, a busy queue); writing only
/// what they become saves both encoding and pages.
fn ops(changes: &[Change]) -> Vec<Op> {
    let all = Fates::of(changes);
    let op = |fate: &Fate<'_>| {
        let is_new = is_new(fate.first, &all);
        let is_gone = matches!(
            fate.last,
            Change::Row(_, None) | Change::Index(_, Membership::Out)
        );
        if is_new && is_gone {
            // Made and gone within the batch.
            return None;
        }
        let op = row::encode(fate.last)?;
        Some(if is_new {
            Op {
                prior: Prior::Absent,
                ..op
            }
        } else {
            op
        })
    };
    all.fates.iter().filter_map(op).collect()
}

/// Whether the first change of a batch about a row or entry is what made it. Of some rows that cannot be told, and then
/// they are taken for old ones.
fn is_new(first: &Change, fates: &Fates<'_>) -> bool {
    match first {
        // A decision notes what it changes of an index and nothing else.
        Change::Index(_, membership) => *membership == Membership::In,
        // Written once, when they are made.
        Change::Row(RowKey::Event(_) | RowKey::Payload(..), row) => row.is_some(),
        // Made together with its payload.
        Change::Row(RowKey::Message(queue, seq), _) => {
            let payload = RowKey::Payload(*queue, *seq);
            fates
                .get(&Subject::Row(&payload))
                .is_some_and(|fate| matches!(fate.first, Change::Row(_, Some(_))))
        }
        Change::Row(
            RowKey::Counters
            | RowKey::Session(_)
            | RowKey::Activity(_)
            | RowKey::Queue(_)
            | RowKey::DeadLetter(..)
            | RowKey::Lease(_)
            | RowKey::Key(..)
            | RowKey::SessionId(..)
            | RowKey::KeyBlock(..)
            | RowKey::Request(..)
            | RowKey::Pool(..)
            | RowKey::Resources(_)
            | RowKey::Node(..)
            | RowKey::Drain
            | RowKey::Subscription(..),
            _,
        ) => false,
    }
}
