//! Watches beside each other: what is encoded once for many shows nobody what is not for it.

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::watch_session_events_request::Start;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{end, key, millis};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, watch_from};

/// Sessions opened and ended in each namespace.
const SESSIONS: usize = 90;

/// What a watch is asked for, and which keys and types of events of its namespace that means.
type Wish = (
    fn(&mut pb::WatchSessionEventsRequest),
    fn(&str, pb::EventType) -> bool,
);

const WISHES: [Wish; 5] = [
    (|_| {}, |_, _| true),
    (|request| request.all_namespaces = true, |_, _| true),
    (
        |request| filter(request).key_glob = "*-1*".to_owned(),
        |key, _| key.contains("-1"),
    ),
    (
        |request| filter(request).types = vec![pb::EventType::SessionEnd.into()],
        |_, of| of == pb::EventType::SessionEnd,
    ),
    (
        |request| filter(request).project = "nowhere".to_owned(),
        |_, _| false,
    ),
];

fn filter(request: &mut pb::WatchSessionEventsRequest) -> &mut pb::EventFilter {
    request.filter.get_or_insert_default()
}

async fn lives(caller: &Caller, name: &str) {
    for at in 0..SESSIONS {
        let name = format!("{name}-{at}");
        caller.opened(&name).await;
        let over = end(key(&name), pb::EndReason::Completed, pb::EndMode::Immediate);
        caller.end(over).await.expect("ended");
    }
}

/// The namespace, key, type and revision of every event up to the end, which is the last one's.
async fn seen(mut watch: WatchStream, through: u64) -> Vec<(String, String, pb::EventType, u64)> {
    let mut seen = Vec::new();
    loop {
        let (events, mark) = watch.bookmark(pb::BookmarkCause::Periodic).await;
        seen.extend(events.into_iter().map(|event| {
            let key = event.session.as_ref().map(|session| session.key.clone());
            let of = event.r#type();
            (event.namespace, key.unwrap_or_default(), of, event.revision)
        }));
        if mark.revision >= through {
            return seen;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_of_every_kind_see_their_own_and_no_other_events() {
    let server = Server::start_with(&["--namespaces", "blue,green"]);
    let caller = Caller::to(&server).await;
    let callers = [caller.in_namespace("blue"), caller.in_namespace("green")];
    let mut watches = Vec::new();
    for (of, caller) in callers.iter().enumerate() {
        for (index, (ask, _)) in WISHES.iter().enumerate() {
            // Two of each, from places that are not the same: some live on it, some read the ring.
            for start in [Start::Now(true), Start::AfterRevision(0)] {
                let mut request = watch_from(start);
                request.bookmark_interval = millis(50);
                ask(&mut request);
                let watch = WatchStream::open(caller, request).await.expect("a watch");
                watches.push((of, index, watch));
            }
        }
    }
    let [blue, green] = &callers;
    tokio::join!(lives(blue, "blue"), lives(green, "green"));
    let through = blue.revision().await;
    assert_eq!(through, 4 * SESSIONS as u64);
    let mut all = None;
    for (of, index, watch) in watches {
        let told = seen(watch, through).await;
        let revisions: Vec<u64> = told.iter().map(|(.., revision)| *revision).collect();
        assert!(
            revisions.is_sorted_by(|one, next| one < next),
            "{revisions:?}"
        );
        if index == 1 {
            assert_eq!(revisions, (1..=through).collect::<Vec<u64>>());
            assert_eq!(*all.get_or_insert_with(|| told.clone()), told);
            continue;
        }
        let name = ["blue", "green"][of];
        let (_, wanted) = WISHES[index];
        let mut expected = Vec::new();
        for at in 0..SESSIONS {
            let key = format!("{name}-{at}");
            for kind in [pb::EventType::SessionOpened, pb::EventType::SessionEnd] {
                if wanted(&key, kind) {
                    expected.push((name.to_owned(), key.clone(), kind));
                }
            }
        }
        let told: Vec<_> = told
            .into_iter()
            .map(|(namespace, key, kind, _)| (namespace, key, kind))
            .collect();
        assert_eq!(told, expected, "wish {index} of {name}");
    }
}
