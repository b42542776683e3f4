//! Random rows and entries of every kind.
//!
//! Numbers come from few small and a few extreme ones, texts are short and of several bytes per character, so that
//! entries meet and differ in every place. Nothing here is consistent across rows; that is what `world` is for.

use bytes::Bytes;
use fastrand::Rng;
use sessiond_core::ids::{
    CoalesceKey, DeliveryId, Epoch, IdempotencyKey, InstanceId, MessageKind, Namespace, NodeName,
    PoolName, QueueId, RequestId, ResourceNo, Revision, Seq, SessionId, SessionKey, SessionNo,
    SubscriptionName, TextError, WorkerName,
};
use sessiond_core::key_window::{KeyBlock, RememberedKey};
use sessiond_core::lease::{LeaseMode, LeaseRow, LeaseStanding};
use sessiond_core::limits::KEY_BLOCK_KEYS;
use sessiond_core::message::{
    DeadReason, Debounce, DeliveryMode, MessageRow, Rank, Standing, Turn,
};
use sessiond_core::queue::{Depth, Disposition, Oldest, Pause, QueueRow};
use sessiond_core::rows::{KeyRow, MessageMark, MessageTally, PoolRow, RequestRow, Row, RowKey};
use sessiond_core::session::Labels;
use sessiond_core::time::{EngineTime, Span, WallTime};

use crate::draw_resources::{node, resources};
use crate::draw_server::{counters, drain, subscription};
use crate::draw_session::{activity, cause, event, session};

pub(crate) fn one_of<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
    *rng.choice(all).expect("there is something to choose from")
}

/// A number that often meets another one, and often sits at an edge.
pub(crate) fn number(rng: &mut Rng) -> u64 {
    match rng.u8(..8) {
        0 => u64::MAX,
        1 => rng.u64(..),
        2 => 255 + rng.u64(..3),
        _ => rng.u64(..4),
    }
}

pub(crate) fn small(rng: &mut Rng) -> u32 {
    one_of(rng, &[0, 1, 300, u32::MAX])
}

pub(crate) fn option<T>(rng: &mut Rng, draw: impl Fn(&mut Rng) -> T) -> Option<T> {
    rng.bool().then(|| draw(rng))
}

/// Any text at all, empty ones and control characters included.
pub(crate) fn free_text(rng: &mut Rng) -> String {
    let len = rng.usize(..4);
    (0..len)
        .map(|_| one_of(rng, &['a', '\0', '\n', 'é', '𐍈']))
        .collect()
}

/// A text that may be an id: no control characters, not empty. Few letters, so that one is often a prefix of another.
fn id_text(rng: &mut Rng) -> String {
    if rng.u8(..32) == 0 {
        return "x".repeat(one_of(rng, &[255, 256]));
    }
    let len = rng.usize(1..4);
    (0..len)
        .map(|_| one_of(rng, &[' ', 'a', 'b', '~', 'é', '𐍈']))
        .collect()
}

pub(crate) fn id<T>(rng: &mut Rng, parse: impl Fn(String) -> Result<T, TextError>) -> T {
    parse(id_text(rng)).expect("an id by its rule")
}

pub(crate) fn labels(rng: &mut Rng) -> Labels {
    (0..rng.usize(..3))
        .map(|_| (free_text(rng), free_text(rng)))
        .collect()
}

pub(crate) fn engine(rng: &mut Rng) -> EngineTime {
    EngineTime(number(rng))
}

pub(crate) fn wall(rng: &mut Rng) -> WallTime {
    WallTime(number(rng))
}

pub(crate) fn namespace(rng: &mut Rng) -> Namespace {
    id(rng, Namespace::parse)
}

