//! How a row declares its arguments, and how a command takes them.

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};

use smallvec::SmallVec;

use super::Command;
use crate::{Error, Limit, Limits, Millis, Path, Time, integer, json, lifetime};

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
    /// How many words the next argument takes, or, in a block, all that is left of the block.
    Count,
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
pub(super) const WITHVERSION: &str = "WITHVERSION";

static NOREFRESH_ARG: Arg = Arg::token(NOREFRESH).optional();
static EXPECT_POLICY_ARG: Arg = Arg::token(EXPECT_POLICY).optional();
static IFVERSION_ARG: Arg =
    Arg::new("expected", Kind::Block(&[Arg::token(IFVERSION), Arg::new("version", Kind::Text)])).optional();
static WITHVERSION_ARG: Arg = Arg::token(WITHVERSION).optional();

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
            (true, true) if matches!(self.kind, Kind::OneOf(_)) => write!(f, "[<{text}> ...]"),
            (true, true) if matches!(self.kind, Kind::Block(_)) => write!(f, "[{text} [{text} ...]]"),
            (true, true) => write!(f, "[{text} ...]"),
        }
    }
}

impl Command {
    /// Every argument, the common options included.
    pub fn arguments(&self) -> impl Iterator<Item = &'static Arg> {
        let common = [
            (self.ifversion, &IFVERSION_ARG),
            (self.withversion(), &WITHVERSION_ARG),
            (self.norefresh, &NOREFRESH_ARG),
            (self.creates, &EXPECT_POLICY_ARG),
        ];
        self.args.iter().chain(common.into_iter().filter_map(|(takes, arg)| takes.then_some(arg)))
    }

    /// The number of words of a call, names included; negative for "at least", as servers write it.
    pub fn arity(&self) -> i64 {
        let names = 1 + usize::from(self.subcommand.is_some());
        let fewest = (names + self.fewest()) as i64;
        if self.is_fixed() { fewest } else { -fewest }
    }

    /// The fewest arguments of a call: the common options take none.
    pub(super) fn fewest(&self) -> usize {
        self.args.iter().map(Arg::fewest).sum()
    }

    /// Whether a call never has more.
    pub(super) fn is_fixed(&self) -> bool {
        self.arguments().all(Arg::fixed)
    }
}

/// Values of a call; the few that most have need no allocation.
pub(super) type Values<'a> = SmallVec<[Cow<'a, [u8]>; 2]>;

/// The arguments of one call, taken one by one.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    rest: &'a [&'a [u8]],
    /// The option that the next word was found to be when so many words were left: what ends a list of values is
    /// asked for again as an option.
    ahead: Option<(usize, &'static str)>,
    /// What JSON is held to.
    limits: Limits,
    /// Whether a path among the words so far has a filter.
    filters: bool,
}

