//! Random index entries.

use fastrand::Rng;
use sessiond_core::ids::{
    Epoch, KeyDigest, PoolName, QueueId, RequestId, Revision, Seq, SessionNo, SubscriptionName,
};
use sessiond_core::index::{Due, IndexEntry};
use sessiond_core::message::{Lane, Rank};

use crate::draw::{engine, id, namespace, number, one_of};

/// How many kinds of entries there are.
pub(crate) const ENTRY_KINDS: usize = 19;

/// An index entry, all kinds in turn by `kind`.
pub(crate) fn entry(rng: &mut Rng, kind: usize) -> IndexEntry {
    let (queue, seq) = (QueueId(number(rng)), Seq(number(rng)));
    match kind % ENTRY_KINDS {
        0 => {
            let ranks = [Rank::Interrupt, Rank::Steer, Rank::Returned, Rank::New];
            IndexEntry::Ready(queue, one_of(rng, &ranks), seq)
        }
        1 => IndexEntry::InFlight(queue, Epoch(number(rng)), seq),
        2 => {
            let lanes = [Lane::Interrupt, Lane::Steer, Lane::Ordinary];
            IndexEntry::Returned(queue, one_of(rng, &lanes), seq)
        }
        3 => IndexEntry::Pending(queue, seq),
        // Few keys, so that messages meet under one.
        10 => IndexEntry::Coalesced(queue, KeyDigest([rng.u8(..2); 16]), seq),
        11 => IndexEntry::Debounced(queue, seq),
        12 => IndexEntry::GivenUp(queue, seq),
        4 => IndexEntry::Unserved(namespace(rng), engine(rng), queue),
        5 => IndexEntry::RequestAge(engine(rng), namespace(rng), id(rng, RequestId::parse)),
        6 => {
            // Few pools, so that sessions meet in one.
            let pool = PoolName::parse(one_of(rng, &["a", "ab"])).expect("an id");
            IndexEntry::Live(namespace(rng), pool, SessionNo(number(rng)))
        }
        7 => IndexEntry::DeadLetters(namespace(rng), queue),
        13 => IndexEntry::Behind(SessionNo(number(rng)), SessionNo(number(rng))),
        14 => IndexEntry::Unreleased(namespace(rng), SessionNo(number(rng))),
        15 => IndexEntry::Releasing(SessionNo(number(rng))),
        16 => {
            let name = id(rng, SubscriptionName::parse);
            IndexEntry::Holding(Revision(number(rng)), namespace(rng), name)
        }
        17 => {
            let name = id(rng, SubscriptionName::parse);
            IndexEntry::Required(namespace(rng), Revision(number(rng)), name)
        }
        8 => {
            let pool = PoolName::parse(one_of(rng, &["a", "ab"])).expect("an id");
            IndexEntry::Idle(namespace(rng), pool, engine(rng), SessionNo(number(rng)))
        }
        9 => {
            let pool = PoolName::parse(one_of(rng, &["a", "ab"])).expect("an id");
            let place = SessionNo(number(rng));
            IndexEntry::Waiting(namespace(rng), pool, place, SessionNo(number(rng)))
        }
        _ => {
            let all = [
                Due::Session(SessionNo(number(rng))),
                Due::Message(queue, seq),
                Due::Lease(Epoch(number(rng))),
                Due::Queue(queue),
            ];
            IndexEntry::Due(engine(rng), one_of(rng, &all))
        }
    }
}
