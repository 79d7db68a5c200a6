//! What edits did to a document, told to whoever keeps its value in another form as well.

use std::collections::HashMap;

use crate::json::{self, Kind};
use crate::node::{Edit, Node};
use crate::path::{Path, Step};

/// One step of an edit. Indexes are counted from the start, in the document as the changes before left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The value at a path is this now; a member that was not there is the last one.
    Put { path: Path, value: Vec<u8> },
    /// The member at a path went.
    Unset { path: Path },
    /// Elements came into the array at a path: before the one at an index, or at the end.
    Insert { path: Path, at: Option<usize>, values: Vec<Vec<u8>> },
    /// Elements left the array at a path, the first of them from an index.
    Cut { path: Path, at: usize, values: Vec<Vec<u8>> },
}

impl Change {
    /// What an edit is going to do to the value at `path`.
    pub(crate) fn of(edit: &Edit<'_>, path: Path, node: Node<'_>) -> Vec<Self> {
        match edit {
            Edit::Set(value) => match cuts(node, value) {
                Some(cuts) => cuts.into_iter().map(|(at, values)| cut(&path, at, values)).collect(),
                None => vec![Self::Put { path, value: value.to_vec() }],
            },
            Edit::Remove => match path.split_last() {
                None => Vec::new(),
                Some((above, Step::Index(at))) => {
                    vec![cut(&above, *at as usize, vec![node.text().into_owned()])]
                }
                Some(_) => vec![Self::Unset { path }],
            },
            Edit::Put { name, value } => {
                vec![Self::Put { path: path.join(Step::Name((*name).clone())), value: value.to_vec() }]
            }
            Edit::Insert { values: [], .. } => Vec::new(),
            Edit::Insert { at, values } => {
                vec![insert(path, at.filter(|at| *at < node.items()), values)]
            }
            Edit::Shift { first, values } => {
                let gone = texts(node, 0..*first);
                let cut = (!gone.is_empty()).then(|| cut(&path, 0, gone));
                let insert = (!values.is_empty()).then(|| insert(path, None, values));
                cut.into_iter().chain(insert).collect()
            }
            Edit::Cut(range) => {
                let gone = texts(node, range.clone());
                if gone.is_empty() { Vec::new() } else { vec![cut(&path, range.start, gone)] }
            }
            Edit::CutAll(ranges) => {
                ranges.iter().rev().map(|range| cut(&path, range.start, texts(node, range.clone()))).collect()
            }
        }
    }
}

fn cut(path: &Path, at: usize, values: Vec<Vec<u8>>) -> Change {
    Change::Cut { path: path.clone(), at, values }
}

fn insert(path: Path, at: Option<usize>, values: &[std::borrow::Cow<'_, [u8]>]) -> Change {
    Change::Insert { path, at, values: values.iter().map(|value| value.to_vec()).collect() }
}

fn texts(array: Node<'_>, range: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    let elements = array.elements().skip(range.start).take(range.len());
    elements.map(|element| element.text().into_owned()).collect()
}

/// The runs of elements, the last one first, without which an array is another one; `None` where that has more.
fn cuts(array: Node<'_>, after: &[u8]) -> Option<Vec<(usize, Vec<Vec<u8>>)>> {
    if array.kind() != Kind::Array || json::kind(after) != Kind::Array {
        return None;
    }
    let mut kept = json::elements(after, 0).map(|span| &after[span]).peekable();
    let mut runs: Vec<(usize, Vec<Vec<u8>>)> = Vec::new();
    for (at, element) in array.elements().enumerate() {
        let text = element.text();
        if kept.next_if(|next| **next == *text).is_some() {
            continue;
        }
        match runs.last_mut() {
            Some((start, gone)) if *start + gone.len() == at => gone.push(text.into_owned()),
            _ => runs.push((at, vec![text.into_owned()])),
        }
    }
    runs.reverse();
    kept.next().is_none().then_some(runs)
}

/// A value in which two documents differ: the deepest one, where objects are what is around it. An object whose
/// members are in another order is told as well, before what differs in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub path: Path,
    /// Its text before; `None` for a new one.
    pub before: Option<Vec<u8>>,
    /// Its text after; `None` for one that is gone.
    pub after: Option<Vec<u8>>,
}

