//! The one validating pass: any bytes in, canonical text or a precise error out.

use std::borrow::Cow;
use std::ops::Range;

use smallvec::SmallVec;

use super::search::{find_special, special_in_word};
use super::string::{BadEscape, escaped, unescape};
use super::walk::skip;
use crate::limits::Limit;
use crate::{Error, Limits};

/// How many containers may lie within one another.
pub const MAX_DEPTH: usize = 128;
/// How many digits an integer may have, and how many bytes another number of a client: what Python converts to an
/// integer unless it is told otherwise.
pub const MAX_DIGITS: usize = 4300;

/// Beyond this many digits before its point a number may be too large for a double.
const SAFE_FLOAT_DIGITS: usize = 308;

/// Up to so many names of an object are compared with each other one by one, which is faster than sorting them.
const FEW: usize = 16;

const NOT_A_NUMBER: &str = "NaN and Infinity are not JSON, send them as strings: found one";

/// Validates `text` and makes it canonical; borrowed when it is so already, but for white space around it.
///
/// `above` is how many containers will enclose the value where it goes. Of members with the same name the last
/// one stays, where it stands.
pub fn canonical(text: &[u8], above: usize) -> Result<Cow<'_, [u8]>, Error> {
    canonical_within(text, above, &Limits::TOP)
}

/// The same for a text that is held to a client's limits.
pub(crate) fn canonical_within<'t>(
    text: &'t [u8],
    above: usize,
    limits: &Limits,
) -> Result<Cow<'t, [u8]>, Error> {
    // Most text is ASCII, which is seen in a fraction of the time, of all bytes together.
    if !text.iter().fold(0, |bits, byte| bits | byte).is_ascii()
        && let Err(error) = std::str::from_utf8(text)
    {
        return Err(Error::BadJson { offset: error.valid_up_to(), reason: "invalid UTF-8" });
    }
    let mut pass = Pass { text, limits, at: 0, out: Vec::new(), copied: 0, dropped: Vec::new() };
    pass.skip_space();
    pass.copied = pass.at;
    pass.value(above)?;
    let end = pass.at;
    pass.skip_space();
    if pass.at < text.len() {
        return Err(pass.bad("expected nothing more after the value"));
    }
    let rest = &text[pass.copied..end];
    if pass.out.is_empty() {
        return Ok(Cow::Borrowed(rest));
    }
    pass.out.extend_from_slice(rest);
    Ok(Cow::Owned(without(pass.out, pass.dropped)))
}

/// The canonical text so far is `out` followed by the input from `copied` to `at`: nothing is copied before the
/// input is first found not to be canonical.
struct Pass<'a> {
    text: &'a [u8],
    limits: &'a Limits,
    at: usize,
    out: Vec<u8>,
    copied: usize,
    /// The spans, in the canonical text so far, of members that a later one of the same name replaces. They are cut
    /// out at the end, all at once: objects that repeat names may lie in one another.
    dropped: Vec<Range<usize>>,
}

