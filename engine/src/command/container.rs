//! Commands on arrays, objects and strings: APPEND, POP.

use std::borrow::Cow;
use std::ops::Range;

use super::{Access, Arg, Call, Command, Keys, Kind};
use crate::host::Effect;
use crate::json::{self, Kind as Json};
use crate::path::Path;
use crate::{Error, Groups};

pub(super) static APPEND: Command = Command {
    name: "APPEND",
    subcommand: None,
    summary: "Appends elements to an array, or text to a string.",
    access: Access::Grow,
    groups: Groups::UPDATE.union(Groups::APPEND),
    below: None,
    keys: Keys::First,
    args: &[
        Arg::new("key", Kind::Key),
        Arg::new("path", Kind::Path),
        Arg::new("json", Kind::Json).multiple(),
    ],
    norefresh: true,
    creates: false,
    reply: "the new length: elements, or characters",
    run: append,
};

fn append(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    let mut values = vec![call.args.json(path.depth() + 1)?];
    while let Some(value) = call.args.optional_json(&APPEND, path.depth() + 1)? {
        values.push(value);
    }
    call.end()?;
    let document = call.host.edit(key)?.ok_or(Error::NoKey)?;
    let text = document.text();
    let target = locate(text, &path)?;
    let (at, parts, length) = match json::kind(&text[target.clone()]) {
        Json::Array => append_elements(text, &target, &values),
        Json::String => append_text(text, &path, &target, &values)?,
        found => return Err(Error::bad_type(&path, "an array or a string", found)),
    };
    document.splice(at..at, &parts)?;
    let header = document.header();
    call.touch(key, Effect::Changed, header);
    call.reply.integer(length as i64);
    Ok(())
}

type Insertion<'v> = (usize, Vec<&'v [u8]>, usize);

fn append_elements<'v>(text: &[u8], target: &Range<usize>, values: &'v [Cow<'_, [u8]>]) -> Insertion<'v> {
    let before = json::elements(text, target.start).count();
    let mut parts = Vec::with_capacity(values.len() * 2);
    for (at, value) in values.iter().enumerate() {
        if before + at > 0 {
            parts.push(&b","[..]);
        }
        parts.push(value);
    }
    (target.end - 1, parts, before + values.len())
}

fn append_text<'v>(
    text: &[u8],
    path: &Path,
    target: &Range<usize>,
    values: &'v [Cow<'_, [u8]>],
) -> Result<Insertion<'v>, Error> {
    let mut length = json::string_chars(&text[target.clone()]);
    let mut parts = Vec::with_capacity(values.len());
    for value in values {
        if json::kind(value) != Json::String {
            return Err(Error::bad_type(path, "strings to append to a string", json::kind(value)));
        }
        length += json::string_chars(value);
        parts.push(&value[1..value.len() - 1]);
    }
    Ok((target.end - 1, parts, length))
}

pub(super) static POP: Command = Command {
    name: "POP",
    subcommand: None,
    summary: "Removes an element of an array or a member of an object, and answers it.",
    access: Access::Write,
    groups: Groups::READ.union(Groups::UPDATE).union(Groups::ERASE),
    below: None,
    keys: Keys::First,
    args: &[
        Arg::new("key", Kind::Key),
        Arg::new("path", Kind::Path),
        Arg::new("index|name", Kind::Json).optional(),
    ],
    norefresh: true,
    creates: false,
    reply: "JSON text, nil where there is nothing; an object without a name: [name, value] of its last member",
    run: pop,
};

fn pop(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    let which = call.args.optional_json(&POP, 0)?;
    call.end()?;
    let document = call.host.edit(key)?.ok_or(Error::NoKey)?;
    let text = document.text();
    let target = locate(text, &path)?;
    let found = match json::kind(&text[target.clone()]) {
        Json::Array => pop_element(text, &target, which.as_deref())?,
        Json::Object => pop_member(text, &target, which.as_deref())?,
        found => return Err(Error::bad_type(&path, "an array or an object", found)),
    };
    let Some((range, popped)) = found else {
        call.reply.null();
        return Ok(());
    };
    document.splice(with_comma(text, range), &[])?;
    let header = document.header();
    call.touch(key, Effect::Changed, header);
    call.reply.bulk(&popped);
    Ok(())
}

type Popped = Option<(Range<usize>, Vec<u8>)>;

fn pop_element(text: &[u8], target: &Range<usize>, which: Option<&[u8]>) -> Result<Popped, Error> {
    let which = which.unwrap_or(b"-1");
    let refuse = || Error::argument(which, "an array is popped by an index, a whole number");
    if json::kind(which) != Json::Integer {
        return Err(refuse());
    }
    // An index beyond 64 bits is an index all the same: nothing is there.
    let Some(index) = std::str::from_utf8(which).ok().and_then(|text| text.parse::<i64>().ok()) else {
        return Ok(None);
    };
    let mut elements = json::elements(text, target.start);
    let found = if let Ok(index) = usize::try_from(index) {
        elements.nth(index)
    } else {
        let all: Vec<_> = elements.collect();
        let from_end = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
        all.len().checked_sub(from_end).map(|at| all[at].clone())
    };
    Ok(found.map(|range| (range.clone(), text[range].to_vec())))
}

fn pop_member(text: &[u8], target: &Range<usize>, which: Option<&[u8]>) -> Result<Popped, Error> {
    let mut members = json::members(text, target.start);
    let Some(name) = which else {
        return Ok(members.last().map(|last| {
            let pair = [b"[", &text[last.name.clone()], b",", &text[last.value.clone()], b"]"].concat();
            (last.name.start..last.value.end, pair)
        }));
    };
    if json::kind(name) != Json::String {
        return Err(Error::argument(name, "a member of an object is popped by its name, a JSON string"));
    }
    let found = members.find(|member| text[member.name.clone()] == *name);
    Ok(found.map(|member| (member.name.start..member.value.end, text[member.value].to_vec())))
}

/// The range with the comma that goes along when an element or a member is removed.
fn with_comma(text: &[u8], range: Range<usize>) -> Range<usize> {
    if text.get(range.end) == Some(&b',') {
        range.start..range.end + 1
    } else if text[range.start - 1] == b',' {
        range.start - 1..range.end
    } else {
        range
    }
}

pub(super) fn locate(text: &[u8], path: &Path) -> Result<Range<usize>, Error> {
    path.locate(text).ok_or_else(|| Error::no_path(path))
}
