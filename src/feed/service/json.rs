//! Sessions as JSON objects, one a line: the neutral form that any hook can write.
//!
//! Needed are `client.ip` and a time (`start`, or `time`); every other member may be absent, unknown members are left alone. A member of the wrong type makes
//! the line unknown, since its writer is wrong about something. docs/feeding.md shows the whole form.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;

use super::{Sink, Taken};
use crate::feed::envelope::{JSON, JsonTime, Message};
use crate::feed::kind;
use crate::feed::line::Place;
use crate::feed::record::{Act, Key, Record};
use crate::feed::session::{Answer, Body, Client, Closed, Count, Kinds, Recipient, Session, Transaction, Verbs};

/// The newest form known; an object that names a later one is not read.
const VERSION: u64 = 1;

/// Transactions and recipients taken from one object, together. A line has at most 8 KiB, so only an object of empty members comes near it.
const PARTS_MAX: usize = 1000;

/// The records of one line: a whole session.
pub fn parse(message: &Message<'_>, sink: &mut Sink<'_>) -> Taken {
    if message.program != JSON {
        return Taken::Ignored;
    }
    let Ok(object) = serde_json::from_slice::<Object>(message.text) else { return Taken::Unknown };
    let Some(session) = session(object) else { return Taken::Unknown };
    sink(Record::new(Key::Line, Act::Session(Box::new(session))));
    Taken::Parsed
}

/// A session, as written.
#[derive(Deserialize)]
struct Object {
    /// The form's version.
    v: Option<u64>,
    /// Who writes.
    #[serde(default)]
    source: Source,
    /// The beginning.
    start: Option<JsonTime>,
    /// The end.
    end: Option<JsonTime>,
    /// Beginning and end, for who knows but one.
    time: Option<JsonTime>,
    /// The client.
    client: ClientObject,
    /// What it calls itself.
    helo: Option<String>,
    /// TLS in use.
    #[serde(default)]
    tls: bool,
    /// It has logged in.
    #[serde(default)]
    auth: bool,
    /// Commands counted.
    verbs: Option<VerbsObject>,
    /// Transactions.
    #[serde(default)]
    tx: Vec<TransactionObject>,
    /// How it ended.
    #[serde(default)]
    closed: ClosedWord,
    /// Is this all of it.
    #[serde(default = "yes")]
    complete: bool,
}

/// A session is complete unless it says otherwise.
fn yes() -> bool {
    true
}

/// Who writes.
#[derive(Deserialize, Default)]
struct Source {
    /// The mail server's host.
    mta: Option<String>,
    /// The instance, where `mta` is absent.
    instance: Option<String>,
}

/// The client.
#[derive(Deserialize)]
struct ClientObject {
    /// Its address.
    ip: IpAddr,
    /// Its port.
    port: Option<u16>,
    /// Its name.
    ptr: Option<String>,
}

/// Commands, each `[accepted, all]`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct VerbsObject {
    /// MAIL.
    mail: [u32; 2],
    /// RCPT.
    rcpt: [u32; 2],
    /// DATA.
    data: [u32; 2],
    /// BDAT.
    bdat: [u32; 2],
    /// RSET.
    rset: u32,
    /// QUIT.
    quit: u32,
}

/// A transaction.
#[derive(Deserialize)]
struct TransactionObject {
    /// The sender, `""` for the null sender.
    sender: Option<String>,
    /// What kind of sender, where the address is kept back.
    sender_class: Option<SenderClass>,
    /// The recipients.
    #[serde(default)]
    rcpts: Vec<RecipientObject>,
    /// What became of the message.
    #[serde(default)]
    body: BodyWord,
    /// The queue id.
    queue_id: Option<String>,
    /// The Message-ID.
    message_id: Option<String>,
}

/// What kind of sender.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum SenderClass {
    /// The null sender.
    Null,
    /// Postfix' probe sender.
    DoubleBounce,
    /// The postmaster of some domain.
    Postmaster,
    /// An ordinary one.
    Other,
    /// Not known.
    Unseen,
}

/// A recipient.
#[derive(Deserialize)]
struct RecipientObject {
    /// The address.
    addr: Option<String>,
    /// The reply: its code, or all of it.
    reply: Option<Value>,
    /// What the reply means.
    class: Option<String>,
    /// The local part is an invented one.
    #[serde(default)]
    random_lp: bool,
}

/// What became of a message.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum BodyWord {
    /// No DATA.
    #[default]
    None,
    /// Tried and refused.
    Tried,
    /// Taken.
    Taken,
    /// Sent and refused.
    Refused,
    /// Connection lost.
    Lost,
}

/// How a session ended.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum ClosedWord {
    /// QUIT.
    Quit,
    /// The client went away.
    Lost,
    /// The client was silent.
    Timeout,
    /// The connection was reset by the client.
    Reset,
    /// The server closed it.
    Server,
    /// Not known.
    #[default]
    Unknown,
}

