//! Durable stores for sessiond: the byte-level seam, its backends and, above them, the rows.
//!
//! Layers from the bottom: `disk` (one file), `kv` (ordered tables with atomic commits, in memory or in that file),
//! `data_dir` (the directory a server owns). What the bytes mean is decided above `kv` and nowhere below it.

pub mod data_dir;
pub mod disk;
pub mod fault;
pub mod kv;
pub mod row;
pub mod snapshot;
pub mod space;
mod stop;
pub mod store;
