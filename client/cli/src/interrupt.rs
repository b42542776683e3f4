//! Signals that ask the process to stop.
//!
//! Invariant: once one was waited for, the process no longer ends by a signal alone, so whoever
//! waits decides how it ends. What this deliberately does not do: stop anything.

use tokio::signal::unix::{SignalKind, signal as listen};

/// Which signal came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The user pressed Ctrl-C.
    Interrupt,
    /// Somebody asked politely.
    Terminate,
}

/// Waits for a signal. When none can be listened for, it waits for ever and signals end the process
/// by themselves.
pub(crate) async fn signal() -> Signal {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        listen(SignalKind::interrupt()),
        listen(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => Signal::Interrupt,
        _ = terminate.recv() => Signal::Terminate,
    }
}

/// Waits for Ctrl-C alone, so that every other signal still ends the process.
pub(crate) async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
