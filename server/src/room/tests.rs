//! The mark to the byte, both ways, and when the ballast is made.

use std::path::Path;
use std::sync::Mutex;

use sessiond_store::data_dir::OpenError;
use sessiond_store::kv::redb::Identity;

use super::*;
use crate::env::Opened;

const MIB: u64 = 1 << 20;

fn gauge(min_free: Option<u64>) -> Gauge {
    Gauge {
        min_free,
        shortage: None,
    }
}

fn free(free: u64) -> Space {
    Space { free, growth: 0 }
}

#[test]
fn the_mark_counts_to_the_byte_and_an_eighth_more_ends_it() {
    let mut gauge = gauge(Some(800));
    assert_eq!(gauge.judge(free(800)), None);
    let short = Shortage {
        free: 799,
        mark: 800,
        enough: 900,
    };
    assert_eq!(gauge.judge(free(799)), Some(short));
    let still = Shortage { free: 899, ..short };
    assert_eq!(gauge.judge(free(899)), Some(still));
    assert_eq!(gauge.judge(free(900)), None);
    assert_eq!(gauge.judge(free(800)), None, "it is over");
    assert_eq!(gauge.judge(free(799)), Some(short));
}

#[test]
fn a_file_that_may_grow_by_more_raises_the_mark() {
    let mut gauge = gauge(Some(800));
    let space = |free, growth| Space { free, growth };
    assert_eq!(gauge.judge(space(1_600, 1_600)), None);
    let short = gauge.judge(space(1_599, 1_600)).expect("it is short");
    assert_eq!((short.mark, short.enough), (1_600, 1_800));
    assert_eq!(gauge.judge(space(900, 800)), None, "it was compacted");
}

#[test]
fn without_a_mark_whatever_is_free_is_enough() {
    let mut gauge = gauge(None);
    let space = Space {
        free: 0,
        growth: u64::MAX,
    };
    assert_eq!(gauge.judge(space), None);
}

#[test]
fn ballast_is_made_where_neither_the_mark_nor_the_next_start_takes_it_back() {
    let marked = gauge(Some(800 * MIB));
    assert!(!marked.can_spare(free(964 * MIB - 1), 64 * MIB));
    assert!(marked.can_spare(free(964 * MIB), 64 * MIB));
    let unmarked = gauge(None);
    assert!(!unmarked.can_spare(free(128 * MIB - 1), 64 * MIB));
    assert!(unmarked.can_spare(free(128 * MIB), 64 * MIB));
    let mut short = gauge(Some(800 * MIB));
    short.judge(free(0));
    assert!(!short.can_spare(free(900 * MIB + 64 * MIB), 64 * MIB));
}

/// A disk that has never been opened, and has ballast made on it as it is told.
#[derive(Debug, Default)]
struct Bare {
    /// How often ballast was asked for.
    asked: Mutex<u32>,
    is_stubborn: bool,
}

impl Disk for Bare {
    fn open(&self, _directory: &Path, _identity: &Identity) -> Result<Opened, OpenError> {
        unreachable!("nobody opens it")
    }

    fn space(&self, _directory: &Path) -> io::Result<Space> {
        unreachable!("what is seen is given")
    }

    fn lay_ballast(&self, _directory: &Path) -> io::Result<()> {
        *self.asked.lock().expect("one thread") += 1;
        if self.is_stubborn {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(())
    }
}

/// Who watches it, and what it is asked.
fn watch(is_stubborn: bool) -> (Watch, Arc<Bare>) {
    let disk = Arc::new(Bare {
        is_stubborn,
        ..Bare::default()
    });
    let watch = Watch::new(
        Arc::clone(&disk) as Arc<dyn Disk>,
        "d".into(),
        Some(8 * MIB),
    );
    (watch, disk)
}

fn asked(disk: &Bare) -> u32 {
    *disk.asked.lock().expect("one thread")
}

#[test]
fn ballast_is_made_once_and_again_after_a_shortage() {
    let (mut watch, disk) = watch(false);
    watch.keep_ballast();
    assert_eq!(asked(&disk), 0, "nothing was seen yet");
    watch.take(Ok(free(7 * MIB)));
    watch.keep_ballast();
    assert_eq!(asked(&disk), 0, "there is no room");
    for _ in 0..2 {
        watch.take(Ok(free(128 * MIB)));
        watch.keep_ballast();
        assert_eq!(asked(&disk), 1);
    }
    watch.take(Ok(free(7 * MIB)));
    watch.take(Ok(free(128 * MIB)));
    watch.keep_ballast();
    assert_eq!(asked(&disk), 2, "somebody may have removed it to make room");
}

#[test]
fn ballast_that_cannot_be_made_is_tried_again_later() {
    let (mut watch, disk) = watch(true);
    watch.take(Ok(free(128 * MIB)));
    for _ in 0..=BALLAST_RETRY_LOOKS {
        watch.keep_ballast();
        assert_eq!(asked(&disk), 1);
    }
    watch.keep_ballast();
    assert_eq!(asked(&disk), 2);
}

#[test]
fn a_disk_that_cannot_be_asked_stays_as_it_was() {
    let (mut watch, disk) = watch(false);
    watch.take(Err(io::ErrorKind::TimedOut.into()));
    assert_eq!(watch.gauge.shortage, None);
    watch.keep_ballast();
    assert_eq!(asked(&disk), 0, "it was not seen to have room");
    watch.take(Ok(free(7 * MIB)));
    let short = watch.gauge.shortage;
    assert!(short.is_some());
    watch.take(Err(io::ErrorKind::TimedOut.into()));
    assert_eq!(watch.gauge.shortage, short);
}
