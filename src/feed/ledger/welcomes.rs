//! What DNS welcome lists said of hosts: asked when a listing begins, kept with the time, so that judging needs no network.
//!
//! An answer holds from the beginning of the listing that it was asked for, by the log's clock, and for what came before the
//! first one as well. So the same store always gives the same listings, whenever they are worked out.

use std::net::IpAddr;

use rusqlite::{Connection, TransactionBehavior, params};

use super::{Judged, Ledger, now_ms};
use crate::feed::policy::Welcome;
use crate::feed::protection::Exemption;
use crate::feed::store::StoreError;
use crate::feed::subject::Subject;

/// What is known of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is being asked.
    Asked,
    /// This list has the host.
    Listed(String),
    /// No list has it.
    Clear,
    /// No list that answered has it, and one did not answer.
    Failed,
}

impl Outcome {
    /// The word for it in the store and in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Listed(_) => "listed",
            Self::Clear => "clear",
            Self::Failed => "failed",
        }
    }
}

/// A question about a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The host.
    pub subject: Subject,
    /// The beginning of the listing, in milliseconds since 1970 (UTC) by the log's clock.
    pub from_ms: i64,
    /// The lists, parted by blanks.
    pub lists: String,
    /// The address that is asked about: the last one seen of the host.
    pub ip: IpAddr,
    /// When it was asked first, in milliseconds since 1970 (UTC).
    pub asked_ms: i64,
    /// When it was answered last, likewise.
    pub answered_ms: Option<i64>,
    /// What came of it.
    pub outcome: Outcome,
}

/// The columns of [`read`].
const COLUMNS: &str = "subject, from_ms, lists, ip, asked_ms, answered_ms, outcome, list";

/// A question out of its row.
fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Question> {
    let ip: String = row.get(3)?;
    let list: Option<String> = row.get(7)?;
    let outcome = match (row.get_ref(6)?.as_str()?, list) {
        ("listed", Some(list)) => Outcome::Listed(list),
        ("clear", _) => Outcome::Clear,
        ("failed", _) => Outcome::Failed,
        _ => Outcome::Asked,
    };
    let subject = Subject::from_octets(row.get(0)?);
    Ok(Question {
        subject,
        from_ms: row.get(1)?,
        lists: row.get(2)?,
        // Written by us from an address, so it is one.
        ip: ip.parse().unwrap_or(subject.ip()),
        asked_ms: row.get(4)?,
        answered_ms: row.get(5)?,
        outcome,
    })
}

/// Write a question down, unless it is there. Errors: what SQLite says.
fn put(store: &Connection, question: &Question) -> rusqlite::Result<()> {
    let list = if let Outcome::Listed(list) = &question.outcome { Some(list) } else { None };
    let sql = "INSERT INTO welcomes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";
    store.prepare_cached(sql)?.execute(params![
        question.subject.range().0,
        question.from_ms,
        question.lists,
        question.ip.to_string(),
        question.asked_ms,
        question.answered_ms,
        question.outcome.word(),
        list,
    ])?;
    Ok(())
}

impl Ledger {
    /// The welcome lists, as questions name them.
    fn lists(&self) -> String {
        self.options.welcome_lists.join(" ")
    }

    /// What is known of a host from the lists that are asked now, in order of time. Errors: what SQLite says.
    pub fn questions(&self, store: &Connection, subject: Subject) -> rusqlite::Result<Vec<Question>> {
        if self.options.welcome_lists.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT {COLUMNS} FROM welcomes WHERE subject = ?1 AND lists = ?2 ORDER BY from_ms");
        let mut statement = store.prepare_cached(&sql)?;
        statement.query_map(params![subject.range().0, self.lists()], read)?.collect()
    }

    /// The same, as judging wants it. Errors: what SQLite says.
    pub(super) fn welcomes(&self, store: &Connection, subject: Subject) -> rusqlite::Result<Vec<Welcome>> {
        let questions = self.questions(store, subject)?;
        let welcome = |question: Question| Welcome {
            from_ms: question.from_ms,
            list: if let Outcome::Listed(list) = question.outcome { Some(list) } else { None },
        };
        Ok(questions.into_iter().map(welcome).collect())
    }

