//! The feeder: from what mail servers log to sessions with a kind.
//!
//! The third river, by its types: a [`source`](self) gives [`LogLine`]s; the line's head becomes a message with a time; a mail
//! server's parser turns that into a record; an assembler joins records into [`Session`]s, each with its [`Kinds`].
//! What a session shows is stored as an event, once, however often its lines are read.
//!
//! | module | what |
//! | --- | --- |
//! | [`line`] | a line and its place in its source |
//! | [`session`] | what one client did in one connection, and what kinds of behaviour that is |

pub mod line;
pub mod session;

pub use line::{LogLine, Place};
pub use session::{Kind, Kinds, Observation, Session};
