//! Commands on arrays, objects and strings: APPEND, INSERT, POP, REMOVE, CUT, CLEAR.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE as URL_SAFE;

use super::require::{Requirements, Unit};
use super::set::{refuse_held, retain_new};
use super::{AS, Access, Arg, Call, Command, DEFAULT, KEY, Keys, Kind, PATH, REQUIRE, STRICT, Terms};
use crate::host::Effect;
use crate::json::{self, Kind as Json, Sought};
use crate::node::{By, Edit, Node, runs};
use crate::path::{Name, Path, Step};
use crate::{Document, Draft, Error, Groups, Reply as _};

pub(super) static APPEND: Command = Command {
    name: "APPEND",
    subcommand: None,
    summary: "Appends elements to an array, or text to a string; UNIQUE leaves out elements that are there, or with \
              STRICT fails where one is, MAXLEN then drops the first ones of an array that is longer; BASE64 appends \
              the bytes that strings of URL-safe base64 stand for.",
    access: Access::Grow,
    tells: true,
    groups: Groups::UPDATE.union(Groups::APPEND),
    special: None,
    keys: Keys::First,
    args: &[
        KEY,
        PATH,
        Arg::new("json", Kind::Json).multiple(),
        Arg::new("most", Kind::Block(&[Arg::token("MAXLEN"), Arg::new("length", Kind::Integer)])).optional(),
        Arg::token("UNIQUE").optional(),
        AS,
        STRICT,
        Arg::token("BASE64").optional(),
        REQUIRE,
        DEFAULT,
    ],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "the new length: elements, characters, or bytes",
    run: append,
};

fn append(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    let mut values = call.args.values(&APPEND, path.depth() + 1)?;
    let (mut most, mut unique, mut bytes) = (None, false, false);
    while let Some(option) = call.option()? {
        match option {
            "UNIQUE" => unique = true,
            "BASE64" => bytes = true,
            _ => {
                let length = call.args.integer(0..=i64::MAX, "MAXLEN takes a whole number, at least 0")?;
                most = Some(length as usize);
            }
        }
    }
    if bytes && (unique || most.is_some()) {
        return Err(Error::argument(b"BASE64", "UNIQUE and MAXLEN are for arrays, BASE64 is for strings"));
    }
    let Terms { strict, equality, requirements } = call.terms();
    let mut document = call.edit(key)?;
    if unique {
        array_at(&document, &path)?;
        document.index(path.steps(), By::Value(equality), false);
        let array = array_at(&document, &path)?;
        if strict {
            refuse_held(array, &path, &values, equality, b"UNIQUE")?;
        }
        retain_new(array, &mut values, equality);
    }
    let before = document.header().version;
    let length = document.edit(path.steps(), |node| match node.kind() {
        found if bytes && found != Json::String => Err(Error::bad_type(&path, "a string of base64", found)),
        Json::Array => {
            let items = node.items();
            let surplus = most.map_or(0, |most| (items + values.len()).saturating_sub(most));
            // Where there are more new elements than may be, the first of these do not even enter.
            let first = surplus.min(items);
            let values = &values[surplus - first..];
            let length = items - first + values.len();
            if first == 0 && values.is_empty() {
                return Ok((length, None));
            }
            requirements.check_count(&path, Json::Array, Unit::Items, length)?;
            Ok((length, Some(Edit::Shift { first, values })))
        }
        found if most.is_some() => Err(Error::bad_type(&path, "an array", found)),
        Json::String if bytes => {
            let bytes = append_bytes(&node.text(), &path, &values)?;
            requirements.check_count(&path, Json::String, Unit::Bytes, bytes.len())?;
            let text = json::quote(&URL_SAFE.encode(&bytes));
            Ok((bytes.len(), Some(Edit::Set(text.into()))))
        }
        Json::String => {
            let text = append_text(&node.text(), &path, &values)?;
            let length = json::string_chars(&text);
            requirements.check_count(&path, Json::String, Unit::Characters, length)?;
            Ok((length, Some(Edit::Set(text.into()))))
        }
        found => Err(Error::bad_type(&path, "an array or a string", found)),
    })?;
    let length = length.ok_or_else(|| Error::no_path(&path))?;
    let header = document.header();
    // What was there already keeps the document alive all the same; nothing was written then.
    let effect = if header.version == before { Effect::Read } else { Effect::Changed };
    call.touch(key, effect, header);
    call.reply.integer(length as i64);
    Ok(())
}

