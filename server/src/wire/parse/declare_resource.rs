//! DeclareResource: a resource is declared, or one that was declared is registered.

use std::path::PathBuf;

use sessiond_core::command::RequestTag;
use sessiond_core::ids::{Epoch, NodeName, ResourceName, SessionRef, TextError, check_text};
use sessiond_core::resource::{ResourceToken, Scope};
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::declare_resource_request::Target;

use super::request_tag::request_tag;
use super::{enumeration, reference, text};
use crate::env::Sought;
use crate::limits::SOCKET_PATH_BYTES_MAX;
use crate::wire::faults::{Faults, Invalid};

const RPC: &str = "DeclareResource";

/// What DeclareResource asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeclareCall {
    /// Put a resource on record.
    Declare(Declaration),
    /// Say what one turned out to be.
    Register {
        /// Which.
        resource: ResourceToken,
        /// What it is.
        sought: Sought,
    },
}

/// A resource that is to go on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declaration {
    /// Of which session.
    pub(crate) session: SessionRef,
    /// What it is called.
    pub(crate) name: Option<ResourceName>,
    /// What it must not outlive.
    pub(crate) scope: Scope,
    /// The machine it is on; none is the server's own.
    pub(crate) node: Option<NodeName>,
    /// What it is, if it is there already.
    pub(crate) sought: Option<Sought>,
    /// The call's name as a mutation.
    pub(crate) request: Option<RequestTag>,
}

/// What to put on record.
pub(crate) fn declare_resource(
    request: pb::DeclareResourceRequest,
) -> Result<DeclareCall, Invalid> {
    Faults::collect(|faults| {
        if request.resource_id.is_empty() {
            declaration(faults, request).map(DeclareCall::Declare)
        } else {
            registration(faults, request)
        }
    })
}

fn declaration(
    faults: &mut Faults,
    mut request: pb::DeclareResourceRequest,
) -> Option<Declaration> {
    let request_id = std::mem::take(&mut request.request_id);
    let tag = request_tag(faults, RPC, request_id, &request);
    let session = reference::required(faults, "ref", request.r#ref);
    let name = text::optional(faults, "name", request.name, ResourceName::parse);
    let scope = scope(faults, request.scope, request.epoch);
    let node = text::optional(faults, "node", request.node, NodeName::parse);
    let sought = request.target.map(|target| sought(faults, target));
    Some(Declaration {
        session: session?,
        name,
        scope: scope?,
        node,
        sought: match sought {
            Some(sought) => Some(sought?),
            None => None,
        },
        request: tag,
    })
}

fn registration(faults: &mut Faults, request: pb::DeclareResourceRequest) -> Option<DeclareCall> {
    let given = [
        ("ref", request.r#ref.is_some()),
        ("name", !request.name.is_empty()),
        ("scope", request.scope != 0),
        ("epoch", request.epoch != 0),
        ("node", !request.node.is_empty()),
        ("request_id", !request.request_id.is_empty()),
    ];
    for (field, _) in given.iter().filter(|(_, given)| *given) {
        faults.invalid(field, "must be unset with `resource_id`");
    }
    let resource = resource_id(faults, "resource_id", request.resource_id);
    let sought = match request.target {
        Some(target) => sought(faults, target),
        None => {
            let description = "must be set with `resource_id`: say what the resource is";
            faults.invalid("target", description);
            None
        }
    };
    Some(DeclareCall::Register {
        resource: resource?,
        sought: sought?,
    })
}

/// The resource that a text names. A text that is no name of ours names none that there is, which the rules say; it is no
/// fault of the field.
pub(super) fn resource_id(
    faults: &mut Faults,
    field: &str,
    given: String,
) -> Option<ResourceToken> {
    checked(faults, field, given).map(|text| ResourceToken::parse(&text))
}

/// A text that obeys the rule of all texts used as ids.
pub(super) fn checked(faults: &mut Faults, field: &str, given: String) -> Option<String> {
    text::required(faults, field, given, |text| {
        check_text(&text)?;
        Ok(text)
    })
}

fn scope(faults: &mut Faults, number: i32, epoch: u64) -> Option<Scope> {
    let scope = enumeration::known(faults, "scope", number, "ResourceScope")?;
    match scope {
        pb::ResourceScope::Lease if epoch == 0 => {
            faults.invalid("epoch", "must be set with LEASE");
            None
        }
        pb::ResourceScope::Lease => Some(Scope::Lease(Epoch(epoch))),
        pb::ResourceScope::Unspecified | pb::ResourceScope::Session if epoch != 0 => {
            faults.invalid("epoch", "must be unset unless `scope` is LEASE");
            None
        }
        pb::ResourceScope::Unspecified | pb::ResourceScope::Session => Some(Scope::Session),
    }
}

fn sought(faults: &mut Faults, target: Target) -> Option<Sought> {
    match target {
        Target::Process(process) => sought_process(faults, &process),
        Target::Tmux(tmux) => sought_tmux(faults, tmux),
    }
}

/// A process as its caller names it.
pub(super) fn sought_process(faults: &mut Faults, given: &pb::ProcessTarget) -> Option<Sought> {
    faults.within("process", |faults| pid(faults, given.pid))
}

/// A tmux session as its caller names it.
pub(super) fn sought_tmux(faults: &mut Faults, given: pb::TmuxTarget) -> Option<Sought> {
    faults.within("tmux", |faults| {
        let socket = socket(faults, given.socket);
        let name = checked(faults, "session_name", given.session_name);
        Some(Sought::Tmux {
            socket: socket?,
            name: name?,
        })
    })
}

fn pid(faults: &mut Faults, pid: u32) -> Option<Sought> {
    let number = i32::try_from(pid).ok().filter(|pid| *pid > 0);
    if number.is_none() {
        let max = i32::MAX;
        faults.invalid("pid", format!("must be 1 to {max}, got {pid}"));
    }
    number.map(Sought::Process)
}

/// The path of a socket; the inner none is the default.
fn socket(faults: &mut Faults, path: String) -> Option<Option<PathBuf>> {
    let bytes = path.len();
    let fault = if path.is_empty() {
        return Some(None);
    } else if bytes > SOCKET_PATH_BYTES_MAX {
        let too_long = TextError::TooLong { bytes };
        text::describe(too_long, SOCKET_PATH_BYTES_MAX)
    } else if path.chars().any(char::is_control) {
        TextError::Control.to_string()
    } else if !path.starts_with('/') {
        "must be an absolute path".to_owned()
    } else {
        return Some(Some(PathBuf::from(path)));
    };
    faults.invalid("socket", fault);
    None
}
