//! Which values are equal, and which is the lesser.
//!
//! Equal is what means the same: numbers by their value, so that 1, 1.0 and 1e0 are one, objects whatever the order
//! of their members. A boolean is no number. An integer is exact and any other number a double, as in Python.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::cmp::Ordering;
use std::ops::Range;

use smallvec::SmallVec;

use super::{Kind, kind, skip, unescape};
use crate::equality::Equality;

/// Text that equal values share and others do not.
pub(crate) fn normal(text: &[u8]) -> Cow<'_, [u8]> {
    match kind(text) {
        Kind::Integer if text == b"-0" => Cow::Borrowed(b"0"),
        Kind::Integer if text.len() > EXACT_DIGITS => normal_large(text),
        Kind::Null | Kind::Boolean | Kind::String | Kind::Integer => Cow::Borrowed(text),
        Kind::Number => Cow::Owned(normal_double(text)),
        Kind::Array | Kind::Object => {
            let mut out = Vec::with_capacity(text.len());
            push_normal(text, 0, &mut out);
            Cow::Owned(out)
        }
    }
}

/// The order of two numbers, or of two strings by their code points; `None` for anything else.
pub(crate) fn order(left: &[u8], right: &[u8]) -> Option<Ordering> {
    match (kind(left), kind(right)) {
        (Kind::String, Kind::String) => Some(chars(left).cmp(chars(right))),
        (Kind::Integer, Kind::Integer) => Some(order_integers(left, right)),
        (Kind::Integer, Kind::Number) => Some(order_mixed(left, right)),
        (Kind::Number, Kind::Integer) => Some(order_mixed(right, left).reverse()),
        (Kind::Number, Kind::Number) => double(left).partial_cmp(&double(right)),
        _ => None,
    }
}

/// The characters of a string, each read when it is asked for: what is compared may be much longer than what it is
/// compared with.
fn chars(string: &[u8]) -> impl Iterator<Item = u32> {
    let mut at = 1;
    std::iter::from_fn(move || {
        let rest = string.get(at..string.len() - 1)?;
        let (char, len) = match rest {
            [b'\\', ..] => {
                let (char, end) = unescape(string, at, b'"').ok()?;
                (u32::from(char), end - at)
            }
            // The order of UTF-8's bytes is that of the characters.
            [byte, ..] => (u32::from(*byte), 1),
            [] => return None,
        };
        at += len;
        Some(char)
    })
}

/// Integers of any size, by their digits.
fn order_integers(left: &[u8], right: &[u8]) -> Ordering {
    let [left, right] = [left, right].map(|text| if text == b"-0" { b"0" } else { text });
    let magnitude = |left: &[u8], right: &[u8]| (left.len(), left).cmp(&(right.len(), right));
    match (left.strip_prefix(b"-"), right.strip_prefix(b"-")) {
        (None, None) => magnitude(left, right),
        (Some(left), Some(right)) => magnitude(right, left),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
    }
}

/// An integer and a double, exactly: no integer is made a double.
fn order_mixed(integer: &[u8], number: &[u8]) -> Ordering {
    let number = double(number);
    let whole = format!("{:.0}", number.floor());
    let fraction = if number > number.floor() { Ordering::Less } else { Ordering::Equal };
    order_integers(integer, whole.as_bytes()).then(fraction)
}

/// A number that is no integer; canonical text holds none that a double cannot.
fn double(text: &[u8]) -> f64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

fn normal_double(text: &[u8]) -> Vec<u8> {
    let number = double(text);
    if number == 0.0 {
        b"0".to_vec()
    } else if number.fract() == 0.0 && number.abs() < 1e18 {
        // All digits of a whole double: those of the integer it equals.
        format!("{number:.0}").into_bytes()
    } else if number.fract() == 0.0 {
        large_double(number)
    } else {
        format!("{number:?}").into_bytes()
    }
}

/// What an integer of more digits is compared by: the double that it equals, where there is one.
const EXACT_DIGITS: usize = 18;

fn normal_large(integer: &[u8]) -> Cow<'_, [u8]> {
    /// The largest double has 309 digits.
    const DIGITS: usize = 310;
    let number = double(integer);
    if integer.len() <= DIGITS && number.abs() >= 1e18 && format!("{number:.0}").as_bytes() == integer {
        return Cow::Owned(large_double(number));
    }
    Cow::Borrowed(integer)
}

/// A whole double by its bits, which are much shorter than its digits.
fn large_double(number: f64) -> Vec<u8> {
    format!("x{:x}", number.to_bits()).into_bytes()
}

