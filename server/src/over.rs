//! Why something that runs beside the engine ends.
//!
//! What this deliberately does not do: say what becomes of it; whoever it is logs a fault and returns.

use sessiond_store::fault::Fault;

use crate::engine::Refused;

/// Why it ends.
#[derive(Debug)]
pub(crate) enum Over {
    /// The engine is gone: what waits for room is refused by nothing else.
    Ended,
    /// The store cannot be read; the engine meets the same.
    Fault(Fault),
}

impl From<Refused> for Over {
    fn from(_gone: Refused) -> Self {
        Self::Ended
    }
}

impl From<Fault> for Over {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
