//! How a row declares its arguments, and how a command takes them.

use std::borrow::Cow;

use super::Command;
use crate::{Error, Millis, Path, Time, json, lifetime};

/// An argument of a row, in the order of the command line.
#[derive(Debug)]
pub struct Arg {
    pub name: &'static str,
    pub kind: Kind,
    pub optional: bool,
    pub multiple: bool,
}

#[derive(Debug)]
pub enum Kind {
    Key,
    Path,
    /// JSON text.
    Json,
    Integer,
    /// Milliseconds.
    Millis,
    /// Any bytes.
    Text,
    /// A literal word.
    Token(&'static str),
    OneOf(&'static [Arg]),
    Block(&'static [Arg]),
}

pub(super) const NOREFRESH: &str = "NOREFRESH";
pub(super) const EXPECT_POLICY: &str = "EXPECT-POLICY";
pub(super) const IFVERSION: &str = "IFVERSION";

static NOREFRESH_ARG: Arg = Arg::token(NOREFRESH).optional();
static EXPECT_POLICY_ARG: Arg = Arg::token(EXPECT_POLICY).optional();
static IFVERSION_ARG: Arg =
    Arg::new("expected", Kind::Block(&[Arg::token(IFVERSION), Arg::new("version", Kind::Integer)]))
        .optional();

impl Arg {
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, optional: false, multiple: false }
    }

    pub const fn token(word: &'static str) -> Self {
        Self::new(word, Kind::Token(word))
    }

    pub const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    pub const fn multiple(self) -> Self {
        Self { multiple: true, ..self }
    }

    /// The fewest words it takes on a command line.
    fn fewest(&self) -> usize {
        match &self.kind {
            _ if self.optional => 0,
            Kind::Block(parts) => parts.iter().map(Self::fewest).sum(),
            Kind::OneOf(choices) => choices.iter().map(Self::fewest).min().unwrap_or(0),
            _ => 1,
        }
    }

    /// Whether it always takes the fewest words.
    fn fixed(&self) -> bool {
        let parts = match &self.kind {
            Kind::Block(parts) => parts.iter().all(Self::fixed),
            Kind::OneOf(choices) => {
                choices.iter().all(|choice| choice.fixed() && choice.fewest() == self.fewest())
            }
            _ => true,
        };
        parts && !self.optional && !self.multiple
    }

    /// The words an option can start with. A word that must be there stands in its place and is none.
    fn tokens(&self) -> impl Iterator<Item = &'static str> {
        let choices = match &self.kind {
            Kind::OneOf(choices) => choices,
            _ => std::slice::from_ref(self),
        };
        choices.iter().filter_map(|choice| match &choice.kind {
            Kind::Token(_) if !self.optional => None,
            Kind::Token(word) | Kind::Block([Self { kind: Kind::Token(word), .. }, ..]) => Some(*word),
            _ => None,
        })
    }
}

/// As the reference writes it: `path json [path json ...] [NX | XX]`.
impl std::fmt::Display for Arg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let join =
            |parts: &[Self], with: &str| parts.iter().map(Self::to_string).collect::<Vec<_>>().join(with);
        let text = match &self.kind {
            Kind::Token(word) => (*word).to_owned(),
            Kind::OneOf(choices) => join(choices, " | "),
            Kind::Block(parts) => join(parts, " "),
            _ => self.name.to_owned(),
        };
        match (self.optional, self.multiple) {
            (false, false) if matches!(self.kind, Kind::OneOf(_)) => write!(f, "<{text}>"),
            (false, false) => f.write_str(&text),
            (false, true) => write!(f, "{text} [{text} ...]"),
            (true, false) => write!(f, "[{text}]"),
            (true, true) => write!(f, "[{text} ...]"),
        }
    }
}

