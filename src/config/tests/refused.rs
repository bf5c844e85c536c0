//! What is refused, and in which words: keys, values, zones, shapes, whole files.

use std::path::Path;

use super::{ZONE, bad, good};
use crate::config::{FILE_LEN_MAX, Settings, place};

#[test]
fn unknown_and_missing_keys() {
    bad(
        "lisen = 1",
        "1:1: unknown key `lisen` in the settings; known keys are state-dir, dns, tls, http, public, load, acl, feed, relation, zone",
    );
    bad("\n[dns]\nlisen = []", "3:1: unknown key `lisen` in [dns]; did you mean `listen`?");
    bad(
        "[dns]\n  idle = 1",
        "2:3: unknown key `idle` in [dns]; known keys are listen, workers, pin, udp-size-max, authority, any, version, server-id, receive-buffer, tcp, cookies, rate-limit",
    );
    bad("[dns.tcp]\nidle-max-ms = 1", "2:1: unknown key `idle-max-ms` in [dns.tcp]; did you mean `idle-ms-max`?");
    bad("[htpp]\nenabled = true", "1:2: unknown key `htpp` in the settings; did you mean `http`?");
    bad("[fede]", "1:2: unknown key `fede` in the settings; did you mean `feed`?");
    bad(&format!("{ZONE}nss = []"), "4:1: unknown key `nss` in [[zone]]; did you mean `ns`?");
    bad(
        &format!("{ZONE}[zone.guard]\nshrink_max = 1"),
        "5:1: unknown key `shrink_max` in [zone.guard]; did you mean `shrink-max`?",
    );
    bad(
        "[[zone]]\nname = 'a.example'\ndatasets = [\n { type = 'dnset', file = ['a'] }]",
        "4:20: unknown key `file` in `datasets` of [[zone]]; did you mean `files`?",
    );
    bad(
        "[[zone]]\nname = 'a.example'\ndatasets = [{ files = ['a'] }]",
        "3:13: `type` is missing in `datasets` of [[zone]]",
    );
    bad("\n[[zone]]\nns = []", "2:1: `name` is missing in [[zone]]; add one, such as name = \"bl.example.org\"");
}

#[test]
fn bad_values() {
    for (line, expected) in [
        ("listen = ['127.0.0.1']", "2:11: `listen` in [dns]: \"127.0.0.1\" has no port; write \"127.0.0.1:53\""),
        ("listen = ['::1']", "2:11: `listen` in [dns]: \"::1\" has no port; write \"[::1]:53\""),
        (
            "listen = ['127.0.0.1:53', 'localhost:53']",
            "2:27: `listen` in [dns]: \"localhost:53\" is no address with a port, such as \"127.0.0.1:53\" or \"[::1]:53\"; host names are not looked up",
        ),
        (
            "listen = '127.0.0.1:53'",
            "2:10: `listen` in [dns]: expected an array; put the value into brackets: [\"127.0.0.1:53\"]",
        ),
        ("listen = ['[::1]:53', '[::1]:53']", "2:10: `listen` in [dns]: [::1]:53 is named twice; remove one"),
        (
            "listen = [53]",
            "2:11: `listen` in [dns]: 53 will not do; expected an address with its port, such as \"127.0.0.1:53\" or \"[::1]:53\"",
        ),
        (
            "udp-size-max = 511",
            "2:16: `udp-size-max` in [dns]: 511 will not do; expected a whole number from 512 to 4096",
        ),
        (
            "udp-size-max = 4097",
            "2:16: `udp-size-max` in [dns]: 4097 will not do; expected a whole number from 512 to 4096",
        ),
        ("workers = 0", "2:11: `workers` in [dns]: 0 will not do; expected \"auto\" or a whole number from 1 to 256"),
        (
            "workers = 'many'",
            "2:11: `workers` in [dns]: \"many\" will not do; expected \"auto\" or a whole number from 1 to 256",
        ),
        ("pin = 'yes'", "2:7: `pin` in [dns]: \"yes\" will not do; expected true or false"),
        ("authority = 'ful'", "2:13: `authority` in [dns]: \"ful\" is not known; did you mean \"full\"?"),
        ("any = 'none'", "2:7: `any` in [dns]: \"none\" is not known; did you mean \"one\"?"),
        ("any = 'all'", "2:7: `any` in [dns]: \"all\" will not do; expected one of \"one\", \"full\""),
        ("any = true", "2:7: `any` in [dns]: true will not do; expected one of \"one\", \"full\""),
        ("version = 1", "2:11: `version` in [dns]: 1 will not do; expected a string"),
        ("version = []", "2:11: `version` in [dns]: an array will not do; expected a string"),
        ("server-id = 2020-01-01", "2:13: `server-id` in [dns]: a table or a date will not do; expected a string"),
        (
            "tcp.idle-ms-max = 0",
            "2:19: `idle-ms-max` in [dns.tcp]: 0 will not do; expected a whole number from 10 to 3600000",
        ),
        (
            "tcp.idle-ms-max = 0.5",
            "2:19: `idle-ms-max` in [dns.tcp]: 0.5 will not do; expected a whole number from 10 to 3600000",
        ),
    ] {
        bad(&format!("[dns]\n{line}"), expected);
    }
    let long = "x".repeat(256);
    bad(
        &format!("[dns]\nversion = '{long}'"),
        "2:11: `version` in [dns]: the text has 256 octets; expected at most 255, as one TXT string holds no more",
    );
    bad("state-dir = ''", "1:13: `state-dir` in the settings: \"\" will not do; expected a path");
    bad("[http]\nlisten = '[::1]'", "2:10: `listen` in [http]: \"[::1]\" has no port; write \"[::1]:53\"");
}

