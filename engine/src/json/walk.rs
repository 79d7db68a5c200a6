//! Finding values in canonical text. The text was validated when it came in, so nothing here checks it again;
//! text that is not canonical gives wrong spans, never a panic.

use std::ops::Range;

use smallvec::SmallVec;

use super::canonical::MAX_DEPTH;
use super::search::{find_quote, find_structure, quote_in_word};

/// The types a value can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Null,
    Boolean,
    Integer,
    /// A number with a fraction or an exponent.
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// The type of the value that `text` is.
pub fn kind(text: &[u8]) -> Kind {
    match text.first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Boolean,
        Some(b'-' | b'0'..=b'9') if memchr::memchr3(b'.', b'e', b'E', text).is_some() => Kind::Number,
        Some(b'-' | b'0'..=b'9') => Kind::Integer,
        _ => Kind::Null,
    }
}

/// The integer that canonical text is, if it has 64 bits at most.
pub(crate) fn whole(text: &[u8]) -> Option<i64> {
    (kind(text) == Kind::Integer).then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// Where the value that starts at `at` ends.
#[inline]
pub fn skip(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(b'"') => skip_string(text, at),
        Some(b'[' | b'{') => skip_container(text, at),
        _ => {
            let rest = text.get(at..).unwrap_or_default();
            let end = rest.iter().position(|byte| matches!(byte, b',' | b']' | b'}' | b':'));
            end.map_or(text.len(), |end| at + end)
        }
    }
}

/// Most values that are skipped are short strings without escapes: so what takes more is left to a function that is
/// called at the end, and this one has nothing to save for its caller.
#[inline(never)]
fn skip_string(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(quote) = quote_in_word(text, at) {
        match quote {
            Ok(quote) if text.get(quote) == Some(&b'"') => return quote + 1,
            Ok(_) => break,
            Err(next) => at = next,
        }
    }
    skip_rest(text, at)
}

#[inline(never)]
fn skip_rest(text: &[u8], at: usize) -> usize {
    string_end(text, at)
}

/// Where the string ends that `at` is in, not at the character behind a backslash.
#[inline]
fn string_end(text: &[u8], mut at: usize) -> usize {
    loop {
        at = find_quote(text, at);
        match text.get(at) {
            Some(b'"') => return at + 1,
            Some(_) => at += 2,
            None => return text.len(),
        }
    }
}

#[inline(never)]
fn skip_container(text: &[u8], at: usize) -> usize {
    let mut at = at;
    let mut depth = 0_usize;
    loop {
        at = find_structure(text, at);
        match text.get(at) {
            Some(b'"') => {
                at = string_end(text, at + 1);
                // Strings follow strings, mostly: nothing has to be looked for between them.
                while let Some([b',' | b':', b'"']) = text.get(at..at + 2) {
                    at = string_end(text, at + 2);
                }
                continue;
            }
            Some(b'[' | b'{') => depth += 1,
            Some(_) if depth <= 1 => return at + 1,
            Some(_) => depth -= 1,
            None => return text.len(),
        }
        at += 1;
    }
}

/// The elements of the array that starts at `at`; none when it is something else.
pub fn elements(text: &[u8], at: usize) -> Elements<'_> {
    Elements { text, next: first(text, at, b'[') }
}

/// The members of the object that starts at `at`; none when it is something else.
pub fn members(text: &[u8], at: usize) -> Members<'_> {
    Members { text, next: first(text, at, b'{') }
}

/// Where the element at `index` of the array that starts at `at` starts; a negative index counts from the end.
pub fn element(text: &[u8], at: usize, index: i64) -> Option<usize> {
    elements(text, at).seek(index)
}

/// Where the value of the member `name` of the object that starts at `at` starts. `name` is canonical, quotes
/// included.
pub fn member(text: &[u8], at: usize, name: &[u8]) -> Option<usize> {
    members(text, at).seek(name)
}

/// The spans of all containers of more than `limit` bytes, in the order in which they start.
pub(crate) fn containers_over(text: &[u8], limit: usize) -> Vec<Range<usize>> {
    let mut open: SmallVec<[usize; MAX_DEPTH]> = SmallVec::new();
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        at = find_structure(text, at);
        match text.get(at) {
            Some(b'"') => {
                at = skip_string(text, at);
                continue;
            }
            Some(b'[' | b'{') => open.push(at),
            Some(_) => found.extend(open.pop().map(|start| start..at + 1).filter(|span| span.len() > limit)),
            None => break,
        }
        at += 1;
    }
    found.sort_unstable_by_key(|span| span.start);
    found
}

/// The spans of an array's elements.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    text: &'a [u8],
    next: Option<usize>,
}

impl<'a> Elements<'a> {
    /// The elements of `list`, an array's text without its brackets.
    pub(crate) fn of_list(list: &'a [u8]) -> Self {
        Self { text: list, next: (!list.is_empty()).then_some(0) }
    }

    /// Where the element at `index` starts, without looking for its end; a negative index counts from the end.
    pub(crate) fn seek(mut self, index: i64) -> Option<usize> {
        let Ok(index) = usize::try_from(index) else {
            let starts: Vec<usize> = self.map(|element| element.start).collect();
            let from_end = usize::try_from(index.unsigned_abs()).ok()?;
            return starts.len().checked_sub(from_end).map(|at| starts[at]);
        };
        if index > 0 {
            self.nth(index - 1)?;
        }
        self.next
    }

    /// From the start of the first to the end of the last element of a range; `None` where it holds none.
    pub(crate) fn run(self, range: &Range<usize>) -> Option<Range<usize>> {
        let mut elements = self.skip(range.start).take(range.len());
        let first = elements.next()?;
        Some(first.start..elements.last().map_or(first.end, |last| last.end))
    }
}

