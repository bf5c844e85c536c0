//! `check` and `query`, and the sample settings of `zones/`, as an operator meets them.

use std::path::Path;
use std::process::{Command, Output};

use crate::message::{A, TXT, query};
use crate::server::Server;

/// Run the program in a directory.
fn run(dir: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dnsbld"))
        .args(arguments.split_ascii_whitespace())
        .current_dir(dir)
        .output()
        .unwrap()
}

/// What it printed, both streams, and its exit code.
fn said(output: &Output) -> (String, Option<i32>) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains("panicked"), "{text}");
    (text, output.status.code())
}

/// A directory with these files.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, text)| std::fs::write(dir.path().join(name), text).unwrap());
    dir
}

/// The sample zones, on ports of their own choice.
fn samples() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let zones = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones");
    for entry in std::fs::read_dir(&zones).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    let settings = std::fs::read_to_string(zones.join("dnsbld.toml")).unwrap();
    assert!(settings.contains("127.0.0.1:5353") && settings.contains("127.0.0.1:9353"), "{settings}");
    (dir, settings.replace(":5353", ":0").replace(":9353", ":0"))
}

#[test]
fn the_samples_are_good_and_are_served() {
    let (dir, settings) = samples();
    let (text, code) = said(&run(dir.path(), "check --config dnsbld.toml"));
    assert_eq!(code, Some(0), "{text}");
    let server = Server::start_in(dir, &settings);
    assert!(server.started.starts_with("ready: "), "{}", server.started);
    assert!(server.ask(&query("2.0.0.127.bl.example.org", A)).answers().contains("A 127.0.0.2"));
    assert_eq!(server.tcp().ask(&query("2.0.0.127.bl.example.org", TXT)).answers().len(), 1);
    assert_eq!(server.ask(&query("1.0.0.127.bl.example.org", A)).code(), "NXDOMAIN");
}

