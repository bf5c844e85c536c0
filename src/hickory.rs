//! For programs that run a hickory server: our zones beside its own.
//!
//! - [`Handler`] is a `RequestHandler`: every question about one of our zones is answered as our own server answers it, and all
//!   others go to another handler, a hickory `Catalog` for example, or are refused.
//! - [`Zone`] is a `ZoneHandler`: one zone of ours within a `Catalog`. The catalog then writes the message, so its own habits hold
//!   for EDNS, for additional records and for the NS records beside a SOA.
//!
//! Both look at the snapshot of the moment, so a reload is seen by the next question. `examples/hickory.rs` is a whole server.
//!
//! hickory's traits have further methods under its features `metrics` and `dnssec-*`; `Zone` has them only where the
//! features of the same names with `hickory-` before them are switched on here, so switch on both or neither.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use async_trait::async_trait;
use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::proto::ProtoError;
use hickory_server::proto::op::{Header, HeaderCounts, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_server::proto::rr::{LowerName, Name as HickoryName, RData, RecordType, TSigResponseContext};
use hickory_server::server::{Request, RequestHandler, RequestInfo, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{
    AuthLookup, AxfrPolicy, LookupControlFlow, LookupError, LookupOptions, MessageResponseBuilder, ZoneHandler,
    ZoneType,
};

use crate::serve::answer::{Context, Outcome, Policy, Transport, handle};
use crate::sys::clock;
use crate::wire::{self, name::Name};
use crate::zone::Reader;

/// Octets of the largest message.
const MESSAGE_OCTETS_MAX: usize = 65_535;

thread_local! {
    /// Room for a question and its answer.
    static ROOM: RefCell<Vec<u8>> = RefCell::new(vec![0; MESSAGE_OCTETS_MAX]);
}

/// What both adaptors answer from.
#[derive(Debug)]
struct Source {
    /// Where snapshots come from.
    reader: Reader,
    /// What every answer looks like.
    policy: Policy,
    /// Questions so far, so that record sets rotate.
    rotation: AtomicU32,
}

/// What our server would send.
enum Answer {
    /// Nothing, and whether the question is about a zone of ours.
    Silence(bool),
    /// This, and whether it is about a zone of ours.
    Reply(Box<Message>, bool),
}

impl Source {
    /// A source of snapshots under a policy.
    fn new(reader: Reader, policy: Policy) -> Self {
        Self { reader, policy, rotation: AtomicU32::new(0) }
    }

    /// Answer a question's octets.
    fn answer(&self, question: &[u8], client: IpAddr, transport: Transport) -> Result<Answer, ProtoError> {
        let rotation = self.rotation.fetch_add(1, Relaxed);
        let (time_s, keepalive) = (clock::now_s() as u32, None);
        let context = Context { client, transport, rotation, time_s, keepalive, policy: &self.policy };
        let snapshot = self.reader.load();
        ROOM.with_borrow_mut(|room| {
            let len = question.len().min(room.len());
            room[..len].copy_from_slice(&question[..len]);
            match handle(room, len, &context, &snapshot) {
                Outcome::Drop(_) => {
                    let mut query = wire::query::Query::EMPTY;
                    let read = wire::query::Message::read(question, len, &mut query);
                    let is_other =
                        matches!(read, wire::query::Message::Query) && snapshot.find_zone(&query.name).is_none();
                    Ok(Answer::Silence(!is_other))
                }
                Outcome::Reply { len, note } => {
                    Ok(Answer::Reply(Box::new(Message::from_vec(&room[..len])?), note.zone_slot != 0))
                }
            }
        })
    }
}

/// How a question came, as far as answers differ.
fn transport(protocol: Protocol) -> Transport {
    match (protocol.is_datagram(), protocol.is_encrypted()) {
        (true, _) => Transport::Udp,
        (false, false) => Transport::Tcp,
        // Which of them makes no difference to an answer.
        (false, true) => Transport::Tls,
    }
}

/// Answers questions about our zones; what is about no zone of ours goes to another handler, if there is one.
#[derive(Debug)]
pub struct Handler<H = Refuse> {
    /// What we answer from.
    source: Source,
    /// Who answers the rest.
    other: Option<H>,
}

impl Handler {
    /// A handler for the zones of this reader and no others: the rest is refused.
    pub fn new(reader: Reader, policy: Policy) -> Self {
        Self { source: Source::new(reader, policy), other: None }
    }

    /// The same with somebody to answer what is about no zone of ours.
    pub fn or<H: RequestHandler>(self, other: H) -> Handler<H> {
        Handler { source: self.source, other: Some(other) }
    }
}

impl<H> Handler<H> {
    /// Send an answer of ours.
    async fn send<R: ResponseHandler>(request: &Request, mut response: R, message: &Message) -> ResponseInfo {
        let built = MessageResponseBuilder::new(&request.queries, message.edns.as_ref()).build(
            message.metadata,
            &message.answers,
            &message.authorities,
            &[],
            &message.additionals,
        );
        response.send_response(built).await.unwrap_or_else(|error| {
            tracing::debug!("an answer could not be sent to {}: {error}", request.src());
            info(request, ResponseCode::ServFail)
        })
    }
}

/// What hickory is told of a response that was not sent.
fn info(request: &Request, code: ResponseCode) -> ResponseInfo {
    let mut metadata = Metadata::new(request.metadata.id, MessageType::Response, request.metadata.op_code);
    metadata.response_code = code;
    ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() })
}

