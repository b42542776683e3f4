//! SettleMessages.

use sessiond_core::command::{NackKind, Outcome, Settle, Settlement};
use sessiond_core::ids::{DeliveryId, Epoch, QueueId, Seq};
use sessiond_core::session::Usage;
use sessiond_core::time::Span;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::settlement::Outcome as Given;

use super::{Spoiled, check_spoiled, namespace, seconds};
use crate::wire::faults::Invalid;
use crate::wire::parse::settle;

fn parse(request: pb::SettleMessagesRequest) -> Result<Settle, Invalid> {
    settle::settle(&namespace(), request)
}

fn settlement(outcome: Given) -> pb::Settlement {
    pb::Settlement {
        queue_id: 1,
        seq: 2,
        delivery_id: 3,
        epoch: 4,
        session_id: "s".to_owned(),
        outcome: Some(outcome),
    }
}

fn one(outcome: Given) -> pb::SettleMessagesRequest {
    pb::SettleMessagesRequest {
        settlements: vec![settlement(outcome)],
    }
}

fn outcome(outcome: Given) -> Outcome {
    parse(one(outcome)).unwrap().settlements.remove(0).outcome
}

#[test]
fn every_outcome_reaches_the_command() {
    let ack = Given::Ack(pb::Ack {
        usage_delta: Some(pb::Usage {
            input_tokens: 5,
            output_tokens: 6,
        }),
    });
    let settle = parse(one(ack)).unwrap();
    let expected = Settlement {
        queue: QueueId(1),
        seq: Seq(2),
        delivery_id: DeliveryId(3),
        epoch: Epoch(4),
        outcome: Outcome::Ack {
            usage: Usage {
                input_tokens: 5,
                output_tokens: 6,
            },
        },
    };
    assert_eq!(settle.settlements, [expected]);
    let nack = |kind: pb::NackKind, delay| {
        outcome(Given::Nack(pb::Nack {
            kind: kind.into(),
            delay,
            error: "why".to_owned(),
        }))
    };
    let expected = |kind, delay| Outcome::Nack {
        kind,
        delay,
        error: "why".to_owned(),
    };
    let day = seconds(86_400);
    for (given, delay, wanted) in [
        (
            pb::NackKind::Unspecified,
            None,
            expected(NackKind::Retry, None),
        ),
        (
            pb::NackKind::Retry,
            day,
            expected(NackKind::Retry, Some(Span::seconds(86_400))),
        ),
        (
            pb::NackKind::Defer,
            seconds(1),
            expected(NackKind::Defer, Some(Span::seconds(1))),
        ),
        (
            pb::NackKind::Permanent,
            None,
            expected(NackKind::Permanent, None),
        ),
    ] {
        assert_eq!(nack(given, delay), wanted);
    }
    let extend = outcome(Given::Extend(pb::Extend { by: seconds(3_600) }));
    assert_eq!(
        extend,
        Outcome::Extend {
            by: Span::seconds(3_600)
        }
    );
}

#[test]
fn an_ack_needs_no_epoch() {
    let mut request = one(Given::Ack(pb::Ack::default()));
    request.settlements[0].epoch = 0;
    request.settlements[0].session_id.clear();
    assert_eq!(parse(request).unwrap().settlements[0].epoch, Epoch(0));
}

#[test]
fn every_bad_field_is_told() {
    fn nack(request: &mut pb::SettleMessagesRequest) -> &mut pb::Nack {
        match &mut request.settlements[0].outcome {
            Some(Given::Nack(nack)) => nack,
            Some(Given::Ack(_) | Given::Extend(_)) | None => panic!("the request nacks"),
        }
    }
    let valid = one(Given::Nack(pb::Nack::default()));
    check_spoiled(
        &valid,
        parse,
        &[
            ("settlements[0].queue_id", "must be set", |r| {
                r.settlements[0].queue_id = 0
            }),
            ("settlements[0].seq", "must be set", |r| {
                r.settlements[0].seq = 0
            }),
            ("settlements[0].delivery_id", "must be set", |r| {
                r.settlements[0].delivery_id = 0;
            }),
            ("settlements[0].session_id", "control", |r| {
                r.settlements[0].session_id = "\n".to_owned();
            }),
            (
                "settlements[0].nack.kind",
                "9 is no value of NackKind",
                |r| nack(r).kind = 9,
            ),
            ("settlements[0].nack.delay", "at most 86400 s", |r| {
                nack(r).delay = seconds(86_401);
            }),
            ("settlements[0].nack.delay", "more than zero", |r| {
                nack(r).delay = seconds(0)
            }),
            ("settlements[0].nack.error", "4096", |r| {
                nack(r).error = "x".repeat(4_097)
            }),
        ],
    );
    let spoiled: [Spoiled<pb::SettleMessagesRequest>; 7] = [
        ("settlements[0].nack.delay", "PERMANENT", |r| {
            nack(r).kind = pb::NackKind::Permanent.into();
            nack(r).delay = seconds(1);
        }),
        ("settlements[0]", "ack, nack or extend", |r| {
            r.settlements[0].outcome = None
        }),
        ("settlements[0].extend.by", "must be set", |r| {
            r.settlements[0].outcome = Some(Given::Extend(pb::Extend { by: None }));
        }),
        ("settlements[0].extend.by", "at most 3600 s", |r| {
            let by = seconds(3_601);
            r.settlements[0].outcome = Some(Given::Extend(pb::Extend { by }));
        }),
        ("settlements[0].extend.by", "more than zero", |r| {
            let by = seconds(-1);
            r.settlements[0].outcome = Some(Given::Extend(pb::Extend { by }));
        }),
        ("settlements", "1 to 256 items, got none", |r| {
            r.settlements.clear()
        }),
        ("settlements", "at most 256 items, got 257", |r| {
            r.settlements = vec![r.settlements[0].clone(); 257];
        }),
    ];
    for way in spoiled {
        check_spoiled(&valid, parse, &[way]);
    }
}
