//! The spool through its own interface, on a real directory: order, bound, torn ends, concurrent
//! writers.
//!
//! Invariant: what a test says about the format on disk it says by damaging it. What it
//! deliberately does not do: send anything.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use super::*;

struct Place {
    state: tempfile::TempDir,
    spool: Spool,
}

impl Place {
    fn new() -> Self {
        Self::with_bound(SPOOL_BYTES_MAX)
    }

    fn with_bound(bytes_max: u64) -> Self {
        let state = tempfile::tempdir().unwrap();
        let spool = Spool::with_bound(state.path(), bytes_max).unwrap();
        Self { state, spool }
    }

    #[track_caller]
    fn append(&self, session: &str, key: &str) {
        let event = format!(r#"{{"n":"{key}"}}"#);
        self.spool
            .append(&owner(session), &record(key, &event), patience())
            .unwrap();
    }

    /// Reads the keys of a session until `keep` says no; those before it are done with.
    #[track_caller]
    fn drain(&self, session: &str, mut keep: impl FnMut(&str) -> bool) -> (Vec<String>, Drained) {
        let mut keys = Vec::new();
        let flusher = self.spool.flusher().unwrap().expect("nobody else");
        let drained = block_on(flusher.drain(
            &owner(session),
            patience(),
            async |record: &Record<'_>| {
                if keep(&record.key) {
                    return Verdict::Keep;
                }
                keys.push(record.key.clone());
                Verdict::Done
            },
            |line| panic!("broken: {line}"),
        ));
        (keys, drained.unwrap())
    }

    fn only_file(&self) -> PathBuf {
        let mut paths = self.spool.paths().unwrap();
        assert_eq!(paths.len(), 1);
        paths.remove(0)
    }

    fn damage(&self, bytes: &[u8]) {
        let file = OpenOptions::new().append(true).open(self.only_file());
        file.unwrap().write_all(bytes).unwrap();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

fn patience() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn owner(session: &str) -> Owner {
    Owner {
        addr: "http://127.0.0.1:7377".to_owned(),
        namespace: "default".to_owned(),
        session: session.to_owned(),
    }
}

fn record<'a>(key: &str, event: &'a str) -> Record<'a> {
    Record {
        time: SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789),
        key: key.to_owned(),
        event,
    }
}

#[test]
fn a_record_comes_back_as_it_was() {
    let place = Place::new();
    let event = "{\n \"a\" :\r\n1.0,\"b\":\"\\n\\ud83d\"}";
    let kept = record("k\"1", event);
    place.spool.append(&owner("s"), &kept, patience()).unwrap();
    let flusher = place.spool.flusher().unwrap().unwrap();
    let mut seen = 0;
    let check = async |found: &Record<'_>| {
        assert_eq!(found.event, "{  \"a\" :  1.0,\"b\":\"\\n\\ud83d\"}");
        assert_eq!((found.time, &found.key), (kept.time, &kept.key));
        seen += 1;
        Verdict::Done
    };
    let drained = block_on(flusher.drain(&owner("s"), patience(), check, |_| panic!()));
    assert_eq!(drained.unwrap(), Drained::Empty);
    assert_eq!(seen, 1);
}

#[test]
fn order_is_kept_and_what_is_sent_is_gone() {
    let place = Place::new();
    assert!(!place.spool.has(&owner("s")));
    for key in ["1", "2", "3"] {
        place.append("s", key);
    }
    assert!(place.spool.has(&owner("s")));
    let (keys, drained) = place.drain("s", |key| key == "2");
    assert_eq!((keys, drained), (vec!["1".to_owned()], Drained::Left));
    place.append("s", "4");
    let (keys, drained) = place.drain("s", |_| false);
    assert_eq!(keys, ["2", "3", "4"]);
    assert_eq!(drained, Drained::Empty);
    assert!(!place.spool.has(&owner("s")));
    assert!(place.spool.waiting().unwrap().is_empty());
    assert_eq!(place.drain("s", |_| false), (vec![], Drained::Empty));
}