#[test]
fn check_looks_at_secrets_and_certificates_as_serve_does() {
    const SETTINGS: &str = "[dns]\nlisten = ['127.0.0.1:0']\n\n[dns.cookies]\nsecret-file = 'cookies'\n\n\
                            [tls]\ncertificate-file = 'cert.pem'\nkey-file = 'key.pem'\ndot-listen = ['127.0.0.1:0']\n\n\
                            [http]\nenabled = false\n\n\
                            [[zone]]\nname = 'bl.test'\ndatasets = [{ type = 'ip4set', files = ['bl.zone'] }]\n";
    let pair = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    };
    let ((certificate, key), (_, other), secret) = (pair(), pair(), "0123456789abcdef".repeat(2));
    let dir = directory(&[("dnsbld.toml", SETTINGS), ("bl.zone", "127.0.0.2\n")]);
    // The three files, `None` where there is none, and what is said: place and words.
    type Case<'c> = ([Option<&'c str>; 3], &'c [(&'c str, &'c str)]);
    let cases: [Case<'_>; 5] = [
        ([Some(&secret), Some(&certificate), Some(&key)], &[]),
        (
            [None; 3],
            &[
                ("5:15", "the cookie secrets in cookies can not be read: No such file"),
                ("8:20", "cert.pem can not be read: No such file"),
                ("9:12", "key.pem can not be read: No such file"),
            ],
        ),
        ([Some("0123"), Some(&certificate), Some(&key)], &[("5:15", "cookies:1: a cookie secret was expected")]),
        (
            [Some(&secret), Some(&key), Some(&certificate)],
            &[("8:20", "cert.pem is no certificate in PEM form"), ("9:12", "key.pem is no private key in PEM form")],
        ),
        ([Some(&secret), Some(&certificate), Some(&other)], &[("9:12", "can not be used with the key in key.pem")]),
    ];
    for (files, expected) in cases {
        for (name, text) in ["cookies", "cert.pem", "key.pem"].iter().zip(files) {
            let path = dir.path().join(name);
            match text {
                Some(text) => std::fs::write(path, text).unwrap(),
                // Perhaps there was none before.
                None => drop(std::fs::remove_file(path)),
            }
        }
        let (text, code) = said(&run(dir.path(), "check --config dnsbld.toml"));
        let errors: Vec<&str> = text.lines().filter(|line| line.contains(": error: ")).collect();
        assert_eq!(errors.len(), expected.len(), "{text}");
        for (error, (place, words)) in errors.iter().zip(expected) {
            assert!(error.starts_with(&format!("dnsbld.toml:{place}: error: ")) && error.contains(words), "{text}");
        }
        assert_eq!(code, Some(i32::from(!expected.is_empty())), "{text}");
    }
    // The last of them keeps the server from starting, with the same words.
    let (text, code) = said(&run(dir.path(), "serve --config dnsbld.toml"));
    assert!(text.contains("can not be used with the key in key.pem"), "{text}");
    assert_eq!(code, Some(1), "{text}");
    // What is not served is not looked at.
    std::fs::write(dir.path().join("dnsbld.toml"), SETTINGS.replace("dot-listen = ['127.0.0.1:0']", "")).unwrap();
    let (text, code) = said(&run(dir.path(), "check --config dnsbld.toml"));
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn check_looks_at_tokens_as_serve_does() {
    const SETTINGS: &str = "state-dir = '.'\n[dns]\nlisten = ['127.0.0.1:0']\n[http]\nlisten = '127.0.0.1:0'\n\
                            [public]\nenabled = true\nlisten = '127.0.0.1:0'\n[public.page]\ntoken-file = 'page'\n\
                            [feed]\nenabled = true\n\
                            [[feed.source]]\nname = 'a'\ntype = 'file'\npath = 'mail.log'\n\
                            [[feed.source]]\nname = 'b'\ntype = 'http'\ntoken-file = 'logs'\n\
                            [feed.joe-jobs]\nwebhook-url = 'http://127.0.0.1:9/'\nwebhook-secret-file = 'hook'\n\
                            [[zone]]\nname = 'bl.test'\ndatasets = [{ type = 'ip4set', files = ['bl.zone'] }]\n";
    let good = "0123456789abcdef";
    let dir = directory(&[("dnsbld.toml", SETTINGS), ("bl.zone", "127.0.0.2\n"), ("mail.log", "")]);
    for (text, words) in [
        (Some(good), None),
        (None, Some(["the token can not be read", "the token can not be read", "the secret can not be read"])),
        (Some("short"), Some(["expected a token of", "expected a token of", "expected a secret of"])),
    ] {
        for name in ["page", "logs", "hook"] {
            match text {
                Some(text) => std::fs::write(dir.path().join(name), text).unwrap(),
                None => std::fs::remove_file(dir.path().join(name)).unwrap(),
            }
        }
        let (said, code) = said(&run(dir.path(), "check --config dnsbld.toml"));
        let errors: Vec<&str> = said.lines().filter(|line| line.contains(": error: ")).collect();
        let expected =
            words.iter().flatten().zip(["20:14: error: logs: ", "10:14: error: page: ", "23:23: error: hook: "]);
        assert_eq!(errors.len(), expected.clone().count(), "{said}");
        for (error, (words, place)) in errors.iter().zip(expected) {
            assert!(error.starts_with(&format!("dnsbld.toml:{place}{words}")), "{said}");
        }
        assert_eq!(code, Some(i32::from(words.is_some())), "{said}");
    }
    let (text, code) = said(&run(dir.path(), "serve --config dnsbld.toml"));
    assert!(text.contains(": expected a "), "{text}");
    assert_eq!(code, Some(1), "{text}");
}

