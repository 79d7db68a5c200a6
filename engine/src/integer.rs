//! Integer arguments, read exactly as servers read theirs.
//!
//! A server takes an optional minus sign and digits without leading zeros, nothing else: no plus sign, no blanks, no
//! `-0`. Its key specs and ACL checks count keys with that reader. A more generous one here would use keys that
//! nobody checked.

use std::ops::RangeInclusive;

use crate::Error;

/// The integer that `text` is, if it is the only spelling of one that fits 64 bits.
pub fn parse(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let negative = digits.len() < text.len();
    match digits {
        [b'0'] => return (!negative).then_some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    // Counted downwards: the lowest integer is further from zero than the highest.
    let below_zero = digits.iter().try_fold(0_i64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_sub(digit)
    })?;
    if negative { Some(below_zero) } else { below_zero.checked_neg() }
}

/// An integer argument within a range; `reason` says what it is and which values it takes.
pub fn within(text: &[u8], range: RangeInclusive<i64>, reason: &'static str) -> Result<i64, Error> {
    parse(text).filter(|number| range.contains(number)).ok_or_else(|| Error::range(text, reason))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A server's reader takes a text only if printing the number gives the text back.
    fn model(text: &str) -> Option<i64> {
        text.parse().ok().filter(|number: &i64| number.to_string() == text)
    }

    #[test]
    fn the_ends_of_the_range_are_integers_and_their_neighbours_are_none() {
        for number in [0, 1, -1, 10, i64::MAX, i64::MIN] {
            assert_eq!(parse(number.to_string().as_bytes()), Some(number));
        }
        for text in ["9223372036854775808", "-9223372036854775809", "99999999999999999999999"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn other_spellings_of_an_integer_are_none() {
        for text in [
            "", "-", "+1", "01", "-01", "00", "-0", "+0", " 1", "1 ", "1\n", "1\0", "1_0", "0x1", "1.0",
            "1e0",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
        // Digits of other scripts.
        assert_eq!(parse("\u{661}".as_bytes()), None);
        assert_eq!(parse(b"\xff"), None);
    }

    proptest! {
        #[test]
        fn every_integer_is_read_back(number: i64) {
            prop_assert_eq!(parse(number.to_string().as_bytes()), Some(number));
        }

        #[test]
        fn nothing_but_the_spelling_of_a_server_is_taken(text in "[-+ 0-9._ex]{0,4}[0-9]{0,18}[ 0-9]{0,3}") {
            prop_assert_eq!(parse(text.as_bytes()), model(&text));
        }

        #[test]
        fn bytes_that_are_no_text_are_no_integer(bytes in proptest::collection::vec(any::<u8>(), 0..22)) {
            let expected = std::str::from_utf8(&bytes).ok().and_then(model);
            prop_assert_eq!(parse(&bytes), expected);
        }
    }
}