/// The string `text` with the content of further ones.
fn append_text(text: &[u8], path: &Path, values: &[Cow<'_, [u8]>]) -> Result<Vec<u8>, Error> {
    let mut text = text[..text.len() - 1].to_vec();
    for value in values {
        if json::kind(value) != Json::String {
            return Err(Error::bad_type(path, "strings to append to a string", json::kind(value)));
        }
        text.extend_from_slice(&value[1..value.len() - 1]);
    }
    text.push(b'"');
    Ok(text)
}

/// The bytes that the string `text` and further ones stand for.
fn append_bytes(text: &[u8], path: &Path, values: &[Cow<'_, [u8]>]) -> Result<Vec<u8>, Error> {
    let mut bytes = decoded(text).ok_or_else(|| Error::bad_type(path, "a string of base64", Json::String))?;
    for value in values {
        let added = decoded(value).ok_or_else(|| Error::argument(value, "not a JSON string of base64"))?;
        bytes.extend(added);
    }
    Ok(bytes)
}

/// The bytes that a JSON string of base64 stands for. The letters of base64 need no escapes.
fn decoded(json: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE.decode(json.strip_prefix(b"\"")?.strip_suffix(b"\"")?).ok()
}

pub(super) static INSERT: Command = Command {
    name: "INSERT",
    subcommand: None,
    summary: "Inserts elements into an array before an index, one beyond the array's ends meaning the end.",
    access: Access::Grow,
    tells: false,
    groups: Groups::UPDATE.union(Groups::APPEND),
    special: None,
    keys: Keys::First,
    args: &[
        KEY,
        PATH,
        Arg::new("index", Kind::Integer),
        Arg::new("json", Kind::Json).multiple(),
        REQUIRE,
        DEFAULT,
    ],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "the new length",
    run: insert,
};

fn insert(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    let index = call.args.integer(i64::MIN..=i64::MAX, INDEX)?;
    let values = call.args.values(&INSERT, path.depth() + 1)?;
    call.end()?;
    let Terms { requirements, .. } = call.terms();
    let mut document = call.edit(key)?;
    let array = array_at(&document, &path)?;
    let length = array.items();
    requirements.check_length(&path, array, |length| length + values.len())?;
    let at = Some(bound(index, length)).filter(|at| *at < length);
    document.edit(path.steps(), |_| Ok(((), Some(Edit::Insert { at, values: &values }))))?;
    let header = document.header();
    call.touch(key, Effect::Changed, header);
    call.reply.integer((length + values.len()) as i64);
    Ok(())
}

const INDEX: &str = "an index is a whole number of 64 bits";

/// Where an index of a slice is in an array of a length, as in Python: from the end if negative, within it anyway.
fn bound(index: i64, length: usize) -> usize {
    let index = if index < 0 { index.saturating_add(length as i64).max(0) } else { index };
    usize::try_from(index).map_or(length, |index| index.min(length))
}

pub(super) fn array_at<'d>(document: &'d Document, path: &Path) -> Result<Node<'d>, Error> {
    let node = document.root().find(path.steps())?.ok_or_else(|| Error::no_path(path))?;
    if node.kind() == Json::Array { Ok(node) } else { Err(Error::bad_type(path, "an array", node.kind())) }
}

/// Takes the elements of ranges, in order and apart, out of an array: how many.
pub(super) fn cut_all(
    document: &mut Draft<'_>,
    path: &Path,
    ranges: &[Range<usize>],
    requirements: &Requirements<'_>,
) -> Result<usize, Error> {
    let removed: usize = ranges.iter().map(ExactSizeIterator::len).sum();
    if removed > 0 {
        document.edit(path.steps(), |array| {
            requirements.check_length(path, array, |length| length - removed)?;
            Ok(((), Some(Edit::cut_all(array, ranges))))
        })?;
    }
    Ok(removed)
}

pub(super) static POP: Command = Command {
    name: "POP",
    subcommand: None,
    summary: "Removes an element of an array or a member of an object, and answers it.",
    access: Access::Write,
    tells: true,
    groups: Groups::READ.union(Groups::UPDATE).union(Groups::ERASE),
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH, Arg::new("index|name", Kind::Json).optional(), REQUIRE, DEFAULT],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "JSON text, nil where there is nothing; an object without a name: [name, value] of its last member",
    run: pop,
};

fn pop(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    let which = call.args.optional_json(&POP, 0)?;
    call.end()?;
    let bound = call.host.reply_bound();
    let Terms { requirements, .. } = call.terms();
    let mut document = call.edit(key)?;
    let container = document.root().find(path.steps())?.ok_or_else(|| Error::no_path(&path))?;
    let (step, last) = match container.kind() {
        Json::Array => (element(which.as_deref())?, None),
        Json::Object => member(container, which.as_deref())?,
        found => return Err(Error::bad_type(&path, "an array or an object", found)),
    };
    if !requirements.is_empty()
        && let Some(step) = &step
        && container.child(step).is_some()
    {
        requirements.check_length(&path, container, |length| length - 1)?;
    }
    let popped = match step {
        Some(step) => {
            let named = last.as_ref().map_or(0, |name| name.len() + 3);
            let value = |node: Node<'_>| {
                bound.check(named + node.len())?;
                Ok((node.text().into_owned(), Some(Edit::Remove)))
            };
            document.edit(path.join(step).steps(), value)?
        }
        None => None,
    };
    let Some(popped) = popped else {
        call.reply.null();
        return Ok(());
    };
    let header = document.header();
    call.touch(key, Effect::Changed, header);
    match last {
        Some(name) => call.reply.bulk(&[b"[", &name[..], b",", &popped, b"]"].concat()),
        None => call.reply.bulk(&popped),
    }
    Ok(())
}

