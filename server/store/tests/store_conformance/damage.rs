//! Damaged bytes are told from rows and never a panic.

use fastrand::Rng;
use sessiond_core::ids::{Epoch, QueueId, Seq};
use sessiond_core::rows::RowKey;
use sessiond_store::fault::Fault;
use sessiond_store::kv::{Op, Table};
use sessiond_store::row;

use crate::codec::{SEEDS, add, drawn_row, encode, put};
use crate::draw::{self, KEY_KINDS};
use crate::draw_entry::{self, ENTRY_KINDS};

fn decode_damaged(op: &Op, key: &[u8], value: Vec<u8>, seed: u64) {
    match row::decode(op.table, key, value.into()) {
        Ok(_) | Err(Fault::Malformed { .. }) => {}
        Err(fault) => panic!("seed {seed}: damage is {fault}"),
    }
}

fn damage(rng: &mut Rng, bytes: &mut Vec<u8>) {
    match rng.u8(..6) {
        0 => bytes.truncate(rng.usize(..=bytes.len())),
        1 => bytes.push(rng.u8(..)),
        2 => bytes.insert(rng.usize(..=bytes.len()), rng.u8(..)),
        _ => {
            for _ in 0..rng.usize(1..4) {
                let flip = rng.u8(1..);
                if let Some(byte) = rng.choice(bytes.iter_mut()) {
                    *byte ^= flip;
                }
            }
        }
    }
}

#[test]
fn damaged_bytes_are_another_row_or_a_fault_and_never_a_panic() {
    for seed in 0..SEEDS {
        let mut rng = Rng::with_seed(seed);
        for kind in 0..KEY_KINDS {
            let op = encode(&drawn_row(&mut rng, kind));
            let mut value = op.value.clone().expect("a row has a value").to_vec();
            damage(&mut rng, &mut value);
            decode_damaged(&op, &op.key, value, seed);
            let mut key = op.key.to_vec();
            damage(&mut rng, &mut key);
            let value = op.value.clone().expect("a row has a value").to_vec();
            decode_damaged(&op, &key, value, seed);
        }
        for kind in 0..ENTRY_KINDS {
            if let Some(op) = row::encode(&add(draw_entry::entry(&mut rng, kind))) {
                let mut key = op.key.to_vec();
                damage(&mut rng, &mut key);
                decode_damaged(&op, &key, Vec::new(), seed);
            }
        }
    }
}

#[test]
fn any_bytes_in_any_table_are_a_row_or_a_fault_and_never_a_panic() {
    for seed in 0..SEEDS {
        let mut rng = Rng::with_seed(seed);
        for table in Table::ALL {
            let mut bytes = |len| {
                (0..rng.usize(..len))
                    .map(|_| rng.u8(..))
                    .collect::<Vec<u8>>()
            };
            let (key, value) = (bytes(20), bytes(40));
            drop(row::decode(table, &key, value.into()));
        }
    }
}

fn reason(table: Table, key: &[u8], value: &[u8]) -> String {
    match row::decode(table, key, value.to_vec().into()) {
        Err(Fault::Malformed { reason, .. }) => reason,
        other => panic!("malformed, not {other:?}"),
    }
}

#[test]
fn an_empty_value_is_no_row_that_has_required_parts() {
    let no = [0; 8];
    let place = [0; 16];
    assert_eq!(
        reason(Table::Sessions, &no, &[]),
        "the session id must not be empty"
    );
    assert_eq!(reason(Table::Activities, &no, &[]), "the usage is missing");
    assert_eq!(
        reason(Table::Queues, &no, &[]),
        "the namespace must not be empty"
    );
    assert_eq!(
        reason(Table::Messages, &place, &[]),
        "the message kind must not be empty"
    );
    assert_eq!(
        reason(Table::Leases, &no, &[]),
        "the namespace must not be empty"
    );
    assert_eq!(
        reason(Table::SessionIds, &[0, 1, b'n', b'i'], &[]),
        "the session of an id is zero"
    );
    assert_eq!(
        reason(Table::KeyBlocks, &place, &[10, 1, 0]),
        "the digests of a block of keys has 1 bytes"
    );
    assert_eq!(
        reason(Table::Requests, &[0, 1, b'n', b'r'], &[]),
        "the hash of a request has 0 bytes"
    );
    assert_eq!(
        reason(Table::Events, &no, &[]),
        "the kind of an event has the unknown number 0"
    );
}

#[test]
fn what_does_not_fit_is_told_in_words() {
    let mut rng = Rng::with_seed(7);
    let lease = RowKey::Lease(Epoch(1));
    let op = encode(&put(lease.clone(), draw::row(&mut rng, &lease)));
    let value = op.value.expect("a row has a value");
    // Field 7, the mode, as a varint: the last one written wins.
    let unknown = [&value[..], &[7 << 3, 99]].concat();
    assert_eq!(
        reason(Table::Leases, &op.key, &unknown),
        "the lease mode has the unknown number 99"
    );
    assert_eq!(
        reason(Table::Leases, &[0, 0, 0, 0, 0, 0, 0, 2], &value),
        "it belongs under another key"
    );
    assert_eq!(reason(Table::Leases, &[1], &value), "its key is too short");
    assert_eq!(
        reason(Table::Leases, &[0; 9], &value),
        "its key is too long"
    );
    assert_eq!(
        reason(Table::Debounced, &[0; 16], &[1]),
        "an index entry has no value, this one has 1 bytes"
    );
    assert_eq!(
        reason(Table::Due, &[0; 17], &[]),
        "the kind of what is due has the unknown number 0"
    );
    assert_eq!(
        reason(Table::Keys, &[0, 1, 0xff, b'k'], &[]),
        "its key is not UTF-8 where it should be"
    );
    assert_eq!(
        reason(Table::Keys, &[0, 9, b'n', b'k'], &[]),
        "its key is too short"
    );
    let given_up = RowKey::DeadLetter(QueueId(1), Seq(1));
    let op = encode(&put(given_up.clone(), draw::row(&mut rng, &given_up)));
    assert_eq!(
        reason(
            Table::Messages,
            &op.key,
            &op.value.expect("a row has a value")
        ),
        "it belongs under another key",
        "a given-up message among the pending would be handed out again"
    );
}
