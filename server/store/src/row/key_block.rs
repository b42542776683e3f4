//! Blocks of idempotency keys: digests side by side, and of seqs and times the steps from one key to the next.
//!
//! A key takes some 20 bytes. The block that is open is written again with each commit that adds to it.

use sessiond_core::ids::{KeyDigest, Seq};
use sessiond_core::key_window as domain;
use sessiond_core::time::EngineTime;

use crate::row::DecodeError;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct KeyBlock {
    /// 16 bytes a key.
    #[prost(bytes = "vec", tag = "1")]
    digests: Vec<u8>,
    /// A seq less the one before it; the first as it is.
    #[prost(uint64, repeated, tag = "2")]
    seq_steps: Vec<u64>,
    /// A time less the one before it; the first as it is.
    #[prost(uint64, repeated, tag = "3")]
    time_steps: Vec<u64>,
}

impl From<&domain::KeyBlock> for KeyBlock {
    fn from(block: &domain::KeyBlock) -> Self {
        let (mut seq, mut at) = (0, 0);
        let mut written = Self {
            digests: Vec::with_capacity(block.keys.len() * 16),
            seq_steps: Vec::with_capacity(block.keys.len()),
            time_steps: Vec::with_capacity(block.keys.len()),
        };
        for key in &block.keys {
            written.digests.extend_from_slice(&key.digest.0);
            // Both ascend; wrapping keeps what does not, too.
            written.seq_steps.push(key.seq.0.wrapping_sub(seq));
            written.time_steps.push(key.at.0.wrapping_sub(at));
            (seq, at) = (key.seq.0, key.at.0);
        }
        written
    }
}

impl TryFrom<KeyBlock> for domain::KeyBlock {
    type Error = DecodeError;

    fn try_from(block: KeyBlock) -> Result<Self, DecodeError> {
        let (digests, []) = block.digests.as_chunks() else {
            return Err(DecodeError::Length {
                what: "the digests of a block of keys",
                bytes: block.digests.len(),
            });
        };
        if block.seq_steps.len() != digests.len() || block.time_steps.len() != digests.len() {
            return Err(DecodeError::Missing("the seq or the time of a key"));
        }
        let (mut seq, mut at) = (0_u64, 0_u64);
        let steps = block.seq_steps.iter().zip(&block.time_steps);
        let keys = digests
            .iter()
            .zip(steps)
            .map(|(digest, (seq_step, time_step))| {
                seq = seq.wrapping_add(*seq_step);
                at = at.wrapping_add(*time_step);
                domain::RememberedKey {
                    digest: KeyDigest(*digest),
                    seq: Seq(seq),
                    at: EngineTime(at),
                }
            });
        Ok(Self {
            keys: keys.collect(),
        })
    }
}
