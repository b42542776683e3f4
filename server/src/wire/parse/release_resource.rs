//! ReleaseResource.

use sessiond_core::command::Effect;
use sessiond_core::command::resource::{Release, ReleaseManner};
use sessiond_core::event::Actor;
use sessiond_core::ids::{Namespace, ResourceName};
use sessiond_core::limits::{ID_BYTES_MAX, PAGE_SIZE_MAX};
use sessiond_core::resource::{Resource, ResourceToken};
use sessiond_proto::v1 as pb;

use super::declare_resource::checked;
use super::page::{self, Page, Sizes};
use super::{number, text};
use crate::limits::RELEASES_NAMED_MAX;
use crate::wire::faults::{Faults, Invalid};
use crate::wire::query::Glob;
use crate::wire::token::{Binding, ListKind};

/// What ReleaseResource asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReleaseCall {
    /// Where.
    pub(crate) namespace: Namespace,
    /// Which resources.
    pub(crate) selection: Selection,
    /// In which manner.
    pub(crate) manner: ReleaseManner,
    /// Whether they are to go.
    pub(crate) effect: Effect,
    /// Who asks.
    pub(crate) actor: Actor,
}

/// Which resources are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// These, as they were named.
    Ids(Vec<String>),
    /// Those that are not released and have such a name, a page of them.
    Called {
        /// What they are called.
        name: NameQuery,
        /// Which of them now.
        page: Page,
    },
}

/// What a resource must be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NameQuery {
    /// Exactly so.
    Exact(ResourceName),
    /// In such a way.
    Glob(Glob),
}

/// Which resources to release, and how. Tokens are of the log `log_id`.
pub(crate) fn release_resource(
    namespace: &Namespace,
    request: pb::ReleaseResourceRequest,
    actor: Actor,
    log_id: &str,
) -> Result<ReleaseCall, Invalid> {
    let (force, validate_only) = (request.force, request.validate_only);
    let selection = Faults::collect(|faults| selection(faults, namespace, request, log_id))?;
    Ok(ReleaseCall {
        namespace: namespace.clone(),
        selection,
        manner: if force {
            ReleaseManner::Forced
        } else {
            ReleaseManner::Verified
        },
        effect: Effect::unless(validate_only),
        actor,
    })
}

fn selection(
    faults: &mut Faults,
    namespace: &Namespace,
    request: pb::ReleaseResourceRequest,
    log_id: &str,
) -> Option<Selection> {
    one_way(faults, &request);
    let by_ids = !request.resource_ids.is_empty();
    let ids = resource_ids(faults, request.resource_ids);
    let parts = [
        namespace.as_str().as_bytes(),
        request.name.as_bytes(),
        request.name_glob.as_bytes(),
    ];
    let binding = Binding::new(ListKind::Releases, log_id, &parts);
    let exact = text::optional(faults, "name", request.name, ResourceName::parse);
    let glob = text::bounded(faults, "name_glob", request.name_glob, ID_BYTES_MAX);
    if by_ids {
        refuse_page(faults, request.page_size, &request.page_token);
        return Some(Selection::Ids(ids));
    }
    let sizes = Sizes::up_to(PAGE_SIZE_MAX);
    let (size, token) = (request.page_size, &request.page_token);
    let page = page::page_within(faults, sizes, size, token, binding);
    let name = match exact {
        Some(name) => NameQuery::Exact(name),
        None => NameQuery::Glob(Glob::new(glob)),
    };
    Some(Selection::Called { name, page })
}

/// Exactly one way to choose resources, so that no call releases more than its caller meant.
fn one_way(faults: &mut Faults, request: &pb::ReleaseResourceRequest) {
    let ways = [
        ("resource_ids", !request.resource_ids.is_empty()),
        ("name", !request.name.is_empty()),
        ("name_glob", !request.name_glob.is_empty()),
    ];
    let mut chosen = ways.iter().filter(|(_, set)| *set).map(|(way, _)| way);
    let Some(first) = chosen.next() else {
        let description = "must be set, or else `name` or `name_glob`";
        faults.invalid("resource_ids", description);
        return;
    };
    for other in chosen {
        faults.invalid(other, format!("must be unset with `{first}`"));
    }
}

fn resource_ids(faults: &mut Faults, ids: Vec<String>) -> Vec<String> {
    number::items(faults, "resource_ids", ids.len(), RELEASES_NAMED_MAX);
    let ids = ids.into_iter().take(RELEASES_NAMED_MAX).enumerate();
    ids.filter_map(|(index, id)| {
        faults.within_item("resource_ids", index, |faults| checked(faults, "", id))
    })
    .collect()
}

/// Resources that are named come on one page.
fn refuse_page(faults: &mut Faults, page_size: u32, page_token: &str) {
    if page_size != 0 {
        faults.invalid("page_size", "must be unset with `resource_ids`");
    }
    if !page_token.is_empty() {
        faults.invalid("page_token", "must be empty with `resource_ids`");
    }
}

// === impl ReleaseCall ===

impl ReleaseCall {
    /// The release of one of the resources.
    pub(crate) fn release(&self, resource: ResourceToken) -> Release {
        Release {
            namespace: self.namespace.clone(),
            resource,
            manner: self.manner,
            actor: self.actor.clone(),
        }
    }
}

// === impl NameQuery ===

impl NameQuery {
    /// Whether a resource is meant; one without a name never is.
    pub(crate) fn matches(&self, resource: &Resource) -> bool {
        resource.name.as_ref().is_some_and(|name| match self {
            Self::Exact(exact) => name == exact,
            Self::Glob(glob) => glob.matches(name.as_str()),
        })
    }
}
