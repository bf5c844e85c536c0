//! Entries on their way to a dataset.

use std::net::Ipv4Addr;

use super::clients::{self, ClientsBuilder, ip6_net};
use super::entry::{Action, Entry, EntryText, EntryValue, Key, Record, Rule, Treatment};
use super::ip4::{Ip4SetBuilder, Ip4TrieBuilder};
use super::ip6::{Ip6TrieBuilder, Ip6TsetBuilder};
use super::names::NamesBuilder;
use super::records::RecordsBuilder;
use super::values::{EXCLUDED, FIRST, Interner};
use super::{Data, Dataset, Header, Kind};

/// What an entry without a value says, unless a default line says otherwise (rbldnsd.8).
const DEFAULT_A: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// What a rule of an `acl` without a value says, unless a default line says otherwise (rbldnsd.8).
const DEFAULT_ACTION: Option<Action> = Some(Action::Ignore);

/// Why an entry was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// The key is not of the dataset's type.
    #[error("such an entry does not belong into this type of dataset")]
    WrongKind,
    /// 4 GiB of names or texts are there already.
    #[error("the dataset is full: names and texts take at most 4 GiB each")]
    Full,
}

/// A dataset being built.
#[derive(Debug)]
pub struct Builder {
    /// Its type.
    kind: Kind,
    /// What its special lines say.
    header: Header,
    /// Its entries.
    data: DataBuilder,
    /// What they say.
    values: Interner,
    /// The default address and text in force.
    default: (Ipv4Addr, Option<Vec<u8>>),
    /// The default's id, once it was needed.
    default_id: Option<u32>,
    /// The default action in force in an `acl`, rather than the default address and text.
    default_action: Option<Action>,
    /// A default line was met (it counts once and for all in the `tset`s).
    default_fixed: bool,
    /// Entries taken.
    entries: u64,
}

/// Entries by type.
#[derive(Debug)]
enum DataBuilder {
    /// `ip4set`, `ip4tset`.
    Ip4Set(Ip4SetBuilder),
    /// `ip4trie`.
    Ip4Trie(Ip4TrieBuilder),
    /// `ip6tset`.
    Ip6Tset(Ip6TsetBuilder),
    /// `ip6trie`.
    Ip6Trie(Ip6TrieBuilder),
    /// `dnset`.
    Dnset(NamesBuilder),
    /// `generic`.
    Generic(RecordsBuilder),
    /// `acl`.
    Acl(ClientsBuilder),
}

impl Builder {
    /// An empty dataset. `Combined` is not built here but made of finished parts, see [`Dataset::combined`];
    /// a builder for it takes nothing.
    pub fn new(kind: Kind) -> Self {
        let data = match kind {
            Kind::Ip4Set | Kind::Ip4Tset => DataBuilder::Ip4Set(Ip4SetBuilder::default()),
            Kind::Ip4Trie => DataBuilder::Ip4Trie(Ip4TrieBuilder::default()),
            Kind::Ip6Tset => DataBuilder::Ip6Tset(Ip6TsetBuilder::default()),
            Kind::Ip6Trie => DataBuilder::Ip6Trie(Ip6TrieBuilder::default()),
            Kind::Dnset => DataBuilder::Dnset(NamesBuilder::default()),
            Kind::Generic | Kind::Combined => DataBuilder::Generic(RecordsBuilder::default()),
            Kind::Acl => DataBuilder::Acl(ClientsBuilder::default()),
        };
        Self {
            kind,
            header: Header::default(),
            data,
            values: Interner::default(),
            default: (DEFAULT_A, None),
            default_id: None,
            default_action: DEFAULT_ACTION,
            default_fixed: false,
            entries: 0,
        }
    }

    /// Its type.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What its special lines say so far.
    pub fn header_mut(&mut self) -> &mut Header {
        &mut self.header
    }

    /// Whether one value counts for all entries.
    fn one_value(&self) -> bool {
        matches!(self.kind, Kind::Ip4Tset | Kind::Ip6Tset)
    }

    /// A new file begins: the default is the built-in one again, but for the `tset`s.
    pub fn begin_file(&mut self) {
        if !self.one_value() {
            self.default = (DEFAULT_A, None);
            self.default_id = None;
            self.default_action = DEFAULT_ACTION;
        }
    }

    /// A default line. In the `tset`s the first one counts for all entries, those before it included.
    pub fn set_default(&mut self, value: EntryValue<'_>) {
        if self.one_value() && self.default_fixed {
            return;
        }
        self.default_fixed = true;
        let text = match value.text {
            EntryText::Own(text) => Some(text.to_vec()),
            EntryText::Default | EntryText::Empty => None,
        };
        self.default = (value.a.unwrap_or(DEFAULT_A), text);
        self.default_id = None;
        self.default_action = None;
    }

    /// A default line of an `acl` that names an action. What a rule leaves out of its value is then the built-in
    /// default again.
    pub fn set_default_action(&mut self, action: Action) {
        self.default = (DEFAULT_A, None);
        self.default_id = None;
        self.default_action = Some(action);
    }

