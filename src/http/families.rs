//! Every metric family there is: name, type, labels and meaning. `docs/metrics.md` is the same table for readers,
//! and a test holds the two together.

use prometheus::proto::MetricType;

/// One family of time series.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Name, by Prometheus' conventions: base units, `_total` for counters.
    pub name: &'static str,
    /// Counter or gauge.
    pub kind: MetricType,
    /// Names of the labels, in the order of [`Samples::add`](super::metrics::Samples::add).
    pub labels: &'static [&'static str],
    /// What is counted: the HELP line and the last column of `docs/metrics.md`.
    pub help: &'static str,
}

/// Write the table once, as constants by which code names a family and as the list of all of them.
macro_rules! families {
    ($($constant:ident $kind:ident $name:literal [$($label:literal),*] $help:literal)*) => {
        $(
            #[doc = $help]
            pub const $constant: Family =
                Family { name: $name, kind: MetricType::$kind, labels: &[$($label),*], help: $help };
        )*
        /// All of them, in the order of `docs/metrics.md`.
        pub const ALL: &[Family] = &[$($constant),*];
    };
}

families! {
    QUERIES COUNTER "dnsbld_queries_total" ["zone", "transport", "type", "rcode"]
        "Queries answered, by query type and response code."
    ANSWERS_LISTED COUNTER "dnsbld_answers_listed_total" ["zone", "transport", "listed"]
        "Answers about an entry, by whether it is listed."
    TRUNCATED COUNTER "dnsbld_truncated_total" ["zone", "transport"]
        "Answers with the TC bit set, so that the client asks again over TCP."
    DROPPED COUNTER "dnsbld_dropped_total" ["transport", "reason"]
        "Messages that got no answer: shorter than a header, a response, refused by policy, from a source that can not be answered, or over the rate limit."
    RATE_LIMITED COUNTER "dnsbld_rate_limited_total" ["transport", "action"]
        "Answers to networks that had been sent more than the rate limit allows, by what became of them."
    COOKIES COUNTER "dnsbld_cookies_total" ["transport", "cookie"]
        "Answers to queries with a cookie, by what it proved."
    RECEIVE_BYTES COUNTER "dnsbld_receive_bytes_total" ["transport"]
        "Octets of DNS messages received, dropped ones included."
    TRANSMIT_BYTES COUNTER "dnsbld_transmit_bytes_total" ["transport"]
        "Octets of DNS answers made, those included that could not be sent."
    KERNEL_DROPPED COUNTER "dnsbld_kernel_dropped_total" ["transport"]
        "Datagrams that the kernel threw away because the socket's receive buffer was full."
    SEND_ERRORS COUNTER "dnsbld_send_errors_total" ["transport"]
        "Answers that could not be sent."
    PANICKED COUNTER "dnsbld_panicked_total" ["transport"]
        "Messages that got no answer because of a defect of the program; please report it."
    ENCRYPTED_CONNECTIONS GAUGE "dnsbld_encrypted_connections" ["transport"]
        "Connections of encrypted transports that are open."
    ENCRYPTED_ACCEPTED COUNTER "dnsbld_encrypted_connections_accepted_total" ["transport"]
        "Connections of encrypted transports accepted, over QUIC those whose handshake was finished."
    ENCRYPTED_CLOSED COUNTER "dnsbld_encrypted_connections_closed_total" ["transport", "reason"]
        "Connections of encrypted transports that the server ended: too many, idle or slow, or after an error."
    CERTIFICATE_RELOADS COUNTER "dnsbld_certificate_reloads_total" ["outcome"]
        "Times that the certificate was reread: taken, or refused and the old one kept."
    TCP_CONNECTIONS GAUGE "dnsbld_tcp_connections" []
        "TCP connections of DNS clients that are open."
    TCP_ACCEPTED COUNTER "dnsbld_tcp_connections_accepted_total" []
        "TCP connections of DNS clients accepted."
    TCP_CLOSED COUNTER "dnsbld_tcp_connections_closed_total" ["reason"]
        "TCP connections that the server ended: too many, idle, or after an error. Those that the client closed are not in it."
    DATASET_ENTRIES GAUGE "dnsbld_dataset_entries" ["zone", "type", "files"]
        "Entries in service, as the files' author would count them (a range is one)."
    DATASET_MEMORY GAUGE "dnsbld_dataset_memory_bytes" ["zone", "type", "files"]
        "Memory that the dataset in service takes."
    DATASET_DIAGNOSTICS GAUGE "dnsbld_dataset_diagnostics" ["zone", "type", "files"]
        "Lines that were skipped or doubtful in the load that is in service; `dnsbld check` names them."
    ZONE_SERIAL GAUGE "dnsbld_zone_serial" ["zone"]
        "Serial of the zone's SOA in service."
    ZONE_STATE GAUGE "dnsbld_zone_state" ["zone", "state"]
        "1 for the state that the zone is in, 0 for the others; only `ready` gives answers."
    ZONE_RELOADS COUNTER "dnsbld_zone_reloads_total" ["zone", "outcome"]
        "Reloads that found a change, by what became of it: published, a bad file, or refused by a guard."
    ZONE_RELOAD_TIME GAUGE "dnsbld_zone_last_reload_timestamp_seconds" ["zone"]
        "When the last reload ended; absent before the first."
    ZONE_RELOAD_DURATION GAUGE "dnsbld_zone_last_reload_duration_seconds" ["zone"]
        "How long reading and freezing took at the last reload; absent before the first."
    ZONE_RELOAD_SUCCESS GAUGE "dnsbld_zone_last_reload_success" ["zone"]
        "1 when the last reload was published, 0 when the old data stayed in service; absent before the first."
    ZONE_SUCCESS_TIME GAUGE "dnsbld_zone_last_success_timestamp_seconds" ["zone"]
        "When data were last published; 0 for never."
    ZONE_DATA_TIME GAUGE "dnsbld_zone_data_timestamp_seconds" ["zone"]
        "Modification time of the newest file in service: `time()` less this is the data's age. Absent without data."
    GENERATION GAUGE "dnsbld_generation" []
        "Generation in service; one more with each published change."
    RETIRED_SNAPSHOTS GAUGE "dnsbld_retired_snapshots" []
        "Replaced snapshots that a reader still holds, so that their memory is not yet free."
    SETTINGS_RELOADS COUNTER "dnsbld_settings_reloads_total" ["outcome"]
        "Times the settings were reread, by whether they were taken or refused."
    FEED_LINES COUNTER "dnsbld_feed_lines_total" ["source"]
        "Log lines read; after a restart those of sessions that were open are read again."
    FEED_PARSED COUNTER "dnsbld_feed_lines_parsed_total" ["source", "service"]
        "Log lines that say something of a session."
    FEED_IGNORED COUNTER "dnsbld_feed_lines_ignored_total" ["source", "service"]
        "Log lines that are known and of no interest."
    FEED_UNKNOWN COUNTER "dnsbld_feed_lines_unknown_total" ["source", "service"]
        "Log lines that no parser knows; `auto` has those without a known head."
    FEED_SESSIONS COUNTER "dnsbld_feed_sessions_total" ["source", "kind"]
        "Sessions that ended, by kind; one that is two things counts as both."
    FEED_OPEN GAUGE "dnsbld_feed_open_sessions" ["source"]
        "Sessions that are open."
    FEED_LAG_SECONDS GAUGE "dnsbld_feed_lag_seconds" ["source"]
        "Time since the source was last read to its end; 0 while it is."
    FEED_LAG_BYTES GAUGE "dnsbld_feed_lag_bytes" ["source"]
        "Octets that were not read when the source was last read to its end, such as a line without its end."
    FEED_CLOCK COUNTER "dnsbld_feed_clock_differences_total" ["source", "direction"]
        "Lines whose stamp was not believed: too far in the future, or before that of an earlier line."
    FEED_DROPS COUNTER "dnsbld_feed_drops_total" ["source", "cause"]
        "Lines, sessions and parts of them that were dropped."
    FEED_SPOOL GAUGE "dnsbld_feed_spool_bytes" ["source"]
        "Octets in the source's spool; absent for sources without one."
    FEED_STORED COUNTER "dnsbld_feed_stored_total" ["what"]
        "What was handed to the store: events, events that were there already, sessions that are only counted, deliveries."
    FEED_COMMITS COUNTER "dnsbld_feed_commits_total" ["result"]
        "Transactions of the store."
    FEED_LISTED GAUGE "dnsbld_feed_listed_hosts" ["code"]
        "Hosts that are listed now, or would be in mode observe, by what they are listed for; one with both codes counts twice."
    FEED_HOSTS GAUGE "dnsbld_feed_evidence_hosts" []
        "Hosts of which events are kept; counted every 15 seconds."
    FEED_LISTINGS COUNTER "dnsbld_feed_listings_total" ["change"]
        "Listings that began, ended by themselves, or were taken off."
    JOE_JOBS_RUNNING GAUGE "dnsbld_feed_joe_jobs_running" []
        "Addresses and domains that are flooded with bounces now."
    JOE_JOBS_RAISED COUNTER "dnsbld_feed_joe_jobs_raised_total" []
        "Joe-jobs that were raised."
    JOE_JOBS_DROPPED COUNTER "dnsbld_feed_joe_jobs_dropped_total" ["reason"]
        "Recipients of null-sender mail that were not counted for joe-jobs: too late by the log's clock, or no room."
    JOE_JOBS_REPORTS COUNTER "dnsbld_feed_joe_jobs_reports_total" ["result"]
        "Reports for the webhook: delivered, attempts that failed, given up."
    RELATION_ANSWERS COUNTER "dnsbld_relation_answers_total" ["word"]
        "Answers of the neighbour rule."
    POLICY_REQUESTS COUNTER "dnsbld_policy_requests_total" ["request"]
        "Requests to the policy service: of Postfix, of Exim, and those that were not understood."
    POLICY_REFUSED COUNTER "dnsbld_policy_refused_total" []
        "Recipients of null-sender mail that the policy service had refused because they are flooded."
    POLICY_CONNECTIONS GAUGE "dnsbld_policy_connections" []
        "Connections to the policy service that are open."
    BUILD_INFO GAUGE "dnsbld_build_info" ["version"]
        "Always 1; the program's version is the label."
    PROCESS_START GAUGE "process_start_time_seconds" []
        "When the program started."
    PROCESS_CPU COUNTER "process_cpu_seconds_total" []
        "Processor time of all threads, user and system."
    PROCESS_RESIDENT GAUGE "process_resident_memory_bytes" []
        "Memory that is resident."
    PROCESS_VIRTUAL GAUGE "process_virtual_memory_bytes" []
        "Address space in use."
    PROCESS_OPEN_FDS GAUGE "process_open_fds" []
        "File descriptors that are open."
    PROCESS_MAX_FDS GAUGE "process_max_fds" []
        "File descriptors that may be open (the soft limit); absent without a limit."
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::load::status::ReloadOutcome;
    use crate::stats::{COOKIES, DROPS, LIMITED, RCODES, TRANSPORTS, TYPES};

    /// The table for readers.
    const DOCS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md"));

    /// The type's name in the text format.
    fn kind_name(family: &Family) -> &'static str {
        if family.kind == MetricType::COUNTER { "counter" } else { "gauge" }
    }

    /// The unit, as the name's end says.
    fn unit(family: &Family) -> &'static str {
        let stem = family.name.strip_suffix("_total").unwrap_or(family.name);
        match stem.rsplit('_').next() {
            Some("seconds") if stem.ends_with("timestamp_seconds") || stem.ends_with("start_time_seconds") => {
                "seconds since 1970"
            }
            Some("seconds") => "seconds",
            Some("bytes") => "octets",
            _ => "",
        }
    }

    /// The row that `docs/metrics.md` must have for a family.
    fn row(family: &Family) -> String {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let cells = [
            format!("`{}`", family.name),
            kind_name(family).to_owned(),
            labels.join(", "),
            unit(family).to_owned(),
            family.help.to_owned(),
        ];
        let cell = |cell: &String| if cell.is_empty() { "| ".to_owned() } else { format!("| {cell} ") };
        cells.iter().map(cell).collect::<String>() + "|"
    }

    #[test]
    fn the_manual_has_a_row_for_each_family_and_no_other() {
        let expected: Vec<String> = ALL.iter().map(row).collect();
        let found: Vec<&str> =
            DOCS.lines().filter(|line| line.starts_with("| `dnsbld_") || line.starts_with("| `process_")).collect();
        let (found, expected) = (found.join("\n"), expected.join("\n"));
        assert!(found == expected, "docs/metrics.md should have these rows:\n{expected}\nbut has these:\n{found}");
    }

    #[test]
    fn the_manual_has_every_value_of_a_closed_label() {
        let cases: [(&str, Vec<&str>); 7] = [
            ("transport", TRANSPORTS.iter().map(|(_, label)| *label).collect()),
            ("type", TYPES.iter().map(|(_, label)| *label).chain(["other"]).collect()),
            ("rcode", RCODES.iter().map(|(_, label)| *label).chain(["other"]).collect()),
            ("reason", DROPS.to_vec()),
            ("cookie", COOKIES.to_vec()),
            ("action", LIMITED.to_vec()),
            ("outcome", ReloadOutcome::ALL.iter().map(|(_, label)| *label).collect()),
        ];
        for (label, values) in cases {
            let row = format!("- `{label}`: `{}`", values.join("`, `"));
            assert!(DOCS.lines().any(|line| line.starts_with(&row)), "docs/metrics.md should have: {row}");
        }
    }

    #[test]
    fn names_follow_the_conventions() {
        let names: BTreeSet<&str> = ALL.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), ALL.len(), "a name is taken twice");
        for family in ALL {
            let counter = family.kind == MetricType::COUNTER;
            assert_eq!(family.name.ends_with("_total"), counter, "{}", family.name);
            assert!(family.help.ends_with('.') && !family.help.contains('|'), "{}", family.name);
            assert!(!family.labels.contains(&"le") && !family.labels.contains(&"job"), "{}", family.name);
        }
    }
}