#[test]
fn check_tells_everything_in_one_run() {
    let dir = directory(&[
        ("dirty", "1.2.3.4\n1.2.3.256\n1.2.3.0/33\nhello world\n1.2.3.5 :0:zero\n$NOSUCH x\n9.9.9.9\n"),
        ("six", "2001:db8::/32\n2001:db8:1:2:3:4:5:6:7\n2001::db8::1\n"),
        ("broken", "1.2.3.4\n$DATASET ip4set a\n1.2.3.4\n"),
    ]);
    let (text, code) = said(&run(dir.path(), "check --type ip4set dirty"));
    for line in 2..=6 {
        assert!(text.contains(&format!("dirty:{line}:")), "no word of line {line}:\n{text}");
    }
    assert!(!text.contains("dirty:1:") && !text.contains("dirty:7:"), "{text}");
    assert_eq!(code, Some(0), "warnings alone are no failure:\n{text}");
    let (text, _) = said(&run(dir.path(), "check --type ip6trie six"));
    assert!(text.contains("six:2:") && text.contains("six:3:") && !text.contains("six:1:"), "{text}");
    let (text, code) = said(&run(dir.path(), "check --type combined broken"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("broken:1:"), "{text}");
    let (text, code) = said(&run(dir.path(), "check --type ip4set nosuch"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("nosuch"), "{text}");
    assert_eq!(said(&run(dir.path(), "check --type ip5set dirty")).1, Some(2));
    assert_eq!(said(&run(dir.path(), "nosuch")).1, Some(2));
    let (json, _) = said(&run(dir.path(), "check --json --type ip4set dirty"));
    assert!(json.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{json}");
}

#[test]
fn query_says_what_where_and_why() {
    let settings = "[[zone]]\nname = \"bl.test\"\ndatasets = [{ type = \"ip4set\", files = [\"four\"] }, \
                    { type = \"ip6trie\", files = [\"six\"] }]\n[[zone]]\nname = \"dbl.test\"\n\
                    datasets = [{ type = \"dnset\", files = [\"names\"] }]\n";
    let dir = directory(&[
        ("dnsbld.toml", settings),
        ("four", "# comment\n10.0.0.0/8 :9:ten\n1.2.3.4 :4:four $\n"),
        ("six", "2001:db8::/32 :6:six\n"),
        ("names", "\n.evil.example :5:evil\n"),
    ]);
    for (subject, parts) in [
        ("1.2.3.4", &["bl.test", "127.0.0.4", "four 1.2.3.4", "ip4set", "four:3"][..]),
        ("10.9.8.7", &["bl.test", "127.0.0.9", "ten", "four:2"]),
        ("2001:db8::7", &["bl.test", "127.0.0.6", "six", "ip6trie", "six:1"]),
        ("www.evil.example", &["dbl.test", "127.0.0.5", "evil", "dnset", "names:2"]),
    ] {
        let (text, code) = said(&run(dir.path(), &format!("query {subject} --config dnsbld.toml")));
        assert_eq!(code, Some(0), "{subject}: {text}");
        for part in parts {
            assert!(text.contains(part), "{subject}: no `{part}` in\n{text}");
        }
    }
    let (text, code) = said(&run(dir.path(), "query 9.9.9.9 --config dnsbld.toml"));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("not listed") && !text.contains("127.0.0."), "{text}");
    assert_eq!(said(&run(dir.path(), "query 1.2.3.4 --config nosuch.toml")).1, Some(1));
}

#[test]
fn export_writes_a_zone_or_says_why_not() {
    let settings = "[[zone]]\nname = \"bl.test\"\nns = [\"ns.example.net\"]\n\
                    datasets = [{ type = \"ip4set\", files = [\"four\"] }]\n\
                    [[zone]]\nname = \"old.test\"\ndatasets = [{ type = \"ip4set\", files = [\"old\"] }]\n\
                    [[zone]]\nname = \"none.test\"\ndatasets = [{ type = \"ip4set\", files = [\"none\"] }]\n";
    let dir = directory(&[
        ("dnsbld.toml", settings),
        ("four", "192.0.2.0/24 :4:four\n"),
        ("old", "$TIMESTAMP 2001:01:01 +1d\n192.0.2.0/24\n"),
    ]);
    crate::server::put_old(&dir.path().join("four"), b"192.0.2.0/24 :4:four\n");
    let export =
        |zone: &str| said(&run(dir.path(), &format!("export --config dnsbld.toml --zone {zone} --to master-file")));
    let (text, code) = export("BL.test");
    assert_eq!(code, Some(0), "{text}");
    for part in ["SOA\tns.example.net. hostmaster.bl.test. 1700000000 ", "\n*.2.0.192\tA\t127.0.0.4\n\tTXT\t\"four\"\n"]
    {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    for (zone, part) in
        [("nosuch.test", "names no zone `nosuch.test`"), ("old.test", "has expired"), ("none.test", "none")]
    {
        let (text, code) = export(zone);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(part) && text.lines().count() == 1, "{zone}: {text}");
    }
}
