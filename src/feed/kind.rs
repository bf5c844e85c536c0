//! From what a session shows to its kinds, and from a reply to what it means.

use super::session::{Answer, Kinds, Session};

/// Senders that verifiers use, besides the null sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSenders {
    /// Local parts that count with any domain; a `*` at the end stands for letters and digits.
    pub local_parts: Vec<Box<str>>,
}

impl Default for ProbeSenders {
    /// `double-bounce` with an optional time tag (Postfix), and `postmaster`.
    fn default() -> Self {
        Self { local_parts: vec!["double-bounce*".into(), "postmaster".into()] }
    }
}

/// What a refusal means, from the reply's code (0 where unknown) and text.
pub fn answer(code: u16, text: &[u8]) -> Answer {
    let _ = text;
    if code / 100 == 4 { Answer::Deferred } else { Answer::Policy }
}

/// The kinds of a session.
pub fn kinds(session: &Session, probe_senders: &ProbeSenders) -> Kinds {
    let _ = (session, probe_senders);
    Kinds::default()
}
