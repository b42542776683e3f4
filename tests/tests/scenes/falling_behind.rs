//! A watch that falls behind what is kept in memory is told so, and where it is, before it is sent what it missed.

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::watch_session_events_response::Frame;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{key, open};
use sessiond_tests::simulated::Simulated;
use sessiond_tests::watch_stream::WatchStream;

/// More events than memory keeps beside what a connection takes unread.
const EVENTS: u64 = 3_000;

/// About how large each of them is, for it shows its session.
const EVENT_BYTES: usize = 4_000;

/// Writes events while nobody reads.
async fn write(caller: &Caller) -> u64 {
    let large = pb::OpenSessionRequest {
        labels: [("large".to_owned(), "x".repeat(EVENT_BYTES))].into(),
        ..open("a")
    };
    caller.open(large).await.expect("it opens");
    for number in 1..EVENTS {
        let update = pb::UpdateSessionRequest {
            r#ref: key("a"),
            project: format!("{number}"),
            ..pb::UpdateSessionRequest::default()
        };
        caller.update(update).await.expect("it is updated");
    }
    caller.revision().await
}

#[tokio::test]
async fn no_bookmark_is_ahead_of_what_was_sent() {
    let server = Simulated::start().await;
    let caller = server.caller();
    let mut watch = WatchStream::from_now(&caller).await;
    watch.bookmark(pb::BookmarkCause::CaughtUp).await;
    let newest = write(&caller).await;
    let (mut reached, mut behind) = (0, 0);
    while reached < newest {
        match watch.next().await {
            Frame::Batch(batch) => {
                for event in batch.events {
                    assert_eq!(event.revision, reached + 1, "nothing is left out");
                    reached = event.revision;
                }
            }
            Frame::Bookmark(mark) => {
                assert_eq!(mark.revision, reached, "{mark:?}");
                behind += u32::from(mark.cause() == pb::BookmarkCause::FallingBehind);
            }
            other @ (Frame::Started(_) | Frame::Initial(_) | Frame::GoAway(_)) => {
                panic!("events are awaited, not {other:?}")
            }
        }
    }
    assert_eq!(behind, 1, "it is told that it fell behind");
}
