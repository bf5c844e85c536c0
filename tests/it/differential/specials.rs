//! Lines that begin with `$`: those that say something of the zone, right and wrong.

use super::dice::Dice;
use super::values::text;

/// Times as they may be written, and as they may not.
const TIMES: [&str; 22] = [
    "0",
    "30",
    "60",
    "300",
    "3600",
    "2m",
    "1H",
    "1d",
    "1W",
    "600s",
    "2100",
    "86400",
    "60",
    "1h",
    "4294967295",
    "2147483648",
    "4294967296",
    "1d2h",
    "h",
    "-5",
    "99999w",
    "2x",
];
/// Names as they may stand in `$SOA` and `$NS`.
const NAMES: [&str; 18] = [
    "ns.example",
    "ns.Example.",
    "a.example",
    "b.example",
    "A.EXAMPLE",
    "ns1",
    "1.0.1.10.z1.test",
    "a.z2.test",
    "ns.z3.test",
    "www.a.z4.test",
    "hostmaster.example",
    "x..y",
    "a\\046b.c",
    "-b.example",
    "-",
    "x\\300.y",
    "ns",
    ".",
];

/// A time, mostly a right one.
fn time(dice: &mut Dice) -> &'static str {
    if dice.once_in(4) { dice.pick(&TIMES) } else { dice.pick(&TIMES[..14]) }
}

/// A special line of chance.
pub fn special(dice: &mut Dice) -> Vec<u8> {
    let mark = dice.pick(&["$", "$", "$", "$", "#$", ";$", ":$"]);
    let blank = dice.pick(&[" ", " ", " ", "\t", " \t "]);
    let word = |dice: &mut Dice, word: &str| if dice.once_in(5) { word.to_lowercase() } else { word.to_owned() };
    let mut line = mark.as_bytes().to_vec();
    let words: Vec<String> = match dice.below(24) {
        0..=4 => {
            let mut words =
                vec![word(dice, "SOA"), time(dice).into(), dice.pick(&NAMES).into(), dice.pick(&NAMES).into()];
            words.push(dice.pick(&["0", "0", "0", "1", "2024010101", "4294967295", "4294967296", "x"]).into());
            for _ in 0..if dice.once_in(20) { dice.of(&[3, 5]) } else { 4 } {
                words.push(time(dice).into());
            }
            words
        }
        5..=8 => {
            let name = dice.pick(&["NS", "NS", "NS", "NS", "NAMESERVER"]);
            let mut words = vec![word(dice, name), time(dice).into()];
            for _ in 0..if dice.once_in(30) { 34 } else { dice.of(&[1, 1, 2, 2, 3, 5, 0]) } {
                let name = match dice.below(30) {
                    0 => format!("{}.{}.example", "n".repeat(60), "m".repeat(dice.between(1, 60))),
                    1..=6 => format!("-{}", dice.pick(&NAMES)),
                    7 => format!("n{}.example", dice.below(40)),
                    _ => dice.pick(&NAMES).into(),
                };
                words.push(name);
            }
            words
        }
        9..=12 => vec![word(dice, "TTL"), time(dice).into()],
        13 if dice.once_in(3) => {
            let stamp = dice.pick(&[
                "0",
                "-",
                "2020:01:02",
                "2020-01-02",
                "20200102",
                "2020-01-02:03:04:05",
                "20200102030405",
                "2020-1-2",
                "2020",
                "2020-13-01",
                "2020-02-30",
                "2020-01-02-25",
                "tomorrow",
                "1970-01-01",
                "2020:01",
                "2020-01-02T03:04:05",
                "2020:01:02:03:04:05:06",
                "1999:12:31:23:59:60",
                "2020-01-02-3",
                "19700101000000",
                "1969-12-31",
                "1900-01-01",
            ]);
            let expiry = dice.pick(&[
                "",
                "",
                "",
                "2099-01-01",
                "2037:01:01",
                "+9999w",
                "+99d",
                "0",
                "-",
                "+x",
                "x",
                "2099-01-01 x",
                "+0",
                "+2000w",
            ]);
            let stamp = if dice.once_in(40) { "2037-01-01" } else { stamp };
            vec![word(dice, "TIMESTAMP"), stamp.into(), expiry.into()]
        }
        14 if dice.once_in(3) => {
            let range = dice.pick(&[
                "/8",
                "/16",
                "/24",
                "/32",
                "/25",
                "256",
                "1",
                "0",
                "/0",
                "/33",
                "300",
                "x",
                "",
                "4294967295",
                "65536",
                "/24x",
                "17",
            ]);
            let name = dice.pick(&["MAXRANGE4", "MAXRANGE4", "MAXRANGE4", "MAXRANGE", "MAXRANGE6"]);
            vec![word(dice, name), range.into()]
        }
        15 => vec![
            dice.pick(&[
                "UNKNOWN x",
                "",
                " SOA",
                "DATASET ip4set x",
                "TTLS 5",
                "SO",
                "$1 x",
                "10 x",
                "1x y",
                "=x",
                "=",
                "1",
                "a b",
                "TTL",
                "SOA",
                "NS",
            ])
            .into(),
        ],
        16 | 17 => {
            line.extend(b"=");
            line.extend(blank.as_bytes());
            line.extend(text(dice));
            return line;
        }
        _ => {
            line.extend(dice.pick(&["0", "1", "1", "2", "9"]).as_bytes());
            line.extend(blank.as_bytes());
            line.extend(text(dice));
            return line;
        }
    };
    line.extend(words.join(blank).into_bytes());
    if dice.once_in(20) {
        line.extend(dice.pick::<[u8]>(&[b" x", b" # c", b" ;c", b"\t", b" 5"]));
    }
    line
}