    /// The id of an entry's value.
    #[inline]
    fn value_id(&mut self, entry: &Entry<'_>) -> Result<u32, AddError> {
        if entry.excluded {
            return Ok(EXCLUDED);
        }
        if self.one_value() {
            return Ok(FIRST);
        }
        match (entry.value, self.default_id) {
            (EntryValue { a: None, text: EntryText::Default }, Some(id)) => Ok(id),
            (value, _) => self.intern(value),
        }
    }

    /// The id of a value that is not the default's, or of the default for the first time.
    fn intern(&mut self, value: EntryValue<'_>) -> Result<u32, AddError> {
        let (default_a, default_text) = &self.default;
        let text = match value.text {
            EntryText::Default => default_text.as_deref(),
            EntryText::Empty => None,
            EntryText::Own(text) => Some(text),
        };
        let id = self.values.value(value.a.unwrap_or(*default_a), text).ok_or(AddError::Full)?;
        if value == EntryValue::default() {
            self.default_id = Some(id);
        }
        Ok(id)
    }

    /// Add an entry.
    #[inline]
    pub fn add(&mut self, entry: &Entry<'_>) -> Result<(), AddError> {
        let id = self.value_id(entry)?;
        match (&mut self.data, entry.key) {
            (DataBuilder::Ip4Set(set), Key::Ip4Net(net)) => set.push(net.network().into(), net.broadcast().into(), id),
            (DataBuilder::Ip4Set(set), Key::Ip4Range(first, last)) => set.push(first.into(), last.into(), id),
            (DataBuilder::Ip4Trie(trie), Key::Ip4Net(net)) => trie.push(net.network().into(), net.prefix_len(), id),
            (DataBuilder::Ip6Trie(trie), Key::Ip6Net(net)) => trie.push(net.network().into(), net.prefix_len(), id),
            (DataBuilder::Ip6Tset(set), Key::Ip6Net(net)) => {
                if entry.excluded {
                    set.except(net.network().into());
                } else {
                    set.list(net.network().into());
                }
            }
            (DataBuilder::Dnset(names), Key::Name(name, scope)) => {
                names.push(name, scope, id).map_err(|_| AddError::Full)?;
            }
            _ => return Err(AddError::WrongKind),
        }
        self.entries += 1;
        Ok(())
    }

    /// Add an IPv4 address under the default value in force; `false` if it must go the long way, through
    /// [`Builder::add`].
    #[inline]
    pub fn add_host(&mut self, address: u32) -> bool {
        let id = match (self.default_id, self.one_value()) {
            (_, true) => FIRST,
            (Some(id), false) => id,
            (None, false) => return false,
        };
        match &mut self.data {
            DataBuilder::Ip4Set(set) => set.push(address, address, id),
            DataBuilder::Ip4Trie(trie) => trie.push(address, 32, id),
            _ => return false,
        }
        self.entries += 1;
        true
    }

    /// Add a record to a `generic` dataset.
    pub fn add_record(&mut self, record: &Record<'_>) -> Result<(), AddError> {
        match &mut self.data {
            DataBuilder::Generic(records) => records.push(record).map_err(|_| AddError::Full)?,
            _ => return Err(AddError::WrongKind),
        }
        self.entries += 1;
        Ok(())
    }

    /// Add a rule to an `acl`.
    pub fn add_rule(&mut self, rule: &Rule<'_>) -> Result<(), AddError> {
        let id = match (rule.treatment, self.default_action) {
            (Treatment::Act(action), _) | (Treatment::Default, Some(action)) => clients::action_id(action),
            (Treatment::Default, None) => self.answer_id(EntryValue::default())?,
            (Treatment::List(value), _) => self.answer_id(value)?,
        };
        let DataBuilder::Acl(clients) = &mut self.data else { return Err(AddError::WrongKind) };
        clients.push(rule.clients, id);
        self.entries += 1;
        Ok(())
    }

    /// The id of a rule that lists everything with a value.
    fn answer_id(&mut self, value: EntryValue<'_>) -> Result<u32, AddError> {
        clients::value_id(self.intern(value)?).ok_or(AddError::Full)
    }

    /// Freeze. Prefixes of a trie that came again are told as `ADDRESS/LENGTH`; the first one counts.
    pub fn freeze(mut self, duplicate: &mut dyn FnMut(String)) -> Dataset {
        if self.one_value() {
            // The id that every entry got is the first one given out.
            let (a, text) = &self.default;
            self.values.value(*a, text.as_deref());
        }
        self.values.seal();
        let values = &mut self.values;
        let data = match self.data {
            DataBuilder::Ip4Set(set) => Data::Ip4Set(set.finish(values)),
            DataBuilder::Ip4Trie(trie) => {
                Data::Ip4Trie(trie.finish(|first, len| duplicate(format!("{}/{len}", Ipv4Addr::from(first)))))
            }
            DataBuilder::Ip6Tset(set) => Data::Ip6Tset(set.finish()),
            DataBuilder::Ip6Trie(trie) => Data::Ip6Trie(trie.finish(|first, len| duplicate(ip6_net(first, len)))),
            DataBuilder::Dnset(names) => Data::Dnset(names.finish(|ids| values.combine(ids))),
            DataBuilder::Generic(records) => Data::Generic(records.finish()),
            DataBuilder::Acl(clients) => Data::Acl(clients.finish(duplicate)),
        };
        Dataset { kind: self.kind, header: self.header, data, values: self.values.finish(), entries: self.entries }
    }
}
