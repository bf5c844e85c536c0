//! `dnsbld top`: what a running server does, seen in its metrics as they change.
//!
//! ```text
//! GET /metrics ──▶ Scrape ──▶ two of them: View and events ──▶ Lines ──▶ terminal or pipe
//! ```
//!
//! Nothing here knows the server but its page of metrics, so that any server can be watched that can be reached. All between two
//! scrapes and the lines of text is pure. A server that goes away while it is watched is told and asked again; one that never answered ends
//! the program.

mod events;
mod fetch;
mod scrape;
mod terminal;
#[cfg(test)]
mod tests;
mod view;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use crate::sys::clock;
use fetch::Target;
use scrape::Scrape;
use terminal::Screen;
use view::{Line, View};

/// Events that are kept for the screen: more than any screen has lines.
const EVENTS_MAX: usize = 200;

/// Which server, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopOptions {
    /// Its operator's listener, `http://host:port`.
    pub url: String,
    /// Time between two looks.
    pub interval: Duration,
    /// Look twice, print, and end.
    pub once: bool,
}

/// Why a server can not be watched.
#[derive(Debug, Error)]
pub enum TopError {
    /// The address is none.
    #[error("--url {url:?}: {why}; expected something like http://127.0.0.1:9353")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nothing answers there.
    #[error("{authority} does not answer: {why}; is dnsbld running, and does its [http] listen name this address?")]
    Unreachable {
        /// Host and port.
        authority: String,
        /// What was tried and what came of it.
        why: String,
    },
    /// What answers there is something else.
    #[error("{authority} is no dnsbld: {why}; expected what the server's settings name as [http] listen")]
    NotOurs {
        /// Host and port.
        authority: String,
        /// What was expected of its answer.
        why: String,
    },
    /// The output can not be written.
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// Watch a server until the user has seen enough. Errors: an address that is none, no dnsbld there, output that can not be written.
pub fn run(options: &TopOptions, out: &mut dyn Write) -> Result<(), TopError> {
    let target = Target::parse(&options.url)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if options.once {
            once(&target, options.interval, out).await
        } else {
            watch(&target, options.interval, out).await
        }
    })
}

/// Look twice and print what happened between.
async fn once(target: &Target, interval: Duration, out: &mut dyn Write) -> Result<(), TopError> {
    let (before, start) = (target.scrape().await?, Instant::now());
    sleep(interval).await;
    let after = target.scrape().await?;
    let mut watched = Watched { authority: target.authority().to_owned(), ..Watched::new(before, start) };
    watched.take(after, Instant::now());
    print(out, &watched.lines(None))
}

/// Look again and again, until a key or a signal ends it.
async fn watch(target: &Target, interval: Duration, out: &mut dyn Write) -> Result<(), TopError> {
    let first = target.scrape().await?;
    let mut watched = Watched { authority: target.authority().to_owned(), ..Watched::new(first, Instant::now()) };
    let mut ends = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let mut resized = signal(SignalKind::window_change())?;
    let mut screen = Screen::open(out)?;
    let mut due = Instant::now() + interval;
    loop {
        if let Some(screen) = &screen {
            screen.draw(out, &watched.lines(Some(screen.size())))?;
        }
        tokio::select! {
            () = sleep_until(due) => {
                // From now on, not from when it was due: a machine that slept is not asked for every look it missed.
                due = Instant::now() + interval;
                // A server that does not answer must not keep the user waiting.
                let scraped = tokio::select! {
                    scraped = target.scrape() => scraped,
                    () = ended(&mut screen, &mut ends) => break,
                };
                match scraped {
                    Ok(after) => watched.take(after, Instant::now()),
                    Err(error) => watched.trouble = Some(error.to_string()),
                }
                if screen.is_none() {
                    print(out, &watched.lines(None))?;
                    writeln!(out)?;
                    out.flush()?;
                    watched.events.clear();
                }
            }
            () = ended(&mut screen, &mut ends) => break,
            _ = resized.recv() => {}
        }
    }
    screen.map_or(Ok(()), |screen| screen.close(out))
}

/// Wait for a key or a signal that ends.
async fn ended(screen: &mut Option<Screen>, [interrupt, terminate, hangup]: &mut [io::Result<Signal>; 3]) {
    tokio::select! {
        () = quit(screen) => {}
        () = received(interrupt) => {}
        () = received(terminate) => {}
        () = received(hangup) => {}
    }
}

/// Wait for the user to have seen enough; for ever without a terminal.
async fn quit(screen: &mut Option<Screen>) {
    match screen {
        Some(screen) => screen.quit().await,
        None => std::future::pending().await,
    }
}

/// Wait for a signal; for ever where it can not be had.
async fn received(signal: &mut io::Result<Signal>) {
    match signal {
        Ok(signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}

/// Write lines as plain text.
fn print(out: &mut dyn Write, lines: &[Line]) -> Result<(), TopError> {
    lines.iter().try_for_each(|line| writeln!(out, "{}", line.text))?;
    Ok(out.flush()?)
}

/// What has been seen.
struct Watched {
    /// Host and port of the server.
    authority: String,
    /// The last scrape.
    last: Scrape,
    /// When it was taken.
    at: Instant,
    /// What it showed, against the one before.
    view: Option<View>,
    /// What happened, the latest last, each with its time of day.
    events: VecDeque<String>,
    /// Why the last look failed.
    trouble: Option<String>,
}

impl Watched {
    /// Nothing but a first scrape.
    fn new(first: Scrape, at: Instant) -> Self {
        Self { authority: String::new(), last: first, at, view: None, events: VecDeque::new(), trouble: None }
    }

    /// Take the next scrape.
    fn take(&mut self, after: Scrape, at: Instant) {
        let restarted = after.restarted_since(&self.last);
        let seconds = at.duration_since(self.at).as_secs_f64();
        let stamp = Timestamp::from_second(clock::now_s()).unwrap_or_default().to_zoned(TimeZone::system());
        let stamp = stamp.strftime("%H:%M:%S").to_string();
        if restarted {
            // Its counters began again.
            self.last = Scrape::default();
            self.events.push_back(format!("{stamp}  the server was started again"));
        } else {
            let found = events::between(&self.last, &after);
            self.events.extend(found.into_iter().map(|event| format!("{stamp}  {event}")));
        }
        let surplus = self.events.len().saturating_sub(EVENTS_MAX);
        self.events.drain(..surplus);
        self.view = Some(View::between(&self.last, &after, seconds, clock::now_f64()));
        (self.last, self.at, self.trouble) = (after, at, None);
    }

    /// All of it, for a screen of so many columns and rows, or as plain text.
    fn lines(&self, size: Option<(usize, usize)>) -> Vec<Line> {
        let head = match &self.trouble {
            Some(trouble) => trouble.clone(),
            None => self.authority.clone(),
        };
        let events: Vec<&str> = self.events.iter().map(String::as_str).collect();
        match &self.view {
            Some(view) => view.lines(&head, &events, size),
            None => vec![Line::strong(format!("dnsbld at {head}: looking"))],
        }
    }
}
