//! Commands on arrays, objects and strings: APPEND, POP.

use std::borrow::Cow;

use super::{Access, Arg, Call, Command, Keys, Kind};
use crate::host::Effect;
use crate::json::{self, Kind as Json};
use crate::node::{Edit, Node};
use crate::path::{Name, Path, Step};
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
        Json::Array => Ok((node.items() + values.len(), Some(Edit::Insert { at: None, values: &values }))),
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
    let container = document.root().find(path.steps()).ok_or_else(|| Error::no_path(&path))?;
    let (step, last) = match container.kind() {
        Json::Array => (element(which.as_deref())?, None),
        Json::Object => member(container, which.as_deref())?,
        found => return Err(Error::bad_type(&path, "an array or an object", found)),
    };
    let popped = match step {
        Some(step) => {
            let value = |node: Node<'_>| Ok((node.text().into_owned(), Some(Edit::Remove)));
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
    Ok(std::str::from_utf8(which).ok().and_then(|index| index.parse().ok()).map(Step::Index))
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