#[test]
fn an_old_mark_means_nothing_to_a_new_file() {
    let place = Place::new();
    place.append("s", "1");
    place.append("s", "2");
    place.drain("s", |key| key == "2");
    let mark = place.only_file().with_extension("sent");
    let stale = fs::read(&mark).unwrap();
    place.drain("s", |_| false);
    assert!(!mark.exists());
    place.append("s", "3");
    fs::write(&mark, stale).unwrap();
    assert_eq!(place.drain("s", |_| false).0, ["3"]);
}

#[test]
fn a_damaged_mark_repeats_and_loses_nothing() {
    let place = Place::new();
    place.append("s", "1");
    place.append("s", "2");
    place.drain("s", |key| key == "2");
    fs::write(place.only_file().with_extension("sent"), b"\0\0\0").unwrap();
    assert_eq!(place.drain("s", |_| false).0, ["1", "2"]);
}

#[test]
fn a_torn_line_is_ignored_and_then_overwritten() {
    let place = Place::new();
    place.append("s", "1");
    place.damage(br#"{"time":"2026-11-20T00:00:00Z","key":"torn","ev"#);
    assert_eq!(place.drain("s", |key| key == "1").0, Vec::<String>::new());
    place.append("s", "2");
    assert_eq!(place.drain("s", |_| false).0, ["1", "2"]);
    place.append("s", "3");
    place.damage(&vec![b'x'; 200_000]);
    assert_eq!(place.drain("s", |_| false).0, ["3"]);
    assert!(!place.spool.has(&owner("s")), "a torn rest holds nothing");
}

#[test]
fn a_torn_header_is_no_file() {
    let place = Place::new();
    place.append("s", "1");
    let path = place.only_file();
    let whole = fs::read(&path).unwrap();
    for length in [0, 1, 40] {
        fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(place.drain("s", |_| false), (vec![], Drained::Empty));
        place.append("s", "2");
        assert_eq!(place.drain("s", |_| false).0, ["2"], "{length}");
    }
}

#[test]
fn a_line_that_is_no_record_is_told_and_passed_over() {
    let place = Place::new();
    place.append("s", "1");
    place.damage(b"not a record\n");
    place.append("s", "2");
    let flusher = place.spool.flusher().unwrap().unwrap();
    let (mut keys, mut broken) = (Vec::new(), Vec::new());
    let take = async |record: &Record<'_>| {
        keys.push(record.key.clone());
        Verdict::Done
    };
    let tell = |line: &str| broken.push(line.to_owned());
    block_on(flusher.drain(&owner("s"), patience(), take, tell)).unwrap();
    assert_eq!(keys, ["1", "2"]);
    assert_eq!(broken, ["not a record"]);
}

#[test]
fn the_bound_holds_over_all_sessions() {
    let place = Place::with_bound(2000);
    let mut kept = 0;
    let refused = loop {
        let session = if kept % 2 == 0 { "even" } else { "odd" };
        let event = format!("{:?}", "x".repeat(100));
        match place
            .spool
            .append(&owner(session), &record("k", &event), patience())
        {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, SpoolError::Full { used } if used <= 2000));
    assert!(kept > 4, "{kept}");
    place.drain("even", |_| false);
    place.append("odd", "fits again");
}

#[test]
fn the_sent_beginning_of_a_long_file_is_dropped() {
    let place = Place::new();
    let long = format!("{:?}", "x".repeat(400_000));
    for key in ["1", "2", "3", "4"] {
        let kept = record(key, &long);
        place.spool.append(&owner("s"), &kept, patience()).unwrap();
    }
    let size = || fs::metadata(place.only_file()).unwrap().len();
    let before = size();
    place.drain("s", |key| key == "2");
    assert_eq!(size(), before, "not worth it yet");
    place.drain("s", |key| key == "4");
    assert!(size() < 500_000, "{}", size());
    place.append("s", "5");
    assert_eq!(place.drain("s", |_| false).0, ["4", "5"]);
}

