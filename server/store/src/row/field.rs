//! One field of a protobuf message from borrowed bytes: what is written most is not copied into a message first.

use prost::encoding::{WireType, encode_key, encode_varint};

/// Writes a field of bytes, or of text, also when it is empty.
pub(crate) fn put_field(tag: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}
