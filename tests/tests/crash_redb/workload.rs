//! Group commits as a server makes them, and the plainest model of what they leave behind.
//!
//! A history is the list of states, one for each commit; a store that was opened again must equal one of them. The
//! number of the commit is a row of the commit itself, so the store says which one. Nothing here knows about disks.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use sessiond_store::kv::{Kv, Op, Order, Range, Table};

/// The rows after some commit.
pub(crate) type State = BTreeMap<(Table, Vec<u8>), Arc<[u8]>>;

/// A row as a store hands it out.
pub(crate) type Row = ((Table, Vec<u8>), Vec<u8>);

/// The row of the commit's number.
const NUMBER: (Table, &[u8]) = (Table::Counters, b"number");

/// Largest payload, in bytes: some span several pages of the file, most share one.
const PAYLOAD_BYTES_MAX: usize = 4096;
/// Live messages above which a commit settles more than it enqueues.
const MESSAGES_HIGH: usize = 120;

/// Commits and the states they lead to, from some first state on.
#[derive(Clone)]
pub(crate) struct History {
    rng: Rng,
    /// The number of the first state.
    first: u64,
    /// Shared, for a crash point forks the history and most forks end soon.
    states: Vec<Arc<State>>,
}

impl History {
    /// The history of an empty store.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            first: 0,
            states: vec![Arc::default()],
        }
    }

    /// The number of the latest state.
    pub(crate) fn latest(&self) -> u64 {
        self.first + self.states.len() as u64 - 1
    }

    /// The state after commit `number`.
    pub(crate) fn state(&self, number: u64) -> Option<&Arc<State>> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.states.get(index)
    }

    /// The history of a store that was found in state `number`, with another future.
    pub(crate) fn fork(&self, number: u64, seed: u64) -> Self {
        let state = self.state(number).expect("a state of this history");
        Self {
            rng: Rng::with_seed(seed),
            first: number,
            states: vec![state.clone()],
        }
    }

    /// The ops of the next commit; the state after them is the latest from here on.
    pub(crate) fn next_commit(&mut self) -> Vec<Op> {
        let number = self.latest() + 1;
        let state = self.states.last().expect("the first state is always there");
        let mut ops = Vec::new();
        let messages = keys_of(state, Table::Messages);
        let enqueued = match messages.len() {
            count if count > MESSAGES_HIGH => 1,
            _ => self.rng.usize(1..8),
        };
        for index in 0..enqueued {
            enqueue(&mut self.rng, number, index, &mut ops);
        }
        // Now and then everything goes, so that the file has pages to give back.
        let settled = match self.rng.u8(..24) {
            0 => messages.len(),
            _ => self.rng.usize(..6).min(messages.len()),
        };
        for key in self.rng.choose_multiple(messages.iter(), settled) {
            settle(&mut self.rng, key, &mut ops);
        }
        ops.push(put(NUMBER.0, NUMBER.1, &number.to_be_bytes()));
        ops.push(put(
            Table::Events,
            &number.to_be_bytes(),
            &bytes(&mut self.rng, 60),
        ));
        if number > 30 {
            ops.push(delete(Table::Events, &(number - 30).to_be_bytes()));
        }
        let mut next = State::clone(state);
        apply(&mut next, &ops);
        self.states.push(Arc::new(next));
        ops
    }
}

fn enqueue(rng: &mut Rng, number: u64, index: usize, ops: &mut Vec<Op>) {
    let queue = rng.u64(..8);
    let key = [
        queue.to_be_bytes(),
        (number * 100 + index as u64).to_be_bytes(),
    ]
    .concat();
    let payload = match rng.u8(..4) {
        0 => rng.usize(..=PAYLOAD_BYTES_MAX),
        _ => rng.usize(..400),
    };
    ops.push(put(Table::Messages, &key, &bytes(rng, 90)));
    ops.push(put(Table::Payloads, &key, &bytes(rng, payload)));
    ops.push(put(Table::Ready, &key, &[]));
}

fn settle(rng: &mut Rng, key: &[u8], ops: &mut Vec<Op>) {
    ops.push(delete(Table::Ready, key));
    if rng.u8(..4) == 0 {
        ops.push(put(Table::Messages, key, &bytes(rng, 120)));
        ops.push(put(Table::InFlight, key, &[]));
    } else {
        ops.push(delete(Table::Messages, key));
        ops.push(delete(Table::Payloads, key));
        ops.push(delete(Table::InFlight, key));
    }
}

fn bytes(rng: &mut Rng, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes
}

fn put(table: Table, key: &[u8], value: &[u8]) -> Op {
    Op {
        table,
        key: key.to_vec(),
        value: Some(value.to_vec()),
    }
}

fn delete(table: Table, key: &[u8]) -> Op {
    Op {
        table,
        key: key.to_vec(),
        value: None,
    }
}

fn keys_of(state: &State, table: Table) -> Vec<Vec<u8>> {
    state
        .keys()
        .filter(|(of, _)| *of == table)
        .map(|(_, key)| key.clone())
        .collect()
}

fn apply(state: &mut State, ops: &[Op]) {
    for op in ops {
        let place = (op.table, op.key.clone());
        match &op.value {
            Some(value) => drop(state.insert(place, value.as_slice().into())),
            None => drop(state.remove(&place)),
        }
    }
}

/// Every row of a store, and the number of the commit it says it is after.
pub(crate) fn read(kv: &dyn Kv) -> Result<(u64, Vec<Row>), String> {
    let snapshot = kv.snapshot().map_err(|fault| fault.describe())?;
    let mut rows = Vec::new();
    for table in Table::ALL {
        let range = Range {
            table,
            from: Vec::new(),
            to: None,
            order: Order::Ascending,
            limit: usize::MAX,
        };
        let entries = snapshot.range(&range).map_err(|fault| fault.describe())?;
        rows.extend(
            entries
                .into_iter()
                .map(|(key, value)| ((table, key), value)),
        );
    }
    let number = snapshot
        .get(NUMBER.0, NUMBER.1)
        .map_err(|fault| fault.describe())?
        .map_or(Ok(0), |value| {
            value.as_slice().try_into().map(u64::from_be_bytes)
        })
        .map_err(|_| "the number of the commit is not 8 bytes".to_owned())?;
    Ok((number, rows))
}

/// Whether `rows` are `state`, row by row.
pub(crate) fn equal(rows: &[Row], state: &State) -> bool {
    rows.len() == state.len()
        && rows
            .iter()
            .zip(state)
            .all(|((place, value), (expected_place, expected))| {
                place == expected_place && **value == **expected
            })
}
