//! Group commits as a server makes them, and the plainest model of what they leave behind.
//!
//! A history is the list of states, one for each commit; a store that was opened again must equal one of them. The
//! number of the commit is a row of the commit itself, so the store says which one. A row that is truly new is said to
//! be, for the store makes use of it: one that is removed before a checkpoint saw it leaves no trace there. Nothing
//! here knows about disks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use sessiond_store::kv::{Kv, Op, Order, Prior, Range, Table};

/// The rows after some commit.
pub(crate) type State = BTreeMap<(Table, Vec<u8>), Bytes>;

/// A row as a store hands it out.
pub(crate) type Row = ((Table, Vec<u8>), Bytes);

/// The row of the commit's number.
const NUMBER: (Table, &[u8]) = (Table::Counters, b"number");

/// Largest payload but a few, in bytes: some span several pages of the file, most share one.
const PAYLOAD_BYTES_MAX: usize = 4096;
/// One payload in so many is large.
const LARGE_ONE_IN: u8 = 48;
/// A large payload, in bytes: more than the journal puts into one row, so that its commit takes several.
const LARGE_BYTES: usize = 70_000;
/// Live messages above which a commit settles more than it enqueues.
const MESSAGES_HIGH: usize = 120;
/// Keys that come and go: few, so that each is made, removed and made again between two checkpoints and across them.
const KEYS: u8 = 24;
/// Most changes to these keys in one commit; one key may be changed more than once.
const KEY_CHANGES_MAX: usize = 5;

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
        let mut draft = Draft {
            rows: State::clone(state),
            ops: Vec::new(),
        };
        let messages = keys_of(state, Table::Messages);
        let enqueued = match messages.len() {
            count if count > MESSAGES_HIGH => 1,
            _ => self.rng.usize(1..8),
        };
        for index in 0..enqueued {
            enqueue(&mut self.rng, number, index, &mut draft);
        }
        // Now and then everything goes, so that the file has pages to give back.
        let settled = match self.rng.u8(..24) {
            0 => messages.len(),
            _ => self.rng.usize(..6).min(messages.len()),
        };
        for key in self.rng.choose_multiple(messages.iter(), settled) {
            settle(&mut self.rng, key, &mut draft);
        }
        for _ in 0..self.rng.usize(..=KEY_CHANGES_MAX) {
            change_a_key(&mut self.rng, &mut draft);
        }
        draft.put(NUMBER.0, NUMBER.1, number.to_be_bytes().to_vec());
        let event = bytes(&mut self.rng, 60);
        draft.put(Table::Events, &number.to_be_bytes(), event);
        if number > 30 {
            draft.remove(Table::Events, &(number - 30).to_be_bytes());
        }
        self.states.push(Arc::new(draft.rows));
        draft.ops
    }
}

/// A commit that is being made, and the rows after it.
struct Draft {
    rows: State,
    ops: Vec<Op>,
}

impl Draft {
    /// Writes a row, said to be new when it is.
    fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        let op = if self.has(table, key) {
            Op::put(table, key.to_vec(), value)
        } else {
            Op::insert(table, key.to_vec(), value)
        };
        self.make(op);
    }

    /// Writes a row without a word of whether it is new, as a writer does that has not looked.
    fn put_unseen(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.make(Op::put(table, key.to_vec(), value));
    }

    fn remove(&mut self, table: Table, key: &[u8]) {
        self.make(Op::remove(table, key.to_vec()));
    }

    fn has(&self, table: Table, key: &[u8]) -> bool {
        self.rows.contains_key(&(table, key.to_vec()))
    }

    fn make(&mut self, op: Op) {
        let place = (op.table, op.key.to_vec());
        match &op.value {
            Some(value) => drop(self.rows.insert(place, value.clone())),
            None => drop(self.rows.remove(&place)),
        }
        self.ops.push(op);
    }
}

fn enqueue(rng: &mut Rng, number: u64, index: usize, draft: &mut Draft) {
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
    let payload = match rng.u8(..LARGE_ONE_IN) {
        0 => LARGE_BYTES,
        _ => payload,
    };
    draft.put(Table::Messages, &key, bytes(rng, 90));
    draft.put(Table::Payloads, &key, bytes(rng, payload));
    draft.put(Table::Ready, &key, Vec::new());
}

fn settle(rng: &mut Rng, key: &[u8], draft: &mut Draft) {
    draft.remove(Table::Ready, key);
    if rng.u8(..4) == 0 {
        draft.put(Table::Messages, key, bytes(rng, 120));
        draft.put(Table::InFlight, key, Vec::new());
    } else {
        draft.remove(Table::Messages, key);
        draft.remove(Table::Payloads, key);
        draft.remove(Table::InFlight, key);
    }
}

fn change_a_key(rng: &mut Rng, draft: &mut Draft) {
    let key = [rng.u8(..KEYS)];
    let is_there = draft.has(Table::Keys, &key);
    match (is_there, rng.u8(..8)) {
        (true, 0..6) | (false, 0) => draft.remove(Table::Keys, &key),
        (true, _) | (false, 2..) => {
            let len = rng.usize(..200);
            draft.put(Table::Keys, &key, bytes(rng, len));
        }
        (false, 1) => draft.put_unseen(Table::Keys, &key, bytes(rng, 30)),
    }
}

fn bytes(rng: &mut Rng, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes
}

fn keys_of(state: &State, table: Table) -> Vec<Vec<u8>> {
    state
        .keys()
        .filter(|(of, _)| *of == table)
        .map(|(_, key)| key.clone())
        .collect()
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
        .map_or(Ok(0), |value| value[..].try_into().map(u64::from_be_bytes))
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
                place == expected_place && value == expected
            })
}

/// Commits between two checkpoints, as this test draws them.
const STRETCH: u64 = 4;

/// What a checkpoint can get wrong about a row depends on where in its life the checkpoint falls. Goal: rows of every
/// kind are many, and all that are new are said to be.
#[test]
fn rows_come_and_go_within_a_stretch_and_across_it() {
    let mut history = History::new(7);
    let (mut inserted, mut within, mut across, mut again) = (0, 0, 0, 0);
    for _ in 0..40 {
        let before = history.latest();
        for _ in 0..STRETCH {
            let ops = history.next_commit();
            inserted += ops.iter().filter(|op| op.prior == Prior::Absent).count();
        }
        let states: Vec<&Arc<State>> = (before..=history.latest())
            .filter_map(|number| history.state(number))
            .collect();
        let places: BTreeSet<_> = states.iter().flat_map(|state| state.keys()).collect();
        for place in places {
            let is_there: Vec<bool> = states.iter().map(|s| s.contains_key(place)).collect();
            let (first, last) = (is_there[0], is_there[is_there.len() - 1]);
            within += u32::from(!first && !last);
            across += u32::from(first && !last);
            again += u32::from(first && last && is_there.contains(&false));
        }
    }
    assert!(inserted > 1_000, "{inserted}");
    assert!(within > 100 && across > 100, "{within} {across}");
    assert!(again > 10, "{again}");
}
