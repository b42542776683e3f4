//! Turns: how many releases are under way, here and on nodes, and whether one more may begin.
//!
//! Invariant: what is under way on nodes takes no turn of this machine, whatever becomes of their agents, and one node
//! leaves turns for the others. Retries take a part of the turns at most, so that they never hold up what is new. Where
//! there was no turn is remembered, so that nobody need look for who is next before there is one. What this deliberately does
//! not do: choose who that is.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use sessiond_core::node::NodeKey;

use crate::limits::{
    NODE_RELEASES_AT_ONCE, NODE_RETRIES_AT_ONCE, NODES_RELEASES_AT_ONCE, NODES_RETRIES_AT_ONCE,
    RELEASE_RETRIES_AT_ONCE, RELEASES_AT_ONCE,
};

/// The turns that are taken.
#[derive(Debug, Default)]
pub(super) struct Turns {
    here: Taken,
    on_nodes: Taken,
    /// Nodes without any have no entry.
    by_node: BTreeMap<NodeKey, Taken>,
    wanted: Wanted,
}

/// Turns that there were not: on which machine, and whether for a retry.
#[derive(Debug, Default)]
pub(super) struct Wanted(BTreeSet<(Option<NodeKey>, bool)>);

/// Turns that are taken somewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Taken {
    all: usize,
    /// Those of them that are retries.
    retries: usize,
}

impl Turns {
    /// Takes a turn on a machine, which is this one if it is no node; answers whether there was one.
    pub(super) fn take(&mut self, node: Option<&NodeKey>, again: bool) -> bool {
        if !self.has(node, again) {
            self.wanted.0.insert((node.cloned(), again));
            return false;
        }
        match node {
            None => self.here.add(again),
            Some(node) => {
                self.on_nodes.add(again);
                self.by_node.entry(node.clone()).or_default().add(again);
            }
        }
        true
    }

    fn has(&self, node: Option<&NodeKey>, again: bool) -> bool {
        let Some(node) = node else {
            return self
                .here
                .leaves(RELEASES_AT_ONCE, RELEASE_RETRIES_AT_ONCE, again);
        };
        let of_node = self.by_node.get(node).copied().unwrap_or_default();
        of_node.leaves(NODE_RELEASES_AT_ONCE, NODE_RETRIES_AT_ONCE, again)
            && self
                .on_nodes
                .leaves(NODES_RELEASES_AT_ONCE, NODES_RETRIES_AT_ONCE, again)
    }

    /// The turns that were wanted since this was asked last.
    pub(super) fn wanted(&mut self) -> Wanted {
        mem::take(&mut self.wanted)
    }

    /// Goes on remembering turns that were wanted.
    pub(super) fn still_wanted(&mut self, wanted: Wanted) {
        self.wanted.0.extend(wanted.0);
    }

    /// Whether there is one of these turns now.
    pub(super) fn serve(&self, wanted: &Wanted) -> bool {
        let mut wanted = wanted.0.iter();
        wanted.any(|(node, again)| self.has(node.as_ref(), *again))
    }

    /// Gives back a turn that was taken so.
    pub(super) fn give_back(&mut self, node: Option<&NodeKey>, again: bool) {
        let Some(node) = node else {
            self.here.remove(again);
            return;
        };
        self.on_nodes.remove(again);
        if let Some(of_node) = self.by_node.get_mut(node) {
            of_node.remove(again);
            if *of_node == Taken::default() {
                self.by_node.remove(node);
            }
        }
    }
}

impl Taken {
    /// Whether of so many turns, and of so many for retries, one is left.
    fn leaves(self, all: usize, retries: usize, again: bool) -> bool {
        self.all < all && (!again || self.retries < retries)
    }

    fn add(&mut self, again: bool) {
        self.all += 1;
        self.retries += usize::from(again);
    }

    fn remove(&mut self, again: bool) {
        self.all -= 1;
        self.retries -= usize::from(again);
    }
}

#[cfg(test)]
mod tests {
    use sessiond_core::ids::{Namespace, NodeName};

    use super::*;

    fn node(number: usize) -> NodeKey {
        let namespace = Namespace::parse("default").expect("a name");
        let name = NodeName::parse(format!("node-{number}")).expect("a name");
        (namespace, name)
    }

    /// Takes turns until there is none; answers how many there were.
    fn take_all(turns: &mut Turns, node: Option<&NodeKey>, again: bool) -> usize {
        let mut taken = 0;
        while turns.take(node, again) {
            taken += 1;
        }
        taken
    }

    #[test]
    fn nodes_take_no_turn_of_this_machine() {
        let mut turns = Turns::default();
        let mut taken = 0;
        for number in 0..NODES_RELEASES_AT_ONCE {
            taken += take_all(&mut turns, Some(&node(number)), true);
            taken += take_all(&mut turns, Some(&node(number)), false);
        }
        assert_eq!(
            taken, NODES_RELEASES_AT_ONCE,
            "they have a bound of their own"
        );
        let retries = take_all(&mut turns, None, true);
        assert_eq!(retries, RELEASE_RETRIES_AT_ONCE);
        assert_eq!(
            retries + take_all(&mut turns, None, false),
            RELEASES_AT_ONCE
        );
    }

    #[test]
    fn a_node_leaves_turns_for_the_others_and_gets_back_what_it_gives_back() {
        let mut turns = Turns::default();
        let [one, other] = [node(1), node(2)];
        assert_eq!(take_all(&mut turns, Some(&one), true), NODE_RETRIES_AT_ONCE);
        let rest = NODE_RELEASES_AT_ONCE - NODE_RETRIES_AT_ONCE;
        assert_eq!(take_all(&mut turns, Some(&one), false), rest);
        assert_eq!(
            take_all(&mut turns, Some(&other), false),
            NODE_RELEASES_AT_ONCE
        );
        turns.give_back(Some(&one), true);
        turns.give_back(Some(&one), false);
        assert_eq!(take_all(&mut turns, Some(&one), true), 1);
        assert_eq!(take_all(&mut turns, Some(&one), false), 1);
        assert_eq!(take_all(&mut turns, Some(&other), false), 0);
    }

    #[test]
    fn what_had_no_turn_is_served_by_the_turn_that_it_wanted_and_by_no_other() {
        let mut turns = Turns::default();
        let [one, other] = [node(1), node(2)];
        take_all(&mut turns, None, false);
        take_all(&mut turns, Some(&one), true);
        turns.take(Some(&other), false);
        let wanted = turns.wanted();
        assert!(!turns.serve(&wanted), "all are taken");
        turns.give_back(Some(&other), false);
        assert!(!turns.serve(&wanted), "nobody wanted that");
        turns.give_back(Some(&one), true);
        assert!(turns.serve(&wanted));
        assert!(turns.take(Some(&one), true));
        turns.give_back(None, false);
        assert!(turns.serve(&wanted));
        let since = turns.wanted();
        assert!(!turns.serve(&since), "all of it was told before");
        turns.still_wanted(wanted);
        let wanted = turns.wanted();
        assert!(turns.serve(&wanted));
    }
}
