//! Sessions of Exim, Sendmail, OpenSMTPD and JSON that the captured logs do not show.

use super::*;

/// What these lines give, in few words each.
fn observe(lines: &[&str]) -> Vec<String> {
    let mut out = tests::observe_lines(lines);
    out.sort_by_key(|observation| match observation {
        Observation::Session(session) => session.first,
        Observation::Delivery(delivery) => delivery.place,
    });
    out.iter().map(shown).collect()
}

/// An observation in few words: client, kinds, recipients of each transaction with their answers.
fn shown(observation: &Observation) -> String {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    match observation {
        Observation::Session(session) => {
            let mut words = vec![session.client.ip.to_string(), session.kinds.to_string()];
            for transaction in &session.transactions {
                for recipient in &transaction.recipients {
                    let address = recipient.address.as_deref().map_or_else(|| "?".to_owned(), text);
                    words.push(format!("{address}={:?}", recipient.answer));
                }
                if transaction.unnamed_accepted > 0 {
                    words.push(format!("+{}", transaction.unnamed_accepted));
                }
            }
            words.join(" ")
        }
        Observation::Delivery(delivery) => {
            format!("delivery <{}> <{}> {}", text(&delivery.sender), text(&delivery.recipient), delivery.relay)
        }
    }
}

/// Checks what lines give.
fn check(lines: &[&str], expected: &[&str]) {
    assert_eq!(observe(lines), expected, "{lines:#?}");
}

#[test]
fn exim_by_process_alone() {
    check(
        &[
            "2026-11-21 19:20:08 [7] H=(a) [127.0.0.1] F=<> rejected RCPT <x@e>: Unknown user",
            "2026-11-21 19:20:08 [8] H=(b) [127.0.0.2] F=<> rejected RCPT <y@e>: Unknown user",
            "2026-11-21 19:20:08 [7] H=(a) [127.0.0.1] incomplete transaction (RSET) from <>",
            "2026-11-21 19:20:08 [7] H=(a) [127.0.0.1] incomplete transaction (QUIT) from <> for alice@e \"b c\"@e",
            "2026-11-21 19:20:08 [7] SMTP connection from (a) [127.0.0.1] closed by QUIT",
            // The process id is used again.
            "2026-11-21 19:20:09 [8] H=(c) [127.0.0.3] F=<> temporarily rejected RCPT <y@e>: greylisted.",
        ],
        &[
            "127.0.0.1 callout_double x@e=UnknownUser alice@e=Ok \"b c\"@e=Ok",
            "127.0.0.2 null_rejected y@e=UnknownUser",
            "127.0.0.3 null_deferred y@e=Greylisted",
        ],
    );
}

#[test]
fn exim_with_hook_and_without_ports() {
    check(
        &[
            "2026-11-21 19:28:56 bsf1 rcpt ip=127.0.0.1 port=11 from=<> to=<x@e>",
            "2026-11-21 19:28:56 bsf1 rcpt ip=127.0.0.1 port=12 from=<> to=<alice@e>",
            // Of the session that waits for this answer.
            "2026-11-21 19:28:56 H=(a) [127.0.0.1] F=<> rejected RCPT <x@e>: Unknown user",
            "2026-11-21 19:28:56 bsf1 rcpt ip=127.0.0.1 port=11 from=<> to=<bob@e>",
            // Nobody asked for this one: a line for itself.
            "2026-11-21 19:28:56 H=(z) [127.0.0.1] F=<j@z> rejected RCPT <x@e>: Unknown user",
            "2026-11-21 19:28:56 bsf1 end ip=127.0.0.1 port=11 why=quit cmds=EHLO,MAIL,RCPT,RSET,MAIL,RCPT,QUIT helo=a",
            "2026-11-21 19:28:56 bsf1 end ip=127.0.0.1 port=12 why=quit cmds=EHLO,MAIL,RCPT,QUIT helo=a",
        ],
        &[
            "127.0.0.1 callout_double x@e=UnknownUser bob@e=Ok",
            "127.0.0.1 callout alice@e=Ok",
            "127.0.0.1 rejected_other x@e=UnknownUser",
        ],
    );
}

#[test]
fn exim_with_hook_and_selectors() {
    check(
        &[
            "2026-11-21 19:28:56 +0000 [1] SMTP connection from [127.0.0.1]:11 (TCP/IP connection count = 1)",
            "2026-11-21 19:28:56 +0000 [7] bsf1 rcpt ip=127.0.0.1 port=11 from=<> to=<x@e>",
            "2026-11-21 19:28:56 +0000 [7] H=(a) [127.0.0.1]:11 F=<> rejected RCPT <x@e>: Unknown user",
            "2026-11-21 19:28:56 +0000 [7] bsf1 end ip=127.0.0.1 port=11 why=quit cmds=EHLO,MAIL,RCPT,DATA,QUIT helo=a",
            "2026-11-21 19:28:56 +0000 [7] H=(a) [127.0.0.1]:11 incomplete transaction (QUIT) from <>",
            "2026-11-21 19:28:56 +0000 [7] SMTP connection from (a) [127.0.0.1]:11 closed by QUIT",
        ],
        &["127.0.0.1 backscatter_rejected x@e=UnknownUser"],
    );
}

