//! Open: the live session of a key, or a new one.
//!
//! At most one session of a key is live; it may wait for a slot of its pool. A new incarnation adopts the queue that an earlier one left
//! held. Finding the session is activity; words that the caller gives refresh what is on record, and
//! words it leaves out keep it.

use super::behind;
use super::drain;
use super::finish::{self, Succession};
use super::request;
use super::room;
use super::slot::{self, Stage};
use crate::command::{Carry, ConflictPolicy, NewSessionId, Open};
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::EventKind;
use crate::ids::{PoolName, QueueId, SessionId, SessionNo};
use crate::limits::{ADMIT_RETRY, DEFAULT_POOL, KEY_SESSIONS_MAX, MAX_IN_FLIGHT_DEFAULT};
use crate::queue::{Disposition, QueueRow};
use crate::rejection::{Liveness, Rejection};
use crate::reply::Reply;
use crate::rows::{Row, RowKey};
use crate::session::{ActivityRow, EndReason, Lifecycle, SessionRow, Timeouts};

/// Opens a session or finds the live one.
pub(super) fn open(draft: &mut Draft<'_>, open: &Open) -> Result<Reply, Stop> {
    if let Some(row) = request::earlier(draft, &open.namespace, open.request.as_ref())? {
        return Ok(Reply::Opened {
            session: Box::new(draft.session_view(row.subject)?),
            created: row.flag,
            duplicate: true,
        });
    }
    let (no, created) = find_or_create(draft, open)?;
    request::record(draft, &open.namespace, open.request.as_ref(), no, created)?;
    Ok(Reply::Opened {
        session: Box::new(draft.session_view(no)?),
        created,
        duplicate: false,
    })
}

fn find_or_create(draft: &mut Draft<'_>, open: &Open) -> Result<(SessionNo, bool), Stop> {
    let live = match &open.key {
        Some(key) => draft.key(&open.namespace, key)?.live,
        None => None,
    };
    let Some(live) = live else {
        return Ok((create(draft, open, None)?, true));
    };
    let existing = draft.session(live)?;
    match open.conflict {
        ConflictPolicy::UseExisting => {
            refuse_another(&existing, open)?;
            refresh(draft, &existing, open)?;
            Ok((live, false))
        }
        ConflictPolicy::Fail => Err(key_in_use(&existing)),
        ConflictPolicy::Replace => {
            let replaced = Succession {
                old: &existing,
                reason: EndReason::Replaced,
                detail: "",
                carry: Carry::Move,
            };
            Ok((create(draft, open, Some(&replaced))?, true))
        }
    }
}

/// A caller that brought an id or named a pool means that session and no other.
fn refuse_another(existing: &SessionRow, open: &Open) -> Result<(), Stop> {
    let same_id = match &open.id {
        NewSessionId::Brought(id) => *id == existing.id,
        NewSessionId::Drawn(_) => true,
    };
    let same_pool = open.pool.as_ref().is_none_or(|pool| *pool == existing.pool);
    if same_id && same_pool {
        Ok(())
    } else {
        Err(key_in_use(existing))
    }
}

fn key_in_use(existing: &SessionRow) -> Stop {
    Rejection::SessionKeyInUse {
        session: existing.id.clone(),
        state: match existing.lifecycle {
            Lifecycle::Queued(_) => Liveness::Queued,
            Lifecycle::Active | Lifecycle::Draining(_) | Lifecycle::Ended(_) => Liveness::Active,
        },
    }
    .into()
}

