//! A document under a command's hands.

use std::ops::{Deref, DerefMut};

use crate::journal::Change;
use crate::limits::Bound;
use crate::node::{Edit, Node};
use crate::path::{Path, Step, has_filter};
use crate::{Document, Error};

/// A document to change, and how long its text may become. Whoever opens it sets the bound: a host by its limits, a
/// batch by what it has left.
#[derive(Debug)]
pub struct Draft<'d> {
    document: &'d mut Document,
    bound: Bound,
    /// Where edits are noted, for a host that wants to know them.
    journal: Option<&'d mut Vec<Change>>,
}

impl<'d> Draft<'d> {
    pub(crate) fn new(document: &'d mut Document, bound: Bound) -> Self {
        Self { document, bound, journal: None }
    }

    /// The same, with its edits noted.
    pub(crate) fn noting_in(self, journal: &'d mut Vec<Change>) -> Self {
        Self { journal: Some(journal), ..self }
    }

    /// Forgets the last changes that were noted, so many: they have been undone, and come to nothing.
    pub(crate) fn forget(&mut self, changes: usize) {
        if let Some(journal) = self.journal.as_deref_mut() {
            journal.truncate(journal.len().saturating_sub(changes));
        }
    }

    /// How many bytes its text can still grow by.
    pub(crate) fn room(&self) -> Bound {
        self.bound.less(self.len())
    }

    /// Edits the value that `steps` lead to; see [`Document::edit`].
    pub(crate) fn edit<'e, T>(
        &mut self,
        steps: &[Step],
        mut look: impl FnMut(Node<'_>) -> Result<(T, Option<Edit<'e>>), Error>,
    ) -> Result<Option<T>, Error> {
        // The edits before this one may have made it large: then each of those to come would cost its size.
        self.document.break_up();
        if self.journal.is_none() && !has_filter(steps) {
            return self.document.edit(steps, self.bound, look);
        }
        let Some(steps) = self.document.root().settle(steps)? else {
            return Ok(None);
        };
        let Some(journal) = self.journal.as_deref_mut() else {
            return self.document.edit(&steps, self.bound, look);
        };
        let Some((path, _)) = self.document.root().resolve(&steps)? else {
            return Ok(None);
        };
        let mut changes = Vec::new();
        let seen = self.document.edit(path.steps(), self.bound, |node| {
            let (seen, edit) = look(node)?;
            if let Some(edit) = &edit {
                changes = Change::of(edit, path.clone(), node);
            }
            Ok((seen, edit))
        })?;
        journal.append(&mut changes);
        Ok(seen)
    }

    /// Replaces the whole value and counts a write. `text` is canonical.
    pub(crate) fn replace(&mut self, text: &[u8]) -> Result<(), Error> {
        self.document.edit(&[], self.bound, |_| Ok(((), Some(Edit::Set(text.into())))))?;
        if let Some(journal) = self.journal.as_deref_mut() {
            journal.push(Change::Put { path: Path::default(), value: text.to_vec() });
        }
        Ok(())
    }

    /// Counts all the edits that `edits` makes as one write.
    pub(crate) fn edit_once<T>(
        &mut self,
        edits: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let before = self.header().version;
        let result = edits(self);
        if self.header().version != before {
            let edited = u32::from(result.is_ok());
            self.document.set_version(before.wrapping_add(edited));
        }
        result
    }

    /// Makes edits that may fail in the middle: all of them or none.
    pub(crate) fn edit_or_restore<T>(
        &mut self,
        edits: impl FnOnce(&mut Draft<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut edited = self.document.clone();
        let mut changes = Vec::new();
        let journal = self.journal.is_some().then_some(&mut changes);
        let answer = edits(&mut Draft { document: &mut edited, bound: self.bound, journal })?;
        *self.document = edited;
        if let Some(journal) = self.journal.as_deref_mut() {
            journal.append(&mut changes);
        }
        Ok(answer)
    }
}

impl Deref for Draft<'_> {
    type Target = Document;

    fn deref(&self) -> &Document {
        self.document
    }
}

impl DerefMut for Draft<'_> {
    fn deref_mut(&mut self) -> &mut Document {
        self.document
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::limits::Limit;

    #[test]
    fn a_document_that_grows_under_many_edits_is_broken_up_on_the_way() {
        let below = [Step::Name(br#""members""#[..].into())];
        for steps in [&below[..], &[]] {
            let mut document = Document::new(br#"{"members":{}}"#, 1).unwrap();
            let mut draft = Draft::new(&mut document, Limits::TOP.bound(Limit::Document));
            for number in 0..2_000 {
                let name = format!("\"member {number}\"").into_bytes().into();
                let put = Edit::Put { name: &name, value: b"1" };
                draft.edit(steps, |_| Ok(((), Some(put.clone())))).unwrap().unwrap();
            }
            assert!(!document.is_unbroken());
            document.check();
        }
    }
}
