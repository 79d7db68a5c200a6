//! A document: its header and its value.
//!
//! A small document is one allocation, little endian: created (6 bytes), version (4), length of the text (5),
//! flags (1), the canonical JSON text, and the document's own window (8) where it has one. Sixteen bytes beside
//! the text are what a plain string key pays for its own bookkeeping, so a document weighs about what its text
//! weighs. An edit rewrites it, so a larger one is a [`Large`]: chunks behind the same sixteen bytes.

use std::borrow::Cow;
use std::ops::{ControlFlow, Range};

use crate::container::{Container, LARGE, Outcome, fits};
use crate::defrag::{Mover, Sweep};
use crate::node::{By, Edit, Node};
use crate::path::{Step, locate};
use crate::{Error, Millis, Time, json};

const CREATED: Range<usize> = 0..6;
const VERSION: Range<usize> = 6..10;
const LENGTH: Range<usize> = 10..15;
const FLAGS: usize = 15;
const HEADER: usize = 16;
const WINDOW: usize = 8;
const HAS_WINDOW: u8 = 1;
const IS_LARGE: u8 = 2;

/// The longest text that stays one until somebody looks into it: breaking it up then takes a fraction of a
/// millisecond.
const WHOLE: usize = if cfg!(test) { 2 * LARGE } else { 64 << 10 };

/// The largest text, as for the server's own strings.
const MAX_TEXT: usize = 512 << 20;

/// What a document remembers about its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub created: Time,
    /// Goes up by one with every write, and wraps.
    pub version: u32,
    /// The document's own window, which stands in for its policy's.
    pub window: Option<Millis>,
}

impl Header {
    fn to_bytes(self, len: usize, form: u8) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[CREATED].copy_from_slice(&self.created.to_le_bytes()[..CREATED.len()]);
        bytes[VERSION].copy_from_slice(&self.version.to_le_bytes());
        bytes[LENGTH].copy_from_slice(&len.to_le_bytes()[..LENGTH.len()]);
        bytes[FLAGS] = form | if self.window.is_some() { HAS_WINDOW } else { 0 };
        bytes
    }

    fn from_bytes(bytes: &[u8], window: impl FnOnce() -> Millis) -> Self {
        Self {
            created: number(&bytes[CREATED]) as Time,
            version: number(&bytes[VERSION]) as u32,
            window: (bytes[FLAGS] & HAS_WINDOW != 0).then(window),
        }
    }
}

/// See the module's text. Cloning copies value and header.
#[derive(Clone, Debug)]
pub struct Document {
    stored: Stored,
}

/// A document as what a host can keep by one thin pointer: either way the first sixteen bytes are the header,
/// and [`Document::stored_len`] tells from it which it is.
#[derive(Clone, Debug)]
pub enum Stored {
    Small(Box<[u8]>),
    Large(Box<Large>),
}

/// A document whose value is a container of many kilobytes.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Large {
    /// As a small document's, without a length.
    header: [u8; HEADER],
    /// Says something only where the header says so.
    window: Millis,
    value: Container,
}

impl Document {
    /// A new document of version 1 without a window of its own. `text` is canonical.
    pub fn new(text: &[u8], created: Time) -> Result<Self, Error> {
        Self::assemble(Header { created, version: 1, window: None }, &[text])
    }

    /// A document from what was saved: nothing of it is trusted.
    pub fn restore(header: Header, text: &[u8]) -> Result<Self, Error> {
        let text = json::canonical(text, 0)?;
        if !(0..1 << 48).contains(&header.created) {
            return Err(Error::Limit { reason: "a document's creation time is out of range" });
        }
        Self::assemble(header, &[&text])
    }

