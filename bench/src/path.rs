//! The paths that are measured: their names, their systems, and the order of the table.
//!
//! Invariant: a path's name says everything that tells it from the others, and is what `--only`, the
//! records and the goals call it. What it deliberately does not do: measure.

use std::fmt;

use crate::peer::PeerKind;

/// Bytes of the payload that the table is about.
const USUAL_PAYLOAD: usize = 2_048;
/// Every payload that is enqueued one by one.
const PAYLOADS: [usize; 3] = [256, USUAL_PAYLOAD, 16_384];
/// Callers of the unary paths.
const CALLERS: [usize; 4] = [1, 8, 64, 256];
/// Frames in flight on a stream.
const IN_FLIGHT: [usize; 2] = [64, 1_024];

/// Something that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// Durable enqueue, one call a message.
    Enqueue {
        payload: usize,
        callers: usize,
        regime: Regime,
    },
    /// The same beside messages that are stored and pending.
    EnqueueBesideStored { stored: Times },
    /// Durable enqueue over one stream.
    Stream { in_flight: usize, regime: Regime },
    /// Claim and settle over `Work` with this much credit.
    Work { credit: usize },
    /// From the enqueue to a worker that waits.
    Wake,
    /// Opening sessions.
    Open { callers: usize },
    /// Ending sessions.
    End { callers: usize },
    /// Events to many watchers.
    FanOut { audience: Audience, filter: Filter },
    /// Enqueues beside watchers that have nothing to watch.
    IdleWatchers,
    /// Ending very many sessions.
    EndAll,
    /// Very many sessions of which nothing is due.
    IdleSessions { stored: Times },
    /// From SIGKILL to serving.
    Restart { stored: Times },
    /// Latencies over time, so that a checkpoint shows.
    OverTime,
    /// Files and memory over time.
    Endurance,
}

/// Whether what is enqueued is also worked off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Regime {
    /// Nobody takes messages; the queues grow.
    BacklogBuilding,
    /// Workers settle everything, and the producer is held back when they lag.
    WorkersKeepingUp,
}

/// How much is stored beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    One,
    Ten,
}

/// How many watchers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// 1,000 in a full run.
    Small,
    /// 5,000 in a full run.
    Large,
}

/// What watchers want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Every event.
    Nothing,
    /// Each of them another key.
    DistinctKeys,
}

/// A system that a path is measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum System {
    Sessiond,
    /// sessiond with watchers that have nothing to watch.
    SessiondWatched,
    Noop,
    Peer(PeerKind),
}

impl Times {
    pub(crate) fn of(self, one: usize) -> usize {
        match self {
            Self::One => one,
            Self::Ten => one * 10,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::One => "1x",
            Self::Ten => "10x",
        }
    }
}

impl System {
    /// Its name in tables, records and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sessiond => "sessiond",
            Self::SessiondWatched => "sessiond-watched",
            Self::Noop => "noop",
            Self::Peer(kind) => kind.name(),
        }
    }

    /// The system of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let ours = [Self::Sessiond, Self::SessiondWatched, Self::Noop];
        ours.into_iter()
            .find(|system| system.name() == name)
            .or_else(|| PeerKind::named(name).map(Self::Peer))
    }
}

impl Path {
    /// Every path, in the order of the table.
    pub(crate) fn all() -> Vec<Self> {
        let mut paths = beside_peers();
        paths.extend(unary_alone());
        paths.extend([1, 64].map(|callers| Self::Open { callers }));
        paths.extend([1, 64].map(|callers| Self::End { callers }));
        for (audience, filter) in [
            (Audience::Small, Filter::Nothing),
            (Audience::Large, Filter::Nothing),
            (Audience::Small, Filter::DistinctKeys),
        ] {
            paths.push(Self::FanOut { audience, filter });
        }
        paths.extend([Self::IdleWatchers, Self::EndAll]);
        let times = [Times::One, Times::Ten];
        paths.extend(times.map(|stored| Self::IdleSessions { stored }));
        paths.extend(times.map(|stored| Self::Restart { stored }));
        paths.extend([Self::OverTime, Self::Endurance]);
        paths
    }

