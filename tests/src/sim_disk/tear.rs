//! What a power cut leaves of the calls since the last flush.
//!
//! A flush that succeeded is believed, as is that a single sector is written whole or not at all, unless the tear says
//! otherwise. Everything else is open: any part of what was not flushed may be on the disk, in any order.

use fastrand::Rng;

use super::{Event, Image};

/// How the calls since the last good flush are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// Nothing of them reached the disk.
    Nothing,
    /// All of them did.
    Everything,
    /// Some sectors of 512 bytes did.
    Sectors,
    /// Some pages of 4 KiB did.
    Pages,
    /// Some writes did, each perhaps only up to some byte.
    Bytes,
    /// Some writes did, whole, in some other order.
    Reordered,
}

/// The smallest unit a disk is trusted to write whole, in bytes.
const SECTOR_BYTES: usize = 512;
/// The unit of the page cache, in bytes.
const PAGE_BYTES: usize = 4096;

impl Tear {
    /// Every way to cut.
    pub const ALL: [Self; 6] = [
        Self::Nothing,
        Self::Everything,
        Self::Sectors,
        Self::Pages,
        Self::Bytes,
        Self::Reordered,
    ];

    /// `durable` after a power cut that left part of `pending`.
    pub fn cut(self, durable: &Image, pending: &[Event], rng: &mut Rng) -> Image {
        let mut image = durable.clone();
        // Few, half or most: a fixed chance would nearly never leave all but one.
        let chance = *rng.choice(&[0.1, 0.5, 0.9]).expect("not empty");
        match self {
            Self::Nothing => {}
            Self::Everything => pending.iter().for_each(|event| event.apply(&mut image)),
            Self::Sectors => cut_units(&mut image, pending, SECTOR_BYTES, chance, rng),
            Self::Pages => cut_units(&mut image, pending, PAGE_BYTES, chance, rng),
            Self::Bytes => cut_bytes(&mut image, pending, chance, rng),
            Self::Reordered => {
                let mut order: Vec<&Event> = pending.iter().collect();
                rng.shuffle(&mut order);
                order.retain(|_| rng.f64() < chance);
                order.into_iter().for_each(|event| event.apply(&mut image));
            }
        }
        image
    }
}

/// Keeps units of writes, and lengths, each by its own lot. Units lie as they do on the disk, not in the write.
fn cut_units(image: &mut Image, pending: &[Event], unit: usize, chance: f64, rng: &mut Rng) {
    for event in pending {
        let Event::Write { offset, data } = event else {
            if rng.f64() < chance {
                event.apply(image);
            }
            continue;
        };
        let mut start = 0;
        while start < data.len() {
            let at = offset + start as u64;
            let room = unit - (at % unit as u64) as usize;
            let end = data.len().min(start + room);
            if rng.f64() < chance {
                image.write(at, &data[start..end]);
            }
            start = end;
        }
    }
}

fn cut_bytes(image: &mut Image, pending: &[Event], chance: f64, rng: &mut Rng) {
    for event in pending {
        if rng.f64() >= chance {
            continue;
        }
        match event {
            Event::Write { offset, data } if rng.bool() => {
                image.write(*offset, &data[..rng.usize(..=data.len())]);
            }
            Event::Write { .. } | Event::SetLen(_) | Event::Sync | Event::Lie { .. } => {
                event.apply(image);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const LEN: usize = 16_384;

    fn pending() -> Vec<Event> {
        vec![
            Event::SetLen(LEN as u64),
            Event::write(100, &[1; 6000]),
            Event::write(8192, &[2; 8192]),
            Event::write(0, &[3; 320]),
        ]
    }

    /// Over many seeds a tear leaves many different images, and in each every byte is old or new.
    #[test]
    fn a_tear_leaves_old_and_new_bytes_in_many_mixtures() {
        let mut durable = Image::new();
        durable.set_len(LEN as u64 / 2);
        let mut all = durable.clone();
        pending().iter().for_each(|event| event.apply(&mut all));
        let all = all.to_vec();
        for tear in Tear::ALL {
            let mut seen = BTreeSet::new();
            for seed in 0..200 {
                let image = tear.cut(&durable, &pending(), &mut Rng::with_seed(seed));
                let bytes = image.to_vec();
                assert!(bytes.len() <= LEN);
                for (at, byte) in bytes.iter().enumerate() {
                    let last = all[at];
                    let between = at < 320 && *byte == 1;
                    assert!(*byte == 0 || *byte == last || between, "{tear:?} {at}");
                }
                seen.insert(bytes);
            }
            let expected = match tear {
                Tear::Nothing | Tear::Everything => 1,
                Tear::Sectors | Tear::Pages | Tear::Bytes | Tear::Reordered => 10,
            };
            assert!(seen.len() >= expected, "{tear:?}: {}", seen.len());
        }
    }

    #[test]
    fn sectors_are_cut_where_the_disk_has_them() {
        let durable = {
            let mut image = Image::new();
            image.set_len(LEN as u64);
            image
        };
        let write = [Event::write(100, &[1; 2000])];
        for seed in 0..100 {
            let bytes = Tear::Sectors
                .cut(&durable, &write, &mut Rng::with_seed(seed))
                .to_vec();
            for sector in bytes[512..2048].chunks(SECTOR_BYTES) {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "seed {seed}");
            }
        }
    }
}