    /// The whole text; gathered into one piece where the document is large.
    pub fn text(&self) -> Cow<'_, [u8]> {
        self.root().text()
    }

    pub fn header(&self) -> Header {
        match &self.stored {
            Stored::Small(bytes) => Header::from_bytes(bytes, || {
                let at = HEADER + text_len(bytes);
                number(&bytes[at..at + WINDOW]) as Millis
            }),
            Stored::Large(large) => Header::from_bytes(&large.header, || large.window),
        }
    }

    /// How many bytes its text can still grow by.
    pub(crate) fn room(&self) -> usize {
        MAX_TEXT
            - match self.root() {
                Node::Text(text) => text.len(),
                Node::Large(value) => value.len(),
            }
    }

    /// The bytes it occupies, allocations included as far as they are known.
    pub fn memory(&self) -> usize {
        match &self.stored {
            Stored::Small(bytes) => bytes.len(),
            Stored::Large(large) => size_of::<Large>() + large.value.memory(),
        }
    }

    /// How much work freeing it is, a step an allocation or 64 KiB of one: memory goes back to the system by pages.
    pub fn free_effort(&self) -> usize {
        match &self.stored {
            Stored::Small(bytes) => (bytes.len() >> 16) + 1,
            Stored::Large(large) => large.value.free_effort(),
        }
    }

    /// Offers its allocations to `mover`, from the one at `from` on: where to go on, if it had to stop.
    pub fn defragment(&mut self, from: usize, mover: &mut impl Mover) -> Option<usize> {
        let mut sweep = Sweep::new(mover, from);
        let flow = match &mut self.stored {
            Stored::Small(bytes) => sweep.part(|mover| mover.bytes(bytes)),
            Stored::Large(large) => match sweep.part(|mover| mover.boxed(large)) {
                ControlFlow::Continue(()) => large.value.defragment(&mut sweep),
                stopped @ ControlFlow::Break(()) => stopped,
            },
        };
        flow.is_break().then(|| sweep.at())
    }

    /// Fails where the parts and the totals do not agree.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        if let Stored::Large(large) = &self.stored {
            large.value.check();
        }
    }

    /// The value as a whole.
    pub(crate) fn root(&self) -> Node<'_> {
        match &self.stored {
            Stored::Small(bytes) => Node::Text(&bytes[HEADER..HEADER + text_len(bytes)]),
            Stored::Large(large) => Node::Large(&large.value),
        }
    }

    /// Edits the value that `steps` lead to as `look`, which sees it, says; a change counts as a write.
    ///
    /// What `look` answers is passed on; `None` when nothing is there to look at. On an error nothing changed.
    pub(crate) fn edit<'e, T>(
        &mut self,
        steps: &[Step],
        mut look: impl FnMut(Node<'_>) -> Result<(T, Option<Edit<'e>>), Error>,
    ) -> Result<Option<T>, Error> {
        let mut answer = None;
        let mut look = |node: Node<'_>| {
            let (seen, edit) = look(node)?;
            answer = Some(seen);
            Ok(edit)
        };
        let header = self.header();
        let header = Header { version: header.version.wrapping_add(1), ..header };
        match &mut self.stored {
            Stored::Small(bytes) => {
                let text = &bytes[HEADER..HEADER + text_len(bytes)];
                if let Some(span) = locate(steps, text, 0..text.len())
                    && let Some(edit) = look(Node::Text(&text[span.clone()]))?
                {
                    let splice = edit.splice(text, span, steps.last());
                    if splice.added() == splice.range.len() {
                        splice.overwrite(&mut bytes[HEADER..]);
                        self.set_version(header.version);
                    } else {
                        let edited = Self::assemble(header, &splice.parts_of(text))?;
                        *self = edited;
                    }
                }
            }
            Stored::Large(large) => {
                let room = MAX_TEXT - large.value.len();
                match large.value.edit(steps, room, &mut look)? {
                    Outcome::Above(Edit::Set(value)) => *self = Self::assemble(header, &[&value])?,
                    Outcome::Missing | Outcome::Declined | Outcome::Above(_) => {}
                    Outcome::Done if large.value.is_small() => {
                        *self = Self::assemble(header, &[&large.value.text()])?;
                    }
                    Outcome::Done => self.set_version(header.version),
                }
            }
        }
        Ok(answer)
    }

    /// Replaces the whole value and counts a write. `text` is canonical.
    pub(crate) fn replace(&mut self, text: &[u8]) -> Result<(), Error> {
        self.edit(&[], |_| Ok(((), Some(Edit::Set(text.into()))))).map(drop)
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
            self.set_version(before.wrapping_add(edited));
        }
        result
    }

    /// Sets or removes the document's own window. The text and the version stay.
    pub fn set_window(&mut self, window: Option<Millis>) -> Result<(), Error> {
        let header = Header { window, ..self.header() };
        if let Stored::Large(large) = &mut self.stored {
            large.header = header.to_bytes(0, IS_LARGE);
            large.window = window.unwrap_or_default();
            return Ok(());
        }
        *self = Self::assemble(header, &[&self.text()])?;
        Ok(())
    }

    /// What a host keeps.
    pub fn into_stored(self) -> Stored {
        self.stored
    }

    /// The document that `into_stored` took apart.
    ///
    /// # Panics
    /// When the length does not follow from the header: the bytes are not from `into_stored`.
    pub fn from_stored(stored: Stored) -> Self {
        if let Stored::Small(bytes) = &stored {
            let header = bytes.first_chunk();
            assert_eq!(
                header.and_then(Self::stored_len),
                Some(bytes.len()),
                "a document's allocation has the length its header says"
            );
        }
        Self { stored }
    }

    /// The length of a small document's allocation, from its first bytes; `None` when they start a [`Large`].
    pub fn stored_len(header: &[u8; HEADER]) -> Option<usize> {
        let window = if header[FLAGS] & HAS_WINDOW == 0 { 0 } else { WINDOW };
        (header[FLAGS] & IS_LARGE == 0).then(|| HEADER + text_len(header) + window)
    }

    fn set_version(&mut self, version: u32) {
        let header = match &mut self.stored {
            Stored::Small(bytes) => &mut bytes[..HEADER],
            Stored::Large(large) => &mut large.header,
        };
        header[VERSION].copy_from_slice(&version.to_le_bytes());
    }

    /// Readies the document for reads and edits below the root, which then do not cost its size.
    ///
    /// A text of up to [`WHOLE`] bytes stays one until then: reading the whole of it is one copy.
    pub(crate) fn break_up(&mut self) {
        if self.is_unbroken()
            && let Some(value) = Container::new(&self.text())
        {
            *self = Self::of_chunks(self.header(), value);
        }
    }

    /// Whether [`Self::break_up`] has something to do.
    pub(crate) fn is_unbroken(&self) -> bool {
        matches!(self.root(), Node::Text(text) if text.len() > LARGE && Container::is_one(text))
    }

    /// Readies the array at `steps` for look-ups of its elements, which then do not cost its size; a part of it at
    /// a time.
    pub(crate) fn index(&mut self, steps: &[Step], by: By) {
        if let Stored::Large(large) = &mut self.stored {
            large.value.index(steps, by);
        }
    }

    /// Whether [`Self::index`] has something to do.
    pub(crate) fn is_unindexed(&self, steps: &[Step], by: By) -> bool {
        matches!(self.root().find(steps), Some(Node::Large(container)) if container.is_unindexed(by))
    }

    fn of_chunks(header: Header, value: Container) -> Self {
        let window = header.window.unwrap_or_default();
        let large = Large { header: header.to_bytes(0, IS_LARGE), window, value };
        Self { stored: Stored::Large(Box::new(large)) }
    }

    fn assemble(header: Header, parts: &[&[u8]]) -> Result<Self, Error> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        fits(MAX_TEXT, 0, len)?;
        if len > WHOLE
            && let Some(value) = Container::new(&parts.concat())
        {
            return Ok(Self::of_chunks(header, value));
        }
        let window = header.window.map(Millis::to_le_bytes);
        let mut bytes = Vec::with_capacity(HEADER + len + window.map_or(0, |window| window.len()));
        bytes.extend_from_slice(&header.to_bytes(len, 0));
        for part in parts {
            bytes.extend_from_slice(part);
        }
        if let Some(window) = window {
            bytes.extend_from_slice(&window);
        }
        Ok(Self { stored: Stored::Small(bytes.into_boxed_slice()) })
    }
}

