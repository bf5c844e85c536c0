//! Settings of joe-jobs and of the neighbour rule: what they mean, and how others are refused.

use super::tests::{ZONE, bad, good};
use super::*;

#[test]
fn joe_jobs_and_relations() {
    let settings = good(
        r#"
        [feed.joe-jobs]
        sources-min = 20
        ratio-min = 3
        cool-down = "2h"
        zone-file = "joe.zone"
        webhook-url = "http://127.0.0.1:8080/"
        [relation]
        enabled = true
        socket = "run/policy"
        resolvers = ["192.0.2.53:53"]
        "#,
    );
    let jobs = &settings.feed.joe_jobs;
    assert_eq!((jobs.sources_min, jobs.ratio_min, jobs.cool_down), (20, 3.0, 7200));
    assert_eq!(jobs.zone_file.as_deref(), Some(Path::new("etc/joe.zone")));
    assert_eq!(settings.relation.socket.as_deref(), Some(Path::new("etc/run/policy")));
    for (text, expected) in [
        (
            "[feed.joe-jobs]\nsources-max = 3",
            "2:1: unknown key `sources-max` in [feed.joe-jobs]; did you mean `sources-min`?",
        ),
        (
            "[feed.joe-jobs]\nratio-min = 0.5",
            "2:13: `ratio-min` in [feed.joe-jobs]: 0.5 will not do; expected a number from 1 to 1000000",
        ),
        (
            "[feed.joe-jobs]\nratio-min = false",
            "2:13: `ratio-min` in [feed.joe-jobs]: false will not do; expected a number from 1 to 1000000",
        ),
        (
            "[feed.joe-jobs]\nwebhook-url = 'x'",
            "2:15: `webhook-url` in [feed.joe-jobs]: \"x\" is neither https nor http; expected something like \"https://hooks.example.org/joe-job\"",
        ),
        (
            "[feed.joe-jobs]\nwebhook-secret-file = 'x'",
            "2:23: `webhook-secret-file` in [feed.joe-jobs] is of no use without `webhook-url`; add that, or remove this",
        ),
        (
            "[feed.joe-jobs]\naction = ''",
            "2:10: `action` in [feed.joe-jobs]: \"\" will not do; expected an action of Postfix on one line, such as \"DEFER 4.7.1 try again later\"",
        ),
        (
            "[feed.joe-jobs]\nzone-file = 'j'\n[[zone]]\nname = 'j.example'\ndatasets = [{ type = 'ip4set', files = ['j'] }]",
            "2:13: `zone-file` in [feed.joe-jobs] is written as a dnset, but served as ip4set; make that a dnset",
        ),
        (
            "[[relation]]\nenabled = true",
            "1:1: `relation` is a table of settings; write [relation] on a line of its own",
        ),
        (
            "[relation]\nenabled = true\nlisten = ['127.0.0.1:9353']",
            "3:10: `listen` in [relation] is 127.0.0.1:9353, which [dns] or [http] takes; give it another port",
        ),
    ] {
        bad(text, expected);
    }
    let warnings =
        |text: &str| good(&format!("{text}\n{ZONE}")).warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(warnings("[relation]\nenabled = true\nlisten = ['127.0.0.1:0']"), [""; 0]);
    assert!(
        warnings("[relation]\nenabled = true\nlisten = ['0.0.0.0:9354']")[0].contains("whoever reaches that may ask")
    );
    assert!(warnings("[http]\nenabled = false\n[relation]\nenabled = true")[0].contains("nobody can ask"));
    let feed = "[[feed.source]]\ntype = 'file'\npath = 'x'\n[feed]\nenabled = true\n[feed.joe-jobs]\nzone-file = 'j'";
    assert!(warnings(feed)[0].contains("no zone has it"));
}
