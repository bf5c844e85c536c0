//! A client that asks without pause while something else happens, and accepts no wrong, late or lost answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::message::{Query, Reply};
use crate::server::{Server, Udp};

/// Time between two questions: 2000 in a second.
const PACE: Duration = Duration::from_micros(500);
/// The longest an answer may take. The machine may be busy with other tests; the aim on a quiet one is 10 ms.
const LATE: Duration = Duration::from_millis(500);

/// Says what is wrong with an answer.
type Check = Box<dyn FnMut(&Reply) -> Result<(), String> + Send>;

/// A question and what its answer must be.
pub struct Probe {
    /// The question.
    query: Query,
    /// Judges the answer.
    check: Check,
}

/// A question whose answer always has this code and these records.
pub fn always(query: Query, code: &str, records: &[&str]) -> Probe {
    let (code, records) = (code.to_owned(), records.iter().map(|&text| text.to_owned()).collect());
    let check = move |reply: &Reply| {
        let seen = reply.answers();
        if reply.code() == code && seen == records {
            return Ok(());
        }
        Err(format!("{} {seen:?} instead of {code} {records:?}", reply.code()))
    };
    Probe { query, check: Box::new(check) }
}

/// A question whose answer is checked by a function.
pub fn checked(query: Query, check: impl FnMut(&Reply) -> Result<(), String> + Send + 'static) -> Probe {
    Probe { query, check: Box::new(check) }
}

/// The client, asking on its own thread.
pub struct Load {
    /// Tells it to end.
    stop: Arc<AtomicBool>,
    /// Answers so far.
    answers: Arc<AtomicU64>,
    /// The thread: the slowest answer, or what went wrong.
    thread: JoinHandle<Result<Duration, String>>,
}

impl Load {
    /// Begin to ask, the questions in turn.
    pub fn start(server: &Server, mut probes: Vec<Probe>) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ended, counted, client) = (Arc::clone(&stop), Arc::clone(&answers), server.udp());
        let thread = std::thread::spawn(move || {
            let (begun, mut slowest, mut asked) = (Instant::now(), Duration::ZERO, 0u32);
            while !ended.load(Ordering::Relaxed) {
                let index = asked as usize % probes.len();
                let took = ask(&client, &mut probes[index], asked as u16)
                    .map_err(|error| format!("question {asked} after {:?}: {error}", begun.elapsed()))?;
                slowest = slowest.max(took);
                asked += 1;
                counted.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep((begun + PACE * asked).saturating_duration_since(Instant::now()));
            }
            Ok(slowest)
        });
        Self { stop, answers, thread }
    }

    /// Wait until this many more answers have come, or until one has failed.
    pub fn more(&self, count: u64) {
        let until = self.answers.load(Ordering::Relaxed) + count;
        while self.answers.load(Ordering::Relaxed) < until && !self.thread.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// End; any lost, wrong or late answer is a failure.
    pub fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        let slowest = self.thread.join().unwrap().unwrap_or_else(|error| panic!("{error}"));
        let answers = self.answers.load(Ordering::Relaxed);
        assert!(answers >= 200, "only {answers} questions were asked");
        println!("{answers} answers, the slowest took {slowest:?}");
    }
}

/// Ask one question.
fn ask(client: &Udp, probe: &mut Probe, id: u16) -> Result<Duration, String> {
    probe.query.id = id;
    let begun = Instant::now();
    client.send(&probe.query.wire());
    let octets = client.receive().ok_or("no answer")?;
    let took = begun.elapsed();
    let reply = Reply::parse(&octets)?;
    if reply.id != id {
        return Err(format!("an answer to {} came for {id}", reply.id));
    }
    (probe.check)(&reply)?;
    if took > LATE { Err(format!("an answer took {took:?}")) } else { Ok(took) }
}
