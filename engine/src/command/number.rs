//! Commands on numbers: INCRBY.

use std::borrow::Cow;
use std::cmp::Ordering;

use num_bigint::BigInt;

use super::{Access, Arg, Call, Command, KEY, Keys, Kind, PATH};
use crate::host::Effect;
use crate::json::{self, Kind as Json};
use crate::node::Edit;
use crate::{Error, Groups};

pub(super) static INCRBY: Command = Command {
    name: "INCRBY",
    subcommand: None,
    summary: "Adds to a number: exactly for integers, as doubles otherwise.",
    access: Access::Grow,
    groups: Groups::UPDATE.union(Groups::ARITHMETIC),
    below: None,
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
    let operand = number(call)?;
    let (mut least, mut most) = (None, None);
    while let Some(option) = call.option()? {
        *(if option == "MIN" { &mut least } else { &mut most }) = Some(number(call)?);
    }
    if let (Some(least), Some(most)) = (&least, &most)
        && json::order(least, most) == Some(Ordering::Greater)
    {
        return Err(Error::argument(least, "MIN is above MAX"));
    }
    let document = call.edit(key)?;
    let sum = document.edit(path.steps(), |node| {
        let current = node.text();
        if !is_number(&current) {
            return Err(Error::bad_type(&path, "a number", node.kind()));
        }
        let sum = add(&current, &operand)?;
        let crosses = |bound: &Option<Cow<'_, [u8]>>, way| {
            bound.as_ref().is_some_and(|bound| json::order(sum.as_bytes(), bound) == Some(way))
        };
        if crosses(&least, Ordering::Less) || crosses(&most, Ordering::Greater) {
            return Ok((None, None));
        }
        Ok((Some(sum.clone()), Some(Edit::Set(sum.into_bytes().into()))))
    })?;
    let Some(sum) = sum.ok_or_else(|| Error::no_path(&path))? else {
        call.reply.null();
        return Ok(());
    };
    let header = document.header();
    call.touch(key, Effect::Changed, header);
    call.reply.bulk(sum.as_bytes());
    Ok(())
}

fn number<'a>(call: &mut Call<'a>) -> Result<Cow<'a, [u8]>, Error> {
    let number = call.args.json(0)?;
    if is_number(&number) { Ok(number) } else { Err(Error::argument(&number, "INCRBY takes JSON numbers")) }
}

fn is_number(text: &[u8]) -> bool {
    matches!(json::kind(text), Json::Integer | Json::Number)
}

/// The sum of two JSON numbers as Python computes it: exact for integers, else IEEE doubles printed shortest.
fn add(left: &[u8], right: &[u8]) -> Result<String, Error> {
    if json::kind(left) == Json::Integer && json::kind(right) == Json::Integer {
        return add_integers(left, right);
    }
    let (left, right) = (double(left)?, double(right)?);
    let sum = left + right;
    if sum.is_finite() { Ok(format!("{sum:?}")) } else { Err(overflow()) }
}

fn add_integers(left: &[u8], right: &[u8]) -> Result<String, Error> {
    if let (Some(left), Some(right)) = (small(left), small(right)) {
        return Ok((left + right).to_string());
    }
    let big = |text: &[u8]| BigInt::parse_bytes(text, 10).ok_or_else(overflow);
    let sum = (big(left)? + big(right)?).to_string();
    let digits = sum.trim_start_matches('-').len();
    if digits > json::MAX_DIGITS {
        return Err(Error::Limit { reason: "the sum would have more than 4300 digits" });
    }
    Ok(sum)
}

/// An integer that cannot overflow 128 bits when another one is added.
fn small(text: &[u8]) -> Option<i128> {
    (text.len() < 38).then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

fn double(text: &[u8]) -> Result<f64, Error> {
    let number: Option<f64> = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.filter(|number| number.is_finite()).ok_or_else(overflow)
}

fn overflow() -> Error {
    Error::range(b"number", "the result is beyond what a double can hold")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(left: &str, right: &str) -> Result<String, Error> {
        add(left.as_bytes(), right.as_bytes())
    }

    #[test]
    fn integers_add_exactly_at_any_size() {
        assert_eq!(sum("9007199254740993", "1").unwrap(), "9007199254740994");
        assert_eq!(sum("9223372036854775807", "1").unwrap(), "9223372036854775808");
        assert_eq!(sum("-1", "1").unwrap(), "0");
        let nines = "9".repeat(60);
        assert_eq!(sum(&nines, "1").unwrap(), format!("1{}", "0".repeat(60)));
        assert_eq!(sum(&format!("-{nines}"), &nines).unwrap(), "0");
    }

    #[test]
    fn floats_print_shortest_and_stay_floats() {
        assert_eq!(sum("0.1", "0.2").unwrap(), "0.30000000000000004");
        assert_eq!(sum("1.5", "1.5").unwrap(), "3.0");
        assert_eq!(sum("1e16", "0").unwrap(), "1e16");
        assert_eq!(sum("2", "1e-7").unwrap(), "2.0000001");
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert!(matches!(sum("1e308", "1e308"), Err(Error::OutOfRange { .. })));
        assert!(matches!(sum(&"9".repeat(400), "0.5"), Err(Error::OutOfRange { .. })));
        assert!(matches!(sum(&"9".repeat(json::MAX_DIGITS), "1"), Err(Error::Limit { .. })));
    }
}
