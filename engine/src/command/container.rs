//! Commands on arrays, objects and strings: APPEND, POP.

use std::borrow::Cow;

use super::{Access, Arg, Call, Command, Keys, Kind};
use crate::host::Effect;
use crate::json::{self, Kind as Json};
use crate::node::{Edit, Node};
use crate::path::{Path, Step};
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
    let length = document.edit(path.steps(), |node| match node.kind() {
        Json::Array => {
            let at = node.items();
            Ok((at + values.len(), Some(Edit::Insert { at, values: &values })))
        }
        Json::String => {
            let text = append_text(&node.text(), &path, &values)?;
            Ok((json::string_chars(&text), Some(Edit::Set(text.into()))))
        }
        found => Err(Error::bad_type(&path, "an array or a string", found)),
    })?;
    let length = length.ok_or_else(|| Error::no_path(&path))?;
    let header = document.header();
    call.touch(key, Effect::Changed, header);
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
    let popped = document.edit(path.steps(), |node| {
        let found = match node.kind() {
            Json::Array => element(node, which.as_deref())?,
            Json::Object => member(node, which.as_deref())?,
            found => return Err(Error::bad_type(&path, "an array or an object", found)),
        };
        let (popped, step) = found.unzip();
        Ok((popped, step.map(Edit::Remove)))
    })?;
    let Some(popped) = popped.ok_or_else(|| Error::no_path(&path))? else {
        call.reply.null();
        return Ok(());
    };
    let header = document.header();
    call.touch(key, Effect::Changed, header);
    call.reply.bulk(&popped);
    Ok(())
}

/// What is popped, and where it is.
type Found = Option<(Vec<u8>, Step)>;

fn element(array: Node<'_>, which: Option<&[u8]>) -> Result<Found, Error> {
    let which = which.unwrap_or(b"-1");
    if json::kind(which) != Json::Integer {
        return Err(Error::argument(which, "an array is popped by an index, a whole number"));
    }
    // An index beyond 64 bits is an index all the same: nothing is there.
    let index = std::str::from_utf8(which).ok().and_then(|text| text.parse().ok());
    Ok(index.and_then(|index| value_at(array, Step::Index(index))))
}

fn member(object: Node<'_>, which: Option<&[u8]>) -> Result<Found, Error> {
    let Some(name) = which else {
        return Ok(object.last_member().map(|(name, value)| {
            let pair = [b"[", name, b",", &value.text(), b"]"].concat();
            (pair, Step::Name(name.into()))
        }));
    };
    if json::kind(name) != Json::String {
        return Err(Error::argument(name, "a member of an object is popped by its name, a JSON string"));
    }
    Ok(value_at(object, Step::Name(name.into())))
}

fn value_at(container: Node<'_>, step: Step) -> Found {
    let value = container.find(std::slice::from_ref(&step))?;
    Some((value.text().into_owned(), step))
}
