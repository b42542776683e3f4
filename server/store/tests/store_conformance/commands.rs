//! The same commands over every store, and over a view that forgets: the same answers, the same rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use fastrand::Rng;
use sessiond_core::command::Command;
use sessiond_core::reply::Reply;
use sessiond_core::time::Now;
use sessiond_store::kv::{Kv, Table};
use sessiond_store::row;

use crate::ask::Asker;
use crate::check::{self, Tables};
use crate::world::{Habit, Outcome, World};
use crate::{dump, memory, redb};

/// Commands of one story.
const STEPS: usize = 220;
/// Steps between two looks at all the lists, which cost far more than a step.
const LISTS_EVERY: usize = 40;

type Story = Vec<(Command, Now, Outcome)>;

/// Makes up a story on a steady world and looks at its tables after every commit.
fn story(seed: u64, kv: Arc<dyn Kv>, seen: &mut BTreeSet<Table>) -> Story {
    let mut asker = Asker::new(seed);
    let mut world = World::new(kv, Habit::Steady);
    let mut story = Vec::new();
    for step in 0..STEPS {
        let (command, now) = asker.next(&world);
        let outcome = world.tell(&command, now);
        if let Ok(reply) = &outcome.answer {
            asker.hear(&command, reply);
            shown_is_read(&world, reply);
        }
        look(&world, step, seen);
        story.push((command, now, outcome));
    }
    story
}

/// Tells a story again.
fn retell(story: &Story, world: &mut World, seed: u64, mut look: impl FnMut(&World, usize)) {
    for (step, (command, now, outcome)) in story.iter().enumerate() {
        let again = world.tell(command, *now);
        let place = format!("seed {seed}, step {step}: {command:?}");
        assert_eq!(again.answer, outcome.answer, "{place}");
        assert_eq!(again.changes, outcome.changes, "{place}");
        look(world, step);
    }
    world.commit();
}

fn look(world: &World, step: usize, seen: &mut BTreeSet<Table>) {
    let changes = dump(&*world.kv);
    let ops = changes
        .iter()
        .map(|change| row::encode(change).expect("a change of its own table"));
    seen.extend(ops.map(|op| op.table));
    let tables = Tables::of(changes);
    let rows = world.store.reader().snapshot().expect("snapshot");
    check::indexes(&tables, &rows);
    if step.is_multiple_of(LISTS_EVERY) {
        check::lists(&tables, &rows);
    }
}

/// A session that a reply shows is the one that readers see, but for when its lease lapses.
fn shown_is_read(world: &World, reply: &Reply) {
    let (Reply::Opened { session: shown, .. } | Reply::Session { session: shown, .. }) = reply
    else {
        return;
    };
    let rows = world.store.reader().snapshot().expect("snapshot");
    let read = rows.session_view(shown.session.no).expect("session view");
    let mut read = read.expect("a session that was shown is on record");
    if let (Some(read), Some(shown)) = (&mut read.lease, &shown.lease) {
        read.expire_time = shown.expire_time;
    }
    assert_eq!(read, **shown);
}

#[test]
fn indexes_follow_from_rows_and_lists_from_both_whatever_is_asked() {
    let mut seen = BTreeSet::new();
    for seed in 0..24 {
        story(seed, memory(), &mut seen);
    }
    let unseen: Vec<Table> = Table::ALL
        .into_iter()
        .filter(|table| !seen.contains(table))
        .collect();
    assert_eq!(unseen, [], "the stories must fill every table");
}

#[test]
fn every_store_gives_the_same_answers_and_has_the_same_rows() {
    for seed in 0..3 {
        let mut seen = BTreeSet::new();
        let first = memory();
        let story = story(seed, Arc::clone(&first), &mut seen);
        let (second, _directory) = redb();
        let mut world = World::new(Arc::clone(&second), Habit::Steady);
        retell(&story, &mut world, seed, |world, step| {
            look(world, step, &mut seen);
        });
        assert_eq!(dump(&*second), dump(&*first), "seed {seed}");
    }
}

#[test]
fn a_view_that_forgets_decides_the_same() {
    for seed in 100..116 {
        let first = memory();
        let story = story(seed, Arc::clone(&first), &mut BTreeSet::new());
        for forgetting in 0..3 {
            let second = memory();
            let habit = Habit::Forgetful(Rng::with_seed(seed * 1_000 + forgetting));
            let mut world = World::new(Arc::clone(&second), habit);
            retell(&story, &mut world, seed, |_, _| {});
            assert_eq!(
                dump(&*second),
                dump(&*first),
                "seed {seed}, forgetting {forgetting}"
            );
        }
    }
}

#[test]
fn a_view_that_forgets_over_a_file_decides_the_same() {
    let seed = 200;
    let first = memory();
    let story = story(seed, Arc::clone(&first), &mut BTreeSet::new());
    let (second, _directory) = redb();
    let mut world = World::new(Arc::clone(&second), Habit::Forgetful(Rng::with_seed(seed)));
    retell(&story, &mut world, seed, |_, _| {});
    assert_eq!(dump(&*second), dump(&*first));
}
