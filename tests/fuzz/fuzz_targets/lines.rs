//! Lines to sessions: any octets, in any format. Nothing may panic, memory stays bounded, time never runs back, and reading the same twice gives the same.

#![no_main]

use dnsbld::feed::{Assembler, AssemblerLimits, AssemblerOptions, Format, LogLine, Observation, Place, ProbeSenders};
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;

/// Sessions open at a time.
const SESSIONS_MAX: usize = 16;

fuzz_target!(|data: &[u8]| {
    let Some((&format, log)) = data.split_first() else { return };
    let format = Format::ALL[usize::from(format) % Format::ALL.len()].0;
    let first = read(format, log);
    assert_eq!(first, read(format, log));
    let mut ids: Vec<u128> = first
        .iter()
        .filter_map(|observation| match observation {
            Observation::Session(session) => {
                assert!(session.start_ms <= session.end_ms && session.first <= session.last);
                Some(session.id)
            }
            Observation::Delivery(_) => None,
        })
        .collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "ids are distinct");
});

/// What a log gives.
fn read(format: Format, log: &[u8]) -> Vec<Observation> {
    let mut assembler = Assembler::new(AssemblerOptions {
        input: "fuzz".into(),
        format,
        time_zone: TimeZone::UTC,
        year: Some(2026),
        probe_senders: ProbeSenders::default(),
        limits: AssemblerLimits { sessions_max: SESSIONS_MAX, queue_ids_max: SESSIONS_MAX, recipients_max: 8, ..AssemblerLimits::default() },
    });
    let (mut out, mut place) = (Vec::new(), Place::default());
    for text in log.split_inclusive(|&octet| octet == b'\n') {
        place = Place { offset: place.end, end: place.end + text.len() as u64, number: place.number + 1 };
        assembler.line(&LogLine { place, text, arrived_ms: 0 }, &mut out);
        assert!(assembler.counts().open <= SESSIONS_MAX as u64);
        let mark = assembler.low_water();
        assert!(mark.place <= place);
    }
    assembler.finish(&mut out);
    out
}
