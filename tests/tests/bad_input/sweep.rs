//! Sweep.

use sessiond_proto::v1 as pb;

use super::table::{World, invalid, no_spans, raw, too_many_labels};

fn one(change: impl Fn(&mut pb::SweepRequest)) -> pb::SweepRequest {
    let mut request = pb::SweepRequest::default();
    change(&mut request);
    request
}

fn filtered(change: impl Fn(&mut pb::SessionFilter)) -> pb::SweepRequest {
    let mut filter = pb::SessionFilter::default();
    change(&mut filter);
    one(|request| request.filter = Some(filter.clone()))
}

#[tokio::test]
async fn scope_and_limits_of_a_sweep() {
    let world = World::new().await;
    let ended = filtered(|f| {
        f.states = vec![pb::SessionState::Ended.into()];
        f.ended_after_revision = Some(1);
    });
    let mut table = vec![
        invalid(ended, &["filter.states[0]", "filter.ended_after_revision"]),
        invalid(filtered(|f| f.states = vec![0]), &["filter.states[0]"]),
        invalid(
            filtered(|f| f.labels = too_many_labels()),
            &["filter.labels"],
        ),
        invalid(one(|r| r.page_size = 100_001), &["page_size"]),
        invalid(one(|r| r.page_token = "zz".to_owned()), &["page_token"]),
        invalid(
            one(|r| r.idle_timeout = raw(10 * 365 * 86_400 + 1, 0)),
            &["idle_timeout"],
        ),
    ];
    for span in no_spans() {
        let both = one(|r| {
            r.idle_timeout = span;
            r.max_lifetime = span;
        });
        table.push(invalid(both, &["idle_timeout", "max_lifetime"]));
    }
    world
        .refuses(table, async |request| world.caller.sweep(request).await)
        .await;
}
