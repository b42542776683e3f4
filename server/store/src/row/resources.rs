//! What a session has outside: its processes and tmux sessions, each with what tells it from all others.

use sessiond_core::ids::{Epoch, ResourceNo, SessionNo};
use sessiond_core::resource as domain;
use sessiond_core::time::WallTime;

use crate::row::numbers::Numbered;
use crate::row::text::{text, text_if};
use crate::row::{DecodeError, need};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Resources {
    #[prost(uint64, tag = "1")]
    session: u64,
    #[prost(string, tag = "2")]
    namespace: String,
    #[prost(uint64, tag = "3")]
    declared: u64,
    #[prost(message, repeated, tag = "4")]
    list: Vec<Resource>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Resource {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(fixed64, tag = "2")]
    salt: u64,
    #[prost(string, optional, tag = "3")]
    name: Option<String>,
    /// Of the lease it belongs to; the session's own has none.
    #[prost(uint64, optional, tag = "4")]
    epoch: Option<u64>,
    #[prost(oneof = "Target", tags = "5, 6, 7")]
    target: Option<Target>,
    #[prost(oneof = "Standing", tags = "8, 9, 10")]
    standing: Option<Standing>,
    #[prost(uint64, tag = "11")]
    create_time: u64,
    /// The machine it is on; the server's own has no name.
    #[prost(string, optional, tag = "12")]
    node: Option<String>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Target {
    #[prost(message, tag = "5")]
    Marked(()),
    #[prost(message, tag = "6")]
    Process(Process),
    #[prost(message, boxed, tag = "7")]
    Tmux(Box<Tmux>),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Process {
    #[prost(string, tag = "1")]
    boot_id: String,
    #[prost(uint32, tag = "2")]
    pid: u32,
    #[prost(uint64, tag = "3")]
    start_ticks: u64,
    #[prost(uint64, optional, tag = "4")]
    inode: Option<u64>,
    #[prost(uint32, tag = "5")]
    uid: u32,
    #[prost(uint32, tag = "6")]
    group: u32,
    #[prost(uint32, tag = "7")]
    session: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Tmux {
    #[prost(string, tag = "1")]
    socket: String,
    #[prost(message, optional, tag = "2")]
    server: Option<Process>,
    #[prost(uint32, tag = "3")]
    session: u32,
    #[prost(uint64, tag = "4")]
    created: u64,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(message, repeated, tag = "6")]
    panes: Vec<Process>,
    #[prost(bool, tag = "7")]
    private: bool,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Standing {
    #[prost(message, tag = "8")]
    Held(()),
    #[prost(message, tag = "9")]
    Releasing(Releasing),
    #[prost(message, tag = "10")]
    Released(Released),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Releasing {
    #[prost(message, optional, tag = "1")]
    lingering: Option<Lingering>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Lingering {
    #[prost(uint32, tag = "1")]
    cause: u32,
    #[prost(string, tag = "2")]
    detail: String,
    #[prost(uint64, tag = "3")]
    since: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Released {
    #[prost(uint32, tag = "1")]
    outcome: u32,
    #[prost(uint64, tag = "2")]
    time: u64,
}

impl From<&domain::ResourcesRow> for Resources {
    fn from(row: &domain::ResourcesRow) -> Self {
        Self {
            session: row.session.0,
            namespace: row.namespace.as_str().to_owned(),
            declared: row.declared.0,
            list: row.list.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<Resources> for domain::ResourcesRow {
    type Error = DecodeError;

    fn try_from(row: Resources) -> Result<Self, DecodeError> {
        let list = row.list.into_iter().map(TryInto::try_into);
        Ok(Self {
            session: SessionNo(row.session),
            namespace: text(row.namespace)?,
            declared: ResourceNo(row.declared),
            list: list.collect::<Result<_, _>>()?,
        })
    }
}

impl From<&domain::Resource> for Resource {
    fn from(resource: &domain::Resource) -> Self {
        Self {
            number: resource.number.0,
            salt: resource.salt,
            name: resource.name.as_ref().map(|name| name.as_str().to_owned()),
            epoch: match resource.scope {
                domain::Scope::Session => None,
                domain::Scope::Lease(epoch) => Some(epoch.0),
            },
            target: Some(match &resource.target {
                domain::Target::Marked => Target::Marked(()),
                domain::Target::Process(process) => Target::Process(process.into()),
                domain::Target::Tmux(tmux) => Target::Tmux(Box::new((&**tmux).into())),
            }),
            standing: Some((&resource.standing).into()),
            create_time: resource.create_time.0,
            node: resource.node.as_ref().map(|node| node.as_str().to_owned()),
        }
    }
}

impl TryFrom<Resource> for domain::Resource {
    type Error = DecodeError;

    fn try_from(resource: Resource) -> Result<Self, DecodeError> {
        Ok(Self {
            number: ResourceNo(resource.number),
            salt: resource.salt,
            name: text_if(resource.name)?,
            scope: match resource.epoch {
                None => domain::Scope::Session,
                Some(epoch) => domain::Scope::Lease(Epoch(epoch)),
            },
            target: match need(resource.target, "what a resource is")? {
                Target::Marked(()) => domain::Target::Marked,
                Target::Process(process) => domain::Target::Process(process.into()),
                Target::Tmux(tmux) => domain::Target::Tmux(Box::new((*tmux).try_into()?)),
            },
            standing: need(resource.standing, "whether a resource is there")?.try_into()?,
            create_time: WallTime(resource.create_time),
            node: text_if(resource.node)?,
        })
    }
}

impl From<&domain::ProcessIdentity> for Process {
    fn from(process: &domain::ProcessIdentity) -> Self {
        Self {
            boot_id: process.boot_id.clone(),
            pid: process.pid,
            start_ticks: process.start_ticks,
            inode: process.inode,
            uid: process.uid,
            group: process.group,
            session: process.session,
        }
    }
}

impl From<Process> for domain::ProcessIdentity {
    fn from(process: Process) -> Self {
        Self {
            boot_id: process.boot_id,
            pid: process.pid,
            start_ticks: process.start_ticks,
            inode: process.inode,
            uid: process.uid,
            group: process.group,
            session: process.session,
        }
    }
}

impl From<&domain::TmuxIdentity> for Tmux {
    fn from(tmux: &domain::TmuxIdentity) -> Self {
        Self {
            socket: tmux.socket.clone(),
            server: Some((&tmux.server).into()),
            session: tmux.session,
            created: tmux.created,
            name: tmux.name.clone(),
            panes: tmux.panes.iter().map(Into::into).collect(),
            private: tmux.private,
        }
    }
}

impl TryFrom<Tmux> for domain::TmuxIdentity {
    type Error = DecodeError;

    fn try_from(tmux: Tmux) -> Result<Self, DecodeError> {
        Ok(Self {
            socket: tmux.socket,
            server: need(tmux.server, "the server of a tmux session")?.into(),
            session: tmux.session,
            created: tmux.created,
            name: tmux.name,
            panes: tmux.panes.into_iter().map(Into::into).collect(),
            private: tmux.private,
        })
    }
}

impl From<&domain::Standing> for Standing {
    fn from(standing: &domain::Standing) -> Self {
        match standing {
            domain::Standing::Held => Self::Held(()),
            domain::Standing::Releasing(lingering) => Self::Releasing(Releasing {
                lingering: lingering.as_ref().map(|lingering| Lingering {
                    cause: lingering.cause.number(),
                    detail: lingering.detail.clone(),
                    since: lingering.since.0,
                }),
            }),
            domain::Standing::Released { outcome, time } => Self::Released(Released {
                outcome: outcome.number(),
                time: time.0,
            }),
        }
    }
}

impl TryFrom<Standing> for domain::Standing {
    type Error = DecodeError;

    fn try_from(standing: Standing) -> Result<Self, DecodeError> {
        Ok(match standing {
            Standing::Held(()) => Self::Held,
            Standing::Releasing(releasing) => {
                let lingering = releasing.lingering.map(|lingering| {
                    Ok::<_, DecodeError>(domain::Lingering {
                        cause: Numbered::of_number(lingering.cause)?,
                        detail: lingering.detail,
                        since: WallTime(lingering.since),
                    })
                });
                Self::Releasing(lingering.transpose()?)
            }
            Standing::Released(released) => Self::Released {
                outcome: Numbered::of_number(released.outcome)?,
                time: WallTime(released.time),
            },
        })
    }
}
