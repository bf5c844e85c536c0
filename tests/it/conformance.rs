//! rbldnsd's observed answers, replayed against the real server: under settings, and under rbldnsd's own command line.
//!
//! Every row of the table is asked; under settings those are left out, and counted, that need an access list or a command
//! line that no settings can express. What may differ is in `judge.rs` and below, each with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::judge::{Answer, Asked, Difference, Facts, MADE_UP, ON_DATA, Tally};
use crate::message::{Reply, query};
use crate::rbldnsd::Rbldnsd;
use crate::server::{NO_GUARDS, Server, Udp, put_old, settings};
use crate::skip;
use crate::table::{Case, NEGATIVE_TTL, Spec, cases, facts, ttl_options};

/// Rows of class `bug` whose own answer is right: the bug shows in the rows beside them.
const BUG_BESIDE: [&str; 2] = ["FILE-CRLF.2", "NS33.3"];
/// Rows that are asked; a change of the table must not lose any unseen.
const ROWS_ASKED: usize = 638;
/// Rows of the table.
const ROWS: usize = 725;
/// Rows whose command line starts no server.
const NO_SERVER: usize = 2;
/// Rows that rbldnsd itself can be asked again.
const ROWS_RECORDED: usize = 709;

/// A positive answer with these records, the name servers of the data in authority.
fn listed(records: &[&str], ttls: &[&str]) -> Answer {
    let set = |items: &[&str]| items.iter().map(|&item| item.to_owned()).collect::<BTreeSet<_>>();
    Answer { aa: true, records: set(records), ttls: set(ttls), authority: set(&["NS"]), ..Answer::bare("NOERROR") }
}

/// An answer that denies, with the zone's SOA.
fn denied(code: &str, ttl: u32) -> Answer {
    let ttls = BTreeSet::from([format!("SOA={ttl}")]);
    Answer { aa: true, ttls, authority: BTreeSet::from(["SOA".to_owned()]), ..Answer::bare(code) }
}

/// Take away the authority that only settings make up, see [`A_MADE`] and [`NEGATIVE_TTL`].
fn take_away_what_is_made_up(answer: &mut Answer) {
    for (kind, ttl) in [("NS", "NS=*".to_owned()), ("SOA", format!("SOA={NEGATIVE_TTL}"))] {
        if answer.ttls.remove(&ttl) {
            answer.authority.remove(kind);
        }
    }
}

/// Replace the answer to the rows of a list.
fn replace(asked: &Asked<'_>, answer: &mut Answer, list: &[(&str, Answer)]) -> bool {
    let found = list.iter().find(|(id, _)| *id == asked.id);
    if let Some((_, ours)) = found {
        answer.clone_from(ours);
        if asked.facts.bare {
            take_away_what_is_made_up(answer);
        }
    }
    found.is_some()
}

/// TTLs of an answer about an entry in a zone with the table's usual `$NS`.
const A_NS: [&str; 2] = ["A=2100", "NS=86400"];
/// The same for TXT.
const TXT_NS: [&str; 2] = ["TXT=2100", "NS=86400"];
/// TTLs of an answer about an entry in a zone without `$NS`.
const A_MADE: [&str; 2] = ["A=2100", "NS=*"];
/// The same for TXT.
const TXT_MADE: [&str; 2] = ["TXT=2100", "NS=*"];
/// The SOA that most of the table's zones have.
const SOA_USUAL: &str = "SOA ns.example. hostmaster.example. 1700000000 3600 1800 172800 600";

