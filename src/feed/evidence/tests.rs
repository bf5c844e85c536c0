//! Sessions and what they are worth.

use super::super::event::testing::{event, recipient};
use super::*;

/// Our own list in these tests.
const OWN: &str = "bl.example";

/// What an event shows: `word=points/recipients`, put-off recipients in parentheses, a `*` where it was solicited.
fn shown(event: &Event, joe_jobs: &[JoeJob]) -> String {
    let options = EvidenceOptions { own_zones: vec![OWN.into()], ..EvidenceOptions::default() };
    let shown = of_event(event, &options, joe_jobs);
    let word = |e: &Evidence| {
        let counted = e.recipients.iter().filter(|key| **key != RecipientKey::Unseen).count();
        let star = if e.solicited { "*" } else { "" };
        format!("{}{star}={}/{counted}", e.signal.word(), e.points)
    };
    let mut words: Vec<String> = shown.evidence.iter().map(word).collect();
    words.extend(shown.put_off.iter().map(|e| format!("({})", word(e))));
    words.join(" ")
}

/// A recipient with a change.
fn with(n: u64, answer: Answer, change: impl Fn(&mut EventRecipient)) -> EventRecipient {
    let mut recipient = recipient(n, answer);
    change(&mut recipient);
    recipient
}

#[test]
fn one_transaction() {
    use Answer::{Blocked, Deferred, Greylisted, LocalError, Ok, Policy, RelayDenied, UnknownUser};
    let plain = |n, answer: &Answer| recipient(n, answer.clone());
    let random = |n, answer: Answer| with(n, answer, |r| r.random = true);
    let trap = |n, answer: Answer| with(n, answer, |r| r.trap = true);
    let solicited = |n, answer: Answer| with(n, answer, |r| r.solicited = true);
    let postmaster = |n, answer: Answer| with(n, answer, |r| r.postmaster = true);
    let own = Blocked(Some("BL.example.".into()));
    let other = Blocked(Some("other.example".into()));
    for (kind, recipients, expected) in [
        (Kind::Callout, vec![plain(1, &Ok)], "callout=3000/1"),
        (Kind::Callout, vec![solicited(1, Ok)], "callout*=750/1"),
        (Kind::Callout, vec![solicited(1, Ok), plain(2, &Ok)], "callout=3000/1 many-recipients=1000/1"),
        (
            Kind::Callout,
            vec![plain(1, &Ok), postmaster(2, Ok)],
            "callout=3000/1 postmaster=1000/1 many-recipients=1000/1",
        ),
        (Kind::Callout, vec![postmaster(2, Ok)], "callout=3000/1"),
        (Kind::CalloutDouble, vec![random(1, UnknownUser), plain(2, &Ok)], "double-whammy=6000/1"),
        (Kind::CalloutDouble, vec![random(1, UnknownUser), solicited(2, Ok)], "double-whammy=6000/1"),
        (Kind::CalloutDouble, vec![plain(1, &UnknownUser), plain(2, &Ok)], "double-whammy=6000/2"),
        (Kind::NullRejected, vec![random(1, UnknownUser)], "double-whammy=6000/1"),
        (Kind::NullRejected, vec![plain(1, &UnknownUser)], "null-unknown=2000/1"),
        (Kind::NullRejected, vec![plain(1, &Policy)], ""),
        (Kind::NullRejected, vec![plain(1, &RelayDenied)], ""),
        (Kind::NullRejected, vec![random(1, RelayDenied)], ""),
        (Kind::LocalError, vec![plain(1, &LocalError)], ""),
        (Kind::BackscatterRejected, vec![plain(1, &UnknownUser)], "bounce=3000/1"),
        (Kind::BackscatterRejected, vec![solicited(1, UnknownUser)], "bounce*=0/1"),
        (Kind::NullDeferred, vec![plain(1, &Greylisted)], "(greylisted-gone=1000/1)"),
        (Kind::NullDeferred, vec![plain(1, &Deferred)], "(greylisted-gone=1000/1)"),
        (Kind::NullDeferred, vec![random(1, Greylisted)], "double-whammy=6000/1"),
        (Kind::NullBlocked, vec![plain(1, &own)], "own-refusal=250/1"),
        (Kind::NullBlocked, vec![plain(1, &other)], ""),
        (Kind::NullBlocked, vec![trap(1, own.clone())], "callout=3000/1"),
        (Kind::NullBlocked, vec![random(1, own.clone())], "double-whammy=6000/1"),
        (Kind::DsnAccepted, vec![plain(1, &Ok)], ""),
        (Kind::DsnAccepted, vec![trap(1, Ok)], "trap-mail=8000/1"),
        (Kind::DsnAccepted, vec![with(1, Ok, |r| r.never_sent = true)], "never-sent=4000/1"),
        (Kind::ProbeSenderUnseen, vec![], "sender-unseen=1000/0"),
    ] {
        assert_eq!(
            shown(&event(1, 0, "192.0.2.1", kind, recipients.clone()), &[]),
            expected,
            "{kind:?} {recipients:?}"
        );
    }
}

#[test]
fn accepted_recipients_that_the_log_does_not_name() {
    let mut session = event(1, 0, "192.0.2.1", Kind::Callout, vec![]);
    session.transactions[0].unnamed_accepted = 1;
    assert_eq!(shown(&session, &[]), "callout=3000/0");
    // The invented half is named, the real one is not.
    let random = with(1, Answer::UnknownUser, |r| r.random = true);
    session.transactions.push(EventTransaction { recipients: vec![random], ..session.transactions[0].clone() });
    session.transactions[1].unnamed_accepted = 0;
    assert_eq!(shown(&session, &[]), "double-whammy=6000/1");
}

#[test]
fn ordinary_senders_show_nothing() {
    let mut session = event(1, 0, "192.0.2.1", Kind::ProbeNonnull, vec![recipient(1, Answer::Ok)]);
    session.transactions[0].sender = SenderClass::Other;
    assert_eq!(shown(&session, &[]), "");
}

#[test]
fn a_domain_under_a_joe_job_is_one_recipient() {
    let recipients = (1..6).map(|n| recipient(n, Answer::UnknownUser)).collect();
    let session = event(1, 50, "192.0.2.1", Kind::BackscatterRejected, recipients);
    let job = |from_ms, to_ms| JoeJob { domain: "example.org".into(), from_ms, to_ms };
    assert_eq!(shown(&session, &[]), "bounce=3000/5 many-recipients=1000/5");
    assert_eq!(shown(&session, &[job(0, 100)]), "bounce=3000/1 many-recipients=1000/1");
    assert_eq!(shown(&session, &[job(60, i64::MAX)]), "bounce=3000/5 many-recipients=1000/5");
}

#[test]
fn every_signal_is_in_the_list_once() {
    let mut words: Vec<_> = Signal::ALL.iter().map(|signal| signal.word()).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Signal::ALL.len());
    let mut weights = Weights::default();
    for (n, signal) in (0..).zip(Signal::ALL) {
        weights.set(signal, n);
    }
    assert!((0..).zip(Signal::ALL).all(|(n, signal)| weights.of(signal) == n));
}
