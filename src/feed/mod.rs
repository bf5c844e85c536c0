//! The feeder: from what mail servers log to sessions with a kind, and from those to listings.
//!
//! The third river, by its types: a [`source`] gives [`LogLine`]s; the line's head becomes a message with a time; a mail
//! server's parser turns that into a record; an assembler joins records into [`Session`]s, each with its [`Kinds`].
//! What a session shows is stored as an event, once, however often its lines are read. Events
//! are evidence; what follows from a host's evidence is a listing, which is written into a zone file.
//!
//! | module | what |
//! | --- | --- |
//! | [`mod@line`] | a line and its place in its source |
//! | [`time`], [`envelope`] | a line's head: stamp, host, program; what is left is a message |
//! | [`service`] | what each mail server's messages say, as [`record`]s |
//! | [`assemble`] | joins records into sessions and deliveries, bounded and in the log's own time |
//! | [`show`] | prints sessions, and explains a line |
//! | [`kind`] | what kinds of behaviour a session shows, what a reply means |
//! | [`joe_job`] | floods of bounces at one address: found, reported, kept off |
//! | [`relation`] | the neighbour rule: may a bounce be sent to this sender |
//! | [`session`] | what one client did in one connection, and what kinds of behaviour that is |
//! | [`subject`], [`event`] | who is judged; a stored session as it is judged |
//! | [`evidence`] | what an event shows, what that is worth, and whom it was aimed at |
//! | [`owner`] | what the world and a host's owner may know of it, and the way off the list |
//! | [`policy`] | from the events of a host to its listings, a pure function |
//! | [`protection`] | who is never listed, and who needs more |
//! | [`welcome`] | asks DNS welcome lists about hosts that are about to be listed |
//! | [`listing`] | what judging gives |
//! | [`ledger`] | judging in the store: what follows is written beside the events |
//! | [`publish`] | what follows, in files, as soon as it follows and when it ends |
//! | [`operate`] | the operator's commands: replay, why, listings, remove and their like |
//! | [`zone_file`], [`aside`] | listings as a zone file and in other forms; how files are replaced |
//! | [`source`] | where lines come from: files, spools, a journal |
//! | [`spool`] | what can not be read again, safe on disk |
//! | [`run`] | a thread for each source: from its lines to the store, exactly once |
//! | [`store`] | events, counts, deliveries, and how far each source was read |

pub mod aside;
pub mod assemble;
pub mod envelope;
pub mod event;
pub mod evidence;
pub mod joe_job;
pub mod kind;
pub mod ledger;
pub mod line;
pub mod listing;
pub mod operate;
pub mod owner;
pub mod policy;
pub mod protection;
pub mod publish;
pub mod record;
pub mod relation;
pub mod run;
pub mod service;
pub mod session;
pub mod show;
pub mod source;
pub mod spool;
pub mod store;
pub mod subject;
pub mod time;
pub mod welcome;
pub mod zone_file;

pub use assemble::{Assembler, AssemblerCounts, AssemblerLimits, AssemblerOptions, Mark};
pub use kind::ProbeSenders;
pub use line::{LogLine, Place};
pub use service::Format;
pub use session::{Kind, Kinds, Observation, Session};
