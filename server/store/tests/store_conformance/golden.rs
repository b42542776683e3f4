//! Rows and entries as format 1 wrote them, byte for byte: what is on somebody's disk stays readable.
//!
//! Each line of `golden/format-1.txt` has a table, a key, a value and what they mean. The bytes never change while the
//! format is 1; a later version may say more of what a row means (a field that was added and is empty), and only then
//! is the last column written anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bytes::Bytes;
use fastrand::Rng;
use sessiond_core::change::Change;
use sessiond_store::kv::Table;
use sessiond_store::kv::redb::SCHEMA;
use sessiond_store::row;

use crate::codec::{SEEDS, VARIANTS, add, drawn_row, words};
use crate::draw::KEY_KINDS;
use crate::draw_entry::{self, ENTRY_KINDS};

const GOLDEN: &str = include_str!("../golden/format-1.txt");

struct Line<'a> {
    table: Table,
    key: Vec<u8>,
    value: Bytes,
    meaning: &'a str,
}

fn lines() -> impl Iterator<Item = Line<'static>> {
    GOLDEN.lines().map(|line| {
        let mut columns = line.splitn(4, ' ');
        let mut column = || columns.next().expect("a line has four columns");
        let name = column();
        Line {
            table: Table::ALL
                .into_iter()
                .find(|table| table.name() == name)
                .unwrap_or_else(|| panic!("{name} is not the name of a table any more")),
            key: bytes(column()),
            value: bytes(column()).into(),
            meaning: column(),
        }
    })
}

/// `-` stands for nothing, or a line would have two blanks.
fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.trim_matches('-').as_bytes();
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("ASCII");
        u8::from_str_radix(pair, 16).expect("two digits")
    };
    digits.chunks(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".to_owned();
    }
    bytes.iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").expect("a string takes any text");
        digits
    })
}

#[test]
fn what_format_1_wrote_is_read_and_written_the_same() {
    assert_eq!(
        SCHEMA, 1,
        "a new format gets a file of its own, and keeps this one"
    );
    for Line {
        table,
        key,
        value,
        meaning,
    } in lines()
    {
        let change = row::decode(table, &key, value.clone()).expect("format 1 is read");
        assert_eq!(format!("{change:?}"), meaning, "{}", table.name());
        let op = row::encode(&change).expect("a change of its own table");
        assert_eq!(
            (op.table, op.key.into_vec(), op.value),
            (table, key, Some(value)),
            "{meaning}"
        );
    }
}

/// Nothing that is stored lacks an example. What does is printed as the line to add.
#[test]
fn every_table_and_every_variant_has_an_example() {
    let mut tables = BTreeSet::new();
    let mut variants = BTreeSet::new();
    for line in lines() {
        tables.insert(line.table);
        variants.extend(words(line.meaning));
    }
    let mut lacking = String::new();
    for seed in 0..SEEDS {
        let mut rng = Rng::with_seed(seed);
        let rows = (0..KEY_KINDS).map(|kind| drawn_row(&mut rng, kind));
        let rows: Vec<Change> = rows.collect();
        let entries = (0..ENTRY_KINDS).map(|kind| add(draw_entry::entry(&mut rng, kind)));
        for change in rows.into_iter().chain(entries) {
            let Some(op) = row::encode(&change) else {
                continue;
            };
            let meaning = format!("{change:?}");
            let said = words(&meaning);
            let is_new = VARIANTS
                .split_whitespace()
                .any(|variant| said.contains(variant) && !variants.contains(variant));
            if tables.insert(op.table) || is_new {
                variants.extend(said);
                let value = op.value.as_deref().unwrap_or_default();
                let (key, value) = (hex(&op.key), hex(value));
                writeln!(lacking, "{} {key} {value} {meaning}", op.table.name())
                    .expect("a string takes any text");
            }
        }
    }
    assert!(lacking.is_empty(), "no example of:\n{lacking}");
}
