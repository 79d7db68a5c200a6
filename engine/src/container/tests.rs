//! Large containers against the same edits of one text.

use std::borrow::Cow;

use proptest::prelude::*;

use super::{Container, Outcome};
use crate::equality::Equality;
use crate::json::{self, Kind};
use crate::limits::Bound;
use crate::node::{By, Edit, Node, Normals, runs};
use crate::path::{Name, Path, Step, locate};
use crate::{Document, Error, Limits};

/// A random edit, its numbers to be taken modulo what is there.
#[derive(Clone, Debug)]
struct Random {
    /// One for each step down from the root.
    way: Vec<usize>,
    action: Action,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Set,
    Remove,
    Put(u16),
    Insert(usize),
    Append,
    Cut(usize, usize),
    /// The elements whose bits are set, counted around.
    CutAll(u64),
    /// Not an edit: readies an array for look-ups.
    Index(By),
}

fn value() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        4 => (0..100_000_u32).prop_map(|number| number.to_string()),
        1 => Just("null".to_owned()),
        2 => (0..9_u8, 0..9_u8).prop_map(|(number, value)| format!("[{number},{value}.0]")),
        2 => r#"[\[\]{}"\\,:a-cé\n]{0,12}"#.prop_map(|text| serde_json::to_string(&text).unwrap()),
        1 => (90..300_usize).prop_map(|len| format!("\"{}\"", ",]}".repeat(len / 3))),
    ];
    scalar.prop_recursive(5, 120, 24, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..24).prop_map(|values| format!("[{}]", values.join(","))),
            prop::collection::btree_map(0..40_u16, inner, 0..24).prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn edit() -> impl Strategy<Value = Random> {
    let action = prop_oneof![
        1 => Just(Action::Set),
        3 => Just(Action::Remove),
        2 => (0..60_u16).prop_map(Action::Put),
        1 => any::<usize>().prop_map(Action::Insert),
        2 => Just(Action::Append),
        2 => (any::<usize>(), any::<usize>()).prop_map(|(start, stop)| Action::Cut(start, stop)),
        2 => (any::<u64>(), any::<u64>()).prop_map(|(one, other)| Action::CutAll(one & other)),
        3 => prop_oneof![
            3 => Just(By::Value(Equality::Value)),
            1 => Just(By::Value(Equality::Number)),
            1 => Just(By::Paired),
        ].prop_map(Action::Index),
    ];
    let way = prop_oneof![
        2 => Just(Vec::new()),
        5 => prop::collection::vec(any::<usize>(), 1..5),
    ];
    (way, action, prop::collection::vec(value(), 1..4)).prop_map(|(way, action, values)| Random {
        way,
        action,
        values,
    })
}

/// The step to the `number`-th item, counted around, of the container at `at`.
fn step(text: &[u8], at: usize, number: usize) -> Option<Step> {
    let names: Vec<_> = json::members(text, at).collect();
    if let Some(member) = names.get(number % names.len().max(1)) {
        return Some(Step::Name(text[member.name.clone()].into()));
    }
    let len = json::elements(text, at).count();
    let index = (number % len.max(1)) as i64;
    (len > 0).then_some(Step::Index(if number.is_multiple_of(2) { index } else { index - len as i64 }))
}

/// A way that exists, as far as it can be followed.
fn steps(text: &[u8], way: &[usize]) -> Vec<Step> {
    let mut steps = Vec::new();
    for number in way {
        let at = locate(&steps, text, 0..text.len()).unwrap().start;
        steps.extend(step(text, at, *number));
    }
    steps
}

