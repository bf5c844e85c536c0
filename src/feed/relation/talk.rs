//! What Postfix and Exim ask on the socket, and what they are told. Pure: text in, text out.
//!
//! Postfix speaks its policy delegation protocol (SMTPD_POLICY_README): lines `name=value`, ended by an empty one; the answer is
//! `action=…` and an empty line. Exim's `readsocket` sends one line and reads until the connection ends:
//!
//! ```text
//! relation IP <SENDER> HELO      -> one of the words of the neighbour rule
//! joe-job ADDRESS                -> yes or no: is this address under attack?
//! ```
//!
//! A request begins with one of these words or with an attribute, so one socket serves both.

use super::{Question, Word};

/// Nothing is said about the message: Postfix goes on with its next restriction.
pub const DUNNO: &str = "DUNNO";
/// The header that tells the filter or content handler behind Postfix whether a bounce may be sent.
pub const HEADER: &str = "X-Bounce-Relation";

/// What Postfix asks. Attributes that are not here do not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyRequest {
    /// `request`: only `smtpd_access_policy` is known.
    pub request: String,
    /// `protocol_state`: `RCPT`, `DATA` and so on.
    pub protocol_state: String,
    /// `client_address`.
    pub client_address: String,
    /// `helo_name`.
    pub helo_name: String,
    /// `sender`, empty for the null sender.
    pub sender: String,
    /// `recipient`; empty at DATA where there are several.
    pub recipient: String,
}

impl PolicyRequest {
    /// Take an attribute. Errors: a line that is none.
    pub fn attribute(&mut self, line: &str) -> Result<(), String> {
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("`{}` is no attribute of a policy request; expected name=value", line.escape_debug()));
        };
        let field = match name {
            "request" => &mut self.request,
            "protocol_state" => &mut self.protocol_state,
            "client_address" => &mut self.client_address,
            "helo_name" => &mut self.helo_name,
            "sender" => &mut self.sender,
            "recipient" => &mut self.recipient,
            _ => return Ok(()),
        };
        value.clone_into(field);
        Ok(())
    }

    /// What is to be found out for it.
    pub fn wants(&self) -> PolicyWants<'_> {
        if self.request != "smtpd_access_policy" {
            return PolicyWants::Nothing;
        }
        match self.protocol_state.as_str() {
            // Before the message, each recipient for itself.
            "RCPT" if self.sender.is_empty() && !self.recipient.is_empty() => PolicyWants::JoeJob(&self.recipient),
            // Once for a message, while headers can still be added: Postfix does not do so at the end of the data (access(5)).
            "DATA" if !self.sender.is_empty() => match self.client_address.parse() {
                Ok(ip) => {
                    PolicyWants::Relation(Question { ip, helo: self.helo_name.clone(), from: self.sender.clone() })
                }
                Err(_) => PolicyWants::Nothing,
            },
            _ => PolicyWants::Nothing,
        }
    }
}

/// What is to be found out for a policy request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyWants<'a> {
    /// Nothing: another protocol state.
    Nothing,
    /// Is this recipient under attack?
    JoeJob(&'a str),
    /// May a bounce be sent?
    Relation(Question),
}

/// The answer to a policy request.
pub fn policy_answer(action: &str) -> String {
    // One line, whatever the settings say.
    let action: String = action.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("action={action}\n\n")
}

/// The action that hands a word on.
pub fn header_action(word: Word) -> String {
    format!("PREPEND {HEADER}: {}", word.word())
}

/// What a line of Exim's asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// May a bounce be sent?
    Relation(Question),
    /// Is this address under attack?
    JoeJob(String),
}

/// Is a first line one of Exim's? Else it is an attribute of Postfix's.
pub fn is_question(line: &str) -> bool {
    ["relation", "joe-job"].contains(&line.split(' ').next().unwrap_or_default())
}

/// Read a line of Exim's. Errors: what is missing or wrong.
pub fn question(line: &str) -> Result<Asked, String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim();
    match word {
        "joe-job" if rest.is_empty() => Err("`joe-job` wants an address after it".to_owned()),
        "joe-job" => Ok(Asked::JoeJob(bare(rest).to_owned())),
        "relation" => {
            let (ip, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let ip = ip
                .parse()
                .map_err(|_| format!("`{}` is no address; expected: relation IP <SENDER> HELO", ip.escape_debug()))?;
            let rest = rest.trim_start();
            let end = sender_end(rest);
            let (from, helo) = (bare(&rest[..end]).to_owned(), rest[end..].trim().to_owned());
            Ok(Asked::Relation(Question { ip, helo, from }))
        }
        _ => Err(format!("`{}` is no question; expected `relation` or `joe-job`", word.escape_debug())),
    }
}

/// An address without its angle brackets.
fn bare(address: &str) -> &str {
    address.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(address)
}

