//! A column of small numbers in the narrowest width that holds them.
//!
//! Beside each key stands the id of its value. Blocklists have few values: most often one, seldom over 255. So a
//! column starts as one number for all rows and widens when a row needs it.

use std::mem;

use super::frozen;
use crate::sys;

/// Numbers by row.
#[derive(Clone, Debug)]
pub enum Column {
    /// The same number in each of so many rows.
    Same(u32, usize),
    /// An octet a row.
    U8(Vec<u8>),
    /// Two octets a row.
    U16(Vec<u16>),
    /// Four octets a row.
    U32(Vec<u32>),
}

impl Default for Column {
    fn default() -> Self {
        Self::Same(0, 0)
    }
}

impl Column {
    /// Rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Same(_, len) => *len,
            Self::U8(rows) => rows.len(),
            Self::U16(rows) => rows.len(),
            Self::U32(rows) => rows.len(),
        }
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number in a row; 0 past the end.
    #[inline]
    pub fn get(&self, row: usize) -> u32 {
        match self {
            Self::Same(number, _) => *number,
            Self::U8(rows) => rows.get(row).copied().unwrap_or(0).into(),
            Self::U16(rows) => rows.get(row).copied().unwrap_or(0).into(),
            Self::U32(rows) => rows.get(row).copied().unwrap_or(0),
        }
    }

    /// Bring a row into the cache.
    #[inline]
    pub fn prefetch(&self, row: usize) {
        match self {
            Self::Same(..) => {}
            Self::U8(rows) => sys::prefetch(rows, row),
            Self::U16(rows) => sys::prefetch(rows, row),
            Self::U32(rows) => sys::prefetch(rows, row),
        }
    }

    /// Add a row.
    #[inline]
    pub fn push(&mut self, number: u32) {
        match self {
            Self::Same(same, len) if *same == number => *len += 1,
            Self::U8(rows) if number <= 0xff => rows.push(number as u8),
            Self::U16(rows) if number <= 0xffff => rows.push(number as u16),
            Self::U32(rows) => rows.push(number),
            _ => self.push_wider(number),
        }
    }

    /// Add a row that the present width can not hold.
    #[cold]
    fn push_wider(&mut self, number: u32) {
        if self.is_empty() {
            *self = Self::Same(number, 1);
            return;
        }
        self.widen(number);
        self.push(number);
    }

    /// A column of zeros as wide as `like`, to be filled row by row.
    pub fn zeroed_like(like: &Self) -> Self {
        match like {
            Self::Same(number, len) => Self::Same(*number, *len),
            Self::U8(rows) => Self::U8(vec![0; rows.len()]),
            Self::U16(rows) => Self::U16(vec![0; rows.len()]),
            Self::U32(rows) => Self::U32(vec![0; rows.len()]),
        }
    }

    /// Put a number into a row, widening the column if it needs it.
    #[inline]
    pub fn set(&mut self, row: usize, number: u32) {
        match self {
            Self::Same(same, _) if *same == number => {}
            Self::U8(rows) if number <= 0xff => rows[row] = number as u8,
            Self::U16(rows) if number <= 0xffff => rows[row] = number as u16,
            Self::U32(rows) => rows[row] = number,
            _ => {
                self.widen(number);
                self.set(row, number);
            }
        }
    }

    /// Make room for a number that the present width can not hold.
    #[cold]
    fn widen(&mut self, number: u32) {
        let max = (0..self.len()).map(|row| self.get(row)).max().unwrap_or(0).max(number);
        let rows = 0..self.len();
        *self = match max {
            0..=0xff => Self::U8(rows.map(|row| self.get(row) as u8).collect()),
            0x100..=0xffff => Self::U16(rows.map(|row| self.get(row) as u16).collect()),
            _ => Self::U32(rows.map(|row| self.get(row)).collect()),
        };
    }

    /// Keep the first `len` rows and give the rest of the memory back.
    pub fn finish(&mut self, len: usize) {
        match self {
            Self::Same(_, rows) => *rows = len,
            Self::U8(rows) => finish(rows, len),
            Self::U16(rows) => finish(rows, len),
            Self::U32(rows) => finish(rows, len),
        }
    }

    /// Heap memory, octets.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Same(..) => 0,
            Self::U8(rows) => rows.capacity(),
            Self::U16(rows) => rows.capacity() * 2,
            Self::U32(rows) => rows.capacity() * 4,
        }
    }
}

/// Keep the first `len` rows, as they stay.
fn finish<T>(rows: &mut Vec<T>, len: usize) {
    rows.truncate(len);
    *rows = frozen(mem::take(rows)).into_vec();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_holds_what_was_pushed_at_every_width() {
        for numbers in [
            vec![],
            vec![7; 5],
            vec![0, 0, 1, 255],
            vec![3, 3, 256, 2],
            vec![3, 70_000, 1],
            (0..70_000).collect::<Vec<u32>>(),
        ] {
            let mut column = Column::default();
            numbers.iter().for_each(|&n| column.push(n));
            assert_eq!((0..column.len()).map(|row| column.get(row)).collect::<Vec<_>>(), numbers);
        }
    }

    #[test]
    fn a_widened_column_keeps_its_rows() {
        let mut column = Column::Same(4, 3);
        column.set(1, 300);
        assert_eq!([column.get(0), column.get(1), column.get(2)], [4, 300, 4]);
    }
}
