//! DNS welcome lists: a host that is about to be listed is looked up in them, by a thread of its own.
//!
//! The store's writer notes the question with the listing and goes on; this thread asks, writes the answer beside it and judges
//! the host by it. Who publishes holds a new listing back until then, five seconds at most. A host on a welcome list is judged
//! as a shared provider from the beginning of that listing on, so it leaves the list again if an answer comes late.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::ledger::welcomes::{Outcome, Question};
use super::ledger::{SharedLedger, now_ms};
use super::publish::{Nudge, WELCOME_WAIT_MS};
use super::relation::lookup::{self, Found, ResolverOptions};
use super::store;

/// Time between two looks for questions that nobody told of, such as those of the operator's commands.
const POLL: Duration = Duration::from_millis(250);
/// Hosts asked about at once: a burst of new rules asks about all that are listed, and must not flood the resolver.
const ASKED_MAX: usize = 64;
/// The least time for an answer, in milliseconds: who waited for its turn, or for a restart, is asked nevertheless.
const TIME_MS_MIN: i64 = 2_000;
/// Questions that failed are asked again after so long, in milliseconds, …
const AGAIN_AFTER_MS: i64 = 600_000;
/// … for so long after they were asked first, in milliseconds.
const AGAIN_UNTIL_MS: i64 = 86_400_000;
/// What lists answer with to say that they do not answer us, besides all of 127.255.255.0/24: our resolver asks too much.
const REFUSED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 255);

/// The running thread.
#[derive(Debug)]
pub struct WelcomeThread {
    /// Wakes it.
    nudge: Nudge,
    /// The thread.
    thread: JoinHandle<()>,
}

impl WelcomeThread {
    /// Start it. `nudge` wakes it; `tell` is woken when an answer was written. Errors: the system has no thread left.
    pub fn start(
        directory: &Path,
        ledger: SharedLedger,
        resolver: ResolverOptions,
        nudge: Nudge,
        tell: Nudge,
        runtime: &Handle,
    ) -> io::Result<Self> {
        let (answers, answered) = channel();
        let asker = Asker {
            directory: directory.to_owned(),
            ledger,
            options: resolver,
            nudge: nudge.clone(),
            tell,
            runtime: runtime.clone(),
            answers,
            answered,
            store: None,
            resolver: None,
            asking: HashSet::new(),
            told: false,
        };
        let thread = std::thread::Builder::new().name("welcome".to_owned()).spawn(move || asker.run())?;
        Ok(Self { nudge, thread })
    }

    /// End it. What is not answered is asked again at the next start.
    pub fn stop(self) {
        self.nudge.stop();
        if self.thread.join().is_err() {
            tracing::error!("the thread of the welcome lists had died");
        }
    }
}

/// What the thread works with.
struct Asker {
    /// The state directory.
    directory: PathBuf,
    /// The rules.
    ledger: SharedLedger,
    /// Where to ask.
    options: ResolverOptions,
    /// Wakes this thread.
    nudge: Nudge,
    /// Wakes who publishes.
    tell: Nudge,
    /// Look-ups run here.
    runtime: Handle,
    /// The way of answers, for look-ups.
    answers: Sender<(Question, Outcome)>,
    /// Answers.
    answered: Receiver<(Question, Outcome)>,
    /// The store, once there was something to ask.
    store: Option<Connection>,
    /// The resolver, likewise.
    resolver: Option<TokioResolver>,
    /// Questions under way.
    asking: HashSet<(super::subject::Subject, i64)>,
    /// The log has been told that something does not work.
    told: bool,
}

impl Asker {
    /// Ask until told to stop.
    fn run(mut self) {
        loop {
            match self.look() {
                Ok(()) => self.told = false,
                Err(error) if !std::mem::replace(&mut self.told, true) => {
                    tracing::error!(
                        "welcome lists can not be asked: {error}; tried again until it works, listings go ahead"
                    );
                }
                Err(_) => {}
            }
            if !self.nudge.wait(POLL) {
                return;
            }
        }
    }

