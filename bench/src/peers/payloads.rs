//! Random message bodies that cost nothing to make while something is measured.
//!
//! Invariant: every body has exactly the size asked for, and no peer can compress it or know it again.
//! What it deliberately does not do: keep two bodies from overlapping.

use bytes::Bytes;

/// How many random bytes there are beyond one body: as many different bodies can be had.
const POOL_EXTRA_BYTES: usize = 256 * 1024;

/// Bodies of one size.
#[derive(Debug, Clone)]
pub(crate) struct Payloads {
    pool: Bytes,
    size: usize,
}

impl Payloads {
    /// Bodies of `size` bytes.
    pub(crate) fn new(size: usize) -> Self {
        let mut pool = vec![0; size + POOL_EXTRA_BYTES];
        fastrand::fill(&mut pool);
        let pool = Bytes::from(pool);
        Self { pool, size }
    }

    /// One of them, by chance.
    pub(crate) fn any(&self) -> Bytes {
        let start = fastrand::usize(..=POOL_EXTRA_BYTES);
        self.pool.slice(start..start + self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_their_size_and_differ() {
        for size in [0, 1, 2_048, 1 << 20] {
            assert_eq!(Payloads::new(size).any().len(), size);
        }
        let payloads = Payloads::new(2_048);
        let bodies: std::collections::BTreeSet<Bytes> = (0..8).map(|_| payloads.any()).collect();
        assert!(bodies.len() > 1);
    }
}
