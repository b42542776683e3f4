//! One run: every chosen path, its systems in alternation inside each repetition.
//!
//! Invariant: what fails is told, named in the summary, and fails the run; what it was compared with is
//! measured all the same. A peer that does not start is left out by name. What it deliberately does not
//! do: judge figures.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::disk;
use crate::path::{Path, Regime, System};
use crate::paths::{self, Outcome, Plan};
use crate::peer::{Peer, PeerKind};
use crate::peers;
use crate::record::{Moment, Record, Records};
use crate::say;
use crate::scale::Size;

/// How long one measurement may take, whatever it stores or opens beforehand.
const MEASUREMENT_WITHIN: Duration = Duration::from_secs(900);
/// How long a peer may take to start and to be checked.
const PEER_START_WITHIN: Duration = Duration::from_secs(60);

/// What to run.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) size: Size,
    pub(crate) paths: Vec<Path>,
    /// Only these, if told.
    pub(crate) systems: Option<BTreeSet<System>>,
    pub(crate) peers: BTreeSet<PeerKind>,
}

/// A peer that runs, and its directory, which goes after it.
struct Running {
    peer: Box<dyn Peer>,
    _directory: TempDir,
}

/// What a run leaves beside its records.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Peers that were left out, and why.
    pub(crate) left_out: BTreeMap<PeerKind, String>,
    /// Peers that were measured, with their version and when their answers are durable.
    pub(crate) durability: BTreeMap<PeerKind, String>,
    /// What failed, and why.
    pub(crate) failures: Vec<String>,
}

/// Measures everything that was chosen.
///
/// # Errors
/// When records cannot be written or the disk cannot be measured; a measurement that fails is in the
/// report.
pub(crate) async fn run(plan: &Plan, choice: &Choice, records: &mut Records) -> Result<Report> {
    let mut report = Report::default();
    let mut peers = BTreeMap::new();
    let begun = Instant::now();
    for (index, &path) in choice.paths.iter().enumerate() {
        let systems = systems(path, choice);
        if systems.is_empty() {
            continue;
        }
        start_peers(plan, &systems, &mut peers, &mut report).await;
        measure_path(plan, path, &systems, &peers, records, &mut report).await?;
        stop_peers(&choice.paths[index + 1..], &mut peers, &mut report).await;
        say(&format!("{path}: at {} s", begun.elapsed().as_secs()));
    }
    if choice.size == Size::Smoke {
        // A peer that cannot be asked is no reason to pass.
        let missing = report.left_out.iter();
        let missing = missing.map(|(kind, why)| format!("{kind} was left out: {why}"));
        report.failures.extend(missing);
    }
    Ok(report)
}

/// The systems of a path that were chosen.
fn systems(path: Path, choice: &Choice) -> Vec<System> {
    let is_chosen = |system: &System| {
        let named = choice.systems.as_ref();
        let peer = match system {
            System::Peer(kind) => choice.peers.contains(kind),
            System::Sessiond | System::SessiondWatched | System::Noop => true,
        };
        peer && named.is_none_or(|named| named.contains(system))
    };
    path.systems().into_iter().filter(is_chosen).collect()
}

/// Starts the peers of a path that do not run yet; one that does not start is left out, here and for
/// the rest of the run.
async fn start_peers(
    plan: &Plan,
    systems: &[System],
    peers: &mut BTreeMap<PeerKind, Running>,
    report: &mut Report,
) {
    for system in systems {
        let System::Peer(kind) = *system else {
            continue;
        };
        let Entry::Vacant(place) = peers.entry(kind) else {
            continue;
        };
        if report.left_out.contains_key(&kind) {
            continue;
        }
        match start_peer(plan, kind, report).await {
            Ok(peer) => {
                place.insert(peer);
            }
            Err(error) => {
                let why = format!("{error:#} (Debian package `{}`)", kind.package());
                say(&format!("LEFT OUT: {kind}: {why}"));
                report.left_out.insert(kind, why);
            }
        }
    }
}

/// Stops the peers that none of the paths to come is measured on, so that they take nothing from it.
async fn stop_peers(
    to_come: &[Path],
    peers: &mut BTreeMap<PeerKind, Running>,
    report: &mut Report,
) {
    let is_needed = |kind: &PeerKind| {
        let system = System::Peer(*kind);
        to_come.iter().any(|path| path.systems().contains(&system))
    };
    let over: Vec<PeerKind> = peers
        .keys()
        .copied()
        .filter(|kind| !is_needed(kind))
        .collect();
    for kind in over {
        let Some(running) = peers.remove(&kind) else {
            continue;
        };
        if let Err(error) = running.peer.stop().await {
            report
                .failures
                .push(format!("{kind} did not stop: {error:#}"));
        }
    }
}