#[test]
fn exim_names_recipients_without_making_sessions_of_them() {
    check(
        &[
            "2026-11-21 19:19:53 1xUqcr-00082f-38 <= <> H=(a) [127.0.0.1] P=esmtp S=8 id=i from <> for alice@e bob@e",
            "2026-11-21 19:19:53 1xUqcr-00082f-38 => c@other R=r T=t H=mx [192.0.2.9] C=\"250 ok\"",
            "2026-11-21 19:19:53 1xUqcr-00082f-38 Completed",
        ],
        &["127.0.0.1 dsn_accepted alice@e=Ok bob@e=Ok", "delivery <> <c@other> 192.0.2.9"],
    );
}

#[test]
fn sendmail_message_without_message_id() {
    check(
        &[
            "2026-11-21T19:27:20+00:00 mx sm-mta[33]: 6ALJRKiY000033: from=<>, size=9, class=0, nrcpts=1, proto=ESMTP, daemon=MTA, relay=[127.0.0.1]",
            "2026-11-21T19:27:20+00:00 mx sm-mta[34]: 6ALJRKiY000033: to=<alice@e>, delay=00:00:00, mailer=local, pri=1, dsn=2.0.0, stat=Sent",
            "2026-11-21T19:27:20+00:00 mx sm-mta[35]: 6ALJRKiY000035: from=<j@e>, size=9, class=0, nrcpts=1, msgid=<x>, proto=ESMTP, daemon=MTA, relay=[127.0.0.2]",
            "2026-11-21T19:27:20+00:00 mx sm-mta[36]: 6ALJRKiY000035: to=<o@other>, delay=0, mailer=esmtp, pri=1, relay=mx.other. [192.0.2.9], dsn=2.0.0, stat=Sent (ok)",
        ],
        &["127.0.0.1 dsn_accepted +1", "127.0.0.2 mail_accepted o@other=Ok", "delivery <j@e> <o@other> 192.0.2.9"],
    );
}

#[test]
fn opensmtpd_stream_tells_why_and_what_was_tried() {
    let line = |event: &str, rest: &str| format!("report|0.7|1795289777.5|smtp-in|{event}|s1|{rest}");
    let check_stream = |lines: &[(&str, &str)], expected: &str| {
        let mut all = vec![line("link-connect", "<unknown>|fail|127.0.0.1:9|127.0.0.1:25")];
        all.extend([line("tx-begin", "t1"), line("tx-mail", "t1|ok|")]);
        all.extend(lines.iter().map(|(event, rest)| line(event, rest)));
        all.push(line("link-disconnect", ""));
        check(&all.iter().map(String::as_str).collect::<Vec<_>>(), &[expected]);
    };
    check_stream(
        &[("protocol-server", "451 4.7.1 Greylisted, come back"), ("tx-rcpt", "t1|tempfail|a@e")],
        "127.0.0.1 null_deferred a@e=Greylisted",
    );
    check_stream(
        &[("protocol-server", "550 5.7.1 blocked using bl.test"), ("tx-rcpt", "t1|permfail|a@e")],
        "127.0.0.1 null_blocked a@e=Blocked(Some(\"bl.test\"))",
    );
    check_stream(
        &[
            ("protocol-server", "550 Invalid recipient: <a@e>"),
            ("tx-rcpt", "t1|permfail|a@e"),
            ("protocol-client", "DATA"),
            ("protocol-server", "503 5.5.1 Invalid command: Command not allowed at this point."),
            ("tx-rollback", "t1"),
        ],
        "127.0.0.1 backscatter_rejected a@e=UnknownUser",
    );
    check_stream(
        &[("tx-rcpt", "t1|ok|a@e"), ("protocol-client", "DATA"), ("tx-data", "t1|ok"), ("tx-rollback", "t1")],
        "127.0.0.1 aborted_data a@e=Ok",
    );
    check_stream(
        &[
            ("tx-rcpt", "t1|ok|a@e"),
            ("tx-data", "t1|ok"),
            ("filter-response", "commit|reject|550 spam"),
            ("tx-rollback", "t1"),
        ],
        "127.0.0.1 null_data_rejected a@e=Ok",
    );
}

#[test]
fn json_sessions() {
    check(
        &[
            r#"{"start":"2026-11-21T19:13:18Z","client":{"ip":"192.0.2.7"},"tx":[{"sender":"","rcpts":[{"addr":"a@e","reply":250}]}]}"#,
            // As a shipper hands it on.
            r#"2026-11-21T19:13:19+00:00 mx hook[1]: {"time":1795288399,"client":{"ip":"192.0.2.8"},"tx":[{"sender":"j@e","body":"taken"}]}"#,
            r#"{"client":{"ip":"192.0.2.9"}}"#,
        ],
        &["192.0.2.7 callout a@e=Ok", "192.0.2.8 mail_accepted"],
    );
}
