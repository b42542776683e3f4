//! Payloads: opaque bytes in a message of their own, so that something can be said about them later.

use bytes::Bytes;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    bytes: Bytes,
}

impl From<&Bytes> for Payload {
    fn from(bytes: &Bytes) -> Self {
        Self {
            bytes: bytes.clone(),
        }
    }
}

impl From<Payload> for Bytes {
    fn from(payload: Payload) -> Self {
        payload.bytes
    }
}
