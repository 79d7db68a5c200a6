//! Commands that compute: INCRBY, CALC.

use std::borrow::Cow;
use std::cmp::Ordering;

use smallvec::SmallVec;

use super::{Access, Arg, Call, Command, KEY, Keys, Kind, PATH};
use crate::arithmetic::{Operator, calculate, double, is_number, printed};
use crate::container::fits;
use crate::host::Effect;
use crate::json::{self, Kind as Json};
use crate::limits::Bound;
use crate::moment::{Moment, shifted_seconds};
use crate::node::{Edit, Node};
use crate::path::Path;
use crate::{Error, Groups};

pub(super) static INCRBY: Command = Command {
    name: "INCRBY",
    subcommand: None,
    summary: "Adds to a number: exactly for integers, as doubles otherwise.",
    access: Access::Grow,
    tells: true,
    groups: Groups::UPDATE.union(Groups::ARITHMETIC),
    special: None,
    keys: Keys::First,
    args: &[
        KEY,
        PATH,
        Arg::new("number", Kind::Json),
        Arg::new("least", Kind::Block(&[Arg::token("MIN"), Arg::new("minimum", Kind::Json)])).optional(),
        Arg::new("most", Kind::Block(&[Arg::token("MAX"), Arg::new("maximum", Kind::Json)])).optional(),
    ],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "the new number; nil when it would be below MIN or above MAX",
    run: incrby,
};

fn incrby(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    let operand = number(call.args.json(0)?)?;
    let (mut least, mut most) = (None, None);
    while let Some(option) = call.option()? {
        *(if option == "MIN" { &mut least } else { &mut most }) = Some(number(call.args.json(0)?)?);
    }
    if let (Some(least), Some(most)) = (&least, &most)
        && json::order(least, most) == Some(Ordering::Greater)
    {
        return Err(Error::argument(least, "MIN is above MAX"));
    }
    let mut document = call.edit(key)?;
    let sum = document.edit(path.steps(), |node| {
        let sum = combined(node, &path, Operator::Add, &operand)?;
        let crosses = |bound: &Option<Cow<'_, [u8]>>, way| {
            bound.as_ref().is_some_and(|bound| json::order(sum.as_bytes(), bound) == Some(way))
        };
        if crosses(&least, Ordering::Less) || crosses(&most, Ordering::Greater) {
            return Ok((None, None));
        }
        // The reply's copy: on the stack, as most sums are short.
        let reply = SmallVec::<[u8; 32]>::from_slice(sum.as_bytes());
        Ok((Some(reply), Some(Edit::Set(sum.into_bytes().into()))))
    })?;
    let Some(sum) = sum.ok_or_else(|| Error::no_path(&path))? else {
        call.reply.null();
        return Ok(());
    };
    let header = document.header();
    call.touch(key, Effect::Changed, header);
    call.reply.bulk(&sum);
    Ok(())
}

/// The number at a path, combined with another one.
fn combined(node: Node<'_>, path: &Path, operator: Operator, operand: &[u8]) -> Result<String, Error> {
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
    let mut document = call.edit(key)?;
    let room = document.room();
    let value = document.edit(path.steps(), |node| {
        let value = match operation {
            Operation::Combine(operator) => combined(node, &path, operator, &operand)?.into_bytes(),
            Operation::Repeat => repeated(node, &path, &operand, room)?,
            Operation::Shift => shifted(node, &path, &operand)?,
        };
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
fn repeated(node: Node<'_>, path: &Path, times: &[u8], room: Bound) -> Result<Vec<u8>, Error> {
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