/// The step to an element to pop; none to an index beyond 64 bits, which is an index all the same.
fn element(which: Option<&[u8]>) -> Result<Option<Step>, Error> {
    let which = which.unwrap_or(b"-1");
    if json::kind(which) != Json::Integer {
        return Err(Error::argument(which, "an array is popped by an index, a whole number"));
    }
    Ok(json::whole(which).map(Step::Index))
}

/// The step to a member to pop and, where that is the last one because no name was given, its name.
fn member(object: Node<'_>, which: Option<&[u8]>) -> Result<(Option<Step>, Option<Name>), Error> {
    let Some(name) = which else {
        let last = object.last_member().map(|(name, _)| Name::from_slice(name));
        return Ok((last.clone().map(Step::Name), last));
    };
    if json::kind(name) != Json::String {
        return Err(Error::argument(name, "a member of an object is popped by its name, a JSON string"));
    }
    Ok((Some(Step::Name(name.into())), None))
}

pub(super) static REMOVE: Command = Command {
    name: "REMOVE",
    subcommand: None,
    summary: "Removes the first elements of an array that are equal to a value.",
    access: Access::Write,
    tells: true,
    groups: Groups::UPDATE.union(Groups::ERASE),
    special: None,
    keys: Keys::First,
    args: &[
        KEY,
        PATH,
        Arg::new("json", Kind::Json),
        Arg::new("most", Kind::Block(&[Arg::token("COUNT"), Arg::new("count", Kind::Integer)])).optional(),
        AS,
        REQUIRE,
        DEFAULT,
    ],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "how many were removed, at most one without COUNT",
    run: remove,
};

fn remove(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    let value = call.args.json(0)?;
    let mut most = 1;
    while call.option()?.is_some() {
        most = call.args.integer(1..=i64::MAX, "COUNT takes a whole number, at least 1")?;
    }
    let Terms { equality, requirements, .. } = call.terms();
    let mut document = call.edit(key)?;
    let sought = Sought::by(equality, &value);
    let places =
        array_at(&document, &path)?.elements().enumerate().filter(|(_, element)| element.is(&sought));
    let ranges = runs(places.map(|(at, _)| at).take(usize::try_from(most).unwrap_or(usize::MAX)));
    let removed = cut_all(&mut document, &path, &ranges, &requirements)?;
    let header = document.header();
    call.removed(key, removed, header);
    Ok(())
}

pub(super) static CUT: Command = Command {
    name: "CUT",
    subcommand: None,
    summary: "Removes the elements of an array from one index up to another, which stays, as Python's slices go.",
    access: Access::Write,
    tells: false,
    groups: Groups::UPDATE.union(Groups::ERASE),
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH, Arg::new("start", Kind::Integer), Arg::new("stop", Kind::Integer), REQUIRE, DEFAULT],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "how many were removed",
    run: cut,
};

fn cut(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    let start = call.args.integer(i64::MIN..=i64::MAX, INDEX)?;
    let stop = call.args.integer(i64::MIN..=i64::MAX, INDEX)?;
    call.end()?;
    let Terms { requirements, .. } = call.terms();
    let mut document = call.edit(key)?;
    let length = array_at(&document, &path)?.items();
    let range = bound(start, length)..bound(stop, length);
    let removed = cut_all(&mut document, &path, &[range], &requirements)?;
    let header = document.header();
    call.removed(key, removed, header);
    Ok(())
}

pub(super) static CLEAR: Command = Command {
    name: "CLEAR",
    subcommand: None,
    summary: "Empties an array, an object or a string.",
    access: Access::Write,
    tells: false,
    groups: Groups::UPDATE.union(Groups::ERASE),
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH, REQUIRE, DEFAULT],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "how many elements, members or characters were removed",
    run: clear,
};

fn clear(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    call.end()?;
    let Terms { requirements, .. } = call.terms();
    let mut document = call.edit(key)?;
    let removed = document.edit(path.steps(), |node| {
        let empty: &[u8] = match node.kind() {
            Json::Array => b"[]",
            Json::Object => b"{}",
            _ => b"\"\"",
        };
        let length = length(node, &path)?;
        if length > 0 {
            requirements.check_length(&path, node, |_| 0)?;
        }
        Ok((length, (length > 0).then_some(Edit::Set(empty.into()))))
    })?;
    let removed = removed.ok_or_else(|| Error::no_path(&path))?;
    let header = document.header();
    call.removed(key, removed, header);
    Ok(())
}

/// How many elements, members or characters a value has.
pub(super) fn length(node: Node<'_>, path: &Path) -> Result<usize, Error> {
    match node.kind() {
        Json::Array | Json::Object => Ok(node.items()),
        Json::String => Ok(json::string_chars(&node.text())),
        found => Err(Error::bad_type(path, "an array, an object or a string", found)),
    }
}
