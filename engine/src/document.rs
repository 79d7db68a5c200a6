//! A document: one allocation holding a small header and the canonical JSON text.
//!
//! Layout, little endian: created (6 bytes), version (4), length of the text (5), flags (1), the text, and the
//! document's own window (8) where it has one. Sixteen bytes beside the text are what a plain string key pays
//! for its own bookkeeping, so a document weighs about what its text weighs.

use std::ops::Range;

use crate::{Error, Millis, Time, json};

const CREATED: Range<usize> = 0..6;
const VERSION: Range<usize> = 6..10;
const LENGTH: Range<usize> = 10..15;
const FLAGS: usize = 15;
const HEADER: usize = 16;
const WINDOW: usize = 8;
const HAS_WINDOW: u8 = 1;

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

/// See the module's text. Cloning copies text and header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    bytes: Box<[u8]>,
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

    pub fn text(&self) -> &[u8] {
        &self.bytes[HEADER..HEADER + self.len()]
    }

    pub fn header(&self) -> Header {
        let window = (self.bytes[FLAGS] & HAS_WINDOW != 0).then(|| {
            let at = HEADER + self.len();
            number(&self.bytes[at..at + WINDOW]) as Millis
        });
        Header {
            created: number(&self.bytes[CREATED]) as Time,
            version: number(&self.bytes[VERSION]) as u32,
            window,
        }
    }

    /// Replaces a range of the text and counts a write. On an error nothing changed.
    pub fn splice(&mut self, range: Range<usize>, with: &[&[u8]]) -> Result<(), Error> {
        let mut header = self.header();
        header.version = header.version.wrapping_add(1);
        let added: usize = with.iter().map(|part| part.len()).sum();
        if added == range.len() {
            let mut at = HEADER + range.start;
            for part in with {
                self.bytes[at..at + part.len()].copy_from_slice(part);
                at += part.len();
            }
            self.bytes[VERSION].copy_from_slice(&header.version.to_le_bytes());
            return Ok(());
        }
        let text = self.text();
        let mut parts = Vec::with_capacity(with.len() + 2);
        parts.push(&text[..range.start]);
        parts.extend_from_slice(with);
        parts.push(&text[range.end..]);
        *self = Self::assemble(header, &parts)?;
        Ok(())
    }

    /// Replaces the whole text and counts a write.
    pub fn replace(&mut self, text: &[u8]) -> Result<(), Error> {
        self.splice(0..self.len(), &[text])
    }

    /// Sets or removes the document's own window. The text and the version stay.
    pub fn set_window(&mut self, window: Option<Millis>) -> Result<(), Error> {
        let header = Header { window, ..self.header() };
        *self = Self::assemble(header, &[self.text()])?;
        Ok(())
    }

    /// The one allocation, for a host that keeps a bare pointer to it.
    pub fn into_bytes(self) -> Box<[u8]> {
        self.bytes
    }

    /// The document that `into_bytes` took apart.
    ///
    /// # Panics
    /// When the length does not follow from the header: the bytes are not from `into_bytes`.
    pub fn from_bytes(bytes: Box<[u8]>) -> Self {
        let mut header = [0; HEADER];
        header.copy_from_slice(&bytes[..HEADER]);
        assert_eq!(
            bytes.len(),
            Self::stored_len(&header),
            "a document's allocation has the length its header says"
        );
        Self { bytes }
    }

    /// The length of the whole allocation, from its first bytes.
    pub fn stored_len(header: &[u8; HEADER]) -> usize {
        let window = if header[FLAGS] & HAS_WINDOW == 0 { 0 } else { WINDOW };
        HEADER + number(&header[LENGTH]) as usize + window
    }

    fn len(&self) -> usize {
        number(&self.bytes[LENGTH]) as usize
    }

    fn assemble(header: Header, parts: &[&[u8]]) -> Result<Self, Error> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len > MAX_TEXT {
            return Err(Error::Limit { reason: "the document would be larger than 512 MiB" });
        }
        let window = header.window.map(Millis::to_le_bytes);
        let mut bytes = Vec::with_capacity(HEADER + len + window.map_or(0, |window| window.len()));
        bytes.extend_from_slice(&header.created.to_le_bytes()[..CREATED.len()]);
        bytes.extend_from_slice(&header.version.to_le_bytes());
        bytes.extend_from_slice(&len.to_le_bytes()[..LENGTH.len()]);
        bytes.push(if window.is_some() { HAS_WINDOW } else { 0 });
        for part in parts {
            bytes.extend_from_slice(part);
        }
        if let Some(window) = window {
            bytes.extend_from_slice(&window);
        }
        Ok(Self { bytes: bytes.into_boxed_slice() })
    }
}

/// A little-endian number of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATED_AT: Time = 1_700_000_000_123;

    #[test]
    fn the_header_costs_sixteen_bytes_and_says_the_length() {
        let document = Document::new(b"{\"a\":1}", CREATED_AT).unwrap();
        let bytes = document.clone().into_bytes();
        assert_eq!(bytes.len(), 16 + 7);
        assert_eq!(Document::stored_len(bytes[..16].try_into().unwrap()), bytes.len());
        assert_eq!(Document::from_bytes(bytes), document);
    }

    #[test]
    fn a_splice_keeps_created_and_window_and_counts_a_write() {
        let mut document = Document::new(b"[1,2]", CREATED_AT).unwrap();
        document.set_window(Some(7_200_000)).unwrap();
        document.splice(3..4, &[b"20", b",", b"3"]).unwrap();
        assert_eq!(document.text(), b"[1,20,3]");
        document.splice(1..2, &[b"9"]).unwrap();
        assert_eq!(document.text(), b"[9,20,3]");
        let header = document.header();
        assert_eq!(header, Header { created: CREATED_AT, version: 3, window: Some(7_200_000) });
        document.set_window(None).unwrap();
        assert_eq!(document.header().window, None);
        assert_eq!(document.into_bytes().len(), 16 + 8);
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
