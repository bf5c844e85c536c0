//! What is measured: the cells, one axis varied at a time, and how long each measurement takes.

use std::time::Duration;

use super::servers::Which;
use super::traffic::Mix;

/// Where a cell's list comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListPlan {
    /// So many hosts.
    Hosts(usize),
    /// So many IPv4 prefixes.
    Prefixes(usize),
    /// So many names.
    Names(usize),
    /// A real list of hosts, where real lists are.
    Real,
}

/// One cell.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Its name in results.
    pub name: &'static str,
    /// The list.
    pub list: ListPlan,
    /// What is asked.
    pub mix: Mix,
    /// Workers of a server; more than one are not kept on one processor.
    pub workers: usize,
    /// The servers that take turns.
    pub servers: &'static [Which],
    /// Those that run alone, one after the other, because two of them would not fit into memory.
    pub alone: &'static [Which],
    /// Whether further rates, dnsperf and reloads are measured.
    pub in_full: bool,
    /// Whether reloads are.
    pub reload: bool,
}

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Rounds, of which the medians are told.
    pub rounds: usize,
    /// Length of one measurement.
    pub lasts: Duration,
    /// Different queries before they repeat.
    pub queries: usize,
    /// Hosts of the base cell, the smallest and the largest list, prefixes, names.
    sizes: [usize; 5],
    /// At most so long to load a list.
    pub load_max: Duration,
    /// A server that took longer to load stays loaded, idle in other servers' turns; its load is measured once.
    pub load_slow: Duration,
}

/// The rates that processor time and latency are told at, queries a second; the middle one in every cell.
pub const RATES: [u32; 3] = [20_000, 50_000, 100_000];
/// The rate of every cell.
pub const RATE: u32 = RATES[1];
/// The rate while a list is reloaded.
pub const RELOAD_RATE: u32 = 20_000;
/// The rate of `kxdpgun`, queries a second: more than one processor answers.
pub const KXDPGUN_RATE: u32 = 300_000;
/// Exponent of Zipf's law in most cells: near what names and hosts at resolvers show.
const ZIPF: f64 = 1.0;
/// What is asked in most cells.
const MIX: Mix = Mix { hit_ratio: 0.5, exponent: ZIPF };
/// Servers without a list that is expensive to load.
const LIGHT: &[Which] = &[Which::Dnsbld, Which::Rbldnsd, Which::Floor];
/// Every server with a list, and the floor.
const LISTS: &[Which] = &[Which::Dnsbld, Which::Rbldnsd, Which::Nsd, Which::Knot, Which::Gdnsd, Which::Floor];
/// This server and the floor.
const OURS: &[Which] = &[Which::Dnsbld, Which::Floor];

impl Plan {
    /// The run that is archived.
    pub const FULL: Self = Self {
        rounds: 5,
        lasts: Duration::from_millis(1_000),
        queries: 1 << 19,
        sizes: [1_000_000, 10_000, 10_000_000, 750_000, 2_000_000],
        load_max: Duration::from_secs(100),
        load_slow: Duration::from_secs(3),
    };
    /// A minute and a half, to see that everything works.
    pub const QUICK: Self = Self {
        rounds: 1,
        lasts: Duration::from_millis(150),
        queries: 1 << 15,
        sizes: [50_000, 5_000, 200_000, 20_000, 50_000],
        load_max: Duration::from_secs(20),
        load_slow: Duration::from_secs(1),
    };

    /// The cells in the order they run; those with the same list follow one another.
    pub fn cells(&self) -> Vec<Cell> {
        let [base, small, large, prefixes, names] = self.sizes;
        let cell = |name, list, servers| Cell {
            name,
            list,
            mix: MIX,
            workers: 1,
            servers,
            alone: &[],
            in_full: false,
            reload: false,
        };
        let hosts = ListPlan::Hosts(base);
        vec![
            cell("small", ListPlan::Hosts(small), LISTS),
            Cell { in_full: true, reload: true, ..cell("base", hosts, &Which::ALL) },
            Cell { mix: Mix { hit_ratio: 0.0, ..MIX }, ..cell("misses", hosts, OURS) },
            Cell { mix: Mix { hit_ratio: 0.9, ..MIX }, ..cell("hits", hosts, OURS) },
            Cell { mix: Mix { exponent: 0.0, ..MIX }, ..cell("uniform", hosts, OURS) },
            Cell { workers: 2, ..cell("two-workers", hosts, OURS) },
            cell("prefixes", ListPlan::Prefixes(prefixes), LISTS),
            cell("names", ListPlan::Names(names), LISTS),
            cell("real", ListPlan::Real, LIGHT),
            Cell {
                alone: &[Which::Nsd, Which::Knot, Which::Gdnsd],
                reload: true,
                ..cell("large", ListPlan::Hosts(large), LIGHT)
            },
        ]
    }
}
