//! Reconnects: one stream per instance, what resume keeps, and whose volatile values they are.

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_request::Frame as Said;
use sessiond_proto::v1::work_response::Frame;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, attempts, key, labels, payloads, seqs};
use sessiond_tests::server::Server;
use sessiond_tests::work_stream::{WorkStream, hello};

fn instance(worker: &str, instance: &str) -> pb::Hello {
    pb::Hello {
        instance_id: instance.to_owned(),
        ..hello(worker, 16)
    }
}

fn resuming(lease: &pb::Lease, queue_id: u64, deliveries: &[u64]) -> pb::Hello {
    pb::Hello {
        resume: vec![pb::Resume {
            session_id: lease.session_id.clone(),
            queue_id,
            epoch: lease.epoch,
            delivery_ids: deliveries.to_vec(),
        }],
        ..instance("w", &lease.instance_id)
    }
}

/// A worker with three deliveries of session `a`.
async fn at_work(caller: &Caller) -> (WorkStream, pb::Attached, Vec<pb::Delivery>) {
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one", "two", "three"]).await;
    let (mut worker, _) = WorkStream::greet(caller, instance("w", "w-1")).await;
    let attached = worker.attached_to(key("a")).await;
    let out = worker.delivered(3).await;
    (worker, attached, out)
}

fn progress(session_id: &str, volatile: &[(&str, &str)]) -> Said {
    Said::Progress(pb::Progress {
        session_id: session_id.to_owned(),
        volatile: labels(volatile),
        epoch: 0,
    })
}

#[tokio::test]
async fn a_second_stream_of_an_instance_takes_over_from_the_first() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (mut first, _) = WorkStream::greet(&caller, instance("w", "w-1")).await;
    let (mut sibling, _) = WorkStream::greet(&caller, instance("w", "w-2")).await;
    let (mut second, _) = WorkStream::greet(&caller, instance("w", "w-1")).await;
    match first.next().await {
        Frame::GoAway(away) => assert_eq!(away.reason(), pb::GoAwayReason::TakenOver),
        other => panic!("a go-away is awaited, not {other:?}"),
    }
    first.closed().await;
    second.is_quiet().await;
    sibling.is_quiet().await;
}

#[tokio::test]
async fn resume_keeps_the_lease_and_sends_again_what_is_not_listed() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (worker, attached, out) = at_work(&caller).await;
    let lease = attached.lease.unwrap();
    let queue = attached.session.unwrap().queue_id;
    let revision = caller.revision().await;
    drop(worker);
    let hello = resuming(&lease, queue, &[out[1].delivery_id]);
    let (mut worker, _) = WorkStream::greet(&caller, hello).await;
    let kept = worker.attached().await.lease.unwrap();
    assert_eq!(kept.epoch, lease.epoch);
    let again = worker.delivered(2).await;
    assert_eq!(seqs(&again), [1, 3]);
    let ids = |of: &[pb::Delivery]| -> Vec<u64> { of.iter().map(|one| one.delivery_id).collect() };
    assert_eq!(
        ids(&again),
        [out[0].delivery_id, out[2].delivery_id],
        "the same hand-outs"
    );
    assert_eq!(
        (payloads(&again), attempts(&again)),
        (vec!["one".to_owned(), "three".to_owned()], vec![1, 1])
    );
    worker.is_quiet().await;
    assert_eq!(
        caller.revision().await,
        revision,
        "nothing happened to the lease"
    );
    let codes = worker.settle(out.iter().map(ack).collect()).await;
    assert!(
        codes
            .iter()
            .all(|result| result.code() == pb::SettleCode::Ok)
    );
}

#[tokio::test]
async fn what_is_kept_counts_in_the_window_of_the_new_stream() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (worker, attached, out) = at_work(&caller).await;
    let lease = attached.lease.unwrap();
    let queue = attached.session.unwrap().queue_id;
    drop(worker);
    let listed: Vec<u64> = out.iter().map(|delivery| delivery.delivery_id).collect();
    let narrow = pb::Hello {
        window: hello("w", 3).window,
        ..resuming(&lease, queue, &listed)
    };
    let (mut worker, _) = WorkStream::greet(&caller, narrow).await;
    worker.attached().await;
    caller.enqueued(key("a"), &["four"]).await;
    worker.is_quiet().await;
    assert_eq!(worker.code(ack(&out[0])).await, pb::SettleCode::Ok);
    assert_eq!(payloads(&worker.delivered(1).await), ["four"]);
}

#[tokio::test]
async fn leases_that_are_not_listed_are_given_back_uncounted() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (worker, _, _) = at_work(&caller).await;
    drop(worker);
    let (mut worker, _) = WorkStream::greet(&caller, instance("w", "w-1")).await;
    worker.is_quiet().await;
    assert!(caller.session(key("a")).await.lease.is_none());
    let next = caller.claimed(key("a"), "other").await;
    assert_eq!(
        (seqs(&next), attempts(&next)),
        (vec![1, 2, 3], vec![1, 1, 1])
    );
}

