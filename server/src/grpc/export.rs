//! ExportSession: everything on record of one session, as a stream of records.
//!
//! Invariant: the summary comes last and counts what came before it, so that what was cut off is known to be. Each page is
//! from a snapshot of its own, which nobody holds while the client reads; what happens meanwhile may show or not, but for
//! events, which are those up to the header's revision. The connection asks for the next page when it has sent one, so a
//! slow client costs nobody anything. What this deliberately does not do: keep a session from being purged meanwhile; where
//! exports come before purges, `exports` does.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, stream};
use sessiond_core::ids::{Namespace, QueueId, Revision, Seq};
use sessiond_core::message::MessageRow;
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::{SessionRow, SessionView};
use sessiond_proto::v1 as pb;
use sessiond_store::snapshot::Rows;
use tonic::Status;

use super::context::{Context, faulted};
use super::letters;
use super::list::{self, CHUNK};
use crate::app::VERSION;
use crate::limits::{EXPORT_PAGE_BYTES, EXPORT_PAGE_EVENTS};
use crate::wire::parse;
use crate::wire::parse::list_messages::Payloads;
use crate::wire::show;
use crate::wire::show::time::timestamp;
use crate::wire::status::Refusal;
use pb::export_session_response::Record;

/// The form of the records.
const FORMAT: u32 = 1;

pub(super) type Records =
    Pin<Box<dyn Stream<Item = Result<pb::ExportSessionResponse, Status>> + Send>>;

/// A session that is to be exported, as it was at one instant.
pub(crate) struct Found {
    pub(crate) seen: SessionView,
    /// Its queue, unless a successor took it over.
    pub(crate) queue: Option<QueueId>,
    /// The newest event there was.
    pub(crate) through: Revision,
}

/// One export under way.
pub(crate) struct Export {
    context: Arc<Context>,
    session: Arc<SessionRow>,
    stage: Stage,
    ready: VecDeque<Record>,
    /// The newest event about the session, which is the last one that is exported: what the log has behind it is not read.
    last: Revision,
    sum: pb::ExportSummary,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Messages behind a seq.
    Messages(Option<QueueId>, Seq),
    /// Events behind a revision.
    Events(Revision),
    /// Nothing more.
    Over,
}

/// Answers ExportSession.
pub(super) async fn serve(
    context: &Arc<Context>,
    namespace: &Namespace,
    request: pb::ExportSessionRequest,
) -> Result<Records, Status> {
    let asked = parse::export::export(request).map_err(|invalid| Refusal::invalid(&invalid))?;
    let (seen, queue, through) = {
        let rows = context.rows()?;
        let (session, queue) = letters::queue_of(&rows, namespace, &asked)?;
        let seen = context.see(&rows, session.no)?;
        let (_, newest) = rows.log_bounds().map_err(|fault| faulted(&fault))?;
        (seen, queue.map(|queue| queue.id), newest)
    };
    let found = Found {
        seen: seen.ok_or_else(Refusal::store_unavailable)?,
        queue,
        through,
    };
    let export = Export::begin(context, found).await?;
    Ok(Box::pin(stream::try_unfold(export, respond)))
}

/// The next record as a response, and what is left.
async fn respond(
    mut export: Export,
) -> Result<Option<(pb::ExportSessionResponse, Export)>, Status> {
    let record = export.next().await?;
    let response = |record| pb::ExportSessionResponse {
        record: Some(record),
    };
    Ok(record.map(|record| (response(record), export)))
}

impl Export {
    /// Begins to export a session.
    pub(crate) async fn begin(context: &Arc<Context>, found: Found) -> Result<Self, Status> {
        let Found {
            seen,
            queue,
            through,
        } = found;
        let session = Arc::clone(&seen.session);
        let last = session.revision;
        let shown = context.show(seen).await?;
        let header = pb::ExportHeader {
            format: FORMAT,
            log_id: context.identification.log_id.clone(),
            server_version: VERSION.to_owned(),
            export_time: Some(timestamp(context.now().wall)),
            revision: through.0,
        };
        Ok(Self {
            context: Arc::clone(context),
            stage: Stage::Messages(queue, Seq(0)),
            session,
            ready: [Record::Header(header), Record::Session(shown)].into(),
            last,
            sum: pb::ExportSummary::default(),
        })
    }

