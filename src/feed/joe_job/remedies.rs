//! What can be done about a joe-job, as lines that can be taken as they are.
//!
//! An address comes from a log and so, in the end, from a stranger. Lines are given only for an address that no configuration language
//! reads as anything else; for others the remedy says what to write by hand.

use serde::Serialize;

use super::report::JoeJob;

/// The text that senders of refused bounces see.
pub const REFUSAL: &str = "this address is flooded with bounces to mail it never sent; try again later";

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// What it does, in a sentence.
    pub what: String,
    /// Lines for Postfix; a comment names the file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub postfix: Vec<String>,
    /// Lines for Exim.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exim: Vec<String>,
    /// Records to publish.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
}

/// A remedy without lines.
fn remedy(what: impl Into<String>) -> Remedy {
    Remedy { what: what.into(), postfix: Vec::new(), exim: Vec::new(), dns: Vec::new() }
}

/// Lines as they are kept.
fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}

/// Does every configuration language read this as the address it is?
pub fn is_plain(address: &str) -> bool {
    let Some((local, domain)) = address.split_once('@') else { return false };
    let of = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    of(local, "._+-=") && !local.starts_with(['-', '+', '=']) && is_plain_domain(domain)
}

/// The same for a domain.
fn is_plain_domain(domain: &str) -> bool {
    !domain.is_empty()
        && !domain.starts_with(['-', '.'])
        && domain.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
}

/// What can be done about a joe-job, the most urgent first.
pub fn of(report: &JoeJob) -> Vec<Remedy> {
    let mut all = Vec::new();
    match &report.address {
        Some(address) if is_plain(address) => all.push(refuse(address)),
        Some(_) => all.push(remedy(
            "Refuse null-sender mail to this address for the time being. Its local part is unusual: write it into your \
             server's settings by hand, quoted as those want it.",
        )),
        None if report.recipient.is_some() => {
            all.push(remedy("Refuse null-sender mail to this address for the time being; the log has its name."));
        }
        None => all.push(refuse_unknown()),
    }
    if let Some(domain) = report.domain.as_deref().filter(|domain| is_plain_domain(domain)) {
        all.extend(publish(domain, report.spf.as_deref(), report.dmarc.as_deref()));
    }
    all.push(remedy(
        "Send no mail to those who bounce: most are victims as well. What of it is backscatter is listed by this program by itself.",
    ));
    all
}

/// Refuse null-sender mail to one address.
fn refuse(address: &str) -> Remedy {
    let mut refuse = remedy(format!(
        "Refuse null-sender mail to {address} for the time being; take the lines out when the joe-job has ended. \
         The policy service and the zone of addresses under attack do both by themselves."
    ));
    refuse.postfix = vec![
        "# main.cf, after reject_unauth_destination in smtpd_recipient_restrictions:".to_owned(),
        "check_sender_access texthash:/etc/postfix/null_sender".to_owned(),
        "# /etc/postfix/null_sender".to_owned(),
        "<> check_recipient_access texthash:/etc/postfix/joe_jobs".to_owned(),
        "# /etc/postfix/joe_jobs, then `postfix reload`".to_owned(),
        format!("{address} 450 4.7.1 {REFUSAL}"),
    ];
    refuse.exim = vec![
        "# in the ACL of acl_smtp_rcpt, before the first accept".to_owned(),
        "defer senders = :".to_owned(),
        format!("      recipients = {address}"),
        format!("      message = {REFUSAL}"),
    ];
    refuse
}

/// Refuse addresses that do not exist.
fn refuse_unknown() -> Remedy {
    let mut refuse = remedy(
        "Refuse unknown recipients while the sender is still connected, and have no catch-all: then each of these costs a line \
         in the log and no mail.",
    );
    refuse.postfix = lines(&["# main.cf", "smtpd_reject_unlisted_recipient = yes"]);
    refuse.exim = lines(&["# in the ACL of acl_smtp_rcpt", "require verify = recipient"]);
    refuse
}

/// Publish what lets others refuse the forgeries.
fn publish(domain: &str, spf: Option<&str>, dmarc: Option<&str>) -> Option<Remedy> {
    let strict = |policy: Option<&str>, wanted: &[&str]| {
        policy.is_some_and(|policy| wanted.iter().any(|word| policy.to_ascii_lowercase().contains(word)))
    };
    let mut publish = remedy(
        "Publish whose mail is yours, so that others refuse the forgeries instead of bouncing them. List all your senders first.",
    );
    if !strict(spf, &["-all"]) {
        publish.dns.push(format!("{domain}. TXT \"v=spf1 mx -all\""));
    }
    if !strict(dmarc, &["p=reject", "p=quarantine"]) {
        publish.dns.push(format!("_dmarc.{domain}. TXT \"v=DMARC1; p=reject\""));
    }
    (!publish.dns.is_empty()).then_some(publish)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_plain_addresses_get_lines() {
        for (address, expected) in [
            ("victim@example.org", true),
            ("first.last+tag@mail.example.org", true),
            ("a_b-c=d@example.org", true),
            ("\"a b\"@example.org", false),
            ("a\n450 x@example.org", false),
            ("a:b@example.org", false),
            ("$a@example.org", false),
            ("{a}@example.org", false),
            ("-a@example.org", false),
            ("a@", false),
            ("a", false),
            ("a@b@example.org", false),
            ("ä@example.org", false),
        ] {
            assert_eq!(is_plain(address), expected, "{address}");
        }
    }

    #[test]
    fn only_what_is_missing_is_to_be_published() {
        for (spf, dmarc, expected) in [
            (None, None, 2),
            (Some("v=spf1 mx ~all"), Some("v=DMARC1; p=none"), 2),
            (Some("v=spf1 mx -all"), Some("v=DMARC1; p=none"), 1),
            (Some("v=spf1 mx -all"), Some("v=DMARC1; p=reject"), 0),
        ] {
            let dns = publish("example.org", spf, dmarc).map_or(0, |remedy| remedy.dns.len());
            assert_eq!(dns, expected, "{spf:?} {dmarc:?}");
        }
    }

    proptest! {
        /// Whatever an address holds, lines for a mail server have it only where it is plain.
        #[test]
        fn hostile_addresses_get_no_lines(local in ".{0,20}", domain in ".{0,20}") {
            let address = format!("{local}@{domain}");
            if is_plain(&address) {
                prop_assert!(address.chars().all(|c| c.is_ascii_alphanumeric() || "._+-=@".contains(c)));
                prop_assert_eq!(address.matches('@').count(), 1);
            }
        }
    }
}