#[tokio::test]
async fn a_lease_that_is_gone_is_told_as_lost() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (mut worker, attached, out) = at_work(&caller).await;
    let lease = attached.lease.unwrap();
    let queue = attached.session.unwrap().queue_id;
    let detach = pb::Detach {
        session_id: lease.session_id.clone(),
    };
    worker.say(Said::Detach(detach));
    worker.lease_lost().await;
    drop(worker);
    let other = caller.claimed(key("a"), "other").await;
    assert_eq!(other.len(), 3);
    let (mut worker, _) =
        WorkStream::greet(&caller, resuming(&lease, queue, &[out[0].delivery_id])).await;
    let lost = worker.lease_lost().await;
    assert_eq!(
        (lost.session_id.as_str(), lost.epoch),
        (lease.session_id.as_str(), lease.epoch)
    );
    worker.is_quiet().await;
}

/// Proves: G4.
#[tokio::test]
async fn the_lease_of_another_instance_is_not_resumed() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (mut worker, attached, _) = at_work(&caller).await;
    let lease = attached.lease.unwrap();
    let stolen = pb::Lease {
        instance_id: "w-2".to_owned(),
        ..lease.clone()
    };
    let queue = attached.session.unwrap().queue_id;
    let (mut thief, _) = WorkStream::greet(&caller, resuming(&stolen, queue, &[])).await;
    let lost = thief.lease_lost().await;
    assert_eq!(lost.epoch, lease.epoch);
    worker.is_quiet().await;
    assert_eq!(
        caller.session(key("a")).await.lease.unwrap().instance_id,
        "w-1"
    );
}

/// Proves: F59.
#[tokio::test]
async fn the_same_instance_gets_its_volatile_values_back_whatever_the_epoch() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (mut worker, attached, _) = at_work(&caller).await;
    let session = attached.session.unwrap();
    worker.say(progress(
        &session.session_id,
        &[("context", "c-1"), ("pid", "42")],
    ));
    worker.is_quiet().await;
    assert_eq!(
        caller.session(key("a")).await.volatile,
        labels(&[("context", "c-1"), ("pid", "42")])
    );
    drop(worker);
    let (mut worker, _) = WorkStream::greet(&caller, instance("w", "w-1")).await;
    let again = worker.attached_to(key("a")).await;
    assert!(again.lease.unwrap().epoch > attached.lease.unwrap().epoch);
    assert_eq!(again.voided_keys, [""; 0]);
    assert_eq!(
        again.session.unwrap().volatile,
        labels(&[("context", "c-1"), ("pid", "42")])
    );
}

/// Proves: F59, G4.
#[tokio::test]
async fn another_instance_starts_with_nothing_and_is_told_what_is_void() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (mut worker, attached, _) = at_work(&caller).await;
    let session_id = attached.session.unwrap().session_id;
    worker.say(progress(&session_id, &[("context", "c-1"), ("pid", "42")]));
    worker.say(Said::Detach(pb::Detach {
        session_id: session_id.clone(),
    }));
    worker.lease_lost().await;
    let (mut other, _) = WorkStream::greet(&caller, instance("w", "w-2")).await;
    let attached = other.attached_to(key("a")).await;
    let mut voided = attached.voided_keys;
    voided.sort();
    assert_eq!(voided, ["context", "pid"]);
    assert!(attached.session.unwrap().volatile.is_empty());
    assert!(caller.session(key("a")).await.volatile.is_empty());
}

/// Proves: F57.
#[tokio::test]
async fn progress_replaces_volatile_and_only_empty_values_clear_it() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (mut worker, attached, _) = at_work(&caller).await;
    let id = attached.session.unwrap().session_id;
    let mut shown = async |volatile: &[(&str, &str)]| {
        worker.say(progress(&id, volatile));
        worker.is_quiet().await;
        caller.session(key("a")).await.volatile
    };
    assert_eq!(
        shown(&[("a", "1"), ("b", "2")]).await,
        labels(&[("a", "1"), ("b", "2")])
    );
    assert_eq!(
        shown(&[]).await,
        labels(&[("a", "1"), ("b", "2")]),
        "it stays as it is"
    );
    assert_eq!(shown(&[("b", "3"), ("c", "")]).await, labels(&[("b", "3")]));
    assert_eq!(shown(&[("b", "")]).await, labels(&[]));
}

#[tokio::test]
async fn volatile_is_never_carried_to_a_successor() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (mut worker, attached, _) = at_work(&caller).await;
    let id = attached.session.unwrap().session_id;
    worker.say(progress(&id, &[("context", "c-1")]));
    worker.is_quiet().await;
    let replace = pb::OpenSessionRequest {
        conflict_policy: pb::ConflictPolicy::Replace.into(),
        ..sessiond_tests::requests::open("a")
    };
    let next = caller
        .open(replace)
        .await
        .expect("replaced")
        .session
        .unwrap();
    assert!(next.volatile.is_empty());
    worker.lease_lost().await;
    let attached = worker.attached_to(key("a")).await;
    assert!(attached.session.unwrap().volatile.is_empty());
}
