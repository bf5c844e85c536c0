//! What the numbers say: against a model for random traffic, and case by case for the loader's state.

use std::collections::HashMap;

use proptest::prelude::*;

use super::exposition::Scrape;
use super::{dataset, fixture, zone};
use crate::http::metrics::{NO_ZONE_LABEL, OTHER_ZONES_LABEL};
use crate::http::{families, routes::Shared};
use crate::load::status::ReloadOutcome;
use crate::serve::answer::{Dropped, Listed, Note, Transport};
use crate::stats::Block;
use crate::wire::cookie::Standing;
use crate::zone::ZoneState;

/// Zones of the random traffic by slot; slot 0 is none of ours.
const ZONES: [&str; 4] = [NO_ZONE_LABEL, "a.example", "b.example", "c.example"];
/// Query types of the random traffic; the last has no name of its own.
const QTYPES: [(u16, &str); 4] = [(1, "A"), (16, "TXT"), (252, "AXFR"), (99, "other")];
/// Response codes of the random traffic; the last has no name of its own.
const CODES: [(u16, &str); 6] =
    [(0, "NOERROR"), (3, "NXDOMAIN"), (2, "SERVFAIL"), (5, "REFUSED"), (16, "BADVERS"), (9, "other")];

/// One message: which block, then what became of it.
#[derive(Clone, Debug)]
enum Message {
    /// Indices into [`ZONES`], [`QTYPES`] and [`CODES`], whether it is listed if that may be said, and TC.
    Answered(usize, usize, usize, bool, bool),
    /// Why there was no answer.
    Dropped(Dropped),
}

/// Any message.
fn message() -> impl Strategy<Value = Message> {
    let answered = (0..ZONES.len(), 0..QTYPES.len(), 0..CODES.len(), any::<bool>(), any::<bool>())
        .prop_map(|(zone, qtype, code, listed, tc)| Message::Answered(zone, qtype, code, listed, tc));
    let reasons = [Dropped::Short, Dropped::Response, Dropped::Policy, Dropped::Source, Dropped::Rate];
    prop_oneof![4 => answered, 1 => prop::sample::select(reasons.to_vec()).prop_map(Message::Dropped)]
}

