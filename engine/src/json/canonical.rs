//! The one validating pass: any bytes in, canonical text or a precise error out.

use std::borrow::Cow;
use std::collections::HashSet;

use smallvec::SmallVec;

use super::string::{BadEscape, escaped, find_special, unescape};
use super::walk::members;
use crate::Error;

/// How many containers may lie within one another.
pub const MAX_DEPTH: usize = 128;
/// How many digits an integer may have: what Python converts without being asked twice.
pub const MAX_DIGITS: usize = 4300;

/// Beyond this many digits before its point a number may be too large for a double.
const SAFE_FLOAT_DIGITS: usize = 308;
/// Up to so many names, comparing each with each is cheaper than hashing them.
const FEW_NAMES: usize = 16;

/// Validates `text` and makes it canonical; borrowed when it is so already, but for white space around it.
///
/// `above` is how many containers will enclose the value where it goes. Of members with the same name the last
/// stays, in the last one's place.
pub fn canonical(text: &[u8], above: usize) -> Result<Cow<'_, [u8]>, Error> {
    if let Err(error) = std::str::from_utf8(text) {
        return Err(Error::BadJson { offset: error.valid_up_to(), reason: "invalid UTF-8" });
    }
    let mut pass = Pass { text, at: 0, out: Vec::new(), copied: 0 };
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
    Ok(Cow::Owned(pass.out))
}

/// The canonical text so far is `out` followed by the input from `copied` to `at`: nothing is copied before the
/// input is first found not to be canonical.
struct Pass<'a> {
    text: &'a [u8],
    at: usize,
    out: Vec<u8>,
    copied: usize,
}

impl<'a> Pass<'a> {
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
    fn space(&mut self) {
        if self.peek().is_some_and(|byte| byte <= b' ') {
            let start = self.at;
            self.skip_space();
            let end = std::mem::replace(&mut self.at, start);
            self.replace(end, b"");
        }
    }

    fn value(&mut self, depth: usize) -> Result<(), Error> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            Some(b'N' | b'I') => {
                Err(self.bad("NaN and Infinity are not JSON, send them as strings; found one"))
            }
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

    fn string(&mut self) -> Result<(), Error> {
        self.at += 1;
        loop {
            self.at = find_special(self.text, self.at);
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
        }
    }

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

    fn object(&mut self, depth: usize) -> Result<(), Error> {
        let start = self.written();
        if !self.open(depth, b'}')? {
            return Ok(());
        }
        let mut names = Names::default();
        let mut unique = true;
        loop {
            let name = self.name()?;
            unique &= names.insert(name);
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.bad("expected ':'"));
            }
            self.at += 1;
            self.space();
            self.value(depth + 1)?;
            if !self.next(b'}', "expected ',' or '}'")? {
                break;
            }
        }
        if !unique {
            self.keep_last_members(start);
        }
        Ok(())
    }

    /// Enters a container that `depth` others enclose: whether it holds anything.
    fn open(&mut self, depth: usize, close: u8) -> Result<bool, Error> {
        if depth >= MAX_DEPTH {
            return Err(Error::Limit { reason: "the document would be nested more than 128 levels deep" });
        }
        self.at += 1;
        self.space();
        let empty = self.peek() == Some(close);
        if empty {
            self.at += 1;
        }
        Ok(!empty)
    }

    /// Passes over what follows a value in a container: whether another value does.
    fn next(&mut self, close: u8, expected: &'static str) -> Result<bool, Error> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.bad(expected)),
        }
    }

    /// A member's name in canonical form.
    fn name(&mut self) -> Result<Cow<'a, [u8]>, Error> {
        if self.peek() != Some(b'"') {
            return Err(self.bad("expected a name in double quotes"));
        }
        let (start, written) = (self.at, self.written());
        self.string()?;
        if self.copied <= start {
            return Ok(Cow::Borrowed(&self.text[start..self.at]));
        }
        self.replace(self.at, b"");
        Ok(Cow::Owned(self.out[written..].to_vec()))
    }

    /// Rewrites the object just read, which starts at `start` of the canonical text, without the members that
    /// a later one of the same name replaces.
    fn keep_last_members(&mut self, start: usize) {
        self.replace(self.at, b"");
        let object = self.out.split_off(start);
        let mut kept: Vec<_> = members(&object, 0).collect();
        let mut seen = HashSet::new();
        kept.reverse();
        kept.retain(|member| seen.insert(&object[member.name.clone()]));
        let mut before = b'{';
        for member in kept.into_iter().rev() {
            self.out.push(before);
            self.out.extend_from_slice(&object[member.name.start..member.value.end]);
            before = b',';
        }
        self.out.push(b'}');
    }
}

impl From<BadEscape> for Error {
    fn from(bad: BadEscape) -> Self {
        Self::BadJson { offset: bad.offset, reason: bad.reason }
    }
}

fn overflows(number: &[u8]) -> bool {
    std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()).is_none_or(f64::is_infinite)
}

/// The names of one object: compared one by one while they are few, hashed from then on.
#[derive(Default)]
struct Names<'a> {
    few: SmallVec<[Cow<'a, [u8]>; FEW_NAMES]>,
    many: Option<HashSet<Cow<'a, [u8]>>>,
}

impl<'a> Names<'a> {
    /// Adds a name: whether it is new.
    fn insert(&mut self, name: Cow<'a, [u8]>) -> bool {
        if let Some(many) = &mut self.many {
            return many.insert(name);
        }
        if self.few.contains(&name) {
            return false;
        }
        if self.few.len() < FEW_NAMES {
            self.few.push(name);
        } else {
            self.many = Some(self.few.drain(..).chain([name]).collect());
        }
        true
    }
}
