//! Lines of Postfix, as records.

use super::*;
use crate::feed::record::{Act, Address, Record, Reply};

/// The records of one message, printed: enough to compare, short enough to read.
fn records(program: &str, text: &str) -> (Taken, Vec<String>) {
    let message = Message {
        time_ms: 0,
        stamp: b"",
        host: b"mx",
        program: program.as_bytes(),
        pid: Some(7),
        text: text.as_bytes(),
    };
    let mut found = Vec::new();
    let taken = parse(&message, &mut |record: Record<'_>| found.push(brief(&record)));
    (taken, found)
}

/// A record in few words.
fn brief(record: &Record<'_>) -> String {
    let shown = |address: &Address<'_>| match address {
        Address::Known(address) => format!("<{}>", String::from_utf8_lossy(address)),
        Address::Ambiguous => "?".into(),
        Address::Unseen => "-".into(),
    };
    let reply = |reply: &Reply<'_>| match reply {
        Reply::Refused { code, text } => format!("{code} {}", String::from_utf8_lossy(text)),
        other => format!("{other:?}"),
    };
    let act = match &record.act {
        Act::Rcpt { sender, recipient, reply: answer } => {
            format!("rcpt {} {} {}", shown(sender), shown(recipient), reply(answer))
        }
        Act::Mail { sender, reply: answer } => format!("mail {} {}", shown(sender), reply(answer)),
        Act::Sender { sender, recipients } => format!("sender {} {recipients}", shown(sender)),
        Act::Delivery { recipient, relay, sent, .. } => format!("delivery {} {relay:?} {sent}", shown(recipient)),
        Act::MessageId(id) => format!("message-id {}", String::from_utf8_lossy(id)),
        Act::Disconnect { closed, verbs } => match verbs {
            Some(v) => format!(
                "disconnect {closed:?} mail={}/{} rcpt={}/{} data={}/{} bdat={}/{}",
                v.mail.ok, v.mail.all, v.rcpt.ok, v.rcpt.all, v.data.ok, v.data.all, v.bdat.ok, v.bdat.all
            ),
            None => format!("disconnect {closed:?}"),
        },
        act => format!("{act:?}"),
    };
    let key = match record.key {
        Key::Process { pid, .. } => format!("pid {pid}"),
        Key::Peer { ip, port } => format!("{ip}:{port}"),
        Key::Queue(id) => format!("queue {}", String::from_utf8_lossy(id)),
        key => format!("{key:?}"),
    };
    let mut words = vec![key];
    words.extend(record.client.map(|peer| {
        format!("{}{}", peer.ip, peer.ptr.map_or(String::new(), |ptr| format!("={}", String::from_utf8_lossy(ptr))))
    }));
    words.extend(
        record
            .queue_id
            .filter(|_| !matches!(record.key, Key::Queue(_)))
            .map(|id| String::from_utf8_lossy(id).into_owned()),
    );
    words.push(act);
    words.extend(record.helo.map(|helo| format!("helo={}", String::from_utf8_lossy(helo))));
    words.extend(record.authenticated.then(|| "auth".into()));
    words.extend(record.tls.then(|| "tls".into()));
    words.join(" | ")
}

