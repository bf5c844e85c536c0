//! What changed, what to rebuild, and what never replaces good data.

pub mod status;
