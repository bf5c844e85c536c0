//! Exim's lines, as records.

use super::super::brief::check;
use super::parse;

#[test]
fn lines_without_port_and_process_stand_alone() {
    check(
        parse,
        "exim",
        None,
        &[
            ("no host name found for IP address 127.0.0.13", ""),
            ("unexpected disconnection while reading SMTP command from (host13.example.net) [127.0.0.13] D=0s", ""),
            (
                "H=(host14.example.net) [127.0.0.14] F=<> rejected RCPT <nosuchuser@example.org>: Unknown user",
                "line 127.0.0.14 (host14.example.net) rcpt <> <nosuchuser@example.org> UnknownUser",
            ),
            (
                "H=host71.example.net [127.0.0.71] F=<> rejected RCPT <alice@example.org>: 127.0.0.71 listed at bl.test",
                "line 127.0.0.71=host71.example.net (host71.example.net) rcpt <> <alice@example.org> Blocked(Some(\"bl.test\"))",
            ),
            (
                "H=host62.example.net [127.0.0.62] F=<> temporarily rejected RCPT <bob@example.org>: greylisted.",
                "line 127.0.0.62=host62.example.net (host62.example.net) rcpt <> <bob@example.org> Greylisted",
            ),
            (
                "H=(b) [127.0.0.200] F=<a@x> temporarily rejected RCPT <i@y>: \"mailfrom\" is allowed only (detected in ACL condition \"x\")",
                "line 127.0.0.200 (b) rcpt <a@x> <i@y> LocalError",
            ),
            (
                "1xUqcY-0007wY-20 <= <> H=host33.example.net [127.0.0.33] P=esmtp S=826 id=dsn-c03@host.example.net",
                "line 127.0.0.33=host33.example.net (host33.example.net) #1xUqcY-0007wY-20 message <> dsn-c03@host.example.net -",
            ),
            (
                "1rHgPb-00000000AbC-0dEf <= joe@sender.example H=(me) [::1] P=esmtpsa X=TLS1.3:x:256 CV=no A=plain:joe S=1 id=i",
                "line ::1 (me) tls auth #1rHgPb-00000000AbC-0dEf message <joe@sender.example> i -",
            ),
            ("1xUqcY-0007wY-20 => alice <alice@example.org> R=good T=drop", ""),
            ("1xUqcY-0007wY-20 Completed", "queue 1xUqcY-0007wY-20 removed"),
            (
                "SMTP connection from host54.example.net [127.0.0.54] lost while reading message data (header)",
                "line 127.0.0.54=host54.example.net (host54.example.net) data - Lost",
            ),
            (
                "rejected EHLO from [127.0.0.81]: syntactically invalid argument(s): x]: 550 5.1.1 from=<>",
                "line 127.0.0.81 seen",
            ),
            ("rejected MAIL from [127.0.0.81]: no HELO/EHLO given", "line 127.0.0.81 seen"),
            (
                "H=(botnet.example) [127.0.0.200] sender verify fail for <forged1@example.org>: 127.0.0.1 [127.0.0.1] : no",
                "",
            ),
            ("daemon started: pid=1, -q30m, listening for SMTP on port 25", ""),
        ],
    );
}

#[test]
fn sessions_by_port_or_process() {
    check(
        parse,
        "exim",
        Some(7),
        &[
            (
                "SMTP connection from [127.0.0.33]:45603 I=[127.0.0.1]:2645 (TCP/IP connection count = 1)",
                "127.0.0.33:45603 127.0.0.33 connect",
            ),
            ("SMTP connection from [127.0.0.33] (TCP/IP connection count = 1)", ""),
            (
                "H=h (x) [127.0.0.33]:45603 I=[127.0.0.1]:25 incomplete transaction (RSET) from <> for a@b \"c d\"@e",
                "127.0.0.33:45603 127.0.0.33=h (x) abandoned <> 2 [a@b \"c d\"@e]",
            ),
            ("H=(x) [127.0.0.33] incomplete transaction (QUIT) from <>", "pid7 127.0.0.33 (x) abandoned <> 0 []"),
            (
                "H=(x) [127.0.0.84] incomplete transaction (QUIT) from <\"x> for y@z\"@sender.example>",
                "pid7 127.0.0.84 (x) abandoned <\"x> for y@z\"@sender.example> 0 []",
            ),
            (
                "1xUqcr-00082f-38 <= <> H=h [127.0.0.33]:40293 I=[127.0.0.1]:2645 P=esmtp S=832 id=i from <> for alice@example.org",
                "127.0.0.33:40293 127.0.0.33=h (h) #1xUqcr-00082f-38 message <> i - [alice@example.org]",
            ),
            (
                "SMTP connection from h [127.0.0.33]:40293 I=[127.0.0.1]:2645 closed by QUIT",
                "127.0.0.33:40293 127.0.0.33=h (h) disconnect Quit",
            ),
            (
                "SMTP connection from h [127.0.0.91]:40141 lost D=0s",
                "127.0.0.91:40141 127.0.0.91=h (h) disconnect Lost",
            ),
            (
                "SMTP connection from h [127.0.0.91]:40141 lost while reading message data (header)",
                "127.0.0.91:40141 127.0.0.91=h (h) data - Lost | 127.0.0.91:40141 127.0.0.91=h (h) disconnect Lost",
            ),
            (
                "SMTP command timeout on connection from (x) [127.0.0.9]:1 D=5m",
                "127.0.0.9:1 127.0.0.9 (x) disconnect Timeout",
            ),
            (
                "SMTP call from (x) [127.0.0.9]:1 dropped: too many nonmail commands (last was \"QUIT\")",
                "127.0.0.9:1 127.0.0.9 (x) disconnect Server",
            ),
            ("no MAIL in SMTP connection from h [127.0.0.92]:57141 I=[127.0.0.1]:2645 D=0.201s C=EHLO,QUIT", ""),
            ("unqualified verify rejected: <alice> H=host94.example.net [127.0.0.94]:47125", ""),
            ("SMTP protocol error in \"RCPT TO:<x> H=(t) [8.8.8.8]:1\" H=[127.0.0.81]:1 sender not yet given", ""),
            ("H=(x) [127.0.0.9] Ci=12 F=<a@b> rejected after DATA: no", "12 127.0.0.9 (x) data <a@b> Refused"),
        ],
    );
}