/// The session of an object; `None` where it has no time, is of a later version or says what can not be.
fn session(object: Object) -> Option<Session> {
    if object.v.is_some_and(|version| version > VERSION) {
        return None;
    }
    let start_ms = object.start.as_ref().or(object.time.as_ref())?.ms()?;
    let end_ms = match object.end.as_ref().or(object.time.as_ref()) {
        Some(time) => time.ms()?.max(start_ms),
        None => start_ms,
    };
    let mut left = PARTS_MAX;
    let mut transactions = Vec::new();
    let mut complete = object.complete;
    for transaction in object.tx {
        if left == 0 {
            complete = false;
            break;
        }
        left -= 1;
        complete &= transaction.rcpts.len() <= left;
        let taken = transaction.rcpts.len().min(left);
        left -= taken;
        transactions.push(transaction.read(taken)?);
    }
    let verbs = object.verbs.map_or_else(|| counted(&transactions), |verbs| verbs.read());
    Some(Session {
        first: Place::default(),
        last: Place::default(),
        start_ms,
        end_ms,
        id: 0,
        host: object.source.mta.or(object.source.instance).unwrap_or_default().into_boxed_str(),
        client: Client {
            ip: object.client.ip.to_canonical(),
            port: object.client.port,
            ptr: object.client.ptr.filter(|name| !name.is_empty()).map(String::into_boxed_str),
        },
        helo: object.helo.map(octets),
        tls: object.tls,
        authenticated: object.auth,
        verbs,
        transactions,
        closed: match object.closed {
            ClosedWord::Quit => Closed::Quit,
            ClosedWord::Lost | ClosedWord::Reset => Closed::Lost,
            ClosedWord::Timeout => Closed::Timeout,
            ClosedWord::Server => Closed::Server,
            ClosedWord::Unknown => Closed::Unknown,
        },
        complete,
        ambiguous: false,
        kinds: Kinds::default(),
    })
}

/// A text's octets.
fn octets(text: String) -> Box<[u8]> {
    text.into_bytes().into_boxed_slice()
}

/// Commands as the transactions imply them, where the object does not count them.
fn counted(transactions: &[Transaction]) -> Verbs {
    let mut verbs = Verbs::default();
    let add = |count: &mut Count, ok: bool| {
        count.ok += u32::from(ok);
        count.all += 1;
    };
    for transaction in transactions {
        add(&mut verbs.mail, true);
        for recipient in &transaction.recipients {
            add(&mut verbs.rcpt, recipient.answer == Answer::Ok);
        }
        if transaction.body != Body::None {
            add(&mut verbs.data, transaction.body != Body::Tried);
        }
    }
    verbs
}

impl VerbsObject {
    /// The counts; never more accepted than all.
    fn read(&self) -> Verbs {
        let count = |[ok, all]: [u32; 2]| Count { ok: ok.min(all), all };
        Verbs {
            mail: count(self.mail),
            rcpt: count(self.rcpt),
            data: count(self.data),
            bdat: count(self.bdat),
            rset: self.rset,
            quit: self.quit,
        }
    }
}

impl TransactionObject {
    /// The transaction, with the first `recipients` of its recipients.
    fn read(self, recipients: usize) -> Option<Transaction> {
        let sender = match (self.sender, self.sender_class) {
            (Some(sender), _) => Some(octets(sender)),
            (None, Some(SenderClass::Null)) => Some(Box::default()),
            (None, Some(SenderClass::DoubleBounce)) => Some(Box::from(&b"double-bounce@unseen.invalid"[..])),
            (None, Some(SenderClass::Postmaster)) => Some(Box::from(&b"postmaster@unseen.invalid"[..])),
            (None, Some(SenderClass::Other)) => Some(Box::from(&b"unseen@unseen.invalid"[..])),
            (None, Some(SenderClass::Unseen) | None) => None,
        };
        let recipients =
            self.rcpts.into_iter().take(recipients).map(RecipientObject::read).collect::<Option<Vec<_>>>()?;
        Some(Transaction {
            sender,
            recipients,
            unnamed_accepted: 0,
            body: match self.body {
                BodyWord::None => Body::None,
                BodyWord::Tried => Body::Tried,
                BodyWord::Taken => Body::Taken,
                BodyWord::Refused => Body::Refused,
                BodyWord::Lost => Body::Lost,
            },
            queue_id: self.queue_id.map(String::into_boxed_str),
            message_id: self.message_id.map(octets),
        })
    }
}

