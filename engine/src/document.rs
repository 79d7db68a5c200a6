//! A document: its header and its value.
//!
//! A small document is one allocation, little endian: created (6 bytes), version (4), length (5), flags (1), the
//! canonical JSON text, and the document's own window (8) where it has one. Sixteen bytes beside the text are what
//! a plain string key pays for its own bookkeeping, so a document weighs about what its text weighs. Fields that a
//! later release saved follow at the end, with their length (4) behind them; the length in the header is then that
//! of the text and of these. An edit rewrites a small document, so a larger one is a [`Large`]: chunks behind the
//! same sixteen bytes.

use std::borrow::Cow;
use std::ops::{ControlFlow, Range};

use crate::container::{Container, LARGE, Outcome};
use crate::defrag::{Mover, Sweep};
use crate::fields::{self, Unknown, Writer};
use crate::lifetime::{self, MAX_SPAN};
use crate::limits::{Bound, Limit, Limits};
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
const HAS_UNKNOWN: u8 = 4;
const UNKNOWN_LENGTH: usize = 4;

/// The tags of a saved document's fields.
mod tag {
    use crate::fields::Tag;

    pub(super) const CREATED: Tag = 1;
    pub(super) const VERSION: Tag = 3;
    pub(super) const WINDOW: Tag = 5;
}

/// The longest text that stays one until somebody looks into it: breaking it up then takes a fraction of a
/// millisecond.
const WHOLE: usize = if cfg!(test) { 2 * LARGE } else { 64 << 10 };

/// What a document remembers about its lifetime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    pub created: Time,
    /// Goes up by one with every write, and wraps.
    pub version: u32,
    /// The document's own window, which stands in for its policy's.
    pub window: Option<Millis>,
}

impl Header {
    /// Refuses what could not be saved and loaded again.
    fn validate(&self) -> Result<(), Error> {
        lifetime::time(self.created, "a document's creation time is out of range")?;
        match self.window {
            Some(window) if !(1..=MAX_SPAN).contains(&window) => {
                Err(Error::range(window.to_string().as_bytes(), "a document's window is 1 ms to 100 years"))
            }
            _ => Ok(()),
        }
    }

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
    /// Fields that a later release saved.
    unknown: Box<[u8]>,
    value: Container,
}

impl Large {
    fn defragment(self: &mut Box<Self>, sweep: &mut Sweep<'_, impl Mover>) -> ControlFlow<()> {
        sweep.part(|mover| mover.boxed(self))?;
        if !self.unknown.is_empty() {
            sweep.part(|mover| mover.bytes(&mut self.unknown))?;
        }
        self.value.defragment(sweep)
    }
}

impl Document {
    /// A new document of version 1 without a window of its own. `text` is canonical.
    pub fn new(text: &[u8], created: Time) -> Result<Self, Error> {
        let header = Header { created, version: 1, window: None };
        header.validate()?;
        Self::assemble(header, &[], &[text])
    }

    /// A document from what was saved: nothing of it is trusted.
    pub fn restore(header: Header, text: &[u8]) -> Result<Self, Error> {
        Self::restore_with(header, &[], text)
    }

    fn restore_with(header: Header, unknown: &[u8], text: &[u8]) -> Result<Self, Error> {
        header.validate()?;
        Self::assemble(header, unknown, &[&json::canonical(text, 0)?])
    }

    /// What is saved beside the text: the header, and the fields that a later release saved.
    pub fn fields(&self) -> impl AsRef<[u8]> + use<> {
        let header = self.header();
        let mut fields = Writer::default();
        fields.number(tag::CREATED, header.created);
        fields.number(tag::VERSION, i64::from(header.version));
        if let Some(window) = header.window {
            fields.number(tag::WINDOW, window);
        }
        fields.unknown(self.unknown());
        fields.finish()
    }