/// The normal text of the value at `at`: where that ends. No deeper than a document; nothing is looked for ahead, so
/// that deep nesting takes no longer.
fn push_normal(text: &[u8], at: usize, out: &mut Vec<u8>) -> usize {
    match text[at] {
        b'[' => {
            out.push(b'[');
            let mut at = at + 1;
            while text[at] != b']' {
                at = push_normal(text, at, out);
                out.push(b',');
                at += usize::from(text[at] == b',');
            }
            out.push(b']');
            at + 1
        }
        b'{' => {
            out.push(b'{');
            let start = out.len();
            // The members as they stand in `out`, each with the length of its name.
            let mut members: SmallVec<[(Range<usize>, usize); 8]> = SmallVec::new();
            let mut at = at + 1;
            while text[at] != b'}' {
                let name = at;
                at = skip(text, at);
                let member = out.len();
                out.extend_from_slice(&text[name..=at]);
                let len = at - name;
                at = push_normal(text, at + 1, out);
                out.push(b',');
                members.push((member..out.len(), len));
                at += usize::from(text[at] == b',');
            }
            let name = |(member, len): &(Range<usize>, usize)| member.start..member.start + len;
            if !members.is_sorted_by(|one, other| out[name(one)] <= out[name(other)]) {
                members.sort_unstable_by(|one, other| out[name(one)].cmp(&out[name(other)]));
                let mut sorted = Vec::with_capacity(out.len() - start);
                members.iter().for_each(|(member, _)| sorted.extend_from_slice(&out[member.clone()]));
                out.truncate(start);
                out.extend_from_slice(&sorted);
            }
            out.push(b'}');
            at + 1
        }
        _ => {
            let end = skip(text, at);
            out.extend_from_slice(&normal(&text[at..end]));
            end
        }
    }
}

/// A value to look for among others.
#[derive(Debug)]
pub(crate) struct Sought<'a> {
    text: &'a [u8],
    kind: Kind,
    equality: Equality,
    /// Made when it is first needed.
    normal: OnceCell<Cow<'a, [u8]>>,
}

impl<'a> Sought<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self::by(Equality::Value, text)
    }

    pub(crate) fn by(equality: Equality, text: &'a [u8]) -> Self {
        Self { text, kind: kind(text), equality, normal: OnceCell::new() }
    }

    /// Whether it is equal to another value.
    pub(crate) fn is(&self, other: &[u8]) -> bool {
        // Most values differ or agree at first sight.
        other == self.text
            || self.could_be(kind(other))
                && self.equality.normal(other) == *self.normal.get_or_init(|| self.equality.normal(self.text))
    }

    pub(crate) fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Whether a value of this type but of another text can be equal to it.
    fn could_be(&self, other: Kind) -> bool {
        let is_number = |kind| matches!(kind, Kind::Integer | Kind::Number);
        let has_meaning = |kind| kind == Kind::String && self.equality != Equality::Value || is_number(kind);
        match self.kind {
            Kind::Array | Kind::Object => other == self.kind,
            kind => has_meaning(kind) && has_meaning(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_is_what_means_the_same() {
        for (one, other) in [
            ("1", "1.0"),
            ("1", "1e0"),
            ("100", "1E2"),
            ("0", "-0"),
            ("0", "-0.0"),
            ("0.1", "1e-1"),
            ("1.10", "1.1"),
            ("100000000000000000000", "1e20"),
            ("[1,[2.0]]", "[1.0,[2]]"),
            (r#"{"a":1,"b":[{"c":1,"d":2}]}"#, r#"{"b":[{"d":2.0,"c":1}],"a":1}"#),
        ] {
            assert!(Sought::new(one.as_bytes()).is(other.as_bytes()), "{one} {other}");
            assert!(Sought::new(other.as_bytes()).is(one.as_bytes()), "{one} {other}");
        }
        for (one, other) in [
            ("1", "true"),
            ("0", "false"),
            ("0", "null"),
            ("1", "\"1\""),
            ("[]", "{}"),
            ("[1,2]", "[2,1]"),
            ("[1,[2]]", "[1,2]"),
            ("[[],1]", "[[1]]"),
            (r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
            (r#"{"a":1}"#, r#"{"b":1}"#),
            ("9007199254740993", "9007199254740993.0"),
            ("1", "1.0000000000000002"),
        ] {
            assert!(!Sought::new(one.as_bytes()).is(other.as_bytes()), "{one} {other}");
            assert!(!Sought::new(other.as_bytes()).is(one.as_bytes()), "{one} {other}");
        }
    }

    #[test]
    fn numbers_are_ordered_exactly_and_strings_by_code_points() {
        let ascending = [
            "-1e300",
            "-100000000000000000001",
            "-1e20",
            "-2",
            "-1.5",
            "-1",
            "-0.5",
            "0",
            "1e-300",
            "0.5",
            "1",
            "1.0000000000000002",
            "9007199254740992.0",
            "9007199254740993",
            "9007199254740994",
            "1e300",
        ];
        for (at, left) in ascending.iter().enumerate() {
            for (place, right) in ascending.iter().enumerate() {
                assert_eq!(order(left.as_bytes(), right.as_bytes()), Some(at.cmp(&place)), "{left} {right}");
            }
        }
        assert_eq!(order(b"-0", b"0.0"), Some(Ordering::Equal));
        assert_eq!(order(b"\"\\n\"", b"\" \""), Some(Ordering::Less));
        assert_eq!(order("\"\u{ffff}\"".as_bytes(), "\"\u{1f511}\"".as_bytes()), Some(Ordering::Less));
        assert_eq!(order(b"1", b"\"1\""), None);
        assert_eq!(order(b"null", b"null"), None);
    }
}
