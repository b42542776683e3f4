//! What people read: every path with its systems, what else was found, and the goals.
//!
//! Invariant: every figure is a median with its extremes, and says over how many repetitions. What it
//! deliberately does not do: hide what failed or was left out.

use std::collections::BTreeSet;

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use crate::goals::{GOALS, Spread, Verdict};
use crate::record::Record;
use crate::run::Report;

/// What stands between two columns.
const GAP: u16 = 2;
/// The system the others are compared with.
const OURS: &str = "sessiond";

/// The whole text.
pub(crate) fn summary(records: &[Record], report: &Report) -> String {
    let mut text = String::new();
    text += &rates(records);
    text += "\n";
    text += &facts(records);
    text += "\n";
    text += &goals(records);
    text += "\n";
    text += &notes(records, report);
    text
}

fn rates(records: &[Record]) -> String {
    let mut rows = Vec::new();
    for (path, system) in pairs(records) {
        let some = of(records, path, system);
        let Some(rate) = Spread::of(some.iter().filter_map(|record| record.rate)) else {
            continue;
        };
        let p50 = some.iter().filter_map(|record| record.p50_us);
        let p99 = some.iter().filter_map(|record| record.p99_us);
        rows.push(vec![
            path.to_owned(),
            system.to_owned(),
            spread(Some(rate)),
            micros(p50),
            micros(p99),
            spread(Spread::of(times_ours(records, path, &some))),
            some.len().to_string(),
        ]);
    }
    let headers = [
        "path",
        "system",
        "per second",
        "p50",
        "p99",
        "sessiond / it",
        "n",
    ];
    table(&headers, rows)
}

/// How many times as fast ours was, in each repetition.
fn times_ours<'a>(
    records: &'a [Record],
    path: &'a str,
    theirs: &'a [&Record],
) -> impl Iterator<Item = f64> + 'a {
    theirs.iter().filter_map(move |their| {
        let our = records.iter().find(|our| {
            our.path == path && our.system == OURS && our.repetition == their.repetition
        })?;
        let is_ours = their.system == OURS;
        (!is_ours).then_some(our.rate? / their.rate?)
    })
}

fn facts(records: &[Record]) -> String {
    let mut rows = Vec::new();
    for (path, system) in pairs(records) {
        let some = of(records, path, system);
        let names: BTreeSet<&str> = some
            .iter()
            .flat_map(|record| record.facts.keys().map(String::as_str))
            .collect();
        for name in names {
            let values = some
                .iter()
                .filter_map(|record| record.facts.get(name).copied());
            rows.push(vec![
                path.to_owned(),
                system.to_owned(),
                name.to_owned(),
                spread(Spread::of(values)),
            ]);
        }
    }
    table(&["path", "system", "beside", "value"], rows)
}

fn goals(records: &[Record]) -> String {
    let measured = |path: &str| records.iter().any(|record| record.path == path);
    let rows = GOALS.iter().filter(|goal| measured(goal.path)).map(|goal| {
        let figure = goal.figure(records);
        let verdict = match goal.verdict(figure) {
            Verdict::Held => "held",
            Verdict::Missed => "MISSED",
            Verdict::Reported => "-",
            Verdict::NotMeasured => "not measured",
        };
        vec![
            goal.path.to_owned(),
            goal.what.to_owned(),
            goal.bound(number),
            spread(figure),
            verdict.to_owned(),
        ]
    });
    let headers = ["path", "figure", "goal", "measured", "at 0.85 of it"];
    table(&headers, rows.collect())
}

fn notes(records: &[Record], report: &Report) -> String {
    let mut text = String::new();
    let disk = records.iter().map(|record| record.fdatasync_p50_us);
    text += &format!("fdatasync of 4 KiB appended, p50: {}\n", micros(disk));
    for (kind, durability) in &report.durability {
        text += &format!("{kind} {durability}\n");
    }
    for (kind, why) in &report.left_out {
        text += &format!("LEFT OUT: {kind}: {why}\n");
    }
    for failure in &report.failures {
        text += &format!("FAILED: {failure}\n");
    }
    text
}

/// Every path and system in the order they were first measured, the systems of a path together.
fn pairs(records: &[Record]) -> Vec<(&str, &str)> {
    let mut paths: Vec<&str> = Vec::new();
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for record in records {
        if !paths.contains(&record.path.as_str()) {
            paths.push(&record.path);
        }
        let pair = (record.path.as_str(), record.system.as_str());
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    let place = |path: &str| paths.iter().position(|known| *known == path);
    // Ours first: the others are read against it.
    pairs.sort_by_key(|(path, system)| (place(path), *system != OURS, *system != "noop"));
    pairs
}

fn of<'a>(records: &'a [Record], path: &str, system: &str) -> Vec<&'a Record> {
    records
        .iter()
        .filter(|record| record.path == path && record.system == system)
        .collect()
}

fn table(headers: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(headers);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    table.trim_fmt() + "\n"
}

fn spread(spread: Option<Spread>) -> String {
    spread.map_or_else(
        || "-".to_owned(),
        |Spread {
             median,
             least,
             most,
         }| { format!("{} [{}-{}]", number(median), number(least), number(most)) },
    )
}

fn micros(values: impl Iterator<Item = u64>) -> String {
    let Some(Spread { median, .. }) = Spread::of(values.map(|us| us as f64)) else {
        return "-".to_owned();
    };
    if median < 1_000.0 {
        format!("{median:.0} us")
    } else {
        format!("{:.2} ms", median / 1_000.0)
    }
}

/// A figure with three digits that matter.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{:.2}M", value / 1e6),
        size if size >= 1e5 => format!("{:.0}k", value / 1e3),
        size if size >= 1e4 => format!("{:.1}k", value / 1e3),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::PeerKind;

    #[test]
    fn figures_keep_three_digits() {
        let all = [0.0, 0.456, 12.34, 123.4, 45_678.0, 345_678.0, 2_345_678.0].map(number);
        assert_eq!(
            all,
            ["0.00", "0.46", "12.3", "123", "45.7k", "346k", "2.35M"]
        );
        assert_eq!(micros([999].into_iter()), "999 us");
        assert_eq!(micros([1_000, 3_000].into_iter()), "2.00 ms");
        assert_eq!(micros([].into_iter()), "-");
    }

    #[test]
    fn what_failed_and_what_was_left_out_is_told() {
        let mut report = Report::default();
        report.failures.push("wake on etcd: why".to_owned());
        report
            .left_out
            .insert(PeerKind::Redis, "no such program".to_owned());
        let text = summary(&[], &report);
        assert!(text.contains("FAILED: wake on etcd: why"), "{text}");
        assert!(text.contains("LEFT OUT: redis: no such program"), "{text}");
    }
}
