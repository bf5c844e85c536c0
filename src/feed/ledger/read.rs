//! From the store's rows to what is judged.

use std::net::IpAddr;

use rusqlite::{Connection, Row, params};

use super::marks::{SENT, SOLICITED};
use super::{Ledger, actions, derived, flooded};
use crate::feed::event::{self, Event, EventPlace, EventRecipient, EventTransaction, SenderClass};
use crate::feed::policy::Facts;
use crate::feed::session::{Answer, Body, Kind, Kinds};
use crate::feed::subject::Subject;

impl Ledger {
    /// The events of a host, in the order in which they are judged. Errors: what SQLite says.
    pub(super) fn events(&self, store: &Connection, subject: Subject) -> rusqlite::Result<Vec<Event>> {
        let (first, last) = subject.range();
        let sql = "SELECT event, id, end_ms, ip_text, port, ptr, e.helo, host, kinds, verbs, inputs.name, file, first_line \
                   FROM events AS e JOIN inputs USING (input) WHERE ip BETWEEN ?1 AND ?2 ORDER BY event";
        let mut statement = store.prepare_cached(sql)?;
        let rows = statement.query_map(params![first, last], |row| Ok((row.get::<_, i64>(0)?, read_event(row)?)))?;
        let mut events = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        let sql = "SELECT event, sender, unnamed_accepted, body FROM transactions JOIN events USING (event) \
                   WHERE ip BETWEEN ?1 AND ?2 ORDER BY event, place";
        let mut statement = store.prepare_cached(sql)?;
        let mut rows = statement.query(params![first, last])?;
        while let Some(row) = rows.next()? {
            let transaction = EventTransaction {
                sender: sender(row.get_ref(1)?.as_str()?),
                unnamed_accepted: row.get(2)?,
                body: body(row.get_ref(3)?.as_str()?),
                recipients: Vec::new(),
            };
            if let Some(event) = find(&mut events, row.get(0)?) {
                event.transactions.push(transaction);
            }
        }
        let sql = "SELECT event, place, hash, r.domain, answer, answer_zone, random, end_ms, \
                   EXISTS (SELECT 1 FROM marks WHERE event = e.event AND hash = r.hash AND mark = ?3), \
                   EXISTS (SELECT 1 FROM marks WHERE event = e.event AND hash = r.hash AND mark = ?4), \
                   (SELECT since_ms FROM outbound WHERE domain = r.domain) \
                   FROM recipients AS r JOIN events AS e USING (event) WHERE ip BETWEEN ?1 AND ?2 ORDER BY event, place, nth";
        let mut statement = store.prepare_cached(sql)?;
        let mut rows = statement.query(params![first, last, SOLICITED, SENT])?;
        while let Some(row) = rows.next()? {
            let recipient = self.recipient(row)?;
            let place = usize::try_from(row.get::<_, i64>(1)?).unwrap_or(usize::MAX);
            let transaction = find(&mut events, row.get(0)?).and_then(|event| event.transactions.get_mut(place));
            if let Some(transaction) = transaction {
                transaction.recipients.push(recipient);
            }
        }
        let mut events = events.into_iter().map(|(_, event)| event).collect();
        event::sort(&mut events);
        Ok(events)
    }

    /// A recipient out of its row.
    fn recipient(&self, row: &Row<'_>) -> rusqlite::Result<EventRecipient> {
        let hash: Option<[u8; 16]> = row.get(2)?;
        let domain: Option<Box<str>> = row.get(3)?;
        let time_ms: i64 = row.get(7)?;
        let (solicited, sent): (bool, bool) = (row.get(8)?, row.get(9)?);
        let watched_since: Option<i64> = row.get(10)?;
        let options = &self.options.solicited;
        let is = |domains: &[Box<str>]| domain.as_ref().is_some_and(|domain| domains.contains(domain));
        let watched = is(&options.outbound_domains)
            && watched_since.is_some_and(|since| since <= time_ms.saturating_sub(options.watched_ms));
        let postmaster = domain.as_ref().map(|domain| self.key.hash(format!("postmaster@{domain}").as_bytes()));
        Ok(EventRecipient {
            postmaster: hash.is_some() && hash == postmaster,
            trap: hash.is_some_and(|hash| self.traps.contains(&hash)) || is(&self.options.trap_domains),
            never_sent: hash.is_some() && watched && !sent && !solicited,
            hash,
            answer: answer(row.get_ref(4)?.as_str()?, row.get(5)?),
            random: row.get(6)?,
            solicited,
            domain,
        })
    }

