//! CompactEvents.

use sessiond_proto::v1 as pb;

use super::table::{World, invalid};

#[tokio::test]
async fn up_to_an_event_that_there_is() {
    let world = World::new().await;
    let through = |through_revision| pb::CompactEventsRequest { through_revision };
    let newest = world.caller.revision().await;
    let table = vec![
        invalid(through(0), &["through_revision"]),
        invalid(through(newest + 1), &["through_revision"]),
        invalid(through(u64::MAX), &["through_revision"]),
    ];
    world
        .refuses(table, async |request| {
            world.caller.compact_events(request).await
        })
        .await;
}