fn compare(node: Node<'_>, text: &[u8]) {
    assert_eq!(node.text(), text);
    assert_eq!(node.kind(), json::kind(text));
    if let Node::Large(container) = node {
        container.check();
        assert_eq!(container.len(), text.len());
    }
    let mut items = 0;
    for (index, span) in json::elements(text, 0).enumerate() {
        compare(node.child(&Step::Index(index as i64)).unwrap(), &text[span]);
        items += 1;
    }
    for member in json::members(text, 0) {
        let name = &text[member.name];
        compare(node.child(&Step::Name(name.into())).unwrap(), &text[member.value.clone()]);
        items += 1;
        if member.value.end == text.len() - 1 {
            let (last, value) = node.last_member().unwrap();
            assert_eq!((last, &*value.text()), (name, &text[member.value]));
        }
    }
    assert_eq!(node.items(), items);
    let elements: Vec<_> = node.elements().map(|element| element.text().into_owned()).collect();
    assert_eq!(elements, json::elements(text, 0).map(|span| text[span].to_vec()).collect::<Vec<_>>());
    compare_places(node, Node::Text(text));
    let names: Vec<_> = node.names().map(<[u8]>::to_vec).collect();
    assert_eq!(names, json::members(text, 0).map(|member| text[member.name].to_vec()).collect::<Vec<_>>());
    assert!(node.child(&Step::Index(items as i64)).is_none());
    assert!(node.child(&Step::Name(b"\"absent\""[..].into())).is_none());
}

/// Looks up a few of the elements, and what is none of them.
fn compare_places(node: Node<'_>, text: Node<'_>) {
    for by in [By::Value(Equality::Value), By::Value(Equality::Number), By::Paired] {
        let normals = |count| text.elements().step_by(3).filter_map(|element| by.normal(element)).take(count);
        for count in [0, 1, 4] {
            let mut sought: Normals<'_> = normals(count).collect();
            sought.insert(b"\"absent\"".into());
            assert_eq!(node.places(by, &sought), text.places(by, &sought));
            assert_eq!(node.held(by, &sought), text.held(by, &sought));
        }
    }
}

fn apply(document: &mut Document, steps: &[Step], edit: &Edit<'_>) -> Result<Option<()>, Error> {
    Limits::TOP.draft(document).edit(steps, |_| Ok(((), Some(edit.clone()))))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn an_edit_does_to_chunks_what_it_does_to_text(start in value(), edits in prop::collection::vec(edit(), 1..30)) {
        let mut document = Document::new(start.as_bytes(), 1).unwrap();
        let mut text = start.into_bytes();
        for random in edits {
            let steps = steps(&text, &random.way);
            let span = locate(&steps, &text, 0..text.len()).unwrap();
            let (kind, items) = (json::kind(&text[span.clone()]), Node::Text(&text[span.clone()]).items());
            let values: Vec<_> = random.values.iter().map(|value| value.as_bytes().into()).collect();
            let value = random.values[0].as_bytes();
            let name = |number| Name::from_slice(format!("\"{number}\"").as_bytes());
            let (added, ranges);
            let edit = match (random.action, kind) {
                (Action::Set, _) if !steps.is_empty() => Edit::Set(value.into()),
                (Action::Remove, _) if !steps.is_empty() => Edit::Remove,
                (Action::Put(number), Kind::Object) => {
                    added = name(number);
                    Edit::Put { name: &added, value }
                }
                (Action::Insert(number), Kind::Array) => {
                    Edit::Insert { at: Some(number % (items + 1)), values: &values }
                }
                (Action::Cut(start, stop), Kind::Array) => {
                    let (start, stop) = (start % (items + 1), stop % (items + 1));
                    Edit::Cut(start.min(stop)..start.max(stop))
                }
                (Action::CutAll(bits), Kind::Array) => {
                    ranges = runs((0..items).filter(|at| bits >> (at % 64) & 1 == 1));
                    let cut = |node: Node<'_>| Ok(((), Some(Edit::cut_all(node, &ranges))));
                    prop_assert_eq!(Limits::TOP.draft(&mut document).edit(&steps, cut), Ok(Some(())));
                    Edit::cut_all(Node::Text(&text[span.clone()]), &ranges)
                }
                (Action::Index(by), _) => {
                    document.index(&steps, by, steps.len() > 1);
                    compare(document.root(), &text);
                    continue;
                }
                (Action::Append, Kind::Array) => Edit::Insert { at: None, values: &values },
                _ => continue,
            };
            let expected = edit.splice(&text, span, steps.last()).apply(&text);
            if !matches!(random.action, Action::CutAll(_)) {
                prop_assert_eq!(apply(&mut document, &steps, &edit), Ok(Some(())));
            }
            text = expected;
            compare(document.root(), &text);
            let fresh = Document::new(&text, 1).unwrap();
            compare(fresh.root(), &text);
        }
    }

    #[test]
    fn a_container_grows_and_shrinks_one_item_at_a_time(seed in any::<u64>(), named in any::<bool>()) {
        let mut document = Document::new(if named { b"{}" } else { b"[]" }, 1).unwrap();
        let mut text = document.text().into_owned();
        let mut random = seed;
        let mut next = move || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize
        };
        for turn in 0..400 {
            let items = document.root().items();
            let grows = next() % 10 < if turn < 200 { 8 } else { 2 };
            // Of few values there are many of each.
            let value = [Cow::Owned((next() % if seed % 2 == 0 { 2 } else { 100 }).to_string().into_bytes())];
            if next() % 40 == 0 {
                document.index(&[], By::Value(Equality::Value), false);
            }
            let name = Name::from_slice(format!("\"{}\"", next() % 1000).as_bytes());
            let (way, edit) = match (grows, named) {
                (true, true) => (None, Edit::Put { name: &name, value: &value[0] }),
                (true, false) => (None, Edit::Insert { at: Some(next() % (items + 1)), values: &value }),
                (false, _) => (step(&text, 0, next()), Edit::Remove),
            };
            let span = locate(way.as_slice(), &text, 0..text.len()).unwrap();
            text = edit.splice(&text, span, way.as_ref()).apply(&text);
            prop_assert_eq!(apply(&mut document, way.as_slice(), &edit), Ok(Some(())));
            if let Node::Large(container) = document.root() {
                container.check();
            }
            prop_assert_eq!(document.text(), &text[..]);
            compare_places(document.root(), Node::Text(&text));
        }
    }
}