    /// What else judging a host depends on. Errors: what SQLite says.
    pub(super) fn facts(&self, store: &Connection, subject: Subject) -> rusqlite::Result<Facts> {
        let (first, last) = subject.range();
        let sql =
            "SELECT day, sum(messages) FROM counts WHERE ip BETWEEN ?1 AND ?2 AND kind = ?3 GROUP BY day ORDER BY day";
        let mut statement = store.prepare_cached(sql)?;
        let days = statement
            .query_map(params![first, last, Kind::MailAccepted as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let messages = days.collect::<rusqlite::Result<_>>()?;
        let joe_jobs = flooded::stored(store)?;
        let (removals, allowances) = actions::of(store, subject)?;
        let base = derived::base(store, subject)?;
        let (exemption, welcomes) = (self.exemption(subject), self.welcomes(store, subject)?);
        Ok(Facts { removals, allowances, exemption, welcomes, messages, joe_jobs, base })
    }
}

/// An event out of its row.
fn read_event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let ip: String = row.get(3)?;
    let kinds: i64 = row.get(8)?;
    let kinds = Kind::ALL.into_iter().filter(|&kind| kinds & 1 << kind as i64 != 0).fold(Kinds::default(), Kinds::with);
    let line: i64 = row.get(12)?;
    Ok(Event {
        id: row.get(1)?,
        time_ms: row.get(2)?,
        // Written by us from an address, so it is one.
        ip: ip.parse().unwrap_or(IpAddr::from([0, 0, 0, 0])),
        port: row.get(4)?,
        ptr: row.get(5)?,
        helo: row.get::<_, Option<Vec<u8>>>(6)?.map(Into::into),
        host: row.get(7)?,
        kinds,
        verbs: row.get(9)?,
        place: EventPlace { input: row.get(10)?, file: row.get(11)?, line: u64::try_from(line).unwrap_or(0) },
        transactions: Vec::new(),
    })
}

/// The event with a number, among those that are in the order of their numbers.
fn find(events: &mut [(i64, Event)], number: i64) -> Option<&mut Event> {
    let at = events.binary_search_by_key(&number, |(known, _)| *known).ok()?;
    Some(&mut events[at].1)
}

/// The class of a sender, from its word.
fn sender(word: &str) -> SenderClass {
    match word {
        "null" => SenderClass::Null,
        "double-bounce" | "postmaster" | "probe" => SenderClass::Probe,
        "unseen" => SenderClass::Unseen,
        _ => SenderClass::Other,
    }
}

/// What became of a message, from its word.
fn body(word: &str) -> Body {
    match word {
        "tried" => Body::Tried,
        "taken" => Body::Taken,
        "refused" => Body::Refused,
        "lost" => Body::Lost,
        _ => Body::None,
    }
}

/// How a recipient was answered, from its word.
fn answer(word: &str, zone: Option<String>) -> Answer {
    match word {
        "ok" => Answer::Ok,
        "unknown_user" => Answer::UnknownUser,
        "greylist" => Answer::Greylisted,
        "dnsbl" => Answer::Blocked(zone.map(Into::into)),
        "relay_denied" => Answer::RelayDenied,
        "local_error" => Answer::LocalError,
        "deferred" => Answer::Deferred,
        _ => Answer::Policy,
    }
}
