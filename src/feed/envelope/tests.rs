//! Heads in all forms.

use jiff::tz::TimeZone;

use super::*;

/// 2026-11-21 19:46:05 UTC.
const SAMPLE_MS: i64 = 1_795_290_365_000;

/// What a line's head must be: milliseconds after [`SAMPLE_MS`], host, program, process id, message.
type Expected<'a> = (i64, &'a str, &'a str, Option<u32>, &'a str);

/// Opens one line.
fn check(line: &[u8], expected: Option<Expected<'_>>) {
    let mut envelope = Envelope::default();
    let mut clock = Clock::new(TimeZone::UTC, None);
    let message = envelope.open(line, SAMPLE_MS + 60_000, &mut clock);
    let found = message.map(|message| {
        (message.time_ms - SAMPLE_MS, lossy(message.host), lossy(message.program), message.pid, lossy(message.text))
    });
    let expected = expected.map(|(ms, host, program, pid, text)| (ms, host.into(), program.into(), pid, text.into()));
    assert_eq!(found, expected, "{}", lossy(line));
}

#[test]
fn forms() {
    let smtpd = Some(18732);
    let text = "connect from unknown[127.0.0.14]";
    let rows: &[(&str, Expected<'_>)] = &[
        (
            "Nov 21 19:46:05 mx postfix/smtpd[18732]: connect from unknown[127.0.0.14]",
            (0, "mx", "postfix/smtpd", smtpd, text),
        ),
        (
            "<22>Nov 21 19:46:05 mx postfix/smtpd[18732]: connect from unknown[127.0.0.14]",
            (0, "mx", "postfix/smtpd", smtpd, text),
        ),
        (
            "<22>Nov 21 2026 19:46:05 mx postfix/smtpd[18732]: connect from unknown[127.0.0.14]",
            (0, "mx", "postfix/smtpd", smtpd, text),
        ),
        (
            "Nov 21 19:46:05 postfix/smtpd[18732]: connect from unknown[127.0.0.14]",
            (0, "", "postfix/smtpd", smtpd, text),
        ),
        (
            "Nov 21 19:46:05 <mail.info> mx postfix/smtpd[18732]: connect from unknown[127.0.0.14]",
            (0, "mx", "postfix/smtpd", smtpd, text),
        ),
        (
            "2026-11-21T19:46:05.410346+00:00 mx postfix/smtpd[18732]: connect from unknown[127.0.0.14]",
            (410, "mx", "postfix/smtpd", smtpd, text),
        ),
        (
            "<22>1 2026-11-21T19:46:05.410346+00:00 mx postfix 18732 - -  connect from unknown[127.0.0.14]",
            (410, "mx", "postfix", smtpd, text),
        ),
        (
            "<22>1 2026-11-21T19:46:05Z mx postfix/smtpd 18732 ID [a b=\"]\\\"\"][c] \u{feff}connect from unknown[127.0.0.14]",
            (0, "mx", "postfix/smtpd", smtpd, text),
        ),
        (
            r#"{"timestamp":"2026-11-21T19:46:05.410346+00:00","host":"mx","appname":"postfix","procid":"18732","syslogtag":"postfix\/smtpd[18732]:","severity":"info","message":" connect from unknown[127.0.0.14]"}"#,
            (410, "mx", "postfix/smtpd", smtpd, text),
        ),
        (
            r#"{"__REALTIME_TIMESTAMP":"1795290365410346","_HOSTNAME":"mx","SYSLOG_IDENTIFIER":"postfix/smtpd","_PID":"18732","MESSAGE":"connect from unknown[127.0.0.14]"}"#,
            (410, "mx", "postfix/smtpd", smtpd, text),
        ),
        (
            r#"{"@timestamp":"2026-11-21T19:46:07Z","host":{"name":"shipper"},"message":"Nov 21 19:46:05 mx postfix/smtpd[18732]: connect from unknown[127.0.0.14]"}"#,
            (0, "mx", "postfix/smtpd", smtpd, text),
        ),
        (
            r#"{"date":1795290365.41,"log":"Nov 21 19:46:05 mx postfix/smtpd[18732]: connect from unknown[127.0.0.14]"}"#,
            (0, "mx", "postfix/smtpd", smtpd, text),
        ),
        (
            r#"{"date":1795290365.41,"ident":"postfix/smtpd","pid":"18732","host":"mx","message":"connect from unknown[127.0.0.14]"}"#,
            (410, "mx", "postfix/smtpd", smtpd, text),
        ),
        (
            r#"{"__REALTIME_TIMESTAMP":"1795290365000000","SYSLOG_IDENTIFIER":"x","MESSAGE":[97,255]}"#,
            (0, "", "x", None, "a\u{fffd}"),
        ),
        (
            r#"{"client":{"ip":"127.0.0.14"},"v":1}"#,
            (60_000, "", "json", None, r#"{"client":{"ip":"127.0.0.14"},"v":1}"#),
        ),
        (
            "2026-11-21 19:46:05 +0000 [30250] SMTP connection from [127.0.0.11]:44127",
            (0, "", "exim", Some(30250), "SMTP connection from [127.0.0.11]:44127"),
        ),
        ("2026-11-21 19:46:05.467 [31125] H=x", (467, "", "exim", Some(31125), "H=x")),
        ("2026-11-21 19:46:05 1xUqci-0007xB-2F Completed", (0, "", "exim", None, "1xUqci-0007xB-2F Completed")),
        (
            "Nov 21 19:46:05 mx exim[7]: 2026-11-21 20:46:05 [8] 1xUqci-0007xB-2F Completed",
            (0, "mx", "exim", Some(8), "1xUqci-0007xB-2F Completed"),
        ),
        (
            "Nov 21 19:46:05 mx exim[7]: 1xUqci-0007xB-2F Completed",
            (0, "mx", "exim", Some(7), "1xUqci-0007xB-2F Completed"),
        ),
        (
            "2026-11-21T19:46:05.745Z [NOTICE] [95E7] [core] connect ip=127.0.0.11",
            (745, "", "haraka", None, "[NOTICE] [95E7] [core] connect ip=127.0.0.11"),
        ),
        (
            "Nov 21 19:46:05 mx node[7]: [NOTICE] [95E7] [core] connect ip=127.0.0.11",
            (0, "mx", "haraka", Some(7), "[NOTICE] [95E7] [core] connect ip=127.0.0.11"),
        ),
        (
            "report|0.6|1795290365.516105|smtp-in|link-connect|ca16",
            (516, "", "smtpd-filter", None, "report|0.6|1795290365.516105|smtp-in|link-connect|ca16"),
        ),
        (
            "2026-11-21T19:46:06Z mx smtpd-filter: report|0.6|1795290365.516105|smtp-in|x",
            (516, "mx", "smtpd-filter", None, "report|0.6|1795290365.516105|smtp-in|x"),
        ),
        ("config|ready", (60_000, "", "smtpd-filter", None, "config|ready")),
        ("Nov 21 19:46:05 mx logger: x: y[1]: connect", (0, "mx", "logger", None, "x: y[1]: connect")),
    ];
    for (line, expected) in rows {
        check(line.as_bytes(), Some(*expected));
    }
}

#[test]
fn no_head() {
    for line in [
        "",
        " ",
        "garbage",
        "<22>",
        "<999999>x",
        "<22>1 ",
        "<22>1 2026-11-21T19:46:05Z mx postfix",
        "Nov 21 19:46:05",
        "Nov 21 19:46:05 mx",
        "Nov 21 19:46:05 mx no tag",
        "{}",
        "{\"message\":\"no head\"}",
    ] {
        let expected = (line == "{}").then_some((60_000, "", "json", None, "{}"));
        check(line.as_bytes(), expected);
    }
    check(b"Nov 21 19:46:05 \xff\0 \xfe", None);
}
