//! Tagged fields: the form in which documents, policies and a server's state are saved, so that releases can read
//! what others wrote.
//!
//! A field is a tag, a length and that many bytes; tag and length are LEB128. A release that does not know an even
//! tag keeps the field as it is and saves it again; one that does not know an odd tag refuses the payload, since
//! without that field the rest would mean something else. A tag that was used once keeps its meaning for ever.

use smallvec::SmallVec;

use crate::Error;

/// The tag of a field. Odd ones must be understood.
pub(crate) type Tag = u64;

pub(crate) const DAMAGED: Error = Error::Limit { reason: "the saved fields are damaged" };

/// Fields that this release does not know and may skip, as they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unknown(Vec<u8>);

impl Unknown {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields in the form in which they are saved.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Keeps a field of an even tag; refuses one that must be understood.
    pub(crate) fn keep(&mut self, field: &Field<'_>) -> Result<(), Error> {
        if field.tag % 2 == 1 {
            return Err(Error::range(
                field.tag.to_string().as_bytes(),
                "the tag of a saved field that must be understood and that this release does not know: load the \
                 release of the module that wrote it, or a later one",
            ));
        }
        self.0.extend_from_slice(field.whole);
        Ok(())
    }
}

/// One field of a payload.
pub(crate) struct Field<'a> {
    pub(crate) tag: Tag,
    pub(crate) content: &'a [u8],
    /// Tag and length included.
    whole: &'a [u8],
}

impl Field<'_> {
    /// The content as a number.
    pub(crate) fn number(&self) -> Result<u64, Error> {
        if self.content.len() > size_of::<u64>() {
            return Err(DAMAGED);
        }
        Ok(self.content.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// The content as a number of 64 bits that is not negative.
    pub(crate) fn positive(&self) -> Result<i64, Error> {
        i64::try_from(self.number()?).map_err(|_| DAMAGED)
    }
}

/// Splits a payload into its fields.
pub(crate) fn read(mut rest: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Error>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next(rest).ok_or(DAMAGED);
        rest = field.as_ref().map_or(&[], |field| &rest[field.whole.len()..]);
        Some(field)
    })
}

fn next(bytes: &[u8]) -> Option<Field<'_>> {
    let (tag, rest) = leb128(bytes)?;
    let (len, rest) = leb128(rest)?;
    let (content, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    Some(Field { tag, content, whole: &bytes[..bytes.len() - rest.len()] })
}

fn leb128(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        let shifted = bits.checked_shl(7 * at as u32).filter(|shifted| shifted >> (7 * at) == bits)?;
        value |= shifted;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

/// Stores what a field holds, of which there is one.
pub(crate) fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Error> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(DAMAGED),
    }
}

/// Fields on their way to a payload; as many as a document has without a word about it fit without an allocation.
#[derive(Default)]
pub(crate) struct Writer(SmallVec<[u8; 64]>);

impl Writer {
    pub(crate) fn bytes(&mut self, tag: Tag, content: &[u8]) {
        self.leb128(tag);
        self.leb128(content.len() as u64);
        self.0.extend_from_slice(content);
    }

    /// A number that is not negative, in as few bytes as it needs.
    pub(crate) fn number(&mut self, tag: Tag, number: i64) {
        debug_assert!(number >= 0);
        let bytes = number.to_le_bytes();
        let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        self.bytes(tag, &bytes[..len]);
    }

    /// Fields that are in their saved form already.
    pub(crate) fn unknown(&mut self, fields: &[u8]) {
        self.0.extend_from_slice(fields);
    }

    pub(crate) fn finish(self) -> SmallVec<[u8; 64]> {
        self.0
    }

    fn leb128(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn fields_come_back_as_they_were_written(
            fields in proptest::collection::vec((any::<u64>(), proptest::collection::vec(any::<u8>(), 0..300)), 0..8),
        ) {
            let mut writer = Writer::default();
            for (tag, content) in &fields {
                writer.bytes(*tag, content);
            }
            let bytes = writer.finish();
            let read: Vec<_> = read(&bytes)
                .map(|field| field.map(|field| (field.tag, field.content.to_vec())))
                .collect::<Result<_, _>>()?;
            prop_assert_eq!(read, fields);
        }

        #[test]
        fn numbers_come_back(number in 0..=i64::MAX, small in 0..300_i64) {
            let mut writer = Writer::default();
            writer.number(1, number);
            writer.number(3, small);
            let bytes = writer.finish();
            let read: Vec<i64> =
                read(&bytes).map(|field| field.and_then(|field| field.positive())).collect::<Result<_, _>>()?;
            prop_assert_eq!(read, [number, small]);
        }

        #[test]
        fn a_payload_that_is_cut_short_is_damaged(
            content in proptest::collection::vec(any::<u8>(), 0..200), tag: u64, cut in 1..250_usize,
        ) {
            let mut writer = Writer::default();
            writer.bytes(tag, &content);
            let bytes = writer.finish();
            let end = bytes.len().saturating_sub(cut);
            let whole = read(&bytes[..end]).all(|field| field.is_ok());
            prop_assert_eq!(whole, end == 0);
        }

        #[test]
        fn any_bytes_are_fields_or_damaged(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let total: usize = read(&bytes).map_while(Result::ok).map(|field| field.whole.len()).sum();
            prop_assert!(total <= bytes.len());
        }
    }

    #[test]
    fn even_tags_are_kept_as_they_are_and_odd_ones_are_refused() {
        let mut writer = Writer::default();
        writer.bytes(200, b"later");
        writer.bytes(8, b"");
        let bytes = writer.finish();
        let mut unknown = Unknown::new();
        for field in read(&bytes) {
            unknown.keep(&field.unwrap()).unwrap();
        }
        assert_eq!(unknown.as_bytes(), &bytes[..]);
        let mut writer = Writer::default();
        writer.bytes(201, b"");
        let bytes = writer.finish();
        let refused = unknown.keep(&read(&bytes).next().unwrap().unwrap()).unwrap_err().to_string();
        assert!(refused.starts_with("OUTOFRANGE '201': the tag of a saved field that must be"), "{refused}");
    }

    #[test]
    fn numbers_beyond_their_range_are_damaged() {
        for content in [&[0; 9][..], &[0xff; 8]] {
            let mut writer = Writer::default();
            writer.bytes(1, content);
            assert_eq!(read(&writer.finish()).next().unwrap().unwrap().positive(), Err(DAMAGED));
        }
        // A tag of more than 64 bits.
        assert!(
            read(&[0xff; 9].into_iter().chain([0x02, 0]).collect::<Vec<u8>>()).any(|field| field.is_err())
        );
    }
}
