//! Every bound of the core by name, with its unit and its reason, and the policy that config fills.
//!
//! A constant here is a bound nobody configures; a field of [`Policy`] is one that an operator may
//! set. Both are quoted in the refusals they cause.

use crate::time::Span;

mod policy;

pub use policy::{
    DEFAULT_POOL, Policy, PoolOverrides, PoolPolicy, SUMMARIZE, WhenFull, WorkerCost,
};

/// Bytes of an id or a key; `agent:main:main` and paths fit with room to spare.
pub const ID_BYTES_MAX: usize = 256;
/// Bytes of a message kind.
pub const KIND_BYTES_MAX: usize = 64;
/// Bytes of a prompt; genuine prompts measured in the field stay under 30 KB.
pub const PROMPT_BYTES_MAX: usize = 64 * 1024;
/// Labels of a session or attributes of a message.
pub const LABELS_MAX: usize = 64;
/// Bytes of all label names and values together.
pub const LABELS_BYTES_MAX: usize = 8 * 1024;
/// Bytes of free text that is neither id nor prompt: project, source, detail, paths, errors.
pub const TEXT_BYTES_MAX: usize = 4 * 1024;
/// Warnings of a drain that name what they are about; how many more there are is counted.
pub const DRAIN_WARNINGS_MAX: usize = 64;
/// Messages in one enqueue.
pub const ENQUEUE_MESSAGES_MAX: usize = 256;
/// Payload bytes in one enqueue.
pub const ENQUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes charged to a queue for a message beside its payload: row, indexes, keys.
pub const MESSAGE_OVERHEAD_BYTES: u64 = 256;
/// Settlements in one call or frame.
pub const SETTLEMENTS_MAX: usize = 256;
/// Dead letters that one call requeues, or messages that one discards, all of them in one decision: a commit of some
/// milliseconds.
pub const MESSAGES_NAMED_MAX: usize = 256;
/// Bytes that one call carries from one queue into another: as much as a full enqueue.
pub const REQUEUE_BYTES_MAX: u64 = ENQUEUE_BYTES_MAX as u64;
/// Deliveries of one claim.
pub const CLAIM_MESSAGES_MAX: u32 = 256;
/// Payload bytes of one claim or one delivery frame; below the 17 MiB a client must accept.
pub const DELIVERY_BYTES_MAX: u64 = 12 * 1024 * 1024;
/// Messages one session may have in flight, whatever its worker's window says. Half of
/// [`EVENTS_PER_DECISION_MAX`], so that a lapse which gives all of them up fits one decision.
pub const MAX_IN_FLIGHT_MAX: u32 = 512;
/// Messages in flight when the caller of open does not say.
pub const MAX_IN_FLIGHT_DEFAULT: u32 = 64;
/// Longest an open may wait for a slot of a full pool.
pub const WAIT_FOR_SLOT_MAX: Span = Span::seconds(24 * 3_600);
/// Sessions that may wait for slots of one pool of a namespace; ten times what a pool holds by default, and each costs what a
/// live session costs.
pub const WAITING_SESSIONS_MAX: u64 = 10_000;
/// Work under a lease that did not move for this long counts as stalled in statistics: as long as the longest lease that is
/// given by default, and a fifth of the time after which a worker is stuck by default.
pub const STALLED_AFTER: Span = Span::seconds(60);
/// Bytes charged to the log for an event beside its texts: its numbers and times, those of its session, and its place in the
/// tables.
pub const EVENT_BYTES: u64 = 256;
/// Bytes charged to it for each open request and each circuit of the session that it shows.
pub const EVENT_PART_BYTES: u64 = 32;
/// Events that one decision deletes, and the rest of the decision that the last of them is of: a commit of some
/// milliseconds.
pub const EVENTS_COMPACTED_MAX: u64 = 1_024;
/// Resources of one session that are on record, those that were released included: an agent's shells and servers are a
/// handful, and all of them are one row.
pub const RESOURCES_PER_SESSION_MAX: usize = 64;
/// How long a node is its agent's without a sign of it, as long as a worker's lease by default: three heartbeats may be lost.
pub const NODE_LEASE: Span = Span::seconds(15);
/// Nodes on record in a store; a node is a machine, and its row some 200 bytes. One that nobody needs gives way to a new one.
pub const NODES_MAX: u64 = 1_024;
/// Subscriptions on record in a store; a plugin has one or a few, and the row of one is some 200 bytes beside its filter.
pub const SUBSCRIPTIONS_MAX: u64 = 1_024;
/// How far a subscription may be behind when its maker does not say: the age of the oldest event that it did not acknowledge.
pub const MAX_LAG_DEFAULT: Span = Span::seconds(24 * 3_600);
/// The same, in bytes of the log.
pub const MAX_LAG_BYTES_DEFAULT: u64 = 1 << 30;
/// How long the deletion of an ended session waits for the acknowledgement of required subscriptions.
pub const REQUIRED_WAIT: Span = Span::seconds(24 * 3_600);
/// Subscriptions that are named when a session is deleted without their acknowledgement.
pub const UNHEARD_NAMED_MAX: usize = 8;
/// Panes of a tmux session that are noted when it is registered; the others are found while its server answers.
pub const PANES_MAX: usize = 32;
/// Sessions that one decision lets into a pool; the rest follows in the next one.
pub const ADMIT_PER_DECISION: usize = 64;
/// How often room is looked for on behalf of the first that waits, beside every slot that frees: sessions become idle without
/// anything happening.
pub const ADMIT_RETRY: Span = Span::seconds(1);
/// Sessions an emergency sweep ends per decision; with what each end may write, far below [`EVENTS_PER_DECISION_MAX`].
pub const EMERGENCY_ENDS_MAX: usize = 64;
/// Sessions looked at per decision that makes room in a pool, idlest first: all of a pool by default. In larger ones the
/// idlest may all be in use, and then the pool counts as in use.
pub const MAKE_ROOM_LOOKS_MAX: usize = 1_024;
/// Sessions whose rows are loaded at once while room is made; mostly one of the first will do.
pub const MAKE_ROOM_CHUNK: usize = 32;
/// Messages an unset worker window lets in flight.
pub const WINDOW_MESSAGES_DEFAULT: u32 = 16;
/// Messages a worker window may let in flight, over all its sessions.
pub const WINDOW_MESSAGES_MAX: u32 = 4_096;
/// Bytes an unset worker window lets in flight.
pub const WINDOW_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// Bytes a worker window may let in flight; more than any worker should hold in memory.
pub const WINDOW_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Sessions an unset worker window lets a worker hold.
pub const WINDOW_SESSIONS_DEFAULT: u32 = 100;
/// Sessions a worker may hold on one stream.
pub const WINDOW_SESSIONS_MAX: u32 = 4_096;
/// Deliveries of one session that a reconnecting worker may list.
pub const RESUME_DELIVERIES_MAX: usize = 512;
/// Idempotency keys remembered per queue; the oldest gives way.
pub const IDEMPOTENCY_KEYS_MAX: usize = 16_384;
/// Keys of one block. The open block is written whole with every commit that adds to it, about 20 bytes a key; small ones
/// cost a single message less, large ones make fewer rows.
pub const KEY_BLOCK_KEYS: usize = 64;
/// Blocks of a queue: all that may be remembered, the open one, and one of which the last keys still count.
pub const KEY_BLOCKS_MAX: u64 = (IDEMPOTENCY_KEYS_MAX / KEY_BLOCK_KEYS) as u64 + 2;
/// How long an idempotency key or a request id answers for its first use.
pub const REQUEST_RETENTION: Span = Span::seconds(24 * 3_600);
/// Request ids remembered per store; the oldest gives way.
pub const REQUESTS_MAX: u64 = 1_000_000;
/// How long a queue without a session waits to be adopted.
pub const HELD_QUEUE_RETENTION: Span = Span::seconds(7 * 24 * 3_600);
/// Rows a lazily discarded or purged queue loses per decision.
pub const DISCARD_ROWS_PER_DECISION: usize = 256;
/// How soon a session that has been on record long enough is looked at again while it must stay for its dead letters.
/// Nobody waits for it, so that a day with many of them costs little.
pub const PURGE_RECHECK: Span = Span::seconds(3_600);
/// Sessions that one purge may name by id. With the longest ids, and each of them refused, the results stay below the
/// 17 MiB a client must accept.
pub const PURGE_SESSIONS_IDS_MAX: usize = 10_000;
/// Draining or ended sessions a key remembers, newest first; older ones are found by id.
pub const KEY_SESSIONS_MAX: usize = 16;
/// Messages that an explanation looks at, to say when the next one is due; the oldest ones, which is where a queue is stuck.
pub const EXPLAIN_MESSAGES_MAX: usize = 64;
/// Sessions looked at per assignment of work to a worker.
pub const ASSIGN_SCAN_MAX: usize = 64;
/// Sessions looked at when one of a pool is given back that workers hold no more of; the oldest work comes first.
pub const UNHELD_SCAN_MAX: usize = 1_024;
/// How long pending messages protect a session from its idle limit, from its last activity, or from when it got
/// its slot if that was later.
pub const PENDING_PROTECTS: Span = Span::seconds(24 * 3_600);
/// A session that is in use at its age limit is ended at this many times that limit all the same.
pub const LIFETIME_HARD_FACTOR: u64 = 2;
/// Longest pause a worker may ask for with a nack, and an operator may set.
pub const NACK_DELAY_MAX: Span = Span::seconds(24 * 3_600);
/// A pause that the server chooses is longer by up to this part of it: enough that messages which failed together come
/// back one after the other.
pub const RETRY_SPREAD_PART: u64 = 8;
/// How soon the limits of a session are looked at again while its use protects it from them.
pub const PROTECTED_RECHECK: Span = Span::seconds(60);
/// A limit is warned of this part of it before it ends a session, if the policy's longest lead is not shorter.
pub const WARNING_LEAD_PART: u64 = 10;
/// A shorter lead is none: nobody could do anything within it.
pub const WARNING_LEAD_MIN: Span = Span::seconds(1);
/// Leases a leaving worker gives back per decision.
pub const GOODBYE_LEASES_PER_DECISION: usize = 128;
/// Sessions a reconnecting worker may resume.
pub const RESUME_SESSIONS_MAX: usize = 1_024;
/// Shortest lease a claim may ask for.
pub const LEASE_MIN: Span = Span::seconds(1);
/// Longest lease a claim may ask for.
pub const LEASE_MAX: Span = Span::seconds(3_600);
/// Shortest lease a request may ask for: a shorter one is over before a slow answer is there.
pub const REQUEST_LEASE_MIN: Span = Span::seconds(1);
/// Longest lease a request may ask for: as long is a session kept by a caller that is gone.
pub const REQUEST_LEASE_MAX: Span = Span::seconds(3_600);
/// Lease of a request that names none: two renewals may fail and the third is still in time.
pub const REQUEST_LEASE_DEFAULT: Span = Span::seconds(30);
/// Requests that one session may have at once. They lie in its warm row, about 16 bytes each, which every use rewrites.
pub const REQUESTS_PER_SESSION_MAX: usize = 128;
/// Failures of its workers that a session may be allowed within the window; each is remembered for that long in its warm
/// row, at about 8 bytes.
pub const RESTART_LIMIT_MAX: u32 = 100;
/// Longest grace an end may ask for.
pub const END_GRACE_MAX: Span = Span::seconds(24 * 3_600);
/// Longest idle, age or owner limit but `never`: ten years of 365 days.
pub const TIMEOUT_MAX: Span = Span::seconds(10 * 365 * 24 * 3_600);
/// Longest an end may make its caller wait for the session to be over.
pub const END_WAIT_MAX: Span = Span::seconds(60);
/// Sessions that one bulk end may name by id. With the longest ids, and each of them refused, the results stay below the
/// 17 MiB a client must accept.
pub const END_SESSIONS_IDS_MAX: usize = 10_000;
/// Sessions that one call about many may end, chosen by what they are: seconds of work, and results that fit one message
/// unless ids and keys are long.
pub const BULK_SESSIONS_MAX: u32 = 100_000;
/// Longest a claim may wait for work; well below the idle timers of common proxies.
pub const CLAIM_WAIT_MAX: Span = Span::seconds(60);
/// Longest time between two bookmarks of a watch, and what an unset interval means.
pub const BOOKMARK_INTERVAL_MAX: Span = Span::seconds(15);
/// Entries of one page of a list.
pub const PAGE_SIZE_MAX: u32 = 1_000;
/// Entries of a page when the caller does not say.
pub const PAGE_SIZE_DEFAULT: u32 = 100;
/// States or types that one filter may name; more than there are.
pub const FILTER_VALUES_MAX: usize = 64;
/// Kinds that one filter of messages may name.
pub const FILTER_KINDS_MAX: usize = 64;
/// Sessions that one filter of events may name.
pub const FILTER_SESSIONS_MAX: usize = 1_000;
/// Events of one decision; they are committed together and sent in one frame.
pub const EVENTS_PER_DECISION_MAX: usize = 1_000;