    /// Ask about a host that is listed and not known. Errors: what SQLite says.
    pub(super) fn ask(&self, store: &Connection, subject: Subject, judged: &Judged) -> rusqlite::Result<()> {
        if self.options.welcome_lists.is_empty() || self.no_questions || judged.facts.exemption != Exemption::None {
            return Ok(());
        }
        let now_ms = now_ms();
        let listing = judged.history.listings.last().filter(|listing| listing.until_ms > now_ms);
        let (Some(listing), Some(event)) = (listing, judged.events.last()) else { return Ok(()) };
        if judged.facts.welcome(listing.since_ms).is_some() {
            return Ok(());
        }
        put(
            store,
            &Question {
                subject,
                from_ms: listing.since_ms,
                lists: self.lists(),
                ip: event.ip,
                asked_ms: now_ms,
                answered_ms: None,
                outcome: Outcome::Asked,
            },
        )
    }

    /// Questions without an answer: new ones, and those that failed before `again_ms` and were asked first after `since_ms`.
    /// Errors: what SQLite says.
    pub fn open_questions(&self, store: &Connection, again_ms: i64, since_ms: i64) -> rusqlite::Result<Vec<Question>> {
        if self.options.welcome_lists.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM welcomes WHERE outcome IN ('asked', 'failed') AND lists = ?1 \
             AND (outcome = 'asked' OR answered_ms < ?2 AND asked_ms > ?3) ORDER BY asked_ms"
        );
        let mut statement = store.prepare_cached(&sql)?;
        statement.query_map(params![self.lists(), again_ms, since_ms], read)?.collect()
    }

    /// Write an answer down and judge the host by it. In one transaction. Errors: what SQLite says.
    pub fn answer(&self, store: &mut Connection, question: &Question, outcome: &Outcome) -> rusqlite::Result<()> {
        let transaction = store.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let list = if let Outcome::Listed(list) = outcome { Some(list) } else { None };
        let sql = "UPDATE welcomes SET outcome = ?4, list = ?5, answered_ms = ?6 \
                   WHERE subject = ?1 AND lists = ?2 AND from_ms = ?3";
        let (key, from_ms) = (question.subject.range().0, question.from_ms);
        transaction.execute(sql, params![key, question.lists, from_ms, outcome.word(), list, now_ms()])?;
        self.update(&transaction, std::iter::once(question.subject))?;
        transaction.commit()
    }

    /// Judge without asking anything new: for replays.
    #[must_use]
    pub fn without_questions(mut self) -> Self {
        self.no_questions = true;
        self
    }
}

/// Hosts that were asked about after a time and are not answered yet, with that time. Errors: what SQLite says.
pub fn awaited(store: &Connection, after_ms: i64, now_ms: i64) -> rusqlite::Result<Vec<(Subject, i64)>> {
    // A question from the future comes of a clock that was set back; it is not waited for.
    let sql = "SELECT subject, asked_ms FROM welcomes WHERE outcome = 'asked' AND asked_ms > ?1 AND asked_ms <= ?2";
    let mut statement = store.prepare_cached(sql)?;
    let rows = statement.query_map([after_ms, now_ms], |row| Ok((Subject::from_octets(row.get(0)?), row.get(1)?)))?;
    rows.collect()
}

/// All that a store knows from welcome lists. Errors: what SQLite says.
pub fn all(store: &Connection) -> rusqlite::Result<Vec<Question>> {
    let mut statement = store.prepare(&format!("SELECT {COLUMNS} FROM welcomes"))?;
    statement.query_map([], read)?.collect()
}

/// Take in what another store knows. Errors: what SQLite says.
pub fn take(store: &Connection, questions: &[Question]) -> rusqlite::Result<()> {
    questions.iter().try_for_each(|question| put(store, question))
}

/// What the store of a state directory knows, read beside whatever runs on it; nothing where there is none, or an older one.
/// Errors: it can not be read.
pub fn of_state_dir(directory: &std::path::Path) -> Result<Vec<Question>, StoreError> {
    let path = directory.join(crate::feed::store::FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let read = || -> rusqlite::Result<Vec<Question>> {
        let store = Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'welcomes'";
        let known: i64 = store.query_row(sql, [], |row| row.get(0))?;
        if known == 0 { Ok(Vec::new()) } else { all(&store) }
    };
    read().map_err(|error| StoreError { why: format!("what welcome lists said can not be read: {error}"), path })
}
