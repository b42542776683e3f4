//! The bounds of the server's own queues, batches and waits, with their reasons.
//!
//! Bounds of what callers may ask are in `sessiond_core::limits`.

use std::time::Duration;

use sessiond_core::time::{Limit, Span};

/// Envelopes waiting for the engine: a command each, or what arrived together on one stream. A command waits for one
/// commit, about a millisecond, so this is a second's worth; more would only hide overload.
pub const INBOX_COMMANDS_MAX: usize = 1_024;
/// Payload KiB waiting for the engine, one at least for each command: 256 MiB, what a machine of 2 GiB can spare.
pub const INBOX_KIB_MAX: usize = 256 * 1_024;
/// Commands after which a batch takes no more envelopes, so that one commit stays a few milliseconds.
pub const BATCH_COMMANDS_MAX: usize = 512;
/// Payload bytes of one batch; one full enqueue always fits.
pub const BATCH_BYTES_MAX: usize = 32 * 1_024 * 1_024;
/// Follow-ups decided in the batch that caused them; the rest go into the next one.
pub const BATCH_FOLLOW_UPS_MAX: usize = 1_024;
/// Due items and lapsed leases taken into one batch.
pub const BATCH_DUE_MAX: usize = 256;
/// Times one command may ask for more rows before that is a defect of the rules.
pub const MISSING_ROUNDS_MAX: usize = 16_384;
/// Leases restored by one command at start.
pub const RESTORE_PAGE: usize = 256;
/// How long nothing must have been asked before the store is settled for a quick reopening.
pub const SETTLE_AFTER: Duration = Duration::from_secs(1);
/// How often engine time is written when nothing else is, so that a crash costs deadlines at most
/// this much.
pub const CLOCK_PERSIST_EVERY_MS: u64 = 60_000;
/// Events kept in memory for watchers; one that falls behind reads the log.
pub const FEED_RING_EVENTS: usize = 2_048;
/// Events of one frame, but for those of one decision: some 64 KiB, enough that what a frame costs by
/// itself does not count.
pub const FEED_PAGE_EVENTS: usize = 128;
/// Frames kept for whoever sends the same: every page of the ring, and as many short ones at its end,
/// for two namespaces. Beyond that they are put together again, which is a copy.
pub const FEED_FRAMES_MAX: usize = 64;
/// Commits whose frames wait for one worker stream. Each has at most the frames of a batch, and the window bounds the
/// deliveries in all of them; a second's worth on a fast disk.
pub const STREAM_COMMITS_MAX: usize = 4_096;
/// Frames handed to the transport ahead of what it has written.
pub const STREAM_AHEAD: usize = 8;
/// Frames of one stream that are handed to the engine together, of those that have arrived. What is gained by more is
/// little, and a batch should have room for other callers.
pub const STREAM_GROUP_FRAMES: usize = 128;
/// Payload bytes that close such a group.
pub const STREAM_GROUP_BYTES: usize = 1_024 * 1_024;
/// Groups of enqueue frames of one stream under way in the engine: two full batches and what waits behind them.
pub const ENQUEUE_STREAM_AHEAD: usize = 16;
/// Commands under way in the engine for all calls together that do something to many sessions: a batch being committed
/// and half of the next one. A quarter of the inbox stays for everybody else.
pub const BULK_AHEAD: usize = 768;
/// Such calls that run at once, the others wait their turn. More would be done no sooner, since all share what is ahead,
/// and each holds its results.
pub const BULK_AT_ONCE: usize = 8;
/// Purges under way for all calls together whose sessions must be exported before. They wait for the disk of the exports,
/// which may hang, and so take nothing of what others have ahead; it is half of what those leave of the inbox.
pub const EXPORTING_AHEAD: usize = 128;
/// Such calls that run at once, the others wait their turn: on a disk that hangs for as long as it does.
pub const EXPORTING_AT_ONCE: usize = 8;
/// Sessions looked at in one snapshot for such a call.
pub const BULK_CHUNK: usize = 256;
/// Bytes of the results of such a call; below the 17 MiB a client must accept.
pub const BULK_RESULT_BYTES_MAX: usize = 16 * 1_024 * 1_024;
/// Sessions looked at for one PurgeSessions; with more there is another page.
pub const PURGE_SESSIONS_SCAN_MAX: usize = 100_000;
/// Sessions that the calendar has reset in one batch: part of it, so that callers are served meanwhile.
pub const CALENDAR_RESETS_PER_BATCH: usize = 128;
/// Connections by default: four times as many as a large installation has processes. One that is idle takes some 20 KiB and a
/// descriptor.
pub const CONNECTIONS_DEFAULT: u64 = 4_096;
/// The fewest that may be set: those of an operator, a probe and some clients.
pub const CONNECTIONS_MIN: u64 = 16;
/// The most: what a process may be given descriptors for on common systems, and some of those for everything else.
pub const CONNECTIONS_MAX: u64 = 1_000_000;
/// How old a connection may be, give or take a tenth.
pub const CONNECTION_AGE_DEFAULT: Limit = Limit::After(Span(60 * 60 * 1_000));
/// The least and the most that can be set: 1 s, so that it can be seen, and 30 days.
pub const CONNECTION_AGE_MIN: Span = Span(1_000);
/// See [`CONNECTION_AGE_MIN`].
pub const CONNECTION_AGE_MAX: Span = Span(30 * 24 * 60 * 60 * 1_000);
/// Descriptors that the server needs beside those of its connections: its files, and what releases of resources hold.
pub const DESCRIPTORS_BESIDE: u64 = 640;
/// Bytes of messages of which a part has come, for all callers together: as much as whole ones may wait for the engine.
pub const UNFINISHED_BYTES_MAX: usize = INBOX_KIB_MAX * 1_024;
/// How long a message may take from its first part to its last: the largest at 300 kB a second.
pub const MESSAGE_WITHIN: Duration = Duration::from_secs(60);
/// Bytes of one request. A full enqueue is 16 MiB of payload and its headers.
pub const REQUEST_BYTES_MAX: usize = 17 * 1_024 * 1_024;
/// Rows looked at for one page of a filtered list.
pub const LIST_SCAN_MAX: usize = 10_000;
/// Sessions looked at per look for a claim's selector.
pub const CLAIM_SCAN_MAX: usize = 1_024;
/// How long a stream with frames both ways may stay without its hello.
pub const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// How long such a stream waits for its client to take the reason why it ends: as long as for its hello.
pub const LAST_WORD_WITHIN: Duration = HELLO_WITHIN;
/// How often a stream is shown to be alive: proxies count data frames, not PINGs.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);
/// A batch that takes longer than this, mostly because the disk does, makes the server not live.
pub const ENGINE_STUCK_AFTER: Duration = Duration::from_secs(10);
/// Events of which each was caused by whoever handled the one before: plugins that act on one another make chains of two or
/// three, and one that feeds itself is found before it has done much.
pub const CAUSE_DEPTH_MAX: u32 = 8;
/// How often the log is looked at for events that need not be kept any longer, and for subscriptions that are too far behind:
/// a few reads.
pub const COMPACT_EVERY: Duration = Duration::from_secs(1);
/// The shortest `max_lag` of a subscription: enough for a plugin that reads.
pub const MAX_LAG_MIN: Span = Span::seconds(1);
/// The longest.
pub const MAX_LAG_MAX: Span = Span::seconds(30 * 86_400);
/// The least that its `max_lag_bytes` may be: a page of the log.
pub const MAX_LAG_BYTES_MIN: u64 = 64 << 10;
/// The most.
pub const MAX_LAG_BYTES_MAX: u64 = 1 << 40;
/// Between telling watchers that events go and deleting them: enough for a watch that is not stuck to say where it is.
pub const COMPACT_NOTICE: Duration = Duration::from_millis(500);
/// Between two decisions that delete some: a log that is far over its limits is cut down beside everything else.
pub const COMPACT_PAUSE: Duration = Duration::from_millis(5);
/// The shortest that events may be kept: longer than a watch that keeps up is without a bookmark, which it resumes from.
pub const EVENT_RETENTION_MIN: Span = Span::seconds(60);
/// Events that are kept by default: at about half a KiB each what a disk of some gigabytes has room for.
pub const EVENTS_KEPT_DEFAULT: u64 = 10_000_000;
/// What the log weighs at most by default: what a disk of some gigabytes has room for.
pub const EVENT_BYTES_KEPT_DEFAULT: u64 = 8 << 30;
/// The least that `[events] max_bytes` may be: more than the ring of the feed ever weighs.
pub const EVENT_BYTES_KEPT_MIN: u64 = 64 << 20;
/// The most.
pub const EVENT_BYTES_KEPT_MAX: u64 = 1 << 50;
/// The least that `max_events` may be: more than the ring of the feed, so that whoever keeps up never reads the log.
pub const EVENTS_KEPT_MIN: u64 = 10_000;
/// The most.
pub const EVENTS_KEPT_MAX: u64 = 1_000_000_000_000;
/// How often a page of what is on record is compared with what is watched: seldom enough that an idle engine comes to rest
/// in between.
pub const RECONCILE_EVERY: Duration = Duration::from_secs(5);
/// Sessions, and leases, in one such page: some milliseconds, and a million sessions within two hours.
pub const RECONCILE_PAGE: usize = 1_024;
/// A batch that takes longer than this is slow, and nothing that is late meanwhile was forgotten.
pub const STALL_EXCUSED: Duration = Duration::from_secs(1);
/// What has been due for longer than this, and still is at the next look, is overdue. A commit takes milliseconds.
pub const OVERDUE_AFTER_MS: u64 = 10_000;
/// How long statistics wait for the engine; it answers within a commit or two.
pub const LEASE_PROGRESS_WITHIN: Duration = Duration::from_secs(1);
/// How often health is looked at.
pub const HEALTH_EVERY: Duration = Duration::from_millis(500);
/// How long connections stay open for calls that were under way when the server began to stop: part of the time
/// that streams have to end.
pub const STOP_CLOSING_AFTER: Duration = Duration::from_millis(500);
/// How long a stop takes at most by default. Kubernetes and systemd wait for longer before they kill; Docker waits just as
/// long, and should be told more.
pub const SHUTDOWN_BUDGET: Span = Span::seconds(10);
/// The shortest and the longest that may be set: time for a few commits, and what nobody waits for.
pub const SHUTDOWN_BUDGET_MIN: Span = Span(500);
pub const SHUTDOWN_BUDGET_MAX: Span = Span::seconds(600);
/// The longest that a drain is only announced: new sessions are refused all the while.
pub const DRAIN_NOTICE_MAX: Span = Span::seconds(3_600);
/// Sessions that a drain reads from one snapshot.
pub const DRAIN_PAGE: usize = 256;
/// Sessions of which a drain has asked for the end and has no answer yet: some batches.
pub const DRAIN_AHEAD: usize = 2_048;
/// How often a drain looks whether what its sessions have outside was tried.
pub const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long streams may take to end when the server stops.
pub const STOP_STREAMS_WITHIN: Duration = Duration::from_secs(2);
/// How long a worker's stream on an old connection stays open, for a worker that does not come back on another one at once.
pub const OLD_STREAM_WITHIN: Duration = Duration::from_secs(30);
/// How long connections may take to close after that.
pub const STOP_CONNECTIONS_WITHIN: Duration = Duration::from_secs(2);
/// How long the store may take to close.
pub const STOP_STORE_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of messages that an export reads from one snapshot, and one message more.
pub const EXPORT_PAGE_BYTES: u64 = 4 * 1_024 * 1_024;
/// Events that an export reads from one snapshot, most of which are other sessions'.
pub const EXPORT_PAGE_EVENTS: usize = 1_024;
/// Sessions that are exported at the same time before they are purged: some, for each waits for the disk several times.
pub const EXPORT_LANES: usize = 4;
/// Sessions of one lane of which an export is asked for, 8 bytes each. What has no room is asked for again.
pub const EXPORTS_ASKED_MAX: usize = 65_536;
/// Purges that callers have waiting in one lane; more wait for their turn where they come from.
pub const PURGES_AHEAD: usize = 64;
/// Times a session is exported anew because it changed meanwhile; what is left of an ended one changes seldom.
pub const EXPORT_ROUNDS_MAX: usize = 3;
/// Sessions of which it is remembered what kept them from being exported, and so warned of once: about 300 bytes each. That
/// there are more is warned of once.
pub const EXPORT_FAILURES_KEPT: usize = 10_000;
/// After how long an export is warned of that is not over: a disk of 50 MB/s has written more than a gigabyte by then.
pub const EXPORT_SLOW_AFTER: Duration = Duration::from_secs(30);
/// Bytes of an export after which it is looked anew whether the store has room.
pub const EXPORT_ROOM_LOOK_BYTES: usize = 16 * 1_024 * 1_024;
/// How long a stop waits for an export that is being written, after the engine has ended.
pub const STOP_EXPORTS_WITHIN: Duration = Duration::from_millis(500);
/// How long it may take to log what was done at the end.
pub const STOP_LOG_WITHIN: Duration = Duration::from_millis(500);
/// Lookups for resources that are to be registered, at the same time: each may wait for a tmux server for some seconds.
pub const REGISTRATIONS_AT_ONCE: usize = 16;
/// Resources that one call may name to be released.
pub const RELEASES_NAMED_MAX: usize = 256;
/// Bytes of the path of a socket: what the system has room for.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Resources of this machine that are released at the same time. An attempt holds up to half of the descriptors that a
/// process has by default, if its tree is that large; nearly all are of a few processes, and take milliseconds or the whole
/// grace.
pub const RELEASES_AT_ONCE: usize = 32;
/// Attempts among them at what did not go before, so that it never holds up what is new.
pub const RELEASE_RETRIES_AT_ONCE: usize = 8;
/// Sessions with something to release that are read from one snapshot.
pub const RELEASES_PAGE: usize = 256;
/// How often it is looked for what is to go without anybody saying so: for what has had its pause.
pub const RELEASE_LOOK_EVERY: Duration = Duration::from_secs(1);
/// Sessions whose resources are looked at from one page of the index.
pub const PRESENCE_PAGE: usize = 256;
/// Frames that wait for one node's agent: all that is asked of it at a time, which is what is released and looked up at a time
/// and two walks, and what is noted of as many.
pub const NODE_FRAMES_MAX: usize = 2 * (RELEASES_AT_ONCE + REGISTRATIONS_AT_ONCE + 2);
/// Resources that an agent ended and keeps the outcome of until it is noted; the oldest go first, and are told as gone already
/// if somebody asks.
pub const NODE_KEPT_MAX: usize = 4_096;
/// How long an agent may take to answer, beside what it was given for what it does: a node's lease for a link that breaks,
/// and some seconds for a tmux server that hangs.
pub const NODE_ANSWER_MARGIN: Duration = Duration::from_secs(25);
/// How long an agent may take to say what is there: more than a tmux server that hangs takes it, and little of the pause between
/// two looks.
pub const NODE_LOOK_WITHIN: Duration = Duration::from_secs(10);
/// And how much more for each tmux session, whose server may hang.
pub const NODE_TMUX_WITHIN: Duration = Duration::from_secs(3);
/// Releases of one node under way: half of what this machine has, since its agent does other things as well.
pub const NODE_RELEASES_AT_ONCE: usize = RELEASES_AT_ONCE / 2;
/// Attempts among them at what did not go before, likewise.
pub const NODE_RETRIES_AT_ONCE: usize = RELEASE_RETRIES_AT_ONCE / 2;
/// Releases of all nodes together under way, each a task and a question of some KiB: what 64 agents have that hang, before
/// others wait for them.
pub const NODES_RELEASES_AT_ONCE: usize = 64 * NODE_RELEASES_AT_ONCE;
/// Attempts among them at what did not go before, likewise.
pub const NODES_RETRIES_AT_ONCE: usize = 64 * NODE_RETRIES_AT_ONCE;
/// Commands that wait for one thing that an agent has under way; what more servers ask for is what they gave up before.
pub const NODE_ASKERS_MAX: usize = 16;
/// How long after a walk over what is there the next one begins at the soonest.
pub const PRESENCE_PAUSE: Duration = Duration::from_secs(1);
/// How often the engine is told that an agent was heard of, at most.
pub const NODE_HEARD_EVERY: Duration = Duration::from_secs(1);
/// Processes with a mark that an agent tells of at once.
pub const MARKED_MAX: usize = 4_096;
/// Bytes of the kernel's random number of a boot, as an agent tells it; a UUID has 36.
pub const BOOT_ID_BYTES_MAX: usize = 64;
/// Bytes of an agent's words about why something is no resource.
pub const UNFIT_BYTES_MAX: usize = 1_024;
/// How long after an attempt in vain the next one begins at first, in milliseconds.
pub const RELEASE_PAUSE_MIN_MS: u64 = 1_000;
/// And at last: soon after whatever kept it is out of the way.
pub const RELEASE_PAUSE_MAX_MS: u64 = 30_000;
/// How long a tree of processes has to end by itself, unless configured.
pub const RELEASE_GRACE_DEFAULT: Span = Span::seconds(2);
/// The longest that may be configured; a stop of the server does not wait for it.
pub const RELEASE_GRACE_MAX: Span = Span::seconds(300);
/// How long what was killed is waited for, unless configured.
pub const RELEASE_VERIFY_DEFAULT: Span = Span::seconds(1);
/// The longest that may be configured.
pub const RELEASE_VERIFY_MAX: Span = Span::seconds(60);
/// How long a stop waits for what is being released, which is what an attempt takes by default; what is not over then is
/// begun anew at the next start.
pub const STOP_RELEASES_WITHIN: Duration = Duration::from_millis(3_500);
/// How often what was committed is carried from the journal into the tables: bounds what a restart replays.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// Committed bytes that make the next checkpoint due at once. Larger ones write fewer pages per message; smaller
/// ones keep the journal in fewer pages, which is what its speed comes from.
pub const CHECKPOINT_BYTES: u64 = 32 * 1_024 * 1_024;
/// How often the room on the disk is looked at. What is written meanwhile at a disk's full speed is less than the
/// lowest mark that makes sense.
pub const ROOM_LOOK_EVERY: Duration = Duration::from_millis(500);
/// A disk that was short of room is so until this part of the mark more is free, or every message that is settled and
/// accepted would turn it.
pub const ROOM_MARGIN_PART: u64 = 8;
/// Looks until a ballast that could not be made is tried again: half a minute.
pub const BALLAST_RETRY_LOOKS: u32 = 60;
/// Free space below which nothing is added, when nothing is said: far more than is written between two looks, and enough
/// to settle and end for as long as it takes somebody to make room.
pub const MIN_FREE_DEFAULT: u64 = 1 << 30;
/// Lowest such mark. Less is used up between two looks.
pub const MIN_FREE_MIN: u64 = 64 << 20;
/// Highest such mark: a thousand disks.
pub const MIN_FREE_MAX: u64 = 1 << 50;
/// Bytes of a configuration file; with all keys and as many names as there may be it is a tenth of that.
pub const CONFIG_BYTES_MAX: u64 = 4 * 1_024 * 1_024;
/// Namespaces; every one of them is looked at by what goes through all.
pub const NAMESPACES_MAX: usize = 10_000;
/// Pools; as many counters in every namespace.
pub const POOLS_MAX: usize = 1_000;
/// Live sessions a pool may be set to; what the contract can say.
pub const POOL_SESSIONS_MAX: u64 = u32::MAX as u64;
/// Shortest pace at which sessions are looked at that are past a limit and in use: each look is a commit.
pub const CLEANUP_INTERVAL_MIN: Span = Span::seconds(1);
/// Longest such pace; as long as pending messages protect a session.
pub const CLEANUP_INTERVAL_MAX: Span = Span::seconds(24 * 3_600);
/// Unsettled messages a queue may be set to: rows for which a machine has room, and far from the end of a counter.
pub const QUEUE_MESSAGES_MAX: u64 = 1_000_000_000;
/// Unsettled bytes a queue may be set to: 1 TiB, a whole disk.
pub const QUEUE_BYTES_MAX: u64 = 1 << 40;
/// Hand-outs a message may be set to; more are a message that nobody looks at.
pub const ATTEMPTS_MAX: u32 = 1_000;
/// How often the rules between settings are gone through; a default follows a key, which follows another one at most.
pub const CONTRADICTION_ROUNDS_MAX: usize = 16;