#[test]
fn bad_zones() {
    for (name, expected) in [
        ("''", "2:8: `name` in [[zone]]: \"\" is no domain name: a name is missing"),
        (
            "'.'",
            "2:8: `name` in [[zone]]: the root zone can not be served as a list; name a zone below it, such as \"bl.example.org\"",
        ),
        ("'a..b'", "2:8: `name` in [[zone]]: \"a..b\" is no domain name: it has an empty label; remove the extra dot"),
        ("'.b'", "2:8: `name` in [[zone]]: \".b\" is no domain name: it has an empty label; remove the extra dot"),
        ("'a b'", "2:8: `name` in [[zone]]: \"a b\" is no domain name: it holds a blank or a control character"),
        (
            "'bücher.example'",
            "2:8: `name` in [[zone]]: \"bücher.example\" is no domain name: it holds a letter outside ASCII; write the name in its ASCII form (xn--…)",
        ),
        ("7", "2:8: `name` in [[zone]]: 7 will not do; expected a domain name, such as \"bl.example.org\""),
    ] {
        bad(&format!("[[zone]]\nname = {name}"), expected);
    }
    let label = "a".repeat(64);
    bad(
        &format!("[[zone]]\nname = '{label}.example'"),
        &format!("2:8: `name` in [[zone]]: \"{label}.example\" is no domain name: a label is longer than 63 octets"),
    );
    for (line, expected) in [
        (
            "ns = ['ns1.example', 'b..c']",
            "4:22: `ns` in [[zone]]: \"b..c\" is no domain name: it has an empty label; remove the extra dot",
        ),
        (
            "rname = '@example.org'",
            "4:9: `rname` in [[zone]]: \"@example.org\" is no mail address; expected \"hostmaster@example.org\"",
        ),
        ("rname = 'me@'", "4:9: `rname` in [[zone]]: \"me@\" is no mail address; expected \"hostmaster@example.org\""),
        (
            "ttl = '35 min'",
            "4:7: `ttl` in [[zone]]: \"35 min\" will not do; expected whole seconds up to 2147483647, or a string of one number and one unit: \"35m\", \"1h\", \"2d\", \"1w\"",
        ),
        ("ttl = 0", "4:7: `ttl` in [[zone]]: 0 will not do; expected a duration of at least 1 s"),
        (
            "ttl-min = '1h'",
            "1:1: `ttl` of zone `bl.example.org` is 2100 s, outside of its `ttl-min` and `ttl-max`, 3600–2147483647 s",
        ),
        (
            "ttl = '1d'\nttl-max = '1h'",
            "4:7: `ttl` of zone `bl.example.org` is 86400 s, outside of its `ttl-min` and `ttl-max`, 0–3600 s",
        ),
        (
            "ttl-min = '2h'\nttl-max = '1h'",
            "4:11: `ttl-min` of zone `bl.example.org` is 7200 s, more than its `ttl-max` of 3600 s",
        ),
        ("expire = 0", "4:10: `expire` in [[zone]]: 0 will not do; expected \"never\" or a duration of at least 1 s"),
        (
            "expire = 'ever'",
            "4:10: `expire` in [[zone]]: \"ever\" will not do; expected whole seconds up to 2147483647, or a string of one number and one unit: \"35m\", \"1h\", \"2d\", \"1w\", or \"never\"",
        ),
        (
            "on-expire = 'drop'",
            "4:13: `on-expire` in [[zone]]: \"drop\" will not do; expected one of \"keep\", \"servfail\"",
        ),
        (
            "retired = true\nretired-text = ''",
            "5:16: `retired-text` of zone `bl.example.org` is empty; say why the list has ended",
        ),
        (
            "guard.shrink-max = 2",
            "4:20: `shrink-max` in [zone.guard]: 2 will not do; expected a share from 0 to 1, or false",
        ),
        (
            "guard.shrink-max = true",
            "4:20: `shrink-max` in [zone.guard]: true will not do; expected a share from 0 to 1, or false",
        ),
        (
            "guard.grow-max = 0.5",
            "4:18: `grow-max` in [zone.guard]: 0.5 will not do; expected a number of at least 1, or false",
        ),
        (
            "guard.grow-max = nan",
            "4:18: `grow-max` in [zone.guard]: NaN will not do; expected a number of at least 1, or false",
        ),
        (
            "guard.grow-max = inf",
            "4:18: `grow-max` in [zone.guard]: inf will not do; expected a number of at least 1, or false",
        ),
    ] {
        bad(&format!("{ZONE}{line}"), expected);
    }
    for (datasets, expected) in [
        (
            "[]",
            "3:12: zone `bl.example.org` has no `datasets`; add datasets = [{ type = \"ip4set\", files = [\"bl.zone\"] }], or retired = true",
        ),
        (
            "[{ type = 'ip4sets', files = ['a'] }]",
            "3:22: `type` in `datasets` of [[zone]]: \"ip4sets\" is not known; did you mean \"ip4set\"?",
        ),
        (
            "[{ type = 'regex', files = ['a'] }]",
            "3:22: `type` in `datasets` of [[zone]]: \"regex\" will not do; expected one of \"ip4set\", \"ip4tset\", \"ip4trie\", \"ip6tset\", \"ip6trie\", \"dnset\", \"generic\", \"combined\", \"acl\"",
        ),
        (
            "[{ type = 'dnset', files = [] }]",
            "3:39: the dnset of zone `bl.example.org` has no `files`; name at least one",
        ),
        (
            "[{ type = 'acl', files = ['a'] }]",
            "3:12: zone `bl.example.org` has nothing but an acl, which lists nothing; add a dataset of another type, or retired = true",
        ),
        (
            "[{ type = 'acl', files = ['a'] }, { type = 'dnset', files = ['b'] }, { type = 'acl', files = ['c'] }]",
            "3:90: zone `bl.example.org` has a second acl; put the files of both into one",
        ),
        ("[{ type = 'dnset' }]", "3:13: the dnset of zone `bl.example.org` has no `files`; name at least one"),
        (
            "[{ type = 'dnset', files = 'a' }]",
            "3:39: `files` in `datasets` of [[zone]]: expected an array; put the value into brackets: [\"a\"]",
        ),
        (
            "[{ type = 'dnset', files = ['a', ''] }]",
            "3:45: `files` in `datasets` of [[zone]]: \"\" will not do; expected a path",
        ),
    ] {
        bad(&format!("[[zone]]\nname = 'bl.example.org'\ndatasets = {datasets}"), expected);
    }
    for second in ["bl.example.org", "BL.example.org", "bl.example.org."] {
        bad(
            &format!("{ZONE}{}", ZONE.replace("bl.example.org", second)),
            "5:8: zone `bl.example.org` is named twice, first in line 2; put all its datasets into one [[zone]]",
        );
    }
}