/// The length of a small document's text.
fn text_len(bytes: &[u8]) -> usize {
    number(&bytes[LENGTH]) as usize
}

/// A little-endian number of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATED_AT: Time = 1_700_000_000_123;

    fn set(document: &mut Document, index: i64, value: &[u8]) {
        document.edit(&[Step::Index(index)], |_| Ok(((), Some(Edit::Set(value.into()))))).unwrap().unwrap();
    }

    fn stored(document: Document) -> Box<[u8]> {
        match document.into_stored() {
            Stored::Small(bytes) => bytes,
            Stored::Large(large) => panic!("{large:?}"),
        }
    }

    #[test]
    fn the_header_costs_sixteen_bytes_and_says_the_length() {
        let bytes = stored(Document::new(b"{\"a\":1}", CREATED_AT).unwrap());
        assert_eq!(bytes.len(), 16 + 7);
        assert_eq!(Document::stored_len(bytes.first_chunk().unwrap()), Some(bytes.len()));
        let document = Document::from_stored(Stored::Small(bytes));
        assert_eq!(document.header(), Header { created: CREATED_AT, version: 1, window: None });
        assert_eq!(&*document.text(), b"{\"a\":1}");
    }

    #[test]
    fn an_edit_keeps_created_and_window_and_counts_a_write() {
        let many = format!("[1{}]", ",0".repeat(LARGE * 3 / 4));
        for (text, broken_up) in [("[1,2]", false), (&many, false), (&many, true)] {
            let mut document = Document::new(text.as_bytes(), CREATED_AT).unwrap();
            assert_eq!(document.is_unbroken(), text.len() > LARGE);
            if broken_up {
                document.break_up();
                assert!(!document.is_unbroken());
            }
            document.set_window(Some(7_200_000)).unwrap();
            set(&mut document, 1, b"20");
            assert!(document.text().starts_with(b"[1,20"));
            set(&mut document, 0, b"9");
            assert!(document.text().starts_with(b"[9,20"));
            assert_eq!(
                document.header(),
                Header { created: CREATED_AT, version: 3, window: Some(7_200_000) }
            );
            document.set_window(None).unwrap();
            assert_eq!(document.header(), Header { created: CREATED_AT, version: 3, window: None });
        }
    }

    #[test]
    fn a_header_survives_growing_large_and_small_again() {
        let mut document = Document::new(b"[]", CREATED_AT).unwrap();
        document.set_window(Some(5)).unwrap();
        let large = format!("[{}]", vec!["1"; WHOLE].join(","));
        for (text, is_large) in [(large.as_bytes(), true), (b"[22]", false)] {
            let before = document.header();
            document.replace(text).unwrap();
            assert_eq!(document.header(), Header { version: before.version + 1, ..before });
            assert_eq!(&*document.text(), text);
            let stored = document.clone().into_stored();
            let header = match &stored {
                Stored::Small(bytes) => bytes.first_chunk().unwrap(),
                Stored::Large(large) => &large.header,
            };
            assert_eq!(Document::stored_len(header).is_none(), is_large);
            assert_eq!(Document::from_stored(stored).header(), document.header());
        }
    }

    #[test]
    fn several_edits_can_count_as_one_write() {
        let mut document = Document::new(b"[1,2]", CREATED_AT).unwrap();
        let failed: Result<(), _> = document.edit_once(|document| {
            set(document, 0, b"3");
            set(document, 0, b"1");
            Err(Error::NoKey)
        });
        assert!(failed.is_err());
        assert_eq!(document.header().version, 1);
        let edited = document.edit_once(|document| {
            set(document, 0, b"3");
            set(document, 1, b"4");
            Ok(())
        });
        assert!(edited.is_ok());
        assert_eq!((&*document.text(), document.header().version), (&b"[3,4]"[..], 2));
    }

    #[test]
    fn the_version_wraps() {
        let header = Header { created: 1, version: u32::MAX, window: None };
        let mut document = Document::restore(header, b"1").unwrap();
        document.replace(b"22").unwrap();
        assert_eq!(document.header().version, 0);
    }

    #[test]
    fn what_was_saved_is_checked_when_it_comes_back() {
        let header = Header { created: 1, version: 1, window: None };
        assert!(Document::restore(header, b"{\"a\":}").is_err());
        assert!(Document::restore(Header { created: 1 << 48, ..header }, b"1").is_err());
        assert!(Document::restore(Header { created: -1, ..header }, b"1").is_err());
    }
}