impl<'a> Args<'a> {
    pub(super) fn new(args: &'a [&'a [u8]], limits: &Limits) -> Self {
        Self { rest: args, ahead: None, limits: *limits, filters: false }
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

    /// The next word, to show it in an error; empty at the end.
    pub(super) fn peek(&self) -> &'a [u8] {
        self.rest.first().copied().unwrap_or_default()
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> &'a [&'a [u8]] {
        std::mem::take(&mut self.rest)
    }

    #[inline]
    pub(super) fn path(&mut self) -> Result<Path, Error> {
        let path = Path::parse(self.word()?)?;
        self.filters |= path.has_filter();
        Ok(path)
    }

    /// Whether a path that was taken has a filter.
    pub(super) fn has_filter(&self) -> bool {
        self.filters
    }

    /// The next word if it is a path.
    #[inline]
    pub(super) fn optional_path(&mut self) -> Result<Option<Path>, Error> {
        match self.rest.first() {
            Some(word) if word.starts_with(b"$") => self.path().map(Some),
            _ => Ok(None),
        }
    }

    /// The next word as canonical JSON that will stand inside `above` containers.
    pub(super) fn json(&mut self, above: usize) -> Result<Cow<'a, [u8]>, Error> {
        let word = self.word()?;
        if integer::parse(word).is_some() {
            return Ok(word.into());
        }
        json::canonical_within(word, above, &self.limits)
    }

    /// Refuses a container that would be the innermost of so many, itself included.
    pub(super) fn check_depth(&self, containers: usize) -> Result<(), Error> {
        self.limits.bound(Limit::Depth).check(containers)
    }

    /// One word or more, up to an option of `command`, as canonical JSON that will stand inside `above` containers.
    pub(super) fn values(&mut self, command: &Command, above: usize) -> Result<Values<'a>, Error> {
        let mut values = Values::new();
        values.push(self.json(above)?);
        while let Some(value) = self.optional_json(command, above)? {
            values.push(value);
        }
        Ok(values)
    }

    /// The next word if it is not an option of `command`, as canonical JSON.
    pub(super) fn optional_json(
        &mut self,
        command: &Command,
        above: usize,
    ) -> Result<Option<Cow<'a, [u8]>>, Error> {
        if self.rest.is_empty() || self.token(command).is_some() {
            return Ok(None);
        }
        self.json(above).map(Some)
    }

    pub(super) fn span(&mut self) -> Result<Millis, Error> {
        lifetime::span(self.word()?)
    }

    pub(super) fn moment(&mut self, now: Time) -> Result<Time, Error> {
        lifetime::moment(self.word()?, now)
    }

    /// The next word as an integer within a range.
    pub(super) fn integer(&mut self, range: RangeInclusive<i64>, reason: &'static str) -> Result<i64, Error> {
        integer::within(self.word()?, range, reason)
    }

    /// The next word if it is not an option of `command`, as an integer within a range.
    pub(super) fn optional_integer(
        &mut self,
        command: &Command,
        range: RangeInclusive<i64>,
        reason: &'static str,
    ) -> Result<Option<i64>, Error> {
        if self.rest.is_empty() || self.token(command).is_some() {
            return Ok(None);
        }
        self.integer(range, reason).map(Some)
    }

    /// The keys that the next word counts: the ones [`Keys::range`](super::Keys::range) finds, and no others.
    pub(super) fn keys(&mut self, reason: &'static str) -> Result<&'a [&'a [u8]], Error> {
        let range = counted(self.rest, reason)?;
        let keys = &self.rest[range.clone()];
        self.rest = &self.rest[range.end..];
        Ok(keys)
    }

    /// The next word as one of several, in any case.
    pub(super) fn choice<T: Copy>(
        &mut self,
        choices: &[(&'static str, T)],
        reason: &'static str,
    ) -> Result<T, Error> {
        let word = self.word()?;
        let chosen = choices.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        chosen.map(|(_, choice)| *choice).ok_or_else(|| Error::argument(word, reason))
    }

    /// The next word as one of the command's options; `None` at the end.
    pub(super) fn option(&mut self, command: &Command) -> Result<Option<&'static str>, Error> {
        let Some(word) = self.rest.first() else {
            return Ok(None);
        };
        let token =
            self.token(command).ok_or_else(|| Error::argument(word, "not an option of this command"))?;
        self.rest = &self.rest[1..];
        Ok(Some(token))
    }

    /// The option of `command` that the next word is, if it is one.
    fn token(&mut self, command: &Command) -> Option<&'static str> {
        let left = self.rest.len();
        if let Some((_, token)) = self.ahead.filter(|(then, _)| *then == left) {
            return Some(token);
        }
        let word = self.rest.first()?;
        // Most words that could be options are JSON, which is seen by its first byte.
        if !word.first().is_some_and(u8::is_ascii_alphabetic) {
            return None;
        }
        let mut tokens = command.arguments().flat_map(Arg::tokens);
        let token = tokens.find(|token| word.eq_ignore_ascii_case(token.as_bytes()))?;
        self.ahead = Some((left, token));
        Some(token)
    }
}