impl Pass<'_> {
    fn bad(&self, reason: &'static str) -> Error {
        let reason = if self.at < self.text.len() { reason } else { "unexpected end of the text" };
        Error::BadJson { offset: self.at, reason }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Puts `canonical` where the input has the bytes from `at` to `end`, and goes there.
    fn replace(&mut self, end: usize, canonical: &[u8]) {
        self.out.extend_from_slice(&self.text[self.copied..self.at]);
        self.out.extend_from_slice(canonical);
        self.at = end;
        self.copied = end;
    }

    /// The length of the canonical text so far. It stays the offset of what comes next, whatever is replaced
    /// later.
    fn written(&self) -> usize {
        self.out.len() + (self.at - self.copied)
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Removes white space.
    #[inline]
    fn space(&mut self) {
        if self.peek().is_some_and(|byte| byte <= b' ') {
            self.remove_space();
        }
    }

    /// Whether this byte comes next, but for white space.
    #[inline]
    fn is_next(&mut self, byte: u8) -> bool {
        self.peek() == Some(byte) || {
            self.space();
            self.peek() == Some(byte)
        }
    }

    #[inline(never)]
    fn remove_space(&mut self) {
        let start = self.at;
        self.skip_space();
        let end = std::mem::replace(&mut self.at, start);
        self.replace(end, b"");
    }

    #[inline]
    fn value(&mut self, depth: usize) -> Result<(), Error> {
        if self.peek() == Some(b'"') { self.string() } else { self.other(depth) }
    }

    /// Passes over a value that is no string, or has white space before it.
    #[inline(never)]
    fn other(&mut self, depth: usize) -> Result<(), Error> {
        self.space();
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            Some(b'N' | b'I') => Err(self.bad(NOT_A_NUMBER)),
            _ => Err(self.bad("expected a value")),
        }
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), Error> {
        if !self.text[self.at..].starts_with(literal) {
            return Err(self.bad("expected a value"));
        }
        self.at += literal.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Error> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let first = self.peek();
        if first == Some(b'I') {
            return Err(self.bad(NOT_A_NUMBER));
        }
        let whole = self.digits()?;
        if first == Some(b'0') && whole > 1 {
            self.at -= whole - 1;
            return Err(self.bad("a number starts with a needless zero: expected no digit"));
        }
        let fraction = self.peek() == Some(b'.');
        if fraction {
            self.at += 1;
            self.digits()?;
        }
        let exponent = matches!(self.peek(), Some(b'e' | b'E'));
        if exponent {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        if !fraction && !exponent {
            if whole > MAX_DIGITS {
                return Err(Error::Limit { reason: "an integer has more than 4300 digits" });
            }
        } else if self.at - start > self.limits.number {
            return Err(Error::Limit { reason: "a number is longer than 4300 bytes" });
        } else if (exponent || whole > SAFE_FLOAT_DIGITS) && overflows(&self.text[start..self.at]) {
            return Err(Error::Limit { reason: "a number is too large for a 64-bit float" });
        }
        Ok(())
    }

    /// Passes over at least one digit: how many there are.
    fn digits(&mut self) -> Result<usize, Error> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.bad("expected a digit"));
        }
        Ok(self.at - start)
    }

    /// Most strings are shorter than a word, and have no escapes.
    #[inline]
    fn string(&mut self) -> Result<(), Error> {
        let at = self.at + 1;
        let special = match special_in_word(self.text, at).unwrap_or(Err(at)) {
            Ok(special) => special,
            Err(next) => find_special(self.text, next),
        };
        if self.text.get(special) == Some(&b'"') {
            self.at = special + 1;
            return Ok(());
        }
        self.string_from(special)
    }

    /// Passes over the rest of a string, from a character on that does not stand for itself.
    #[inline(never)]
    fn string_from(&mut self, special: usize) -> Result<(), Error> {
        self.at = special;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    let (char, end) = unescape(self.text, self.at, b'"')?;
                    let mut buffer = [0; 6];
                    let canonical = escaped(char, &mut buffer);
                    if canonical == &self.text[self.at..end] {
                        self.at = end;
                    } else {
                        self.replace(end, canonical);
                    }
                }
                _ => return Err(self.bad("a control character must be escaped: found one")),
            }
            self.at = find_special(self.text, self.at);
        }
    }

    #[inline(never)]
    fn array(&mut self, depth: usize) -> Result<(), Error> {
        if !self.open(depth, b']')? {
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            if !self.next(b']', "expected ',' or ']'")? {
                return Ok(());
            }
        }
    }

    #[inline(never)]
    fn object(&mut self, depth: usize) -> Result<(), Error> {
        if !self.open(depth, b'}')? {
            return Ok(());
        }
        // Fingerprints of names, and where in the canonical text their members start.
        let mut names = SmallVec::<[(u64, usize); FEW]>::new();
        // One of 64 bits for each: what finds its own unset is new without a look at the others.
        let (mut seen, mut repeats) = (0_u64, false);
        loop {
            let start = self.written();
            let name = self.name()?;
            let bit = 1 << (name >> 58);
            repeats |= seen & bit != 0 && names.len() < FEW && names.iter().any(|(other, _)| *other == name);
            seen |= bit;
            names.push((name, start));
            if !self.is_next(b':') {
                return Err(self.bad("expected ':'"));
            }
            self.at += 1;
            self.value(depth + 1)?;
            if !self.next(b'}', "expected ',' or '}'")? {
                break;
            }
        }
        if names.len() > FEW || repeats {
            names.sort_unstable();
            if names.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                self.keep_last_members(&names);
            }
        }
        Ok(())
    }

    /// Enters a container that `depth` others enclose: whether it holds anything.
    fn open(&mut self, depth: usize, close: u8) -> Result<bool, Error> {
        self.limits.bound(Limit::Depth).check(depth + 1)?;
        self.at += 1;
        self.space();
        let empty = self.peek() == Some(close);
        if empty {
            self.at += 1;
        }
        Ok(!empty)
    }

    /// Passes over what follows a value in a container: whether another value does.
    #[inline]
    fn next(&mut self, close: u8, expected: &'static str) -> Result<bool, Error> {
        let more = self.is_next(b',');
        if !more && self.peek() != Some(close) {
            return Err(self.bad(expected));
        }
        self.at += 1;
        Ok(more)
    }

    /// Passes over a member's name: its fingerprint.
    #[inline]
    fn name(&mut self) -> Result<u64, Error> {
        if !self.is_next(b'"') {
            return Err(self.bad("expected a name in double quotes"));
        }
        let (start, written) = (self.at, self.written());
        self.string()?;
        if self.copied <= start {
            return Ok(fingerprint(self.text, start..self.at));
        }
        self.replace(self.at, b"");
        Ok(fingerprint(&self.out, written..self.out.len()))
    }

    /// Drops the members of the object just read that a later one of the same name replaces. `names` are sorted.
    fn keep_last_members(&mut self, names: &[(u64, usize)]) {
        self.replace(self.at, b"");
        let mut starts: Vec<usize> = names.iter().map(|(_, start)| *start).collect();
        starts.sort_unstable();
        for alike in names.chunk_by(|one, other| one.0 == other.0).filter(|alike| alike.len() > 1) {
            let mut alike: Vec<(&[u8], usize)> =
                alike.iter().map(|(_, start)| (&self.out[*start..skip(&self.out, *start)], *start)).collect();
            alike.sort_unstable();
            for pair in alike.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
                // It is not the last member, so it ends, comma included, where the next one starts.
                let start = pair[0].1;
                let next = starts.partition_point(|other| *other <= start);
                self.dropped.push(start..starts[next]);
            }
        }
    }
}