/// The differences that belong to single questions of the table.
const ON_QUESTIONS: &[Difference] = &[
    Difference {
        name: "FORMERR instead of silence",
        reason: "a broken query whose header can be read is answered, so that its sender need not wait (D-3, D-7)",
        rewrite: |asked, answer| {
            let broken = answer.code == "DROPPED" && asked.wire.is_some_and(|wire| wire.len() >= 12 && wire[2] < 128);
            if broken {
                *answer = Answer::bare("FORMERR");
            }
            broken
        },
    },
    Difference {
        name: "counted records that are missing",
        reason: "a message that ends before its counts do is broken, so FORMERR",
        rewrite: |asked, answer| replace(asked, answer, &[("PROTO.35", Answer::bare("FORMERR"))]),
    },
    Difference {
        name: "AA and TC in a query are ignored",
        reason: "flags that mean nothing in a query change nothing (D-4)",
        rewrite: |asked, answer| {
            let flags = asked.wire.is_some_and(|wire| wire[2] & 0x7e != 0 && wire[2] & 0x78 == 0);
            if flags && answer.code == "NOTIMP" {
                *answer = listed(&["A 127.0.0.2"], &A_NS);
                return true;
            }
            false
        },
    },
    Difference {
        name: "NOTIFY",
        reason: "the opcode is known, but nobody may notify us (section 2 of the duties)",
        rewrite: |asked, answer| {
            let notify = asked.wire.is_some_and(|wire| wire[2] & 0x78 == 4 << 3);
            if notify {
                *answer = Answer::bare("NOTAUTH|REFUSED|NOTIMP");
            }
            notify
        },
    },
    Difference {
        name: "class ANY",
        reason: "a question for all classes is REFUSED (D-11)",
        rewrite: |asked, answer| replace(asked, answer, &[("PROTO.13", Answer::bare("REFUSED"))]),
    },
    Difference {
        name: "EDNS version 1",
        reason: "RFC 6891 section 6.1.3: an unknown version is BADVERS (D-21); with an unknown opcode as well, either \
                 fault may be told",
        rewrite: |asked, answer| {
            let list = [("EDNS.4", Answer::bare("BADVERS")), ("EDNS.9", Answer::bare("BADVERS|NOTIMP"))];
            replace(asked, answer, &list)
        },
    },
    Difference {
        name: "truncation",
        reason: "an answer that does not fit says so with TC and stays authoritative (D-8)",
        rewrite: |asked, answer| {
            let cut = asked.id.starts_with("SIZE.") && !answer.aa;
            if cut {
                *answer = listed(&["A 127.0.1.*", "TXT \"t*"], &[]);
                answer.tc = true;
            }
            cut
        },
    },
    Difference {
        name: "TXT of 255 octets and more",
        reason: "rbldnsd cuts at 254, one less than fits and than its manual says, and knows of one string only (D-9)",
        rewrite: |asked, answer| {
            let ids = ["TXT-LEN.3", "TXT-LEN.4", "TXT-LEN.5", "TXT-LEN-GENERIC.3", "TXT-LEN-GENERIC.4"];
            let cut = ids.contains(&asked.id);
            if cut {
                // At least what rbldnsd sends; that it is more is checked of all rows of class `bug`.
                let longer = |text: &String| text.trim_end_matches('"').to_owned() + "*";
                answer.records = answer.records.iter().map(longer).collect();
            }
            cut
        },
    },
    Difference {
        name: "mapped addresses in IPv6 datasets",
        reason: "an entry for ::ffff:a.b.c.d in an IPv6 dataset counts, also beside an IPv4 dataset (spamhaus/rbldnsd#27)",
        rewrite: |asked, answer| {
            let six = "TXT \"Listed6, see http://x/?::ffff:7f00:1\"";
            let list = [
                ("V6-MIX.1", listed(&["A 127.0.0.2", "A 127.0.0.7"], &A_NS)),
                ("V6-MIX.2", listed(&["TXT \"v4 1.2.3.4\"", "TXT \"mapped ::ffff:102:304\""], &TXT_NS)),
                ("V6-MIX.5", listed(&["A 127.0.0.7"], &A_NS)),
                ("V6-MIX.6", listed(&["TXT \"mapped ::ffff:909:909\""], &TXT_NS)),
                ("ISSUE27.1", listed(&["A 127.0.0.2", "A 127.0.1.1"], &A_MADE)),
                ("ISSUE27.2", listed(&["TXT \"Listed, see http://x/?127.0.0.2\"", "TXT \"TEST2\""], &TXT_MADE)),
                ("ISSUE27.3", listed(&["A 127.0.0.1"], &A_MADE)),
                ("ISSUE27.4", listed(&["TXT \"TEST\""], &TXT_MADE)),
                ("ISSUE27.5", listed(&["A 127.0.0.2"], &A_MADE)),
                ("ISSUE27.6", listed(&[six], &TXT_MADE)),
                ("ISSUE27.7", listed(&["A 127.0.1.1"], &A_MADE)),
                ("ISSUE27.8", listed(&["TXT \"TIMESTAMP=999\""], &TXT_MADE)),
                ("RFC5782-TEST.3", listed(&["TXT \"test\"", "TXT \"test6\""], &TXT_MADE)),
            ];
            replace(asked, answer, &list)
        },
    },
    Difference {
        name: "nine words and two `::`",
        reason: "no IPv6 addresses; rbldnsd lists what it can read of them, we warn and skip the line",
        rewrite: |asked, answer| {
            let list = [
                ("IP6TRIE-FORM.28", listed(&["TXT \"all\""], &TXT_NS)),
                ("IP6TRIE-FORM.29", listed(&["A 127.0.0.15"], &A_NS)),
                ("IP6TRIE-FORM.30", listed(&["TXT \"all\""], &TXT_NS)),
            ];
            replace(asked, answer, &list)
        },
    },
    Difference {
        name: "CRLF",
        reason: "a CR before the line's end belongs to the line's end",
        rewrite: |asked, answer| {
            let list = [
                ("FILE-CRLF.1", listed(&["A 127.0.0.2"], &A_NS)),
                ("FILE-CRLF.3", listed(&["TXT \"text\""], &TXT_NS)),
                ("FILE-CRLF.4", listed(&["A 127.0.0.4"], &A_NS)),
                ("FILE-CRLF.5", denied("NOERROR", 600)),
                ("FILE-CRLF.6", listed(&[SOA_USUAL], &["SOA=2100", "NS=86400"])),
                ("FILE-CRLF-DNSET.1", listed(&["A 127.0.0.2"], &A_MADE)),
                ("FILE-CRLF-DNSET.2", denied("NXDOMAIN", NEGATIVE_TTL)),
                ("FILE-CRLF-DNSET.3", listed(&["TXT \"x\""], &TXT_MADE)),
            ];
            replace(asked, answer, &list)
        },
    },
    Difference {
        name: "many name servers",
        reason: "rbldnsd drops a $NS of more than 32 names and then refuses the apex; we serve it, cut by TC if need be",
        rewrite: |asked, answer| {
            let mut whole = listed(&["NS n*"], &["NS=60"]);
            let mut cut = whole.clone();
            (cut.tc, whole.authority) = (true, BTreeSet::new());
            replace(asked, answer, &[("NS33.1", whole), ("NS33.2", cut)])
        },
    },
    Difference {
        name: "TTL beyond 31 bits",
        reason: "RFC 2181 section 8: a TTL is at most 2^31-1, and a receiver takes more for 0",
        rewrite: |asked, answer| {
            if asked.id == "TTL-HUGE.1" {
                answer.ttls.remove("A=0");
                answer.ttls.insert("A=2147483647".into());
            }
            asked.id == "TTL-HUGE.1"
        },
    },
];

