//! Deliveries, their order, and what is said about them.

use std::collections::BTreeMap;
use std::time::Duration;

use pb::settlement::Outcome as Said;
use pb::work_request::Frame as Sent;
use sessiond_client::{Delivery, Error, Outcome, WorkerEvent, pb};

use super::{attached, builder, coded, deliveries, serving, settled, welcome};
use crate::fake_server::{FakeServer, within};

#[tokio::test]
async fn each_outcome_is_said_as_it_is() {
    let mut server = FakeServer::start().await;
    let (mut worker, mut work) = serving(&mut server).await;
    work.send(attached("s", 7, 3)).await;
    let outcomes = [
        Outcome::Ack {
            usage: Some(pb::Usage {
                input_tokens: 1,
                output_tokens: 2,
            }),
        },
        Outcome::retry("broke"),
        Outcome::defer("quota", Duration::from_secs(60)),
        Outcome::permanent("nonsense"),
        Outcome::Abandoned,
    ];
    for (index, outcome) in outcomes.into_iter().enumerate() {
        let id = index as u64 + 1;
        work.send(deliveries("s", (7, 3), &[(id, id + 100)])).await;
        let job = worker.job().await;
        assert_eq!(job.delivery.session_id(), "s");
        assert_eq!(job.delivery.session().unwrap().key, "key-s");
        assert_eq!(
            (job.delivery.attempt(), job.delivery.delivery_id()),
            (1, id + 100)
        );
        job.finish(outcome.clone());
        let settlements = work.settle().await;
        let [settlement] = settlements.as_slice() else {
            panic!("expected one settlement, got {settlements:?}");
        };
        assert_eq!((settlement.queue_id, settlement.seq), (7, id));
        assert_eq!((settlement.delivery_id, settlement.epoch), (id + 100, 3));
        assert_eq!(settlement.session_id, "s");
        check_said(&outcome, settlement.outcome.as_ref().unwrap());
        work.send(settled(&settlements)).await;
    }
}

fn check_said(outcome: &Outcome, said: &Said) {
    match (outcome, said) {
        (Outcome::Ack { usage }, Said::Ack(ack)) => assert_eq!(ack.usage_delta, *usage),
        (Outcome::Retry { error, .. }, Said::Nack(nack)) => {
            assert_eq!((nack.kind(), &nack.error), (pb::NackKind::Retry, error));
            assert_eq!(nack.delay, None);
        }
        (Outcome::Defer { error, .. }, Said::Nack(nack)) => {
            assert_eq!((nack.kind(), &nack.error), (pb::NackKind::Defer, error));
            assert_eq!(nack.delay.unwrap().seconds, 60);
        }
        (Outcome::Permanent { error }, Said::Nack(nack)) => {
            assert_eq!((nack.kind(), &nack.error), (pb::NackKind::Permanent, error));
        }
        (Outcome::Abandoned, Said::Nack(nack)) => assert_eq!(nack.kind(), pb::NackKind::Retry),
        (outcome, said) => panic!("{outcome:?} became {said:?}"),
    }
}

#[tokio::test]
async fn one_session_goes_in_order_and_does_not_hold_up_another() {
    let mut server = FakeServer::start().await;
    let (mut worker, mut work) = serving(&mut server).await;
    work.send(attached("a", 1, 1)).await;
    work.send(attached("b", 2, 2)).await;
    work.send(deliveries("a", (1, 1), &[(1, 11), (2, 12), (3, 13)]))
        .await;
    work.send(deliveries("b", (2, 2), &[(1, 21)])).await;
    let first = worker.job().await;
    let other = worker.job().await;
    assert_eq!((first.delivery.session_id(), first.seq()), ("a", 1));
    assert_eq!((other.delivery.session_id(), other.seq()), ("b", 1));
    assert!(worker.jobs.try_recv().is_err());
    other.finish(Outcome::ack());
    assert_eq!(super::ids(&work.settle().await), [21]);
    first.finish(Outcome::retry("again"));
    // What is in flight behind a nack is worked on all the same.
    let second = worker.job().await;
    assert_eq!((second.delivery.session_id(), second.seq()), ("a", 2));
    second.finish(Outcome::ack());
    assert_eq!(worker.job().await.seq(), 3);
}

#[tokio::test]
async fn panic_is_a_failure_of_one_delivery() {
    let mut server = FakeServer::start().await;
    let handler = |delivery: Delivery| async move {
        assert!(delivery.kind() != "observation", "no observations");
        Outcome::ack()
    };
    let worker = builder(&server)
        .serves(pb::SessionFilter::default())
        .build();
    let run = worker.unwrap().run(handler, std::future::pending());
    let serve = async {
        let (_, mut work) = welcome(&mut server).await;
        work.send(attached("s", 1, 1)).await;
        work.send(deliveries("s", (1, 1), &[(1, 11)])).await;
        work.settle().await
    };
    let settlements = tokio::select! {
        end = run => panic!("the worker ended: {end:?}"),
        settlements = within(serve) => settlements,
    };
    let Some(Said::Nack(nack)) = &settlements[0].outcome else {
        panic!("expected a nack, got {settlements:?}");
    };
    assert_eq!(nack.error, "the handler panicked");
}