/// Count a message on a block, as workers do.
fn count(block: &Block, message: &Message) {
    match *message {
        Message::Dropped(why) => block.dropped(why, 7),
        Message::Answered(zone, qtype, code, listed, truncated) => {
            // The answer path says whether something is listed only for answers from data.
            let listed = match (zone > 0 && code < 2, listed) {
                (false, _) => Listed::NotAsked,
                (true, true) => Listed::Yes,
                (true, false) => Listed::No,
            };
            let note = Note {
                zone_slot: zone as u16,
                qtype: QTYPES[qtype].0,
                rcode: CODES[code].0,
                listed,
                truncated,
                cookie: Standing::Absent,
            };
            match block.transport {
                Transport::Udp => block.answered(&note, 40, 90),
                _ => block.answered_shared(&note, 40, 90),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn sums_agree(messages in prop::collection::vec((0..4_usize, message()), 0..300)) {
        let (registry, _, shared) = fixture();
        // Some blocks are there before the zones and some after.
        let mut blocks = vec![registry.block(Transport::Udp), registry.block(Transport::Tcp)];
        ZONES[1..].iter().for_each(|zone| { registry.zone_slot(zone); });
        blocks.extend([registry.block(Transport::Udp), registry.block(Transport::Udp)]);
        let transport = |at: usize| if blocks[at].transport == Transport::Udp { "udp" } else { "tcp" };
        let mut model: HashMap<[&str; 4], f64> = HashMap::new();
        for (at, message) in &messages {
            count(&blocks[*at], message);
            if let Message::Answered(zone, qtype, code, ..) = *message {
                *model.entry([ZONES[zone], transport(*at), QTYPES[qtype].1, CODES[code].1]).or_default() += 1.0;
            }
        }
        let scrape = Scrape::parse(&shared.scrape().unwrap());

        for ([zone, transport, qtype, rcode], expected) in &model {
            let labels = [("zone", *zone), ("transport", *transport), ("type", *qtype), ("rcode", *rcode)];
            prop_assert_eq!(scrape.one("dnsbld_queries_total", &labels), Some(*expected), "{:?}", labels);
        }
        for transport in ["udp", "tcp"] {
            let on = [("transport", transport)];
            let (answered, dropped) = (scrape.sum("dnsbld_queries_total", &on), scrape.sum("dnsbld_dropped_total", &on));
            let received = messages.iter().filter(|(at, _)| blocks[*at].transport == if transport == "udp" { Transport::Udp } else { Transport::Tcp }).count();
            prop_assert_eq!(answered + dropped, received as f64, "{}", transport);
            prop_assert_eq!(scrape.sum("dnsbld_receive_bytes_total", &on), answered * 40.0 + dropped * 7.0);
            prop_assert_eq!(scrape.sum("dnsbld_transmit_bytes_total", &on), answered * 90.0);
            for zone in ZONES {
                let here = [("zone", zone), ("transport", transport)];
                let data: f64 = ["NOERROR", "NXDOMAIN"].iter()
                    .map(|code| scrape.sum("dnsbld_queries_total", &[here[0], here[1], ("rcode", *code)])).sum();
                let listed = scrape.sum("dnsbld_answers_listed_total", &here);
                prop_assert!(listed <= data, "{} {}: {} of {}", zone, transport, listed, data);
                prop_assert_eq!(listed, if zone == NO_ZONE_LABEL { 0.0 } else { data });
                prop_assert!(scrape.sum("dnsbld_truncated_total", &here) <= scrape.sum("dnsbld_queries_total", &here));
            }
        }
        let truncated = messages.iter().filter(|(_, m)| matches!(m, Message::Answered(.., true))).count();
        prop_assert_eq!(scrape.sum("dnsbld_truncated_total", &[]), truncated as f64);
    }
}

/// Family, labels, and the value of the only series that has them.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<f64>);

/// A scrape of these pages.
fn scrape(shared: &Shared) -> Scrape {
    Scrape::parse(&shared.scrape().unwrap())
}

#[test]
fn ordinary_series_are_there_before_the_first_query() {
    let (registry, _, shared) = fixture();
    registry.zone_slot("bl.example.org");
    let scrape = scrape(&shared);
    for transport in ["udp", "tcp"] {
        for (zone, code) in [("bl.example.org", "NOERROR"), ("bl.example.org", "NXDOMAIN"), ("-", "REFUSED")] {
            let labels = [("zone", zone), ("transport", transport), ("type", "A"), ("rcode", code)];
            assert_eq!(scrape.one("dnsbld_queries_total", &labels), Some(0.0), "{labels:?}");
        }
        for reason in ["short", "response", "policy", "source", "rate"] {
            let labels = [("transport", transport), ("reason", reason)];
            assert_eq!(scrape.one("dnsbld_dropped_total", &labels), Some(0.0), "{labels:?}");
        }
    }
    assert_eq!(scrape.matching("dnsbld_queries_total", &[]).count(), 2 * 3, "nothing else");
    assert_eq!(scrape.matching("dnsbld_queries_total", &[("zone", OTHER_ZONES_LABEL)]).count(), 0);
}

#[test]
fn a_zone_that_goes_and_comes_back_counts_on() {
    let (registry, _, shared) = fixture();
    let block = registry.block(Transport::Udp);
    let labels = [("zone", "bl.example.org"), ("listed", "yes"), ("transport", "udp")];
    for expected in [1.0, 2.0] {
        let zone_slot = registry.zone_slot("bl.example.org");
        let (listed, cookie) = (Listed::Yes, Standing::Absent);
        block.answered(&Note { zone_slot, qtype: 1, rcode: 0, listed, truncated: false, cookie }, 1, 1);
        assert_eq!(scrape(&shared).one("dnsbld_answers_listed_total", &labels), Some(expected));
    }
}

#[test]
fn zones_beyond_the_slots_are_counted_together() {
    let (registry, _, shared) = fixture();
    let block = registry.block(Transport::Udp);
    let note = Note {
        zone_slot: u16::MAX,
        qtype: 1,
        rcode: 0,
        listed: Listed::No,
        truncated: false,
        cookie: Standing::Absent,
    };
    block.answered(&note, 1, 1);
    let labels = [("zone", OTHER_ZONES_LABEL), ("listed", "no"), ("transport", "udp")];
    assert_eq!(scrape(&shared).one("dnsbld_answers_listed_total", &labels), Some(1.0));
}

#[test]
fn the_loaders_state() {
    let (_, status, shared) = fixture();
    {
        let mut state = status.lock();
        state.generation = 7;
        state.retired_snapshots = 2;
        state.settings_reloads = [3, 1];
        let mut good = zone("good.example", ZoneState::Ready);
        good.serial = 4_000_000_000;
        good.datasets = vec![dataset("a.zone,b.zone", 10), dataset("odd\"\\\n.zone", 1), dataset("a.zone,b.zone", 5)];
        good.last_outcome = Some(ReloadOutcome::Guarded);
        (good.last_reload_s, good.last_good_s, good.data_mtime_s) =
            (1_800_000_060.5, 1_800_000_000.25, 1_799_999_000.0);
        good.last_duration_s = 0.75;
        good.reloads = [4, 0, 2];
        state.zones = vec![good, zone("new.example", ZoneState::NotReady)];
    }
    let scrape = scrape(&shared);
    let good = ("zone", "good.example");
    let new = ("zone", "new.example");
    let twice = ("files", "a.zone,b.zone");
    #[rustfmt::skip]
    let cases: &[Case<'_>] = &[
        ("dnsbld_generation", &[], Some(7.0)),
        ("dnsbld_retired_snapshots", &[], Some(2.0)),
        ("dnsbld_settings_reloads_total", &[("outcome", "taken")], Some(3.0)),
        ("dnsbld_settings_reloads_total", &[("outcome", "refused")], Some(1.0)),
        ("dnsbld_zone_serial", &[good], Some(4e9)),
        ("dnsbld_zone_state", &[good, ("state", "ready")], Some(1.0)),
        ("dnsbld_zone_state", &[good, ("state", "not_ready")], Some(0.0)),
        ("dnsbld_zone_state", &[new, ("state", "not_ready")], Some(1.0)),
        ("dnsbld_zone_state", &[new, ("state", "expired")], Some(0.0)),
        ("dnsbld_zone_reloads_total", &[good, ("outcome", "published")], Some(4.0)),
        ("dnsbld_zone_reloads_total", &[good, ("outcome", "bad_file")], Some(0.0)),
        ("dnsbld_zone_reloads_total", &[good, ("outcome", "guarded")], Some(2.0)),
        ("dnsbld_zone_last_reload_success", &[good], Some(0.0)),
        ("dnsbld_zone_last_reload_timestamp_seconds", &[good], Some(1_800_000_060.5)),
        ("dnsbld_zone_last_reload_duration_seconds", &[good], Some(0.75)),
        ("dnsbld_zone_last_success_timestamp_seconds", &[good], Some(1_800_000_000.25)),
        ("dnsbld_zone_data_timestamp_seconds", &[good], Some(1_799_999_000.0)),
        ("dnsbld_zone_last_reload_success", &[new], None),
        ("dnsbld_zone_last_reload_timestamp_seconds", &[new], None),
        ("dnsbld_zone_last_reload_duration_seconds", &[new], None),
        ("dnsbld_zone_last_success_timestamp_seconds", &[new], Some(0.0)),
        ("dnsbld_zone_data_timestamp_seconds", &[new], None),
        // The same files twice in one zone are one series, as a scrape may not hold it twice.
        ("dnsbld_dataset_entries", &[good, twice, ("type", "ip4set")], Some(15.0)),
        ("dnsbld_dataset_memory_bytes", &[good, twice], Some(150.0)),
        ("dnsbld_dataset_diagnostics", &[good, twice], Some(30.0)),
        ("dnsbld_dataset_entries", &[good, ("files", "odd\"\\\n.zone")], Some(1.0)),
        ("dnsbld_tcp_connections", &[], Some(1.0)),
        ("dnsbld_tcp_connections_accepted_total", &[], Some(20.0)),
        ("dnsbld_tcp_connections_closed_total", &[("reason", "limit")], Some(3.0)),
        ("dnsbld_tcp_connections_closed_total", &[("reason", "idle")], Some(4.0)),
        ("dnsbld_tcp_connections_closed_total", &[("reason", "error")], Some(5.0)),
        ("dnsbld_build_info", &[("version", env!("CARGO_PKG_VERSION"))], Some(1.0)),
        ("process_start_time_seconds", &[], Some(1_700_000_000.0)),
    ];
    for (family, labels, expected) in cases {
        assert_eq!(scrape.one(family, labels), *expected, "{family} {labels:?}");
    }
}

#[test]
fn a_full_scrape_has_every_family() {
    let (registry, status, shared) = fixture();
    registry.zone_slot("bl.example.org");
    let mut ready = zone("bl.example.org", ZoneState::Ready);
    ready.datasets = vec![dataset("bl.zone", 1)];
    ready.last_outcome = Some(ReloadOutcome::Published);
    ready.data_mtime_s = 1.0;
    status.lock().zones = vec![ready];
    let scrape = scrape(&shared);
    for family in families::ALL {
        // Absent where the process has no such limit, and without a source that has a spool.
        if !["process_max_fds", "dnsbld_feed_spool_bytes"].contains(&family.name) {
            assert!(scrape.types.contains_key(family.name), "{} is not given", family.name);
        }
    }
    assert!(scrape.types.len() <= families::ALL.len());
}