#[test]
fn what_is_appended_while_sending_is_sent_too() {
    let place = Place::new();
    place.append("s", "1");
    let mut more = vec!["3", "2"];
    let (keys, drained) = place.drain("s", |_| {
        if let Some(key) = more.pop() {
            place.append("s", key);
        }
        false
    });
    assert_eq!(keys, ["1", "2", "3"]);
    assert_eq!(drained, Drained::Empty);
}

#[test]
fn one_sends_at_a_time() {
    let place = Place::new();
    let first = place.spool.flusher().unwrap();
    assert!(first.is_some());
    assert!(place.spool.flusher().unwrap().is_none());
    drop(first);
    assert!(place.spool.flusher().unwrap().is_some());
}

#[test]
fn who_cannot_wait_is_told() {
    let place = Place::new();
    let _held = place.spool.lock(patience()).unwrap();
    let refused = place
        .spool
        .append(&owner("s"), &record("1", "{}"), Instant::now());
    assert!(matches!(refused, Err(SpoolError::Busy)));
}

#[test]
fn concurrent_writers_mix_nothing() {
    const WRITERS: usize = 8;
    const EACH: usize = 25;
    let place = Place::new();
    let barrier = Barrier::new(WRITERS);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (place, barrier) = (&place, &barrier);
            scope.spawn(move || {
                barrier.wait();
                // A spool of its own, as every process has.
                let spool = Spool::open(place.state.path()).unwrap();
                for number in 0..EACH {
                    let event = format!("{:?}", "y".repeat(number * 300));
                    let key = format!("{writer}/{number}");
                    let kept = record(&key, &event);
                    spool.append(&owner("s"), &kept, patience()).unwrap();
                }
            });
        }
    });
    let (keys, _) = place.drain("s", |_| false);
    assert_eq!(keys.len(), WRITERS * EACH);
    for writer in 0..WRITERS {
        let own: Vec<String> = (0..EACH)
            .map(|number| format!("{writer}/{number}"))
            .collect();
        let prefix = format!("{writer}/");
        let found: Vec<&String> = keys.iter().filter(|key| key.starts_with(&prefix)).collect();
        assert_eq!(found, own.iter().collect::<Vec<_>>());
    }
}

#[test]
fn sessions_and_servers_are_apart() {
    let place = Place::new();
    place.append("a", "1");
    place.append("b", "2");
    let elsewhere = Owner {
        namespace: "other".to_owned(),
        ..owner("a")
    };
    place
        .spool
        .append(&elsewhere, &record("3", "{}"), patience())
        .unwrap();
    let waiting = place.spool.waiting().unwrap();
    let mut found: Vec<(Owner, u64)> = waiting
        .into_iter()
        .map(|one| (one.owner, one.events))
        .collect();
    found.sort_by_key(|(owner, _)| (owner.namespace.clone(), owner.session.clone()));
    assert_eq!(found, [(owner("a"), 1), (owner("b"), 1), (elsewhere, 1)]);
    assert_eq!(place.drain("a", |_| false).0, ["1"]);
    assert_eq!(place.drain("b", |_| false).0, ["2"]);
}

#[test]
fn a_file_of_another_session_is_not_touched() {
    let place = Place::new();
    place.append("a", "1");
    let path = place.only_file();
    let other = place.spool.file(&owner("b"));
    fs::copy(
        &path,
        place
            .spool
            .directory
            .join(format!("{:016x}.jsonl", owner("b").hash())),
    )
    .unwrap();
    assert!(other.exists());
    let refused = place
        .spool
        .append(&owner("b"), &record("2", "{}"), patience());
    assert!(matches!(refused, Err(SpoolError::Foreign(_))));
}

#[test]
fn files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.append("a", "1");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.only_file()) & 0o077, 0);
    assert_eq!(mode(&place.spool.directory) & 0o077, 0);
}
