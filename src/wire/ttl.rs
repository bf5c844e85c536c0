//! How long an answer may be kept.

use super::HEADER_LEN;
use super::query::skip_name;
use super::rtype;

/// The lowest TTL of the records in a message's answer and authority sections, s; `None` where there are none.
///
/// In an answer of ours that says NXDOMAIN or NODATA the only record is the SOA, whose TTL is how long that may be kept
/// (RFC 2308 section 3); so this is the freshness lifetime of RFC 8484 section 5.1.
pub fn lowest(message: &[u8]) -> Option<u32> {
    let count = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let mut at = HEADER_LEN;
    for _ in 0..count(4)? {
        at = skip_name(message, at)? + 4;
    }
    let mut lowest = None;
    for _ in 0..usize::from(count(6)?) + usize::from(count(8)?) {
        let end = skip_name(message, at)?;
        let &[type_high, type_low, _, _, ttl_0, ttl_1, ttl_2, ttl_3, len_high, len_low] =
            message.get(end..end + 10)?.first_chunk::<10>()?;
        at = end + 10 + usize::from(u16::from_be_bytes([len_high, len_low]));
        if u16::from_be_bytes([type_high, type_low]) != rtype::OPT {
            let ttl = u32::from_be_bytes([ttl_0, ttl_1, ttl_2, ttl_3]);
            lowest = Some(lowest.map_or(ttl, |lowest: u32| lowest.min(ttl)));
        }
    }
    lowest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_answers_and_authority() {
        let record = |ttl: u32| [&[0xc0, 12, 0, 1, 0, 1][..], &ttl.to_be_bytes(), &[0, 4, 127, 0, 0, 2]].concat();
        let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
        // TTLs of the answer, of the authority, and what is found.
        let cases: &[(&[u32], &[u32], Option<u32>)] = &[
            (&[], &[], None),
            (&[300], &[], Some(300)),
            (&[], &[60], Some(60)),
            (&[300, 20, 300], &[], Some(20)),
            (&[300], &[20], Some(20)),
            (&[0], &[20], Some(0)),
        ];
        for (answer, authority, expected) in cases {
            let counts = [1, answer.len() as u8, authority.len() as u8, 1].map(|count| [0, count]).concat();
            let mut message = [&[0, 0, 0x84, 0][..], &counts, b"\x04test\0\0\x01\0\x01"].concat();
            answer.iter().chain(*authority).for_each(|&ttl| message.extend(record(ttl)));
            message.extend(opt);
            assert_eq!(lowest(&message), *expected, "{answer:?} {authority:?}");
            // Cut anywhere, it is at most less than that.
            for len in 0..message.len() - opt.len() {
                assert!(lowest(&message[..len]).is_none() || expected.is_some(), "{len}");
            }
        }
    }
}
