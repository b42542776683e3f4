//! "The session was over its limit for days and nothing ended it": what becomes of one whose deadline was lost.

use std::path::Path;
use std::time::{Duration, Instant};

use sessiond_core::change::{Change, Membership};
use sessiond_core::ids::SessionNo;
use sessiond_core::index::{Due, IndexEntry};
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::ActivityRow;
use sessiond_proto::v1 as pb;
use sessiond_store::data_dir;
use sessiond_store::kv::redb::Identity;
use sessiond_store::store::Store;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{after, id, key, open};
use sessiond_tests::simulated::Simulated;

/// Looks of the reconciler are five seconds apart, and two of them find what there is.
const PATIENCE: Duration = Duration::from_secs(60);

/// What of a deadline is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    /// All of it.
    Deadline,
    /// That it is to be looked at then.
    Entry,
}

/// Loses the deadline of the only session of a store, as a defect would.
fn lose(what: Lost, directory: &Path) {
    let identity = Identity {
        version: "0".to_owned(),
        log_id: [0; 16],
    };
    let kv = data_dir::open(directory, &identity).expect("the server has let go of it");
    let store = Store::new(std::sync::Arc::new(kv));
    let no = SessionNo(1);
    let rows = store.reader().snapshot().expect("a snapshot");
    let row = rows.row(&RowKey::Activity(no)).expect("it can be read");
    let Some(Row::Activity(activity)) = row else {
        panic!("the first session has its warm row: {row:?}");
    };
    let at = activity.check_at.expect("it has a deadline");
    let forgotten = ActivityRow {
        check_at: activity.check_at.filter(|_| what == Lost::Entry),
        ..ActivityRow::clone(&activity)
    };
    drop(rows);
    store
        .commit(&[
            Change::Row(RowKey::Activity(no), Some(Row::Activity(forgotten.into()))),
            Change::Index(IndexEntry::Due(at, Due::Session(no)), Membership::Out),
        ])
        .expect("it can be written");
    store.settle().expect("it is settled");
}

async fn repairs(caller: &Caller) -> u64 {
    let stats = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
    stats.cleanup.expect("they are told").repairs
}

/// Proves: G3.
#[tokio::test]
async fn a_session_whose_deadline_was_lost_ends_all_the_same_and_it_is_told() {
    for what in [Lost::Deadline, Lost::Entry] {
        ends_all_the_same(what).await;
    }
}

async fn ends_all_the_same(what: Lost) {
    let mut server = Simulated::start().await;
    let request = pb::OpenSessionRequest {
        idle_timeout: after(60_000),
        ..open("a")
    };
    let opened = server.caller().open(request).await.expect("opens");
    let session = opened.session.expect("a session").session_id;
    server
        .restart_after(|directory| lose(what, directory))
        .await;
    let caller = server.caller();
    assert_eq!(caller.session(key("a")).await.session_id, session);
    let began = Instant::now();
    while repairs(&caller).await == 0 {
        assert!(began.elapsed() < PATIENCE, "nobody misses the deadline");
        caller.a_moment().await;
    }
    server.advance(Duration::from_secs(60)).await;
    let state = |session: &pb::Session| session.state();
    let still = caller.session(id(&session)).await;
    assert_eq!(
        state(&still),
        pb::SessionState::Active,
        "60 s are no longer than 60 s"
    );
    server.advance(Duration::from_millis(1)).await;
    let ended = caller.session(id(&session)).await;
    assert_eq!(state(&ended), pb::SessionState::Ended);
    assert_eq!(ended.end.expect("an end").reason(), pb::EndReason::Idle);
    assert_eq!(repairs(&caller).await, 1, "found once");
}