/// The key of a row, all kinds in turn by `kind`.
pub(crate) fn key(rng: &mut Rng, kind: usize) -> RowKey {
    let (queue, seq) = (QueueId(number(rng)), Seq(number(rng)));
    let no = SessionNo(number(rng));
    match kind % KEY_KINDS {
        0 => RowKey::Counters,
        1 => RowKey::Session(no),
        2 => RowKey::Activity(no),
        3 => RowKey::Queue(queue),
        4 => RowKey::Message(queue, seq),
        5 => RowKey::DeadLetter(queue, seq),
        6 => RowKey::Payload(queue, seq),
        7 => RowKey::Lease(Epoch(number(rng))),
        8 => RowKey::Key(namespace(rng), id(rng, SessionKey::parse)),
        9 => RowKey::SessionId(namespace(rng), id(rng, SessionId::parse)),
        10 => RowKey::KeyBlock(queue, number(rng)),
        11 => RowKey::Request(namespace(rng), id(rng, RequestId::parse)),
        12 => RowKey::Pool(namespace(rng), id(rng, PoolName::parse)),
        13 => RowKey::Resources(no),
        14 => RowKey::Node(namespace(rng), id(rng, NodeName::parse)),
        15 => RowKey::Drain,
        16 => RowKey::Subscription(namespace(rng), id(rng, SubscriptionName::parse)),
        _ => RowKey::Event(Revision(number(rng))),
    }
}

/// How many kinds of keys there are.
pub(crate) const KEY_KINDS: usize = 18;

/// A row that belongs under `key`.
pub(crate) fn row(rng: &mut Rng, key: &RowKey) -> Row {
    match key {
        RowKey::Counters => Row::Counters(counters(rng).into()),
        RowKey::Session(no) => Row::Session(std::sync::Arc::new(session(rng, *no))),
        RowKey::Activity(no) => Row::Activity(activity(rng, *no).into()),
        RowKey::Queue(id) => Row::Queue(queue(rng, *id).into()),
        RowKey::Message(queue, seq) => {
            let standing = alive(rng);
            Row::Message(std::sync::Arc::new(message(rng, *queue, *seq, standing)))
        }
        RowKey::DeadLetter(queue, seq) => {
            let reason = one_of(rng, &[DeadReason::MaxAttempts, DeadReason::Permanent]);
            let time = wall(rng);
            let standing = Standing::Dead {
                reason,
                time,
                until: option(rng, engine),
            };
            Row::Message(std::sync::Arc::new(message(rng, *queue, *seq, standing)))
        }
        RowKey::Payload(..) => {
            let len = one_of(rng, &[0, 1, 5_000]);
            Row::Payload(Bytes::from(vec![rng.u8(..); len]))
        }
        RowKey::Lease(epoch) => Row::Lease(lease(rng, *epoch).into()),
        RowKey::Key(..) => Row::Key(std::sync::Arc::new(KeyRow {
            live: option(rng, |rng| SessionNo(number(rng))),
            sessions: (0..rng.usize(..17))
                .map(|_| SessionNo(number(rng)))
                .collect(),
            held: option(rng, |rng| QueueId(number(rng))),
            unreleased: option(rng, |rng| SessionNo(number(rng))),
        })),
        RowKey::SessionId(..) => Row::SessionId(SessionNo(number(rng).max(1))),
        RowKey::KeyBlock(..) => {
            let keys = (0..rng.usize(..=KEY_BLOCK_KEYS)).map(|_| remembered(rng));
            let keys = keys.collect();
            Row::KeyBlock(std::sync::Arc::new(KeyBlock { keys }))
        }
        RowKey::Request(..) => Row::Request(std::sync::Arc::new(RequestRow {
            body: [rng.u8(..); 32],
            subject: SessionNo(number(rng)),
            flag: rng.bool(),
            at: engine(rng),
            tally: option(rng, tally),
            resource: option(rng, |rng| ResourceNo(number(rng))),
        })),
        RowKey::Pool(..) => Row::Pool(PoolRow {
            live: number(rng),
            draining: number(rng),
            queued: number(rng),
            releasing: number(rng),
            lingering: number(rng),
        }),
        RowKey::Resources(no) => Row::Resources(std::sync::Arc::new(resources(rng, *no))),
        RowKey::Node(namespace, name) => Row::Node(std::sync::Arc::new(node(rng, namespace, name))),
        RowKey::Drain => Row::Drain(std::sync::Arc::new(drain(rng))),
        RowKey::Subscription(namespace, name) => {
            Row::Subscription(subscription(rng, namespace, name).into())
        }
        RowKey::Event(revision) => Row::Event(std::sync::Arc::new(event(rng, *revision))),
    }
}

/// In no order: what is written is read back, whatever it is.
fn remembered(rng: &mut Rng) -> RememberedKey {
    RememberedKey {
        digest: id(rng, IdempotencyKey::parse).digest(),
        seq: Seq(number(rng)),
        at: engine(rng),
    }
}

