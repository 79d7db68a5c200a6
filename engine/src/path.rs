//! Paths: the singular queries of RFC 9535, which name exactly one place in a document.

use std::fmt;
use std::ops::Range;

use smallvec::SmallVec;

use crate::Error;
use crate::error::printable;
use crate::json::{self, MAX_DEPTH};

/// The largest index either way: the integers that every JSON implementation agrees on.
const MAX_INDEX: i64 = (1 << 53) - 1;

/// A member's name as canonical text has it, quotes and escapes included, so that finding it is comparing bytes.
pub(crate) type Name = SmallVec<[u8; 24]>;

/// One step from a value to one inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Name(Name),
    /// Negative from the end.
    Index(i64),
}

/// A way from the root to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    steps: SmallVec<[Step; 4]>,
}

impl Path {
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        Parser { text, at: 0 }.path()
    }

    pub fn is_root(&self) -> bool {
        self.steps.is_empty()
    }

    /// How many containers enclose the value.
    pub fn depth(&self) -> usize {
        self.steps.len()
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The steps to the container of the value, and the step from there; `None` for the root.
    pub fn parent(&self) -> Option<(&[Step], &Step)> {
        self.steps.split_last().map(|(last, steps)| (steps, last))
    }

    /// The span of the value in a document's canonical text.
    pub fn locate(&self, text: &[u8]) -> Option<Range<usize>> {
        locate_steps(&self.steps, text, 0..text.len())
    }
}

/// The span of the value that `steps` lead to from the value at `from` in canonical text.
///
/// A name leads nowhere but in an object, an index nowhere but in an array.
pub(crate) fn locate_steps(steps: &[Step], text: &[u8], from: Range<usize>) -> Option<Range<usize>> {
    if steps.is_empty() {
        return Some(from);
    }
    let start = steps.iter().try_fold(from.start, |at, step| match step {
        Step::Name(name) => json::member(text, at, name),
        Step::Index(index) => json::element(text, at, *index),
    })?;
    Some(start..json::skip(text, start))
}

/// The shortest text of the path: shorthand names where they can be.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.steps.iter().try_for_each(|step| match step {
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Name(name) => {
                let quoted = String::from_utf8_lossy(name);
                match quoted.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
                    Some(name) if is_shorthand(name.as_bytes()) => write!(f, ".{name}"),
                    _ => write!(f, "[{quoted}]"),
                }
            }
        })
    }
}

fn is_shorthand(name: &[u8]) -> bool {
    name.first().is_some_and(|byte| starts_name(*byte)) && name.iter().all(|byte| continues_name(*byte))
}

fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn continues_name(byte: u8) -> bool {
    starts_name(byte) || byte.is_ascii_digit()
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn bad(&self, reason: &'static str) -> Error {
        let reason = if self.at < self.text.len() { reason } else { "unexpected end" };
        self.bad_at(self.at, reason)
    }

    fn bad_at(&self, offset: usize, reason: &'static str) -> Error {
        Error::BadPath { path: printable(self.text), offset, reason }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn path(mut self) -> Result<Path, Error> {
        if let Err(error) = std::str::from_utf8(self.text) {
            return Err(self.bad_at(error.valid_up_to(), "invalid UTF-8"));
        }
        if self.peek() != Some(b'$') {
            return Err(self.bad_at(0, "a path starts with '$': expected it"));
        }
        self.at += 1;
        let mut path = Path::default();
        while self.at < self.text.len() {
            self.space();
            let step = match self.peek() {
                Some(b'.') => Step::Name(self.shorthand()?),
                Some(b'[') => self.bracketed()?,
                _ => return Err(self.bad("expected '.' or '['")),
            };
            if path.depth() == MAX_DEPTH {
                return Err(Error::Limit { reason: "a path has more than 128 steps" });
            }
            path.steps.push(step);
        }
        Ok(path)
    }

    fn shorthand(&mut self) -> Result<Name, Error> {
        self.at += 1;
        let start = self.at;
        if !self.peek().is_some_and(starts_name) {
            return Err(self.bad(match self.peek() {
                Some(b'*' | b'.') => "a path names one value, without wildcards: unexpected character",
                _ => "expected a name, in brackets and quotes unless it is of letters, digits and '_',",
            }));
        }
        while self.peek().is_some_and(continues_name) {
            self.at += 1;
        }
        let mut name = Name::from_slice(b"\"");
        name.extend_from_slice(&self.text[start..self.at]);
        name.push(b'"');
        Ok(name)
    }

    fn bracketed(&mut self) -> Result<Step, Error> {
        self.at += 1;
        self.space();
        let step = match self.peek() {
            Some(quote @ (b'"' | b'\'')) => Step::Name(self.quoted(quote)?),
            Some(b'-' | b'0'..=b'9') => Step::Index(self.index()?),
            Some(b'*' | b'?' | b':') => {
                return Err(self.bad("a path names one value, without wildcards: unexpected character"));
            }
            _ => return Err(self.bad("expected a name in quotes or an index")),
        };
        self.space();
        if self.peek() != Some(b']') {
            return Err(self.bad("expected ']'"));
        }
        self.at += 1;
        Ok(step)
    }

    fn quoted(&mut self, quote: u8) -> Result<Name, Error> {
        self.at += 1;
        let mut name = Name::from_slice(b"\"");
        loop {
            match self.peek() {
                Some(byte) if byte == quote => {
                    self.at += 1;
                    name.push(b'"');
                    return Ok(name);
                }
                Some(b'\\') => {
                    let (char, end) = json::unescape(self.text, self.at, quote)
                        .map_err(|bad| self.bad_at(bad.offset, bad.reason))?;
                    json::push_escaped(&mut name, char);
                    self.at = end;
                }
                Some(b'"') => {
                    json::push_escaped(&mut name, '"');
                    self.at += 1;
                }
                Some(b' '..) => {
                    name.push(self.text[self.at]);
                    self.at += 1;
                }
                _ => return Err(self.bad("a control character must be escaped: found one")),
            }
        }
    }

    fn index(&mut self) -> Result<i64, Error> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let first = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        let digits = &self.text[first..self.at];
        if digits.is_empty() {
            return Err(self.bad("expected a digit"));
        }
        if digits[0] == b'0' && self.at - start > 1 {
            return Err(self.bad_at(start, "an index has no leading zeros and no '-0': expected another"));
        }
        std::str::from_utf8(&self.text[start..self.at])
            .ok()
            .and_then(|index| index.parse().ok())
            .filter(|index| (-MAX_INDEX..=MAX_INDEX).contains(index))
            .ok_or_else(|| self.bad_at(start, "an index is at most 2^53-1 either way: expected another"))
    }
}
