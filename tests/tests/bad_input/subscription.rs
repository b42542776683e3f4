//! SubscriptionService: names, places and limits that mean nothing.

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::event_start::Start;
use sessiond_tests::subscription::{create, delete, seek, start};

use super::table::{World, bytes, invalid, no_spans};

fn made(change: impl Fn(&mut pb::CreateSubscriptionRequest)) -> pb::CreateSubscriptionRequest {
    let mut request = create("s");
    change(&mut request);
    request
}

#[tokio::test]
async fn fields_of_a_new_subscription() {
    let world = World::new().await;
    let all = made(|r| {
        r.name.clear();
        r.filter = Some(pb::EventFilter {
            types: vec![0],
            ..pb::EventFilter::default()
        });
        r.start = start(Start::Oldest(false));
        r.max_lag_bytes = Some(1);
        r.request_id = bytes(257);
    });
    let fields = [
        "request_id",
        "name",
        "filter.types[0]",
        "start.oldest",
        "max_lag_bytes",
    ];
    let mut table = vec![
        invalid(all, &fields),
        invalid(made(|r| r.name = bytes(257)), &["name"]),
        invalid(made(|r| r.name = "a\nb".to_owned()), &["name"]),
        invalid(made(|r| r.start = start(Start::Now(false))), &["start.now"]),
        invalid(
            made(|r| r.start = start(Start::ResumeToken("x".to_owned()))),
            &["start.resume_token"],
        ),
    ];
    for span in no_spans() {
        table.push(invalid(made(|r| r.max_lag = span), &["max_lag"]));
    }
    let call = async |request| world.caller.create_subscription(request).await;
    world.refuses(table, call).await;
}

#[tokio::test]
async fn fields_of_the_other_calls_about_subscriptions() {
    let world = World::new().await;
    let caller = &world.caller;
    let table = vec![
        invalid(seek("", Start::Now(true)), &["name"]),
        invalid(seek("s", Start::Now(false)), &["start.now"]),
    ];
    let call = async |request| caller.seek_subscription(request).await;
    world.refuses(table, call).await;
    let get = |name: String| pb::GetSubscriptionRequest { name };
    let table = vec![invalid(get(String::new()), &["name"])];
    let call = async |request| caller.get_subscription(request).await;
    world.refuses(table, call).await;
    let table = vec![invalid(delete(""), &["name"])];
    let call = async |request| caller.delete_subscription(request).await;
    world.refuses(table, call).await;
    let ack = |name: &str, revision, epoch| pb::AckEventsRequest {
        name: name.to_owned(),
        revision,
        epoch,
    };
    let table = vec![invalid(ack("", 0, 0), &["name", "revision", "epoch"])];
    let call = async |request| caller.ack_events(request).await;
    world.refuses(table, call).await;
    let list = |page_size, token: &str| pb::ListSubscriptionsRequest {
        page_size,
        page_token: token.to_owned(),
    };
    let table = vec![
        invalid(list(1_001, "x"), &["page_size", "page_token"]),
        invalid(list(0, &bytes(2_000)), &["page_token"]),
    ];
    let call = async |request| caller.list_subscriptions(request).await;
    world.refuses(table, call).await;
}