fn tally(rng: &mut Rng) -> MessageTally {
    MessageTally {
        done: number(rng),
        not_found: number(rng),
        in_flight: number(rng),
        without_session: number(rng),
        no_room: number(rng),
        duplicates: number(rng),
        not_reached: number(rng),
        next: option(rng, |rng| MessageMark {
            queue: QueueId(number(rng)),
            after: Seq(number(rng)),
            until: Seq(number(rng)),
        }),
    }
}

pub(crate) fn depth(rng: &mut Rng) -> Depth {
    Depth {
        ready: number(rng),
        waiting: number(rng),
        in_flight: number(rng),
        dead: number(rng),
        bytes: number(rng),
    }
}

fn queue(rng: &mut Rng, id: QueueId) -> QueueRow {
    let (at, time) = (engine(rng), wall(rng));
    let until = option(rng, engine);
    QueueRow {
        id,
        namespace: namespace(rng),
        owner: SessionNo(number(rng)),
        disposition: one_of(
            rng,
            &[
                Disposition::Serving,
                Disposition::Quiet,
                Disposition::Held { until: at },
                Disposition::Dead {
                    since: at,
                    time,
                    until,
                },
                Disposition::Discarded { next: at },
                Disposition::Purged { next: at },
            ],
        ),
        lease: option(rng, |rng| Epoch(number(rng))),
        next_seq: Seq(number(rng)),
        next_delivery: DeliveryId(number(rng)),
        depth: depth(rng),
        oldest: option(rng, |rng| Oldest {
            seq: Seq(number(rng)),
            at: engine(rng),
            time: wall(rng),
        }),
        suspended: rng.bool(),
        pause: option(rng, |rng| Pause {
            until: engine(rng),
            latest: engine(rng),
        }),
    }
}

fn alive(rng: &mut Rng) -> Standing {
    let due = engine(rng);
    let epoch = Epoch(number(rng));
    one_of(
        rng,
        &[
            Standing::Ready(Rank::Interrupt),
            Standing::Ready(Rank::Steer),
            Standing::Ready(Rank::Returned),
            Standing::Ready(Rank::New),
            Standing::Waiting {
                due,
                turn: Turn::Keeps,
            },
            Standing::Waiting {
                due,
                turn: Turn::Waives,
            },
            Standing::InFlight(epoch),
            Standing::Debounced,
        ],
    )
}

fn message(rng: &mut Rng, queue: QueueId, seq: Seq, standing: Standing) -> MessageRow {
    MessageRow {
        queue,
        seq,
        kind: MessageKind::parse(one_of(rng, &["observation", "k", "é"])).expect("a kind"),
        content_type: free_text(rng),
        attributes: labels(rng),
        agent_id: free_text(rng),
        agent_type: free_text(rng),
        prompt_number: small(rng),
        mode: one_of(
            rng,
            &[
                DeliveryMode::FollowUp,
                DeliveryMode::Steer,
                DeliveryMode::Interrupt,
                DeliveryMode::Collect,
            ],
        ),
        coalesce_key: option(rng, |rng| id(rng, CoalesceKey::parse)),
        debounce: option(rng, |rng| Debounce {
            quiet: Span(number(rng)),
            max_wait: Span(number(rng)),
        }),
        occurred_time: option(rng, wall),
        enqueue_time: wall(rng),
        enqueued_at: engine(rng),
        idempotency_key: option(rng, |rng| id(rng, IdempotencyKey::parse)),
        not_before_time: option(rng, wall),
        trace_parent: free_text(rng),
        bytes: number(rng),
        attempt: small(rng),
        latest: option(rng, |rng| DeliveryId(number(rng))),
        last_error: free_text(rng),
        cause: option(rng, cause),
        standing,
    }
}

fn lease(rng: &mut Rng, epoch: Epoch) -> LeaseRow {
    let until = engine(rng);
    LeaseRow {
        epoch,
        namespace: namespace(rng),
        session: SessionNo(number(rng)),
        queue: QueueId(number(rng)),
        worker: id(rng, WorkerName::parse),
        instance: id(rng, InstanceId::parse),
        mode: one_of(rng, &[LeaseMode::Claim, LeaseMode::Stream]),
        acquire_time: wall(rng),
        duration: Span(number(rng)),
        standing: one_of(
            rng,
            &[LeaseStanding::Current, LeaseStanding::Superseded { until }],
        ),
        cancel_by: option(rng, engine),
    }
}