/// Creates a session; that of `succession` gives way to it in the same commit.
pub(super) fn create(
    draft: &mut Draft<'_>,
    open: &Open,
    succession: Option<&Succession<'_>>,
) -> Result<SessionNo, Stop> {
    drain::refuse_new(draft)?;
    let id = open.id.id();
    if draft.session_id(&open.namespace, id)?.is_some() {
        return Err(Rejection::SessionIdInUse {
            session: id.clone(),
        }
        .into());
    }
    let pool = pool_of(draft, open, succession)?;
    match succession {
        Some(succession) => finish::give_way(draft, succession, &open.actor, id)?,
        // Before a full pool is asked for a slot: nobody is to end for a session that cannot be had.
        None => room::refuse_more(draft)?,
    }
    let old = succession.map(|given_way| given_way.old);
    let no = draft.counters()?.session.next();
    let place = (open.namespace.clone(), pool);
    let behind = behind::of_new(draft, open, &place, old)?;
    let lifecycle = slot::begin(draft, open, &place, old, behind, no)?;
    slot::count(draft, &place, None, first_stage(&lifecycle))?;
    let mut counters = draft.counters()?;
    counters.session = no;
    draft.put_counters(counters);
    let disposition = first_disposition(&lifecycle);
    let queue = take_queue(draft, open, no, disposition, succession)?;
    let before = join_key(draft, open, no)?;
    let predecessor = before.or_else(|| succession.map(|given_way| given_way.old.id.clone()));
    let session = SessionRow {
        lifecycle,
        predecessor,
        ..new_row(draft, open, no, place.1, queue)
    };
    draft.put(
        RowKey::SessionId(open.namespace.clone(), id.clone()),
        Row::SessionId(no),
    );
    draft.put_session(session.clone());
    let mut activity = ActivityRow::new(no, draft.now);
    activity.prompt_number = first_prompt_number(open);
    if !session.is_active() {
        // It looks soon whether its turn is next; if not, it knows then when to look again.
        activity.check_at = Some(draft.now.engine + ADMIT_RETRY);
    }
    // What it adopts counts as enqueued here, and dead letters among it as its own.
    let depth = draft.queue(queue)?.depth;
    activity.totals.enqueued = depth.unsettled() + depth.dead;
    activity.totals.dead_lettered = depth.dead;
    draft.put_activity(&session, activity)?;
    draft.event(
        EventKind::SessionOpened,
        open.actor.clone(),
        no,
        Particulars::default(),
    )?;
    if !session.is_active() {
        draft.event(
            EventKind::SessionQueued,
            open.actor.clone(),
            no,
            Particulars::default(),
        )?;
    }
    super::hand_out::offer(draft, queue)?;
    Ok(no)
}

/// Where a session counts that begins so.
fn first_stage(lifecycle: &Lifecycle) -> Stage {
    match lifecycle {
        Lifecycle::Queued(_) => Stage::Queued,
        Lifecycle::Active | Lifecycle::Draining(_) | Lifecycle::Ended(_) => Stage::Active,
    }
}

/// What may be done with the messages of a session that begins so: none goes out before it has a slot.
fn first_disposition(lifecycle: &Lifecycle) -> Disposition {
    match lifecycle {
        Lifecycle::Queued(_) if !faulty!(QueuedServed) => Disposition::Quiet,
        Lifecycle::Queued(_) | Lifecycle::Active | Lifecycle::Draining(_) | Lifecycle::Ended(_) => {
            Disposition::Serving
        }
    }
}

fn first_prompt_number(open: &Open) -> u32 {
    match open.prompt_number {
        Some(number) => number,
        None if open.profile.prompt.is_empty() => 0,
        None => 1,
    }
}

fn pool_of(
    draft: &Draft<'_>,
    open: &Open,
    succession: Option<&Succession<'_>>,
) -> Result<PoolName, Stop> {
    let pool = match (&open.pool, succession) {
        (Some(pool), _) => pool.clone(),
        // Its slot is passed on, whether such a pool could be asked for by now or not.
        (None, Some(given_way)) => return Ok(given_way.old.pool.clone()),
        (None, None) => PoolName::parse(DEFAULT_POOL).expect("the default pool's name is an id"),
    };
    if draft.policy().pools.contains_key(&pool) {
        Ok(pool)
    } else {
        Err(Rejection::PoolNotFound { pool }.into())
    }
}

/// The queue that goes over from the session before or that the key holds, or a new one.
fn take_queue(
    draft: &mut Draft<'_>,
    open: &Open,
    owner: SessionNo,
    disposition: Disposition,
    succession: Option<&Succession<'_>>,
) -> Result<QueueId, Stop> {
    let inherited = match (succession, &open.key) {
        (Some(given_way), _) => {
            let moves = given_way.carry == Carry::Move || faulty!(CarryIgnored);
            moves.then_some(given_way.old.queue)
        }
        (None, Some(key)) => draft.key(&open.namespace, key)?.held,
        (None, None) => None,
    };
    if let Some(id) = inherited.filter(|_| !faulty!(HeldForgotten)) {
        let mut queue = draft.queue(id)?;
        queue.owner = owner;
        draft.dispose(queue, disposition)?;
        return Ok(id);
    }
    let mut counters = draft.counters()?;
    counters.queue = counters.queue.next();
    draft.put_counters(counters);
    let queue = QueueRow {
        disposition,
        ..QueueRow::new(counters.queue, open.namespace.clone(), owner)
    };
    // A number never used before has no row, so none need be loaded.
    draft.put(RowKey::Queue(queue.id), Row::Queue(queue.into()));
    Ok(counters.queue)
}

