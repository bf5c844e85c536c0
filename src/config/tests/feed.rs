//! Settings of the feeder: its sources and its rules.

use std::path::Path;

use super::good;
use crate::config::{Policy, Protection, Settings, Weights};

#[test]
fn sources() {
    let settings = good(
        "state-dir = 'state'\n[feed]\nenabled = true\nprobe-senders = ['x*']\n\
         [[feed.source]]\ntype = 'file'\npath = 'mail.log'\nformat = 'postfix'\ntimezone = 'Europe/Berlin'\n\
         [[feed.source]]\ntype = 'http'\ntoken-file = '/etc/token'\nname = 'web'\n\
         [[feed.source]]\ntype = 'syslog'\ntcp = '0.0.0.0:514'\nudp = '127.0.0.1:514'\npeers = ['192.0.2.0/24', '::1']\n",
    );
    let [file, http, syslog] = settings.feed.sources.as_slice() else { panic!("three sources") };
    assert_eq!((file.name.as_str(), file.path.as_deref()), ("mail.log", Some(Path::new("etc/mail.log"))));
    assert_eq!((file.format, file.timezone.iana_name()), (crate::feed::Format::Postfix, Some("Europe/Berlin")));
    assert_eq!((http.name.as_str(), http.token_file.as_deref()), ("web", Some(Path::new("/etc/token"))));
    assert_eq!((syslog.name.as_str(), syslog.peers.len()), ("syslog", 2));
}

#[test]
fn bad_sources() {
    for (text, expected) in [
        ("[feed]\nenabeld = true", "did you mean `enabled`?"),
        ("[feed]\nmod = 'list'", "did you mean `mode`?"),
        ("[feed.source]\ntype = 'file'", "write [[feed.source]] with two brackets"),
        ("feed = 1", "write [feed] on a line of its own"),
        ("[[feed.source]]\npath = 'x'", "`type` is missing in [[feed.source]]"),
        ("[[feed.source]]\ntype = 'flie'", "did you mean \"file\"?"),
        ("[[feed.source]]\ntype = 'file'", "has no `path`"),
        ("[[feed.source]]\ntype = 'file'\npaht = 'x'", "did you mean `path`?"),
        ("[[feed.source]]\ntype = 'file'\npath = 'x'\nunits = ['x']", "`units` is not for a source of type file"),
        ("[[feed.source]]\ntype = 'file'\npath = 'x'\nformat = 'postfiks'", "did you mean \"postfix\"?"),
        ("[[feed.source]]\ntype = 'file'\npath = 'x'\ntimezone = 'Mars'", "the name of a time zone"),
        ("[[feed.source]]\ntype = 'journal'", "has no `units`"),
        ("[[feed.source]]\ntype = 'syslog'", "listens nowhere"),
        ("[[feed.source]]\ntype = 'syslog'\nudp = '0.0.0.0:514'", "allow-udp = true"),
        ("[[feed.source]]\ntype = 'syslog'\ntcp = '127.0.0.1:514'\npeers = ['192.0.2.1/24']", "write \"192.0.2.0/24\""),
        ("[http]\nlisten = '0.0.0.0:80'\n[[feed.source]]\ntype = 'http'", "add a token"),
        ("[[feed.source]]\ntype = 'http'\nspool-octets-max = 1048576", "put off for ever"),
        ("[http]\nenabled = false\n[feed]\nenabled = true\n[[feed.source]]\ntype = 'http'", "which is not enabled"),
        ("[[feed.source]]\ntype = 'stdin'\n[[feed.source]]\ntype = 'stdin'\nname = 'b'", "is read already"),
        (
            "[[feed.source]]\ntype = 'file'\npath = 'x'\n[[feed.source]]\ntype = 'file'\npath = 'x'",
            "two sources have the name `x`",
        ),
        ("[feed]\nprobe-senders = ['a@b']", "what stands before the @"),
    ] {
        let error = Settings::parse(text, Path::new("dnsbld.toml")).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}\n{error}");
    }
}

#[test]
fn the_rules_that_are_not_set_are_those_of_the_feeder() {
    use crate::feed::evidence::{Signal, Weights as Real};
    use crate::feed::policy::PolicyOptions;
    let (policy, weights, real) = (Policy::default(), Weights::default(), PolicyOptions::default());
    assert_eq!((policy.score, policy.score_at_once), (real.score_min, real.score_at_once));
    let ms = |seconds: u32| i64::from(seconds) * 1000;
    let times = [policy.half_life, policy.window, policy.repeat, policy.comeback, policy.spread, policy.clean].map(ms);
    assert_eq!(
        times,
        [real.half_life_ms, real.window_ms, real.repeat_ms, real.comeback_ms, real.spread_ms_min, real.clean_ms]
    );
    assert_eq!(policy.terms.iter().map(|&term| ms(term)).collect::<Vec<_>>(), real.terms_ms);
    let numbers =
        [policy.recipients, policy.sessions, policy.invented_sessions, policy.invented_recipients, policy.reporters];
    let real_numbers =
        [real.recipients_min, real.sessions_min, real.whammies_min, real.whammy_recipients_min, real.reporters_min];
    assert_eq!(numbers.map(|n| n as usize), real_numbers);
    let protection = Protection::default();
    assert_eq!(i64::from(protection.shared_factor), real.shared_factor);
    assert_eq!(
        (i64::from(protection.ratio_percent), i64::from(protection.ratio_days)),
        (real.ratio_percent, real.ratio_days)
    );
    let points = [
        weights.trap_mail,
        weights.double_whammy,
        weights.never_sent,
        weights.callout,
        weights.bounce,
        weights.null_unknown,
        weights.sender_unseen,
        weights.postmaster,
        weights.many_recipients,
        weights.greylisted_gone,
        weights.own_refusal,
    ];
    let real = Real::default();
    assert_eq!(points, Signal::ALL.map(|signal| real.of(signal)));
    assert_eq!((weights.solicited_callout, weights.solicited_bounce), (real.solicited_callout, real.solicited_bounce));
}

#[test]
fn rules_that_can_not_be() {
    for (text, expected) in [
        ("[feed]\nmode = 'lists'", "\"list\" or \"observe\""),
        ("[feed]\nurl = 'https://x/$1'", "no digit"),
        ("[feed]\nurl = 'https://x/$/$'", "one `$`"),
        ("[feed.policy]\nscore = -1", "points from 0 to 1000"),
        ("[feed.policy]\nscore = 1.0005", "three places"),
        ("[feed.policy]\nterms = []", "at least one duration"),
        ("[feed.weights]\ncalout = 1", "callout"),
        ("[feed.weights]\nsolicited-callout = 1.5", "from 0 to 1"),
        ("[feed.protection]\nown-networks = ['192.0.2.1/24']", "bits below its prefix"),
        ("[feed.export]\njson-file = 'x'", "needs a `zone-file`"),
        ("[[feed.policy]]", "[feed.policy]"),
    ] {
        let error = Settings::parse(text, Path::new("x.toml")).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}
