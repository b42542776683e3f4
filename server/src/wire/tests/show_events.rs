//! Events, snapshots, the frames of a watch, and what the server says of itself.

use bytes::Bytes;
use prost::Message;
use sessiond_core::event::{About, ActorKind, EventKind};
use sessiond_core::ids::{Epoch, Namespace, Revision, SessionId, SessionNo, SubscriptionName};
use sessiond_core::limits::Policy;
use sessiond_core::reply::{LeaseProgress, Slowest};
use sessiond_core::rows::Counters;
use sessiond_core::time::{Span, WallTime};
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::watch_session_events_response::Frame;

use super::labels;
use super::samples::{NOW, active, ended, event_row};
use super::show_session::millis;
use crate::compaction::EventRetention;
use crate::wire::show;
use crate::wire::show::server::{Counts, WorkProgress};
use crate::wire::token::ResumeToken;

#[test]
fn a_snapshot_is_the_session_without_what_is_private() {
    for view in [active(), super::samples::draining(), ended()] {
        let snapshot = show::snapshot::snapshot(&view);
        let mut session = show::session::session(&view, NOW);
        session.prompt.clear();
        session.volatile.clear();
        // Every field has the number it has in the session, so the encodings are the same.
        assert_eq!(snapshot.encode_to_vec(), session.encode_to_vec());
        assert!(!snapshot.session_id.is_empty());
    }
}

#[test]
fn every_field_of_an_event_is_shown() {
    let row = event_row();
    let event = show::event::event(&row, "log-1");
    let expected = pb::SessionEvent {
        revision: 256,
        event_id: "log-1-256".to_owned(),
        r#type: pb::EventType::SessionEnd.into(),
        time: millis(1_098_765),
        namespace: "default".to_owned(),
        session: row.session().map(show::snapshot::snapshot),
        end: show::session::session(&ended(), NOW).end,
        actor: Some(pb::Actor {
            kind: pb::ActorKind::Worker.into(),
            name: "w".to_owned(),
        }),
        message_ref: Some(pb::MessageRef {
            queue_id: 31,
            seq: 71,
            kind: "observation".to_owned(),
        }),
        attributes: labels([("limit", "idle")]),
        cause: Some(pb::EventCause {
            event_id: "log-1-255".to_owned(),
            depth: 3,
        }),
    };
    assert!(expected.end.is_some());
    assert_eq!(event, expected);
}