    /// A document from its saved [`Self::fields`] and its text: nothing of them is trusted.
    pub fn from_fields(saved: &[u8], text: &[u8]) -> Result<Self, Error> {
        let (mut created, mut version, mut window) = (None, None, None);
        let mut unknown = Unknown::new();
        for field in fields::read(saved) {
            let field = field?;
            match field.tag {
                tag::CREATED => fields::once(&mut created, field.positive()?)?,
                tag::VERSION => {
                    let number = u32::try_from(field.number()?).map_err(|_| fields::DAMAGED)?;
                    fields::once(&mut version, number)?;
                }
                tag::WINDOW => fields::once(&mut window, field.positive()?)?,
                _ => unknown.keep(&field)?,
            }
        }
        let (Some(created), Some(version)) = (created, version) else {
            return Err(fields::DAMAGED);
        };
        Self::restore_with(Header { created, version, window }, unknown.as_bytes(), text)
    }

    /// The fields that a later release saved with the document.
    pub fn unknown(&self) -> &[u8] {
        match &self.stored {
            Stored::Small(bytes) => unknown(bytes),
            Stored::Large(large) => &large.unknown,
        }
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

    /// The length of its text.
    pub(crate) fn len(&self) -> usize {
        self.root().len()
    }

    /// The bytes it occupies, allocations included as far as they are known.
    pub fn memory(&self) -> usize {
        match &self.stored {
            Stored::Small(bytes) => bytes.len(),
            Stored::Large(large) => size_of::<Large>() + large.unknown.len() + large.value.memory(),
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
            Stored::Large(large) => large.defragment(&mut sweep),
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

    /// Edits the value that `steps`, without filters, lead to as `look`, which sees it, says; a change counts as a write. `bound` is
    /// how long the document's text may become; one that is longer already may shrink.
    ///
    /// What `look` answers is passed on; `None` when nothing is there to look at. On an error nothing changed.
    pub(crate) fn edit<'e, T>(
        &mut self,
        steps: &[Step],
        bound: Bound,
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
                    bound.check_change(text.len(), text.len() - splice.removed() + splice.added())?;
                    if splice.keeps_length() {
                        splice.overwrite(&mut bytes[HEADER..]);
                        self.set_version(header.version);
                    } else {
                        let edited = Self::assemble(header, unknown(bytes), &splice.parts_of(text))?;
                        *self = edited;
                    }
                }
            }
            Stored::Large(large) => {
                let before = large.value.len();
                match large.value.edit(steps, bound.less(before), &mut look)? {
                    Outcome::Above(Edit::Set(value)) => {
                        bound.check_change(before, value.len())?;
                        *self = Self::assemble(header, &large.unknown, &[&value])?;
                    }
                    Outcome::Missing | Outcome::Declined | Outcome::Above(_) => {}
                    Outcome::Done if large.value.is_small() => {
                        *self = Self::assemble(header, &large.unknown, &[&large.value.text()])?;
                    }
                    Outcome::Done => self.set_version(header.version),
                }
            }
        }
        Ok(answer)
    }

    /// Sets or removes the document's own window. The text and the version stay.
    pub fn set_window(&mut self, window: Option<Millis>) -> Result<(), Error> {
        let header = Header { window, ..self.header() };
        header.validate()?;
        if let Stored::Large(large) = &mut self.stored {
            large.header = header.to_bytes(0, IS_LARGE);
            large.window = window.unwrap_or_default();
            return Ok(());
        }
        *self = Self::assemble(header, self.unknown(), &[&self.text()])?;
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
        (header[FLAGS] & IS_LARGE == 0)
            .then(|| HEADER + number(&header[LENGTH]) as usize + window_len(header))
    }

    pub(crate) fn set_version(&mut self, version: u32) {
        let header = match &mut self.stored {
            Stored::Small(bytes) => &mut bytes[..HEADER],
            Stored::Large(large) => &mut large.header,
        };
        header[VERSION].copy_from_slice(&version.to_le_bytes());
    }

    /// Readies the document for reads and edits below the root, which then do not cost its size.
    ///
    /// A text of up to [`WHOLE`] bytes stays one until then: reading the whole of it is one copy.
    #[inline]
    pub(crate) fn break_up(&mut self) {
        if self.is_unbroken()
            && let Some(value) = Container::new(&self.text())
        {
            *self = Self::of_chunks(self.header(), self.unknown(), value);
        }
    }

    /// Whether [`Self::break_up`] has something to do.
    #[inline]
    pub(crate) fn is_unbroken(&self) -> bool {
        // Most documents are seen to be small before their text is looked for.
        matches!(&self.stored, Stored::Small(bytes) if bytes.len() > LARGE)
            && matches!(self.root(), Node::Text(text) if text.len() > LARGE && Container::is_one(text))
    }

    /// Readies the array at `steps` for look-ups of its elements, which then do not cost its size; a part of it at
    /// a time, all of it for `many` look-ups.
    pub(crate) fn index(&mut self, steps: &[Step], by: By, many: bool) {
        // Without a value there, whoever looks it up says so.
        let Ok(Some(steps)) = self.root().settle(steps) else { return };
        if let Stored::Large(large) = &mut self.stored {
            large.value.index(&steps, by, many);
        }
    }

    /// Whether [`Self::index`] has something to do.
    pub(crate) fn is_unindexed(&self, steps: &[Step], by: By) -> bool {
        matches!(self.root().find(steps), Ok(Some(Node::Large(container))) if container.is_unindexed(by))
    }

    fn of_chunks(header: Header, unknown: &[u8], value: Container) -> Self {
        let window = header.window.unwrap_or_default();
        let large = Large { header: header.to_bytes(0, IS_LARGE), window, unknown: unknown.into(), value };
        Self { stored: Stored::Large(Box::new(large)) }
    }

    fn assemble(header: Header, unknown: &[u8], parts: &[&[u8]]) -> Result<Self, Error> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        Limits::TOP.bound(Limit::Document).check(len)?;
        Limits::TOP.bound(Limit::Document).check(unknown.len())?;
        if len > WHOLE
            && let Some(value) = Container::new(&parts.concat())
        {
            return Ok(Self::of_chunks(header, unknown, value));
        }
        let window = header.window.map(Millis::to_le_bytes);
        let (trailer, form) =
            if unknown.is_empty() { (0, 0) } else { (unknown.len() + UNKNOWN_LENGTH, HAS_UNKNOWN) };
        let window_len = window.map_or(0, |window| window.len());
        let mut bytes = Vec::with_capacity(HEADER + len + window_len + trailer);
        bytes.extend_from_slice(&header.to_bytes(len + trailer, form));
        for part in parts {
            bytes.extend_from_slice(part);
        }
        if let Some(window) = window {
            bytes.extend_from_slice(&window);
        }
        if trailer > 0 {
            bytes.extend_from_slice(unknown);
            bytes.extend_from_slice(&(unknown.len() as u32).to_le_bytes());
        }
        Ok(Self { stored: Stored::Small(bytes.into_boxed_slice()) })
    }
}