    /// The next record; none behind the summary.
    pub(crate) async fn next(&mut self) -> Result<Option<Record>, Status> {
        while self.ready.is_empty() {
            if matches!(self.stage, Stage::Over) {
                return Ok(None);
            }
            self.read_page()?;
            // Pages may hold nothing of this session, as many as the log has: others get their turn between them.
            tokio::task::yield_now().await;
        }
        Ok(self.ready.pop_front())
    }

    /// Reads a page of what comes next.
    fn read_page(&mut self) -> Result<(), Status> {
        let rows = self.context.rows()?;
        self.stage = match self.stage {
            Stage::Messages(Some(queue), after) => match self.messages(&rows, queue, after)? {
                Some(after) => Stage::Messages(Some(queue), after),
                None => self.events_begin(&rows)?,
            },
            Stage::Messages(None, _) => self.events_begin(&rows)?,
            Stage::Events(after) => self.events(&rows, after)?,
            Stage::Over => Stage::Over,
        };
        Ok(())
    }

    /// Messages of a page; answers with where to go on, if there are more.
    fn messages(&mut self, rows: &Rows, queue: QueueId, after: Seq) -> Result<Option<Seq>, Status> {
        // A queue that a successor has taken over since is the successor's.
        let Some(Row::Queue(queue)) = rows
            .row(&RowKey::Queue(queue))
            .map_err(|fault| faulted(&fault))?
        else {
            return Ok(None);
        };
        if queue.owner != self.session.no {
            return Ok(None);
        }
        let chunk = list::by_seq(rows, queue.id, after)?;
        let whole = chunk.len() == CHUNK;
        let (mut bytes, mut reached) = (0, after);
        for message in chunk {
            if bytes >= EXPORT_PAGE_BYTES {
                return Ok(Some(reached));
            }
            reached = message.seq;
            bytes += message.bytes;
            if list::is_kept(&message, queue.disposition) {
                self.message(rows, &message, queue.disposition)?;
            }
        }
        Ok(whole.then_some(reached))
    }

    fn message(
        &mut self,
        rows: &Rows,
        message: &MessageRow,
        disposition: sessiond_core::queue::Disposition,
    ) -> Result<(), Status> {
        let payload = list::payload(rows, Payloads::Shown, message)?;
        self.sum.payload_bytes += payload.len() as u64;
        let letter =
            show::dead_letter::dead_letter(message, disposition, &self.session, payload.clone());
        let record = if let Some(letter) = letter {
            self.sum.dead_letters += 1;
            Record::DeadLetter(letter)
        } else {
            self.sum.messages += 1;
            Record::Message(show::message::message(message, &self.session.id, payload))
        };
        self.ready.push_back(record);
        Ok(())
    }

    /// Where the events of the session begin: no earlier than the session.
    fn events_begin(&self, rows: &Rows) -> Result<Stage, Status> {
        let before = rows.newest_event_before(self.session.created_at);
        let before = before.map_err(|fault| faulted(&fault))?;
        Ok(Stage::Events(
            before.map_or(Revision(0), |(revision, _)| revision),
        ))
    }

    /// Events of a page, and what comes after them.
    fn events(&mut self, rows: &Rows, after: Revision) -> Result<Stage, Status> {
        let page = rows
            .events_after(after, EXPORT_PAGE_EVENTS)
            .map_err(|fault| faulted(&fault))?;
        let mut reached = after;
        for event in page.iter().filter(|event| event.revision <= self.last) {
            reached = event.revision;
            let own = event.session().map(|view| view.session.no);
            if own == Some(self.session.no) {
                self.sum.events += 1;
                let log_id = &self.context.identification.log_id;
                self.ready
                    .push_back(Record::Event(show::event::event(event, log_id)));
            }
        }
        if reached > after && reached < self.last {
            return Ok(Stage::Events(reached));
        }
        self.ready.push_back(Record::Summary(self.sum));
        Ok(Stage::Over)
    }
}