/// Makes the session the live one of its key; answers with the incarnation before it.
fn join_key(draft: &mut Draft<'_>, open: &Open, no: SessionNo) -> Result<Option<SessionId>, Stop> {
    let Some(key) = &open.key else {
        return Ok(None);
    };
    let mut row = draft.key(&open.namespace, key)?;
    let predecessor = match row.sessions.first() {
        Some(before) => Some(draft.session(*before)?.id.clone()),
        None => None,
    };
    row.live = Some(no);
    row.held = None;
    row.sessions.insert(0, no);
    row.sessions.truncate(KEY_SESSIONS_MAX);
    draft.put(
        RowKey::Key(open.namespace.clone(), key.clone()),
        Row::Key(row.into()),
    );
    Ok(predecessor)
}

fn new_row(
    draft: &Draft<'_>,
    open: &Open,
    no: SessionNo,
    pool: PoolName,
    queue: QueueId,
) -> SessionRow {
    let policy = draft.policy();
    let default_in_flight =
        std::num::NonZeroU32::new(MAX_IN_FLIGHT_DEFAULT).expect("the default bound is not zero");
    SessionRow {
        no,
        id: open.id.id().clone(),
        namespace: open.namespace.clone(),
        key: open.key.clone(),
        pool,
        queue,
        lifecycle: Lifecycle::Active,
        profile: open.profile.clone(),
        timeouts: Timeouts {
            idle: open.timeouts.idle.unwrap_or(policy.idle_timeout),
            lifetime: open.timeouts.lifetime.unwrap_or(policy.max_lifetime),
            owner: open.timeouts.owner.unwrap_or(policy.owner_timeout),
        },
        ordering: open.ordering.unwrap_or_default(),
        max_in_flight: open.max_in_flight.unwrap_or(default_in_flight),
        parent: open.parent.clone(),
        predecessor: None,
        successor: None,
        create_time: draft.now.wall,
        created_at: draft.now.engine,
        active_since: draft.now.engine,
        ranked_at: draft.now.engine,
        lease: None,
        revision: crate::ids::Revision::default(),
        resources: None,
    }
}

/// Notes the use of an existing session and takes over what the caller says anew.
fn refresh(draft: &mut Draft<'_>, before: &SessionRow, open: &Open) -> Result<(), Stop> {
    let mut session = before.clone();
    let new = &open.profile;
    let profile = &mut session.profile;
    let texts = [
        (&mut profile.project, &new.project),
        (&mut profile.source, &new.source),
        (&mut profile.agent_id, &new.agent_id),
        (&mut profile.transcript_path, &new.transcript_path),
        (&mut profile.prompt, &new.prompt),
    ];
    for (field, new) in texts {
        if !new.is_empty() {
            field.clone_from(new);
        }
    }
    if !new.labels.is_empty() {
        profile.labels.clone_from(&new.labels);
    }
    let limits = &mut session.timeouts;
    limits.idle = open.timeouts.idle.unwrap_or(limits.idle);
    limits.lifetime = open.timeouts.lifetime.unwrap_or(limits.lifetime);
    limits.owner = open.timeouts.owner.unwrap_or(limits.owner);
    session.ordering = open.ordering.unwrap_or(session.ordering);
    session.max_in_flight = open.max_in_flight.unwrap_or(session.max_in_flight);
    if let (Lifecycle::Queued(wait), Some(more)) = (&mut session.lifecycle, open.wait) {
        // Whoever would wait longer for it is not told off by the shorter wait of another.
        wait.until = wait.until.map(|until| until.max(draft.now.engine + more));
    }
    let mut activity = draft.activity(session.no)?;
    activity.touch(draft.now);
    activity.owner_seen = draft.now.engine;
    match open.prompt_number {
        Some(number) => activity.prompt_number = number,
        None if open.profile.prompt.is_empty() => {}
        None => activity.prompt_number = activity.prompt_number.saturating_add(1),
    }
    draft.put_activity(&session, activity)?;
    if session != *before {
        draft.put_session(session.clone());
    }
    // A new prompt alone is no event, nor is a longer wait: events carry neither.
    let mut shown = session.clone();
    shown.profile.prompt.clone_from(&before.profile.prompt);
    shown.lifecycle.clone_from(&before.lifecycle);
    if shown != *before {
        draft.event(
            EventKind::SessionUpdated,
            open.actor.clone(),
            session.no,
            Particulars::default(),
        )?;
        // Another order or a higher bound may let messages go, another profile may suit a worker.
        super::hand_out::offer(draft, session.queue)?;
    }
    Ok(())
}
