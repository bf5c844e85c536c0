//! One pure function answers a query for every transport.
//!
//! It does no I/O, takes no lock, allocates nothing, logs nothing and can not fail: malformed input is an
//! outcome, not an error.

use std::net::IpAddr;

use super::record_set::RecordSet;
use crate::dataset::records::RecordType;
use crate::wire::edns::Edns;
use crate::wire::query::{Message, Query};
use crate::wire::reply::{Head, NoRoom, Opt, Piece, Section, Writer};
use crate::wire::{class, ede, rcode, rtype};
use crate::zone::{self, Access, Address, Existence, Match, Snapshot, Zone, ZoneState};

/// How a query came; decides sizes, truncation and what a transfer request is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Transport {
    /// A datagram (RFC 1035 section 4.2.1).
    Udp,
    /// A TCP stream (RFC 7766).
    Tcp,
}

/// What the answer depends on besides the question and the data.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Source address of the query.
    pub client: IpAddr,
    /// How it came.
    pub transport: Transport,
    /// Counts up with each query, so that record sets rotate.
    pub rotation: u32,
    /// What the operator decided for all zones.
    pub policy: &'a Policy,
}

/// The operator's choices for every answer; see `[dns]` in the settings.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Largest UDP answer and the size advertised in EDNS, octets, 512–4096.
    pub udp_size_max: u16,
    /// Put the zone's NS records into the authority section of positive answers, as rbldnsd does.
    pub authority: bool,
    /// Answer ANY with every record set even over UDP, as rbldnsd does.
    pub any_in_full: bool,
    /// Text for `version.bind` and `version.server`; `None` refuses.
    pub version: Option<String>,
    /// Text for `id.server`, `hostname.bind` and NSID; `None` refuses.
    pub server_id: Option<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { udp_size_max: 1232, authority: false, any_in_full: false, version: None, server_id: None }
    }
}

/// What to do with a message, and what to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Say nothing.
    Drop(Dropped),
    /// Send the first `len` octets of the buffer.
    Reply {
        /// Octets of the reply.
        len: usize,
        /// What was matched, for the counters.
        note: Note,
    },
}

/// Why a message got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Dropped {
    /// Shorter than a header.
    Short,
    /// A response; answering it could start a loop.
    Response,
    /// An access rule says so.
    Policy,
    /// Source port 0, or another source that can not be answered.
    Source,
}

/// What was asked and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// The zone's slot in the statistics; 0 is "no zone of ours".
    pub zone_slot: u16,
    /// Query type, host order; 0 where none could be read.
    pub qtype: u16,
    /// Response code, extended bits included (BADVERS is 16).
    pub rcode: u16,
    /// Whether the subject is listed.
    pub listed: Listed,
    /// Whether TC was set.
    pub truncated: bool,
}

/// Whether the question met a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Listed {
    /// Not a question about an entry: apex, error, chaos.
    NotAsked,
    /// At least one dataset lists the subject.
    Yes,
    /// None does.
    No,
}

/// The two steps of answering, so that tests can put something else in their place.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// [`Prepared::prepare`].
    pub prepare: fn(&mut Prepared, &[u8], usize, &Snapshot),
    /// [`Prepared::answer`] on a message of so many octets.
    pub answer: fn(&Prepared, &mut [u8], usize, &Context<'_>, &Snapshot) -> Outcome,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            prepare: |prepared, buf, len, snapshot| prepared.prepare(buf, len, snapshot),
            answer: |prepared, buf, _, context, snapshot| prepared.answer(buf, context, snapshot),
        }
    }
}

impl Answer {
    /// Both steps at once.
    pub fn handle(&self, buf: &mut [u8], len: usize, context: &Context<'_>, snapshot: &Snapshot) -> Outcome {
        let mut prepared = Prepared::default();
        (self.prepare)(&mut prepared, buf, len, snapshot);
        (self.answer)(&prepared, buf, len, context, snapshot)
    }
}

/// A message that was read, and what was found out before it is answered.
///
/// Answering has two steps, so that a batch can take the first one for all its messages and then the second: while one
/// message is read, the memory that the answer to another one needs is on its way.
#[derive(Clone, Copy, Debug)]
pub struct Prepared {
    /// What the message is.
    message: Message,
    /// Its question.
    query: Query,
    /// Where the name lies.
    place: Option<Place>,
}

