//! What a start says of itself.

use crate::ids::SessionNo;

/// A step of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryCommand {
    /// End a session that was live when the server died.
    Crashed(SessionNo),
    /// It serves from here on. A server that goes in order takes that back.
    Serve,
}