async fn start_peer(plan: &Plan, kind: PeerKind, report: &mut Report) -> Result<Running> {
    let directory = plan.places.directory()?;
    let started = tokio::time::timeout(PEER_START_WITHIN, peers::start(kind, directory.path()));
    let peer = started.await.context("it did not start in time")??;
    ensure!(
        peer.kind() == kind,
        "another peer was started: {}",
        peer.kind()
    );
    if let Entry::Vacant(first) = report.durability.entry(kind) {
        let checked = tokio::time::timeout(PEER_START_WITHIN, peer.self_check());
        checked
            .await
            .context("its self check took too long")?
            .context("its self check failed")?;
        first.insert(format!("{}: {}", peer.version(), peer.durability()));
    }
    Ok(Running {
        peer,
        _directory: directory,
    })
}

async fn measure_path(
    plan: &Plan,
    path: Path,
    systems: &[System],
    peers: &BTreeMap<PeerKind, Running>,
    records: &mut Records,
    report: &mut Report,
) -> Result<()> {
    let scale = &plan.scale;
    let repetitions = if path.is_measured_once() {
        1
    } else if path.is_heavy() {
        scale.heavy_repetitions
    } else {
        scale.repetitions
    };
    let mut failed = BTreeSet::new();
    for repetition in 1..=repetitions {
        let at = Moment {
            repetition,
            fdatasync_p50: disk::fdatasync_p50(&plan.places.data)?,
        };
        // Each repetition begins with another system, so that none always follows the same one.
        for turn in 0..systems.len() {
            let system = systems[(turn + repetition) % systems.len()];
            if failed.contains(&system) {
                continue;
            }
            match measure(plan, path, system, peers, &at).await {
                Ok(Some(record)) => {
                    tell(&record);
                    records.add(record)?;
                }
                Ok(None) => {}
                Err(error) => {
                    let what = format!("{path} on {}: {error:#}", system.name());
                    say(&format!("FAILED: {what}"));
                    report.failures.push(what);
                    failed.insert(system);
                }
            }
        }
    }
    Ok(())
}

/// Measures a path on a system once; nothing, when the system is left out or has no such thing.
async fn measure(
    plan: &Plan,
    path: Path,
    system: System,
    peers: &BTreeMap<PeerKind, Running>,
    at: &Moment,
) -> Result<Option<Record>> {
    let record = Record::new(plan, path, at, system);
    let (record, outcome) = match system {
        System::Sessiond | System::SessiondWatched | System::Noop => {
            let measured = Box::pin(paths::measure(plan, path, system));
            let outcome = tokio::time::timeout(MEASUREMENT_WITHIN, measured).await;
            (record, Some(outcome.context("it took too long")??))
        }
        System::Peer(kind) => {
            let Some(running) = peers.get(&kind) else {
                return Ok(None);
            };
            let peer = running.peer.as_ref();
            let asked = ask(plan, path, peer);
            let outcome = tokio::time::timeout(MEASUREMENT_WITHIN, asked).await;
            (record.of(peer), outcome.context("it took too long")??)
        }
    };
    Ok(outcome.map(|outcome| record.found(outcome)))
}

/// Asks a peer for what it has that is most like the path.
async fn ask(plan: &Plan, path: Path, peer: &dyn Peer) -> Result<Option<Outcome>> {
    let load = |callers| plan.load(path, callers);
    let samples = match path {
        Path::Enqueue {
            callers,
            regime: Regime::BacklogBuilding,
            ..
        } => Some(peer.enqueue(&load(callers)).await?),
        Path::Stream { in_flight, .. } => {
            peer.enqueue_pipelined(in_flight, &load(in_flight)).await?
        }
        Path::Work { credit } => peer.claim_settle(credit, &load(credit)).await?,
        Path::Wake => peer.wake(&load(1)).await?,
        Path::Enqueue {
            regime: Regime::WorkersKeepingUp,
            ..
        }
        | Path::EnqueueBesideStored { .. }
        | Path::Open { .. }
        | Path::End { .. }
        | Path::FanOut { .. }
        | Path::IdleWatchers
        | Path::EndAll
        | Path::IdleSessions { .. }
        | Path::Restart { .. }
        | Path::OverTime
        | Path::Endurance => bail!("no peer is measured on {path}"),
    };
    Ok(samples.map(Outcome::from))
}

/// One line for whoever waits for the table.
fn tell(record: &Record) {
    let mut line = format!("{} #{} {}", record.path, record.repetition, record.system);
    if let (Some(rate), Some(p50), Some(p99)) = (record.rate, record.p50_us, record.p99_us) {
        line += &format!(": {rate:.0}/s, p50 {p50} us, p99 {p99} us");
    }
    for (name, value) in &record.facts {
        line += &format!(", {name} {value:.2}");
    }
    say(&line);
}
