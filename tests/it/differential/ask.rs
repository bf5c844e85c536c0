//! Both servers asked the same, over UDP with many questions on their way, and over TCP where an answer was cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::generate::{FileState, FileText, Labels};
use crate::server::Tcp;

/// Questions on their way to a server at once: few enough for a socket's buffer.
const WINDOW: usize = 64;
/// How long an answer may take before the question is sent again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// How often a question is sent at most.
const TRIES: usize = 20;
/// Type of the EDNS pseudo-record.
const OPT: u16 = 41;

/// One record: type, TTL, data with names in full and lower case; a TXT's strings are joined.
pub type Record = (u16, u32, Vec<u8>);

/// What an answer is compared by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Response code.
    pub rcode: u8,
    /// Whether AA is set.
    pub aa: bool,
    /// Whether TC is set.
    pub tc: bool,
    /// Records of the answer section.
    pub records: BTreeSet<Record>,
    /// Records of the authority section.
    pub authority: BTreeSet<Record>,
    /// Records of the additional section but for EDNS, with their owners.
    pub additional: BTreeSet<(Vec<u8>, Record)>,
    /// A record came twice in the answer or the additional section.
    pub repeated: bool,
    /// Octets of the message.
    pub octets: usize,
}

impl Answer {
    /// Take a message apart.
    pub fn parse(message: &[u8]) -> Self {
        let word = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
        let mut answer = Self {
            rcode: message[3] & 15,
            aa: message[2] & 4 != 0,
            tc: message[2] & 2 != 0,
            octets: message.len(),
            ..Self::default()
        };
        let mut at = 12;
        for _ in 0..word(4) {
            name(message, &mut at, &mut Vec::new());
            at += 4;
        }
        for section in 0..3 {
            for _ in 0..word(6 + 2 * section) {
                let mut owner = Vec::new();
                name(message, &mut at, &mut owner);
                let (rtype, end) = (word(at), at + 10 + usize::from(word(at + 8)));
                let ttl = u32::from(word(at + 4)) << 16 | u32::from(word(at + 6));
                at += 10;
                let record = (rtype, ttl, data(message, rtype, at, end));
                at = end;
                match section {
                    0 => answer.repeated |= !answer.records.insert(record),
                    1 => drop(answer.authority.insert(record)),
                    _ if rtype == OPT => {}
                    _ => answer.repeated |= !answer.additional.insert((owner, record)),
                }
            }
        }
        assert_eq!(at, message.len(), "octets behind the last record: {message:02x?}");
        answer
    }

    /// The data of the answer section by type.
    pub fn data(&self) -> BTreeSet<(u16, &[u8])> {
        self.records.iter().map(|(rtype, _, data)| (*rtype, data.as_slice())).collect()
    }

    /// The TTLs of the answer section by type.
    pub fn ttls(&self) -> BTreeSet<(u16, u32)> {
        self.records.iter().map(|(rtype, ttl, _)| (*rtype, *ttl)).collect()
    }
}

/// Append the name at a place in wire form and lower case, and go behind it.
fn name(message: &[u8], at: &mut usize, out: &mut Vec<u8>) {
    let (mut here, mut jumped) = (*at, false);
    loop {
        let len = usize::from(message[here]);
        if len >= 0xc0 {
            if !jumped {
                *at = here + 2;
            }
            let target = (len & 0x3f) << 8 | usize::from(message[here + 1]);
            assert!(target < here, "a pointer that does not point back");
            (here, jumped) = (target, true);
            continue;
        }
        out.extend(message[here..=here + len].to_ascii_lowercase());
        here += len + 1;
        if len == 0 {
            break;
        }
    }
    if !jumped {
        *at = here;
    }
}

/// A record's data, spelt so that equal ones are equal.
fn data(message: &[u8], rtype: u16, mut at: usize, end: usize) -> Vec<u8> {
    let mut out = Vec::new();
    match rtype {
        2 => name(message, &mut at, &mut out),
        6 => {
            name(message, &mut at, &mut out);
            name(message, &mut at, &mut out);
        }
        15 => {
            out.extend(&message[at..at + 2]);
            at += 2;
            name(message, &mut at, &mut out);
        }
        16 => {
            while at < end {
                let len = usize::from(message[at]);
                out.extend(&message[at + 1..=at + len]);
                at += len + 1;
            }
        }
        _ => {}
    }
    out.extend(&message[at..end]);
    out
}