    /// Write what was answered, and ask what is to be asked. Errors: the store can not be used.
    fn look(&mut self) -> Result<(), String> {
        let ledger = self.ledger.read().unwrap_or_else(|e| e.into_inner()).clone();
        let lists = ledger.options().welcome_lists.clone();
        if lists.is_empty() {
            return Ok(());
        }
        let store = match &mut self.store {
            Some(store) => store,
            None => self.store.insert(store::open_beside(&self.directory).map_err(|error| error.to_string())?.0),
        };
        while let Ok((question, outcome)) = self.answered.try_recv() {
            self.asking.remove(&(question.subject, question.from_ms));
            if let Outcome::Listed(list) = &outcome {
                tracing::info!("{} is on the welcome list {list}: judged as a shared provider", question.subject);
            }
            // Judged by the rules of this moment, which stay until it is written. What can not be written is asked again.
            let ledger = self.ledger.read().unwrap_or_else(|e| e.into_inner());
            ledger.answer(store, &question, &outcome).map_err(|error| error.to_string())?;
            drop(ledger);
            self.tell.nudge();
        }
        let now = now_ms();
        let open = ledger.open_questions(store, now - AGAIN_AFTER_MS, now - AGAIN_UNTIL_MS);
        for question in open.map_err(|error| error.to_string())? {
            let key = (question.subject, question.from_ms);
            if self.asking.len() >= ASKED_MAX || self.asking.contains(&key) {
                continue;
            }
            let resolver = match &self.resolver {
                Some(resolver) => resolver.clone(),
                None => {
                    let _inside = self.runtime.enter();
                    self.resolver.insert(lookup::resolver(&self.options)?).clone()
                }
            };
            self.asking.insert(key);
            let time_ms = (question.asked_ms + WELCOME_WAIT_MS - now).clamp(TIME_MS_MIN, WELCOME_WAIT_MS);
            let (answers, nudge, lists) = (self.answers.clone(), self.nudge.clone(), lists.clone());
            self.runtime.spawn(async move {
                let time_max = Duration::from_millis(time_ms.unsigned_abs());
                let outcome = ask(&resolver, question.ip, &lists, time_max).await;
                // The thread is gone when the program is being stopped.
                let _ = answers.send((question, outcome));
                nudge.nudge();
            });
        }
        Ok(())
    }
}

/// Ask all lists about an address.
async fn ask(resolver: &TokioResolver, ip: IpAddr, lists: &[Box<str>], time_max: Duration) -> Outcome {
    let mut asking = JoinSet::new();
    for list in lists {
        let (resolver, list, name) = (resolver.clone(), list.to_string(), format!("{}.{list}", reversed(ip)));
        asking.spawn(async move {
            let like = IpAddr::from(Ipv4Addr::UNSPECIFIED);
            (lookup::addresses(&resolver, &name, like).await, list)
        });
    }
    let all = async {
        let mut outcome = Outcome::Clear;
        while let Some(answer) = asking.join_next().await {
            match answer {
                Ok((Found::Some(found), list)) if found.iter().all(is_yes) => return Outcome::Listed(list),
                Ok((Found::Void { .. }, _)) => {}
                Ok((Found::Some(_) | Found::Failed(_), _)) | Err(_) => outcome = Outcome::Failed,
            }
        }
        outcome
    };
    tokio::time::timeout(time_max, all).await.unwrap_or(Outcome::Failed)
}

/// Does an answer say that the list has the host? Others are of a list that is gone or does not answer us.
fn is_yes(answer: &IpAddr) -> bool {
    let IpAddr::V4(answer) = answer else { return false };
    answer.is_loopback() && *answer != REFUSED && answer.octets()[..3] != [127, 255, 255]
}

/// An address as DNS lists are asked for it (RFC 5782 sections 2.1 and 2.4).
fn reversed(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        IpAddr::V6(ip) => {
            let nibbles = ip.octets().into_iter().rev().flat_map(|octet| [octet & 0xf, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}")).collect::<Vec<_>>().join(".")
        }
    }
}

#[cfg(test)]
mod tests;