/// What settings can say of rbldnsd's options; nothing where they can not.
fn dns_settings(options: &str) -> Option<(String, String)> {
    let authority = if options.split(' ').any(|word| word == "-a") { "minimal" } else { "full" };
    let mut dns = format!("authority = \"{authority}\"\nany = \"full\"\n");
    match options {
        "-v" => dns += "version = \"rbldnsd\"\n",
        "-v -v" => {}
        _ => dns += "version = \"rbldnsd 1.0pre (snapshot 20210120)\"\n",
    }
    let mut zone = format!("{NO_GUARDS}\nnegative-ttl = {NEGATIVE_TTL}\n");
    let (ttl, ttl_min, ttl_max) = ttl_options(options);
    zone += &format!("ttl = {ttl}\n");
    if ttl_min > 0 {
        zone += &format!("ttl-min = {ttl_min}\n");
    }
    if ttl_max < u32::MAX {
        zone += &format!("ttl-max = {ttl_max}\n");
    }
    (ttl <= ttl_max).then_some((dns, zone))
}

/// Files by name.
type Files = Vec<(String, Vec<u8>)>;

/// Settings and files for a row's zones.
fn set_up(specs: &[Spec], options: &str) -> Option<(String, Files)> {
    let (dns, more) = dns_settings(options)?;
    if specs.iter().any(|spec| spec.kind == "acl") {
        return None;
    }
    let mut zones: BTreeMap<String, String> = BTreeMap::new();
    let mut files = Vec::new();
    for spec in specs {
        let mut names = Vec::new();
        for content in &spec.files {
            let name = format!("file{}", files.len());
            names.push(format!("\"{name}\""));
            files.push((name, content.clone()));
        }
        let zone = spec.zone.trim_end_matches('.').to_lowercase();
        let line = format!("  {{ type = \"{}\", files = [{}] }},\n", spec.kind, names.join(", "));
        zones.entry(zone).or_default().push_str(&line);
    }
    let zones: Vec<String> = zones
        .iter()
        .map(|(zone, datasets)| {
            format!("[[zone]]\nname = \"{zone}\"\nns = [\"ns.made.example\"]\n{more}datasets = [\n{datasets}]\n")
        })
        .collect();
    Some((settings(&dns, &zones.join("\n")), files))
}

