//! Parse the command line, run one operation, return an exit code.

fn main() {}
