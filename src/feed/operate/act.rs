//! Removing, allowing, forgetting.

use ipnet::IpNet;
use rusqlite::Connection;

use super::{OperateError, Told};
use crate::feed::ledger::{Act, Action, Ledger, forget_before, forget_host, forget_recipient};
use crate::feed::policy::DAY_MS;
use crate::feed::subject::Subject;
use crate::feed::zone_file::date;

/// Days of the longest allowance that is no mistake in writing.
const ALLOW_DAYS_MAX: u32 = 36_500;

/// Take a host off the list; what was seen of it until now does not count any more. Errors: it is not listed, or
/// see [`OperateError`].
pub fn remove(
    store: &mut Connection,
    ledger: &Ledger,
    subject: Subject,
    reason: &str,
    told: &mut Told<'_>,
) -> Result<(), OperateError> {
    let Some(listing) = ledger.listing(store, subject, told.now_ms)? else {
        return Err(OperateError::Refused(format!("{subject} is not listed, so nothing is to be removed")));
    };
    let action = Action { time_ms: told.now_ms, ..Action::now(Act::RemoveByOperator, subject.net(), None, reason) };
    ledger.act(store, &action)?;
    writeln!(
        told.out,
        "{subject} is removed; it would have been listed until {}; new evidence lists it again",
        date(listing.until_ms)
    )?;
    Ok(())
}

/// An allowance to give or to take back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// The host or network.
    pub net: IpNet,
    /// For so many days; for ever without.
    pub days: Option<u32>,
    /// Why.
    pub reason: String,
    /// It is taken back.
    pub end: bool,
}

/// Keep a host or a network off the list whatever it does, or no longer. Errors: see [`OperateError`].
pub fn allow(store: &mut Connection, ledger: &Ledger, allow: &Allow, told: &mut Told<'_>) -> Result<(), OperateError> {
    // What is within a /64 is one host.
    let net = if allow.net.addr().is_ipv6() && allow.net.prefix_len() > 64 {
        Subject::of(allow.net.addr()).net()
    } else {
        allow.net.trunc()
    };
    let days = allow.days.map(|days| i64::from(days.min(ALLOW_DAYS_MAX)));
    let until_ms = days.map(|days| told.now_ms + days * DAY_MS);
    let act = if allow.end { Act::Disallow } else { Act::Allow };
    ledger.act(store, &Action { time_ms: told.now_ms, ..Action::now(act, net, until_ms, &allow.reason) })?;
    match until_ms {
        _ if allow.end => writeln!(told.out, "{net} is judged like others again")?,
        Some(until_ms) => writeln!(told.out, "{net} is not listed until {}", date(until_ms))?,
        None => writeln!(told.out, "{net} is not listed any more; `feed allow --end {net}` takes that back")?,
    }
    Ok(())
}

/// Forget a recipient, a host, or what is older than a time. Errors: see [`OperateError`].
pub fn forget(
    store: &mut Connection,
    ledger: &Ledger,
    recipient: Option<&str>,
    subject: Option<Subject>,
    before_ms: Option<i64>,
    told: &mut Told<'_>,
) -> Result<(), OperateError> {
    if let Some(address) = recipient {
        let rows = forget_recipient(store, ledger, address)?;
        writeln!(told.out, "{rows} rows no longer know this recipient")?;
    }
    if let Some(subject) = subject {
        let events = forget_host(store, ledger, subject)?;
        writeln!(told.out, "{events} events of {subject} are forgotten")?;
    }
    if let Some(before_ms) = before_ms {
        let events = forget_before(store, ledger, before_ms)?;
        writeln!(told.out, "{events} events before {} are forgotten", date(before_ms))?;
    }
    // What was deleted must not lie about in the free pages of the file.
    store.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")?;
    Ok(())
}
