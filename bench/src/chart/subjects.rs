//! What is drawn: each chart's paths, panels and words.
//!
//! Invariant: a panel has a bar of sessiond's or is left out by name, and systems stand in the same order
//! everywhere. What it deliberately does not do: place anything.

use std::collections::BTreeSet;

use super::figures::{self, Figure, Unit, count};
use super::layout::{Bar, Chart, Panel, Tone};
use crate::goals::Metric;
use crate::path::System;
use crate::peer::PeerKind;
use crate::record::Record;

const WHISKERS: &str =
    "Bars are medians, whiskers go from the least to the most of the repetitions.";
const ALL_SYNCED: &str = "sessiond and its peers: all synced before the answer.";
const CLAIMS: &str = "Claims: sessiond's are durable, beanstalkd does not write them.";
const NOOP: &str = "No-op: sessiond's own transport, answered before there is an engine; the limit of a server behind it.";
const ALONE: &str = "sessiond: all synced before the answer. No peer is measured on this.";

/// One chart there can be.
#[derive(Debug)]
pub(super) struct Subject {
    /// The name of its file.
    pub(super) file: &'static str,
    title: &'static str,
    lead: &'static str,
    /// The beginnings of the paths it is about.
    paths: &'static [&'static str],
    panels: fn(&[&Record]) -> Panels,
    notes: &'static [&'static str],
}

/// Every chart, in the order of the page they are for.
pub(super) const SUBJECTS: [Subject; 3] = [
    Subject {
        file: "enqueue.svg",
        title: "Durable enqueue, one call a message",
        lead: "2 KiB messages; every caller waits for its answer. Longer is better. \
               Each panel has its own scale.",
        paths: &["enqueue/2KiB/"],
        panels: enqueue,
        notes: &[WHISKERS, ALL_SYNCED, NOOP],
    },
    Subject {
        file: "streams.svg",
        title: "Streams and workers",
        lead: "2 KiB messages. Longer is better, except for the wake. Each panel has its own scale.",
        paths: &["stream/", "work/64", "wake"],
        panels: streams,
        notes: &[
            WHISKERS,
            ALL_SYNCED,
            CLAIMS,
            "Redis on streams: pipelines over several connections, and nobody takes its messages.",
            NOOP,
        ],
    },
    Subject {
        file: "growth.svg",
        title: "What ten times as much stored costs",
        lead: "The same measurement beside 1x and 10x of what is stored. Each panel has its own scale.",
        paths: &["stored/", "idle-sessions/", "restart/"],
        panels: growth,
        notes: &[WHISKERS, ALONE],
    },
];

/// What came of the panels of a chart.
#[derive(Debug, Default)]
struct Panels {
    drawn: Vec<Panel>,
    left_out: Vec<String>,
}

/// What a panel of several systems shows of its path.
#[derive(Debug, Clone, Copy)]
struct Comparison {
    path: &'static str,
    title: &'static str,
    what: &'static str,
    metric: Metric,
    unit: Unit,
}

