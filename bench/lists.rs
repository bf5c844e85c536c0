//! Lists made from a seed: the same on every machine and in every run, no outside data.
//!
//! Shapes follow real lists: hosts are uniform over unicast space, which is the hardest case for an index;
//! prefix lengths and top-level domains follow the shares seen in routing tables, country lists and phishing
//! feeds.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// How many different values a list with values has.
pub const VALUES: u64 = 200;
/// How many different texts a prefix list by country has.
const COUNTRIES: u64 = 240;
/// First address of the space that prefixes are laid out in: 1.0.0.0.
const SPACE_START: u64 = 1 << 24;
/// End of that space: 224.0.0.0, where multicast begins.
const SPACE_END: u64 = 224 << 24;

/// Parts of it that no list has, from first to end: 10.0.0.0/8 and 127.0.0.0/8. A server that guards its lists refuses one with 127.0.0.1.
const NOT_UNICAST: [(u64, u64); 2] = [(10 << 24, 11 << 24), (127 << 24, 128 << 24)];

/// Shares of IPv4 prefix lengths, in thousandths.
const LENGTHS_V4: [(u8, u64); 16] = [
    (13, 1),
    (14, 1),
    (15, 2),
    (16, 8),
    (17, 5),
    (18, 10),
    (19, 20),
    (20, 40),
    (21, 50),
    (22, 180),
    (23, 130),
    (24, 547),
    (25, 1),
    (26, 1),
    (28, 2),
    (32, 2),
];
/// Shares of IPv6 prefix lengths, in thousandths.
const LENGTHS_V6: [(u8, u64); 11] =
    [(28, 5), (29, 75), (32, 280), (36, 40), (40, 50), (44, 50), (46, 20), (47, 20), (48, 400), (56, 20), (64, 40)];
/// Top 16 bits of the IPv6 space in use, with their shares.
const TOPS_V6: [(u16, u64); 10] = [
    (0x2001, 20),
    (0x2400, 8),
    (0x2401, 6),
    (0x2402, 6),
    (0x2600, 8),
    (0x2602, 6),
    (0x2606, 6),
    (0x2800, 8),
    (0x2a00, 30),
    (0x2c0f, 2),
];
/// Top-level domains with their shares.
const TLDS: [(&str, u64); 20] = [
    ("com", 560),
    ("net", 60),
    ("org", 55),
    ("com.br", 35),
    ("ru", 35),
    ("info", 30),
    ("in", 30),
    ("ml", 25),
    ("pl", 25),
    ("site", 25),
    ("tk", 20),
    ("co.uk", 20),
    ("xyz", 20),
    ("de", 15),
    ("top", 10),
    ("online", 8),
    ("shop", 8),
    ("club", 8),
    ("website", 6),
    ("io", 5),
];
/// Syllables that names are made of.
const SYLLABLES: [&str; 48] = [
    "ba", "be", "co", "da", "de", "di", "do", "en", "er", "fa", "fi", "go", "ha", "he", "in", "is", "ka", "la", "le",
    "li", "lo", "ma", "me", "mi", "mo", "na", "ne", "ni", "no", "on", "or", "pa", "pe", "po", "ra", "re", "ri", "ro",
    "sa", "se", "shop", "st", "ta", "te", "ti", "to", "ver", "web",
];
/// First labels of names below a registered one.
const HOST_LABELS: [&str; 8] = ["www", "mail", "login", "secure", "m", "shop", "cdn", "app"];

/// SplitMix64: small, seeded, good enough for lists.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator; the same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// One of a slice that is not empty.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// One by its share.
    pub fn pick_share<T: Copy>(&mut self, from: &[(T, u64)]) -> T {
        let mut left = self.below(from.iter().map(|(_, share)| share).sum());
        for &(item, share) in from {
            if left < share {
                return item;
            }
            left -= share;
        }
        from[0].0
    }

    /// Put a slice into random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

/// `n` distinct hosts of unicast space, sorted.
pub fn hosts(n: usize, seed: u64) -> Vec<u32> {
    let mut rng = Rng::new(seed);
    let mut hosts = Vec::with_capacity(n + n / 64 + 16);
    while hosts.len() < n {
        while hosts.len() < n + n / 64 + 16 {
            hosts.push(unicast(&mut rng));
        }
        hosts.sort_unstable();
        hosts.dedup();
    }
    // Cut at random, not at the end of the space.
    rng.shuffle(&mut hosts);
    hosts.truncate(n);
    hosts.sort_unstable();
    hosts
}

