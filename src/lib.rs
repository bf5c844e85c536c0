//! dnsbld.

pub mod dataset;
pub mod diag;
pub mod serve;
pub mod stats;
pub mod wire;
pub mod zone;
pub mod zonefile;
