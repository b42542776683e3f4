//! The checksum that travels with every row.
//!
//! ```text
//! stored value = | row bytes ... | CRC-32, 4 bytes little-endian |
//! checksum of    | table tag, 1 | key length, 4 LE | key ... | row bytes ... |
//! ```
//!
//! redb verifies its pages when it repairs, not when it reads. With the table and the key under the checksum, a row
//! that was flipped, cut, or read from the wrong place is never served. It protects against accidents, not against
//! somebody who can write the file.

/// Bytes the checksum adds to a row.
const CHECKSUM_BYTES: usize = 4;

/// Writes `value` and its checksum into `out`, replacing what is there.
pub(crate) fn seal(tag: u8, key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(value);
    out.extend_from_slice(&checksum(tag, key, value).to_le_bytes());
}

/// The row bytes in `stored`, or `None` when they are not what was sealed for this place.
pub(crate) fn unseal<'a>(tag: u8, key: &[u8], stored: &'a [u8]) -> Option<&'a [u8]> {
    let (value, sum) = stored.split_last_chunk::<CHECKSUM_BYTES>()?;
    (checksum(tag, key, value) == u32::from_le_bytes(*sum)).then_some(value)
}

fn checksum(tag: u8, key: &[u8], value: &[u8]) -> u32 {
    // A key over 4 GiB cannot be stored at all; its low bits would still tell keys apart here.
    let key_len = (key.len() as u32).to_le_bytes();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[tag]);
    hasher.update(&key_len);
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(tag: u8, key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut out = vec![9; 3];
        seal(tag, key, value, &mut out);
        out
    }

    #[test]
    fn what_was_sealed_is_unsealed() {
        for (key, value) in [
            (&b""[..], &b""[..]),
            (b"k", b""),
            (b"", b"v"),
            (b"key", b"value"),
        ] {
            assert_eq!(unseal(3, key, &sealed(3, key, value)), Some(value));
        }
    }

    /// The bytes on disk are a promise; the sum is that of the standard tools over the header's drawing.
    #[test]
    fn the_layout_is_fixed() {
        let stored = sealed(1, b"ab", b"cd");
        assert_eq!(stored[..2], *b"cd");
        let sum = crc32fast::hash(b"\x01\x02\x00\x00\x00abcd");
        assert_eq!(stored[2..], sum.to_le_bytes());
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let stored = sealed(1, b"key", b"some value");
        for bit in 0..stored.len() * 8 {
            let mut damaged = stored.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal(1, b"key", &damaged), None, "bit {bit}");
        }
    }

    #[test]
    fn another_place_does_not_verify() {
        let stored = sealed(1, b"key", b"value");
        assert_eq!(unseal(2, b"key", &stored), None);
        assert_eq!(unseal(1, b"kez", &stored), None);
        assert_eq!(unseal(1, b"ke", &stored), None);
        assert_eq!(unseal(1, b"", &stored), None);
    }

    /// Bytes that move from the key to the value keep the concatenation; the length keeps them apart.
    #[test]
    fn a_shifted_boundary_does_not_verify() {
        assert_eq!(
            unseal(1, b"ke", &{
                let mut shifted = b"yvalue".to_vec();
                shifted.extend_from_slice(&sealed(1, b"key", b"value")[5..]);
                shifted
            }),
            None
        );
    }

    #[test]
    fn what_is_too_short_is_damaged() {
        for len in 0..CHECKSUM_BYTES {
            assert_eq!(unseal(1, b"key", &vec![0; len]), None);
        }
    }
}
