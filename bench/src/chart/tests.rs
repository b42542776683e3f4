//! Charts of made-up records: what is drawn, what is left out, and that it is a picture at all.

use std::collections::BTreeMap;

use super::*;
use crate::path::{Path, System};
use crate::record::Parameters;

const SYSTEMS_OF_ENQUEUE: usize = 7;

fn record(path: &str, system: System, repetition: usize) -> Record {
    // Far apart and never the same, so that whiskers have a length.
    let rate = 1_000.0 * (1 + repetition + system.name().len()) as f64;
    let facts = [
        ("stored_messages", 20_000.0),
        ("sessions", 100_000.0),
        ("messages", 1_000_000.0),
        ("resident_per_session_bytes", 812.0),
        // Nothing at all is a figure too.
        ("cpu_at_all_ms_per_s", 0.0),
        ("serving_again_median_s", 0.4),
        ("serving_again_slowest_s", 0.9),
    ];
    let facts = facts.map(|(name, value)| (name.to_owned(), value));
    Record {
        path: path.to_owned(),
        system: system.name().to_owned(),
        version: Some("1 <2> & \"3\"".to_owned()),
        parameters: Parameters {
            payload_bytes: 2_048,
            warm_up_ms: 300,
            duration_ms: 1_500,
        },
        repetition,
        operations: Some(1),
        rate: Some(rate),
        p50_us: Some(250),
        p99_us: Some(900),
        facts: BTreeMap::from(facts),
        unix_ms: 0,
        fdatasync_p50_us: 110 + repetition as u64,
    }
}

/// Every path on every system that has it, three times.
fn everything() -> Vec<Record> {
    let mut records = Vec::new();
    for path in Path::all() {
        for system in path.systems() {
            records.extend((1..=3).map(|at| record(&path.to_string(), system, at)));
        }
    }
    records
}

fn file(drawn: &Drawn, name: &str) -> String {
    let found = drawn.files.iter().find(|(file, _)| *file == name);
    found.unwrap().1.clone()
}

fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

/// The values of an attribute of all elements of a class.
fn numbers(text: &str, class: &str, attribute: &str) -> Vec<f64> {
    let elements = text.lines().filter(|line| line.contains(class));
    let value = |line: &str| {
        let from = line.split_once(&format!(" {attribute}=\"")).unwrap().1;
        from.split_once('"').unwrap().0.parse().unwrap()
    };
    elements.map(value).collect()
}

