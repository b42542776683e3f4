//! Whose turn it is.

use super::*;

fn key(queue_id: u64, delivery_id: u64) -> FlightKey {
    FlightKey {
        queue_id,
        delivery_id,
    }
}

fn start_all(lanes: &mut Lanes, limit: u32) -> Vec<u64> {
    let next = || lanes.start_next(|_| limit);
    std::iter::from_fn(next)
        .map(|key| key.delivery_id)
        .collect()
}

#[test]
fn lane_goes_one_by_one_in_its_order() {
    let mut lanes = Lanes::new(10);
    for id in [1, 2, 3] {
        lanes.push("a", key(1, id));
    }
    lanes.push("b", key(2, 9));
    assert_eq!(start_all(&mut lanes, 1), [1, 9]);
    lanes.finished("a");
    assert_eq!(start_all(&mut lanes, 1), [2]);
    lanes.finished("b");
    assert!(start_all(&mut lanes, 1).is_empty());
    lanes.finished("a");
    assert_eq!(start_all(&mut lanes, 1), [3]);
    lanes.finished("a");
    assert_eq!(lanes.running(), 0);
    assert!(lanes.lanes.is_empty());
}

#[test]
fn window_bounds_all_lanes_together() {
    let mut lanes = Lanes::new(2);
    for id in 1..=4 {
        lanes.push(&format!("s{id}"), key(id, id));
    }
    assert_eq!(start_all(&mut lanes, 1), [1, 2]);
    lanes.finished("s1");
    assert_eq!(start_all(&mut lanes, 1), [3]);
    lanes.finished("s2");
    lanes.finished("s3");
    assert_eq!(start_all(&mut lanes, 1), [4]);
}

#[test]
fn lane_may_be_wider() {
    let mut lanes = Lanes::new(10);
    for id in 1..=4 {
        lanes.push("a", key(1, id));
    }
    assert_eq!(start_all(&mut lanes, 3), [1, 2, 3]);
    lanes.finished("a");
    assert_eq!(start_all(&mut lanes, 3), [4]);
}

#[test]
fn what_is_removed_never_starts() {
    let mut lanes = Lanes::new(10);
    lanes.push("a", key(1, 1));
    lanes.push("a", key(1, 2));
    lanes.push("b", key(2, 3));
    lanes.remove("a", key(1, 1));
    lanes.remove("b", key(2, 3));
    lanes.remove("c", key(3, 4));
    assert_eq!(start_all(&mut lanes, 1), [2]);
}