#[tokio::test]
async fn settlement_that_does_not_count_is_told() {
    let mut server = FakeServer::start().await;
    let (mut worker, mut work) = serving(&mut server).await;
    work.send(attached("s", 1, 1)).await;
    work.send(deliveries("s", (1, 1), &[(1, 11)])).await;
    worker.job().await.finish(Outcome::ack());
    let settlements = work.settle().await;
    work.send(coded(&settlements, pb::SettleCode::StaleDelivery))
        .await;
    let told = worker
        .event(|event| match event {
            WorkerEvent::NotSettled(result) => Some(result),
            _other => None,
        })
        .await;
    assert_eq!(
        (told.code(), told.delivery_id),
        (pb::SettleCode::StaleDelivery, 11)
    );
}

#[tokio::test]
async fn settlements_gather_while_the_server_is_busy() {
    let mut server = FakeServer::start().await;
    let (mut worker, mut work) = serving(&mut server).await;
    // One session each, so that all of them run at once.
    let mut jobs = Vec::new();
    for id in 1..=12 {
        let name = format!("s{id}");
        work.send(attached(&name, id, id)).await;
        work.send(deliveries(&name, (id, id), &[(1, id)])).await;
        jobs.push(worker.job().await);
    }
    // Four frames go without an answer, one settlement each.
    let mut rest = jobs.split_off(4);
    let mut frames = Vec::new();
    for job in jobs {
        job.finish(Outcome::ack());
        frames.push(work.settle().await);
    }
    for job in rest.drain(..) {
        job.finish(Outcome::ack());
    }
    // A frame that is not a settle shows that none is on its way before it.
    work.send(deliveries("s1", (1, 1), &[(2, 100)])).await;
    let job = worker.job().await;
    job.delivery.progress(BTreeMap::new()).await.unwrap();
    assert!(matches!(work.frame().await, Sent::Progress(_)));
    work.send(settled(&frames[0])).await;
    let mut gathered = super::ids(&work.settle().await);
    gathered.sort_unstable();
    assert_eq!(gathered, [5, 6, 7, 8, 9, 10, 11, 12]);
}

#[tokio::test]
async fn extension_is_answered_with_the_new_deadline_or_the_loss() {
    let mut server = FakeServer::start().await;
    let (mut worker, mut work) = serving(&mut server).await;
    work.send(attached("s", 1, 1)).await;
    work.send(deliveries("s", (1, 1), &[(1, 11)])).await;
    let job = worker.job().await;
    let by = Duration::from_secs(30);
    for code in [pb::SettleCode::Ok, pb::SettleCode::Fenced] {
        let serve = Box::pin(async {
            let settlements = work.settle().await;
            let Some(Said::Extend(extend)) = &settlements[0].outcome else {
                panic!("expected an extension, got {settlements:?}");
            };
            assert_eq!(extend.by.unwrap().seconds, 30);
            work.send(coded(&settlements, code)).await;
        });
        let (answer, ()) = within(async { tokio::join!(job.delivery.extend(by), serve) }).await;
        match code {
            pb::SettleCode::Ok => assert!(answer.is_ok(), "{answer:?}"),
            _other => assert!(matches!(answer, Err(Error::LeaseLost(_))), "{answer:?}"),
        }
    }
    let absurd = job.delivery.extend(Duration::from_secs(4_000)).await;
    assert!(matches!(absurd, Err(Error::Setting(_))), "{absurd:?}");
    // An extension ends nothing.
    job.finish(Outcome::ack());
    let settlements = work.settle().await;
    assert!(matches!(settlements[0].outcome, Some(Said::Ack(_))));
}

#[tokio::test]
async fn progress_carries_the_values_and_the_epoch() {
    let mut server = FakeServer::start().await;
    let (mut worker, mut work) = serving(&mut server).await;
    work.send(attached("s", 1, 9)).await;
    work.send(deliveries("s", (1, 9), &[(1, 11)])).await;
    let job = worker.job().await;
    let values = BTreeMap::from([("turn".to_owned(), "3".to_owned())]);
    job.delivery.progress(values.clone()).await.unwrap();
    let Sent::Progress(progress) = work.frame().await else {
        panic!("expected progress");
    };
    assert_eq!((progress.session_id.as_str(), progress.epoch), ("s", 9));
    assert_eq!(progress.volatile, values);
    let too_much = BTreeMap::from([("k".to_owned(), "v".repeat(9_000))]);
    let refused = job.delivery.progress(too_much).await;
    assert!(matches!(refused, Err(Error::Setting(_))), "{refused:?}");
}

#[tokio::test]
async fn server_that_does_not_read_is_read_all_the_same() {
    let mut server = FakeServer::start().await;
    let (mut worker, work) = serving(&mut server).await;
    work.send(attached("s", 1, 1)).await;
    work.send(deliveries("s", (1, 1), &[(1, 11)])).await;
    let job = worker.job().await;
    // Far more than all windows on the way hold; nobody reads it.
    let values = BTreeMap::from([("k".to_owned(), "v".repeat(8_000))]);
    let flood = async {
        for _ in 0..10_000 {
            job.delivery.progress(values.clone()).await.unwrap();
        }
    };
    let cancel = Box::pin(async {
        while work.frames.capacity() < work.frames.max_capacity() {
            tokio::task::yield_now().await;
        }
        let mut cancel = pb::Cancel {
            session_id: "s".to_owned(),
            ..Default::default()
        };
        cancel.set_reason(pb::CancelReason::Stuck);
        work.send(pb::work_response::Frame::Cancel(cancel)).await;
        job.delivery.cancelled().await
    });
    let heard = within(async {
        tokio::select! {
            () = flood => panic!("the server read it"),
            heard = cancel => heard,
        }
    })
    .await;
    assert_eq!(
        heard,
        sessiond_client::Cancellation::Requested {
            reason: pb::CancelReason::Stuck
        }
    );
}