/// Where a name lies in a snapshot.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The zone's number.
    number: usize,
    /// Labels of the name below the zone's.
    below: usize,
    /// Octets of the name before the zone's.
    start: usize,
    /// What they say.
    form: Address,
}

impl Default for Prepared {
    fn default() -> Self {
        Self { message: Message::Short, query: Query::EMPTY, place: None }
    }
}

impl Prepared {
    /// First step: read the message `buf[..len]` and fetch what its answer will need.
    pub fn prepare(&mut self, buf: &[u8], len: usize, snapshot: &Snapshot) {
        self.message = Message::read(buf, len, &mut self.query);
        self.place = None;
        if self.message == Message::Query
            && let Some((zone, number, below)) = snapshot.find_zone(&self.query.name)
        {
            let form = zone::address(&self.query.name, below);
            self.place = Some(Place { number, below, start: self.query.name.start(below), form });
            zone.prefetch(&self.query.name, below, &form);
        }
    }

    /// Second step: write the answer over the message in `buf`, with the same snapshot.
    ///
    /// `buf` must hold at least 512 octets, and over a stream as much as the largest answer wanted (65 535).
    pub fn answer(&self, buf: &mut [u8], context: &Context<'_>, snapshot: &Snapshot) -> Outcome {
        let global = snapshot.access(context.client);
        match self.message {
            Message::Short => Outcome::Drop(Dropped::Short),
            Message::Response => Outcome::Drop(Dropped::Response),
            _ if matches!(global, Access::Ignore) => Outcome::Drop(Dropped::Policy),
            Message::Query => answer(&self.query, self.place.as_ref(), context, snapshot, &global, buf),
            Message::Error(error) => {
                let opt = error.edns.map(|edns| opt(&edns, context, error_ede(error.rcode)));
                let reply = Writer::new(buf, error.question_end, usize::MAX, 0);
                let len = reply.finish(Head { rcode: error.rcode, ..Head::default() }, opt);
                let (qtype, rcode, listed) = (error.qtype, error.rcode, Listed::NotAsked);
                Outcome::Reply { len, note: Note { zone_slot: 0, qtype, rcode, listed, truncated: false } }
            }
        }
    }
}

/// Answer the message `buf[..len]` in place; the reply may use all of `buf`. Both steps of [`Prepared`] at once.
pub fn handle(buf: &mut [u8], len: usize, context: &Context<'_>, snapshot: &Snapshot) -> Outcome {
    let mut prepared = Prepared::default();
    prepared.prepare(buf, len, snapshot);
    prepared.answer(buf, context, snapshot)
}

/// The extended error that goes with a response code where nothing more is known.
fn error_ede(code: u16) -> Option<u16> {
    (code == rcode::NOTIMP).then_some(ede::NOT_SUPPORTED)
}

/// The OPT record of an answer.
#[inline]
fn opt<'a>(edns: &Edns, context: &Context<'a>, ede: Option<u16>) -> Opt<'a> {
    Opt::answer(edns, context.policy.udp_size_max, ede, context.policy.server_id.as_deref())
}

/// Answer a question; its octets stand at the beginning of `buf`. `global` is what the access list for all zones says of
/// the client.
#[inline]
fn answer(
    query: &Query,
    place: Option<&Place>,
    context: &Context<'_>,
    snapshot: &Snapshot,
    global: &Access<'_>,
    buf: &mut [u8],
) -> Outcome {
    let size = match (context.transport, query.edns) {
        (Transport::Udp, None) => UDP_SIZE_MIN,
        (Transport::Udp, Some(edns)) => {
            edns.udp_size.clamp(UDP_SIZE_MIN, context.policy.udp_size_max.max(UDP_SIZE_MIN))
        }
        (Transport::Tcp, _) => u16::MAX,
    };
    let reserved = query.edns.map_or(0, |edns| opt(&edns, context, None).octets());
    let writer = Writer::new(buf, query.question_end, size.into(), reserved);
    let mut reply = Reply { query, context, writer, head: Head::default(), ede: None, access: Access::Open };
    let (zone_slot, listed) = match query.qclass {
        class::IN => match reply.internet(snapshot, place, global) {
            Some(answered) => answered,
            None => return Outcome::Drop(Dropped::Policy),
        },
        class::CH => (0, reply.chaos()),
        _ => (0, reply.refuse(rcode::REFUSED, None)),
    };
    let Reply { writer, head, ede, .. } = reply;
    let len = writer.finish(head, query.edns.map(|edns| opt(&edns, context, ede)));
    let note = Note { zone_slot, qtype: query.qtype, rcode: head.rcode, listed, truncated: head.truncated };
    Outcome::Reply { len, note }
}