    /// Whether `--only` with this value means the path: its name, or the beginning of it up to a `/`.
    pub(crate) fn is_meant_by(self, only: &str) -> bool {
        let name = self.to_string();
        let rest = name.strip_prefix(only.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The systems that have it. Peers are measured on the usual payload only.
    pub(crate) fn systems(self) -> Vec<System> {
        match self {
            Self::Enqueue {
                payload, regime, ..
            } => {
                let mut systems = vec![System::Sessiond, System::Noop];
                if payload == USUAL_PAYLOAD && regime == Regime::BacklogBuilding {
                    systems.extend(PeerKind::ALL.map(System::Peer));
                }
                systems
            }
            Self::Stream { .. } => {
                vec![
                    System::Sessiond,
                    System::Noop,
                    System::Peer(PeerKind::Redis),
                ]
            }
            Self::Work { .. } => with(&[
                PeerKind::Redis,
                PeerKind::PostgreSql,
                PeerKind::PostgreSqlPooled,
                PeerKind::Beanstalkd,
            ]),
            Self::Wake => with(&[
                PeerKind::Redis,
                PeerKind::PostgreSql,
                PeerKind::Etcd,
                PeerKind::Beanstalkd,
            ]),
            Self::IdleWatchers => vec![System::Sessiond, System::SessiondWatched],
            Self::EnqueueBesideStored { .. }
            | Self::Open { .. }
            | Self::End { .. }
            | Self::FanOut { .. }
            | Self::EndAll
            | Self::IdleSessions { .. }
            | Self::Restart { .. }
            | Self::OverTime
            | Self::Endurance => vec![System::Sessiond],
        }
    }

    /// Bytes of a message's payload on this path.
    pub(crate) fn payload(self) -> usize {
        match self {
            Self::Enqueue { payload, .. } => payload,
            Self::EnqueueBesideStored { .. }
            | Self::Stream { .. }
            | Self::Work { .. }
            | Self::Wake
            | Self::IdleWatchers
            | Self::Restart { .. }
            | Self::OverTime
            | Self::Endurance
            | Self::Open { .. }
            | Self::End { .. }
            | Self::FanOut { .. }
            | Self::EndAll
            | Self::IdleSessions { .. } => USUAL_PAYLOAD,
        }
    }

    /// Whether it stores or opens so much beforehand that it is repeated less often.
    pub(crate) fn is_heavy(self) -> bool {
        match self {
            Self::EndAll => true,
            Self::Enqueue { .. }
            | Self::EnqueueBesideStored { .. }
            | Self::Stream { .. }
            | Self::Work { .. }
            | Self::Wake
            | Self::Open { .. }
            | Self::End { .. }
            | Self::FanOut { .. }
            | Self::IdleWatchers
            | Self::IdleSessions { .. }
            | Self::Restart { .. }
            | Self::OverTime
            | Self::Endurance => false,
        }
    }

    /// Whether one measurement says it all: it repeats inside, or follows something over time.
    pub(crate) fn is_measured_once(self) -> bool {
        match self {
            Self::IdleSessions { .. } | Self::Restart { .. } | Self::OverTime | Self::Endurance => {
                true
            }
            Self::Enqueue { .. }
            | Self::EnqueueBesideStored { .. }
            | Self::Stream { .. }
            | Self::Work { .. }
            | Self::Wake
            | Self::Open { .. }
            | Self::End { .. }
            | Self::FanOut { .. }
            | Self::IdleWatchers
            | Self::EndAll => false,
        }
    }
}

/// What peers are measured on too: first, so that they are gone for the rest.
fn beside_peers() -> Vec<Path> {
    let mut paths: Vec<Path> = CALLERS
        .map(|callers| enqueue(USUAL_PAYLOAD, callers, Regime::BacklogBuilding))
        .into();
    for regime in [Regime::WorkersKeepingUp, Regime::BacklogBuilding] {
        paths.extend(IN_FLIGHT.map(|in_flight| Path::Stream { in_flight, regime }));
    }
    paths.extend([Path::Work { credit: 64 }, Path::Wake]);
    paths
}

/// Unary durable enqueue that no peer is measured on.
fn unary_alone() -> Vec<Path> {
    let mut paths = vec![enqueue(USUAL_PAYLOAD, 64, Regime::WorkersKeepingUp)];
    for payload in PAYLOADS.into_iter().filter(|size| *size != USUAL_PAYLOAD) {
        let all = CALLERS.map(|callers| enqueue(payload, callers, Regime::BacklogBuilding));
        paths.extend(all);
    }
    let times = [Times::One, Times::Ten];
    paths.extend(times.map(|stored| Path::EnqueueBesideStored { stored }));
    paths
}

fn enqueue(payload: usize, callers: usize, regime: Regime) -> Path {
    Path::Enqueue {
        payload,
        callers,
        regime,
    }
}

fn with(peers: &[PeerKind]) -> Vec<System> {
    let peers = peers.iter().copied().map(System::Peer);
    std::iter::once(System::Sessiond).chain(peers).collect()
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enqueue {
                payload,
                callers,
                regime,
            } => {
                write!(f, "enqueue/{}/{callers}", Bytes(*payload))?;
                match regime {
                    Regime::BacklogBuilding => Ok(()),
                    Regime::WorkersKeepingUp => f.write_str("/keeping-up"),
                }
            }
            Self::EnqueueBesideStored { stored } => write!(f, "stored/{}", stored.name()),
            Self::Stream { in_flight, regime } => {
                let regime = match regime {
                    Regime::BacklogBuilding => "backlog",
                    Regime::WorkersKeepingUp => "keeping-up",
                };
                write!(f, "stream/{regime}/{in_flight}")
            }
            Self::Work { credit } => write!(f, "work/{credit}"),
            Self::Wake => f.write_str("wake"),
            Self::Open { callers } => write!(f, "open/{callers}"),
            Self::End { callers } => write!(f, "end/{callers}"),
            Self::FanOut { audience, filter } => {
                let filter = match filter {
                    Filter::Nothing => "all",
                    Filter::DistinctKeys => "keys",
                };
                let audience = match audience {
                    Audience::Small => "1000",
                    Audience::Large => "5000",
                };
                write!(f, "fan-out/{filter}/{audience}")
            }
            Self::IdleWatchers => f.write_str("idle-watchers"),
            Self::EndAll => f.write_str("end-all"),
            Self::IdleSessions { stored } => write!(f, "idle-sessions/{}", stored.name()),
            Self::Restart { stored } => write!(f, "restart/{}", stored.name()),
            Self::OverTime => f.write_str("over-time"),
            Self::Endurance => f.write_str("endurance"),
        }
    }
}

/// A size as people write it.
struct Bytes(usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1_024 && bytes.is_multiple_of(1_024) => {
                write!(f, "{}KiB", bytes / 1_024)
            }
            bytes => write!(f, "{bytes}B"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_whole_parts_choose() {
        let all = Path::all();
        let names: BTreeSet<String> = all.iter().map(Path::to_string).collect();
        assert_eq!(names.len(), all.len());

        let meant = |only: &str| all.iter().filter(|path| path.is_meant_by(only)).count();
        assert_eq!(meant("enqueue/2KiB/1"), 1);
        assert_eq!(meant("enqueue/2KiB/64"), 2);
        assert_eq!(meant("enqueue/2KiB"), 5);
        assert_eq!(meant("stream/"), 4);
        assert_eq!(meant("strea"), 0);
        assert_eq!(meant("nothing"), 0);
    }

    #[test]
    fn every_system_is_found_by_its_name() {
        for system in all_systems() {
            assert_eq!(System::named(system.name()), Some(system));
        }
        assert_eq!(System::named("mysql"), None);
    }

    fn all_systems() -> BTreeSet<System> {
        Path::all().into_iter().flat_map(Path::systems).collect()
    }
}