#[test]
fn an_event_about_no_session_shows_none() {
    let mut row = event_row();
    row.kind = EventKind::SubscriptionStale;
    let name = SubscriptionName::parse("memory").unwrap();
    row.about = About::Subscription((Namespace::parse("blue").unwrap(), name));
    let event = show::event::event(&row, "log-1");
    assert!(event.session.is_none() && event.end.is_none());
    assert_eq!(event.namespace, "blue");
    assert_eq!(event.r#type(), pb::EventType::SubscriptionStale);
    assert_eq!(event.attributes, row.attributes);
    row.kind = EventKind::ServerDraining;
    row.about = About::Server;
    let event = show::event::event(&row, "log-1");
    assert!(event.session.is_none() && event.end.is_none());
    assert_eq!(event.namespace, "");
}

#[test]
fn only_the_end_event_tells_the_end() {
    for (kind, name) in [
        (EventKind::SessionOpened, "SESSION_OPENED"),
        (EventKind::SessionUpdated, "SESSION_UPDATED"),
        (EventKind::SessionDraining, "SESSION_DRAINING"),
        (EventKind::SessionEnd, "SESSION_END"),
        (EventKind::SessionPurged, "SESSION_PURGED"),
        (EventKind::WorkerAttached, "WORKER_ATTACHED"),
        (EventKind::WorkerDetached, "WORKER_DETACHED"),
        (EventKind::WorkerLost, "WORKER_LOST"),
        (EventKind::MessageDeadLettered, "MESSAGE_DEAD_LETTERED"),
        (EventKind::CircuitOpened, "CIRCUIT_OPENED"),
        (EventKind::CircuitClosed, "CIRCUIT_CLOSED"),
        (EventKind::WorkerStuck, "WORKER_STUCK"),
        (EventKind::RestartLimited, "RESTART_LIMITED"),
        (EventKind::LimitWarning, "LIMIT_WARNING"),
        (EventKind::SessionQueued, "SESSION_QUEUED"),
        (EventKind::SessionAdmitted, "SESSION_ADMITTED"),
        (EventKind::SessionReleased, "SESSION_RELEASED"),
        (EventKind::ResourceReleased, "RESOURCE_RELEASED"),
        (EventKind::ResourceLingering, "RESOURCE_LINGERING"),
        (EventKind::SubscriptionStale, "SUBSCRIPTION_STALE"),
        (EventKind::ServerDraining, "SERVER_DRAINING"),
        (EventKind::ServerDrainCancelled, "SERVER_DRAIN_CANCELLED"),
        (EventKind::MessagesRequeued, "MESSAGES_REQUEUED"),
        (EventKind::MessagesDiscarded, "MESSAGES_DISCARDED"),
    ] {
        let mut row = event_row();
        row.kind = kind;
        let event = show::event::event(&row, "log");
        assert_eq!(event.r#type().as_str_name(), format!("EVENT_TYPE_{name}"));
        assert_eq!(event.end.is_some(), kind == EventKind::SessionEnd);
    }
    for (kind, name) in [
        (ActorKind::Api, "API"),
        (ActorKind::Worker, "WORKER"),
        (ActorKind::Reaper, "REAPER"),
        (ActorKind::Recovery, "RECOVERY"),
        (ActorKind::Drain, "DRAIN"),
        (ActorKind::Agent, "AGENT"),
    ] {
        let mut row = event_row();
        row.actor.kind = kind;
        let actor = show::event::event(&row, "log").actor.unwrap();
        assert_eq!(actor.kind().as_str_name(), format!("ACTOR_KIND_{name}"));
    }
}

#[test]
fn frames_of_a_watch_say_where_to_resume() {
    let frame = |response: pb::WatchSessionEventsResponse| response.frame.unwrap();
    let started = frame(show::watch::started("log", Revision(3), Revision(9), None));
    let expected = pb::WatchStarted {
        log_id: "log".to_owned(),
        oldest_revision: 3,
        current_revision: 9,
        subscription_epoch: 0,
        acked_revision: 0,
    };
    assert_eq!(started, Frame::Started(expected.clone()));
    let consumed = Some((Epoch(4), Revision(2)));
    let started = frame(show::watch::started(
        "log",
        Revision(3),
        Revision(9),
        consumed,
    ));
    let expected = pb::WatchStarted {
        subscription_epoch: 4,
        acked_revision: 2,
        ..expected
    };
    assert_eq!(started, Frame::Started(expected));
    let resumes = |token: &str| {
        let token = ResumeToken::decode(token).unwrap();
        token.revision_in("log")
    };
    let cause = pb::BookmarkCause::CaughtUp;
    let bookmark = frame(show::watch::bookmark(cause, "log", Revision(7), 2, None));
    let Frame::Bookmark(bookmark) = bookmark else {
        panic!("a bookmark is a bookmark: {bookmark:?}");
    };
    assert_eq!(bookmark.cause(), cause);
    assert_eq!((bookmark.revision, bookmark.lag_events), (7, 2));
    assert_eq!(resumes(&bookmark.resume_token), Some(Revision(7)));
    let session = show::session::session(&active(), NOW);
    assert_eq!(
        frame(show::watch::initial(session.clone())),
        Frame::Initial(session)
    );
    let reason = pb::GoAwayReason::ServerDraining;
    let expected = pb::GoAway {
        close_time: millis(1_500),
        reason: reason.into(),
    };
    assert_eq!(
        frame(show::watch::closing(reason, WallTime(1_500))),
        Frame::GoAway(expected)
    );
}

#[test]
fn encoded_frames_are_the_messages_that_they_say_they_are() {
    let one = event_row();
    let mut other = event_row();
    other.revision = Revision(257);
    // Long enough that its length takes more than one byte in every place.
    other.attributes.insert("long".to_owned(), "x".repeat(300));
    for rows in [vec![one.clone()], vec![other.clone()], vec![one, other]] {
        let encoded: Vec<Bytes> = rows
            .iter()
            .map(|row| show::encoded::event(row, "log"))
            .collect();
        let encoded: Vec<&Bytes> = encoded.iter().collect();
        let through = Revision(300);
        let message = pb::WatchSessionEventsResponse {
            frame: Some(Frame::Batch(pb::EventBatch {
                events: rows
                    .iter()
                    .map(|row| show::event::event(row, "log"))
                    .collect(),
                resume_token: ResumeToken::new("log", through).encode(),
            })),
        };
        let frame = show::encoded::batch(&encoded, "log", through);
        assert_eq!(frame, show::encoded::frame(&message));
        let (prefix, rest) = frame.split_first_chunk::<5>().unwrap();
        let [compressed, length @ ..] = *prefix;
        assert_eq!(
            (compressed, u32::from_be_bytes(length) as usize),
            (0, rest.len())
        );
        assert_eq!(rest, message.encode_to_vec());
    }
}

#[test]
fn a_server_tells_its_limits() {
    let policy = Policy::default();
    let namespaces = [
        Namespace::parse("b").unwrap(),
        Namespace::parse("a").unwrap(),
    ]
    .into();
    let info = show::server::server_info(&show::server::ServerFacts {
        version: "1.2.3",
        log_id: "log",
        current: Revision(9),
        oldest: Revision(3),
        schema: 4,
        start_time: WallTime(1_000),
        uptime: Span(500),
        wall: WallTime(1_500),
        draining: true,
        namespaces: &namespaces,
        policy: &policy,
        events: EventRetention::default(),
        request_bytes_max: 17,
        heartbeat: Span::seconds(5),
    });
    assert_eq!(
        (info.version.as_str(), info.log_id.as_str()),
        ("1.2.3", "log")
    );
    assert_eq!((info.current_revision, info.oldest_revision), (9, 3));
    assert_eq!((info.schema_version, info.draining), (4, true));
    assert_eq!(
        (info.start_time, info.server_time),
        (millis(1_000), millis(1_500))
    );
    assert_eq!(info.namespaces, ["a", "b"]);
    let limits = info.limits.unwrap();
    assert_eq!(limits.max_payload_bytes, 8 * 1024 * 1024);
    assert_eq!(
        (limits.max_batch_messages, limits.max_batch_bytes),
        (256, 16 * 1024 * 1024)
    );
    assert_eq!(
        (limits.max_request_bytes, limits.max_queue_messages),
        (17, 100_000)
    );
    assert_eq!((limits.max_id_bytes, limits.max_kind_bytes), (256, 64));
    assert_eq!((limits.max_labels, limits.max_labels_bytes), (64, 8_192));
    let (prompt, page) = (limits.max_prompt_bytes, limits.max_page_size);
    assert_eq!((prompt, page), (65_536, 1_000));
    let (sessions, bytes) = (limits.max_sessions, limits.max_queue_bytes);
    assert_eq!((sessions, bytes), (1_000, 1 << 30));
    let defaults = info.defaults.unwrap();
    assert_eq!(defaults.lease_duration, super::seconds(15));
    assert_eq!(defaults.claim_lease_duration, super::seconds(60));
    assert_eq!(defaults.heartbeat_interval, super::seconds(5));
    assert_eq!(defaults.idle_timeout, super::after(3_600));
    assert_eq!(defaults.max_lifetime, super::after(86_400));
    assert_eq!(defaults.owner_timeout, super::never(true));
    assert_eq!(defaults.end_grace, super::seconds(5));
    assert_eq!(defaults.end_grace_after_pending, super::seconds(600));
    assert_eq!(defaults.max_attempts, 3);
    assert_eq!(defaults.idempotency_window, super::seconds(86_400));
    let week = super::after(7 * 86_400);
    assert_eq!(defaults.session_retention, week);
    assert_eq!(defaults.dead_letter_retention, week);
    assert_eq!(defaults.event_retention, week);
    assert_eq!(defaults.max_events, 10_000_000);
    assert_eq!(defaults.max_event_bytes, 8 << 30);
}

#[test]
fn stats_are_the_stores_counters() {
    let counters = Counters {
        revision: Revision(1),
        active: 2,
        draining: 3,
        ended: 4,
        pending: 5,
        in_flight: 6,
        dead_lettered: 7,
        ..Counters::default()
    };
    let engine = pb::EngineStats {
        commands: 8,
        commits: 9,
        events: 10,
    };
    let cleanup = pb::CleanupStats {
        sessions_created: 16,
        sessions_cleaned: 17,
        runs: 18,
        errors: 19,
        repairs: 13,
    };
    let expected = pb::GetStatsResponse {
        sessions: Some(pb::SessionStats {
            queued: 0,
            active: 2,
            draining: 3,
            ended: 4,
        }),
        messages: Some(pb::MessageStats {
            pending: 5,
            in_flight: 6,
            dead_lettered: 7,
        }),
        workers_connected: 11,
        revision: 1,
        uptime: super::seconds(12),
        engine: Some(engine),
        cleanup: Some(cleanup),
        work: Some(pb::WorkStats::default()),
    };
    let counts = Counts {
        store: counters,
        workers_connected: 11,
        uptime: Span::seconds(12),
        engine,
        cleanup,
        work: WorkProgress::default(),
    };
    assert_eq!(show::server::stats(counts), expected);
}

#[test]
fn the_work_is_told_with_its_times_and_sessions() {
    let id = |text: &str| SessionId::parse(text).expect("an id");
    let work = WorkProgress {
        unserved: Some((id("waits"), WallTime(20_000))),
        acked: 21,
        last_ack: Some(WallTime(22_000)),
        leases: Some(LeaseProgress {
            held: 23,
            working: 24,
            stalled: 25,
            slowest: Some(Slowest {
                session: SessionNo(1),
                moved_at: WallTime(26_000),
            }),
        }),
        slowest: Some(id("stands")),
    };
    let shown = show::server::stats(Counts {
        work,
        ..Counts::default()
    });
    let expected = pb::WorkStats {
        oldest_unserved_time: Some(prost_types::Timestamp {
            seconds: 20,
            nanos: 0,
        }),
        oldest_unserved_session_id: "waits".to_owned(),
        acked: 21,
        last_ack_time: Some(prost_types::Timestamp {
            seconds: 22,
            nanos: 0,
        }),
        leases: Some(23),
        leases_working: Some(24),
        leases_stalled: Some(25),
        oldest_progress_time: Some(prost_types::Timestamp {
            seconds: 26,
            nanos: 0,
        }),
        oldest_progress_session_id: "stands".to_owned(),
    };
    assert_eq!(shown.work, Some(expected));
}