#[test]
fn nesting_as_deep_as_it_may_be_is_cut_and_edited() {
    let long = "1,".repeat(200);
    let nested = |inner: &str| format!("{}{inner}{}", format!("[{long}").repeat(128), "]".repeat(128));
    let text = nested("0");
    let mut document = Document::new(text.as_bytes(), 1).unwrap();
    compare_text(&document, &text);
    let path = Path::parse(format!("${}", "[200]".repeat(127)).as_bytes()).unwrap();
    let values = [b"7"[..].into()];
    let edit = Edit::Insert { at: Some(201), values: &values };
    assert_eq!(apply(&mut document, path.steps(), &edit), Ok(Some(())));
    compare_text(&document, &nested("0,7"));
}

fn compare_text(document: &Document, text: &str) {
    let Node::Large(container) = document.root() else { panic!("a large document") };
    container.check();
    assert!(*document.text() == *text.as_bytes());
}

#[test]
fn no_edit_grows_beyond_the_room_there_is() {
    let text = format!("[{}{{\"a\":1}}]", "1,".repeat(200));
    let mut container = Container::new(text.as_bytes()).unwrap();
    let values = [b"12345"[..].into()];
    let (below, name) = ([Step::Index(-1)], Name::from_slice(b"\"b\""));
    for (steps, edit, added) in [
        (&[][..], Edit::Insert { at: Some(3), values: &values }, 6),
        (&below, Edit::Put { name: &name, value: b"1" }, 6),
        (&below, Edit::Set(b"\"12345678\""[..].into()), 3),
    ] {
        let refused = container.edit(steps, Bound::memory(added - 1), &mut |_| Ok(Some(edit.clone())));
        assert!(matches!(refused, Err(Error::OutOfMemory { .. })), "{edit:?}");
        assert_eq!(container.text(), text.as_bytes());
        let done = container.clone().edit(steps, Bound::memory(added), &mut |_| Ok(Some(edit.clone())));
        assert!(matches!(done, Ok(Outcome::Done)), "{edit:?}");
    }
}
