//! Reading single values: addresses, names, durations, words, numbers.
//!
//! serde's own readers say "invalid type: string, expected u16". These take any value first and then say in the
//! operator's words what was expected; the key and the position are added by `place`.
//! `scalar` takes the value; the other files judge it, one for each sort of value.

mod choices;
mod durations;
mod network;
mod numbers;
mod scalar;
mod texts;

pub(super) use choices::*;
pub(super) use durations::*;
pub(super) use network::*;
pub(super) use numbers::*;
pub(super) use texts::*;
