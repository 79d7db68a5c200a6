//! The data type: what snapshots, rewritten append-only files and digests hold of a document.

use std::ffi::CStr;

use rapyer_engine::{Document, Error, Header};

use crate::ffi::{Digest, Loader, Saver, Text};

/// Nine characters: snapshots name the type by them.
pub(crate) const NAME: &CStr = c"rapyermdl";

/// The version of the payload this module writes, and the newest it reads.
pub(crate) const ENCODING: i32 = 1;

/// The command that a rewritten append-only file restores a document with.
pub(crate) const LOAD: &CStr = c"MODEL._LOAD";

pub(crate) fn save(document: &Document, saver: &mut Saver) {
    let header = document.header();
    saver.unsigned(header.created as u64);
    saver.unsigned(u64::from(header.version));
    saver.unsigned(header.window.unwrap_or(0) as u64);
    saver.bytes(&document.text());
}

/// Reads a payload back. Nothing in it is trusted: RESTORE takes bytes from any client that may run it.
pub(crate) fn load(loader: &mut Loader, encoding: i32) -> Result<Document, String> {
    if encoding != ENCODING {
        return Err(format!(
            "a document of payload version {encoding} cannot be loaded: this module reads version {ENCODING}; \
             load the release of the module that wrote it, or a later one"
        ));
    }
    let mut number = || loader.unsigned();
    let numbers = (number(), number(), number());
    let (Some(created), Some(version), Some(window)) = numbers else {
        return Err("a document's payload ends early".into());
    };
    loader
        .bytes(|text| restore(created, version, window, text))
        .ok_or_else(|| "a document's payload ends early".to_owned())?
        .map_err(|error| format!("a document's payload is damaged: {error}"))
}

/// The words after `MODEL._LOAD key`.
pub(crate) fn rewrite(document: &Document) -> [Text; 4] {
    let header = document.header();
    [
        Text::number(header.created),
        Text::number(i64::from(header.version)),
        Text::number(header.window.unwrap_or(0)),
        Text::new(&document.text()),
    ]
}

/// A document from its saved parts; a window of 0 is none.
pub(crate) fn restore(created: u64, version: u64, window: u64, text: &[u8]) -> Result<Document, Error> {
    let refuse = |reason| Error::Limit { reason };
    let created = i64::try_from(created).map_err(|_| refuse("the creation time is out of range"))?;
    let version = u32::try_from(version).map_err(|_| refuse("the version is out of range"))?;
    let window = i64::try_from(window).map_err(|_| refuse("the window is out of range"))?;
    let window = (window != 0).then_some(window);
    if window.is_some_and(|window| window > rapyer_engine::lifetime::MAX_SPAN) {
        return Err(refuse("the window is longer than 100 years"));
    }
    Document::restore(Header { created, version, window }, text)
}

pub(crate) fn digest(document: &Document, digest: &mut Digest) {
    let header = document.header();
    digest.number(header.created);
    digest.number(i64::from(header.version));
    digest.number(header.window.unwrap_or(0));
    digest.bytes(&document.text());
    digest.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_document_keeps_its_header() {
        let document = restore(1_700_000_000_000, 7, 60_000, b"{\"a\":1}").unwrap();
        let header = document.header();
        assert_eq!(header, Header { created: 1_700_000_000_000, version: 7, window: Some(60_000) });
        assert_eq!(restore(1, 1, 0, b"1").unwrap().header().window, None);
    }

    #[test]
    fn saved_parts_out_of_range_are_refused() {
        assert!(restore(u64::MAX, 1, 0, b"1").is_err());
        assert!(restore(1, 1 << 32, 0, b"1").is_err());
        assert!(restore(1, 1, u64::MAX, b"1").is_err());
        assert!(restore(1, 1, 3_155_760_000_001, b"1").is_err());
        assert!(restore(1, 1, 0, &b"[".repeat(200)).is_err());
    }
}
