//! Commands that compute: INCRBY, CALC.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::cmp::Ordering;

use super::document::create_with;
use super::require::Requirements;
use super::{Access, Arg, Call, Command, DEFAULT, KEY, Keys, Kind, PATH, REQUIRE, STRICT, Terms};
use crate::arithmetic::{Number, Operator, calculate, double, is_number, printed};
use crate::container::fits;
use crate::host::Effect;
use crate::json::{self, Kind as Json};
use crate::limits::Bound;
use crate::moment::{Moment, shifted_seconds};
use crate::node::{Edit, Node};
use crate::path::Path;
use crate::{Draft, Error, Groups, Reply as _};

pub(super) static INCRBY: Command = Command {
    name: "INCRBY",
    subcommand: None,
    summary: "Adds to a number: exactly for integers, as doubles otherwise. Where there is no document, ELSE creates it \
              from this JSON first. STRICT fails where MIN or MAX is not met.",
    access: Access::Grow,
    tells: true,
    groups: Groups::UPDATE.union(Groups::ARITHMETIC),
    special: Some((
        "where ELSE creates the document",
        Groups::CREATE.union(Groups::UPDATE).union(Groups::ARITHMETIC),
    )),
    keys: Keys::First,
    args: &[
        KEY,
        PATH,
        Arg::new("number", Kind::Json),
        Arg::new("least", Kind::Block(&[Arg::token("MIN"), Arg::new("minimum", Kind::Json)])).optional(),
        Arg::new("most", Kind::Block(&[Arg::token("MAX"), Arg::new("maximum", Kind::Json)])).optional(),
        STRICT,
        REQUIRE,
        DEFAULT,
        Arg::new("otherwise", Kind::Block(&[Arg::token("ELSE"), Arg::new("document", Kind::Json)]))
            .optional(),
    ],
    norefresh: true,
    creates: true,
    ifversion: true,
    reply: "the new number; nil when it would be below MIN or above MAX",
    run: incrby,
};

fn incrby(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    let operand = number(call.args.json(0)?)?;
    let (mut least, mut most, mut otherwise) = (None, None, None);
    while let Some(option) = call.option()? {
        match option {
            "MIN" => least = Some(number(call.args.json(0)?)?),
            "MAX" => most = Some(number(call.args.json(0)?)?),
            _ => otherwise = Some(call.args.json(0)?),
        }
    }
    if let (Some(least), Some(most)) = (&least, &most)
        && json::order(least, most) == Some(Ordering::Greater)
    {
        return Err(Error::argument(least, "MIN is above MAX"));
    }
    let increment = Increment { path, operand, least, most, terms: call.terms() };
    let sum = match (call.edit_if_any(key)?, otherwise) {
        (Some(mut document), _) => {
            let sum = increment.apply(&mut document)?;
            let header = document.header();
            if sum.is_some() {
                call.touch(key, Effect::Changed, header);
            }
            sum
        }
        (None, Some(text)) => create_with(call, key, &text, |document| increment.apply(document))?,
        (None, None) => return Err(Error::NoKey),
    };
    match sum {
        Some(sum) => call.reply.bulk(&sum),
        None => call.reply.null(),
    }
    Ok(())
}

/// What INCRBY does to a document.
struct Increment<'a> {
    path: Path,
    operand: Cow<'a, [u8]>,
    least: Option<Cow<'a, [u8]>>,
    most: Option<Cow<'a, [u8]>>,
    terms: Terms<'a>,
}

impl Increment<'_> {
    /// The new number; `None` where it would cross a bound, and nothing changed.
    fn apply(&self, document: &mut Draft<'_>) -> Result<Option<Number>, Error> {
        let Self { path, operand, least, most, terms } = self;
        // Outlives the edit, which writes it from here, and is the reply then.
        let new = OnceCell::new();
        let seen = document.edit(path.steps(), |node| {
            let sum = combined(node, path, Operator::Add, operand)?;
            for (word, bound, way) in [("MIN", least, Ordering::Less), ("MAX", most, Ordering::Greater)] {
                let Some(bound) = bound else { continue };
                if json::order(&sum, bound) != Some(way) {
                    continue;
                }
                if terms.strict {
                    let condition = [word.as_bytes(), b" ", bound].concat();
                    return Err(Error::unmet(&condition, path, "would hold", &sum));
                }
                return Ok(((), None));
            }
            terms.requirements.check_number(path, &sum)?;
            let sum: &[u8] = new.get_or_init(|| sum);
            Ok(((), Some(Edit::Set(sum.into()))))
        })?;
        seen.ok_or_else(|| Error::no_path(path))?;
        Ok(new.into_inner())
    }
}

/// The number at a path, combined with another one.
fn combined(node: Node<'_>, path: &Path, operator: Operator, operand: &[u8]) -> Result<Number, Error> {
    match node {
        Node::Text(text) if is_number(text) => calculate(text, operator, operand),
        _ => Err(Error::bad_type(path, "a number", node.kind())),
    }
}

