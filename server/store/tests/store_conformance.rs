//! What the store owes the core and the readers above it, on every backend.
//!
//! Rows and index entries survive their encoding and their bytes sort as the core sorts (`codec`) and stay
//! what they were (`golden`); damage is a fault and
//! never a panic (`damage`, `faults`); real commands decided over the store leave the same rows whatever the backend and
//! however often the view forgets (`commands`); what is loaded, found and listed is what the rows say (`loads`, `find`,
//! `check`). A failing case prints its seed. What a backend owes as such is in `kv_conformance`.

#[path = "store_conformance/ask.rs"]
mod ask;
#[path = "store_conformance/check.rs"]
mod check;
#[path = "store_conformance/codec.rs"]
mod codec;
#[path = "store_conformance/commands.rs"]
mod commands;
#[path = "store_conformance/damage.rs"]
mod damage;
#[path = "store_conformance/draw.rs"]
mod draw;
#[path = "store_conformance/draw_entry.rs"]
mod draw_entry;
#[path = "store_conformance/draw_resources.rs"]
mod draw_resources;
#[path = "store_conformance/draw_server.rs"]
mod draw_server;
#[path = "store_conformance/draw_session.rs"]
mod draw_session;
#[path = "store_conformance/faults.rs"]
mod faults;
#[path = "store_conformance/find.rs"]
mod find;
#[path = "store_conformance/golden.rs"]
mod golden;
#[path = "store_conformance/loads.rs"]
mod loads;
#[path = "store_conformance/script.rs"]
mod script;
#[path = "store_conformance/world.rs"]
mod world;

use std::sync::Arc;

use sessiond_core::change::Change;
use sessiond_store::data_dir;
use sessiond_store::kv::memory::MemoryKv;
use sessiond_store::kv::redb::Identity;
use sessiond_store::kv::{Kv, Order, Range, Table};
use sessiond_store::row;

/// Tables in memory.
fn memory() -> Arc<dyn Kv> {
    Arc::new(MemoryKv::new())
}

/// Tables in a file, which goes with the directory.
fn redb() -> (Arc<dyn Kv>, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("tempdir");
    let identity = Identity {
        version: "1.0.0".to_owned(),
        log_id: [1; 16],
    };
    let kv = data_dir::open(&directory.path().join("data"), &identity).expect("open");
    (Arc::new(kv), directory)
}

fn on_every_store(case: impl Fn(Arc<dyn Kv>)) {
    case(memory());
    let (kv, _directory) = redb();
    case(kv);
}

/// Everything in the tables, decoded: rows and index entries, table by table in the order of keys.
fn dump(kv: &dyn Kv) -> Vec<Change> {
    let snapshot = kv.snapshot().expect("snapshot");
    let mut changes = Vec::new();
    for table in Table::ALL {
        let range = Range {
            table,
            from: Vec::new(),
            to: None,
            order: Order::Ascending,
            limit: usize::MAX,
        };
        for (key, value) in snapshot.range(&range).expect("range") {
            changes.push(row::decode(table, &key, value).expect("what the store wrote decodes"));
        }
    }
    changes
}
