//! Random histories on every backend and on a plain map: always the same rows.
//!
//! Commits, ranges in both orders, snapshots held across commits, checkpoints, and reopening, all from one seed. The keys are few
//! and short, so that rows are overwritten and deleted as often as they are made.

use std::collections::BTreeMap;

use bytes::Bytes;

use sessiond_store::kv::{Entry, Op, Order, Range, Snapshot, Table};

use super::{Backend, backends, commit, rows};

fn random_key(rng: &mut fastrand::Rng) -> Vec<u8> {
    let len = rng.usize(..4);
    (0..len)
        .map(|_| *rng.choice(&[0, 1, 127, 255]).expect("not empty"))
        .collect()
}

/// A change; that a row is new is said as often as it is true and as the writer may know it.
fn random_op(rng: &mut fastrand::Rng, model: &Model) -> Op {
    let table = *rng.choice(&Table::ALL[..4]).expect("not empty");
    let key = random_key(rng);
    let value = (rng.u8(..3) != 0).then(|| {
        let len = if rng.u8(..16) == 0 { 9_000 } else { 40 };
        vec![rng.u8(..); rng.usize(..len)]
    });
    let is_new = !model.contains_key(&(table, key.clone()));
    match value {
        Some(value) if is_new && rng.bool() => Op::insert(table, key, value),
        Some(value) => Op::put(table, key, value),
        None => Op::remove(table, key),
    }
}

fn random_range(rng: &mut fastrand::Rng) -> Range {
    Range {
        table: *rng.choice(&Table::ALL[..4]).expect("not empty"),
        from: random_key(rng),
        to: rng.bool().then(|| random_key(rng)),
        order: *rng
            .choice(&[Order::Ascending, Order::Descending])
            .expect("not empty"),
        limit: *rng.choice(&[0, 1, 3, usize::MAX]).expect("not empty"),
    }
}

type Model = BTreeMap<(Table, Vec<u8>), Bytes>;

fn apply(model: &mut Model, op: &Op) {
    let place = (op.table, op.key.to_vec());
    match &op.value {
        Some(value) => drop(model.insert(place, value.clone())),
        None => drop(model.remove(&place)),
    }
}

/// The plainest reading of what a range is.
fn expected(model: &Model, range: &Range) -> Vec<Entry> {
    let mut entries: Vec<Entry> = model
        .iter()
        .filter(|((table, key), _)| {
            *table == range.table
                && *key >= range.from
                && range.to.as_ref().is_none_or(|to| key < to)
        })
        .map(|((_, key), value)| (key.clone(), value.clone()))
        .collect();
    if range.order == Order::Descending {
        entries.reverse();
    }
    entries.truncate(range.limit);
    entries
}

fn run(backend: &mut dyn Backend, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut model = Model::new();
    let mut held: Vec<(Box<dyn Snapshot>, Model)> = Vec::new();
    for step in 0..60 {
        let mut ops = Vec::new();
        for _ in 0..rng.usize(..12) {
            let op = random_op(&mut rng, &model);
            apply(&mut model, &op);
            ops.push(op);
        }
        commit(backend.kv(), &ops);
        match rng.u8(..8) {
            0 => {
                held.clear();
                backend.reopen();
            }
            1 => held.push((backend.kv().snapshot().expect("snapshot"), model.clone())),
            2 => backend.kv().checkpoint().expect("checkpoint"),
            3 => backend.kv().settle().expect("settle"),
            _ => {}
        }
        let now = backend.kv().snapshot().expect("snapshot");
        let views = held
            .iter()
            .map(|(snapshot, then)| (snapshot.as_ref(), then))
            .chain([(now.as_ref(), &model)]);
        for (snapshot, then) in views {
            let range = random_range(&mut rng);
            assert_eq!(
                rows(snapshot, &range),
                expected(then, &range),
                "seed {} step {step} {range:?}",
                seed
            );
            let key = random_key(&mut rng);
            assert_eq!(
                snapshot.get(range.table, &key).expect("get"),
                then.get(&(range.table, key)).cloned(),
                "seed {} step {step}",
                seed
            );
        }
    }
}

/// The same random commits, ranges, held snapshots, checkpoints and reopens on each backend: always what a map would say.
#[test]
fn random_histories_agree_with_a_map() {
    const SEEDS: u64 = 24;
    for seed in 0..SEEDS {
        for mut backend in backends() {
            run(backend.as_mut(), seed);
        }
    }
}
