//! What the access lists make of a client: the step between choosing a zone and looking into it.
//!
//! A zone may have a list of its own, and there may be one for all zones. The stricter word counts: ignore before refuse
//! before empty before "everything is listed"; where both list everything, the list for all zones gives the text. So
//! a `:pass` never lifts what the other list says.

use std::net::IpAddr;

use super::{Snapshot, Zone};
use crate::dataset::Dataset;
use crate::dataset::clients::Decision;
use crate::dataset::entry::Action;
use crate::dataset::template::Subject;

/// What becomes of a client's query.
#[derive(Clone, Copy, Debug, Default)]
pub enum Access<'s> {
    /// It is answered from the data.
    #[default]
    Open,
    /// Everything is listed, with a value of an access list.
    Listed(Everything<'s>),
    /// Nothing is listed.
    Empty,
    /// It is refused.
    Refuse,
    /// It is not answered.
    Ignore,
}

/// The value with which everything is listed for a client.
#[derive(Clone, Copy, Debug)]
pub struct Everything<'s> {
    /// The access list that has it.
    pub(super) list: &'s Dataset,
    /// Its id there.
    pub(super) id: u32,
    /// The client, for which `$` stands in the text.
    pub(super) client: IpAddr,
}

impl Everything<'_> {
    /// What `$` stands for in the text.
    pub(super) fn subject(&self) -> Subject<'static> {
        match self.client.to_canonical() {
            IpAddr::V4(client) => Subject::Ip4(client.into()),
            IpAddr::V6(client) => Subject::Ip6(client.into()),
        }
    }
}

impl<'s> Access<'s> {
    /// What one list says.
    fn of(list: &'s Dataset, client: IpAddr) -> Self {
        match list.decide(client) {
            Decision::Act(Action::Pass) => Self::Open,
            Decision::Act(Action::Ignore) => Self::Ignore,
            Decision::Act(Action::Refuse) => Self::Refuse,
            Decision::Act(Action::Empty) => Self::Empty,
            Decision::List(id) => Self::Listed(Everything { list, id, client }),
        }
    }

    /// How strict it is.
    fn rank(&self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Listed(_) => 1,
            Self::Empty => 2,
            Self::Refuse => 3,
            Self::Ignore => 4,
        }
    }

    /// The stricter of two; this one if they are alike.
    fn or_stricter(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }
}

impl Snapshot {
    /// What the access list for all zones says of a client, whatever it asks.
    #[inline]
    pub fn access(&self, client: IpAddr) -> Access<'_> {
        self.acl.as_deref().map_or(Access::Open, |list| Access::of(list, client))
    }
}

impl Zone {
    /// What becomes of a client's query to this zone; `global` is what the list for all zones says.
    #[inline]
    pub fn access<'s>(&'s self, global: Access<'s>, client: IpAddr) -> Access<'s> {
        self.acl.as_deref().map_or(global, |list| global.or_stricter(Access::of(list, client)))
    }
}
