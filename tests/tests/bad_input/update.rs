//! UpdateSession: masks that say something else than the fields do.

use sessiond_proto::v1 as pb;
use sessiond_tests::requests::key;

use super::table::{World, bytes, invalid, no_spans, too_many_labels};

fn update() -> pb::UpdateSessionRequest {
    pb::UpdateSessionRequest {
        r#ref: key("a"),
        ..pb::UpdateSessionRequest::default()
    }
}

fn masked(paths: &[&str]) -> pb::UpdateSessionRequest {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    pb::UpdateSessionRequest {
        update_mask: Some(prost_types::FieldMask { paths }),
        ..update()
    }
}

#[tokio::test]
async fn masks_of_an_update() {
    let world = World::new().await;
    let unnamed = pb::UpdateSessionRequest {
        project: "/src".to_owned(),
        max_in_flight: Some(3),
        source: "x".to_owned(),
        ..masked(&["source"])
    };
    let table = vec![
        invalid(masked(&["nothing"]), &["update_mask.paths[0]"]),
        invalid(masked(&["source", "state"]), &["update_mask.paths[1]"]),
        invalid(masked(&[""]), &["update_mask.paths[0]"]),
        invalid(masked(&["labels.team"]), &["update_mask.paths[0]"]),
        invalid(masked(&["*"]), &["update_mask.paths[0]"]),
        invalid(masked(&["source", "source"]), &["update_mask.paths[1]"]),
        invalid(
            masked(&["x", "y"]),
            &["update_mask.paths[0]", "update_mask.paths[1]"],
        ),
        invalid(unnamed, &["max_in_flight", "project"]),
        invalid(masked(&["prompt_number"]), &["prompt_number"]),
    ];
    world
        .refuses(table, async |request| world.caller.update(request).await)
        .await;
}

#[tokio::test]
async fn fields_of_an_update() {
    let world = World::new().await;
    let one = |change: fn(&mut pb::UpdateSessionRequest)| {
        let mut request = update();
        change(&mut request);
        request
    };
    let mut table = vec![
        invalid(one(|r| r.project = bytes(4_097)), &["project"]),
        invalid(one(|r| r.source = bytes(257)), &["source"]),
        invalid(one(|r| r.agent_id = "\0".to_owned()), &["agent_id"]),
        invalid(one(|r| r.labels = too_many_labels()), &["labels"]),
        invalid(one(|r| r.prompt = bytes(64 * 1_024 + 1)), &["prompt"]),
        invalid(
            one(|r| r.transcript_path = bytes(4_097)),
            &["transcript_path"],
        ),
        invalid(one(|r| r.ordering = 9), &["ordering"]),
        invalid(one(|r| r.max_in_flight = Some(0)), &["max_in_flight"]),
        invalid(one(|r| r.max_in_flight = Some(4_096)), &["max_in_flight"]),
        invalid(
            one(|r| {
                r.source = "x".to_owned();
                r.request_id = bytes(257);
            }),
            &["request_id"],
        ),
    ];
    for span in no_spans() {
        let bound = span.map(pb::limit::Bound::After);
        let request = pb::UpdateSessionRequest {
            idle_timeout: Some(pb::Limit { bound }),
            ..update()
        };
        table.push(invalid(request, &["idle_timeout.after"]));
    }
    world
        .refuses(table, async |request| world.caller.update(request).await)
        .await;
}
