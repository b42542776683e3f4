//! Ranges: their bounds, both orders, their limits, and keys as plain bytes.

use sessiond_store::kv::{Op, Order, Range, Table};

use super::{all, check, commit, keys, put, rows};

#[test]
fn ranges_take_bounds_orders_and_limits() {
    check(|kv| {
        let ops: Vec<Op> = ["a", "b", "ba", "c", "d"]
            .iter()
            .map(|key| put(Table::Events, key.as_bytes(), b"v"))
            .collect();
        commit(kv, &ops);
        let range = |from: &str, to: Option<&str>, order, limit| Range {
            table: Table::Events,
            from: from.into(),
            to: to.map(Into::into),
            order,
            limit,
        };
        let up = Order::Ascending;
        let down = Order::Descending;
        let cases: &[(Range, &[&str])] = &[
            (range("", None, up, 9), &["a", "b", "ba", "c", "d"]),
            (range("", None, down, 9), &["d", "c", "ba", "b", "a"]),
            (range("b", None, up, 9), &["b", "ba", "c", "d"]),
            (range("b", Some("c"), up, 9), &["b", "ba"]),
            (range("b", Some("c"), down, 9), &["ba", "b"]),
            (range("aa", Some("bz"), up, 9), &["b", "ba"]),
            (range("", None, up, 2), &["a", "b"]),
            (range("", None, down, 2), &["d", "c"]),
            (range("b", Some("d"), down, 1), &["c"]),
            (range("b", Some("d"), up, 3), &["b", "ba", "c"]),
            (range("", None, up, 0), &[]),
            (range("", None, down, 0), &[]),
            (range("e", None, up, 9), &[]),
            (range("", Some(""), up, 9), &[]),
            (range("", Some("a"), up, 9), &[]),
            (range("c", Some("c"), up, 9), &[]),
            (range("d", Some("b"), up, 9), &[]),
            (range("d", Some("b"), down, 9), &[]),
            (range("", None, up, usize::MAX), &["a", "b", "ba", "c", "d"]),
        ];
        for (range, expected) in cases {
            assert_eq!(keys(kv, range), *expected, "{range:?}");
        }
    });
}

#[test]
fn keys_are_ordered_as_plain_bytes() {
    check(|kv| {
        let mut expected: Vec<Vec<u8>> = vec![
            vec![],
            vec![0],
            vec![0, 0],
            vec![0, 255],
            vec![1],
            vec![127, 255],
            vec![128],
            vec![255],
            vec![255, 0],
            vec![255; 40],
        ];
        let ops: Vec<Op> = expected
            .iter()
            .rev()
            .map(|key| put(Table::Due, key, b"v"))
            .collect();
        commit(kv, &ops);
        let snapshot = kv.snapshot().expect("snapshot");
        let found = |range: &Range| -> Vec<Vec<u8>> {
            let entries = rows(snapshot.as_ref(), range);
            entries.into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(found(&all(Table::Due)), expected);
        expected.reverse();
        assert_eq!(
            found(&Range {
                order: Order::Descending,
                ..all(Table::Due)
            }),
            expected
        );
    });
}