impl Command {
    /// Every argument, the common options included.
    pub fn arguments(&self) -> impl Iterator<Item = &'static Arg> {
        let common = [
            (self.ifversion, &IFVERSION_ARG),
            (self.norefresh, &NOREFRESH_ARG),
            (self.creates, &EXPECT_POLICY_ARG),
        ];
        self.args.iter().chain(common.into_iter().filter_map(|(takes, arg)| takes.then_some(arg)))
    }

    /// The number of words of a call, names included; negative for "at least", as servers write it.
    pub fn arity(&self) -> i64 {
        let names = 1 + usize::from(self.subcommand.is_some());
        let fewest = (names + self.arguments().map(Arg::fewest).sum::<usize>()) as i64;
        if self.arguments().all(Arg::fixed) { fewest } else { -fewest }
    }
}

/// The arguments of one call, taken one by one.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    rest: &'a [&'a [u8]],
}

impl<'a> Args<'a> {
    pub(super) fn new(args: &'a [&'a [u8]]) -> Self {
        Self { rest: args }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next word. The arity was checked, so only a value of an option can be missing.
    pub(super) fn word(&mut self) -> Result<&'a [u8], Error> {
        let (first, rest) = self
            .rest
            .split_first()
            .ok_or_else(|| Error::argument(b"", "an option's value is missing at the end of the command"))?;
        self.rest = rest;
        Ok(first)
    }

    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }

    /// The next `count` words.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [&'a [u8]], Error> {
        let (words, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| Error::argument(b"", "the command ends before the words it announces"))?;
        self.rest = rest;
        Ok(words)
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> &'a [&'a [u8]] {
        std::mem::take(&mut self.rest)
    }

    pub(super) fn path(&mut self) -> Result<Path, Error> {
        Path::parse(self.word()?)
    }

    /// The next word if it is a path.
    pub(super) fn optional_path(&mut self) -> Result<Option<Path>, Error> {
        match self.rest.first() {
            Some(word) if word.starts_with(b"$") => self.path().map(Some),
            _ => Ok(None),
        }
    }

    /// The next word as canonical JSON that will stand inside `above` containers.
    pub(super) fn json(&mut self, above: usize) -> Result<Cow<'a, [u8]>, Error> {
        json::canonical(self.word()?, above)
    }

    /// The next word if it is not an option of `command`, as canonical JSON.
    pub(super) fn optional_json(
        &mut self,
        command: &Command,
        above: usize,
    ) -> Result<Option<Cow<'a, [u8]>>, Error> {
        match self.rest.first() {
            Some(word) if token(command, word).is_none() => self.json(above).map(Some),
            _ => Ok(None),
        }
    }

    pub(super) fn span(&mut self) -> Result<Millis, Error> {
        lifetime::span(self.word()?)
    }

    pub(super) fn moment(&mut self, now: Time) -> Result<Time, Error> {
        lifetime::moment(self.word()?, now)
    }

    /// The next word as an integer within a range.
    pub(super) fn integer(
        &mut self,
        range: std::ops::RangeInclusive<i64>,
        reason: &'static str,
    ) -> Result<i64, Error> {
        let word = self.word()?;
        let number = std::str::from_utf8(word).ok().and_then(|text| text.parse().ok());
        number.filter(|number| range.contains(number)).ok_or_else(|| Error::range(word, reason))
    }

    /// The next word as one of the command's options; `None` at the end.
    pub(super) fn option(&mut self, command: &Command) -> Result<Option<&'static str>, Error> {
        let Some(word) = self.rest.first() else {
            return Ok(None);
        };
        let token =
            token(command, word).ok_or_else(|| Error::argument(word, "not an option of this command"))?;
        self.rest = &self.rest[1..];
        Ok(Some(token))
    }
}

fn token(command: &Command, word: &[u8]) -> Option<&'static str> {
    command.arguments().flat_map(Arg::tokens).find(|token| word.eq_ignore_ascii_case(token.as_bytes()))
}

/// At most one of the words that exclude each other, such as NX and XX.
pub(super) fn exclusive(chosen: &mut Option<&'static str>, word: &'static str) -> Result<(), Error> {
    if chosen.is_some_and(|earlier| earlier != word) {
        return Err(Error::argument(
            word.as_bytes(),
            "the command takes one of NX and XX, or of PX and PXAT, not both",
        ));
    }
    *chosen = Some(word);
    Ok(())
}