#[test]
fn bad_shapes() {
    bad("[[dns]]\nlisten = []", "1:1: `dns` is a table of settings; write [dns] on a line of its own");
    bad("http = [true]", "1:8: `http` is a table of settings; write [http] on a line of its own");
    bad("acl = ['clients.acl']", "1:7: `acl` is a table of settings; write [acl] on a line of its own");
    bad("dns.tcp = 5", "1:11: `dns.tcp` is a table of settings; write [dns.tcp] on a line of its own");
    bad("[zone]\nname = 'a.example'", "1:1: there can be several zones; write [[zone]] with two brackets");
    bad("zone = ['a.example']", "1:9: each zone is a table; write [[zone]] on a line of its own");
    bad(&format!("{ZONE}guard = false"), "4:9: `guard` is a table of settings; write [zone.guard] below its [[zone]]");
    bad(
        "[[zone]]\nname = 'a.example'\ndatasets = 'ip4set:a'",
        "3:12: `datasets` is an array of tables; write datasets = [{ type = \"ip4set\", files = [\"bl.zone\"] }]",
    );
    bad(
        "[[zone]]\nname = 'a.example'\ndatasets = [['ip4set', ['a']]]",
        "3:13: each dataset is a table; write datasets = [{ type = \"ip4set\", files = [\"bl.zone\"] }]",
    );
    bad(
        "[dns]\nlisten = ['127.0.0.1:9353']",
        "2:10: `listen` in [http] is 127.0.0.1:9353, which [dns] takes for TCP; give it another port",
    );
    good("[dns]\nlisten = ['127.0.0.1:9353']\n[http]\nenabled = false");
    good("[dns]\nlisten = ['127.0.0.1:0', '127.0.0.1:0']\n[http]\nlisten = '127.0.0.1:0'");
}