/// Datagrams that every client takes, octets (RFC 1035 section 4.2.1).
const UDP_SIZE_MIN: u16 = 512;
/// Types that ask for no records of their own but TYPE 249 (RFC 6895 section 3.1): TSIG, IXFR, AXFR, MAILB, MAILA.
const META_TYPES: std::ops::RangeInclusive<u16> = 250..=254;

/// An answer on its way.
struct Reply<'q, 'b, 'c, 's> {
    /// The question.
    query: &'q Query,
    /// What the answer depends on besides.
    context: &'q Context<'c>,
    /// Where it is written.
    writer: Writer<'b>,
    /// What its header will say.
    head: Head,
    /// What its EDE will say.
    ede: Option<u16>,
    /// What the access lists let the client see.
    access: Access<'s>,
}

impl<'s> Reply<'_, '_, '_, 's> {
    /// An error without records.
    #[cold]
    fn refuse(&mut self, rcode: u16, ede: Option<u16>) -> Listed {
        self.head.rcode = rcode;
        self.ede = ede;
        Listed::NotAsked
    }

    /// A question about the server itself (RFC 4892).
    #[cold]
    fn chaos(&mut self) -> Listed {
        let policy = self.context.policy;
        let text = match self.query.name.labels_from(0) {
            b"\x07version\x04bind" | b"\x07version\x06server" => &policy.version,
            b"\x02id\x06server" | b"\x08hostname\x04bind" => &policy.server_id,
            _ => &None,
        };
        match text {
            Some(text) if self.query.qtype == rtype::TXT => {
                let text = Piece::Text(text.as_bytes());
                self.head.truncated = self.writer.chaos_text(text).is_err();
                Listed::NotAsked
            }
            _ => self.refuse(rcode::REFUSED, None),
        }
    }

    /// A question of class IN; gives the zone's slot as well. `None`: an access list wants no answer.
    #[inline]
    fn internet(
        &mut self,
        snapshot: &'s Snapshot,
        place: Option<&Place>,
        global: &Access<'s>,
    ) -> Option<(u16, Listed)> {
        let query = self.query;
        let found = place.and_then(|place| Some((&**snapshot.zones.get(place.number)?, place)));
        let Some((zone, place)) = found else {
            return Some((0, self.nowhere()));
        };
        let listed = if META_TYPES.contains(&query.qtype) {
            match (query.qtype, self.context.transport) {
                (rtype::AXFR | rtype::IXFR, Transport::Tcp) => self.refuse(rcode::REFUSED, None),
                _ => self.refuse(rcode::NOTIMP, error_ede(rcode::NOTIMP)),
            }
        } else {
            if snapshot.acl.is_some() || zone.acl.is_some() {
                self.access = zone.access(*global, self.context.client);
            }
            match (zone.state, &self.access) {
                (_, Access::Ignore) => return None,
                (ZoneState::NotReady, _) => self.refuse(rcode::SERVFAIL, Some(ede::NOT_READY)),
                (ZoneState::Expired, _) => self.refuse(rcode::SERVFAIL, Some(ede::INVALID_DATA)),
                (ZoneState::Ready, Access::Refuse) => self.refuse(rcode::REFUSED, Some(ede::PROHIBITED)),
                (ZoneState::Ready, Access::Open | Access::Empty | Access::Listed(_)) => {
                    self.writer.set_zone(place.start);
                    self.head.authoritative = true;
                    if place.below == 0 { self.apex(snapshot, zone, place) } else { self.entry(snapshot, zone, place) }
                }
            }
        };
        Some((zone.slot, listed))
    }

    /// A question about a name in no zone of ours.
    #[cold]
    fn nowhere(&mut self) -> Listed {
        // What is not done for any name is not done for this one, as in rbldnsd.
        let over_tcp = self.context.transport != Transport::Udp;
        match self.query.qtype {
            rtype::AXFR | rtype::IXFR if over_tcp => self.refuse(rcode::REFUSED, Some(ede::NOT_AUTHORITATIVE)),
            qtype if META_TYPES.contains(&qtype) => self.refuse(rcode::NOTIMP, error_ede(rcode::NOTIMP)),
            _ => self.refuse(rcode::REFUSED, Some(ede::NOT_AUTHORITATIVE)),
        }
    }

    /// A question about the zone's own name.
    #[cold]
    fn apex(&mut self, snapshot: &Snapshot, zone: &'s Zone, place: &Place) -> Listed {
        let qtype = self.query.qtype;
        let every = qtype == rtype::ANY;
        // Without a SOA or NS the zone can not speak of itself, as with rbldnsd; only its command line gets here.
        let missing =
            (every || qtype == rtype::SOA) && zone.soa.is_none() || (every || qtype == rtype::NS) && zone.ns.is_none();
        if missing {
            self.head.authoritative = false;
            return self.refuse(rcode::REFUSED, None);
        }
        let start = self.writer.position();
        let full = self.any_in_full();
        let mut room = Ok(());
        if every || qtype == rtype::SOA {
            room = room.and(self.soa(zone, Section::Answer, false));
        }
        if qtype == rtype::NS || every && full {
            room = room.and(self.ns(zone, Section::Answer));
        }
        if let Some(text) = &zone.settings.retired
            && (qtype == rtype::TXT || every && full)
        {
            room = room.and(self.writer.record(
                Section::Answer,
                rtype::TXT,
                zone.settings.ttl,
                &[Piece::Text(text.as_bytes())],
            ));
        }
        if !every || full {
            let (_, data) = self.data(zone, place);
            room = room.and(data);
        }
        self.close(snapshot, zone, place.number, start, room, true);
        Listed::NotAsked
    }

    /// A question about a name below the zone's.
    #[inline]
    fn entry(&mut self, snapshot: &Snapshot, zone: &'s Zone, place: &Place) -> Listed {
        let start = self.writer.position();
        let (existence, mut room) = self.data(zone, place);
        let mut exists = existence != Existence::None;
        if !exists {
            if let Some(code) = zone.wrong_kind_code(place.form) {
                exists = true;
                if self.query.qtype == rtype::A || self.query.qtype == rtype::ANY {
                    let code = Piece::Octets(&code);
                    room = room.and(self.writer.record(Section::Answer, rtype::A, zone.settings.ttl, &[code]));
                }
            } else {
                exists = snapshot.has_zone_below(&self.query.name);
            }
        }
        self.close(snapshot, zone, place.number, start, room, exists);
        match existence {
            Existence::Listed => Listed::Yes,
            Existence::None => Listed::No,
            Existence::Empty | Existence::Records => Listed::NotAsked,
        }
    }

    /// Whether ANY is answered with every record set (RFC 8482 section 4.1 allows one).
    fn any_in_full(&self) -> bool {
        self.context.policy.any_in_full || self.context.transport != Transport::Udp
    }

    /// Put what the datasets have for the name into the answer.
    #[inline(always)]
    fn data(&mut self, zone: &'s Zone, place: &Place) -> (Existence, Result<(), NoRoom>) {
        match self.query.qtype {
            wanted @ (rtype::A | rtype::TXT) => self.set(zone, place, wanted),
            _ => self.other_data(zone, place),
        }
    }

    /// The same for what is seldom asked.
    #[inline(never)]
    fn other_data(&mut self, zone: &'s Zone, place: &Place) -> (Existence, Result<(), NoRoom>) {
        match self.query.qtype {
            rtype::MX => self.set(zone, place, rtype::MX),
            rtype::ANY => {
                let full = self.any_in_full();
                let (mut existence, mut room) = (Existence::None, Ok(()));
                for wanted in [rtype::A, rtype::TXT, rtype::MX] {
                    let before = self.writer.count(Section::Answer);
                    let found = self.set(zone, place, wanted);
                    (existence, room) = (existence.max(found.0), room.and(found.1));
                    if !full && self.writer.count(Section::Answer) > before {
                        break;
                    }
                }
                (existence, room)
            }
            _ => (zone.look_up_for(&self.access, &self.query.name, place.below, &place.form, &mut |_| {}), Ok(())),
        }
    }

    /// Put one record set into the answer: equal records once, and all under the smallest of their TTLs (RFC 2181
    /// section 5.2).
    #[inline(always)]
    fn set(&mut self, zone: &'s Zone, place: &Place, wanted: u16) -> (Existence, Result<(), NoRoom>) {
        let mut set = RecordSet::new(&mut self.writer, wanted);
        let access = self.access;
        let existence =
            zone.look_up_for(&access, &self.query.name, place.below, &place.form, &mut |found| match found {
                Match::Listing(dataset, id, subject) => set.listing(zone.ttl_of(dataset), dataset, id, subject),
                Match::Record(record) => {
                    if record.rtype as u16 == wanted {
                        set.put(
                            zone.ttl_of_record(record.ttl),
                            match record.rtype {
                                RecordType::Txt => Piece::Text(record.data),
                                RecordType::A | RecordType::Mx => Piece::Octets(record.data),
                            },
                        );
                    }
                }
            });
        (existence, set.finish())
    }

    /// Write the SOA; in negative answers under the negative TTL.
    #[inline]
    fn soa(&mut self, zone: &Zone, section: Section, negative: bool) -> Result<(), NoRoom> {
        let Some(soa) = &zone.soa else { return Ok(()) };
        self.writer.apex_record(section, if negative { &soa.negative } else { &soa.answer })
    }

    /// Write the name servers, beginning with another one each time.
    fn ns(&mut self, zone: &Zone, section: Section) -> Result<(), NoRoom> {
        let Some(ns) = &zone.ns else { return Ok(()) };
        let first = self.context.rotation as usize % ns.servers.len().max(1);
        let (tail, head) = ns.servers.split_at(first);
        head.iter().chain(tail).try_for_each(|server| self.writer.apex_record(section, &server.record))
    }

    /// Finish: authority and additional records, or what tells that there is nothing, or that there is too much.
    #[inline]
    fn close(
        &mut self,
        snapshot: &Snapshot,
        zone: &Zone,
        number: usize,
        start: usize,
        room: Result<(), NoRoom>,
        exists: bool,
    ) {
        let policy = self.context.policy;
        let seldom = policy.authority || self.query.qtype == rtype::NS;
        match room {
            Ok(()) if self.writer.count(Section::Answer) > 0 && !seldom => {}
            Ok(()) if self.writer.count(Section::Answer) == 0 => {
                self.head.rcode = if exists { rcode::NOERROR } else { rcode::NXDOMAIN };
                self.head.truncated = self.soa(zone, Section::Authority, true).is_err();
            }
            _ => self.close_seldom(snapshot, zone, number, start, room),
        }
    }

    /// The same where there is no room, or where more belongs to the answer.
    #[inline(never)]
    fn close_seldom(
        &mut self,
        snapshot: &Snapshot,
        zone: &Zone,
        number: usize,
        start: usize,
        room: Result<(), NoRoom>,
    ) {
        if room.is_err() {
            // A part of a record set would be taken for all of it; the client asks again over TCP.
            if self.context.transport == Transport::Udp {
                self.writer.take_back(Section::Answer, start);
            }
            self.head.truncated = true;
            return;
        }
        let apex_ns = self.query.qtype == rtype::NS;
        if self.context.policy.authority && zone.settings.retired.is_none() {
            // They are a courtesy: without room for all there are none, and that is no truncation.
            let position = self.writer.position();
            if self.ns(zone, Section::Authority).is_err() {
                self.writer.take_back(Section::Authority, position);
                return;
            }
        }
        if self.context.policy.authority || apex_ns {
            self.glue(snapshot, zone, number);
        }
    }

    /// Addresses of name servers, as many as fit.
    #[cold]
    fn glue(&mut self, snapshot: &Snapshot, zone: &Zone, number: usize) {
        let Some(ns) = &zone.ns else { return };
        for glue in snapshot.glue(number) {
            let Some(server) = ns.servers.get(glue.server) else { continue };
            let data = [Piece::Octets(&glue.address)];
            if self.writer.other_record(Section::Additional, &server.owner, rtype::A, glue.ttl, &data).is_err() {
                return;
            }
        }
    }
}