/// `n` distinct hosts as blocklists have them, sorted: some /16s are full of them, and in a /24 there is one host, or a group, or a run of
/// neighbours.
pub fn hosts_in_runs(n: usize, seed: u64) -> Vec<u32> {
    let mut rng = Rng::new(seed);
    let mut hosts = Vec::with_capacity(n + n / 16 + 64);
    let busy: Vec<u32> = (0..n / 2000 + 16).map(|_| unicast(&mut rng) & 0xffff_0000).collect();
    while hosts.len() < n {
        while hosts.len() < n + n / 64 + 16 {
            let busy_net = rng.below(100) < 60;
            let net = if busy_net { rng.pick(&busy) | (rng.bits() as u32 & 0xff00) } else { unicast(&mut rng) & !0xff };
            match rng.below(100) {
                0..70 => hosts.push(net | rng.below(256) as u32),
                70..90 => (0..2 + rng.below(7)).for_each(|_| hosts.push(net | rng.below(256) as u32)),
                _ => {
                    let run = 8 + rng.below(57) as u32;
                    let first = rng.below(u64::from(256 - run)) as u32;
                    hosts.extend((first..first + run).map(|host| net | host));
                }
            }
        }
        hosts.sort_unstable();
        hosts.dedup();
    }
    rng.shuffle(&mut hosts);
    hosts.truncate(n);
    hosts.sort_unstable();
    hosts
}

/// A random address of unicast space.
fn unicast(rng: &mut Rng) -> u32 {
    loop {
        let address = rng.bits() as u32;
        if matches!(address >> 24, 1..=9 | 11..=126 | 128..=223) {
            return address;
        }
    }
}

/// `n` distinct IPv4 prefixes in order of address: neighbours and gaps, one in fifty with another inside it.
pub fn prefixes_v4(n: usize, seed: u64) -> Vec<(u32, u8)> {
    // Start with the gaps that would fill the space and shrink them until everything fits.
    let mut gap = (SPACE_END - SPACE_START) / n as u64;
    loop {
        if let Some(prefixes) = lay_out(n, gap, &mut Rng::new(seed)) {
            return prefixes;
        }
        assert!(gap > 16, "{n} prefixes do not fit into the IPv4 space");
        gap = gap * 4 / 5;
    }
}

/// Lay prefixes out one after the other with gaps of `gap` addresses in the mean; `None` if space runs out.
fn lay_out(n: usize, gap: u64, rng: &mut Rng) -> Option<Vec<(u32, u8)>> {
    let mut prefixes = Vec::with_capacity(n);
    let mut at = SPACE_START;
    while prefixes.len() < n {
        let length = rng.pick_share(&LENGTHS_V4);
        let size = 1u64 << (32 - length);
        at = at.next_multiple_of(size);
        if let Some(&(_, end)) = NOT_UNICAST.iter().find(|&&(start, end)| at < end && start < at + size) {
            at = end.next_multiple_of(size);
        }
        if at + size > SPACE_END {
            return None;
        }
        prefixes.push((at as u32, length));
        if length < 23 && rng.below(50) == 0 && prefixes.len() < n {
            let inner = (length + 2 + rng.below(4) as u8).min(24);
            let offset = rng.below(1 << (inner - length)) << (32 - inner);
            prefixes.push(((at + offset) as u32, inner));
        }
        at += size;
        // Most neighbours touch; the rest of the space is in few, wide gaps.
        if rng.below(10) >= 6 {
            at = (at + rng.below(gap * 5 + 1)).next_multiple_of(256);
        }
    }
    Some(prefixes)
}

/// `n` distinct IPv6 prefixes, sorted: many /48s share a few hundred /32s, the rest is spread.
pub fn prefixes_v6(n: usize, seed: u64) -> Vec<(u128, u8)> {
    let mut rng = Rng::new(seed);
    let crowded: Vec<u128> = (0..n / 400 + 1).map(|_| network_v6(&mut rng)).collect();
    let mut seen = HashSet::with_capacity(n);
    while seen.len() < n {
        let length = rng.pick_share(&LENGTHS_V6);
        let base = if length > 32 && rng.below(2) == 0 { *rng.pick(&crowded) } else { network_v6(&mut rng) };
        // Networks and sites in different halves of each top, so that few sites lie inside a listed network.
        let inside = length > 32 && rng.below(50) != 0;
        let base = base & !(1 << 111) | u128::from(inside) << 111;
        // Sites are numbered from the low end of a network more often than not.
        let site = if rng.below(2) == 0 { rng.below(256) } else { rng.below(65536) };
        let subnet = rng.below(256);
        let address = base | u128::from(site) << 80 | u128::from(subnet) << 64;
        seen.insert((address & !(u128::MAX >> length), length));
    }
    let mut prefixes: Vec<_> = seen.into_iter().collect();
    prefixes.sort_unstable();
    prefixes
}