/// The zone that a question belongs to: the longest that its name ends with.
fn zone_of(specs: &[Spec], qname: &str) -> String {
    let qname = format!(".{}", qname.trim_end_matches('.').to_lowercase());
    let zones = specs.iter().map(|spec| spec.zone.trim_end_matches('.').to_lowercase());
    zones.filter(|zone| qname.ends_with(&format!(".{zone}"))).max_by_key(String::len).unwrap_or_default()
}

/// The rows by what they need: datasets and rbldnsd's options.
fn set_ups() -> BTreeMap<(Vec<Spec>, String), Vec<Case>> {
    let mut set_ups: BTreeMap<_, Vec<Case>> = BTreeMap::new();
    for case in cases() {
        set_ups.entry((case.datasets.clone(), case.options.clone())).or_default().push(case);
    }
    set_ups
}

/// Ask a row's question.
fn ask(client: &Udp, case: &Case) -> Reply {
    match &case.wire {
        Some(wire) => client.exchange(wire),
        None => client.ask(&query(&case.qname, case.qtype)),
    }
}

/// Where the table does not show what rbldnsd sends.
const ON_THE_WIRE: &[Difference] = &[Difference {
    name: "TTL as sent",
    reason: "the table was recorded by a client that reads a TTL over 31 bits as 0 (RFC 2181 section 8)",
    rewrite: |asked, answer| {
        let sent = asked.id == "TTL-HUGE.1";
        if sent {
            answer.ttls = ["A=4294967295".to_owned()].into();
        }
        sent
    },
}];

/// The oracle itself: were the table misread here, or another version of rbldnsd recorded, this would fail.
#[test]
fn the_table_is_what_rbldnsd_says() {
    let mut tally = Tally::default();
    for ((specs, options), cases) in set_ups() {
        let dir = tempfile::tempdir().unwrap();
        let words = write_files(dir.path(), &specs);
        // Silence is a matter for our own server; and an access list that ignores us keeps the test from starting.
        if cases.iter().any(|case| case.answer.code == "NOSERVER" || case.id.starts_with("ACL-IGNORE")) {
            continue;
        }
        let Some(rbldnsd) = Rbldnsd::start(dir.path(), &options, &words) else {
            skip("rbldnsd");
            return;
        };
        let client = Udp::new(rbldnsd.dns);
        for case in cases.iter().filter(|case| case.answer.code != "DROPPED") {
            let facts = Facts::default();
            let (qname, qtype, wire) = (case.qname.as_str(), case.qtype, case.wire.as_deref());
            let asked = Asked { id: &case.id, qname, qtype, wire, facts: &facts, rbldnsd: &case.answer };
            tally.judge(&[ON_THE_WIRE], &asked, &Answer::from(&ask(&client, case)));
        }
    }
    assert_eq!(tally.compared, ROWS_RECORDED);
    tally.finish(&[ON_THE_WIRE], true);
}

#[test]
fn every_row_of_the_table() {
    let set_ups = set_ups();
    let (mut tally, mut left_out) = (Tally::default(), BTreeMap::<&str, usize>::new());
    for ((specs, options), cases) in &set_ups {
        let Some((settings, files)) = set_up(specs, options) else {
            let acl = specs.iter().any(|spec| spec.kind == "acl");
            *left_out.entry(if acl { "access lists" } else { "options" }).or_default() += cases.len();
            continue;
        };
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (name.as_str(), text.as_slice())).collect();
        let server = Server::start(&settings, &files);
        let full = !options.split(' ').any(|word| word == "-a");
        for case in cases {
            let facts = facts(specs, &zone_of(specs, &case.qname), full, ttl_options(options));
            replay(&server.udp(), case, &facts, &TABLES, &mut tally);
        }
    }
    println!("left out: {left_out:?}");
    assert_eq!(tally.compared, ROWS_ASKED, "rows asked; left out: {left_out:?}");
    tally.finish(&TABLES, true);
}

/// The tables of differences under settings.
const TABLES: [&[Difference]; 3] = [ON_DATA, MADE_UP, ON_QUESTIONS];
/// The tables of differences under rbldnsd's command line.
const TABLES_BARE: [&[Difference]; 3] = [ON_DATA, ON_QUESTIONS, ON_OPTIONS];