#[async_trait]
impl<H: RequestHandler> RequestHandler for Handler<H> {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, response: R) -> ResponseInfo {
        let answer = self.source.answer(request.as_slice(), request.src().ip(), transport(request.protocol()));
        match (answer, &self.other) {
            // An access list for all our zones says nothing of others' names.
            (Ok(Answer::Reply(_, false) | Answer::Silence(false)), Some(other)) => {
                other.handle_request::<R, T>(request, response).await
            }
            (Ok(Answer::Reply(message, _)), _) => Self::send(request, response, &message).await,
            (Ok(Answer::Silence(_)), _) => info(request, ResponseCode::Refused),
            (Err(error), _) => {
                tracing::error!("hickory can not read an answer of ours: {error}; please report it");
                info(request, ResponseCode::ServFail)
            }
        }
    }
}

/// Stands where a [`Handler`] has no other one beside it.
#[derive(Clone, Copy, Debug)]
pub enum Refuse {}

#[async_trait]
impl RequestHandler for Refuse {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, _: &Request, _: R) -> ResponseInfo {
        match *self {}
    }
}

/// One zone of ours for a hickory `Catalog`.
#[derive(Debug)]
pub struct Zone {
    /// What we answer from.
    source: Source,
    /// Its name.
    origin: LowerName,
}

impl Zone {
    /// The zone of this name; as long as no snapshot has it, it answers SERVFAIL.
    ///
    /// # Errors
    ///
    /// A name that hickory does not take.
    pub fn new(name: &Name, reader: Reader) -> Result<Arc<Self>, ProtoError> {
        let origin = LowerName::from(HickoryName::from_ascii(format!("{name}."))?);
        Ok(Arc::new(Self { source: Source::new(reader, Policy::default()), origin }))
    }

    /// What the zone says of a name and type. Over a stream, as far as we know: cutting is the catalog's affair.
    fn ask(&self, name: HickoryName, rtype: RecordType, client: IpAddr) -> LookupControlFlow<AuthLookup> {
        let mut question = Message::new(0, MessageType::Query, OpCode::Query);
        question.add_query(Query::query(name, rtype));
        let answer = question.to_vec().and_then(|octets| self.source.answer(&octets, client, Transport::Tcp));
        let message = match answer {
            Ok(Answer::Reply(message, _)) => message,
            // A catalog can not be silent.
            Ok(Answer::Silence(_)) => return LookupControlFlow::Break(Err(ResponseCode::Refused.into())),
            Err(error) => return LookupControlFlow::Break(Err(error.into())),
        };
        let empty = message.answers.is_empty();
        LookupControlFlow::Break(match message.metadata.response_code {
            ResponseCode::NoError if empty => Err(LookupError::NameExists),
            ResponseCode::NoError => Ok(AuthLookup::Response(*message)),
            // The catalog takes other errors for "no data"; a zone that can not be answered from is passed over, and with
            // nobody else to answer that is SERVFAIL.
            ResponseCode::ServFail => return LookupControlFlow::Skip,
            code => Err(code.into()),
        })
    }
}

#[async_trait]
impl ZoneHandler for Zone {
    fn zone_type(&self) -> ZoneType {
        ZoneType::Primary
    }

    fn axfr_policy(&self) -> AxfrPolicy {
        AxfrPolicy::Deny
    }

    fn origin(&self) -> &LowerName {
        &self.origin
    }

    /// Without a request it is the catalog that asks, for the SOA of a negative answer and for the NS beside a SOA.
    async fn lookup(
        &self,
        name: &LowerName,
        rtype: RecordType,
        request_info: Option<&RequestInfo<'_>>,
        _options: LookupOptions,
    ) -> LookupControlFlow<AuthLookup> {
        let client = request_info.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.src.ip());
        let mut found = self.ask(HickoryName::from(name), rtype, client);
        if request_info.is_none()
            && let LookupControlFlow::Break(Ok(AuthLookup::Response(message))) = &mut found
        {
            for record in &mut message.answers {
                // RFC 2308 section 5, which the catalog leaves to us.
                if let RData::SOA(soa) = &record.data {
                    record.ttl = record.ttl.min(soa.minimum);
                }
            }
        }
        found
    }

    async fn search(
        &self,
        request: &Request,
        _options: LookupOptions,
    ) -> (LookupControlFlow<AuthLookup>, Option<TSigResponseContext>) {
        let found = match request.request_info() {
            Ok(info) => {
                // With the letters as they were asked, since resolvers compare them.
                let question = info.query.original();
                self.ask(question.name().clone(), question.query_type(), info.src.ip())
            }
            Err(error) => LookupControlFlow::Break(Err(error)),
        };
        (found, None)
    }

    /// The zones are not signed.
    async fn nsec_records(&self, _name: &LowerName, _options: LookupOptions) -> LookupControlFlow<AuthLookup> {
        LookupControlFlow::Break(Ok(AuthLookup::Empty))
    }

    #[cfg(feature = "hickory-dnssec")]
    async fn nsec3_records(
        &self,
        _info: hickory_server::zone_handler::Nsec3QueryInfo<'_>,
        _options: LookupOptions,
    ) -> LookupControlFlow<AuthLookup> {
        LookupControlFlow::Break(Ok(AuthLookup::Empty))
    }

    #[cfg(feature = "hickory-dnssec")]
    fn nx_proof_kind(&self) -> Option<&hickory_server::dnssec::NxProofKind> {
        None
    }

    #[cfg(feature = "hickory-metrics")]
    fn metrics_label(&self) -> &'static str {
        "dnsbld"
    }
}