/// Where the sender ends: at the bracket that closes it, quoted strings passed over (RFC 5321 section 4.1.2), else at a blank.
fn sender_end(text: &str) -> usize {
    let bracketed = text.starts_with('<');
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if bracketed && !quoted => return at + 1,
            ' ' if !bracketed && !quoted => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A relation question.
    fn relation(ip: &str, from: &str, helo: &str) -> Asked {
        Asked::Relation(Question { ip: ip.parse().unwrap(), helo: helo.to_owned(), from: from.to_owned() })
    }

    #[test]
    fn questions_of_exim() {
        for (line, expected) in [
            (
                "relation 192.0.2.1 <a@example.org> mail.example.org",
                relation("192.0.2.1", "a@example.org", "mail.example.org"),
            ),
            ("relation 192.0.2.1 <> h", relation("192.0.2.1", "", "h")),
            ("relation 192.0.2.1  h", relation("192.0.2.1", "h", "")),
            ("relation 2001:db8::1 example.org", relation("2001:db8::1", "example.org", "")),
            (r#"relation 192.0.2.1 <"a> x"@example.org> h"#, relation("192.0.2.1", r#""a> x"@example.org"#, "h")),
            (r#"relation 192.0.2.1 <"a\"> x"@example.org> h"#, relation("192.0.2.1", r#""a\"> x"@example.org"#, "h")),
            ("relation 192.0.2.1 <a@example.org> x <y@z> w", relation("192.0.2.1", "a@example.org", "x <y@z> w")),
            ("joe-job a@example.org", Asked::JoeJob("a@example.org".to_owned())),
            ("joe-job <a@example.org>", Asked::JoeJob("a@example.org".to_owned())),
        ] {
            assert!(is_question(line), "{line}");
            assert_eq!(question(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn wrong_questions() {
        for (line, expected) in [
            ("relation", "no address"),
            ("relation here <a@b.example> h", "`here` is no address"),
            ("joe-job ", "wants an address"),
            ("spf 192.0.2.1", "no question"),
        ] {
            let error = question(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
        assert!(!is_question("request=smtpd_access_policy"));
    }

    #[test]
    fn what_postfix_wants() {
        let ask = |state: &str, sender: &str, recipient: &str| {
            let mut request = PolicyRequest::default();
            for line in [
                "request=smtpd_access_policy".to_owned(),
                format!("protocol_state={state}"),
                "client_address=192.0.2.1".to_owned(),
                "client_name=a=b".to_owned(),
                format!("sender={sender}"),
                format!("recipient={recipient}"),
                "helo_name=h".to_owned(),
            ] {
                request.attribute(&line).unwrap();
            }
            request
        };
        let question =
            Question { ip: "192.0.2.1".parse().unwrap(), helo: "h".to_owned(), from: "a=b@c.example".to_owned() };
        for (state, sender, recipient, expected) in [
            ("RCPT", "", "v@example.org", PolicyWants::JoeJob("v@example.org")),
            ("RCPT", "a@b.example", "v@example.org", PolicyWants::Nothing),
            ("MAIL", "", "", PolicyWants::Nothing),
            ("DATA", "a=b@c.example", "v@example.org", PolicyWants::Relation(question)),
            ("DATA", "", "v@example.org", PolicyWants::Nothing),
            ("END-OF-MESSAGE", "a@b.example", "v@example.org", PolicyWants::Nothing),
        ] {
            assert_eq!(ask(state, sender, recipient).wants(), expected, "{state} {sender}");
        }
        let mut other = ask("RCPT", "", "v@example.org");
        "junk".clone_into(&mut other.request);
        assert_eq!(other.wants(), PolicyWants::Nothing);
        assert!(PolicyRequest::default().attribute("no attribute").is_err());
        assert_eq!(policy_answer("DEFER later\nor so"), "action=DEFER later or so\n\n");
        assert_eq!(policy_answer(&header_action(Word::NoSpfFail)), "action=PREPEND X-Bounce-Relation: no_spf_fail\n\n");
    }

    proptest! {
        /// Whatever a client sends as sender and HELO, they are told apart and nothing else is taken from them.
        #[test]
        fn hostile_senders_and_names(local in "[ -~]{1,20}", helo in "[ -~]{0,20}") {
            let quoted = local.replace('\\', "\\\\").replace('"', "\\\"");
            let sender = format!("\"{quoted}\"@example.org");
            let asked = question(&format!("relation 192.0.2.1 <{sender}> {helo}"));
            prop_assert_eq!(asked, Ok(relation("192.0.2.1", &sender, helo.trim())));
        }

        /// Any line is read, and any action becomes one answer.
        #[test]
        fn any_line_is_read(line in ".{0,80}") {
            let _ = (question(&line), PolicyRequest::default().attribute(&line), is_question(&line));
            let answer = policy_answer(&line);
            prop_assert_eq!(answer.matches('\n').count(), 2);
            prop_assert!(answer.ends_with("\n\n"));
        }
    }
}
