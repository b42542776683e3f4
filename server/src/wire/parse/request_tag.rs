//! Request ids: what tells a repeated mutation from another one with the same id.
//!
//! The hash covers the whole request without its id, so a repeat must be the same in every field. It
//! rests on an encoding that is the same every time: prost writes fields by number, and the maps of
//! the generated code are ordered.

use prost::Message;
use sessiond_core::command::RequestTag;
use sessiond_core::ids::RequestId;
use sha2::{Digest, Sha256};

use super::text;
use crate::wire::faults::Faults;

/// The tag of a mutation with an id; none without one. `request` is the request with its id taken
/// out, `rpc` keeps the same bytes under two calls apart.
pub(crate) fn request_tag(
    faults: &mut Faults,
    rpc: &str,
    request_id: String,
    request: &impl Message,
) -> Option<RequestTag> {
    let id = text::optional(faults, "request_id", request_id, RequestId::parse)?;
    let mut hash = Sha256::new();
    hash.update(rpc.as_bytes());
    // No name holds this byte, so name and body cannot be shifted against each other.
    hash.update([0]);
    hash.update(request.encode_to_vec());
    let body = hash.finalize().into();
    Some(RequestTag { id, body })
}
