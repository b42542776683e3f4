//! Finding and showing sessions, case by case.

use fastrand::Rng;
use sessiond_core::change::{Change, Membership};
use sessiond_core::ids::{
    Epoch, Namespace, PoolName, QueueId, Seq, SessionId, SessionNo, SessionRef,
};
use sessiond_core::index::IndexEntry;
use sessiond_core::lease::LeaseStanding;
use sessiond_core::rows::{KeyRow, PoolRow, Row, RowKey};
use sessiond_core::session::EndMode;
use sessiond_core::time::WallTime;
use sessiond_store::store::Store;

use crate::draw;
use crate::on_every_store;
use crate::script::{claim, end, enqueue, namespace, open, rows, session_key, tell};
use crate::world::{Habit, World};

fn found_by_key(world: &World) -> Option<SessionNo> {
    let asked = SessionRef::Key(session_key());
    rows(&world.store).find(&namespace(), &asked).expect("find")
}

#[test]
fn a_key_finds_the_live_session_then_one_that_is_ending_then_the_newest() {
    on_every_store(|kv| {
        let mut world = World::new(kv, Habit::Steady);
        assert_eq!(found_by_key(&world), None);
        tell(&mut world, &open("s1"), 1);
        tell(&mut world, &enqueue(), 2);
        tell(&mut world, &claim(), 3);
        assert_eq!(found_by_key(&world), Some(SessionNo(1)));
        tell(&mut world, &end("s1", EndMode::Graceful), 4);
        assert_eq!(
            found_by_key(&world),
            Some(SessionNo(1)),
            "draining, none is live"
        );
        tell(&mut world, &open("s2"), 5);
        assert_eq!(found_by_key(&world), Some(SessionNo(2)), "live");
        tell(&mut world, &end("s2", EndMode::Immediate), 6);
        assert_eq!(
            found_by_key(&world),
            Some(SessionNo(1)),
            "older, but not over"
        );
        tell(&mut world, &end("s1", EndMode::Immediate), 7);
        assert_eq!(
            found_by_key(&world),
            Some(SessionNo(2)),
            "all over: the newest"
        );
    });
}

#[test]
fn the_live_session_of_a_key_goes_before_newer_ones_that_are_ending() {
    on_every_store(|kv| {
        let mut world = World::new(kv, Habit::Steady);
        tell(&mut world, &open("s1"), 1);
        tell(&mut world, &enqueue(), 2);
        tell(&mut world, &claim(), 3);
        tell(&mut world, &end("s1", EndMode::Graceful), 4);
        tell(&mut world, &open("s2"), 5);
        let row = KeyRow {
            unreleased: None,
            live: Some(SessionNo(2)),
            sessions: vec![SessionNo(1), SessionNo(2)],
            held: None,
        };
        let key = RowKey::Key(namespace(), session_key());
        let changes = [Change::Row(key, Some(Row::Key(row.into())))];
        world.store.commit(&changes).expect("commit");
        assert_eq!(found_by_key(&world), Some(SessionNo(2)));
    });
}

/// A session of a pool with its entry, and the pool's count.
fn live_in(namespace: &Namespace, pool: &str, no: u64) -> Vec<Change> {
    let pool = PoolName::parse(pool).expect("an id");
    let mut rng = Rng::with_seed(no);
    let key = RowKey::Session(SessionNo(no));
    let row = draw::row(&mut rng, &key);
    let entry = IndexEntry::Live(namespace.clone(), pool.clone(), SessionNo(no));
    let counted = RowKey::Pool(namespace.clone(), pool);
    vec![
        Change::Row(key, Some(row)),
        Change::Index(entry, Membership::In),
        Change::Row(
            counted,
            Some(Row::Pool(PoolRow {
                live: 1,
                ..PoolRow::default()
            })),
        ),
    ]
}

