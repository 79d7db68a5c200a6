//! `REQUIRE relation bound`: what must be true of the value at the command's path once the command has changed it.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::args::Args;
use super::container::length;
use super::{Arg, Kind};
use crate::Error;
use crate::arithmetic::{Operator, calculate, double, is_number};
use crate::json::{self, Kind as Json};
use crate::node::Node;
use crate::path::Path;

/// The word that starts one.
pub(super) const WORD: &str = "REQUIRE";

/// `REQUIRE relation bound`
pub(super) const ARG: Arg = Arg::new(
    "requirement",
    Kind::Block(&[
        Arg::token(WORD),
        Arg::new("relation", Kind::OneOf(RELATIONS)),
        Arg::new("bound", Kind::Json),
    ]),
)
.optional()
.multiple();

const RELATIONS: &[Arg] = &[
    Arg::token("GE"),
    Arg::token("GT"),
    Arg::token("LE"),
    Arg::token("LT"),
    Arg::token("MULTIPLE"),
    Arg::token("MINLEN"),
    Arg::token("MAXLEN"),
];

/// What the value must meet. A value that a command leaves as it is meets whatever it met before.
#[derive(Debug, Default)]
pub(super) struct Requirements<'a>(Vec<Requirement<'a>>);

#[derive(Debug)]
struct Requirement<'a> {
    word: &'static str,
    bound: Bound<'a>,
}

#[derive(Debug)]
enum Bound<'a> {
    /// The order of the value to a number is one of these two.
    Order(Cow<'a, [u8]>, [Ordering; 2]),
    /// The value is a multiple of a number.
    Multiple(Cow<'a, [u8]>),
    /// The order of the length to a number is one of these two.
    Length(usize, [Ordering; 2]),
}

impl<'a> Requirements<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes what follows `REQUIRE`.
    pub(super) fn take(&mut self, args: &mut Args<'a>) -> Result<(), Error> {
        use Ordering::{Equal, Greater, Less};
        type Make<'a> = fn(&mut Args<'a>) -> Result<Bound<'a>, Error>;
        let relations: [(&'static str, (&'static str, Make<'a>)); 7] = [
            ("GE", ("GE", |args| Ok(Bound::Order(number(args)?, [Greater, Equal])))),
            ("GT", ("GT", |args| Ok(Bound::Order(number(args)?, [Greater, Greater])))),
            ("LE", ("LE", |args| Ok(Bound::Order(number(args)?, [Less, Equal])))),
            ("LT", ("LT", |args| Ok(Bound::Order(number(args)?, [Less, Less])))),
            ("MULTIPLE", ("MULTIPLE", |args| positive(args).map(Bound::Multiple))),
            ("MINLEN", ("MINLEN", |args| Ok(Bound::Length(count(args)?, [Greater, Equal])))),
            ("MAXLEN", ("MAXLEN", |args| Ok(Bound::Length(count(args)?, [Less, Equal])))),
        ];
        let reason = "REQUIRE takes one of GE, GT, LE, LT, MULTIPLE, MINLEN and MAXLEN";
        let (word, make) = args.choice(&relations, reason)?;
        self.0.push(Requirement { word, bound: make(args)? });
        Ok(())
    }

    /// Refuses a number that the value at a path would be.
    pub(super) fn check_number(&self, path: &Path, number: &[u8]) -> Result<(), Error> {
        for Requirement { word, bound } in &self.0 {
            let (met, bound) = match bound {
                Bound::Order(bound, orders) => {
                    (json::order(number, bound).is_some_and(|order| orders.contains(&order)), bound)
                }
                Bound::Multiple(of) => (is_multiple(number, of)?, of),
                Bound::Length(..) => {
                    return Err(Error::bad_type(path, "an array, an object or a string", json::kind(number)));
                }
            };
            if !met {
                return Err(Error::constraint(path, word, bound, number));
            }
        }
        Ok(())
    }

    /// Refuses the length that the value at a path would have, as a function of what it has: items of arrays and
    /// objects, characters of strings.
    pub(super) fn check_length(
        &self,
        path: &Path,
        node: Node<'_>,
        after: impl FnOnce(usize) -> usize,
    ) -> Result<(), Error> {
        // To count what is there may cost its size.
        if self.is_empty() {
            return Ok(());
        }
        self.check_count(path, node.kind(), Unit::of(node.kind()), after(length(node, path)?))
    }

    /// Refuses a length of a value of this type, in these units.
    pub(super) fn check_count(&self, path: &Path, kind: Json, unit: Unit, count: usize) -> Result<(), Error> {
        for Requirement { word, bound } in &self.0 {
            let Bound::Length(bound, orders) = bound else {
                return Err(Error::bad_type(path, "a number", kind));
            };
            if !orders.contains(&count.cmp(bound)) {
                let (bound, value) = (bound.to_string(), format!("{count} {}", unit.name()));
                return Err(Error::constraint(path, word, bound.as_bytes(), value.as_bytes()));
            }
        }
        Ok(())
    }

    /// Refuses a text that the value at a path would be.
    pub(super) fn check_text(&self, path: &Path, text: &[u8]) -> Result<(), Error> {
        self.check(path, Node::Text(text))
    }

    /// Refuses a value at a path.
    pub(super) fn check(&self, path: &Path, node: Node<'_>) -> Result<(), Error> {
        match node {
            Node::Text(text) if is_number(text) => self.check_number(path, text),
            _ => self.check_length(path, node, |length| length),
        }
    }
}

