//! The version of a document, as replies tell it and conditions ask for it: `<created>-<counter>`.

use std::fmt;

use crate::lifetime::MAX_TIME;
use crate::{Error, Header, Time, integer};

/// Which state of which document it is. One that is created anew under the same key is another document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    created: Time,
    counter: u32,
}

impl Header {
    /// The version of the document with this header.
    pub fn version(&self) -> Version {
        Version { created: self.created, counter: self.version }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.created, self.counter)
    }
}

/// The version that a client expects a document to be at: the whole of it, or the counter of any document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    created: Option<Time>,
    counter: u32,
}

impl Expected {
    pub(crate) fn parse(word: &[u8]) -> Result<Self, Error> {
        let number =
            |text: &[u8], most: i64| integer::parse(text).filter(|number| (0..=most).contains(number));
        let mut parts = word.splitn(2, |byte| *byte == b'-');
        let first = parts.next().unwrap_or_default();
        let (created, counter) = match parts.next() {
            None => (Some(None), first),
            Some(counter) => (number(first, MAX_TIME).map(Some), counter),
        };
        let counter = number(counter, u32::MAX.into());
        match (created, counter) {
            (Some(created), Some(counter)) => Ok(Self { created, counter: counter as u32 }),
            _ => Err(Error::range(
                word,
                "a version is a whole number, or two as replies tell it: 1700000000000-7",
            )),
        }
    }

    /// Refuses a document that is at another version.
    pub(crate) fn check(self, header: &Header) -> Result<(), Error> {
        let Version { created, counter } = header.version();
        if counter == self.counter && self.created.is_none_or(|expected| expected == created) {
            return Ok(());
        }
        Err(Error::Stale { version: header.version() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(created: Time, version: u32) -> Header {
        Header { created, version, window: None }
    }

    proptest! {
        #[test]
        fn a_version_that_was_told_is_met_until_the_document_is_another(
            created in 0..=MAX_TIME, version: u32, others in (0..=MAX_TIME, any::<u32>()),
        ) {
            let told = header(created, version);
            let whole = Expected::parse(told.version().to_string().as_bytes())?;
            let counter = Expected::parse(version.to_string().as_bytes())?;
            for other in [told, header(others.0, version), header(created, others.1), header(others.0, others.1)] {
                prop_assert_eq!(whole.check(&other).is_ok(), other == told);
                prop_assert_eq!(counter.check(&other).is_ok(), other.version == version);
            }
        }
    }

    #[test]
    fn other_spellings_are_no_versions() {
        for word in
            ["", "-", "-1", "1-", "1--1", "1-2-3", "01", "1-02", "+1", " 1", "1-4294967296", "x", "x-1"]
        {
            let refusal = Expected::parse(word.as_bytes()).unwrap_err().to_string();
            assert!(refusal.starts_with(&format!("OUTOFRANGE '{word}': a version is")), "{refusal}");
        }
    }

    #[test]
    fn a_refusal_names_the_version_as_it_is_asked_for() {
        let refusal = Expected::parse(b"3").unwrap().check(&header(1_700, 4)).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "STALE the document is at version 1700-4; read it again, then repeat"
        );
    }
}
