//! The bytes of a file on a simulated disk, cheap to copy: an image shares its chunks until one is written.
//!
//! A crash test builds thousands of images that differ in a few sectors; copying megabytes for each would be most of
//! its time. A chunk that was never written is zero and takes no memory.

use std::fmt;
use std::io;
use std::sync::Arc;

const CHUNK_BYTES: usize = 4096;

type Chunk = Arc<[u8; CHUNK_BYTES]>;

/// The bytes of a file at one moment.
#[derive(Clone, Default)]
pub struct Image {
    len: u64,
    chunks: Vec<Option<Chunk>>,
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image").field("len", &self.len).finish()
    }
}

impl Image {
    /// An empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// The length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets the length; new bytes are zero, cut ones are gone for good.
    pub fn set_len(&mut self, len: u64) {
        let kept = to_usize(len);
        self.chunks.resize(kept.div_ceil(CHUNK_BYTES), None);
        let tail = kept % CHUNK_BYTES;
        if len < self.len
            && tail > 0
            && let Some(Some(last)) = self.chunks.last_mut()
        {
            Arc::make_mut(last)[tail..].fill(0);
        }
        self.len = len;
    }

    /// Writes `data` at `offset`, beyond the end if need be.
    pub fn write(&mut self, offset: u64, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let end = offset + data.len() as u64;
        if end > self.len {
            self.set_len(end);
        }
        let mut done = 0;
        while done < data.len() {
            let at = to_usize(offset) + done;
            let within = at % CHUNK_BYTES;
            let length = (CHUNK_BYTES - within).min(data.len() - done);
            let chunk =
                self.chunks[at / CHUNK_BYTES].get_or_insert_with(|| Arc::new([0; CHUNK_BYTES]));
            Arc::make_mut(chunk)[within..within + length]
                .copy_from_slice(&data[done..done + length]);
            done += length;
        }
    }

    /// Fills `out` from `offset`.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when that is more than there is.
    pub fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        while done < out.len() {
            let at = to_usize(offset) + done;
            let within = at % CHUNK_BYTES;
            let length = (CHUNK_BYTES - within).min(out.len() - done);
            let part = &mut out[done..done + length];
            match &self.chunks[at / CHUNK_BYTES] {
                Some(chunk) => part.copy_from_slice(&chunk[within..within + length]),
                None => part.fill(0),
            }
            done += length;
        }
        Ok(())
    }

    /// Every byte.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; to_usize(self.len)];
        self.read(0, &mut bytes).expect("within its own length");
        bytes
    }

    /// Turns one bit over, counted from the first bit of the first byte.
    pub fn flip(&mut self, bit: u64) {
        let mut byte = [0];
        self.read(bit / 8, &mut byte).expect("a bit of this image");
        self.write(bit / 8, &[byte[0] ^ (1 << (bit % 8))]);
    }
}

/// Simulated disks are megabytes.
fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a simulated disk fits the address space")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random calls on an image and on a plain vector: equal at every step, and a copy never changes.
    #[test]
    fn an_image_is_a_vector_that_is_cheap_to_copy() {
        for seed in 0..100 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut image = Image::new();
            let mut plain: Vec<u8> = Vec::new();
            let mut copies = Vec::new();
            for _ in 0..30 {
                match rng.u8(..4) {
                    0 => {
                        let len = rng.usize(..20_000);
                        image.set_len(len as u64);
                        plain.resize(len, 0);
                    }
                    1 => copies.push((image.clone(), plain.clone())),
                    _ => {
                        let offset = rng.usize(..18_000);
                        let data = vec![rng.u8(1..); rng.usize(..9_000)];
                        image.write(offset as u64, &data);
                        if !data.is_empty() {
                            plain.resize(plain.len().max(offset + data.len()), 0);
                            plain[offset..offset + data.len()].copy_from_slice(&data);
                        }
                    }
                }
                assert_eq!(image.to_vec(), plain, "seed {seed}");
            }
            for (image, plain) in copies {
                assert_eq!(image.to_vec(), plain, "seed {seed}");
            }
            assert!(image.read(image.len(), &mut [0]).is_err());
        }
    }
}