/// The text without these spans, which may lie in one another.
fn without(text: Vec<u8>, mut spans: Vec<Range<usize>>) -> Vec<u8> {
    if spans.is_empty() {
        return text;
    }
    spans.sort_unstable_by_key(|span| span.start);
    let mut kept = Vec::with_capacity(text.len());
    let mut at = 0;
    for span in spans {
        if span.end > at {
            kept.extend_from_slice(&text[at..span.start]);
            at = span.end;
        }
    }
    kept.extend_from_slice(&text[at..]);
    kept
}

impl From<BadEscape> for Error {
    fn from(bad: BadEscape) -> Self {
        Self::BadJson { offset: bad.offset, reason: bad.reason }
    }
}

fn overflows(number: &[u8]) -> bool {
    std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()).is_none_or(f64::is_infinite)
}

/// A number that names share only if they are equal, or by a rare accident. An accident, even one that somebody
/// arranged, costs no more than an exact look at the names of one object, so speed is all that counts here.
#[inline]
fn fingerprint(text: &[u8], name: Range<usize>) -> u64 {
    match text.get(name.start..).and_then(<[u8]>::first_chunk) {
        Some(word) if name.len() < size_of::<u64>() => {
            let others = u64::MAX << (8 * name.len());
            mixed(name.len() as u64, u64::from_le_bytes(*word) & !others)
        }
        _ => fingerprint_of_words(&text[name]),
    }
}

