//! What is printed.

use std::io::Cursor;

use super::*;

/// The folder of captured logs.
fn logs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/logs")
}

/// Options for the captured logs.
fn options() -> ShowOptions {
    ShowOptions { format: Format::Auto, time_zone: TimeZone::UTC, year: Some(2026), now_ms: 0 }
}

#[test]
fn a_session_as_json() {
    let file = logs().join("postfix-3.7-default/b01_double_whammy_rset.log");
    let mut out = Vec::new();
    sessions(std::slice::from_ref(&file), &options(), &mut out).unwrap();
    let found: Value = serde_json::from_slice(&out).unwrap();
    let expected = json!({
        "file": file.to_string_lossy(), "line_start": 1, "line_end": 4,
        "start": "2026-11-21T19:13:20Z", "end": "2026-11-21T19:13:20Z",
        "client": { "ip": "127.0.0.21", "port": null, "ptr": "host21.example.net" },
        "helo": "host21.example.net", "kind": "callout_double",
        "mail": [2, 2], "rcpt": [1, 2], "data": [0, 0],
        "senders": ["<>"], "rejected": ["host21.example.net-1763752000-testing@example.org"], "accepted": [],
        "complete": true,
    });
    assert_eq!(found, expected);
}

#[test]
fn a_file_that_can_not_be_read_keeps_no_other_from_being_shown() {
    let dir = tempfile::tempdir().unwrap();
    let whole = logs().join("postfix-3.7-default/b01_double_whammy_rset.log");
    // A gzip whose last octets are missing has lines before that.
    let cut = dir.path().join("cut.gz");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&std::fs::read(&whole).unwrap()).unwrap();
    let packed = packed.finish().unwrap();
    std::fs::write(&cut, &packed[..packed.len() - 4]).unwrap();
    let absent = dir.path().join("absent.log");
    let mut out = Vec::new();
    let error = sessions(&[absent, cut, whole.clone()], &options(), &mut out).unwrap_err().to_string();
    let shown = String::from_utf8(out).unwrap();
    assert_eq!(shown.lines().filter(|line| line.contains("\"callout_double\"")).count(), 2, "{shown}");
    assert_eq!(shown.lines().filter(|line| line.contains(whole.to_str().unwrap())).count(), 1, "{shown}");
    let sentences: Vec<&str> = error.lines().collect();
    assert_eq!(sentences.len(), 2, "{error}");
    for (sentence, part) in sentences.iter().zip(["absent.log: No such file", "cut.gz: "]) {
        assert!(sentence.contains(part) && sentence.ends_with("the log can not be read"), "{error}");
    }
    assert!(sessions(std::slice::from_ref(&whole), &options(), &mut Vec::new()).is_ok());
}

#[test]
fn packed_endless_and_long() {
    let read = |raw: Vec<u8>| {
        let mut lines = Lines::new(Box::new(Cursor::new(raw))).unwrap();
        let mut found = Vec::new();
        while let Some((place, line)) = lines.next_line().unwrap() {
            found.push((place.offset, place.end, place.number, line.len()));
        }
        found
    };
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"one\ntwo\r\n\nlast").unwrap();
    assert_eq!(read(packed.finish().unwrap()), [(0, 4, 1, 3), (4, 9, 2, 3), (9, 10, 3, 0), (10, 14, 4, 4)]);
    let endless = std::fs::read(logs().join("syslog-envelopes/rsyslog-rfc3164-forward-no-newline.raw")).unwrap();
    assert_eq!(read(endless).len(), 40);
    // A line end makes it a file of lines, whatever stands in them.
    assert_eq!(read(b"<22>Nov 21 19:46:05 x\n<22>Nov 21 19:46:05 <22>Nov 21 19:46:05 y".to_vec()).len(), 2);
    let mut long = vec![b'x'; 3 * crate::feed::line::LINE_MAX];
    long.push(b'\n');
    long.push(b'y');
    assert_eq!(read(long), [(0, 24577, 1, 8192), (24577, 24578, 2, 1)]);
    assert!(read(Vec::new()).is_empty());
}

#[test]
fn a_line_explained() {
    let file = logs().join("postfix-3.7-default/d01_dsn_known_rcpt.log");
    let said = |number: u64| {
        let mut out = Vec::new();
        let done = explain(&format!("{}:{number}", file.display()), &options(), &mut out);
        done.map(|()| String::from_utf8(out).unwrap()).map_err(|error| error.to_string())
    };
    let client = said(2).unwrap();
    for part in ["postfix/smtpd", "Queued", "queue id 4CB439980C2", "dsn_accepted"] {
        assert!(client.contains(part), "{part}:\n{client}");
    }
    assert!(said(4).unwrap().contains("dsn_accepted"), "{}", said(4).unwrap());
    assert!(said(99).unwrap_err().contains("there is no line 99"));
    assert!(explain("x", &options(), &mut Vec::new()).unwrap_err().to_string().contains("expected FILE:LINE"));
}

#[test]
fn an_explained_line_does_not_steer_the_terminal() {
    let file = std::env::temp_dir().join(format!("dnsbld-explain-{}", std::process::id()));
    let head = "Nov 21 19:13:18 mx postfix/smtpd[1]: ";
    let text = b"connect from \x1b]0;x\x07\xc2\x9b2J\"\\[192.0.2.1]\n\x1b[2Jno log\n";
    std::fs::write(&file, [head.as_bytes(), text].concat()).unwrap();
    for (number, expected) in [(1, r#"connect from \u{1b}]0;x\u{7}\u{9b}2J"\[192.0.2.1]"#), (2, r"\u{1b}[2Jno log")] {
        let mut out = Vec::new();
        explain(&format!("{}:{number}", file.display()), &options(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains(expected), "{out}");
        assert!(!out.chars().any(|character| character.is_control() && character != '\n'), "{out:?}");
    }
    std::fs::remove_file(&file).unwrap();
}
