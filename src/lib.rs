//! dnsbld.

pub mod app;
pub mod check;
pub mod cli;
pub mod config;
pub mod dataset;
pub mod diag;
pub mod http;
pub mod load;
pub mod serve;
pub mod stats;
pub mod sys;
pub mod wire;
pub mod zone;
pub mod zonefile;
