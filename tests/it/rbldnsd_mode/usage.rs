//! Wrong command lines: exit code, stream and words, beside the real rbldnsd's.

use super::{Place, REAL, Running, real_is_here};

/// What a program does with a line that can not be served: exit code, the last line of output, all errors.
fn outcome(running: Running) -> (Option<i32>, String, String) {
    let (status, out, err) = running.end();
    // The real one has no TCP, whose port another test may have taken meanwhile.
    let errors: Vec<&str> = err.trim_end().lines().filter(|line| !line.contains(" is in use for TCP ")).collect();
    (status.code(), out.lines().last().unwrap_or_default().to_owned(), errors.join("\n"))
}

/// Lines with what is said on standard error, in both programs' words.
const TABLE: &[(&str, &str)] = &[
    ("-n", "no zone(s) to service specified (-h for help)"),
    ("-n -b BIND", "no zone(s) to service specified (-h for help)"),
    ("-d", "no zone(s) to service specified (-h for help)"),
    ("-n x:ip4set:a", "no address to listen on (-b option) specified"),
    ("-Z", "invalid option -- 'Z'\nrbldnsd: type `rbldnsd -h' for help"),
    ("--help", "invalid option -- '-'\nrbldnsd: type `rbldnsd -h' for help"),
    ("-n -b", "option requires an argument -- 'b'\nrbldnsd: type `rbldnsd -h' for help"),
    ("-n -c bogus -b BIND x:ip4set:a", "invalid check interval (-c) value `bogus'"),
    ("-n -c -5 -b BIND x:ip4set:a", "invalid check interval (-c) value `-5'"),
    ("-n -t 10:20:5 -b BIND x:ip4set:a", "inconsistent def:min:max ttl: 10:20:5"),
    ("-n -t 10m:20m -b BIND x:ip4set:a", "inconsistent def:min:max ttl: 600:1200:0"),
    ("-n -t 5:x -b BIND x:ip4set:a", "invalid minttl (-t) value `5:x'"),
    ("-n -t 0 -b BIND x:ip4set:a", "invalid ttl (-t) value `0'"),
    ("-n -t 1:2:3:4 -b BIND x:ip4set:a", "invalid value for -t (ttl) option: `1:2:3:4'"),
    ("-n -F bogus -b BIND x:ip4set:a", "log facility bogus is not valid"),
    ("-n -b /53 x:ip4set:a", "missing host part in bind address `/53'"),
    ("-n -b 127.0.0.1/nosuch x:ip4set:a", "127.0.0.1/nosuch: Servname not supported for ai_socktype"),
    ("-n -6 -b BIND x:ip4set:a", "BIND: Address family for hostname not supported"),
    ("-n -b 192.0.2.1/5300 x:ip4set:a", "unable to bind to 192.0.2.1/5300: Cannot assign requested address"),
    ("-n -b BIND x", "invalid zone spec `x'"),
    ("-n -b BIND x:ip4set", "invalid zone data specification `ip4set'"),
    ("-n -b BIND x:foo:a", "unknown dataset type `foo'"),
    ("-n -b BIND x:IP4SET:a", "unknown dataset type `IP4SET'"),
    ("-n -b BIND x:ip4set:", "missing filenames for ip4set"),
    ("-n -b BIND .:ip4set:a", "missing domain name in `.:ip4set:a'"),
    ("-n -b BIND :ip4set:a", "missing domain name in `:ip4set:a'"),
    ("-n -b BIND :acl:a x:ip4set:a :acl:b", "global acl specified more than once"),
    ("-n -b BIND x:acl:a x:ip4set:a x:acl:b", "repeated ACL definition for zone `x'"),
    ("-n -b BIND x:acl:a y:ip4set:a", "missing data for zone `x'"),
    (
        "-n -b BIND :acl:gone x:ip4set:a",
        "file gone: unable to open file: No such file or directory\nrbldnsd: zone loading errors, aborting",
    ),
    ("-n -b BIND -w /nonexistent x:ip4set:a", "unable to chdir to /nonexistent: No such file or directory"),
    ("-n -b BIND -r . x:ip4set:a", "unable to chroot to .: Operation not permitted"),
    ("-n -b BIND -u nosuch x:ip4set:a", "unknown user `nosuch'"),
    ("-n -b BIND -u 4321:nosuch x:ip4set:a", "unknown group `nosuch'"),
    ("-n -b BIND -u 4321:1234 x:ip4set:a", "unable to setuid(4321:1234): Operation not permitted"),
    ("-n -b BIND -u root x:ip4set:a", "daemon should not run as root, specify -u option"),
    ("-n -b BIND -p /nonexistent/x x:ip4set:a", "unable to write pidfile: No such file or directory"),
    (
        "-n -b BIND x:ip4set:a y:ip4set:gone",
        "file gone: unable to open file: No such file or directory\n\
         rbldnsd: zone y: not all datasets are loaded, zone will not be serviced\n\
         rbldnsd: zone loading errors, aborting",
    ),
];

#[test]
fn wrong_lines_are_told_as_rbldnsd_tells_them() {
    let real = real_is_here();
    for (line, expected) in TABLE {
        let place = Place::new(&[("a", "1.2.3.4\n")]);
        let expected = format!("rbldnsd: {}", expected.replace("BIND", &place.bind));
        let (code, out, err) = outcome(place.start("./rbldnsd", line));
        assert_eq!((code, err.as_str()), (Some(1), expected.as_str()), "{line}");
        if real {
            let (real_code, real_out, real_err) = outcome(place.start(REAL, line));
            assert_eq!((code, err), (real_code, real_err), "{line}");
            // The last line before the end, as `listening on …`; how much memory there is differs.
            if !out.contains("zones reloaded") {
                assert_eq!(out, real_out, "{line}");
            }
        }
    }
}

#[test]
fn extensions_are_refused() {
    for line in ["-n -x lib.so -b BIND x:ip4set:a", "-n -X argument -b BIND x:ip4set:a"] {
        let place = Place::new(&[("a", "1.2.3.4\n")]);
        let (code, out, err) = outcome(place.start("./rbldnsd", line));
        assert_eq!((code, out.as_str()), (Some(1), ""), "{line}");
        assert!(err.contains("extension support is not there"), "{err}");
        if real_is_here() {
            assert_eq!(outcome(place.start(REAL, line)).0, code);
        }
    }
}

#[test]
fn the_long_way_is_the_same() {
    let place = Place::new(&[]);
    for (line, code) in [("rbldnsd -n", 1), ("rbldnsd -h", 0), ("rbldnsd", 1)] {
        let program = env!("CARGO_BIN_EXE_dnsbld");
        let short = line.strip_prefix("rbldnsd").unwrap();
        let long = outcome(place.start(program, line));
        assert_eq!(long, outcome(place.start("./rbldnsd", short)), "{line}");
        assert_eq!(long.0, Some(code), "{line}");
    }
}
