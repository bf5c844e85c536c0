//! What the benchmarks stand on: generators that repeat and have the shapes they claim, and a README that says what the newest run says.

// The generators themselves: benchmarks are programs without tests of their own.
#[path = "../../bench/lists.rs"]
mod lists;
#[path = "../../bench/versus/zipf.rs"]
mod zipf;

use std::path::Path;
use std::process::Command;

use lists::{Rng, Value};
use zipf::Zipf;

/// How often each of the first ranks is drawn, by the number of draws.
fn shares(n: usize, exponent: f64, draws: usize) -> Vec<f64> {
    let (zipf, mut rng) = (Zipf::new(n, exponent), Rng::new(7));
    let mut counts = vec![0.0; n];
    for _ in 0..draws {
        counts[zipf.draw(|| (rng.bits() >> 11) as f64 / (1u64 << 53) as f64) - 1] += 1.0 / draws as f64;
    }
    counts
}

#[test]
fn zipf_draws_each_rank_by_its_weight() {
    for (n, exponent) in [(1, 1.0), (2, 1.0), (50, 0.0), (50, 0.5), (50, 1.0), (50, 1.3), (1_000, 1.0)] {
        let weights: Vec<f64> = (1..=n).map(|rank| (rank as f64).powf(-exponent)).collect();
        let whole: f64 = weights.iter().sum();
        for (rank, (weight, share)) in weights.iter().zip(shares(n, exponent, 400_000)).enumerate().take(50) {
            let expected = weight / whole;
            // Four standard deviations of so many draws, and a little for many comparisons.
            let room = 5.0 * (expected / 400_000.0).sqrt();
            assert!(
                (share - expected).abs() <= room,
                "{n} ranks, {exponent}: rank {} {share} not {expected}",
                rank + 1
            );
        }
    }
    // Ten million ranks need no table, and the last of them can be drawn.
    let mut numbers = [0.999_999_999, 0.0].into_iter().cycle();
    let zipf = Zipf::new(10_000_000, 1.0);
    let drawn: Vec<usize> = (0..2).map(|_| zipf.draw(|| numbers.next().unwrap())).collect();
    assert_eq!(drawn, [1, 10_000_000]);
}

/// Check that a generator gives `n` different items, the same for the same seed and others for another one.
fn check<T: Clone + Ord + std::fmt::Debug>(name: &str, n: usize, make: impl Fn(u64) -> Vec<T>) -> Vec<T> {
    let items = make(1);
    assert_eq!(items.len(), n, "{name}");
    assert!(items == make(1), "{name}: the same seed gives another list");
    assert!(items != make(2), "{name}: another seed gives the same list");
    let mut distinct = items.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), n, "{name}: entries twice");
    items
}

#[test]
fn lists_repeat_and_have_their_shapes() {
    let n = 20_000;
    check("hosts", n, |seed| lists::hosts(n, seed));
    check("prefixes_v6", n, |seed| lists::prefixes_v6(n, seed));
    check("nets_64", n, |seed| lists::nets_64(n, seed));
    let prefixes = check("prefixes_v4", n, |seed| lists::prefixes_v4(n, seed));
    let share = prefixes.iter().filter(|(_, length)| *length == 24).count() as f64 / n as f64;
    assert!((0.5..0.6).contains(&share), "{share} of the prefixes are /24s");
    let names = check("names", n, |seed| lists::names(n, seed));
    let mean = names.iter().map(String::len).sum::<usize>() as f64 / n as f64;
    assert!((16.0..20.0).contains(&mean), "names have {mean} letters in the mean");
    let hosts = check("hosts_in_runs", n, |seed| lists::hosts_in_runs(n, seed));
    let neighbours = hosts.windows(2).filter(|pair| pair[1] - pair[0] == 1).count() as f64 / n as f64;
    assert!((0.3..0.9).contains(&neighbours), "{neighbours} of the hosts have a neighbour");
}

#[test]
fn list_files_are_what_servers_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list");
    let first = |text: &str| text.lines().next().unwrap().to_owned();
    let read = || std::fs::read_to_string(&path).unwrap();
    lists::write_list(&path, &[0x0102_0304], Value::None, lists::host_key).unwrap();
    assert_eq!(read(), "1.2.3.4\n");
    lists::write_list(&path, &[(0x0a00_0000, 8)], Value::None, lists::prefix_v4_key).unwrap();
    assert_eq!(read(), "10.0.0.0/8\n");
    lists::write_list(&path, &[(0x2001_0db8 << 96, 32)], Value::Country, lists::prefix_v6_key).unwrap();
    assert!(first(&read()).starts_with("2001:db8::/32 "), "{}", read());
    lists::write_list(&path, &[0x2001_0db8_0001_0002 << 64], Value::Codes, lists::net64_key).unwrap();
    let line = first(&read());
    let value: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert_eq!(line, format!("2001:db8:1:2 :127.0.0.{}:Text {value}", value + 2));
    assert!(value < lists::VALUES);
}

/// Run `bench/readme-table`; whether it says that all is well.
fn readme_table(arguments: &[&Path]) -> bool {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/readme-table");
    Command::new(script).args(arguments).output().unwrap().status.success()
}

#[test]
fn readme_says_what_the_newest_run_says() {
    let check = Path::new("--check");
    assert!(readme_table(&[check]), "README.md differs from the newest run: run bench/readme-table");
    // And the script would notice: two runs, of which the newer one counts.
    let dir = tempfile::tempdir().unwrap();
    let (runs, readme) = (dir.path().join("runs"), dir.path().join("README.md"));
    let medians = |run: &str, mib: &str| {
        let text = format!(
            "cell\tserver\tfigure\tmedian\tleast\tmost\trounds\nbase\t-\tentries\t1000000\t1000000\t1000000\t1\n\
             base\tdnsbld\tresident_mib\t{mib}\t1\t99\t5\nbase\tnsd\tfailure\twants more memory than there is\t\t\t1\n"
        );
        std::fs::create_dir_all(runs.join(run)).unwrap();
        std::fs::write(runs.join(run).join("medians.tsv"), text).unwrap();
    };
    let text = "before\n<!-- bench/readme-table: begin -->\nold\n<!-- bench/readme-table: end -->\nafter\n";
    std::fs::write(&readme, text).unwrap();
    assert!(readme_table(&[check, &runs, &readme]), "no run, nothing to say");
    medians("2026-01-01-a", "7.2500");
    medians("2026-01-02-a", "8.1250");
    assert!(!readme_table(&[check, &runs, &readme]), "an old table is found out");
    assert!(readme_table(&[&runs, &readme]) && readme_table(&[check, &runs, &readme]));
    let written = std::fs::read_to_string(&readme).unwrap();
    assert!(written.starts_with("before\n") && written.ends_with("end -->\nafter\n") && !written.contains("old"));
    let row = "| memory with 1 million hosts, MiB | 8.1 | – | not enough memory | – | – | – | – |";
    assert!(written.contains(row) && written.contains("bench/runs/2026-01-02-a/README.md"), "{written}");
    std::fs::write(&readme, written.replace("| 8.1 |", "| 1.8 |")).unwrap();
    assert!(!readme_table(&[check, &runs, &readme]), "a changed number is found out");
    std::fs::write(&readme, "no comments\n").unwrap();
    assert!(!readme_table(&[check, &runs, &readme]), "a README without the comments is an error");
}
