//! Whatever edits a document goes through, its text is what an independent JSON library makes of the same edits,
//! a refused edit leaves it as it was, and the changes that a mirror tells of lead to the same text.

use proptest::prelude::*;
use rapyer_engine::embedded::Keyspace;
use rapyer_engine::{Change, Error, Mirror, Path, Step as PathStep, Value, json as text};
use serde_json::{Map, Number, Value as Json, json};

const NOW: i64 = 1_700_000_000_000;

#[derive(Clone, Debug)]
enum Step {
    Name(&'static str),
    Index(i64),
    /// To the element whose member has this value.
    Filter(&'static str, i64),
}

#[derive(Clone, Debug)]
enum Edit {
    Set(Vec<Step>, Json),
    Update(Vec<(Vec<Step>, Json)>),
    Append(Vec<Step>, Vec<Json>),
    /// Appended where it is not there yet, to an array of at most so many elements.
    AppendUnique(Vec<Step>, Vec<Json>, usize),
    Insert(Vec<Step>, i64, Vec<Json>),
    Remove(Vec<Step>, Json, usize),
    Cut(Vec<Step>, i64, i64),
    Unset(Vec<Vec<Step>>),
    Clear(Vec<Step>),
    PopElement(Vec<Step>, i64),
    PopMember(Vec<Step>, &'static str),
    PopLast(Vec<Step>),
    Increment(Vec<Step>, i64),
    Save(Json, Vec<&'static str>),
    Parts(Vec<Part>),
}

/// One of the edits that MODEL.EDIT carries out.
#[derive(Clone, Debug)]
enum Part {
    Set(Vec<Step>, Json),
    Unset(Vec<Step>),
    Add(Vec<Step>, Vec<Json>),
    Discard(Vec<Step>, Vec<Json>),
}

const NAMES: [&str; 5] = ["a", "b", "", "dot.ted \"q\"", ITEMS];
/// Where documents have an array of objects that filters tell apart, by "a" mostly and by "b" seldom.
const ITEMS: &str = "é😀\n";

fn name() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&NAMES[..])
}

fn path() -> impl Strategy<Value = Vec<Step>> {
    let step = || prop_oneof![3 => name().prop_map(Step::Name), 1 => (-3..3_i64).prop_map(Step::Index)];
    let filter =
        (proptest::sample::select(&NAMES[..2]), 0..4_i64).prop_map(|(name, value)| Step::Filter(name, value));
    let filtered = (filter, proptest::collection::vec(step(), 0..2))
        .prop_map(|(filter, below)| [Step::Name(ITEMS), filter].into_iter().chain(below).collect());
    prop_oneof![3 => proptest::collection::vec(step(), 1..4), 1 => filtered]
}

fn value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        "\\PC{0,6}".prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            proptest::collection::vec((name(), inner), 0..3)
                .prop_map(|members| Json::Object(members.into_iter().map(|(k, v)| (k.into(), v)).collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Json> {
    proptest::collection::vec((name(), value()), 0..5)
        .prop_map(|members| Json::Object(members.into_iter().map(|(k, v)| (k.into(), v)).collect()))
}

fn edit() -> impl Strategy<Value = Edit> {
    let parts = proptest::collection::vec(part(), 0..6).prop_map(Edit::Parts);
    let others = prop_oneof![
        (path(), value()).prop_map(|(path, value)| Edit::Set(path, value)),
        proptest::collection::vec((path(), value()), 1..4).prop_map(Edit::Update),
        (path(), proptest::collection::vec(value(), 1..4))
            .prop_map(|(path, values)| Edit::Append(path, values)),
        (path(), proptest::collection::vec(value(), 1..4), 0..4_usize)
            .prop_map(|(path, values, most)| Edit::AppendUnique(path, values, [0, 2, 500, 5000][most])),
        (path(), index(), proptest::collection::vec(value(), 1..4))
            .prop_map(|(path, index, values)| Edit::Insert(path, index, values)),
        (path(), prop_oneof![value(), (0..1500_i64).prop_map(|number| json!(number * 1000))], 1..4_usize)
            .prop_map(|(path, value, count)| Edit::Remove(path, value, count)),
        (path(), index(), index()).prop_map(|(path, start, stop)| Edit::Cut(path, start, stop)),
        proptest::collection::vec(path(), 1..5).prop_map(Edit::Unset),
        path().prop_map(Edit::Clear),
        (path(), -4..4_i64).prop_map(|(path, index)| Edit::PopElement(path, index)),
        (path(), name()).prop_map(|(path, name)| Edit::PopMember(path, name)),
        path().prop_map(Edit::PopLast),
        (path(), any::<i64>()).prop_map(|(path, by)| Edit::Increment(path, by)),
        (object(), proptest::collection::vec(name(), 0..4)).prop_map(|(json, only)| Edit::Save(json, only)),
    ];
    prop_oneof![1 => parts, 4 => others]
}

fn part() -> impl Strategy<Value = Part> {
    let items = || {
        let item = prop_oneof![value(), (0..1500_i64).prop_map(|number| json!(number * 1000))];
        proptest::collection::vec(item, 1..4)
    };
    prop_oneof![
        2 => (path(), value()).prop_map(|(path, value)| Part::Set(path, value)),
        1 => path().prop_map(Part::Unset),
        1 => (path(), items()).prop_map(|(path, items)| Part::Add(path, items)),
        1 => (path(), items()).prop_map(|(path, items)| Part::Discard(path, items)),
    ]
}

/// Near the ends of a small array, anywhere in a large one, or beyond.
fn index() -> impl Strategy<Value = i64> {
    prop_oneof![3 => -4..5_i64, 2 => -1600..1600_i64, 1 => proptest::sample::select(&[i64::MIN, i64::MAX][..])]
}

fn path_text(steps: &[Step]) -> String {
    let step = |step: &Step| match step {
        Step::Name(name) => format!("[{}]", json!(name)),
        Step::Index(index) => format!("[{index}]"),
        Step::Filter(name, value) => format!("[?@[{}] == {value}]", json!(name)),
    };
    format!("${}", steps.iter().map(step).collect::<String>())
}

fn words(edit: &Edit) -> Vec<String> {
    let key = "doc".to_owned();
    match edit {
        Edit::Set(path, value) => vec!["MODEL.SET".into(), key, path_text(path), value.to_string()],
        Edit::Update(pairs) => {
            let pairs = pairs.iter().flat_map(|(path, value)| [path_text(path), value.to_string()]);
            ["MODEL.UPDATE".into(), key].into_iter().chain(pairs).collect()
        }
        Edit::Append(path, values) => {
            let values = values.iter().map(Json::to_string);
            ["MODEL.APPEND".into(), key, path_text(path)].into_iter().chain(values).collect()
        }
        Edit::AppendUnique(path, values, most) => {
            let values = values.iter().map(Json::to_string);
            let options = ["MAXLEN".into(), most.to_string(), "UNIQUE".into()];
            ["MODEL.APPEND".into(), key, path_text(path)].into_iter().chain(values).chain(options).collect()
        }
        Edit::Insert(path, index, values) => {
            let head = ["MODEL.INSERT".into(), key, path_text(path), index.to_string()];
            head.into_iter().chain(values.iter().map(Json::to_string)).collect()
        }
        Edit::Remove(path, value, count) => {
            let count = count.to_string();
            vec!["MODEL.REMOVE".into(), key, path_text(path), value.to_string(), "COUNT".into(), count]
        }
        Edit::Cut(path, start, stop) => {
            vec!["MODEL.CUT".into(), key, path_text(path), start.to_string(), stop.to_string()]
        }
        Edit::Unset(paths) => {
            ["MODEL.UNSET".into(), key].into_iter().chain(paths.iter().map(|path| path_text(path))).collect()
        }
        Edit::Clear(path) => vec!["MODEL.CLEAR".into(), key, path_text(path)],
        Edit::PopElement(path, index) => vec!["MODEL.POP".into(), key, path_text(path), index.to_string()],
        Edit::PopMember(path, name) => {
            vec!["MODEL.POP".into(), key, path_text(path), json!(name).to_string()]
        }
        Edit::PopLast(path) => vec!["MODEL.POP".into(), key, path_text(path)],
        Edit::Increment(path, by) => vec!["MODEL.INCRBY".into(), key, path_text(path), by.to_string()],
        Edit::Save(json, only) => {
            let head = ["MODEL.SAVE".into(), key, json.to_string(), "ONLY".into(), only.len().to_string()];
            head.into_iter().chain(only.iter().map(|name| json!(name).to_string())).collect()
        }
        Edit::Parts(parts) => {
            ["MODEL.EDIT".into(), key].into_iter().chain(parts.iter().flat_map(part_words)).collect()
        }
    }
}

fn part_words(part: &Part) -> Vec<String> {
    let counted = |word: &str, path: &[Step], items: &[Json]| {
        let head = [word.into(), path_text(path), items.len().to_string()];
        head.into_iter().chain(items.iter().map(Json::to_string)).collect()
    };
    match part {
        Part::Set(path, value) => vec!["SET".into(), path_text(path), value.to_string()],
        Part::Unset(path) => vec!["UNSET".into(), path_text(path)],
        Part::Add(path, items) => counted("ADD", path, items),
        Part::Discard(path, items) => counted("DISCARD", path, items),
    }
}

fn position(len: usize, index: i64) -> Option<usize> {
    let at = if index < 0 { index + len as i64 } else { index };
    usize::try_from(at).ok().filter(|at| *at < len)
}

/// Where an index of a slice is in an array of a length.
fn bound(len: usize, index: i64) -> usize {
    let index = i128::from(index);
    (if index < 0 { index + len as i128 } else { index }).clamp(0, len as i128) as usize
}

/// The value with its members in the order of their names: equal values become the same text.
fn alike(json: &Json) -> String {
    match json {
        Json::Object(members) => {
            let mut sorted: Vec<_> = members.iter().map(|(name, value)| (name, alike(value))).collect();
            sorted.sort();
            format!("object {sorted:?}")
        }
        Json::Array(elements) => format!("{:?}", elements.iter().map(alike).collect::<Vec<_>>()),
        scalar => scalar.to_string(),
    }
}

/// Stands where a value is to go, so that no index means another element before all are found.
const GONE: &str = "this value is gone";

fn remove_gone(json: &mut Json) {
    let stays = |json: &Json| json != GONE;
    match json {
        Json::Object(members) => {
            members.retain(|_, value| stays(value));
            members.values_mut().for_each(remove_gone);
        }
        Json::Array(elements) => {
            elements.retain(stays);
            elements.iter_mut().for_each(remove_gone);
        }
        _ => {}
    }
}

fn find<'j>(root: &'j mut Json, steps: &[Step]) -> Option<&'j mut Json> {
    steps.iter().try_fold(root, |at, step| match step {
        Step::Name(name) => at.as_object_mut()?.get_mut(*name),
        Step::Index(index) => {
            let array = at.as_array_mut()?;
            let at = position(array.len(), *index)?;
            array.get_mut(at)
        }
        Step::Filter(name, value) => {
            at.as_array_mut()?.iter_mut().find(|element| element.get(*name) == Some(&json!(value)))
        }
    })
}

/// `None` where a filter selects several elements.
fn check(root: &Json, steps: &[Step]) -> Option<()> {
    let mut root = root.clone();
    for (at, step) in steps.iter().enumerate() {
        if let (Step::Filter(name, value), Some(Json::Array(array))) = (step, find(&mut root, &steps[..at])) {
            let selected = array.iter().filter(|element| element.get(*name) == Some(&json!(value)));
            (selected.count() < 2).then_some(())?;
        }
    }
    Some(())
}

/// The steps with an index in the place of a filter that selects an element.
fn settled(root: &Json, steps: &[Step]) -> Vec<Step> {
    let mut root = root.clone();
    let settle = |(at, step): (usize, &Step)| match (step, find(&mut root, &steps[..at])) {
        (Step::Filter(name, value), Some(Json::Array(array))) => {
            let selected = array.iter().position(|element| element.get(*name) == Some(&json!(value)));
            selected.map_or_else(|| step.clone(), |index| Step::Index(index as i64))
        }
        _ => step.clone(),
    };
    steps.iter().enumerate().map(settle).collect()
}

/// The paths that are to be seen in the document as it is.
fn paths(edit: &Edit) -> Vec<&Vec<Step>> {
    match edit {
        Edit::Update(_) | Edit::Save(..) | Edit::Parts(_) => Vec::new(),
        Edit::Unset(paths) => paths.iter().collect(),
        Edit::Set(path, _)
        | Edit::Append(path, _)
        | Edit::AppendUnique(path, ..)
        | Edit::Insert(path, ..)
        | Edit::Remove(path, ..)
        | Edit::Cut(path, ..)
        | Edit::Clear(path)
        | Edit::PopElement(path, _)
        | Edit::PopMember(path, _)
        | Edit::PopLast(path)
        | Edit::Increment(path, _) => vec![path],
    }
}

fn assign(root: &mut Json, steps: &[Step], value: &Json) -> Option<()> {
    check(root, steps)?;
    if let Some(place) = find(root, steps) {
        *place = value.clone();
        return Some(());
    }
    let (last, above) = steps.split_last()?;
    let (Step::Name(name), Some(Json::Object(parent))) = (last, find(root, above)) else { return None };
    parent.insert((*name).into(), value.clone());
    Some(())
}

/// Adds what is not in an array yet.
fn add_new(array: &mut Vec<Json>, values: &[Json]) {
    for value in values {
        if !array.iter().any(|other| alike(other) == alike(value)) {
            array.push(value.clone());
        }
    }
}

fn apply_part(json: &mut Json, part: &Part) -> Option<()> {
    let (Part::Set(path, _) | Part::Unset(path) | Part::Add(path, _) | Part::Discard(path, _)) = part;
    check(json, path)?;
    match part {
        Part::Set(path, value) => assign(json, path, value)?,
        Part::Unset(path) => {
            if let Some(place) = find(json, path) {
                *place = json!(GONE);
            }
            remove_gone(json);
        }
        Part::Add(path, items) => {
            if find(json, path).is_none() {
                assign(json, path, &json!([]))?;
            }
            add_new(find(json, path)?.as_array_mut()?, items);
        }
        Part::Discard(path, items) => {
            if let Some(found) = find(json, path) {
                found.as_array_mut()?.retain(|value| !items.iter().any(|item| alike(item) == alike(value)));
            }
        }
    }
    Some(())
}

/// The document after the edit; `None` when it must be refused.
fn expected(before: &Json, edit: &Edit) -> Option<Json> {
    let mut json = before.clone();
    paths(edit).into_iter().try_for_each(|path| check(before, path))?;
    match edit {
        Edit::Set(path, value) => assign(&mut json, path, value)?,
        Edit::Update(pairs) => pairs.iter().try_for_each(|(path, value)| assign(&mut json, path, value))?,
        Edit::Append(path, values) => match find(&mut json, path)? {
            Json::Array(array) => array.extend(values.iter().cloned()),
            Json::String(text) => {
                values.iter().try_for_each(|value| value.as_str().map(|more| text.push_str(more)))?;
            }
            _ => return None,
        },
        Edit::AppendUnique(path, values, most) => {
            let array = find(&mut json, path)?.as_array_mut()?;
            add_new(array, values);
            array.drain(..array.len().saturating_sub(*most));
        }
        Edit::Insert(path, index, values) => {
            let array = find(&mut json, path)?.as_array_mut()?;
            let at = bound(array.len(), *index);
            array.splice(at..at, values.iter().cloned());
        }
        Edit::Remove(path, value, count) => {
            let mut left = *count;
            find(&mut json, path)?.as_array_mut()?.retain(|element| {
                let goes = left > 0 && alike(element) == alike(value);
                left -= usize::from(goes);
                !goes
            });
        }
        Edit::Cut(path, start, stop) => {
            let array = find(&mut json, path)?.as_array_mut()?;
            let (start, stop) = (bound(array.len(), *start), bound(array.len(), *stop));
            array.drain(start..stop.max(start));
        }
        Edit::Unset(paths) => {
            for path in paths.iter().map(|path| settled(before, path)) {
                if let Some(place) = find(&mut json, &path) {
                    *place = json!(GONE);
                }
            }
            remove_gone(&mut json);
        }
        Edit::Clear(path) => match find(&mut json, path)? {
            Json::Array(array) => array.clear(),
            Json::Object(object) => object.clear(),
            Json::String(text) => text.clear(),
            _ => return None,
        },
        Edit::PopElement(path, index) => {
            let array = find(&mut json, path)?.as_array_mut()?;
            if let Some(at) = position(array.len(), *index) {
                array.remove(at);
            }
        }
        Edit::PopMember(path, name) => {
            find(&mut json, path)?.as_object_mut()?.shift_remove(*name);
        }
        Edit::PopLast(path) => match find(&mut json, path)? {
            Json::Array(array) => drop(array.pop()),
            Json::Object(object) => drop(object.keys().next_back().cloned().map(|last| object.remove(&last))),
            _ => return None,
        },
        Edit::Increment(path, by) => {
            let number = find(&mut json, path)?;
            let sum = number.as_number()?.to_string().parse::<i128>().ok()? + i128::from(*by);
            *number = Json::Number(sum.to_string().parse::<Number>().ok()?);
        }
        Edit::Save(new, only) => {
            let new: &Map<String, Json> = new.as_object()?;
            let old = json.as_object_mut()?;
            old.retain(|name, _| !only.contains(&name.as_str()) || new.contains_key(name));
            for (name, value) in new.iter().filter(|(name, _)| only.contains(&name.as_str())) {
                old.insert(name.clone(), value.clone());
            }
        }
        Edit::Parts(parts) => parts.iter().try_for_each(|part| apply_part(&mut json, part))?,
    }
    Some(json)
}

fn execute(keyspace: &mut Keyspace, words: &[String]) -> Result<Value, Error> {
    let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    keyspace.execute(&words, NOW)
}

fn stored(keyspace: &mut Keyspace) -> String {
    match execute(keyspace, &["MODEL.GET_RO".into(), "doc".into()]) {
        Ok(Value::Bulk(text)) => String::from_utf8(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn value_at<'j>(root: &'j mut Json, steps: &[PathStep]) -> &'j mut Json {
    steps.iter().fold(root, |at, step| match step {
        PathStep::Name(name) => &mut at[&*text::unquote(name)],
        PathStep::Index(index) => &mut at[*index as usize],
        PathStep::Filter(_) => panic!("a change names elements by their indexes"),
    })
}

fn parsed(text: &[u8]) -> Json {
    serde_json::from_slice(text).unwrap()
}

/// Does what a mirror told, by nothing but the changes.
fn follow(json: &mut Json, change: &Change) {
    let array = |json, path: &Path| -> Vec<Json> { value_at(json, path.steps()).as_array().unwrap().clone() };
    match change {
        Change::Put { path, value } => match path.steps().split_last() {
            Some((PathStep::Name(name), above)) => {
                let object = value_at(json, above).as_object_mut().unwrap();
                object.insert(text::unquote(name).into_owned(), parsed(value));
            }
            _ => *value_at(json, path.steps()) = parsed(value),
        },
        Change::Unset { path } => {
            let Some((PathStep::Name(name), above)) = path.steps().split_last() else {
                panic!("{path} is no member")
            };
            let object = value_at(json, above).as_object_mut().unwrap();
            object.shift_remove(&*text::unquote(name)).unwrap();
        }
        Change::Insert { path, at, values } => {
            let mut items = array(json, path);
            let at = at.unwrap_or(items.len());
            items.splice(at..at, values.iter().map(|value| parsed(value)));
            *value_at(json, path.steps()) = items.into();
        }
        Change::Cut { path, at, values } => {
            let mut items = array(json, path);
            let gone: Vec<Json> = items.drain(*at..at + values.len()).collect();
            assert_eq!(gone, values.iter().map(|value| parsed(value)).collect::<Vec<_>>());
            *value_at(json, path.steps()) = items.into();
        }
    }
}

/// An object of a few members, or one with hundreds of elements and members in places that edits go to.
fn start() -> impl Strategy<Value = Json> {
    let items = |len: usize| (0..len).map(|at| json!({"a": at, "b": at / 2, "": []})).collect::<Vec<_>>();
    let small = (object(), 0..6_usize).prop_map(move |(mut json, len)| {
        json[ITEMS] = Json::from(items(len));
        json
    });
    let large = (object(), 300..1500_usize).prop_map(move |(mut json, len)| {
        json["a"] = Json::from((0..len).map(|number| json!(number * 1000)).collect::<Vec<_>>());
        json["b"] = Json::Object((0..len).map(|number| (format!("name {number}"), json!(number))).collect());
        json["b"]["a"] = json["a"].clone();
        json[ITEMS] = Json::from(items(len));
        json
    });
    prop_oneof![3 => object(), 2 => small, 1 => large]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn the_text_is_the_references(start in start(), edits in proptest::collection::vec(edit(), 1..12)) {
        let mut keyspace = Keyspace::default();
        let mut reference = start;
        execute(&mut keyspace, &["MODEL.CREATE".into(), "doc".into(), reference.to_string()]).unwrap();
        for edit in &edits {
            let answer = execute(&mut keyspace, &words(edit));
            prop_assert!(!matches!(answer, Err(Error::Internal { .. })), "{edit:?} on {reference}: {answer:?}");
            match expected(&reference, edit) {
                Some(after) => {
                    prop_assert!(answer.is_ok(), "{edit:?} on {reference}: {answer:?}");
                    reference = after;
                }
                None => prop_assert!(answer.is_err(), "{edit:?} on {reference}: {answer:?}"),
            }
            prop_assert_eq!(stored(&mut keyspace), reference.to_string(), "{:?}", edit);
        }
    }

    #[test]
    fn the_changes_lead_to_the_text(start in start(), edits in proptest::collection::vec(edit(), 1..12)) {
        let mut mirror = Mirror::new(start.to_string().as_bytes()).unwrap();
        let mut follower = start;
        for edit in &edits {
            let before = mirror.text();
            let words = words(edit);
            let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            if let Ok((_, changes)) = mirror.apply(&words) {
                for change in &changes {
                    follow(&mut follower, change);
                }
            } else {
                prop_assert_eq!(before, mirror.text());
            }
            prop_assert_eq!(mirror.text().map(|text| parsed(&text)), Some(follower.clone()), "{:?}", edit);
        }
    }
}