/// The differences of rows that only a command line can express.
const ON_OPTIONS: &[Difference] = &[
    Difference {
        name: "-t ::2m",
        reason: "the manual's own example; a default above the most is lowered to it",
        rewrite: |asked, answer| {
            replace(asked, answer, &[("TTL-OPT2.1", listed(&["A 127.0.0.2"], &["A=120", "NS=120"]))])
        },
    },
    Difference {
        name: "version.bind",
        reason: "it says which program answers, and begins with rbldnsd's name for those who look for it",
        rewrite: |_, answer| {
            let told = answer.records.remove("TXT \"rbldnsd 1.0pre (snapshot 20210120)\"");
            if told {
                answer.records.insert(format!("TXT \"rbldnsd (dnsbld {})\"", env!("CARGO_PKG_VERSION")));
            }
            told
        },
    },
    Difference {
        name: "records beside an access list's `empty`",
        reason: "the manual promises that the data of `generic` are seen by those to whom the lists are empty; inside \
                 of `combined` rbldnsd forgets it",
        rewrite: |asked, answer| replace(asked, answer, &[("ACL-COMBINED-EMPTY.2", listed(&["A 1.1.1.1"], &A_NS))]),
    },
];

#[test]
fn every_row_through_rbldnsds_command_line() {
    let (mut tally, mut no_server) = (Tally::default(), 0);
    for ((specs, options), cases) in set_ups() {
        let dir = tempfile::tempdir().unwrap();
        let words = write_files(dir.path(), &specs);
        // A command line that starts no server, here or there.
        if cases[0].answer.code == "NOSERVER" && !options.contains("::") {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_dnsbld"));
            command.args(["rbldnsd", "-n", "-b", "127.0.0.1/1", "-w"]).arg(dir.path()).args(&words);
            let ended = command.output().unwrap();
            assert_eq!(ended.status.code(), Some(1), "{words:?}: {ended:?}");
            no_server += cases.len();
            continue;
        }
        let server = Rbldnsd::start_ours(dir.path(), &options, &words);
        let client = Udp::new(server.dns);
        let full = !options.split(' ').any(|word| word == "-a");
        for case in &cases {
            let facts = facts(&specs, &zone_of(&specs, &case.qname), full, ttl_options(&options));
            replay(&client, case, &Facts { bare: true, ..facts }, &TABLES_BARE, &mut tally);
        }
    }
    assert_eq!((tally.compared, no_server), (ROWS - NO_SERVER, NO_SERVER), "rows asked, rows without a server");
    tally.finish(&TABLES_BARE, true);
}

/// Write the files of a row's datasets; gives the words of the command line that name them.
fn write_files(dir: &Path, specs: &[Spec]) -> Vec<String> {
    let mut words = Vec::new();
    for (i, spec) in specs.iter().enumerate() {
        let names: Vec<String> = (0..spec.files.len()).map(|j| format!("file{i}.{j}")).collect();
        names.iter().zip(&spec.files).for_each(|(name, content)| put_old(&dir.join(name), content));
        words.push(format!("{}:{}:{}", spec.zone, spec.kind, names.join(",")));
    }
    words
}

/// Ask a row's question and judge the answer.
fn replay(client: &Udp, case: &Case, facts: &Facts, tables: &[&[Difference]], tally: &mut Tally) {
    let mut better = BUG_BESIDE.contains(&case.id.as_str());
    // Whoever has answered this has passed over what came before it.
    let good = query("started.invalid", crate::message::SOA);
    let dropped = |silent: bool| Answer::bare(if silent { "DROPPED" } else { "ANSWERED" });
    let seen = match &case.wire {
        Some(wire) if wire.len() < 12 || wire[2] & 0x80 != 0 => dropped(client.silent(wire, &good)),
        None if case.answer.code == "DROPPED" => dropped(client.silent(&query(&case.qname, case.qtype).wire(), &good)),
        _ => {
            let reply = ask(client, case);
            if case.additional > 0 && reply.additional.len() != case.additional {
                tally.faults.push(format!("{}: {} additional records", case.id, reply.additional.len()));
            }
            // An OPT in the reply is what rbldnsd owes, or gives to large answers only (D-20).
            better |= reply.opt.is_some();
            Answer::from(&reply)
        }
    };
    let asked = Asked {
        id: &case.id,
        qname: &case.qname,
        qtype: case.qtype,
        wire: case.wire.as_deref(),
        facts,
        rbldnsd: &case.answer,
    };
    tally.judge(tables, &asked, &seen);
    if case.class == "bug" && seen == case.answer && !better {
        tally.faults.push(format!("{}: rbldnsd's bug is ours as well", case.id));
    }
}
