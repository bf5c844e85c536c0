//! Every way in which this server differs from rbldnsd on purpose: one table for all tests and for the manual.
//!
//! A row is a class of differences, not a licence: each test that meets one holds it to a precise condition, see
//! `judge`, `conformance`, `reallists`, `rbldnsd_mode/broken` and `differential/oracle`. They name rows of this table and no others, and each row is
//! named by at least one of them.

/// One class of differences.
pub struct Difference {
    /// Its name, by which tests and the manual know it.
    pub name: &'static str,
    /// What rbldnsd does.
    pub rbldnsd: &'static str,
    /// What this server does.
    pub dnsbld: &'static str,
    /// Why.
    pub why: &'static str,
    /// It shows under rbldnsd's command line as well; otherwise only under settings.
    pub command_line: bool,
}

/// A row that shows under rbldnsd's command line.
const fn row(name: &'static str, rbldnsd: &'static str, dnsbld: &'static str, why: &'static str) -> Difference {
    Difference { name, rbldnsd, dnsbld, why, command_line: true }
}

/// A row that shows under settings only.
const fn made_up(name: &'static str, rbldnsd: &'static str, dnsbld: &'static str, why: &'static str) -> Difference {
    Difference { name, rbldnsd, dnsbld, why, command_line: false }
}

/// All of them: those about names, about records, about messages, about lines of files.
pub const DIFFERENCES: &[Difference] = &[
    row(
        "partial address",
        "answers NXDOMAIN for `2.1.bl`, also above a listed `4.3.2.1.bl`",
        "answers NODATA for every well-formed part of an address, also where only 6to4 or mapped addresses lie below",
        "RFC 8020: a cached NXDOMAIN denies all that is below, and would hide a listing made a second later",
    ),
    row(
        "empty non-terminal",
        "answers NXDOMAIN for a name that only has names below it",
        "answers NODATA",
        "RFC 8020 and RFC 4592 section 2.2.2: a name with a name below it exists",
    ),
    row(
        "name above another zone",
        "answers NXDOMAIN for a name between a zone and another zone served below it",
        "answers NODATA",
        "RFC 8020: the NXDOMAIN would deny the whole zone below",
    ),
    row(
        "mapped addresses in IPv6 datasets",
        "does not look IPv4-mapped addresses up in IPv6 datasets once the zone has an IPv4 one",
        "looks them up in both",
        "entries that were loaded must answer (spamhaus/rbldnsd#27)",
    ),
    row(
        "negative TTL capped",
        "sends the SOA of a negative answer under the SOA's minimum",
        "sends it under the lesser of the minimum and the SOA's TTL",
        "RFC 2308 section 5",
    ),
    row(
        "TTL beyond 31 bits",
        "sends times as they are written, up to 2^32-1 s",
        "sends at most 2^31-1 s",
        "RFC 2181 section 8: a receiver takes more for 0",
    ),
    row(
        "sets with a text of 255 octets",
        "loses its way behind such a text: sends equal records twice, and a set under several TTLs",
        "sends each record once and a set under one TTL, the least",
        "RFC 2181 sections 5 and 5.2; rbldnsd means to, and does for other sets",
    ),
    row(
        "TXT of 255 octets and more",
        "cuts a text at 254 octets (255 in `generic`), also what templates make",
        "keeps 1020 octets and sends them as several strings",
        "the manual promises 255, and a cut text loses its link",
    ),
    row(
        "many name servers",
        "drops a `$NS` of more than 32 names, or of about 500 octets with their addresses, and then refuses NS at the apex",
        "serves up to 100 names",
        "a zone without NS is not resolved by everybody",
    ),
    row(
        "addresses of name servers under -a",
        "leaves the addresses out of an answer about name servers",
        "sends them with an answer about name servers, and leaves the authority section empty",
        "RFC 1034 section 4.3.2: `-a` is about the authority section",
    ),
    row(
        "name servers with one address",
        "sends the address of the first of two name servers that have the same one",
        "sends an address for each",
        "the second name server can not be reached by a resolver that asks only here",
    ),
    row(
        "addresses from zones not served",
        "takes addresses of name servers also from the rest of a zone that is SERVFAIL itself",
        "takes them from zones that are served",
        "RFC 1034 section 4.3.5: expired data are not used",
    ),
    made_up(
        "made-up SOA in negative answers",
        "sends no SOA where the data have none",
        "makes one of the settings",
        "RFC 2308: without a SOA a negative answer can not be cached",
    ),
    made_up(
        "made-up NS in authority",
        "sends no NS where the data have none",
        "makes them of the settings",
        "full authority shows the name servers",
    ),
    made_up(
        "made-up apex records",
        "refuses SOA and NS at the apex where the data have none",
        "makes them of the settings",
        "big resolvers SERVFAIL a zone whose apex refuses",
    ),
    row(
        "ordinary types of high number",
        "answers NOTIMP for CAA, URI and all types from 256 on",
        "answers as for any other type",
        "RFC 3597 and RFC 8906: an unknown type is NODATA at a name that exists",
    ),
    row(
        "truncation",
        "leaves out what does not fit, clears AA and does not set TC; there is no TCP",
        "sets TC, keeps AA, and answers in full over TCP; name servers that do not fit are left out without it",
        "RFC 2181 section 9: a client must be able to know",
    ),
    row(
        "UDP answers of at most 1232 octets",
        "fills up to 2048 octets where the client takes them",
        "fills up to 1232 octets, and sets TC beyond",
        "fragments get lost and can be forged (RFC 9715)",
    ),
    row("EDNS version 1", "answers as if there were no EDNS record", "answers BADVERS", "RFC 6891 section 6.1.3"),
    row(
        "FORMERR instead of silence",
        "drops a query that it can not read",
        "answers FORMERR where the header can be read and is that of a query",
        "RFC 8906: the sender need not wait",
    ),
    row(
        "counted records that are missing",
        "ignores counts of records that are not there",
        "answers FORMERR",
        "a message that ends before its counts do is broken",
    ),
    row(
        "broken OPT records",
        "passes over whatever is wrong behind the question",
        "answers FORMERR to an option that ends beyond its record, a cookie of a wrong length, two OPT records, or one that is not the root's",
        "RFC 6891 section 6.1.1 and RFC 7873 section 5.2.2 demand it, and no client that is right sends them",
    ),
    row(
        "AA and TC in a query are ignored",
        "answers NOTIMP",
        "answers as without them",
        "RFC 1035 section 4.1.1: they mean nothing in a query",
    ),
    row(
        "NOTIFY",
        "answers NOTIMP and clears the opcode",
        "answers with the opcode that was asked",
        "RFC 1996: the opcode is known, and nobody may notify this server",
    ),
    row(
        "class ANY",
        "answers as for class IN, with AA cleared",
        "refuses",
        "a question for all classes has no authoritative answer (RFC 1035 section 6.2)",
    ),
    row(
        "CRLF",
        "takes the CR before a line's end for a part of the line: addresses are refused, names and texts end in CR",
        "takes it for a part of the line's end",
        "files edited elsewhere lose their entries otherwise",
    ),
    row(
        "byte order mark",
        "takes it for a part of the first line, which is lost",
        "passes over it",
        "files edited elsewhere lose an entry otherwise",
    ),
    row(
        "file time 0",
        "takes a file of 1970-01-01 00:00:00 UTC for one that is not loaded, and answers SERVFAIL",
        "serves it",
        "the file is there and good; some archives and copies have no times",
    ),
    row(
        "bad name in `$NS`",
        "takes the names before a bad one all the same, but under a TTL of 0",
        "takes them under the line's TTL, and tells the bad one",
        "what can not be cached is asked for again with every answer",
    ),
    row(
        "times after 2038",
        "ignores a `$TIMESTAMP` line with a year after 2038",
        "reads it",
        "on its first day, 2039 would end all time stamps",
    ),
    row(
        "bad line of generic",
        "drops the whole dataset for a bad TTL or a bad MX, without naming the line",
        "skips the line and tells it with its number",
        "one bad line must not take a zone out of service",
    ),
    row(
        "nine words and two `::`",
        "lists what it can read of a malformed IPv6 address and takes the rest for its value",
        "skips the line and tells it with its number",
        "what would be listed is not what was written",
    ),
    row(
        "records beside an access list's `empty`",
        "hides the records of `generic` inside of `combined` with the rest",
        "shows them to those to whom the lists are empty",
        "the manual promises them",
    ),
    row(
        "-t ::2m",
        "ends with `inconsistent def:min:max ttl`",
        "lowers the default to the most",
        "it is the manual's own example",
    ),
    row(
        "version.bind",
        "tells its version",
        "tells `rbldnsd (dnsbld VERSION)`; `-v` leaves `rbldnsd`, and twice refuses, as before",
        "it begins with the name that monitors look for, and tells which program answers",
    ),
];

