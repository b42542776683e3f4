//! UpdateSession: the mask says what changes; without one, every field that is set does.
//!
//! A field that is named and unset is reset to what an open that leaves it out would give. A field
//! that is set and not named is a mistake of the caller's and refused.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use sessiond_core::command::{TimeoutOverrides, Update};
use sessiond_core::event::Actor;
use sessiond_core::ids::Namespace;
use sessiond_core::limits::{
    ID_BYTES_MAX, MAX_IN_FLIGHT_DEFAULT, PROMPT_BYTES_MAX, Policy, TEXT_BYTES_MAX,
};
use sessiond_core::session::Ordering;
use sessiond_core::time::Limit;
use sessiond_proto::v1 as pb;

use super::request_tag::request_tag;
use super::{number, open, reference, text, time};
use crate::wire::faults::{Faults, Invalid};

const RPC: &str = "UpdateSession";

/// The fields that a mask may name.
const FIELDS: [&str; 12] = [
    "project",
    "source",
    "agent_id",
    "labels",
    "prompt",
    "prompt_number",
    "transcript_path",
    "idle_timeout",
    "max_lifetime",
    "owner_timeout",
    "ordering",
    "max_in_flight",
];

/// What to change.
pub(crate) fn update(
    namespace: &Namespace,
    request: pb::UpdateSessionRequest,
    actor: Actor,
    policy: &Policy,
) -> Result<Update, Invalid> {
    Faults::collect(|faults| fields(faults, namespace, request, actor, policy))
}

fn fields(
    faults: &mut Faults,
    namespace: &Namespace,
    mut request: pb::UpdateSessionRequest,
    actor: Actor,
    policy: &Policy,
) -> Option<Update> {
    let request_id = std::mem::take(&mut request.request_id);
    let tag = request_tag(faults, RPC, request_id, &request);
    let named = named(faults, &request);
    let names = |field: &str| named.contains(field);
    let session = reference::required(faults, "ref", request.r#ref);
    let project = text::bounded(faults, "project", request.project, TEXT_BYTES_MAX);
    let source = text::bounded(faults, "source", request.source, ID_BYTES_MAX);
    let agent_id = text::name(faults, "agent_id", request.agent_id);
    let labels = text::labels(faults, "labels", request.labels);
    let prompt = text::bounded(faults, "prompt", request.prompt, PROMPT_BYTES_MAX);
    let transcript_path = text::bounded(
        faults,
        "transcript_path",
        request.transcript_path,
        TEXT_BYTES_MAX,
    );
    if names("prompt_number") && request.prompt_number.is_none() && !names("prompt") {
        faults.invalid(
            "prompt_number",
            "must be set when it is named without `prompt`",
        );
    }
    let given = time::timeouts(
        faults,
        request.idle_timeout,
        request.max_lifetime,
        request.owner_timeout,
    );
    let ordering = open::ordering(faults, request.ordering);
    let max_in_flight = open::max_in_flight(faults, request.max_in_flight, ordering);
    let etag = text::optional(faults, "etag", request.etag, |etag| {
        sessiond_core::ids::check_text(&etag).map(|()| etag)
    });
    Some(Update {
        namespace: namespace.clone(),
        session: session?,
        project: names("project").then_some(project),
        source: names("source").then_some(source),
        agent_id: names("agent_id").then_some(agent_id),
        labels: names("labels").then_some(labels),
        transcript_path: names("transcript_path").then_some(transcript_path),
        prompt: names("prompt").then_some(prompt),
        prompt_number: request.prompt_number,
        timeouts: timeouts(&named, given, policy),
        ordering: names("ordering").then(|| ordering.unwrap_or(Ordering::Strict)),
        max_in_flight: names("max_in_flight").then(|| max_in_flight.unwrap_or_else(default_bound)),
        etag,
        request: tag,
        actor,
    })
}

/// The limits that are named, each as given or as the server's default.
fn timeouts(
    named: &BTreeSet<&'static str>,
    given: TimeoutOverrides,
    policy: &Policy,
) -> TimeoutOverrides {
    let resolve = |field: &str, given: Option<Limit>, default: Limit| {
        named.contains(field).then(|| given.unwrap_or(default))
    };
    TimeoutOverrides {
        idle: resolve("idle_timeout", given.idle, policy.idle_timeout),
        lifetime: resolve("max_lifetime", given.lifetime, policy.max_lifetime),
        owner: resolve("owner_timeout", given.owner, policy.owner_timeout),
    }
}

fn default_bound() -> NonZeroU32 {
    NonZeroU32::new(MAX_IN_FLIGHT_DEFAULT).expect("the default bound is not zero")
}

/// The fields to change.
fn named(faults: &mut Faults, request: &pb::UpdateSessionRequest) -> BTreeSet<&'static str> {
    let set = set_fields(request);
    let paths = request
        .update_mask
        .as_ref()
        .map_or(&[][..], |mask| &mask.paths[..]);
    if paths.is_empty() {
        return set;
    }
    number::items(faults, "update_mask.paths", paths.len(), FIELDS.len());
    let mut named = BTreeSet::new();
    for (index, path) in paths.iter().take(FIELDS.len()).enumerate() {
        let Some(field) = FIELDS.into_iter().find(|field| field == path) else {
            let description = format!("{} is no field that an update changes", text::quoted(path));
            faults.invalid(&format!("update_mask.paths[{index}]"), description);
            continue;
        };
        if !named.insert(field) {
            let description = format!("`{field}` is named twice");
            faults.invalid(&format!("update_mask.paths[{index}]"), description);
        }
    }
    for field in set.difference(&named) {
        faults.invalid(field, "is set and not named by `update_mask`");
    }
    named
}

fn set_fields(request: &pb::UpdateSessionRequest) -> BTreeSet<&'static str> {
    let set = [
        !request.project.is_empty(),
        !request.source.is_empty(),
        !request.agent_id.is_empty(),
        !request.labels.is_empty(),
        !request.prompt.is_empty(),
        request.prompt_number.is_some(),
        !request.transcript_path.is_empty(),
        request.idle_timeout.is_some(),
        request.max_lifetime.is_some(),
        request.owner_timeout.is_some(),
        request.ordering != 0,
        request.max_in_flight.is_some(),
    ];
    FIELDS
        .into_iter()
        .zip(set)
        .filter_map(|(field, set)| set.then_some(field))
        .collect()
}
