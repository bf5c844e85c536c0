//! Cookies: the vectors of RFC 9018, ages, secrets that change, and octets that are wrong.

use super::*;

/// Octets out of hexadecimal digits.
fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Keys out of secrets.
fn keys(secrets: &[&str]) -> CookieKeys {
    let secrets: Vec<[u8; SECRET_OCTETS]> = secrets.iter().map(|secret| hex(secret).try_into().unwrap()).collect();
    CookieKeys::new(secrets[0], &secrets[1..])
}

/// What keys make of a cookie.
fn judge(keys: &CookieKeys, cookie: &str, client: &str, now_s: u32) -> (Standing, Vec<u8>) {
    let cookie = Cookie::read(&hex(cookie)).unwrap();
    let (standing, full) = keys.judge(&cookie, client.parse().unwrap(), now_s);
    (standing, full.to_vec())
}

/// The secret of the first three vectors.
const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
/// The secrets of the fourth: before and after its change.
const OLD_AND_NEW: [&str; 2] = ["dd3bdf9344b678b185a6f5cb60fca715", "445536bcd2513298075a5d379663c962"];
/// A cookie made with [`SECRET`] for [`HOST`].
const COOKIE: &str = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
/// When it was made.
const MADE_S: u32 = 1_559_731_985;
/// For whom.
const HOST: &str = "198.51.100.100";

/// Name, secrets, the client's option, its address, the time, what it proves, the option that goes back.
type Vector<'a> = (&'a str, &'a [&'a str], &'a str, &'a str, u32, Standing, &'a str);

#[test]
fn the_vectors_of_rfc_9018() {
    let [old, new] = OLD_AND_NEW;
    let six = "2001:db8:220:1:59de:d0f4:8769:82b8";
    let old_cookie = "22681ab97d52c298010000005cf7c57926556bd0934c72f8";
    let reserved = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
    let cases: [Vector<'_>; 6] = [
        ("A.1", &[SECRET], "2464c4abcf10c957", HOST, MADE_S, Standing::Client, COOKIE),
        (
            "A.2",
            &[SECRET],
            COOKIE,
            HOST,
            1_559_734_385,
            Standing::Valid,
            "2464c4abcf10c957010000005cf7a871d4a564a1442aca77",
        ),
        // Made nearly two hours before: more than this server accepts, so it gets a new one without being valid.
        (
            "A.3",
            &[SECRET],
            reserved,
            "203.0.113.203",
            1_559_734_700,
            Standing::Invalid,
            "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e",
        ),
        // At its own time it is good, reserved octets and all.
        ("A.3 when made", &[SECRET], reserved, "203.0.113.203", 0x5cf7_8f71, Standing::Valid, reserved),
        (
            "A.4",
            &[new, old],
            old_cookie,
            six,
            1_559_741_961,
            Standing::Valid,
            "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
        ),
        ("A.4 before the change", &[old, new], old_cookie, six, 1_559_741_961, Standing::Valid, old_cookie),
    ];
    for (what, secrets, cookie, client, now_s, standing, expected) in cases {
        assert_eq!(judge(&keys(secrets), cookie, client, now_s), (standing, hex(expected)), "{what}");
    }
}

#[test]
fn ages() {
    let keys = keys(&[SECRET]);
    // Seconds after it was made, whether it is valid, whether the same comes back.
    for (age_s, valid, same) in [
        (0, true, true),
        (1799, true, true),
        (1800, true, false),
        (3600, true, false),
        (3601, false, false),
        (86_400, false, false),
        (-1, true, true),
        (-300, true, true),
        (-301, false, false),
        (i64::from(i32::MAX), false, false),
        (i64::from(i32::MIN), false, false),
    ] {
        let now_s = (i64::from(MADE_S) + age_s) as u32;
        let (standing, back) = judge(&keys, COOKIE, HOST, now_s);
        assert_eq!(standing == Standing::Valid, valid, "{age_s} s: {standing:?}");
        assert_eq!(back == hex(COOKIE), same, "{age_s} s");
        let again: String = back.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(judge(&keys, &again, HOST, now_s), (Standing::Valid, back), "what comes back is good at {age_s} s");
    }
    // Over the end of the 32 bits of time.
    let made = keys.make([7; 8], HOST.parse().unwrap(), u32::MAX - 5);
    let cookie = Cookie::read(&made).unwrap();
    for (now_s, expected) in [(10, Standing::Valid), (3000, Standing::Valid), (3700, Standing::Invalid)] {
        assert_eq!(keys.judge(&cookie, HOST.parse().unwrap(), now_s).0, expected, "{now_s}");
    }
}

#[test]
fn what_is_not_ours_is_invalid_and_gets_a_new_one() {
    let keys = keys(&[SECRET]);
    for at in 0..FULL_OCTETS {
        for bit in 0..8 {
            let mut octets = hex(COOKIE);
            octets[at] ^= 1 << bit;
            let (standing, back) = keys.judge(&Cookie::read(&octets).unwrap(), HOST.parse().unwrap(), MADE_S);
            assert_eq!(standing, Standing::Invalid, "bit {bit} of octet {at}");
            let (good, same) = keys.judge(&Cookie::read(&back).unwrap(), HOST.parse().unwrap(), MADE_S);
            assert_eq!((good, same), (Standing::Valid, back));
        }
    }
    for client in ["198.51.100.101", "::198.51.100.100", "2001:db8::1"] {
        assert_eq!(judge(&keys, COOKIE, client, MADE_S).0, Standing::Invalid, "{client}");
    }
    assert_eq!(judge(&keys, COOKIE, "::ffff:198.51.100.100", MADE_S).0, Standing::Valid);
    for len in 16..=40 {
        let mut octets = hex(COOKIE);
        octets.resize(len, 0);
        let (standing, _) = keys.judge(&Cookie::read(&octets).unwrap(), HOST.parse().unwrap(), MADE_S);
        assert_eq!(standing == Standing::Valid, len == FULL_OCTETS, "{len} octets");
    }
}

#[test]
fn secrets_change_in_three_steps() {
    let [old, new] = OLD_AND_NEW;
    // RFC 9018 section 5: the new secret is known everywhere before it is used, and the old one as long as its cookies live.
    let stages = [keys(&[old]), keys(&[old, new]), keys(&[new, old]), keys(&[new])];
    for (before, after) in [(0, 1), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2), (0, 3)] {
        let (_, cookie) = stages[before].judge(&Cookie::read(&[9; 8]).unwrap(), HOST.parse().unwrap(), MADE_S);
        let (standing, _) = stages[after].judge(&Cookie::read(&cookie).unwrap(), HOST.parse().unwrap(), MADE_S + 60);
        let expected = if (before, after) == (0, 3) { Standing::Invalid } else { Standing::Valid };
        assert_eq!(standing, expected, "made in stage {before}, shown in stage {after}");
    }
}

#[test]
fn lengths() {
    for len in 0..60 {
        assert_eq!(Cookie::read(&[1; 60][..len]).is_some(), len == 8 || (16..=40).contains(&len), "{len} octets");
    }
}

#[test]
fn secrets_are_not_shown() {
    assert_eq!(format!("{:?}", keys(&OLD_AND_NEW)), "CookieKeys(2 secrets)");
}