/// The row of a name.
pub fn named(name: &str) -> &'static Difference {
    DIFFERENCES
        .iter()
        .find(|row| row.name == name)
        .unwrap_or_else(|| panic!("`{name}` is no row of the table of differences"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::Class;

    /// Tests that name differences in literals.
    const SOURCES: [&str; 4] = [
        include_str!("judge.rs"),
        include_str!("conformance.rs"),
        include_str!("reallists.rs"),
        include_str!("rbldnsd_mode/broken.rs"),
    ];
    /// What stands before such a name.
    const BEFORE: [&str; 2] = ["name: \"", "named(\""];
    /// What belongs to the recording of the table of observed answers, and is no difference.
    const RECORDING: [&str; 1] = ["TTL as sent"];

    #[test]
    fn tests_and_table_name_the_same_differences() {
        let named_in = |source: &'static str| BEFORE.into_iter().flat_map(|before| source.split(before).skip(1));
        let literals = SOURCES.into_iter().flat_map(named_in);
        let literals = literals.filter_map(|rest| rest.split('"').next()).filter(|name| !RECORDING.contains(name));
        let used: Vec<&str> = literals.chain(Class::ALL.iter().map(|class| class.name())).collect();
        for name in &used {
            assert_eq!(named(name).name, *name);
        }
        for row in DIFFERENCES {
            assert!(used.contains(&row.name), "no test meets `{}`", row.name);
        }
    }

    #[test]
    fn every_row_is_told_once() {
        for (n, row) in DIFFERENCES.iter().enumerate() {
            assert!(DIFFERENCES[..n].iter().all(|other| other.name != row.name), "{} stands twice", row.name);
            for told in [row.name, row.rbldnsd, row.dnsbld, row.why] {
                // The manual puts them into the cells of a table.
                assert!(!told.is_empty() && !told.contains(['|', '\n']) && told.trim() == told, "{}: {told}", row.name);
            }
            assert_eq!(row.command_line, !row.name.starts_with("made-up"), "{}", row.name);
        }
    }
}