#[test]
fn lines() {
    let rows: &[(&str, &str, &str)] = &[
        ("smtpd", "connect from host11.example.net[127.0.0.11]", "pid 7 | 127.0.0.11=host11.example.net | Connect"),
        ("submission/smtpd", "connect from unknown[2001:db8::1]:4242", "2001:db8::1:4242 | 2001:db8::1 | Connect"),
        ("smtpd", "connect from unknown[unknown]", "pid 7 | Connect"),
        ("smtpd", "connect from x[::ffff:192.0.2.1]", "pid 7 | 192.0.2.1=x | Connect"),
        (
            "smtpd",
            "D2833998092: client=host11.example.net[127.0.0.11]",
            "pid 7 | 127.0.0.11=host11.example.net | D2833998092 | Queued",
        ),
        (
            "smtpd",
            "4XyZabcDEF12gh3: client=h[127.0.0.11], sasl_method=PLAIN, sasl_username=bob",
            "pid 7 | 127.0.0.11=h | 4XyZabcDEF12gh3 | Queued | auth",
        ),
        (
            "smtpd",
            "NOQUEUE: reject: RCPT from unknown[127.0.0.14]: 550 5.1.1 <n@example.org>: Recipient address rejected: User unknown in virtual mailbox table; from=<> to=<n@example.org> proto=ESMTP helo=<host14.example.net>",
            "pid 7 | 127.0.0.14 | rcpt <> <n@example.org> 550 5.1.1 <n@example.org>: Recipient address rejected: User unknown in virtual mailbox table | helo=host14.example.net",
        ),
        (
            "smtpd",
            "NOQUEUE: reject: RCPT from unknown[127.0.0.83]: 554 5.7.1 <a> to=<victim@x.test> proto=ESMTP helo=<y@example.org>: Relay access denied; from=<> to=<\"a> to=<victim@x.test> proto=ESMTP helo=<y\"@example.org> proto=ESMTP helo=<host83.example.net>",
            "pid 7 | 127.0.0.83 | rcpt <> <\"a> to=<victim@x.test> proto=ESMTP helo=<y\"@example.org> 554 5.7.1 <a> to=<victim@x.test> proto=ESMTP helo=<y@example.org>: Relay access denied | helo=host83.example.net",
        ),
        (
            "smtpd",
            "NOQUEUE: reject: RCPT from unknown[127.0.0.84]: 550 5.1.1 <n@example.org>: Recipient address rejected: User unknown in virtual mailbox table; from=<\"x> to=<alice@example.org> disconnect from unknown[203.0.113.9]\"@sender.example> to=<n@example.org> proto=ESMTP helo=<host84.example.net>",
            "pid 7 | 127.0.0.84 | rcpt <\"x> to=<alice@example.org> disconnect from unknown[203.0.113.9]\"@sender.example> <n@example.org> 550 5.1.1 <n@example.org>: Recipient address rejected: User unknown in virtual mailbox table | helo=host84.example.net",
        ),
        // Addresses not in quotes, as before Postfix 3.5: no reading is sound.
        (
            "smtpd",
            "NOQUEUE: reject: RCPT from unknown[127.0.0.83]: 554 5.7.1 <a> to=<v@x>: Relay access denied; from=<> to=<a> to=<v@x> proto=ESMTP helo=<h>",
            "pid 7 | 127.0.0.83 | rcpt ? ? 554 5.7.1 <a> to=<v@x>: Relay access denied | helo=h",
        ),
        // Cut off.
        (
            "smtpd",
            "NOQUEUE: reject: RCPT from h[192.0.2.1]: 550 5.1.1 <a@b>: Recipient address rej",
            "pid 7 | 192.0.2.1=h | rcpt ? ? 550 5.1.1 <a@b>: Recipient address rej",
        ),
        (
            "smtpd",
            "NOQUEUE: reject: RCPT from h[192.0.2.1]: 550 5.7.1 no; from=<a@b> to=<c@d> proto=ESMTP helo=<x> sasl_method=PLAIN sasl_username=bob@example.org",
            "pid 7 | 192.0.2.1=h | rcpt <a@b> <c@d> 550 5.7.1 no | helo=x | auth",
        ),
        (
            "smtpd",
            "NOQUEUE: reject: RCPT from h[192.0.2.1]: 503 5.5.1 no; from=<a@b> to=<c@d> proto=SMTP",
            "pid 7 | 192.0.2.1=h | rcpt <a@b> <c@d> 503 5.5.1 no",
        ),
        ("smtpd", "NOQUEUE: reject: CONNECT from h[192.0.2.1]: 554 5.7.1 no; proto=SMTP", "pid 7 | 192.0.2.1=h | Seen"),
        (
            "smtpd",
            "NOQUEUE: reject: MAIL from h[192.0.2.1]: 452 4.3.4 Message size; from=<a@b> proto=ESMTP helo=<x>",
            "pid 7 | 192.0.2.1=h | mail <a@b> 452 4.3.4 Message size | helo=x",
        ),
        (
            "smtpd",
            "NOQUEUE: reject: VRFY from h[192.0.2.1]: 550 5.1.1 <a@b>: no; to=<a@b> proto=ESMTP helo=<x>",
            "pid 7 | 192.0.2.1=h | Seen | helo=x",
        ),
        (
            "smtpd",
            "ABCDEF12: milter-reject: END-OF-MESSAGE from h[192.0.2.1]: 5.7.1 spam; from=<> to=<c@d> proto=ESMTP helo=<x>",
            "pid 7 | 192.0.2.1=h | ABCDEF12 | Data { sender: Known([]), body: Refused } | helo=x",
        ),
        (
            "smtpd",
            "ABCDEF12: reject: DATA from h[192.0.2.1]: 550 5.5.3 <DATA>: Data command rejected: Multi-recipient bounce; from=<> proto=ESMTP helo=<x>",
            "pid 7 | 192.0.2.1=h | ABCDEF12 | Data { sender: Known([]), body: Refused } | helo=x",
        ),
        (
            "smtpd",
            "NOQUEUE: info: RCPT from h[192.0.2.1]: null-sender; from=<> to=<c@d> proto=ESMTP helo=<x>",
            "pid 7 | 192.0.2.1=h | rcpt <> <c@d> Pending | helo=x",
        ),
        (
            "smtpd",
            "lost connection after DATA (0 bytes) from h[192.0.2.1]",
            "pid 7 | 192.0.2.1=h | Ending { closed: Lost, in_data: true }",
        ),
        (
            "smtpd",
            "NOQUEUE: lost connection after CONNECT from h[192.0.2.1]",
            "pid 7 | 192.0.2.1=h | Ending { closed: Lost, in_data: false }",
        ),
        (
            "smtpd",
            "ABCDEF12: timeout after END-OF-MESSAGE from h[192.0.2.1]",
            "pid 7 | 192.0.2.1=h | ABCDEF12 | Ending { closed: Timeout, in_data: true }",
        ),
        (
            "smtpd",
            "too many errors after RCPT from h[192.0.2.1]",
            "pid 7 | 192.0.2.1=h | Ending { closed: Server, in_data: false }",
        ),
        (
            "smtpd",
            "disconnect from h[192.0.2.1] ehlo=2 starttls=1 auth=1 mail=3 rcpt=2/3 bdat=0/1 rset=2 quit=1 commands=11/12",
            "pid 7 | 192.0.2.1=h | disconnect Quit mail=3/3 rcpt=2/3 data=0/0 bdat=0/1 | auth | tls",
        ),
        ("smtpd", "disconnect from h[192.0.2.1]", "pid 7 | 192.0.2.1=h | disconnect Unknown"),
        ("cleanup", "ABCDEF12: message-id=<x@y>", "queue ABCDEF12 | message-id x@y"),
        ("cleanup", "ABCDEF12: canceled", "queue ABCDEF12 | Canceled"),
        (
            "cleanup",
            "ABCDEF12: reject: header Subject: x from h[9.9.9.9]; from=<> to=<c@d> proto=ESMTP helo=<x>: 5.7.1 no",
            "queue ABCDEF12 | Refused",
        ),
        (
            "qmgr",
            "ABCDEF12: from=<\"a>, size=1, nrcpt=9 (queue active)\"@b>, size=878, nrcpt=2 (queue active)",
            "queue ABCDEF12 | sender <\"a>, size=1, nrcpt=9 (queue active)\"@b> 2",
        ),
        ("qmgr", "ABCDEF12: removed", "queue ABCDEF12 | Removed"),
        (
            "smtp",
            "ABCDEF12: to=<a@b>, relay=mx.b[192.0.2.9]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)",
            "queue ABCDEF12 | delivery <a@b> Some(192.0.2.9) true",
        ),
        (
            "smtp",
            "ABCDEF12: to=<a@b>, orig_to=<c>, relay=mx.b[2001:db8::9]:25, delay=1, dsn=4.0.0, status=deferred (x, status=sent (y))",
            "queue ABCDEF12 | delivery <a@b> Some(2001:db8::9) false",
        ),
        (
            "virtual",
            "ABCDEF12: to=<a@b>, orig_to=<\"c>, relay=x\"@d>, relay=virtual, delay=0, dsn=2.0.0, status=sent (delivered to maildir)",
            "queue ABCDEF12 | delivery <\"c>, relay=x\"@d> None true",
        ),
        (
            "lmtp",
            "ABCDEF12: to=<a@b>, relay=mx[private/dovecot-lmtp], delay=0, dsn=2.0.0, status=sent (250 Saved)",
            "queue ABCDEF12 | delivery <a@b> None true",
        ),
        (
            "postscreen",
            "CONNECT from [127.0.0.14]:48577 to [127.0.0.1]:2529",
            "127.0.0.14:48577 | 127.0.0.14 | Connect",
        ),
        ("postscreen", "PASS NEW [127.0.0.14]:48577", "127.0.0.14:48577 | 127.0.0.14 | Pass"),
        (
            "postscreen",
            "HANGUP after 0 from [127.0.0.91]:47575 in tests after SMTP handshake",
            "127.0.0.91:47575 | 127.0.0.91 | Ending { closed: Lost, in_data: false }",
        ),
        ("postscreen", "DISCONNECT [127.0.0.14]:48577", "127.0.0.14:48577 | 127.0.0.14 | disconnect Unknown"),
        (
            "postscreen",
            "DATA without valid RCPT from [127.0.0.41]:52997",
            "127.0.0.41:52997 | 127.0.0.41 | Data { sender: Unseen, body: Tried }",
        ),
        (
            "postscreen",
            "NOQUEUE: reject: RCPT from [127.0.0.71]:51523: 550 5.7.1 Service unavailable; client [127.0.0.71] blocked using bl.test; from=<>, to=<alice@example.org>, proto=ESMTP, helo=<host71.example.net>",
            "127.0.0.71:51523 | 127.0.0.71 | rcpt <> <alice@example.org> 550 5.7.1 Service unavailable; client [127.0.0.71] blocked using bl.test | helo=host71.example.net",
        ),
    ];
    for (program, text, expected) in rows {
        let full = format!("postfix/{program}");
        assert_eq!(records(&full, text), (Taken::Parsed, vec![(*expected).to_owned()]), "{text}");
        // The same with the program cut by the shipper; only cleanup and smtpd write this one alike.
        if text.contains("milter-reject: END") {
            continue;
        }
        assert_eq!(records("postfix", text), (Taken::Parsed, vec![(*expected).to_owned()]), "cut: {text}");
    }
}

