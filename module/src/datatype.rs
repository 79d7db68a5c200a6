//! The data type: what snapshots, rewritten append-only files and digests hold of a document.

use std::ffi::CStr;

use rapyer_engine::{Document, Error, Header};

use crate::ffi::{Digest, Loader, Saver, Text};

/// Nine characters: snapshots name the type by them.
pub(crate) const NAME: &CStr = c"rapyermdl";

/// The version of the payload this module writes, and the newest it reads.
pub(crate) const ENCODING: i32 = 2;

/// The command that a rewritten append-only file restores a document with.
pub(crate) const LOAD: &CStr = c"MODEL._LOAD";

/// Refuses payloads that this module cannot read.
pub(crate) fn check_version(what: &str, encoding: i32) -> Result<(), String> {
    if (1..=ENCODING).contains(&encoding) {
        return Ok(());
    }
    Err(format!(
        "{what} of payload version {encoding} cannot be loaded: this module reads versions 1 to {ENCODING}; load the \
         release of the module that wrote it, or a later one"
    ))
}

pub(crate) fn save(document: &Document, saver: &mut Saver) {
    saver.bytes(document.fields().as_ref());
    saver.bytes(&document.text());
}

/// Reads a payload back. Nothing in it is trusted: RESTORE takes bytes from any client that may run it.
pub(crate) fn load(loader: &mut Loader, encoding: i32) -> Result<Document, String> {
    check_version("a document", encoding)?;
    let document = if encoding == 1 { load_version_1(loader) } else { load_fields(loader) };
    document
        .ok_or_else(|| "a document's payload ends early".to_owned())?
        .map_err(|error| format!("a document's payload cannot be loaded: {error}"))
}

fn load_fields(loader: &mut Loader) -> Option<Result<Document, Error>> {
    let fields = loader.bytes(<[u8]>::to_vec)?;
    loader.bytes(|text| Document::from_fields(&fields, text))
}

fn load_version_1(loader: &mut Loader) -> Option<Result<Document, Error>> {
    let (created, version, window) = (loader.unsigned()?, loader.unsigned()?, loader.unsigned()?);
    loader.bytes(|text| restore(created, version, window, text))
}

/// The words after `MODEL._LOAD key`.
pub(crate) fn rewrite(document: &Document) -> [Text; 2] {
    [Text::new(document.fields().as_ref()), Text::new(&document.text())]
}

/// A document from what the first release saved; a window of 0 is none.
pub(crate) fn restore(created: u64, version: u64, window: u64, text: &[u8]) -> Result<Document, Error> {
    let refuse = |reason| Error::Limit { reason };
    let created = i64::try_from(created).map_err(|_| refuse("the creation time is out of range"))?;
    let version = u32::try_from(version).map_err(|_| refuse("the version is out of range"))?;
    let window = i64::try_from(window).map_err(|_| refuse("the window is out of range"))?;
    let window = (window != 0).then_some(window);
    Document::restore(Header { created, version, window }, text)
}

pub(crate) fn digest(document: &Document, digest: &mut Digest) {
    let header = document.header();
    digest.number(header.created);
    digest.number(i64::from(header.version));
    digest.number(header.window.unwrap_or(0));
    digest.bytes(&document.text());
    // Without such fields the digest is that of every release.
    if !document.unknown().is_empty() {
        digest.bytes(document.unknown());
    }
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