impl Iterator for Elements<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.next.take()?;
        let end = skip(self.text, start);
        self.next = after(self.text, end, b',');
        Some(start..end)
    }
}

/// The spans of a member: its name with quotes, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub name: Range<usize>,
    pub value: Range<usize>,
}

/// The spans of an object's members.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    text: &'a [u8],
    next: Option<usize>,
}

impl<'a> Members<'a> {
    /// The members of `list`, an object's text without its braces.
    pub(crate) fn of_list(list: &'a [u8]) -> Self {
        Self { text: list, next: (!list.is_empty()).then_some(0) }
    }

    /// Where the value of the member `name` starts, without looking for its end.
    pub(crate) fn seek(mut self, name: &[u8]) -> Option<usize> {
        loop {
            let start = self.next?;
            // Both names end in a quote that nothing escapes, so one of the same start and end is the same. The end
            // comes first: it tells most names apart without a call.
            let end = start + name.len();
            if self.text.get(end) == Some(&b':') && self.text.get(start..end) == Some(name) {
                return Some(end + 1);
            }
            self.next()?;
        }
    }
}

impl Iterator for Members<'_> {
    type Item = Member;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let start = self.next.take()?;
        let name = start..skip_string(self.text, start);
        let value = after(self.text, name.end, b':')?;
        let value = value..skip(self.text, value);
        self.next = after(self.text, value.end, b',');
        Some(Member { name, value })
    }
}

/// Ends an array whose elements have commas behind them.
pub(crate) fn close(array: &mut Vec<u8>) {
    match array.last_mut() {
        Some(last @ b',') => *last = b']',
        _ => array.push(b']'),
    }
}

/// Where the first value of the container at `at` starts, if `open` opens it and it holds any.
fn first(text: &[u8], at: usize, open: u8) -> Option<usize> {
    let first = *text.get(at + 1)?;
    (text[at] == open && !matches!(first, b']' | b'}')).then_some(at + 1)
}

/// What follows `byte`, if that is what `at` has.
fn after(text: &[u8], at: usize, byte: u8) -> Option<usize> {
    (text.get(at) == Some(&byte)).then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::json::quote;

    fn tree() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            r#"[\[\]{}"\\,:a-c\n]{0,20}"#.prop_map(Value::from),
        ];
        scalar.prop_recursive(5, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::hash_map(r#"[\[\]{}"\\,:a-c\n]{0,12}"#, inner, 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn read(text: &[u8], span: Range<usize>) -> Value {
        serde_json::from_slice(&text[span]).unwrap()
    }

    /// Compares every value at every level with what serde found there.
    fn compare(text: &[u8], at: usize, value: &Value) {
        let span = at..skip(text, at);
        assert_eq!(&read(text, span.clone()), value);
        let expected = match value {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Boolean,
            Value::Number(number) if number.is_f64() => Kind::Number,
            Value::Number(_) => Kind::Integer,
            Value::String(_) => Kind::String,
            Value::Array(_) => Kind::Array,
            Value::Object(_) => Kind::Object,
        };
        assert_eq!(kind(&text[span]), expected);

        let array = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let spans: Vec<_> = elements(text, at).collect();
        assert_eq!(spans.len(), array.len());
        for (index, (span, value)) in spans.iter().zip(array).enumerate() {
            assert_eq!(element(text, at, index as i64), Some(span.start));
            assert_eq!(element(text, at, index as i64 - array.len() as i64), Some(span.start));
            compare(text, span.start, value);
        }
        for beyond in [array.len() as i64, -(array.len() as i64) - 1, i64::MAX, i64::MIN] {
            assert_eq!(element(text, at, beyond), None);
        }

        let mut found = 0;
        for span in members(text, at) {
            let name = read(text, span.name.clone());
            let name = name.as_str().unwrap();
            assert_eq!(member(text, at, &quote(name)), Some(span.value.start));
            compare(text, span.value.start, &value[name]);
            found += 1;
        }
        assert_eq!(found, value.as_object().map_or(0, serde_json::Map::len));
        assert_eq!(member(text, at, b"\"absent\""), None);
    }

    #[test]
    fn the_whole_name_is_compared() {
        let text = br#"{"a\"":1,"ab":2,"a":3,"":4}"#;
        for (name, value) in [(r#""a""#, b"3"), (r#""ab""#, b"2"), (r#""a\"""#, b"1"), (r#""""#, b"4")] {
            let start = member(text, 0, name.as_bytes()).unwrap();
            assert_eq!(&text[start..skip(text, start)], value);
        }
    }

    proptest! {
        #[test]
        fn every_value_is_found_where_serde_finds_it(value in tree()) {
            compare(&serde_json::to_vec(&value).unwrap(), 0, &value);
        }

        #[test]
        fn text_that_is_not_json_gives_spans_inside_it(
            text in r#"[\[\]{}",:\\1e]{0,24}"#, at in 0_usize..26, index in -3_i64..4,
        ) {
            let text = text.as_bytes();
            let inside = |span: Range<usize>| text.get(span).is_some();
            prop_assert!(skip(text, at) <= text.len());
            prop_assert!(elements(text, at).all(inside));
            prop_assert!(members(text, at).all(|member| inside(member.name) && inside(member.value)));
            prop_assert!(element(text, at, index).is_none_or(|start| inside(start..skip(text, start))));
            prop_assert!(member(text, at, b"\"1\"").is_none_or(|start| inside(start..skip(text, start))));
        }
    }
}
