//! `-d`: what it writes, what it says of bad files, and how it ends.

use super::{Place, REAL, real_is_here};

/// Files of the tests.
const FILES: &[(&str, &str)] = &[
    ("four", "$SOA 3600 ns.example. host.example. 7 1h 30m 2d 10m\n$NS 1d ns.example.\n1.2.3.4 :9:text\nbad line\n"),
    ("six", "2001:db8::1\n2001:db8::2\n2001:db8:1::3\n2001:db8::4\n2001:db8:2::/48\n"),
    ("names", ".example.net :3:\n"),
    ("refusing", "127.0.0.0/8 :refuse\n"),
];

/// Its records, without comments.
fn records(out: &str) -> String {
    out.lines().filter(|line| !line.starts_with(';')).map(|line| line.to_owned() + "\n").collect()
}

#[test]
fn every_zone_is_written_whole() {
    let place = Place::new(FILES);
    // No address, an access list, a zone of two datasets, one dataset in two zones.
    let line =
        "-d :acl:refusing a.example:ip4set:four a.example:dnset:names b.example:ip6trie:six c.example:dnset:names";
    let (status, out, err) = place.start("./rbldnsd", line).end();
    assert_eq!((status.code(), err.as_str()), (Some(0), "rbldnsd: file four(4): expected a number\n"));
    let wanted = "$TTL 2100
$ORIGIN a.example.
@\t3600\tSOA\tns.example. host.example. 7 3600 1800 172800 600
@\t86400\tNS\tns.example.
4.3.2.1\tA\t127.0.0.9
\tTXT\t\"text\"
4.0.3.0.2.0.1.0.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0\tA\t127.0.0.9
\tTXT\t\"text\"
*.4.0.3.0.2.0.1.0.2.0.0.2\tA\t127.0.0.9
\tTXT\t\"text\"
example.net\tA\t127.0.0.3
*.example.net\tA\t127.0.0.3
";
    let out = records(&out);
    assert!(out.starts_with(wanted), "{out}");
    for host in ["1.0.0.0", "2.0.0.0", "4.0.0.0"] {
        let name = format!("{host}.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2\tA\t127.0.0.2\n");
        assert!(out.contains(&name), "{name}{out}");
    }
    assert!(out.contains("*.2.0.0.0.8.b.d.0.1.0.0.2\tA\t127.0.0.2\n"), "{out}");
    assert!(out.ends_with("$ORIGIN c.example.\nexample.net\tA\t127.0.0.3\n*.example.net\tA\t127.0.0.3\n"), "{out}");
}

#[test]
fn nothing_is_written_where_a_file_is_missing() {
    let place = Place::new(FILES);
    let said = |program: &str| {
        let (status, out, err) = place.start(program, "-d a.example:ip4set:none b.example:dnset:names").end();
        (status.code(), out, err)
    };
    let wanted = "rbldnsd: file none: unable to open file: No such file or directory\n\
                  rbldnsd: zone a.example: not all datasets are loaded, zone will not be serviced\n\
                  rbldnsd: zone loading errors, aborting\n";
    assert_eq!(said("./rbldnsd"), (Some(1), String::new(), wanted.to_owned()));
    if real_is_here() {
        assert_eq!(said(REAL), said("./rbldnsd"));
    }
}