#[test]
fn not_of_interest_and_not_known() {
    use Taken::{Ignored, Unknown};
    let rows: &[(&str, &str, Taken)] = &[
        ("postfix/smtpd", "warning: hostname a.example does not resolve to address 192.0.2.1", Ignored),
        ("postfix/anvil", "statistics: max connection rate 1/60s for (smtp:127.0.0.1)", Ignored),
        ("postfix/postscreen", "DNSBL rank 3 for [127.0.0.71]:51523", Ignored),
        ("postfix/tlsproxy", "CONNECT from [127.0.0.71]:51523", Ignored),
        ("dovecot", "connect from x[192.0.2.1]", Ignored),
        ("postfix/smtpd", "connect from", Unknown),
        ("postfix/smtpd", "something new from h[192.0.2.1]", Unknown),
        ("postfix/smtpd", "", Unknown),
        ("postfix/qmgr", "ABCDEF12: from=<a@b>, status=expired, returned to sender", Ignored),
    ];
    for (program, text, expected) in rows {
        assert_eq!(records(program, text), (*expected, vec![]), "{program}: {text}");
    }
}

#[test]
fn what_a_milter_says_has_a_class() {
    assert_eq!(smtpd::refusal(b"4.7.1 later"), Reply::Refused { code: 450, text: b"4.7.1 later" });
    assert_eq!(smtpd::refusal(b"554 5.7.1 no"), Reply::Refused { code: 554, text: b"5.7.1 no" });
}
