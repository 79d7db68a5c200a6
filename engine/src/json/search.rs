//! Looking for the bytes that matter in JSON text, eight at a time: strings and containers are skipped, not read.
//!
//! Most strings are too short for a call into a SIMD search to pay.

/// The first quote or backslash from `at` on; the text's length when there is none. Canonical text needs no look
/// for anything else to find where a string ends.
pub(super) fn find_quote(text: &[u8], at: usize) -> usize {
    find(text, at, |word| bytes_equal(word, b'"') | bytes_equal(word, b'\\'))
}

/// The first quote or backslash within a word from `at` on, or where to go on; nothing where less than a word is left.
#[inline]
pub(super) fn quote_in_word(text: &[u8], at: usize) -> Option<Result<usize, usize>> {
    in_word(text, at, |word| bytes_equal(word, b'"') | bytes_equal(word, b'\\'))
}

/// The first byte that `mark` marks within a word from `at` on, or where to go on; nothing where less than a word is
/// left.
#[inline]
fn in_word(text: &[u8], at: usize, mark: impl Fn(u64) -> u64) -> Option<Result<usize, usize>> {
    let marks = mark(u64::from_le_bytes(*text.get(at..)?.first_chunk()?));
    Some(if marks == 0 { Err(at + WORD) } else { Ok(at + first_byte(marks)) })
}

/// The first byte from `at` on that cannot stand for itself in a string, which is a quote, a backslash or a control
/// character; the text's length when there is none.
#[inline(never)]
pub(super) fn find_special(text: &[u8], at: usize) -> usize {
    find(text, at, special)
}

/// The same within a word from `at` on, or where to go on; nothing where less than a word is left.
#[inline]
pub(super) fn special_in_word(text: &[u8], at: usize) -> Option<Result<usize, usize>> {
    in_word(text, at, special)
}

fn special(word: u64) -> u64 {
    // With this bit turned over, the quote is all that follows the control characters.
    bytes_below(word ^ (ONES * 0x02), b'!') | bytes_equal(word, b'\\')
}

/// The first quote or bracket from `at` on; the text's length when there is none.
pub(super) fn find_structure(text: &[u8], at: usize) -> usize {
    find(text, at, |word| {
        // This bit is all that tells `[` from `{` and `]` from `}`.
        let brackets = word | (ONES * 0x20);
        bytes_equal(brackets, b'{') | bytes_equal(brackets, b'}') | bytes_equal(word, b'"')
    })
}

/// The first byte from `at` on that `mark` marks; the text's length when there is none.
#[inline]
fn find(text: &[u8], mut at: usize, mark: impl Fn(u64) -> u64) -> usize {
    while let Some(bytes) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let marks = mark(u64::from_le_bytes(*bytes));
        if marks != 0 {
            return at + first_byte(marks);
        }
        at += WORD;
    }
    find_in_tail(text, at, mark)
}

/// The same where less than a word is left: out of the way of the loop, which most searches end in.
#[inline(never)]
fn find_in_tail(text: &[u8], at: usize, mark: impl Fn(u64) -> u64) -> usize {
    let tail = text.get(at..).unwrap_or_default();
    // Blanks stand behind the end of the text: nobody looks for these.
    let blanks = u64::from_ne_bytes([b' '; WORD]);
    let word = match text.last_chunk() {
        Some(last) if !tail.is_empty() => {
            let bits = 8 * tail.len();
            u64::from_le_bytes(*last) >> (u64::BITS as usize - bits) | blanks << bits
        }
        _ => tail.iter().rev().fold(blanks, |word, byte| word << 8 | u64::from(*byte)),
    };
    let marks = mark(word);
    if marks == 0 { text.len() } else { at + first_byte(marks) }
}

const WORD: usize = 8;
const ONES: u64 = u64::from_ne_bytes([0x01; WORD]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; WORD]);

/// Marks the bytes of `word` below `limit` by their high bit. A mark above the lowest one may be false: the
/// subtraction borrows.
fn bytes_below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGHS
}

/// Marks the bytes of `word` that are `byte`, like [`bytes_below`].
fn bytes_equal(word: u64, byte: u8) -> u64 {
    bytes_below(word ^ (ONES * u64::from(byte)), 1)
}

/// The index of the first marked byte of a word that was read as little-endian.
fn first_byte(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_byte_sought_is_found(
            text in proptest::collection::vec(
                prop_oneof![
                    4 => Just(b'x'),
                    1 => any::<u8>(),
                    1 => proptest::sample::select(&b"\"\\[]{}\x1f !;Z^_|~"[..]),
                ],
                0..40,
            ),
            at in 0_usize..42,
        ) {
            let first = |sought: fn(u8) -> bool| {
                let found = text.iter().skip(at).position(|byte| sought(*byte));
                found.map_or(text.len(), |found| at + found)
            };
            prop_assert_eq!(find_quote(&text, at), first(|byte| matches!(byte, b'"' | b'\\')));
            prop_assert_eq!(find_special(&text, at), first(|byte| matches!(byte, b'"' | b'\\' | 0..b' ')));
            prop_assert_eq!(
                find_structure(&text, at),
                first(|byte| matches!(byte, b'"' | b'[' | b']' | b'{' | b'}'))
            );
        }
    }
}