#[inline(never)]
fn fingerprint_of_words(name: &[u8]) -> u64 {
    let mut print = name.len() as u64;
    let mut rest = name;
    while let Some((word, tail)) = rest.split_first_chunk() {
        print = mixed(print, u64::from_le_bytes(*word));
        rest = tail;
    }
    let last = match name.last_chunk() {
        Some(last) => u64::from_le_bytes(*last),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    mixed(print, last)
}

fn mixed(print: u64, word: u64) -> u64 {
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    (print.rotate_left(29) ^ word).wrapping_mul(SPREAD)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::members;
    use super::*;

    fn made(text: impl AsRef<[u8]>) -> String {
        let text = canonical(text.as_ref(), 0).unwrap();
        String::from_utf8(text.into_owned()).unwrap()
    }

    #[track_caller]
    fn assert_bad(text: impl AsRef<[u8]>, at: usize, why: &str) {
        let text = text.as_ref();
        match canonical(text, 0) {
            Err(Error::BadJson { offset, reason }) => {
                assert_eq!(offset, at, "{reason} in {}", text.escape_ascii());
                assert!(reason.contains(why), "{reason}");
            }
            other => panic!("{} gave {other:?}", text.escape_ascii()),
        }
    }

    #[track_caller]
    fn assert_limit(text: impl AsRef<[u8]>, above: usize) {
        let result = canonical(text.as_ref(), above);
        assert!(matches!(result, Err(Error::Limit { .. } | Error::Beyond { .. })), "{result:?}");
    }

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn canonical_text_is_borrowed() {
        for text in [
            "null",
            "true",
            "false",
            "0",
            "-0",
            "1.10",
            "1E+5",
            "-1.5e-300",
            "9007199254740993",
            "1e-999",
            r#""""#,
            r#""é😀""#,
            "\"\u{7f}\u{2028}\"",
            r#""\"\\\b\f\n\r\t\u0000\u001f""#,
            "[]",
            "{}",
            r#"{"a":[1,{"":null}],"A":"a"}"#,
        ] {
            let result = canonical(text.as_bytes(), 0).unwrap();
            assert!(matches!(result, Cow::Borrowed(_)), "{text}");
            assert_eq!(result, text.as_bytes());
        }
    }

    #[test]
    fn names_are_the_same_only_if_every_byte_is() {
        for len in 0..40 {
            let name = "n".repeat(len);
            let members: Vec<String> = (0..len)
                .map(|at| format!(r#""{}m{}":{at}"#, &name[..at], &name[at + 1..]))
                .chain([format!(r#""{name}":0"#), format!(r#""{name}n":0"#)])
                .collect();
            for between in [",", " ,"] {
                assert_eq!(
                    made(format!("{{{}}}", members.join(between))),
                    format!("{{{}}}", members.join(","))
                );
                // At the end of the text or not, of which only one lets a whole word be read.
                for end in ["", " ".repeat(9).as_str()] {
                    let twice = format!("{{{}{between}{}}}{end}", members.join(between), members[0]);
                    let once = format!("{{{},{}}}", members[1..].join(","), members[0]);
                    assert_eq!(made(twice), once);
                }
            }
        }
    }

    #[test]
    fn white_space_goes() {
        assert_eq!(made(" \t\r\n{ \"a b\" : [ 1 , [ ] , { } ] ,\"c\":\n2 }\n"), r#"{"a b":[1,[],{}],"c":2}"#);
        assert!(matches!(canonical(b" [1] \n", 0), Ok(Cow::Borrowed(b"[1]"))));
    }

    #[test]
    fn only_what_needs_an_escape_keeps_it_and_the_shortest_one() {
        for (text, expected) in [
            (r#""\/""#, r#""/""#),
            (r#""\u00e9\u00E9""#, r#""éé""#),
            (r#""\ud83d\ude00""#, r#""😀""#),
            (r#""\u0022\u005C""#, r#""\"\\""#),
            (r#""\u0008\u000c\u000A\u000d\u0009""#, r#""\b\f\n\r\t""#),
            (r#""\u001F\u0000\u007f""#, "\"\\u001f\\u0000\u{7f}\""),
            (r#""\\u0041\u0041""#, r#""\\u0041A""#),
            (r#"{"\u0061":1}"#, r#"{"a":1}"#),
        ] {
            assert_eq!(made(text), expected);
        }
    }

    #[test]
    fn the_last_member_of_a_name_stays() {
        for (text, expected) in [
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#"{"a":1,"b":2,"a":3}"#, r#"{"b":2,"a":3}"#),
            (r#"{"a":1,"\u0061":2}"#, r#"{"a":2}"#),
            (r#"{"\u0061":1,"a":2}"#, r#"{"a":2}"#),
            (r#"{"\u0061":1,"\u0061":2}"#, r#"{"a":2}"#),
            (r#"[ 0,{"x":{"a":[1],"a":{"b":1,"b":[ ]}},"y":2},3]"#, r#"[0,{"x":{"a":{"b":[]}},"y":2},3]"#),
            (r#"{"":1,"":2}"#, r#"{"":2}"#),
        ] {
            assert_eq!(made(text), expected);
        }
    }

    #[test]
    fn names_repeat_beyond_the_few_too() {
        let members: Vec<_> = (0..50).chain([3, 20, 49]).map(|n| format!(r#""n{n}":{n}"#)).collect();
        let text = made(format!("{{{}}}", members.join(",")));
        assert_eq!(members_of(&text), 50);
        assert!(text.ends_with(r#","n48":48,"n3":3,"n20":20,"n49":49}"#), "{text}");
    }

    fn members_of(text: &str) -> usize {
        members(text.as_bytes(), 0).count()
    }

    #[test]
    fn errors_name_the_byte() {
        for (text, offset, reason) in [
            ("", 0, "unexpected end"),
            ("  ", 2, "unexpected end"),
            ("x", 0, "a value"),
            ("nul", 0, "a value"),
            ("[true,flase]", 6, "a value"),
            ("True", 0, "a value"),
            ("'a'", 0, "a value"),
            ("nullx", 4, "nothing more"),
            ("1 2", 2, "nothing more"),
            ("{}}", 2, "nothing more"),
            ("NaN", 0, "NaN"),
            ("[1,Infinity]", 3, "NaN"),
            ("-Infinity", 1, "NaN"),
            ("-", 1, "unexpected end"),
            ("+1", 0, "a value"),
            (".5", 0, "a value"),
            ("-x", 1, "a digit"),
            ("01", 1, "zero"),
            ("[-007]", 3, "zero"),
            ("1.", 2, "unexpected end"),
            ("[1.]", 3, "a digit"),
            ("[1e]", 3, "a digit"),
            ("[1e+]", 4, "a digit"),
            ("0x1", 1, "nothing more"),
            ("[1", 2, "unexpected end"),
            ("[1,]", 3, "a value"),
            ("[,1]", 1, "a value"),
            ("[1 2]", 3, "',' or ']'"),
            ("[1}", 2, "',' or ']'"),
            ("{", 1, "unexpected end"),
            ("{1:2}", 1, "a name"),
            (r#"{"a"}"#, 4, "':'"),
            (r#"{"a" 1}"#, 5, "':'"),
            (r#"{"a":}"#, 5, "a value"),
            (r#"{"a":1,}"#, 7, "a name"),
            (r#"{"a":1]"#, 6, "',' or '}'"),
            (r#"{"a":1"#, 6, "unexpected end"),
            ("\"abc", 4, "unexpected end"),
            ("\"abc\\", 5, "unexpected end"),
            ("\"a\nb\"", 2, "control character"),
            ("\"a\0b\"", 2, "control character"),
            ("\"12345678\x1f\"", 9, "control character"),
            ("[\x0b1]", 1, "a value"),
            (r#""a\x""#, 2, "escape"),
            (r#""a\'""#, 2, "escape"),
            (r#""\u12g4""#, 5, "hexadecimal"),
            (r#""\u+123""#, 3, "hexadecimal"),
            (r#""\u12""#, 5, "hexadecimal"),
            (r#""\u12"#, 5, "unexpected end"),
            (r#""a\ud800""#, 2, "lone surrogate"),
            (r#""a\udc00""#, 2, "lone surrogate"),
            (r#""\ud800\u0041""#, 1, "lone surrogate"),
            (r#""\ud800\ud800""#, 1, "lone surrogate"),
            (r#""\ud83d\ude""#, 11, "hexadecimal"),
            ("\u{feff}1", 0, "a value"),
            ("/**/1", 0, "a value"),
        ] {
            assert_bad(text, offset, reason);
        }
    }

    #[test]
    fn invalid_utf8_is_refused_wherever_it_is() {
        assert_bad(b"\"ab\xff\"", 3, "UTF-8");
        assert_bad(b"\"\xc0\x80\"", 1, "UTF-8");
        assert_bad(b"\"\xed\xa0\x80\"", 1, "UTF-8");
        assert_bad(b"[1,\xe2\x82", 3, "UTF-8");
    }

    #[test]
    fn numbers_have_limits() {
        let digits = "9".repeat(MAX_DIGITS);
        assert_eq!(made(format!("-{digits}")), format!("-{digits}"));
        assert_limit(format!("{digits}0"), 0);
        assert_limit(format!("[-{digits}0]"), 0);
        assert_eq!(made("1.7976931348623157e308"), "1.7976931348623157e308");
        assert_limit("1.8e308", 0);
        assert_limit("[-1e999]", 0);
        assert_limit(format!("{}.0", "9".repeat(400)), 0);
        let tiny = format!("0.{}1", "0".repeat(5000));
        assert_eq!(made(&tiny), tiny);
    }

    #[test]
    fn depth_counts_what_encloses_the_value_too() {
        assert_eq!(made(nested(MAX_DEPTH)), nested(MAX_DEPTH));
        assert_limit(nested(MAX_DEPTH + 1), 0);
        assert_limit("[".repeat(1_000_000), 0);
        assert_limit(r#"{"a":"#.repeat(1_000_000), 0);
        assert!(canonical(b"[[1]]", MAX_DEPTH - 2).is_ok());
        assert_limit("[[1]]", MAX_DEPTH - 1);
        assert!(canonical(b"1", MAX_DEPTH).is_ok());
        assert_limit("{}", MAX_DEPTH);
    }

    #[test]
    fn names_that_repeat_in_large_objects_take_linear_time() {
        let object = |members: usize| {
            let members: Vec<_> = (0..members).map(|n| format!(r#""n{}":{n}"#, n / 2)).collect();
            format!("{{{}}}", members.join(","))
        };
        let text = made(object(200_000));
        assert_eq!(members_of(&text), 100_000);
    }

    /// JSON in all the ways it may be written: white space, needless escapes, repeated names.
    fn written() -> impl Strategy<Value = String> {
        let space = || "[ \t\r\n]{0,2}";
        let string = || {
            let piece = prop_oneof![
                "[a-c]".prop_map(String::from),
                any::<char>().prop_map(|char| {
                    let mut units = [0; 2];
                    let escapes = char.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04X}"));
                    escapes.collect::<Vec<_>>().concat()
                }),
                any::<char>().prop_map(|char| {
                    let quoted = serde_json::to_string(&char).unwrap();
                    quoted[1..quoted.len() - 1].to_owned()
                }),
                Just("\\/".to_owned()),
            ];
            prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
        };
        let scalar = prop_oneof![
            "null|true|false",
            "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?(e[+-][0-9]{1,2})?",
            string(),
        ];
        scalar.prop_recursive(5, 64, 6, move |inner| {
            let spaced = (space(), inner.clone(), space()).prop_map(|(l, value, r)| l + &value + &r);
            let member = (space(), string(), space(), inner, space())
                .prop_map(|(a, name, b, value, c)| format!("{a}{name}{b}:{value}{c}"));
            prop_oneof![
                prop::collection::vec(spaced, 0..6).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec(member, 0..24).prop_map(|items| format!("{{{}}}", items.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_text_means_what_was_written(text in written()) {
            let canonical_text = made(&text);
            let expected: Value = serde_json::from_str(&text).unwrap();
            let found: Value = serde_json::from_str(&canonical_text).unwrap();
            prop_assert_eq!(&found, &expected);
            // Serde escapes as little and keeps a number's digits, so what it writes is canonical as well.
            prop_assert_eq!(serde_json::to_string(&found).unwrap(), canonical_text);
        }

        #[test]
        fn canonical_text_stays_as_it_is(text in written()) {
            let once = made(text);
            let twice = canonical(once.as_bytes(), 0).unwrap();
            prop_assert!(matches!(twice, Cow::Borrowed(_)));
            prop_assert_eq!(twice, once.as_bytes());
        }

        #[test]
        fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = canonical(&bytes, 0);
        }

        #[test]
        fn damaged_json_is_judged_as_serde_judges_it(
            text in written(), at: prop::sample::Index, byte in r#"[\[\]{}",:\\0-9eE.+ntfu\- \n]"#,
        ) {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte.as_bytes()[0];
            match canonical(&bytes, 0) {
                Ok(_) => prop_assert!(serde_json::from_slice::<Value>(&bytes).is_ok()),
                Err(Error::BadJson { offset, .. }) => {
                    prop_assert!(serde_json::from_slice::<Value>(&bytes).is_err());
                    prop_assert!(offset <= bytes.len());
                }
                Err(Error::Limit { .. }) => {}
                Err(other) => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