/// The values in which the canonical text `after` differs from a node, those that are gone after the others of their
/// object.
pub(crate) fn differences(before: Node<'_>, after: &[u8]) -> Vec<Difference> {
    let mut found = Vec::new();
    collect(before, after, Path::default(), &mut found);
    found
}

fn collect(before: Node<'_>, after: &[u8], path: Path, found: &mut Vec<Difference>) {
    if before.len() == after.len() && *before.text() == *after {
        return;
    }
    if before.kind() != Kind::Object || json::kind(after) != Kind::Object {
        let before = Some(before.text().into_owned());
        found.push(Difference { path, before, after: Some(after.to_vec()) });
        return;
    }
    if !keeps_order(before, after) {
        let before = Some(before.text().into_owned());
        found.push(Difference { path: path.clone(), before, after: Some(after.to_vec()) });
    }
    let mut old: HashMap<&[u8], Node<'_>> = before.members().collect();
    for member in json::members(after, 0) {
        let (name, value) = (&after[member.name], &after[member.value]);
        let path = path.clone().join(Step::Name(name.into()));
        match old.remove(name) {
            Some(held) => collect(held, value, path, found),
            None => found.push(Difference { path, before: None, after: Some(value.to_vec()) }),
        }
    }
    for (name, held) in before.members().filter(|(name, _)| old.contains_key(name)) {
        let path = path.clone().join(Step::Name(name.into()));
        found.push(Difference { path, before: Some(held.text().into_owned()), after: None });
    }
}

/// Whether the members that both objects have follow each other in the same order, before any new ones.
fn keeps_order(before: Node<'_>, after: &[u8]) -> bool {
    let places: HashMap<&[u8], usize> =
        before.members().enumerate().map(|(place, (name, _))| (name, place)).collect();
    let new = places.len();
    let ordered = json::members(after, 0).map(|member| *places.get(&after[member.name]).unwrap_or(&new));
    ordered.is_sorted()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Document;

    fn told(differences: &[Difference]) -> Vec<String> {
        let text = |text: &Option<Vec<u8>>| {
            text.as_deref().map_or_else(|| "-".into(), |text| String::from_utf8_lossy(text).into_owned())
        };
        let tell = |one: &Difference| format!("{} {} {}", one.path, text(&one.before), text(&one.after));
        differences.iter().map(tell).collect()
    }

    #[test]
    fn documents_differ_in_their_deepest_members() {
        let before = Document::new(br#"{"a":{"b":1,"c":[1,2]},"d":"x","e":null}"#, 1).unwrap();
        let after = br#"{"a":{"b":1,"c":[1],"n":{}},"d":{"y":1}}"#;
        assert_eq!(
            told(&differences(before.root(), after)),
            ["$.a.c [1,2] [1]", "$.a.n - {}", r#"$.d "x" {"y":1}"#, "$.e null -"]
        );
        assert_eq!(differences(before.root(), &before.text()), []);
        assert_eq!(told(&differences(before.root(), b"[]")).len(), 1);
        let before = Document::new(br#"{"o":{"a":1,"b":2}}"#, 1).unwrap();
        for (after, expected) in [
            (r#"{"o":{"b":2,"a":1}}"#, r#"$.o {"a":1,"b":2} {"b":2,"a":1}"#),
            (r#"{"o":{"n":0,"b":2}}"#, r#"$.o {"a":1,"b":2} {"n":0,"b":2}"#),
            (r#"{"o":{"b":2,"n":0}}"#, "$.o.n - 0"),
        ] {
            assert_eq!(told(&differences(before.root(), after.as_bytes()))[0], expected);
        }
    }

    #[test]
    fn a_difference_in_a_large_document_is_as_deep() {
        let members: Vec<String> = (0..2_000).map(|at| format!(r#""m{at}":{{"n":{at}}}"#)).collect();
        let text = format!("{{{}}}", members.join(","));
        let mut before = Document::new(text.as_bytes(), 1).unwrap();
        before.break_up();
        let after = text.replace(r#"{"n":1234}"#, r#"{"n":5}"#);
        assert_eq!(told(&differences(before.root(), after.as_bytes())), ["$.m1234.n 1234 5"]);
    }
}
