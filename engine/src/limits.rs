//! Limits: what a client's command may use, and how an edit is held to them before it allocates anything.
//!
//! A primary checks them once, for its clients. Replayed commands and saved documents are held to
//! [`Limits::TOP`] only, so a node with lower limits keeps what another one accepted.

use std::ops::RangeInclusive;

use crate::json::{MAX_DEPTH, MAX_DIGITS};
use crate::{Document, Draft, Error};

/// A limit that an administrator can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The bytes of one document's text.
    Document,
    /// The levels of containers in one another.
    Depth,
    /// The bytes by which one batch may make documents grow, its replies included.
    Batch,
    /// The bytes of one reply.
    Reply,
}

/// The bytes of the largest document and the default of everything counted in bytes: the server's own limit for
/// the strings of its requests and replies.
const LARGEST: usize = 512 << 20;

impl Limit {
    /// In the order of the values in [`Limits`].
    pub const ALL: [Self; 4] = [Self::Document, Self::Depth, Self::Batch, Self::Reply];

    /// The setting's name; servers put the module's name before it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Document => "max-document",
            Self::Depth => "max-depth",
            Self::Batch => "max-batch",
            Self::Reply => "max-reply",
        }
    }

    pub fn unit(self) -> &'static str {
        if self == Self::Depth { "levels" } else { "bytes" }
    }

    /// The values that it can have.
    pub fn range(self) -> RangeInclusive<usize> {
        match self {
            Self::Document | Self::Reply => 1024..=LARGEST,
            Self::Depth => 1..=MAX_DEPTH,
            Self::Batch => 1024..=1 << 40,
        }
    }

    /// What exceeds it, and what to do about that.
    pub(crate) fn explanation(self) -> (&'static str, &'static str) {
        match self {
            Self::Document => ("the document would be too large", "split the document or raise the limit"),
            Self::Depth => ("the document would be nested too deep", "flatten it or raise the limit"),
            Self::Batch => ("the batch would hold too much", "split the batch or raise the limit"),
            Self::Reply => ("the reply would be too large", "ask for less at once or raise the limit"),
        }
    }
}

/// A value for each limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    values: [usize; Limit::ALL.len()],
    /// How long the text of a number that is no integer may be.
    pub(crate) number: usize,
}

impl Limits {
    /// What holds everywhere, for replayed commands and saved documents too.
    pub const TOP: Self = Self { values: [LARGEST, MAX_DEPTH, usize::MAX, usize::MAX], number: usize::MAX };

    /// The defaults. Any document can be read, and a batch can write one of any size.
    pub const DEFAULT: Self = Self { values: [LARGEST, MAX_DEPTH, LARGEST, LARGEST], number: MAX_DIGITS };

    pub fn get(&self, limit: Limit) -> usize {
        self.values[limit as usize]
    }

    /// Sets a limit, or refuses a value that is out of its range.
    pub fn set(&mut self, limit: Limit, value: usize) -> Result<(), Error> {
        if !limit.range().contains(&value) {
            return Err(Error::range(value.to_string().as_bytes(), "not in the range of this limit"));
        }
        self.values[limit as usize] = value;
        Ok(())
    }

    /// The document as a command may change it, held to the limit of a single one.
    pub fn draft<'d>(&self, document: &'d mut Document) -> Draft<'d> {
        Draft::new(document, self.bound(Limit::Document))
    }

    pub(crate) fn bound(&self, limit: Limit) -> Bound {
        let value = self.get(limit);
        Bound { bytes: value, cause: Cause::Limit(limit, value) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How many bytes something may have, and why no more.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    pub(crate) bytes: usize,
    cause: Cause,
}

#[derive(Clone, Copy, Debug)]
enum Cause {
    Limit(Limit, usize),
    /// The memory that the host has left.
    Memory,
}

impl Bound {
    /// Of the host's memory.
    pub(crate) fn memory(bytes: usize) -> Self {
        Self { bytes, cause: Cause::Memory }
    }

    pub(crate) fn check(self, bytes: usize) -> Result<(), Error> {
        if bytes <= self.bytes { Ok(()) } else { Err(self.error()) }
    }

    /// Lets shrink what is too large already.
    pub(crate) fn check_change(self, before: usize, after: usize) -> Result<(), Error> {
        if after <= before { Ok(()) } else { self.check(after) }
    }

    pub(crate) fn error(self) -> Error {
        match self.cause {
            Cause::Limit(limit, value) => Error::Beyond { limit, value },
            Cause::Memory => Error::OutOfMemory { grows: true },
        }
    }

    /// What is left when so many bytes are used.
    pub(crate) fn less(self, used: usize) -> Self {
        Self { bytes: self.bytes.saturating_sub(used), ..self }
    }

    /// With so many bytes more.
    pub(crate) fn plus(self, bytes: usize) -> Self {
        Self { bytes: self.bytes.saturating_add(bytes), ..self }
    }

    /// The tighter one of two.
    pub(crate) fn min(self, other: Self) -> Self {
        if other.bytes < self.bytes { other } else { self }
    }
}
