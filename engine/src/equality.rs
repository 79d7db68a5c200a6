//! When the elements of an array are one: by their values, or by what their texts mean as numbers or date-times.

use std::borrow::Cow;

use crate::json;
use crate::moment::Moment;

/// What a command compares elements by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Equality {
    /// Their values: strings by their characters.
    #[default]
    Value,
    /// The numbers that they are or that strings are the decimal text of, exactly: `1.0`, `"1.00"` and `"1E0"` are one.
    Number,
    /// The instants that strings are the ISO 8601 text of, whatever zone they are in. Without a zone they are compared
    /// among themselves.
    Time,
}

// No other value's normal text starts with these.
const NUMBER: u8 = b'#';
const INSTANT: char = '@';
const LOCAL: char = '~';

impl Equality {
    /// Text that equal values share and others do not.
    pub(crate) fn normal(self, text: &[u8]) -> Cow<'_, [u8]> {
        let meaning = match (self, text) {
            (Self::Number, [b'"', content @ .., b'"']) => decimal(content),
            (Self::Number, [b'-' | b'0'..=b'9', ..]) => decimal(text),
            (Self::Time, [b'"', content @ .., b'"']) => instant(content),
            _ => None,
        };
        meaning.map_or_else(|| json::normal(text), Cow::Owned)
    }
}

