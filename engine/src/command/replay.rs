//! The deadlines a primary sends along with a replicated command, written and read here only.

use crate::host::{Deadline, Done, Effect};
use crate::{Error, Time, lifetime};

/// A deadline as a primary left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replayed {
    Keep,
    Clear,
    At(Time),
}

impl Replayed {
    /// What it means for a key that has the deadline `current` here.
    pub(super) fn against(self, current: Option<Time>, effect: Effect) -> Deadline {
        match self {
            Self::Keep => Deadline::Keep,
            Self::Clear => Deadline::Clear,
            Self::At(to) => Deadline::Move {
                to,
                shortened: effect != Effect::Created && current.is_none_or(|current| to < current),
            },
        }
    }
}

impl Done<'_> {
    /// Writes one word a touched key, with commas between: milliseconds since the epoch, `-` for unchanged, `none` for
    /// no deadline any more.
    pub fn write_deadlines(&self, mut write: impl FnMut(&[u8])) {
        for (at, touched) in self.touched.iter().enumerate() {
            if at > 0 {
                write(b",");
            }
            match touched.deadline {
                Deadline::Keep => write(b"-"),
                Deadline::Clear => write(b"none"),
                Deadline::Move { to, .. } => write(itoa::Buffer::new().format(to).as_bytes()),
            }
        }
    }
}

pub(super) fn parse(text: &[u8]) -> Result<Vec<Replayed>, Error> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(|byte| *byte == b',')
        .map(|word| match word {
            b"-" => Ok(Replayed::Keep),
            b"none" => Ok(Replayed::Clear),
            _ => lifetime::deadline(word).map(Replayed::At),
        })
        .collect()
}