/// Pending messages that one message with a coalesce key replaces: as many as can have come back from a worker, and more
/// than that only by requeueing. What is left of them the next message replaces.
pub const SUPERSEDED_PER_MESSAGE: usize = MAX_IN_FLIGHT_MAX as usize;
/// Longest quiet that a message may wait for; who waits longer wants a time, not a pause.
pub const DEBOUNCE_QUIET_MAX: Span = Span::seconds(3_600);
/// Longest a message may be held back for a pause.
pub const DEBOUNCE_WAIT_MAX: Span = Span::seconds(24 * 3_600);
/// A message that does not say is held back this many times its quiet at most.
pub const DEBOUNCE_WAIT_FACTOR: u64 = 10;
/// Messages that are let go per decision when a pause is over.
pub const DEBOUNCED_PER_DECISION: usize = 256;
/// Kinds of message whose failures may be watched; more than any system of workers has.
pub const CIRCUIT_KINDS_MAX: usize = 64;
/// Failures in a row that may be asked for before a circuit opens.
pub const CIRCUIT_FAILURES_MAX: u32 = 1_000;
/// Longest pause of an open circuit; a day of skipped messages is an outage.
pub const CIRCUIT_COOL_DOWN_MAX: Span = Span::seconds(24 * 3_600);

/// Entries of a group that are loaded at least, when one is missing: the next ones are asked for next.
pub const READ_AHEAD: usize = 128;

/// Rows and index entries the view keeps from one batch to the next; with more it forgets all of them. About 500 bytes
/// each.
pub const VIEW_ROWS_MAX: usize = 65_536;

/// Idempotency keys the view keeps in memory, of all queues together; with more it forgets those of queues that were not
/// used since it last did. About 120 bytes each; 64 queues in full use, and as much again.
pub const VIEW_KEYS_MAX: usize = 2 * 64 * IDEMPOTENCY_KEYS_MAX;