/// `n` distinct IPv6 /64s in random order, each with its low 64 bits zero.
pub fn nets_64(n: usize, seed: u64) -> Vec<u128> {
    let mut rng = Rng::new(seed);
    let mut seen = HashSet::with_capacity(n);
    let mut nets = Vec::with_capacity(n);
    while nets.len() < n {
        let net = network_v6(&mut rng) | u128::from(rng.below(1 << 32)) << 64;
        if seen.insert(net) {
            nets.push(net);
        }
    }
    nets
}

/// A random /32 of the space in use.
fn network_v6(rng: &mut Rng) -> u128 {
    let top = rng.pick_share(&TOPS_V6);
    u128::from(top) << 112 | u128::from(rng.below(65536)) << 96
}

/// `n` distinct names of about 18 letters, dots counted, in random order.
pub fn names(n: usize, seed: u64) -> Vec<String> {
    let mut rng = Rng::new(seed);
    let mut seen = HashSet::with_capacity(n);
    let mut names = Vec::with_capacity(n);
    while names.len() < n {
        let mut name = String::new();
        match rng.below(100) {
            0..20 => {
                name.push_str(rng.pick::<&str>(&HOST_LABELS));
                name.push('.');
            }
            20..28 => {
                let digits = rng.below(100_000);
                name.push_str(&format!("{digits}."));
            }
            _ => {}
        }
        for i in 0..4 + rng.below(4) {
            if i == 3 && rng.below(6) == 0 {
                name.push('-');
            }
            name.push_str(rng.pick::<&str>(&SYLLABLES));
        }
        if rng.below(3) == 0 {
            let number = rng.below(1000);
            name.push_str(&number.to_string());
        }
        name.push('.');
        name.push_str(rng.pick_share(&TLDS));
        if seen.insert(name.clone()) {
            names.push(name);
        }
    }
    names
}

/// What stands behind the key of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    None,
    /// One of [`VALUES`] codes, each with a text of its own: `:127.0.0.9:Text 7`.
    Codes,
    /// One of 240 country-like texts: `DE`.
    Country,
}

impl Value {
    /// Write it for one line, with the blank before it and the line end.
    fn write(self, rng: &mut Rng, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::None => out.write_all(b"\n"),
            Self::Codes => {
                let value = rng.below(VALUES);
                writeln!(out, " :127.0.0.{}:Text {value}", value + 2)
            }
            Self::Country => {
                let country = rng.below(COUNTRIES);
                let letters = [b'A' + (country / 26) as u8, b'A' + (country % 26) as u8];
                writeln!(out, " {}{}", char::from(letters[0]), char::from(letters[1]))
            }
        }
    }
}

/// Write one line for each key, the way `key` prints it, with a value.
pub fn write_list<T>(
    path: &Path,
    keys: &[T],
    value: Value,
    mut key: impl FnMut(&T, &mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut rng = Rng::new(keys.len() as u64);
    for item in keys {
        key(item, &mut out)?;
        value.write(&mut rng, &mut out)?;
    }
    out.flush()
}

/// A host as a key.
pub fn host_key(host: &u32, out: &mut BufWriter<File>) -> io::Result<()> {
    write!(out, "{}", Ipv4Addr::from_bits(*host))
}

/// An IPv4 prefix as a key.
pub fn prefix_v4_key(prefix: &(u32, u8), out: &mut BufWriter<File>) -> io::Result<()> {
    write!(out, "{}/{}", Ipv4Addr::from_bits(prefix.0), prefix.1)
}

/// An IPv6 prefix as a key.
pub fn prefix_v6_key(prefix: &(u128, u8), out: &mut BufWriter<File>) -> io::Result<()> {
    write!(out, "{}/{}", Ipv6Addr::from_bits(prefix.0), prefix.1)
}

/// The four words of an IPv6 /64, as `ip6tset` wants them.
pub fn net64_key(net: &u128, out: &mut BufWriter<File>) -> io::Result<()> {
    let words = Ipv6Addr::from_bits(*net).segments();
    write!(out, "{:x}:{:x}:{:x}:{:x}", words[0], words[1], words[2], words[3])
}
