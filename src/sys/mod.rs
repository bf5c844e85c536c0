//! What the program asks of the system.

pub mod clock;