#[test]
fn live_sessions_of_a_namespace_come_in_order_whatever_their_pools() {
    on_every_store(|kv| {
        let store = Store::new(kv);
        // Names that begin alike are told apart.
        let (here, beside) = (namespace(), Namespace::parse("nn").expect("an id"));
        let pools = [
            (5, "b"),
            (2, "a"),
            (9, "ab"),
            (3, "b"),
            (7, "a"),
            (260, "a"),
        ];
        for (no, pool) in pools {
            store.commit(&live_in(&here, pool, no)).expect("commit");
        }
        store.commit(&live_in(&beside, "a", 4)).expect("commit");
        let found = |namespace: &Namespace, after: u64, limit: usize| -> Vec<u64> {
            let rows = rows(&store);
            let found = rows.live_after(namespace, SessionNo(after), limit);
            let found = found.expect("live sessions");
            found.iter().map(|session| session.no.0).collect()
        };
        assert_eq!(found(&here, 0, 9), [2, 3, 5, 7, 9, 260]);
        assert_eq!(found(&here, 0, 3), [2, 3, 5]);
        assert_eq!(found(&here, 5, 2), [7, 9], "behind the place");
        assert_eq!(found(&here, 260, 9), [0; 0]);
        assert_eq!(found(&beside, 0, 9), [4]);
        let pools = rows(&store).pools(&here).expect("pools");
        let names: Vec<&str> = pools.iter().map(|(pool, _)| pool.as_str()).collect();
        assert_eq!(names, ["a", "ab", "b"]);
    });
}

#[test]
fn current_leases_are_found_among_any_number_of_superseded_ones() {
    const LEASES: u64 = 700;
    on_every_store(|kv| {
        let store = Store::new(kv);
        let mut rng = Rng::with_seed(5);
        let leases: Vec<(Epoch, Row)> = (1..=LEASES)
            .map(|epoch| {
                (
                    Epoch(epoch),
                    draw::row(&mut rng, &RowKey::Lease(Epoch(epoch))),
                )
            })
            .collect();
        let current: Vec<Epoch> = leases
            .iter()
            .filter(
                |(_, row)| matches!(row, Row::Lease(row) if row.standing == LeaseStanding::Current),
            )
            .map(|(epoch, _)| *epoch)
            .collect();
        let changes: Vec<Change> = leases
            .into_iter()
            .map(|(epoch, row)| Change::Row(RowKey::Lease(epoch), Some(row)))
            .collect();
        store.commit(&changes).expect("commit");
        let rows = rows(&store);
        for after in [0, 1, 255, 256, 257, LEASES] {
            for limit in [0, 1, 128, 300, usize::MAX] {
                let behind = current.iter().filter(|epoch| epoch.0 > after);
                let expected: Vec<Epoch> = behind.take(limit).copied().collect();
                let found = rows
                    .current_leases_after(Epoch(after), limit)
                    .expect("leases");
                assert_eq!(found, expected, "after {after}, limit {limit}");
            }
        }
    });
}

#[test]
fn an_id_finds_its_session_in_its_namespace_whatever_its_state() {
    on_every_store(|kv| {
        let mut world = World::new(kv, Habit::Steady);
        tell(&mut world, &open("s1"), 1);
        tell(&mut world, &end("s1", EndMode::Immediate), 2);
        let rows = rows(&world.store);
        let asked = |id: &str| SessionRef::Id(SessionId::parse(id).expect("an id"));
        let find = |ns: &Namespace, id: &str| rows.find(ns, &asked(id)).expect("find");
        assert_eq!(find(&namespace(), "s1"), Some(SessionNo(1)));
        assert_eq!(find(&namespace(), "s"), None);
        assert_eq!(find(&Namespace::parse("m").expect("an id"), "s1"), None);
        assert_eq!(rows.session_view(SessionNo(2)).expect("view"), None);
    });
}

#[test]
fn a_session_is_shown_with_its_lease_as_if_it_were_never_renewed() {
    on_every_store(|kv| {
        let mut world = World::new(kv, Habit::Steady);
        tell(&mut world, &open("s1"), 1);
        tell(&mut world, &enqueue(), 2);
        tell(&mut world, &claim(), 3);
        tell(&mut world, &claim(), 9_000);
        let view = rows(&world.store).session_view(SessionNo(1)).expect("view");
        let view = view.expect("on record");
        let lease = view.lease.expect("held");
        assert_eq!(lease.acquire_time, WallTime(1_000_003));
        assert_eq!(lease.expire_time, WallTime(1_060_003));
        assert_eq!((view.depth.in_flight, view.depth.ready), (1, 0));
        assert_eq!(
            rows(&world.store)
                .payload(QueueId(1), Seq(1))
                .expect("payload")
                .as_deref(),
            Some(&b"payload"[..])
        );
    });
}