fn number(json: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, Error> {
    if is_number(&json) { Ok(json) } else { Err(Error::argument(&json, "not a JSON number")) }
}

pub(super) static CALC: Command = Command {
    name: "CALC",
    subcommand: None,
    summary: "Computes with the value at a path as Python does: MUL, DIV, FLOORDIV, MOD and POW a number, REPEAT a \
              string or an array, SHIFT a date-time, ISO 8601 or the seconds since the epoch, by microseconds.",
    access: Access::Grow,
    tells: true,
    groups: Groups::UPDATE.union(Groups::ARITHMETIC),
    special: Some(("for REPEAT", Groups::UPDATE)),
    keys: Keys::First,
    args: &[
        KEY,
        PATH,
        Arg::new(
            "operation",
            Kind::OneOf(&[
                Arg::token("MUL"),
                Arg::token("DIV"),
                Arg::token("FLOORDIV"),
                Arg::token("MOD"),
                Arg::token("POW"),
                Arg::token("REPEAT"),
                Arg::token("SHIFT"),
            ]),
        ),
        Arg::new("operand", Kind::Json),
        REQUIRE,
        DEFAULT,
    ],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "the new value, JSON text",
    run: calc,
};

/// What CALC does to a value.
#[derive(Clone, Copy)]
enum Operation {
    Combine(Operator),
    Repeat,
    Shift,
}

fn calc(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    let operations = [
        ("MUL", Operation::Combine(Operator::Multiply)),
        ("DIV", Operation::Combine(Operator::Divide)),
        ("FLOORDIV", Operation::Combine(Operator::DivideDown)),
        ("MOD", Operation::Combine(Operator::Modulo)),
        ("POW", Operation::Combine(Operator::Power)),
        ("REPEAT", Operation::Repeat),
        ("SHIFT", Operation::Shift),
    ];
    let reason = "an operation is one of MUL, DIV, FLOORDIV, MOD, POW, REPEAT and SHIFT";
    let operation = call.args.choice(&operations, reason)?;
    let operand = number(call.args.json(0)?)?;
    call.end()?;
    if matches!(operation, Operation::Repeat | Operation::Shift) && json::kind(&operand) != Json::Integer {
        return Err(Error::argument(&operand, "REPEAT and SHIFT take a whole number"));
    }
    if matches!(operation, Operation::Repeat) {
        call.work_specially();
    }
    let bound = call.host.reply_bound();
    let Terms { requirements, .. } = call.terms();
    let mut document = call.edit(key)?;
    let room = document.room();
    let value = document.edit(path.steps(), |node| {
        let value = match operation {
            Operation::Combine(operator) => combined(node, &path, operator, &operand)?.into_vec(),
            Operation::Repeat => repeated(node, &path, &operand, room, &requirements)?,
            Operation::Shift => shifted(node, &path, &operand)?,
        };
        if !matches!(operation, Operation::Repeat) {
            requirements.check_text(&path, &value)?;
        }
        bound.check(value.len())?;
        Ok((value.clone(), Some(Edit::Set(value.into()))))
    })?;
    let value = value.ok_or_else(|| Error::no_path(&path))?;
    let header = document.header();
    call.touch(key, Effect::Changed, header);
    call.reply.bulk(&value);
    Ok(())
}

/// A string or an array, so many times; `room` is what the document may grow by.
fn repeated(
    node: Node<'_>,
    path: &Path,
    times: &[u8],
    room: Bound,
    requirements: &Requirements<'_>,
) -> Result<Vec<u8>, Error> {
    let between: &[u8] = match node.kind() {
        Json::String => b"",
        Json::Array => b",",
        found => return Err(Error::bad_type(path, "a string or an array", found)),
    };
    let text = node.text();
    let (inside, ends) = (&text[1..text.len() - 1], [text[0], text[text.len() - 1]]);
    let times = match json::whole(times) {
        _ if inside.is_empty() => 0,
        Some(times) => usize::try_from(times.max(0)).unwrap_or(usize::MAX),
        None if times.starts_with(b"-") => 0,
        None => usize::MAX,
    };
    requirements.check_length(path, node, |length| length.saturating_mul(times))?;
    fits(room, text.len(), (inside.len() + between.len()).saturating_mul(times))?;
    let mut repeated = Vec::with_capacity((inside.len() + between.len()) * times + 2);
    repeated.push(ends[0]);
    for at in 0..times {
        repeated.extend_from_slice(if at > 0 { between } else { b"" });
        repeated.extend_from_slice(inside);
    }
    repeated.push(ends[1]);
    Ok(repeated)
}

/// A date-time, later by so many microseconds.
fn shifted(node: Node<'_>, path: &Path, micros: &[u8]) -> Result<Vec<u8>, Error> {
    let expected = || Error::bad_type(path, "a date-time, ISO 8601 or a number", node.kind());
    let beyond = || Error::range(micros, "the years of a date-time are 1 to 9999");
    let by = json::whole(micros).ok_or_else(beyond)?;
    match node {
        Node::Text(text) if node.kind() == Json::String => {
            let text = json::unquote(text);
            let moment = Moment::parse(&text).ok_or_else(expected)?;
            Ok(json::quote(&moment.shifted(by).ok_or_else(beyond)?.to_string()))
        }
        Node::Text(text) if is_number(text) => {
            let shifted = shifted_seconds(double(text)?, by).ok_or_else(beyond)?;
            Ok(printed(shifted)?.into_bytes())
        }
        _ => Err(expected()),
    }
}