/// The number that a text is, as its digits without zeros at either end and the power of ten of the last one. The texts
/// are those of JSON's numbers and of Python's decimals.
fn decimal(text: &[u8]) -> Option<Vec<u8>> {
    let (sign, text) = match text {
        [sign @ (b'-' | b'+'), rest @ ..] => (*sign, rest),
        _ => (b'+', text),
    };
    let (digits, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&text[..at], exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let point = digits.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = point.map_or((digits, &b""[..]), |at| (&digits[..at], &digits[at + 1..]));
    let mut digits = [whole, fraction].concat();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let last = digits.iter().rposition(|digit| *digit != b'0');
    let Some(last) = last else {
        return Some(vec![NUMBER]);
    };
    let zeros = digits.len() - 1 - last;
    let power = exponent.checked_add(zeros as i64)?.checked_sub(fraction.len() as i64)?;
    digits.truncate(last + 1);
    let first = digits.iter().take_while(|digit| **digit == b'0').count();
    Some([&[NUMBER, sign], &digits[first..], b"e", power.to_string().as_bytes()].concat())
}

fn exponent(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    // A sign behind the sign is none.
    if !digits.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The instant that a text is: microseconds, with or without a zone.
fn instant(text: &[u8]) -> Option<Vec<u8>> {
    let (micros, has_zone) = Moment::parse(std::str::from_utf8(text).ok()?)?.instant();
    Some(format!("{}{micros}", if has_zone { INSTANT } else { LOCAL }).into_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::embedded::Keyspace;
    use crate::{Error, Value};

    /// Values that are one under each, class by class.
    #[rustfmt::skip]
    const NUMBERS: &[&[&str]] = &[
        &["1", "1.0", "1e0", "10E-1", "\"1\"", "\"1.00\"", "\"+1\"", "\"1E0\"", "\"01\"", "\"1.\"", "\"0.1E+1\""],
        &["100", "\"1E+2\"", "1e2", "\"100.0\""],
        &["0", "-0", "0.0", "\"0\"", "\"-0.00\"", "\"0E-10\"", "\"0E+999999999999999999\""],
        &["0.1", "\"0.10\"", "\".1\""],
        &["-1.5", "\"-1.50\""],
        &["\"0.1000000000000000055511151231257827\""],
        &["9007199254740993", "\"9007199254740993\"", "9007199254740993.0"],
        &["\"1E+999999999999999999\""],
        &["\"1E+99999999999999999999\""],
        &["\"NaN\""], &["\"\""], &["\".\""], &["\"e1\""], &["\"1e\""], &["\"1e+-1\""], &["\"--1\""], &["\" 1\""],
        &["\"1_0\""], &["\"1,0\""], &["\"x\""], &["true"], &["null"], &["[1,2]", "[1.0,2.0]"], &["[\"1\",2]"],
        &["{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1.0}"],
    ];
    #[rustfmt::skip]
    const TIMES: &[&[&str]] = &[
        &[
            "\"2024-01-01T00:00:00Z\"", "\"2024-01-01T00:00:00+00:00\"", "\"2024-01-01T02:00:00+02:00\"",
            "\"2023-12-31T18:30:00-05:30\"", "\"2024-01-01 00:00Z\"", "\"2024-01-01T00:00:00.000000Z\"",
        ],
        &["\"2024-01-01T00:00:00\"", "\"2024-01-01 00:00\"", "\"2024-01-01T00:00:00.0\""],
        &["\"2024-01-01T00:00:00.000001Z\"", "\"2024-01-01T01:00:00.000001+01:00\""],
        &["\"0001-01-01T00:00:00+23:59\""],
        &["\"2024-01-01\""], &["\"2024-01-01T24:00:00Z\""], &["\"12:00:00Z\""], &["\"1\""], &["1", "1.0"],
        &["\"x\""], &["null"],
    ];

    fn classes(equality: Equality) -> &'static [&'static [&'static str]] {
        match equality {
            Equality::Time => TIMES,
            _ => NUMBERS,
        }
    }

    #[test]
    fn values_are_one_with_those_of_their_class_and_no_other() {
        for equality in [Equality::Number, Equality::Time] {
            let all: Vec<(usize, &str)> = classes(equality)
                .iter()
                .enumerate()
                .flat_map(|(class, values)| values.iter().map(move |value| (class, *value)))
                .collect();
            for (class, value) in &all {
                for (other, text) in &all {
                    let same = equality.normal(value.as_bytes()) == equality.normal(text.as_bytes());
                    assert_eq!(same, class == other, "{value} {text}");
                    let sought = json::Sought::by(equality, value.as_bytes());
                    assert_eq!(sought.is(text.as_bytes()), class == other, "{value} {text}");
                }
            }
        }
    }

    fn call(keyspace: &mut Keyspace, words: &[&str]) -> Result<Value, Error> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        keyspace.execute(&words, 1_000_000)
    }

    fn elements(keyspace: &mut Keyspace) -> Vec<String> {
        let Ok(Value::Bulk(text)) = call(keyspace, &["MODEL.GET_RO", "k", "$.s"]) else { panic!("no set") };
        json::elements(&text, 0).map(|span| String::from_utf8(text[span].to_vec()).unwrap()).collect()
    }

    fn class(equality: Equality, value: &str) -> usize {
        classes(equality)
            .iter()
            .position(|values| values.iter().any(|one| canonical(one) == value))
            .unwrap_or(usize::MAX)
    }

    fn canonical(value: &str) -> String {
        String::from_utf8(json::canonical(value.as_bytes(), 0).unwrap().into_owned()).unwrap()
    }

    proptest! {
        /// Against a model that knows nothing but the classes; the array is a large container here, most of the time.
        #[test]
        fn commands_on_elements_follow_the_classes(
            by_time: bool, steps in prop::collection::vec((0..9_usize, any::<prop::sample::Index>()), 1..60),
        ) {
            let (equality, word) = if by_time { (Equality::Time, "TIME") } else { (Equality::Number, "NUMBER") };
            let pool = classes(equality).concat();
            let mut keyspace = Keyspace::default();
            call(&mut keyspace, &["MODEL.CREATE", "k", r#"{"s":[]}"#]).unwrap();
            let mut model: Vec<String> = Vec::new();
            for (step, which) in steps {
                let value = pool[which.index(pool.len())];
                let text = canonical(value);
                let is = |other: &String| class(equality, other) == class(equality, &text);
                let held = model.iter().filter(|other| is(other)).count();
                let (name, option, expected) = match step {
                    0 => ("MODEL.ADD", None, usize::from(held == 0)),
                    1 => ("MODEL.APPEND", Some("UNIQUE"), model.len() + usize::from(held == 0)),
                    2 => ("MODEL.DISCARD", None, held),
                    3 => ("MODEL.REMOVE", None, held.min(1)),
                    4 | 5 => ("MODEL.CONTAINS", None, usize::from(held > 0)),
                    // Look-ups by values take the index over for a while.
                    6 => {
                        call(&mut keyspace, &["MODEL.CONTAINS", "k", "$.s", value]).unwrap();
                        continue;
                    }
                    _ => ("MODEL.APPEND", None, model.len() + 1),
                };
                let words = [name, "k", "$.s", value].into_iter().chain(["AS", word]).chain(option);
                let reply = call(&mut keyspace, &words.collect::<Vec<_>>());
                prop_assert_eq!(reply, Ok(Value::Integer(expected as i64)), "{} {} {:?}", name, value, model);
                match step {
                    0 | 1 if held == 0 => model.push(text),
                    2 => model.retain(|other| !is(other)),
                    3 if held > 0 => _ = model.remove(model.iter().position(is).unwrap()),
                    7.. => model.push(text),
                    _ => {}
                }
                prop_assert_eq!(&elements(&mut keyspace), &model);
            }
        }

        #[test]
        fn set_operations_follow_the_classes(
            by_time: bool, one in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
            other in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
        ) {
            let (equality, word) = if by_time { (Equality::Time, "TIME") } else { (Equality::Number, "NUMBER") };
            let pool = classes(equality).concat();
            let [one, other] = [one, other]
                .map(|set| set.iter().map(|which| canonical(pool[which.index(pool.len())])).collect::<Vec<_>>());
            let mut keyspace = Keyspace::default();
            let document = format!(r#"{{"s":[{}],"t":[{}]}}"#, one.join(","), other.join(","));
            call(&mut keyspace, &["MODEL.CREATE", "k", &document]).unwrap();
            let class = |value: &String| class(equality, value);
            let there = |value: &String| other.iter().any(|held| class(held) == class(value));
            for operation in ["UNION", "INTER", "DIFF"] {
                let mut expected: Vec<String> = Vec::new();
                let both = one.iter().chain(other.iter().filter(|_| operation == "UNION"));
                for value in both.filter(|value| operation == "UNION" || there(value) == (operation == "INTER")) {
                    if !expected.iter().any(|held| class(held) == class(value)) {
                        expected.push(value.clone());
                    }
                }
                let words = ["MODEL.SETOP", "2", "k", "k", "$.s", "$.t", operation, "AS", word];
                let expected = format!("[{}]", expected.join(","));
                prop_assert_eq!(call(&mut keyspace, &words), Ok(Value::Bulk(expected.into_bytes())));
            }
        }
    }
}
