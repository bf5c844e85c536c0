//! dnsbld.

pub mod dataset;
pub mod diag;
pub mod load;
pub mod serve;
pub mod stats;
pub mod sys;
pub mod wire;
pub mod zone;
pub mod zonefile;
