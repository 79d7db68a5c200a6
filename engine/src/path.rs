//! Paths: the singular queries of RFC 9535, which name exactly one place in a document, and these with the one filter
//! that can do so as well, by the value of a member: `$.items[?@.sku=="a1"]`.

use std::fmt;
use std::ops::Range;

use smallvec::SmallVec;

use crate::Error;
use crate::error::printable;
use crate::json::{self, MAX_DEPTH};

/// The largest index either way: the integers that every JSON implementation agrees on.
const MAX_INDEX: i64 = (1 << 53) - 1;

/// A member's name as canonical text has it, quotes and escapes included, so that finding it is comparing bytes.
pub(crate) type Name = SmallVec<[u8; INLINE]>;

/// A name of this length, quotes included, needs no allocation.
const INLINE: usize = 24;

/// One step from a value to one inside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    Name(Name),
    /// Negative from the end.
    Index(i64),
    /// To the one element that it selects. Finding that takes a look at every element: see
    /// [`Node::settle`](crate::node::Node::settle), after which there are no filters any more.
    Filter(Box<Filter>),
}

/// Whether one of the steps is a filter.
#[inline]
pub(crate) fn has_filter(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step, Step::Filter(_)))
}

/// Selects the elements of an array whose member is equal to a value: has its canonical text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Filter {
    /// The step from an element to the member: a name.
    pub(crate) member: Step,
    /// The canonical text of a string, a number, true, false or null.
    pub(crate) value: Box<[u8]>,
}

/// A way from the root to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    /// Few without an allocation, which most paths get by with: a path is moved several times on its way.
    steps: SmallVec<[Step; 2]>,
}

impl Path {
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        Parser { text, at: 0 }.path()
    }

    /// The path that goes one step further.
    pub(crate) fn join(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub fn is_root(&self) -> bool {
        self.steps.is_empty()
    }

    /// How many containers enclose the value.
    pub fn depth(&self) -> usize {
        self.steps.len()
    }

    /// The path of what is around the value, and the step from there; nothing for the root.
    pub(crate) fn split_last(&self) -> Option<(Self, &Step)> {
        let (last, above) = self.steps.split_last()?;
        Some((Self { steps: above.into() }, last))
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether finding the value compares others with the path's own.
    pub(crate) fn has_filter(&self) -> bool {
        has_filter(&self.steps)
    }
}

impl From<&[Step]> for Path {
    fn from(steps: &[Step]) -> Self {
        Self { steps: steps.into() }
    }
}

/// The span of the value that `steps` lead to from the value at `from` in canonical text.
///
/// A name leads nowhere but in an object, an index nowhere but in an array, a filter nowhere before it is settled.
pub(crate) fn locate(steps: &[Step], text: &[u8], from: Range<usize>) -> Option<Range<usize>> {
    if steps.is_empty() {
        return Some(from);
    }
    let start = steps.iter().try_fold(from.start, |at, step| match step {
        Step::Name(name) => json::member(text, at, name),
        Step::Index(index) => json::element(text, at, *index),
        Step::Filter(_) => None,
    })?;
    Some(start..json::skip(text, start))
}

/// The shortest text of the path: shorthand names where they can be.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.steps.iter().try_for_each(|step| step.fmt(f))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Filter(filter) => {
                write!(f, "[?@{}=={}]", filter.member, String::from_utf8_lossy(&filter.value))
            }
            Self::Name(name) => {
                let quoted = String::from_utf8_lossy(name);
                match quoted.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
                    Some(name) if is_shorthand(name.as_bytes()) => write!(f, ".{name}"),
                    _ => write!(f, "[{quoted}]"),
                }
            }
        }
    }
}

fn is_shorthand(name: &[u8]) -> bool {
    name.first().is_some_and(|byte| starts_name(*byte)) && name.iter().all(|byte| continues_name(*byte))
}

const fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn continues_name(byte: u8) -> bool {
    /// For every byte, so that it takes one look.
    static CONTINUES: [bool; 256] = {
        let mut continues = [false; 256];
        let mut byte = 0;
        while byte < continues.len() {
            continues[byte] = starts_name(byte as u8) || (byte as u8).is_ascii_digit();
            byte += 1;
        }
        continues
    };
    CONTINUES[usize::from(byte)]
}

