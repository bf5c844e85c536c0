//! The signals by which a service manager or a terminal stops a server.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT, taken over from the system.
#[derive(Debug)]
pub struct Stop {
    /// What service managers send.
    terminate: Signal,
    /// What a terminal sends.
    interrupt: Signal,
}

impl Stop {
    /// Take them over; wants to be called within a runtime. From here on none is lost.
    ///
    /// # Errors
    ///
    /// The system has no room for more handlers.
    pub fn take() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Wait until one of them comes. Nothing is lost where something else is waited for as well.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