#[test]
fn deliveries_to_other_hosts() {
    check(
        parse,
        "exim",
        None,
        &[
            (
                "1xUqmU-0002BZ-2a => alice@example.org R=out T=remote H=mx.example.org [127.0.0.1] K C=\"250 ok\"",
                "queue 1xUqmU-0002BZ-2a delivery - <alice@example.org> Some(127.0.0.1) true",
            ),
            (
                "1c3KOi-0000BR-CX -> me@y.example (me@y.example, v@other.example) <v@a.example> F=<> R=r T=t H=mx [192.0.2.134]:25 X=TLS DN=\"C=RU\"",
                "queue 1c3KOi-0000BR-CX delivery - <me@y.example> Some(192.0.2.134) true",
            ),
            ("1xUqmU-0002BZ-2a => |/bin/x H=mx [8.8.8.8] <a@b> R=r T=t", ""),
            ("1xUqmU-0002BZ-2a => \"a H=x [8.8.8.8]\"@b <a@b> R=r T=drop", ""),
            ("1xUqmU-0002BZ-2a == joe@badmx.example R=out T=remote defer (-58)", ""),
            (
                "1xUqmU-0002BZ-2a <= <> R=1xUqmU-0002BR-2I U=Debian-exim P=local S=1824",
                "queue 1xUqmU-0002BZ-2a sender <> 0",
            ),
        ],
    );
}

#[test]
fn lines_of_our_own_acls() {
    check(
        parse,
        "exim",
        None,
        &[
            (
                "bsf1 rcpt ip=127.0.0.11 port=51567 from=<> to=<alice@example.org>",
                "127.0.0.11:51567 127.0.0.11 rcpt <> <alice@example.org> pending",
            ),
            (
                "bsf-rcpt ip=127.0.0.83 port=37163 from=<> to=<a> to=<victim@x.test> proto=esmtp helo=<y@example.org>",
                "127.0.0.83:37163 127.0.0.83 ambiguous rcpt <> ? pending",
            ),
            (
                "bsf1 end ip=127.0.0.32 port=37759 why=quit cmds=EHLO,MAIL,RCPT,DATA,RSET,QUIT helo=host32.example.net",
                "127.0.0.32:37759 127.0.0.32 (host32.example.net) end Quit mail=1 rcpt=1 data=1",
            ),
            (
                "bsf-end ip=127.0.0.91 port=33563 ev=connection-lost rcpt_ok=0 hist= helo=\"\"",
                "127.0.0.91:33563 127.0.0.91 end Lost mail=0 rcpt=0 data=0",
            ),
            ("bsf1 end ip=x port=1 why=quit", "unknown"),
        ],
    );
}

#[test]
fn hostile_text() {
    let null = "127.0.0.83 (h)";
    check(
        parse,
        "exim",
        None,
        &[
            (
                "H=(h) [127.0.0.83] F=<> rejected RCPT <\"a> to=<victim@x.test> proto=ESMTP helo=<y\"@example.org>: restricted characters in address",
                &format!("line {null} rcpt <> <\"a> to=<victim@x.test> proto=ESMTP helo=<y\"@example.org> Policy"),
            ),
            (
                "H=(h) [127.0.0.83] F=<\"H=(test) [8.8.8.8]\\\"> F=<>\"@e> rejected RCPT <a@b>: Unknown user",
                &format!("line {null} rcpt <\"H=(test) [8.8.8.8]\\\"> F=<>\"@e> <a@b> UnknownUser"),
            ),
            (
                "H=(h) [127.0.0.83] F=<> rejected RCPT \"open <a@b>: Unknown user",
                &format!("line {null} rcpt <> ? UnknownUser"),
            ),
            // helo_accept_junk_hosts: what came first may be the HELO name, so nothing is certain.
            (
                "H=(a) [8.8.8.8] F=<> rejected RCPT <x@y>: Unknown user) [127.0.0.83] F=<> rejected RCPT <q@r>: Unknown user",
                "unknown",
            ),
            ("H=(a", "unknown"),
            ("H=", "unknown"),
            // Another program's line.
            ("", ""),
        ],
    );
    check(parse, "sshd", None, &[("H=(h) [8.8.8.8] F=<> rejected RCPT <a@b>: Unknown user", "")]);
}
