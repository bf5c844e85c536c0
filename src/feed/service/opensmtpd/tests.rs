//! OpenSMTPD's lines, as records.

use super::super::brief::check;
use super::parse;

#[test]
fn log() {
    check(
        parse,
        "smtpd",
        Some(988),
        &[
            (
                "8d6d4e8cdfeee1cd smtp connected address=127.0.0.11 host=a.example",
                "8d6d4e8cdfeee1cd 127.0.0.11=a.example connect",
            ),
            ("8d6d4e8cdfeee1cd smtp event=connected address=[::1] host=<unknown>", "8d6d4e8cdfeee1cd ::1 connect"),
            ("8d6d4e8cdfeee1cd smtp connected address=local host=mx", ""),
            (
                "8d6d4e8f01073343 smtp failed-command command=\"RCPT TO:<n@e>\" result=\"550 Invalid recipient: <n@e>\"",
                "8d6d4e8f01073343 rcpt - <n@e> UnknownUser 550",
            ),
            (
                "8d6d4e8f01073343 smtp failed-command command=\"RCPT TO:<\"a\" result=\"250 x\"@e>\" result=\"550 Invalid recipient: <n@e>\"",
                "8d6d4e8f01073343 ambiguous rcpt - ? UnknownUser 550",
            ),
            (
                "8d6d4eb163cf2a39 smtp failed-command command=\"MAIL FROM:<\"x> y\"@s>\" result=\"553 5.1.0 Sender address syntax error\"",
                "8d6d4eb163cf2a39 mail <\"x> y\"@s> Policy 553",
            ),
            (
                "8d6d4eae5d8e9ba8 smtp failed-command command=\"RCPT TO:<n@e>\" result=\"503 5.5.1 Invalid command: Command not allowed at this point.\"",
                "8d6d4eae5d8e9ba8 seen",
            ),
            (
                "8d6d4e9b33b42afd smtp message msgid=4a5525ab size=888 nrcpt=2 proto=ESMTP",
                "8d6d4e9b33b42afd #4a5525ab message - - -",
            ),
            (
                "8d6d4e9b33b42afd smtp envelope evpid=4a5525ab4cf2071f from=<> to=<alice@example.org>",
                "8d6d4e9b33b42afd #4a5525ab rcpt <> <alice@example.org> ok",
            ),
            ("8d6d4e9b33b42afd smtp disconnected reason=disconnect", "8d6d4e9b33b42afd disconnect Lost"),
            ("8d6d4e9b33b42afd smtp authentication user=joe result=ok", "8d6d4e9b33b42afd auth seen"),
            (
                "8d6d4e9c31bea2d0 mda delivery evpid=4a5525ab4cf2071f from=<> to=<a@e> rcpt=<a@e> user=n delay=0s result=Ok stat=x",
                "",
            ),
            (
                "5df87c9b982c840c mta delivery evpid=3d4c4a424797fe79 from=<g@p> to=<c@g> rcpt=<-> source=\"127.0.0.1\" relay=\"192.0.2.1 (mx)\" \
             delay=0s result=\"Ok\" stat=\"250 2.0.0: ok\"",
                "queue 3d4c4a424797fe79 delivery <g@p> <c@g> Some(192.0.2.1) true",
            ),
        ],
    );
}

#[test]
fn stream() {
    check(
        parse,
        "smtpd-filter",
        None,
        &[
            (
                "report|0.6|1.5|smtp-in|link-connect|s1|a|b|pass|127.0.0.11:50067|127.0.0.1:2726",
                "s1 127.0.0.11=a|b connect",
            ),
            ("report|0.6|1.5|smtp-in|link-connect|s1|<unknown>|fail|[::1]:5|[::1]:25", "s1 ::1 connect"),
            ("report|0.6|1.5|smtp-in|link-identify|s1|EHLO|a|b", "s1 (a|b) seen"),
            ("report|0.6|1.5|smtp-in|link-auth|s1|joe|pass", "s1 auth seen"),
            ("report|0.6|1.5|smtp-in|link-auth|s1|pass|fail", "s1 seen"),
            ("report|0.7|1.5|smtp-in|link-auth|s1|pass|joe", "s1 auth seen"),
            ("report|0.6|1.5|smtp-in|tx-mail|s1|t1|ok|", "s1 #t1 mail <> ok"),
            ("report|0.5|1.5|smtp-in|tx-mail|s1|t1|joe|x@e|ok", "s1 #t1 mail <joe|x@e> ok"),
            ("report|0.6|1.5|smtp-in|protocol-server|s1|550 Invalid recipient: <n@e>", "s1 reply UnknownUser 550"),
            ("report|0.6|1.5|smtp-in|protocol-server|s1|250 2.0.0 Ok", ""),
            ("report|0.6|1.5|smtp-in|tx-rcpt|s1|t1|permfail|n@e", "s1 #t1 rcpt - <n@e> as replied, else UnknownUser"),
            ("report|0.6|1.5|smtp-in|tx-rcpt|s1|t1|ok|a|b@e", "s1 #t1 rcpt - <a|b@e> ok"),
            ("report|0.6|1.5|smtp-in|protocol-client|s1|data", "s1 data - Tried"),
            ("report|0.6|1.5|smtp-in|protocol-client|s1|EHLO x|tx-rcpt|s2|t|ok|victim@e", ""),
            ("report|0.6|1.5|smtp-in|tx-data|s1|t1|ok", "s1 #t1 data - Lost"),
            ("report|0.6|1.5|smtp-in|tx-commit|s1|t1|1075", "s1 #t1 message - - -"),
            ("report|0.6|1.5|smtp-in|tx-rollback|s1|t1", "s1 #t1 abandoned - 0 []"),
            ("report|0.6|1.5|smtp-in|protocol-client|s1|QUIT", "s1 ending Quit"),
            ("report|0.6|1.5|smtp-in|timeout|s1", "s1 ending Timeout"),
            ("report|0.6|1.5|smtp-in|link-disconnect|s1", "s1 disconnect Unknown"),
            ("report|0.6|1.5|smtp-out|link-disconnect|s1", ""),
            ("config|ready", ""),
        ],
    );
}