/// Fails unless every element is closed in its turn, every attribute quoted, and every `&` a reference.
#[track_caller]
fn assert_well_formed(text: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        assert!(!before.contains('>'), "`>` in {before:?}");
        let (tag, after) = after.split_once('>').unwrap();
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else {
            let inner = tag.trim_end_matches('/');
            let (name, attributes) = inner.split_once(' ').unwrap_or((inner, ""));
            let parts: Vec<&str> = attributes.split('"').collect();
            assert!(!parts.len().is_multiple_of(2), "quotes in {tag:?}");
            let (last, pairs) = parts.split_last().unwrap();
            assert!(last.is_empty(), "{tag:?}");
            let mut names = pairs.iter().step_by(2);
            assert!(names.all(|name| name.ends_with('=')), "{tag:?}");
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
        rest = after;
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
    let known = ["amp;", "lt;", "gt;", "quot;"];
    for (at, _) in text.match_indices('&') {
        let reference = &text[at + 1..];
        assert!(known.iter().any(|known| reference.starts_with(known)));
    }
}

#[test]
fn a_whole_run_is_drawn_whole() {
    let drawn = draw(&everything());
    assert!(drawn.left_out.is_empty(), "{:?}", drawn.left_out);
    let bars = drawn.files.iter().map(|(name, text)| {
        assert_well_formed(text);
        (*name, count(text, "class=\"bar\""))
    });
    let bars: Vec<(&str, usize)> = bars.collect();
    let expected = [
        ("enqueue.svg", 4 * SYSTEMS_OF_ENQUEUE),
        // Streams on 3 systems, claims and wake-ups on 5 each.
        ("streams.svg", 4 * 3 + 5 + 5),
        ("growth.svg", 4 * 2),
    ];
    assert_eq!(bars, expected);
}

#[test]
fn every_chart_says_what_it_is_read_with() {
    for (name, text) in draw(&everything()).files {
        for said in [
            "medians",
            "from the least to the most",
            "fdatasync p50, 4 KiB appended: 112 µs (111 µs to 113 µs)",
            "all synced before the answer",
            "3 repetitions",
            "1.50 s after 300 ms of warm-up",
        ] {
            assert!(text.contains(said), "{name} does not say {said:?}");
        }
        for outside in ["href", "url(", "<script", "<style", "@import"] {
            assert!(!text.contains(outside), "{name} has {outside}");
        }
        assert!(!text.contains("NaN") && !text.contains("inf"), "{name}");
    }
}

#[test]
fn bars_and_whiskers_stay_inside() {
    for (name, text) in draw(&everything()).files {
        for (x, length) in numbers(&text, "class=\"bar\"", "x")
            .into_iter()
            .zip(numbers(&text, "class=\"bar\"", "width"))
        {
            assert!(
                x > 0.0 && length >= 0.0 && x + length < 800.0,
                "{name}: {x} {length}"
            );
        }
        let least = numbers(&text, "class=\"whisker\"", "x1");
        let most = numbers(&text, "class=\"whisker\"", "x2");
        assert!(!least.is_empty(), "{name} has no whisker");
        for (least, most) in least.into_iter().zip(most) {
            assert!(
                0.0 < least && least < most && most < 800.0,
                "{name}: {least} {most}"
            );
        }
    }
}

#[test]
fn the_longest_whisker_of_a_panel_has_the_whole_scale() {
    let records = [10.0, 20.0, 40.0].map(|rate| Record {
        rate: Some(rate),
        ..record("enqueue/2KiB/1", System::Sessiond, 1)
    });
    let text = file(&draw(&records), "enqueue.svg");
    let zero = numbers(&text, "class=\"bar\"", "x")[0];
    let median = numbers(&text, "class=\"bar\"", "width")[0];
    let [least, most] = ["x1", "x2"].map(|end| numbers(&text, "\"whisker\"", end)[0] - zero);
    let ratio = |a: f64, b: f64| (a / b * 10.0).round() / 10.0;
    assert_eq!((ratio(median, least), ratio(most, least)), (2.0, 4.0));
}

#[test]
fn growth_is_told_where_there_is_something_to_grow() {
    let mut records = everything();
    for record in &mut records {
        if record.path == "restart/10x" {
            let median = "serving_again_median_s".to_owned();
            record.facts.insert(median, 0.6);
        }
    }
    let text = file(&draw(&records), "growth.svg");
    assert_eq!(count(&text, "10x / 1x"), 3);
    assert!(text.contains("10x / 1x: 1.50"), "{text}");
}

#[test]
fn systems_that_are_missing_have_no_bar() {
    let mut records = everything();
    records.retain(|record| record.system != "etcd");
    // One repetition of another fails: it is drawn, and said.
    records.retain(|record| record.system != "redis" || record.repetition > 1);
    let text = file(&draw(&records), "enqueue.svg");
    assert_eq!(count(&text, "class=\"bar\""), 4 * (SYSTEMS_OF_ENQUEUE - 1));
    assert_eq!(count(&text, ">etcd<"), 0);
    assert!(text.contains("2 to 3 repetitions"), "{text}");
    assert_well_formed(&text);
}

#[test]
fn what_has_no_data_is_left_out_by_name() {
    let records = [
        record("enqueue/2KiB/64", System::Sessiond, 1),
        record("wake", System::Noop, 1),
        record("restart/1x", System::Sessiond, 1),
    ];
    let drawn = draw(&records);
    let names: Vec<&str> = drawn.files.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["enqueue.svg"]);
    let told = drawn.left_out.join("\n");
    for missing in ["enqueue/2KiB/256", "streams.svg", "growth.svg"] {
        assert!(told.contains(missing), "{told}");
    }
    assert!(!told.contains("enqueue/2KiB/64"), "{told}");
}

#[test]
fn a_file_is_drawn_as_it_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let (lines, out) = (
        directory.path().join("x.jsonl"),
        directory.path().join("a/b"),
    );
    let encode = |record: &Record| serde_json::to_string(record).unwrap() + "\n";
    let records = everything();
    fs::write(&lines, records.iter().map(encode).collect::<String>()).unwrap();
    of_file(&lines, &out).unwrap();
    for (name, text) in draw(&records).files {
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), text);
    }
}

#[test]
fn what_is_no_record_is_an_error_and_so_is_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let lines = directory.path().join("x.jsonl");
    let good = serde_json::to_string(&record("wake", System::Sessiond, 1)).unwrap();
    let error = |text: &str| {
        fs::write(&lines, text).unwrap();
        let error = of_file(&lines, directory.path()).unwrap_err();
        format!("{error:#}")
    };
    let broken = error(&format!("{good}\n\n{{\"path\":\"wake\"}}\n"));
    assert!(broken.contains("line 3 is no record"), "{broken}");
    assert!(broken.contains("x.jsonl"), "{broken}");
    assert!(error(&good[1..]).contains("line 1 is no record"));
    let other = serde_json::to_string(&record("open/1", System::Sessiond, 1)).unwrap();
    for nothing in ["", "\n", &other] {
        assert!(error(nothing).contains("no record is one that is drawn"));
    }
    assert!(of_file(&directory.path().join("none"), directory.path()).is_err());
}
