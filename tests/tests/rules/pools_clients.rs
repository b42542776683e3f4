//! Pools as the SDK and the command line show them: a handle waits for its slot, scripts see who waits.

use std::time::Duration;

use sessiond_client::{Client, pb};
use sessiond_tests::progress::Progress;
use sessiond_tests::server::Server;
use sessiond_tests::sessionctl::Sessionctl;

const ONE: &str = "[session]\nmax_sessions = 1\n";

fn client(server: &Server) -> Client {
    let client = Client::builder().addr(server.url()).build();
    client.expect("a client")
}

#[tokio::test]
async fn a_handle_waits_for_its_slot() {
    let mut server = Server::configured(ONE);
    let client = client(&server);
    let holder = client.session("a").open().await.expect("opened");
    let session = holder.admitted().await.expect("it has its slot");
    assert_eq!(session.state(), pb::SessionState::Active);
    let waits = client
        .session("b")
        .wait_for_slot(Duration::from_secs(3_600));
    let waits = waits.open().await.expect("opened");
    let queued = waits.get().await.expect("it is there");
    assert_eq!(queued.state(), pb::SessionState::Queued);
    let admitted = tokio::spawn({
        let waits = waits.clone();
        async move { waits.admitted().await }
    });
    server.kill();
    server.restart();
    let ended = holder.end(pb::EndReason::Completed).send().await;
    ended.expect("ended");
    let session = admitted.await.expect("it ends").expect("admitted");
    assert_eq!(session.state(), pb::SessionState::Active);
    assert_eq!(session.session_id, waits.id());
    let in_vain = client
        .session("c")
        .wait_for_slot(Duration::from_millis(100));
    let in_vain = in_vain.open().await.expect("opened");
    let session = in_vain.admitted().await.expect("it is over");
    assert_eq!(session.state(), pb::SessionState::Ended);
    assert_eq!(session.end.unwrap().reason(), pb::EndReason::Capacity);
    let pools = client.pools().await.expect("a list").pools;
    assert_eq!((pools.len(), pools[0].live, pools[0].queued), (1, 1, 0));
}

#[tokio::test]
async fn the_command_line_opens_waits_and_lists_pools() {
    let server = Server::configured(ONE);
    let client = client(&server);
    client.session("a").open().await.expect("opened");
    let progress = Progress::default();
    let run = |arguments: &[&str]| {
        let mut child = Sessionctl::start(&server, arguments, &progress);
        let status = child.finish();
        (status.code(), child.printed())
    };
    let open = ["session", "open", "--key", "b", "--wait-for-slot", "1h"];
    let (code, printed) = run(&open);
    assert_eq!(code, Some(0));
    assert_eq!(printed[0]["state"], "SESSION_STATE_QUEUED");
    assert_eq!(printed[0]["waiting_for"], "WAITING_FOR_SLOT");
    let (code, printed) = run(&["pool", "ls"]);
    assert_eq!(code, Some(0));
    assert_eq!(printed.len(), 1);
    let pool = &printed[0];
    assert_eq!(pool["pool"], "default");
    assert_eq!((&pool["live"], &pool["queued"]), (&"1".into(), &"1".into()));
    assert_eq!(pool["max_sessions"], "1");
    assert_eq!(pool["when_full"], "WHEN_FULL_REJECT");
    let (code, _) = run(&["session", "open", "--key", "c"]);
    assert_ne!(code, Some(0), "it is refused without a wait");
}