impl RecipientObject {
    /// The recipient; `None` where neither class nor reply says how it was answered.
    fn read(self) -> Option<Recipient> {
        let (code, text) = match &self.reply {
            None | Some(Value::Null) => (None, ""),
            Some(Value::Number(code)) => (Some(u16::try_from(code.as_u64()?).ok()?), ""),
            Some(Value::String(reply)) => {
                let code = super::text::reply_code(reply.as_bytes())?;
                (Some(code), reply.get(4..).unwrap_or(""))
            }
            Some(_) => return None,
        };
        let answer = match self.class.as_deref() {
            Some("ok") => Answer::Ok,
            Some("unknown_user") => Answer::UnknownUser,
            Some("greylist") => Answer::Greylisted,
            Some("dnsbl") => Answer::Blocked(None),
            Some("policy") => Answer::Policy,
            Some("relay_denied") => Answer::RelayDenied,
            Some("local_error") => Answer::LocalError,
            Some("deferred") => Answer::Deferred,
            Some(class) => Answer::Blocked(Some(Box::from(class.strip_prefix("dnsbl:")?))),
            None => match code? {
                200..400 => Answer::Ok,
                code => kind::answer(code, text.as_bytes()),
            },
        };
        let random = self.random_lp || self.addr.as_deref().is_some_and(|addr| kind::is_random(addr.as_bytes()));
        Some(Recipient { address: self.addr.map(octets), answer, code, random })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The session of an object, printed in few words.
    fn shown(text: &str) -> Option<String> {
        let session = session(serde_json::from_str(text).ok()?)?;
        let mut words = vec![format!("{}..{} {}", session.start_ms, session.end_ms, session.client.ip)];
        for transaction in &session.transactions {
            let sender = transaction.sender.as_deref().map(String::from_utf8_lossy);
            words.push(format!("{} {:?}", sender.as_deref().unwrap_or("?"), transaction.body));
            words.extend(transaction.recipients.iter().map(|r| format!("{:?} {:?}", r.answer, r.code)));
        }
        if !session.complete {
            words.push("incomplete".to_owned());
        }
        Some(words.join("; "))
    }

    #[test]
    fn invented_local_parts_are_seen_or_told() {
        let rows = [
            (r#""addr":"host.example.net-1795289439-testing@example.org""#, true),
            (r#""addr":"alice@example.org""#, false),
            (r#""addr":"qzx7f@example.org","random_lp":true"#, true),
            (r#""random_lp":true"#, true),
            (r#""class":"unknown_user""#, false),
        ];
        for (recipient, expected) in rows {
            let object = format!(
                r#"{{"time":1,"client":{{"ip":"192.0.2.7"}},"tx":[{{"rcpts":[{{{recipient},"reply":550}}]}}]}}"#
            );
            let session = session(serde_json::from_str(&object).unwrap()).unwrap();
            assert_eq!(session.transactions[0].recipients[0].random, expected, "{recipient}");
        }
    }

    #[test]
    fn objects() {
        let client = r#""client":{"ip":"::ffff:192.0.2.7"}"#;
        let tx = |tx: &str| format!(r#"{{"time":1,{client},"tx":[{tx}]}}"#);
        let rows: &[(String, Option<&str>)] = &[
            (
                format!(r#"{{"start":"2026-11-21T19:13:18Z","end":1795288399.5,{client}}}"#),
                Some("1795288398000..1795288399500 192.0.2.7"),
            ),
            (
                format!(r#"{{"time":1,{client},"complete":false,"later":{{"x":1}}}}"#),
                Some("1000..1000 192.0.2.7; incomplete"),
            ),
            (
                tx(r#"{"sender":"","rcpts":[{"addr":"a@b","reply":550,"class":"unknown_user"}],"body":"tried"}"#),
                Some("1000..1000 192.0.2.7;  Tried; UnknownUser Some(550)"),
            ),
            (
                tx(r#"{"sender_class":"null","rcpts":[{"reply":"450 4.7.1 Greylisted"}]}"#),
                Some("1000..1000 192.0.2.7;  None; Greylisted Some(450)"),
            ),
            (
                tx(r#"{"rcpts":[{"class":"dnsbl:bl.test"},{"reply":250}]}"#),
                Some("1000..1000 192.0.2.7; ? None; Blocked(Some(\"bl.test\")) None; Ok Some(250)"),
            ),
            (tx(r#"{"rcpts":[{"addr":"a@b"}]}"#), None),
            (tx(r#"{"rcpts":[{"class":"nonsense"}]}"#), None),
            (tx(r#"{"body":"eaten"}"#), None),
            (format!(r"{{{client}}}"), None),
            (format!(r#"{{"time":-1,{client}}}"#), None),
            (format!(r#"{{"time":1e300,{client}}}"#), None),
            (format!(r#"{{"v":2,"time":1,{client}}}"#), None),
            (r#"{"time":1,"client":{"ip":"mail.example.net"}}"#.to_owned(), None),
            (r#"{"time":1}"#.to_owned(), None),
        ];
        for (text, expected) in rows {
            assert_eq!(shown(text).as_deref(), *expected, "{text}");
        }
    }

    #[test]
    fn too_many_parts_make_a_session_incomplete() {
        let many = vec!["{}"; PARTS_MAX + 1].join(",");
        let text = format!(r#"{{"time":1,"client":{{"ip":"::1"}},"tx":[{many}]}}"#);
        let session = session(serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!((session.transactions.len(), session.complete), (PARTS_MAX, false));
    }
}