/// A query in wire form.
pub fn query(labels: &Labels, qtype: u16, edns: Option<u16>) -> Vec<u8> {
    let mut message = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
    for label in labels {
        message.push(label.len() as u8);
        message.extend(label);
    }
    message.push(0);
    message.extend(qtype.to_be_bytes());
    message.extend([0, 1]);
    if let Some(size) = edns {
        message.extend([0, 0, OPT as u8, (size >> 8) as u8, size as u8, 0, 0, 0, 0, 0, 0]);
    }
    message
}

/// Send questions to a server and collect the answers in their order; what is lost is sent again.
pub fn ask_all(server: SocketAddr, queries: &[Vec<u8>]) -> Vec<Answer> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    let mut answers: Vec<Option<Answer>> = vec![None; queries.len()];
    let mut buffer = [0; 65_535];
    for (n, window) in queries.chunks(WINDOW).enumerate() {
        let first = n * WINDOW;
        let mut waiting: BTreeMap<u16, usize> = (0..window.len()).map(|i| ((first + i) as u16, first + i)).collect();
        for attempt in 0.. {
            assert!(attempt < TRIES, "no answer to {:02x?}", queries[waiting.pop_first().unwrap().1]);
            for (id, &at) in &waiting {
                let mut message = queries[at].clone();
                message[..2].copy_from_slice(&id.to_be_bytes());
                socket.send(&message).unwrap();
            }
            socket.set_read_timeout(Some(RETRY_AFTER)).unwrap();
            while !waiting.is_empty() {
                let Ok(len) = socket.recv(&mut buffer) else { break };
                // A late answer to what was sent twice finds nobody waiting.
                if let Some(at) = waiting.remove(&u16::from_be_bytes([buffer[0], buffer[1]])) {
                    answers[at] = Some(Answer::parse(&buffer[..len]));
                }
            }
            if waiting.is_empty() {
                break;
            }
        }
    }
    answers.into_iter().flatten().collect()
}

/// Write a file as it is, or packed, with its time; or do not.
pub fn put(path: &Path, content: &[u8], file: &FileText) {
    if file.state == FileState::Missing {
        return;
    }
    let mut out = std::fs::File::create(path).unwrap();
    if file.gzip {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(content).unwrap();
        let mut packed = packer.finish().unwrap();
        if file.state == FileState::Cut {
            packed.truncate(packed.len() - packed.len() / 4);
        }
        out.write_all(&packed).unwrap();
    } else {
        out.write_all(content).unwrap();
    }
    out.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(file.mtime)).unwrap();
}

/// The content of a file as its author wrote it.
pub fn content(file: &FileText) -> Vec<u8> {
    let mut content = if file.bom { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
    content.extend(file.lines.join(&b'\n'));
    if file.ends && !file.lines.is_empty() {
        content.push(b'\n');
    }
    content
}

/// A server asked over TCP, by one connection as long as it lasts.
pub struct Whole {
    /// Where it answers.
    server: SocketAddr,
    /// The connection.
    tcp: Option<Tcp>,
}

impl Whole {
    /// Not connected yet.
    pub fn new(server: SocketAddr) -> Self {
        Self { server, tcp: None }
    }

    /// Ask for an answer that nothing cuts.
    pub fn ask(&mut self, query: &[u8]) -> Answer {
        for _ in 0..2 {
            let tcp = self.tcp.get_or_insert_with(|| Tcp::new(self.server));
            // The server may have closed a connection that was idle for too long.
            if tcp.stream.write_all(&Tcp::framed(query)).is_ok()
                && let Some(message) = tcp.receive()
            {
                return Answer::parse(&message);
            }
            self.tcp = None;
        }
        panic!("no answer over TCP to {query:02x?}");
    }
}