/// The length of a small document's text.
fn text_len(bytes: &[u8]) -> usize {
    let len = number(&bytes[LENGTH]) as usize;
    match unknown_len(bytes) {
        0 => len,
        unknown => len - unknown - UNKNOWN_LENGTH,
    }
}

fn window_len(bytes: &[u8]) -> usize {
    if bytes[FLAGS] & HAS_WINDOW == 0 { 0 } else { WINDOW }
}

/// The length of the fields behind a small document's text.
fn unknown_len(bytes: &[u8]) -> usize {
    if bytes[FLAGS] & HAS_UNKNOWN == 0 {
        return 0;
    }
    number(&bytes[bytes.len() - UNKNOWN_LENGTH..]) as usize
}

/// The fields of a later release behind a small document's text.
fn unknown(bytes: &[u8]) -> &[u8] {
    let at = HEADER + text_len(bytes) + window_len(bytes);
    &bytes[at..at + unknown_len(bytes)]
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
        Limits::TOP
            .draft(document)
            .edit(&[Step::Index(index)], |_| Ok(((), Some(Edit::Set(value.into())))))
            .unwrap()
            .unwrap();
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
            Limits::TOP.draft(&mut document).replace(text).unwrap();
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
        let failed: Result<(), _> = Limits::TOP.draft(&mut document).edit_once(|document| {
            set(document, 0, b"3");
            set(document, 0, b"1");
            Err(Error::NoKey)
        });
        assert!(failed.is_err());
        assert_eq!(document.header().version, 1);
        let edited = Limits::TOP.draft(&mut document).edit_once(|document| {
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
        Limits::TOP.draft(&mut document).replace(b"22").unwrap();
        assert_eq!(document.header().version, 0);
    }

    #[test]
    fn what_was_saved_is_checked_when_it_comes_back() {
        let header = Header { created: 1, version: 1, window: None };
        assert!(Document::restore(header, b"{\"a\":}").is_err());
        assert!(Document::restore(Header { created: 1 << 48, ..header }, b"1").is_err());
        assert!(Document::restore(Header { created: -1, ..header }, b"1").is_err());
    }

    /// The fields that a document is saved with, and one of a later release.
    fn saved(header: Header, tag: u64) -> Vec<u8> {
        let known = Document::restore(header, b"1").unwrap().fields();
        let mut later = Writer::default();
        later.bytes(tag, b"what a later release knows");
        [known.as_ref(), later.finish().as_ref()].concat()
    }

    #[test]
    fn fields_of_a_later_release_stay_with_the_document() {
        let large = format!("[{}]", vec!["1"; WHOLE].join(","));
        for window in [None, Some(5)] {
            let header = Header { created: CREATED_AT, version: 7, window };
            let fields = saved(header, 100);
            let mut document = Document::from_fields(&fields, b"[1,2]").unwrap();
            let plain = Document::restore(header, b"[1,2]").unwrap();
            assert_eq!(plain.unknown(), b"");
            let unknown = document.unknown().to_vec();
            assert_eq!(document.memory(), plain.memory() + unknown.len() + 4);
            for (text, edited) in [
                (&b"[1,22]"[..], &b"[333,22]"[..]),
                (large.as_bytes(), b"[333,1,"),
                (b"[1]", b"[333]"),
                (b"[]", b"[]"),
                (b"null", b"null"),
            ] {
                Limits::TOP.draft(&mut document).replace(text).unwrap();
                document.break_up();
                let _ = Limits::TOP
                    .draft(&mut document)
                    .edit(&[Step::Index(0)], |_| Ok(((), Some(Edit::Set(b"333"[..].into())))));
                assert!(document.text().starts_with(edited));
                document.set_window(Some(9)).unwrap();
                assert_eq!(document.header().window, Some(9));
                document.set_window(window).unwrap();
                assert_eq!(document.unknown(), unknown);
                let stored = document.clone().into_stored();
                if let Stored::Small(bytes) = &stored {
                    assert_eq!(Document::stored_len(bytes.first_chunk().unwrap()), Some(bytes.len()));
                }
                let again = Document::from_stored(stored);
                assert_eq!((again.header(), again.unknown()), (document.header(), &unknown[..]));
                let loaded = Document::from_fields(document.fields().as_ref(), &document.text()).unwrap();
                assert_eq!(loaded.fields().as_ref(), document.fields().as_ref());
                assert_eq!(loaded.text(), document.text());
            }
        }
    }

    #[test]
    fn saved_fields_out_of_range_are_refused() {
        let header = Header { created: CREATED_AT, version: 7, window: None };
        assert!(Document::from_fields(&saved(header, 101), b"1").is_err());
        let fields = |created: i64, version: i64, window: i64| {
            let mut fields = Writer::default();
            fields.number(tag::CREATED, created);
            fields.number(tag::VERSION, version);
            fields.number(tag::WINDOW, window);
            fields.finish()
        };
        assert!(Document::from_fields(&fields(lifetime::MAX_TIME, u32::MAX.into(), MAX_SPAN), b"1").is_ok());
        for (created, version, window) in [(1 << 48, 1, 1), (1, 1 << 32, 1), (1, 1, 0), (1, 1, MAX_SPAN + 1)]
        {
            assert!(Document::from_fields(&fields(created, version, window), b"1").is_err());
        }
        let twice = [fields(1, 1, 1), fields(1, 1, 1)].concat();
        assert!(Document::from_fields(&twice, b"1").is_err());
        assert!(Document::from_fields(b"", b"1").is_err());
    }

    #[test]
    fn a_header_that_could_not_be_saved_is_not_made() {
        assert!(Document::new(b"1", -1).is_err());
        assert!(Document::new(b"1", 1 << 48).is_err());
        let mut document = Document::new(b"1", CREATED_AT).unwrap();
        for window in [0, -1, MAX_SPAN + 1, i64::MAX] {
            assert!(document.set_window(Some(window)).is_err());
        }
        assert_eq!(document.header(), Header { created: CREATED_AT, version: 1, window: None });
    }
}
