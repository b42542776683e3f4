//! The warm row of a session: what moves with every use.

use std::collections::BTreeMap;

use sessiond_core::circuit as domain_circuit;
use sessiond_core::circuit::CircuitState;
use sessiond_core::ids::{RequestNo, SessionNo};
use sessiond_core::requests::{LiveRequest, Requests};
use sessiond_core::restart_guard::RestartGuard;
use sessiond_core::session as domain;
use sessiond_core::time::{EngineTime, Span, WallTime};

use crate::row::tally::{Totals, Usage};
use crate::row::text::{text, text_if};
use crate::row::{DecodeError, need};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Activity {
    #[prost(uint64, tag = "1")]
    session: u64,
    #[prost(uint64, tag = "2")]
    last_activity: u64,
    #[prost(uint64, tag = "3")]
    last_activity_time: u64,
    #[prost(uint64, tag = "4")]
    owner_seen: u64,
    #[prost(uint64, tag = "5")]
    touch_count: u64,
    #[prost(uint32, tag = "6")]
    prompt_number: u32,
    #[prost(message, optional, tag = "7")]
    usage: Option<Usage>,
    #[prost(message, optional, tag = "8")]
    totals: Option<Totals>,
    #[prost(message, optional, tag = "9")]
    volatile: Option<Volatile>,
    #[prost(uint64, optional, tag = "10")]
    check_at: Option<u64>,
    #[prost(message, repeated, tag = "80")]
    requests: Vec<Request>,
    #[prost(uint64, tag = "81")]
    requests_begun: u64,
    #[prost(message, repeated, tag = "70")]
    circuits: Vec<Circuit>,
    #[prost(uint64, repeated, tag = "82")]
    failures: Vec<u64>,
    #[prost(uint64, optional, tag = "83")]
    suspended_until: Option<u64>,
    #[prost(uint64, optional, tag = "84")]
    warned_idle: Option<u64>,
    #[prost(uint64, optional, tag = "85")]
    warned_age: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(uint64, tag = "2")]
    lease: u64,
    #[prost(uint64, tag = "3")]
    until: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Circuit {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(uint32, tag = "2")]
    failures: u32,
    /// Absent: it is closed.
    #[prost(oneof = "Holding", tags = "3, 4")]
    holding: Option<Holding>,
}

/// Until when an open circuit holds messages off.
#[derive(Clone, Copy, PartialEq, prost::Oneof)]
enum Holding {
    #[prost(uint64, tag = "3")]
    Open(u64),
    #[prost(uint64, tag = "4")]
    Probing(u64),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Volatile {
    #[prost(string, optional, tag = "1")]
    instance: Option<String>,
    #[prost(btree_map = "string, string", tag = "2")]
    entries: BTreeMap<String, String>,
}

impl From<&domain::ActivityRow> for Activity {
    fn from(row: &domain::ActivityRow) -> Self {
        Self {
            session: row.session.0,
            last_activity: row.last_activity.0,
            last_activity_time: row.last_activity_time.0,
            owner_seen: row.owner_seen.0,
            touch_count: row.touch_count,
            prompt_number: row.prompt_number,
            usage: Some((&row.usage).into()),
            totals: Some((&row.totals).into()),
            volatile: Some((&row.volatile).into()),
            check_at: row.check_at.map(|at| at.0),
            requests: row.requests.live.iter().map(Request::from).collect(),
            requests_begun: row.requests.begun.0,
            circuits: row.circuits.iter().map(Into::into).collect(),
            failures: row.restart_guard.failures.iter().map(|at| at.0).collect(),
            suspended_until: row.restart_guard.suspended_until.map(|at| at.0),
            warned_idle: row.warned.idle.map(|at| at.0),
            warned_age: row.warned.age.map(|at| at.0),
        }
    }
}

impl TryFrom<Activity> for domain::ActivityRow {
    type Error = DecodeError;

    fn try_from(row: Activity) -> Result<Self, DecodeError> {
        Ok(Self {
            session: SessionNo(row.session),
            last_activity: EngineTime(row.last_activity),
            last_activity_time: WallTime(row.last_activity_time),
            owner_seen: EngineTime(row.owner_seen),
            touch_count: row.touch_count,
            prompt_number: row.prompt_number,
            usage: need(row.usage, "the usage")?.into(),
            totals: need(row.totals, "totals")?.into(),
            volatile: need(row.volatile, "the volatile part")?.try_into()?,
            requests: Requests {
                begun: RequestNo(row.requests_begun),
                live: row.requests.iter().map(LiveRequest::from).collect(),
            },
            restart_guard: RestartGuard {
                failures: row.failures.into_iter().map(EngineTime).collect(),
                suspended_until: row.suspended_until.map(EngineTime),
            },
            warned: domain::Warned {
                idle: row.warned_idle.map(EngineTime),
                age: row.warned_age.map(EngineTime),
            },
            check_at: row.check_at.map(EngineTime),
            circuits: circuits(row.circuits)?,
        })
    }
}

fn circuits(rows: Vec<Circuit>) -> Result<domain_circuit::Circuits, DecodeError> {
    let circuits = rows.into_iter().map(TryInto::try_into);
    let circuits = circuits.collect::<Result<Vec<_>, _>>()?;
    Ok(domain_circuit::Circuits::of(circuits))
}

impl From<&domain_circuit::Circuit> for Circuit {
    fn from(circuit: &domain_circuit::Circuit) -> Self {
        Self {
            kind: circuit.kind.as_str().to_owned(),
            failures: circuit.failures,
            holding: match circuit.state {
                CircuitState::Closed => None,
                CircuitState::Open { retry_at } => Some(Holding::Open(retry_at.0)),
                CircuitState::Probing { retry_at } => Some(Holding::Probing(retry_at.0)),
            },
        }
    }
}

impl TryFrom<Circuit> for domain_circuit::Circuit {
    type Error = DecodeError;

    fn try_from(circuit: Circuit) -> Result<Self, DecodeError> {
        Ok(Self {
            kind: text(circuit.kind)?,
            failures: circuit.failures,
            state: match circuit.holding {
                None => CircuitState::Closed,
                Some(Holding::Open(at)) => CircuitState::Open {
                    retry_at: EngineTime(at),
                },
                Some(Holding::Probing(at)) => CircuitState::Probing {
                    retry_at: EngineTime(at),
                },
            },
        })
    }
}

impl From<&LiveRequest> for Request {
    fn from(request: &LiveRequest) -> Self {
        Self {
            number: request.number.0,
            lease: request.lease.0,
            until: request.until.0,
        }
    }
}

impl From<&Request> for LiveRequest {
    fn from(request: &Request) -> Self {
        Self {
            number: RequestNo(request.number),
            lease: Span(request.lease),
            until: EngineTime(request.until),
        }
    }
}

impl From<&domain::Volatile> for Volatile {
    fn from(volatile: &domain::Volatile) -> Self {
        Self {
            instance: volatile.instance.as_ref().map(|id| id.as_str().to_owned()),
            entries: volatile.entries.clone(),
        }
    }
}

impl TryFrom<Volatile> for domain::Volatile {
    type Error = DecodeError;

    fn try_from(volatile: Volatile) -> Result<Self, DecodeError> {
        Ok(Self {
            instance: text_if(volatile.instance)?,
            entries: volatile.entries,
        })
    }
}