/// What a length counts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    Items,
    Characters,
    Bytes,
}

impl Unit {
    fn of(kind: Json) -> Self {
        if kind == Json::String { Self::Characters } else { Self::Items }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Items => "items",
            Self::Characters => "characters",
            Self::Bytes => "bytes",
        }
    }
}

fn number<'a>(args: &mut Args<'a>) -> Result<Cow<'a, [u8]>, Error> {
    let json = args.json(0)?;
    if is_number(&json) { Ok(json) } else { Err(Error::argument(&json, "not a JSON number")) }
}

fn positive<'a>(args: &mut Args<'a>) -> Result<Cow<'a, [u8]>, Error> {
    let number = number(args)?;
    if json::order(&number, b"0") == Some(Ordering::Greater) {
        return Ok(number);
    }
    Err(Error::argument(&number, "a value is a multiple of a number above zero"))
}

fn count(args: &mut Args<'_>) -> Result<usize, Error> {
    let count = args.integer(0..=i64::MAX, "a length is a whole number, at least 0")?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Whether a number is a multiple of another one: exactly for integers, otherwise as closely as pydantic asks of floats,
/// to a part in 10⁹.
fn is_multiple(number: &[u8], of: &[u8]) -> Result<bool, Error> {
    const CLOSE: f64 = 1e-9;
    if [number, of].map(json::kind) == [Json::Integer; 2] {
        return Ok(json::order(&calculate(number, Operator::Modulo, of)?, b"0") == Some(Ordering::Equal));
    }
    let (number, of) = (double(number)?, double(of)?);
    let (rest, close) = ((number % of).abs(), number.abs() * CLOSE);
    Ok(rest <= close || (rest - of).abs() <= close)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use crate::embedded::Keyspace;
    use crate::{Error, Prefix, Value};

    /// A change of the value at `$.v`, and what it is before.
    #[rustfmt::skip]
    const CALLS: &[(&str, &str)] = &[
        ("MODEL.INCRBY k $.v 3", "7"),
        ("MODEL.INCRBY k $.v -3", "7"),
        ("MODEL.INCRBY k $.v 0.5", "7"),
        ("MODEL.INCRBY k $.v 1 MAX 7", "7"),
        ("MODEL.CALC k $.v MUL 2", "7"),
        ("MODEL.CALC k $.v DIV 2", "7"),
        ("MODEL.CALC k $.v REPEAT 2", "[1,2]"),
        ("MODEL.CALC k $.v REPEAT 3", "\"é\\n\""),
        ("MODEL.CALC k $.v SHIFT 1", "\"2024-01-01T00:00:00Z\""),
        ("MODEL.APPEND k $.v 1 2", "[1,2]"),
        ("MODEL.APPEND k $.v 1 2 UNIQUE", "[1,2]"),
        ("MODEL.APPEND k $.v 1 4 UNIQUE", "[1,2]"),
        ("MODEL.APPEND k $.v 1 2 MAXLEN 3", "[1,2]"),
        ("MODEL.APPEND k $.v \"\\u00e9\" \"\u{1f511}\"", "\"a\""),
        ("MODEL.INSERT k $.v 0 1 2", "[1,2]"),
        ("MODEL.POP k $.v", "[1,2]"),
        ("MODEL.POP k $.v", "[]"),
        ("MODEL.POP k $.v", "{\"a\":1,\"b\":2}"),
        ("MODEL.POP k $.v \"c\"", "{\"a\":1,\"b\":2}"),
        ("MODEL.REMOVE k $.v 1 COUNT 2", "[1,2,1,1]"),
        ("MODEL.REMOVE k $.v 3", "[1,2,1,1]"),
        ("MODEL.CUT k $.v 1 3", "[1,2,1,1]"),
        ("MODEL.CUT k $.v 9 9", "[1,2,1,1]"),
        ("MODEL.CLEAR k $.v", "[1,2]"),
        ("MODEL.CLEAR k $.v", "[]"),
        ("MODEL.CLEAR k $.v", "\"ab\""),
        ("MODEL.CLEAR k $.v", "{\"a\":1}"),
        ("MODEL.ADD k $.v 1 3 3 4", "[1,2]"),
        ("MODEL.ADD k $.v 1", "[1,2]"),
        ("MODEL.DISCARD k $.v 1 3", "[1,2,1.0]"),
        ("MODEL.DISCARD k $.v 3", "[1,2]"),
        ("MODEL.PUSH k $.v 1 1 2 2 3 3 4 2", "[[0,1],[1,2],[2,2]]"),
        ("MODEL.PUSH k $.v 1 1", "[[0,1],[1,2],[2,2]]"),
        ("MODEL.UNPUSH k $.v 2 7", "[[0,1],[1,2],[2,2]]"),
        ("MODEL.UNPUSH k $.v 7", "[[0,1]]"),
        ("MODEL.POPMIN k $.v", "[[0,1],[1,2],[2,2]]"),
        ("MODEL.POPMIN k $.v 9", "[[0,1],[1,2]]"),
        ("MODEL.POPMIN k $.v", "[]"),
    ];

    fn call(keyspace: &mut Keyspace, words: &str) -> Result<Value, Error> {
        let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        keyspace.execute(&words, 1_000_000)
    }

    fn made(value: &str) -> Keyspace {
        let mut keyspace = Keyspace::default();
        let words = [&b"MODEL.CREATE"[..], b"k", &[br#"{"v":"#, value.as_bytes(), b"}"].concat()];
        keyspace.execute(&words, 1_000_000).unwrap();
        keyspace
    }

    fn text(keyspace: &mut Keyspace) -> String {
        match call(keyspace, "MODEL.GET_RO k $.v") {
            Ok(Value::Bulk(text)) => String::from_utf8(text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn version_is(keyspace: &mut Keyspace, version: u32) -> bool {
        call(keyspace, &format!("MODEL.EDIT k NOREFRESH IFVERSION {version}")).is_ok()
    }

    /// What an independent reader of JSON says: `None` where the value has no such measure.
    fn meets(value: &str, relation: &str, bound: &str) -> Option<bool> {
        let value: Json = serde_json::from_str(value).unwrap();
        let bound: f64 = bound.parse().unwrap();
        let length = match &value {
            Json::String(text) => Some(text.chars().count()),
            Json::Array(items) => Some(items.len()),
            Json::Object(members) => Some(members.len()),
            _ => None,
        };
        let number = value.as_f64();
        match relation {
            "GE" => number.map(|number| number >= bound),
            "GT" => number.map(|number| number > bound),
            "LE" => number.map(|number| number <= bound),
            "LT" => number.map(|number| number < bound),
            "MULTIPLE" => number.map(|number| number % bound == 0.0),
            "MINLEN" => length.map(|length| length >= bound as usize),
            _ => length.map(|length| length <= bound as usize),
        }
    }

    #[test]
    fn every_writer_that_takes_requirements_is_called() {
        let called: std::collections::BTreeSet<&str> =
            CALLS.iter().filter_map(|(call, _)| call.split(' ').next()?.strip_prefix("MODEL.")).collect();
        let takes = |row: &&&crate::Command| {
            row.access.writes() && row.args.iter().any(|arg| arg.name == super::ARG.name)
        };
        let rows: std::collections::BTreeSet<&str> =
            crate::command::TABLE.iter().filter(takes).map(|row| row.name).collect();
        assert_eq!(called, rows);
    }

    #[test]
    fn a_requirement_that_is_none_is_refused() {
        for (requirement, prefix) in [
            ("EQ 1", "BADARG"),
            ("LE", "BADARG"),
            ("LE x", "BADJSON"),
            ("LE \"1\"", "BADARG"),
            ("MULTIPLE 0", "BADARG"),
            ("MULTIPLE -2", "BADARG"),
            ("MAXLEN -1", "OUTOFRANGE"),
            ("MAXLEN 1.0", "OUTOFRANGE"),
            ("MAXLEN 3", "BADTYPE"),
        ] {
            let error =
                call(&mut made("1"), &format!("MODEL.INCRBY k $.v 1 REQUIRE {requirement}")).unwrap_err();
            assert_eq!(error.prefix().word(), prefix, "{requirement}: {error}");
        }
    }

    #[test]
    fn numbers_are_compared_exactly() {
        let met = |value: &str, requirement: &str| {
            call(&mut made(value), &format!("MODEL.INCRBY k $.v 0 REQUIRE {requirement}")).is_ok()
        };
        let large = "9007199254740993";
        assert!(met(large, "GT 9007199254740992") && !met(large, "LE 9007199254740992"));
        assert!(met(large, "GT 9007199254740992.0") && met(large, "MULTIPLE 3") && !met(large, "MULTIPLE 2"));
        assert!(met("100000000000000000000", "MULTIPLE 10") && !met("100000000000000000001", "MULTIPLE 10"));
        assert!(met("-6", "MULTIPLE 3") && met("0", "MULTIPLE 3") && met("1.5", "LT 1.5000000000000002"));
        // As pydantic takes them: 0.1 added three times is a multiple of 0.1.
        assert!(met("0.30000000000000004", "MULTIPLE 0.1") && !met("0.35", "MULTIPLE 0.1"));
        assert!(met("7.0", "MULTIPLE 3.5") && met("7", "MULTIPLE 0.5") && !met("7.25", "MULTIPLE 1"));
    }

    #[test]
    fn bytes_of_base64_are_counted_as_bytes() {
        let append = "MODEL.APPEND k $.v \"AAAA\" BASE64 REQUIRE MAXLEN";
        assert!(call(&mut made("\"AA==\""), &format!("{append} 4")).is_ok());
        let refusal = call(&mut made("\"AA==\""), &format!("{append} 3")).unwrap_err().to_string();
        assert_eq!(
            refusal,
            "CONSTRAINT path '$.v' would hold 4 bytes, which REQUIRE MAXLEN 3 does not allow"
        );
    }

    proptest! {
        #[test]
        fn what_is_expected_meets_what_is_required(
            at in 0..CALLS.len(), relation in 0..super::RELATIONS.len(), bound in 1..16_u32,
        ) {
            let (_, value) = CALLS[at];
            let super::Kind::Token(relation) = super::RELATIONS[relation].kind else { unreachable!() };
            let bound = bound.to_string();
            let answer = call(&mut made(value), &format!("MODEL.EXPECT k $.v REQUIRE {relation} {bound}"));
            match meets(value, relation, &bound) {
                Some(true) => prop_assert_eq!(answer, Ok(Value::Ok)),
                Some(false) => prop_assert_eq!(answer.unwrap_err().prefix(), Prefix::Constraint),
                None => prop_assert_eq!(answer.unwrap_err().prefix(), Prefix::BadType),
            }
        }

        #[test]
        fn a_change_meets_what_is_required_or_does_not_happen(
            at in 0..CALLS.len(), relation in 0..super::RELATIONS.len(), bound in 1..16_u32,
        ) {
            let (words, before) = CALLS[at];
            let super::Kind::Token(relation) = super::RELATIONS[relation].kind else { unreachable!() };
            let bound = bound.to_string();
            let (mut keyspace, mut free) = (made(before), made(before));
            let reply = call(&mut free, words).unwrap();
            let answer = call(&mut keyspace, &format!("{words} REQUIRE {relation} {bound}"));
            let after = text(&mut free);
            if version_is(&mut free, 1) {
                prop_assert_eq!(answer, Ok(reply));
                prop_assert!(version_is(&mut keyspace, 1));
                return Ok(());
            }
            match meets(&after, relation, &bound) {
                Some(true) => prop_assert_eq!(answer, Ok(reply)),
                Some(false) => prop_assert_eq!(answer.unwrap_err().prefix(), Prefix::Constraint),
                None => prop_assert_eq!(answer.unwrap_err().prefix(), Prefix::BadType),
            }
            let changed = meets(&after, relation, &bound) == Some(true);
            prop_assert_eq!(text(&mut keyspace), if changed { after } else { before.to_owned() });
            prop_assert!(version_is(&mut keyspace, 1 + u32::from(changed)));
        }
    }
}