/// What a panel of one system shows at 1x and at 10x.
#[derive(Debug, Clone, Copy)]
struct Growth {
    paths: [&'static str; 2],
    title: &'static str,
    what: &'static str,
    metric: Metric,
    /// How far a measurement went that repeats inside.
    most: Option<Metric>,
    unit: Unit,
    /// The fact that says how much was stored, and of what.
    stored: (&'static str, &'static str),
}

impl Subject {
    /// The chart, with the panels that these records have data for.
    pub(super) fn chart(&self, records: &[Record]) -> Chart {
        let is_about = |record: &&Record| {
            let mut begins = self.paths.iter();
            begins.any(|begin| record.path.starts_with(begin))
        };
        let records: Vec<&Record> = records.iter().filter(is_about).collect();
        let Panels { drawn, left_out } = (self.panels)(&records);
        let mut notes: Vec<String> = self.notes.iter().map(|&note| note.to_owned()).collect();
        notes.push(figures::times(&records));
        notes.push(figures::disk(&records));
        notes.extend(versions(&records));
        Chart {
            title: self.title,
            lead: self.lead,
            panels: drawn,
            notes,
            left_out,
        }
    }
}

impl Panels {
    fn add(&mut self, needs: String, panel: Option<Panel>) {
        match panel {
            Some(panel) => self.drawn.push(panel),
            None => self.left_out.push(needs),
        }
    }
}

fn enqueue(records: &[&Record]) -> Panels {
    let what = "per second";
    let panels = [
        rate("enqueue/2KiB/1", "1 caller", what),
        rate("enqueue/2KiB/8", "8 callers", what),
        rate("enqueue/2KiB/64", "64 callers", what),
        rate("enqueue/2KiB/256", "256 callers", what),
    ];
    compared(&panels, records)
}

fn streams(records: &[&Record]) -> Panels {
    let (kept_up, backlog) = (
        "per second, workers keep up",
        "per second, nobody takes them",
    );
    let panels = [
        rate("stream/keeping-up/64", "Enqueue, 64 in flight", kept_up),
        rate(
            "stream/keeping-up/1024",
            "Enqueue, 1,024 in flight",
            kept_up,
        ),
        rate(
            "stream/backlog/64",
            "Enqueue, 64 in flight, backlog",
            backlog,
        ),
        rate(
            "stream/backlog/1024",
            "Enqueue, 1,024 in flight, backlog",
            backlog,
        ),
        rate("work/64", "Claim and settle, 64 in flight", "per second"),
        Comparison {
            path: "wake",
            title: "Wake: from the send to a waiting worker",
            what: "p50, shorter is better",
            metric: Metric::P50,
            unit: Unit::Micros,
        },
    ];
    compared(&panels, records)
}

/// A panel of rates.
const fn rate(path: &'static str, title: &'static str, what: &'static str) -> Comparison {
    Comparison {
        path,
        title,
        what,
        metric: Metric::Rate,
        unit: Unit::PerSecond,
    }
}

fn compared(all: &[Comparison], records: &[&Record]) -> Panels {
    let mut panels = Panels::default();
    for shown in all {
        let needs = format!("\"{}\" needs {} of sessiond", shown.title, shown.path);
        panels.add(needs, shown.panel(records));
    }
    panels
}

fn growth(records: &[&Record]) -> Panels {
    let sessions = ("sessions", "sessions");
    let idle = ["idle-sessions/1x", "idle-sessions/10x"];
    let all = [
        Growth {
            paths: ["stored/1x", "stored/10x"],
            title: "Enqueue beside a backlog",
            what: "64 callers, per second, longer is better",
            metric: Metric::Rate,
            most: None,
            unit: Unit::PerSecond,
            stored: ("stored_messages", "stored"),
        },
        Growth {
            paths: ["restart/1x", "restart/10x"],
            title: "Serving again after SIGKILL",
            what: "median to slowest kill, shorter is better",
            metric: Metric::Fact("serving_again_median_s"),
            most: Some(Metric::Fact("serving_again_slowest_s")),
            unit: Unit::Seconds,
            stored: ("messages", "pending"),
        },
        Growth {
            paths: idle,
            title: "Memory of one idle session",
            what: "resident bytes, shorter is better",
            metric: Metric::Fact("resident_per_session_bytes"),
            most: None,
            unit: Unit::Bytes,
            stored: sessions,
        },
        Growth {
            paths: idle,
            title: "Processor time, all idle",
            what: "in each second, shorter is better",
            metric: Metric::Fact("cpu_at_all_ms_per_s"),
            most: None,
            unit: Unit::Millis,
            stored: sessions,
        },
    ];
    let mut panels = Panels::default();
    for shown in all {
        let [one, ten] = shown.paths;
        let needs = format!("\"{}\" needs {one} and {ten}", shown.title);
        panels.add(needs, shown.panel(records));
    }
    panels
}

impl Comparison {
    /// With a bar for each system that was measured.
    fn panel(self, records: &[&Record]) -> Option<Panel> {
        let figure = |system: System| Figure::of(records, self.path, system.name(), self.metric);
        figure(System::Sessiond)?;
        let bar = |system: System| {
            let (label, tone) = look(system);
            Some(bar(label.to_owned(), tone, figure(system)?, self.unit))
        };
        let peers = PeerKind::ALL.into_iter().map(System::Peer);
        let systems = [System::Sessiond, System::Noop].into_iter().chain(peers);
        Some(panel(
            self.title,
            self.what,
            systems.filter_map(bar).collect(),
        ))
    }
}

impl Growth {
    /// With a bar for 1x and one for 10x; one alone shows no growth.
    fn panel(self, records: &[&Record]) -> Option<Panel> {
        let (fact, noun) = self.stored;
        let bar = |path: &str| {
            let of = |metric| Figure::of(records, path, System::Sessiond.name(), metric);
            let stored = of(Metric::Fact(fact))?.spread.median;
            let most = self.most.and_then(of);
            let figure = of(self.metric)?;
            let figure = most.map_or(figure, |most| figure.up_to(most));
            let label = format!("{} {noun}", count(stored));
            Some(bar(label, Tone::Ours, figure, self.unit))
        };
        let bars: Vec<Bar> = self.paths.into_iter().map(bar).collect::<Option<_>>()?;
        let [one, ten] = [0, 1].map(|index: usize| bars[index].figure.spread.median);
        Some(Panel {
            // Nothing times anything is no growth to tell.
            aside: (one > 0.0).then(|| format!("10x / 1x: {:.2}", ten / one)),
            ..panel(self.title, self.what, bars)
        })
    }
}

fn panel(title: &str, what: &str, bars: Vec<Bar>) -> Panel {
    let figures: Vec<Figure> = bars.iter().map(|bar| bar.figure).collect();
    Panel {
        title: title.to_owned(),
        aside: None,
        note: format!("{what}; {}", figures::repetitions(&figures)),
        bars,
    }
}

fn bar(label: String, tone: Tone, figure: Figure, unit: Unit) -> Bar {
    Bar {
        label,
        value: unit.text(figure.spread.median),
        figure,
        tone,
    }
}

/// What a system is called, and how its bar looks.
fn look(system: System) -> (&'static str, Tone) {
    match system {
        System::Sessiond | System::SessiondWatched => ("sessiond", Tone::Ours),
        System::Noop => ("no-op", Tone::Limit),
        System::Peer(kind) => (peer(kind), Tone::Peer),
    }
}

fn peer(kind: PeerKind) -> &'static str {
    match kind {
        PeerKind::Redis => "Redis",
        PeerKind::PostgreSql => "PostgreSQL",
        PeerKind::PostgreSqlPooled => "PostgreSQL pooled",
        PeerKind::Etcd => "etcd",
        PeerKind::Beanstalkd => "beanstalkd",
    }
}

/// Each peer's version, as it told it; pooled or not, PostgreSQL is one.
fn versions<'a>(records: &[&'a Record]) -> Option<String> {
    let of = |record: &&'a Record| {
        let kind = PeerKind::named(&record.system)?;
        let kind = match kind {
            PeerKind::PostgreSqlPooled => PeerKind::PostgreSql,
            PeerKind::Redis | PeerKind::PostgreSql | PeerKind::Etcd | PeerKind::Beanstalkd => kind,
        };
        Some((kind, record.version.as_deref()?))
    };
    let found: BTreeSet<(PeerKind, &str)> = records.iter().filter_map(of).collect();
    let each = found
        .iter()
        .map(|(kind, version)| format!("{} {version}", peer(*kind)));
    let each: Vec<String> = each.collect();
    (!each.is_empty()).then(|| format!("Versions: {}.", each.join(", ")))
}