#[test]
fn broken_files() {
    for (text, expected) in [
        ("[dns\n", "1:5: no valid TOML: "),
        ("a = 1\na = 2", "2:1: no valid TOML: duplicate key"),
        ("x", "1:2: no valid TOML: "),
    ] {
        let error = Settings::parse(text, Path::new("dnsbld.toml")).expect_err(text).to_string();
        assert!(error.starts_with(&format!("dnsbld.toml:{expected}")), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dnsbld.toml");
    let told = |file: &Path| Settings::read(file).expect_err("bad").to_string();
    assert!(told(&file).contains("dnsbld.toml: the settings can not be read: No such file"), "{}", told(&file));
    std::fs::write(&file, b"[dns]\n# f\xfcr").unwrap();
    assert!(
        told(&file).ends_with("dnsbld.toml:2:4: not UTF-8, as TOML must be; save the file as UTF-8"),
        "{}",
        told(&file)
    );
    assert!(told(dir.path()).contains("can not be read"), "{}", told(dir.path()));
    std::fs::write(&file, vec![b'\n'; FILE_LEN_MAX as usize + 1]).unwrap();
    assert!(told(&file).ends_with("larger than 16 MiB, so hardly a settings file"), "{}", told(&file));
}

#[test]
fn nearest_words() {
    let known = ["listen", "ns", "server-id", "ttl", "ttl-min"];
    for (word, expected) in [
        ("lisen", Some("listen")),
        ("lsiten", Some("listen")),
        ("LISTEN", Some("listen")),
        ("n", Some("ns")),
        ("server_id", Some("server-id")),
        ("ttlmin", Some("ttl-min")),
        ("", None),
        ("zebra", None),
    ] {
        assert_eq!(place::nearest(word, known.into_iter()), expected, "{word}");
    }
}
