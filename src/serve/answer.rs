//! One pure function answers a query for every transport.
//!
//! It does no I/O, takes no lock, allocates nothing, logs nothing and can not fail: malformed input is an
//! outcome, not an error.

pub use super::context::{Context, Dropped, Listed, Note, Outcome, Policy, Transport};
use super::extras::Extras;
use super::record_set::RecordSet;
use crate::dataset::records::RecordType;
use crate::wire::cookie::Standing;
use crate::wire::query::{ErrorReply, Message, Query};
use crate::wire::reply::{Head, NoRoom, Opt, Piece, Section, Writer};
use crate::wire::{HEADER_LEN, class, ede, rcode, rtype};
use crate::zone::{self, Access, Address, Existence, Match, Snapshot, Zone, ZoneState};

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
    /// Its question. Its name is read only where its zone's data needs it, see [`Snapshot::usual`].
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
        let known = |question: &[u8]| snapshot.usual(question).map(|usual| (usual.name_len, usual));
        let Some(usual) = self.query.read_known(buf, len, known) else {
            return self.prepare_any(buf, len, snapshot);
        };
        self.message = Message::Query;
        let (number, start, form) = (usual.number, usual.start, usual.form());
        self.place = Some(Place { number, below: zone::ADDRESS_LABELS, start, form });
        usual.zone.prefetch_ip4(usual.address);
    }

    /// The same for any message.
    #[inline(never)]
    fn prepare_any(&mut self, buf: &[u8], len: usize, snapshot: &Snapshot) {
        self.message = Message::read(buf, len, &mut self.query);
        self.place = None;
        if self.message == Message::Query
            && let Some((zone, number, below)) = snapshot.find_zone(&self.query.name)
        {
            let form = zone.address(&self.query.name, below);
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
                let extras = Extras::of(self.query.cookie.as_ref(), context);
                bare(error, &extras, NO_ZONE, false, context, buf)
            }
            Message::CookieAlone(edns) => {
                let extras = Extras::of(self.query.cookie.as_ref(), context);
                let (rcode, edns) = match extras.standing {
                    Standing::Absent => (rcode::FORMERR, None),
                    Standing::Invalid => (rcode::BADCOOKIE, Some(edns)),
                    Standing::Client | Standing::Valid => (rcode::NOERROR, Some(edns)),
                };
                bare(
                    ErrorReply { rcode, question_end: HEADER_LEN, qtype: 0, edns },
                    &extras,
                    NO_ZONE,
                    false,
                    context,
                    buf,
                )
            }
        }
    }

    /// Whether the answer depends on the time, because the message has a cookie.
    #[inline]
    pub fn has_cookie(&self) -> bool {
        self.query.cookie.is_some()
    }

    /// Instead of the answer that was written over the message in `buf`: no records and TC, so that the client asks again
    /// over TCP. Silence for what is no question. It is counted for the zone in `zone_slot`.
    pub fn truncate(&self, buf: &mut [u8], context: &Context<'_>, zone_slot: u16) -> Outcome {
        if self.message != Message::Query {
            return Outcome::Drop(Dropped::Rate);
        }
        let extras = Extras::of(self.query.cookie.as_ref(), context);
        bare(self.query.with_code(rcode::NOERROR), &extras, zone_slot, true, context, buf)
    }
}

/// The slot in the statistics of what is about no zone of ours.
const NO_ZONE: u16 = 0;

/// An answer without records.
#[cold]
fn bare(
    reply: ErrorReply,
    extras: &Extras,
    zone_slot: u16,
    truncated: bool,
    context: &Context<'_>,
    buf: &mut [u8],
) -> Outcome {
    let ErrorReply { rcode, question_end, qtype, edns } = reply;
    let opt = edns.as_ref().map(|edns| extras.opt(edns, question_end, context, error_ede(rcode)));
    let mut writer = Writer::new(buf, question_end, usize::MAX, 0);
    let len = writer.finish(Head { rcode, truncated, ..Head::default() }, opt.as_ref());
    let (listed, cookie) = (Listed::NotAsked, extras.standing);
    Outcome::Reply { len, note: Note { zone_slot, qtype, rcode, listed, truncated, cookie } }
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
    let size = context.size_max(query.edns);
    let extras = Extras::of(query.cookie.as_ref(), context);
    let mut opt = query.edns.as_ref().map(|edns| extras.opt(edns, query.question_end, context, None));
    let reserved = opt.as_ref().map_or(0, Opt::octets);
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
    let (head, ede) = (reply.head, reply.ede);
    if extras.refused(context) {
        return bare(query.with_code(rcode::BADCOOKIE), &extras, zone_slot, false, context, buf);
    }
    if let Some(opt) = &mut opt {
        opt.ede = ede;
    }
    let len = reply.writer.finish(head, opt.as_ref());
    let (qtype, cookie) = (query.qtype, extras.standing);
    let note = Note { zone_slot, qtype, rcode: head.rcode, listed, truncated: head.truncated, cookie };
    Outcome::Reply { len, note }
}

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
            match query.qtype {
                rtype::AXFR | rtype::IXFR if self.context.transport.is_stream() => self.refuse(rcode::REFUSED, None),
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
        let over_stream = self.context.transport.is_stream();
        match self.query.qtype {
            rtype::AXFR | rtype::IXFR if over_stream => self.refuse(rcode::REFUSED, Some(ede::NOT_AUTHORITATIVE)),
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
        self.context.policy.any_in_full || self.context.transport.is_stream()
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
            if !self.context.transport.is_stream() {
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