/// A name that needs no escapes, in quotes.
fn quoted(name: &[u8]) -> Name {
    let mut quoted = [b'"'; INLINE];
    let len = name.len() + 2;
    match quoted.get_mut(1..len - 1) {
        Some(inside) if len <= INLINE => {
            inside.copy_from_slice(name);
            Name::from_buf_and_len(quoted, len)
        }
        _ => Name::from_vec([b"\"", name, b"\""].concat()),
    }
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
        if !self.text.is_ascii()
            && let Err(error) = std::str::from_utf8(self.text)
        {
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
        Ok(quoted(&self.text[start..self.at]))
    }

    fn bracketed(&mut self) -> Result<Step, Error> {
        self.at += 1;
        self.space();
        let step = match self.peek() {
            Some(quote @ (b'"' | b'\'')) => Step::Name(self.quoted(quote)?),
            Some(b'-' | b'0'..=b'9') => Step::Index(self.index()?),
            Some(b'?') => Step::Filter(Box::new(self.filter()?)),
            Some(b'*' | b':') => {
                return Err(self.bad("a path names one value, without wildcards: unexpected character"));
            }
            _ => return Err(self.bad("expected a name in quotes, an index or a filter")),
        };
        self.space();
        if self.peek() != Some(b']') {
            return Err(self.bad("expected ']'"));
        }
        self.at += 1;
        Ok(step)
    }

    /// `?@.name==literal`, with spaces where RFC 9535 has them.
    fn filter(&mut self) -> Result<Filter, Error> {
        self.at += 1;
        self.space();
        if self.peek() != Some(b'@') {
            return Err(self.bad("a filter compares a member of each element: expected '@'"));
        }
        self.at += 1;
        self.space();
        let member = match (self.peek(), self.text.get(self.at + 1)) {
            (Some(b'.'), _) => Step::Name(self.shorthand()?),
            (Some(b'['), Some(quote @ (b'"' | b'\''))) => {
                self.at += 1;
                let name = self.quoted(*quote)?;
                if self.peek() != Some(b']') {
                    return Err(self.bad("expected ']'"));
                }
                self.at += 1;
                Step::Name(name)
            }
            _ => {
                return Err(
                    self.bad("a filter names one member: expected '.' and a name, or one in brackets")
                );
            }
        };
        self.space();
        if !self.text[self.at..].starts_with(b"==") {
            return Err(self.bad("a filter compares one member by '==', and nothing else: expected it"));
        }
        self.at += 2;
        self.space();
        Ok(Filter { member, value: self.literal()? })
    }

    /// A string, a number, true, false or null: its canonical text.
    fn literal(&mut self) -> Result<Box<[u8]>, Error> {
        let start = self.at;
        if let Some(quote @ (b'"' | b'\'')) = self.peek() {
            return Ok(self.quoted(quote)?.into_vec().into());
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            self.at += 1;
        }
        let word = &self.text[start..self.at];
        if word.is_empty() {
            return Err(
                self.bad("a filter compares with a string, a number, true, false or null: expected one")
            );
        }
        let value = json::canonical(word, 0).map_err(|error| match error {
            Error::BadJson { offset, reason } => self.bad_at(start + offset, reason),
            Error::Limit { reason } => self.bad_at(start, reason),
            error => error,
        })?;
        Ok(value.into_owned().into())
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn name(content: &str) -> Step {
        Step::Name(Name::from_vec(json::quote(content)))
    }

    fn parse(text: &str) -> Path {
        Path::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn singular_queries_are_paths() {
        use Step::Index;
        let emoji = "$[\"\u{1f600}.'\\\"\"]";
        for (text, steps) in [
            ("$", vec![]),
            ("$.a.b_1", vec![name("a"), name("b_1")]),
            ("$._", vec![name("_")]),
            ("$.größe.😀", vec![name("größe"), name("😀")]),
            ("$[\"any key\"]", vec![name("any key")]),
            ("$['x']", vec![name("x")]),
            ("$['']['1']", vec![name(""), name("1")]),
            ("$.a[0][-1]", vec![name("a"), Index(0), Index(-1)]),
            ("$[9007199254740991]", vec![Index(9_007_199_254_740_991)]),
            ("$[-9007199254740991]", vec![Index(-9_007_199_254_740_991)]),
            (emoji, vec![name("😀.'\"")]),
            (r#"$['it\'s "it"']"#, vec![name("it's \"it\"")]),
            (r#"$["\b\f\n\r\t\/\\\u00e9\ud83d\ude00"]"#, vec![name("\u{8}\u{c}\n\r\t/\\é😀")]),
            (r"$['\u0000']", vec![name("\0")]),
            ("$ .a\n[ 0\t]['b' ]", vec![name("a"), Index(0), name("b")]),
        ] {
            assert_eq!(parse(text).steps(), steps, "{text}");
        }
    }

    fn filter(member: &str, value: &str) -> Step {
        Step::Filter(Box::new(Filter { member: name(member), value: value.as_bytes().into() }))
    }

    #[test]
    fn a_filter_is_a_member_and_a_literal() {
        for (text, step, shown) in [
            (r#"$[?@.sku=="a1"]"#, filter("sku", r#""a1""#), r#"$[?@.sku=="a1"]"#),
            (r"$[?@['sku']=='a1']", filter("sku", r#""a1""#), r#"$[?@.sku=="a1"]"#),
            ("$[ ?\t@ .a\n== 1.10\r]", filter("a", "1.10"), "$[?@.a==1.10]"),
            (r#"$[?@["a b"]==-0.5e+3]"#, filter("a b", "-0.5e+3"), r#"$[?@["a b"]==-0.5e+3]"#),
            ("$[?@['']==null]", filter("", "null"), r#"$[?@[""]==null]"#),
            ("$[?@.a==true]", filter("a", "true"), "$[?@.a==true]"),
            ("$[?@.a==false]", filter("a", "false"), "$[?@.a==false]"),
            (r#"$[?@.é=='it\'s "\u00e9"']"#, filter("é", r#""it's \"é\"""#), r#"$[?@.é=="it's \"é\""]"#),
        ] {
            let path = parse(text);
            assert_eq!(path.steps(), [step], "{text}");
            assert_eq!(path.to_string(), shown);
            assert!(path.has_filter());
        }
    }

    #[test]
    fn errors_name_the_byte() {
        for (text, at, why) in [
            ("", 0, "'$'"),
            ("a", 0, "'$'"),
            (" $", 0, "'$'"),
            ("$a", 1, "'.' or '['"),
            ("$ ", 2, "unexpected end"),
            ("$.", 2, "unexpected end"),
            ("$.a.", 4, "unexpected end"),
            ("$..a", 2, "wildcard"),
            ("$.*", 2, "wildcard"),
            ("$. a", 2, "a name"),
            ("$.1", 2, "a name"),
            ("$.a-b", 3, "'.' or '['"),
            ("$.a b", 4, "'.' or '['"),
            ("$[", 2, "unexpected end"),
            ("$[]", 2, "a name in quotes, an index or a filter"),
            ("$[a]", 2, "a name in quotes, an index or a filter"),
            ("$[*]", 2, "wildcard"),
            ("$[?@.a]", 6, "'=='"),
            ("$[?@.a=1]", 6, "'=='"),
            ("$[?@.a!=1]", 6, "'=='"),
            ("$[?@.a.b==1]", 6, "'=='"),
            ("$[?@.a[0]==1]", 6, "'=='"),
            ("$[?@==1]", 4, "one member"),
            ("$[?@[0]==1]", 4, "one member"),
            ("$[?@[ 'a']==1]", 4, "one member"),
            ("$[?@['a' ]==1]", 8, "']'"),
            ("$[?1==@.a]", 3, "'@'"),
            ("$[?(@.a==1)]", 3, "'@'"),
            ("$[?$.a==1]", 3, "'@'"),
            ("$[?@.*==1]", 5, "wildcard"),
            ("$[?@.a==]", 8, "a string, a number"),
            ("$[?@.a==@.b]", 8, "a string, a number"),
            ("$[?@.a==[1]]", 8, "a string, a number"),
            ("$[?@.a=={}]", 8, "a string, a number"),
            ("$[?@.a==True]", 8, ""),
            ("$[?@.a==01]", 9, ""),
            ("$[?@.a==1.]", 10, ""),
            ("$[?@.a==1e400]", 8, "too large"),
            ("$[?@.a=='x]", 11, "unexpected end"),
            ("$[?@.a==1", 9, "unexpected end"),
            ("$[?@.a==1&&@.b==1]", 9, "']'"),
            ("$[?@.a==1,0]", 9, "']'"),
            ("$[?", 3, "unexpected end"),
            ("$[:1]", 2, "wildcard"),
            ("$[0:1]", 3, "']'"),
            ("$[0,1]", 3, "']'"),
            ("$[0", 3, "unexpected end"),
            ("$[-]", 3, "a digit"),
            ("$[- 1]", 3, "a digit"),
            ("$[+1]", 2, "a name in quotes, an index or a filter"),
            ("$[00]", 2, "zero"),
            ("$[01]", 2, "zero"),
            ("$[-0]", 2, "zero"),
            ("$[-01]", 2, "zero"),
            ("$[1.0]", 3, "']'"),
            ("$[9007199254740992]", 2, "2^53-1"),
            ("$[-9007199254740992]", 2, "2^53-1"),
            ("$[99999999999999999999]", 2, "2^53-1"),
            ("$['a]", 5, "unexpected end"),
            ("$['a\n']", 4, "control character"),
            (r#"$['\"']"#, 3, "escape"),
            (r#"$["\'"]"#, 3, "escape"),
            (r"$['\x']", 3, "escape"),
            (r"$['\ud800']", 3, "lone surrogate"),
            (r"$['\u00']", 7, "hexadecimal"),
        ] {
            match Path::parse(text.as_bytes()) {
                Err(Error::BadPath { path, offset, reason }) => {
                    assert_eq!(path, printable(text.as_bytes()));
                    assert_eq!(offset, at, "{reason} in {text}");
                    assert!(reason.contains(why), "{reason} in {text}");
                }
                other => panic!("{text} gave {other:?}"),
            }
        }
        let invalid = Path::parse(b"$.a\xff");
        assert!(
            matches!(invalid, Err(Error::BadPath { offset: 3, reason: "invalid UTF-8", .. })),
            "{invalid:?}"
        );
    }

    #[test]
    fn a_path_is_no_deeper_than_a_document() {
        let deepest = parse(&format!("${}", "[0]".repeat(MAX_DEPTH)));
        assert_eq!(deepest.depth(), MAX_DEPTH);
        let deeper = Path::parse(format!("${}", ".a".repeat(MAX_DEPTH + 1)).as_bytes());
        assert!(matches!(deeper, Err(Error::Limit { .. })), "{deeper:?}");
    }

    #[test]
    fn a_path_leads_to_one_value_or_nowhere() {
        let text = r#"{"a":[1,{"b c":"x"},[]],"é":{"":null},"0":true}"#.as_bytes();
        for (path, value) in [
            ("$.a[0]", Some("1")),
            ("$.a[1]['b c']", Some(r#""x""#)),
            ("$.a[-2]['b c']", Some(r#""x""#)),
            ("$.a[-1]", Some("[]")),
            ("$.é", Some(r#"{"":null}"#)),
            (r"$['\u00e9']['']", Some("null")),
            ("$['0']", Some("true")),
            ("$[0]", None),
            ("$.a.b", None),
            ("$.a[3]", None),
            ("$.a[-4]", None),
            ("$.a[-1][0]", None),
            ("$.b", None),
            ("$.a[0].b", None),
        ] {
            let found = locate(parse(path).steps(), text, 0..text.len())
                .map(|span| std::str::from_utf8(&text[span]).unwrap());
            assert_eq!(found, value, "{path}");
        }
        assert_eq!(locate(&[], text, 0..text.len()), Some(0..text.len()));
    }

    #[test]
    fn steps_lead_on_from_any_value() {
        let text = br#"{"a":{"b":[1,2]}}"#;
        let path = parse("$.a.b[1]");
        let container = locate(&path.steps()[..2], text, 0..text.len()).unwrap();
        assert_eq!(&text[container.clone()], b"[1,2]");
        assert_eq!(&text[locate(&path.steps()[2..], text, container).unwrap()], b"2");
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let any_name = prop_oneof!["[a-z_é][a-z0-9_]{0,8}", "(?s).{0,12}"].prop_map(|content| name(&content));
        let index = prop_oneof![-3_i64..4, -MAX_INDEX..=MAX_INDEX].prop_map(Step::Index);
        let value = prop_oneof![
            "(?s).{0,8}".prop_map(|content| json::quote(&content)),
            any::<i64>().prop_map(|number| number.to_string().into_bytes()),
            prop::sample::select(vec!["null", "true", "false", "1.10", "-0.0", "1e40"]).prop_map(Into::into),
        ];
        let filter = (any_name.clone(), value)
            .prop_map(|(member, value)| Step::Filter(Box::new(Filter { member, value: value.into() })));
        prop::collection::vec(prop_oneof![2 => any_name, 2 => index, 1 => filter], 0..6)
    }

    proptest! {
        #[test]
        fn a_path_reads_back_from_its_text(steps in steps()) {
            let path = Path { steps: steps.into() };
            prop_assert_eq!(&parse(&path.to_string()), &path);
        }

        #[test]
        fn any_name_leads_to_its_member(names in prop::collection::hash_set("(?s).{0,12}", 1..6)) {
            let object: Value = names.iter().map(|name| (name.clone(), Value::from(name.as_str()))).collect();
            let text = serde_json::to_vec(&object).unwrap();
            for content in names {
                let path = Path { steps: [name(&content)].into_iter().collect() };
                prop_assert_eq!(&text[locate(path.steps(), &text, 0..text.len()).unwrap()], json::quote(&content));
            }
        }

        #[test]
        fn any_bytes_give_an_answer(
            bytes in r#"\$[.\[\]'"\\u0-9a-d \-*\n?@=]{0,24}|\$(\[ ?\?|@|\.a|['"]|==|[1-3]|\]| ){0,12}"#,
        ) {
            if let Ok(path) = Path::parse(bytes.as_bytes()) {
                prop_assert_eq!(parse(&path.to_string()), path);
            }
        }
    }
}