/// Where the keys are in `args`, whose first word counts them. What routing, ACL checks and the command itself take
/// for keys all comes from here.
pub(super) fn counted(args: &[&[u8]], reason: &'static str) -> Result<Range<usize>, Error> {
    let (count, words) = args.split_first().ok_or_else(|| Error::argument(b"", reason))?;
    let most = i64::try_from(words.len()).unwrap_or(i64::MAX);
    let count = integer::within(count, 1..=most, reason)?;
    Ok(1..1 + count as usize)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::command::{Keys, TABLE};
    use crate::embedded::Keyspace;

    const NOW: Time = 1_000_000;

    /// Every place in the table for an integer, as a call in which `#` stands for it, and one that is taken.
    #[rustfmt::skip]
    const CALLS: &[(&str, &str)] = &[
        (r#"MODEL.SAVE k {} ONLY # "a" "b""#, "2"),
        ("MODEL.SAVE k {} IFVERSION #", "7"),
        ("MODEL.EDIT k ADD $.l # 3", "1"),
        ("MODEL.EDIT k DISCARD $.l # 3", "1"),
        ("MODEL.EDIT k IFVERSION #", "7"),
        ("MODEL.SET k $.a 1 IFVERSION #", "7"),
        ("MODEL.UPDATE k $.a 1 IFVERSION #", "7"),
        ("MODEL.APPEND k $.l 1 MAXLEN #", "0"),
        ("MODEL.APPEND k $.l 1 IFVERSION #", "7"),
        ("MODEL.INSERT k $.l # 1", "-1"),
        ("MODEL.REMOVE k $.l 1 COUNT #", "1"),
        ("MODEL.CUT k $.l # 1", "0"),
        ("MODEL.CUT k $.l 0 #", "-1"),
        ("MODEL.POPMIN k $.q #", "1"),
        ("MODEL.PEEK k $.q #", "1"),
        ("MODEL.SETOP # k $.l UNION", "1"),
        ("MODEL.EXEC # k 2 MODEL.GET k", "1"),
        ("MODEL.EXEC 1 k # MODEL.GET k", "2"),
        ("MODEL.LOCK lock me PX #", "1000"),
        ("MODEL.RENEW lock me PX #", "1000"),
        ("MODEL.TTL SET k PX #", "1000"),
        ("MODEL.TTL SET k PXAT #", "2000000"),
        ("MODEL.POLICY SET p: TTL #", "1000"),
        ("MODEL.POLICY SET p: TTL 1 ABSOLUTE #", "1000"),
        ("MODEL.POLICY SET p: TTL 1 READ-TOUCH-PCT #", "50"),
        ("PEXPIRE k #", "1000"),
        ("PEXPIREAT k #", "2000000"),
        ("SCAN #", "0"),
        ("SCAN 0 COUNT #", "1"),
    ];

    fn answer(call: &str, number: &[u8]) -> Result<crate::Value, Error> {
        let mut keyspace = Keyspace::default();
        let document = br#"{"a":1,"l":[1,2],"q":[[1,"x"]]}"#;
        keyspace.execute(&[b"MODEL.CREATE", b"k", document], NOW).unwrap();
        for _ in 0..6 {
            keyspace.execute(&[b"MODEL.INCRBY", b"k", b"$.a", b"1"], NOW).unwrap();
        }
        let words: Vec<&[u8]> =
            call.split(' ').map(|word| if word == "#" { number } else { word.as_bytes() }).collect();
        keyspace.execute(&words, NOW)
    }

    fn integers(args: &[Arg]) -> bool {
        args.iter().any(|arg| match &arg.kind {
            Kind::Integer | Kind::Count | Kind::Millis => true,
            Kind::Block(parts) | Kind::OneOf(parts) => integers(parts),
            _ => false,
        })
    }

    #[test]
    fn every_row_that_takes_integers_is_among_the_calls() {
        let called: BTreeSet<&str> =
            CALLS.iter().filter_map(|(call, _)| call.split(' ').next()?.strip_prefix("MODEL.")).collect();
        let missing: Vec<&str> = TABLE.iter().filter(|row| integers(row.args)).map(|row| row.name).collect();
        assert_eq!(missing.iter().find(|name| !called.contains(*name)), None);
    }

    #[test]
    fn the_calls_succeed_with_the_integer_as_a_server_spells_it() {
        for (call, number) in CALLS {
            assert!(answer(call, number.as_bytes()).is_ok(), "{call}: {:?}", answer(call, number.as_bytes()));
        }
    }

    #[test]
    fn no_command_takes_an_integer_in_another_spelling() {
        for (call, number) in CALLS {
            let (sign, digits) = number.strip_prefix('-').map_or(("", *number), |digits| ("-", digits));
            for odd in [
                format!("+{digits}"),
                format!("{sign}0{digits}"),
                format!(" {number}"),
                format!("{number} "),
                format!("{number}.0"),
                format!("{number}e0"),
                "-0".into(),
                String::new(),
            ] {
                assert!(answer(call, odd.as_bytes()).is_err(), "{call} with {odd:?}");
            }
        }
    }

    #[test]
    fn a_count_that_a_command_refuses_names_no_keys() {
        let range = |words: &[&[u8]]| Keys::Counted.range(words);
        assert_eq!(range(&[b"2", b"a", b"b", b"$"]), 1..3);
        assert_eq!(range(&[b"2", b"a", b"b"]), 1..3);
        for odd in
            ["0", "-1", "3", "+1", "01", "-0", "1 ", "", "x", "9223372036854775807", "18446744073709551617"]
        {
            assert_eq!(range(&[odd.as_bytes(), b"a", b"b"]), 0..0, "{odd:?}");
        }
        assert_eq!(range(&[]), 0..0);
        assert_eq!(range(&[b"1"]), 0..0);
    }

    proptest! {
        #[test]
        fn the_keys_that_routing_sees_are_those_that_the_command_takes(
            count in "[-+ ]?[0-9]{0,2}", keys in proptest::collection::vec("[a-c]", 0..5),
        ) {
            let words: Vec<&[u8]> =
                std::iter::once(count.as_bytes()).chain(keys.iter().map(String::as_bytes)).collect();
            let taken = Args::new(&words, &Limits::TOP).keys("").unwrap_or_default();
            prop_assert_eq!(&words[Keys::Counted.range(&words)], taken);
        }
    }
}
