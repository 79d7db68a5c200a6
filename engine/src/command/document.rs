//! Commands on documents and members: CREATE, SAVE, SET, GET, MGET, UPDATE, DEL.

use std::borrow::Cow;
use std::collections::HashSet;

use smallvec::SmallVec;

use super::args::exclusive;
use super::{Access, Arg, Call, Command, Keys, Kind};
use crate::host::Effect;
use crate::json::{self, Kind as Json};
use crate::node::{Edit, Node};
use crate::path::{Path, Step};
use crate::{Document, Error, Groups};

const KEY: Arg = Arg::new("key", Kind::Key);
const NX: Arg = Arg::token("NX");
const XX: Arg = Arg::token("XX");

pub(super) static CREATE: Command = Command {
    name: "CREATE",
    subcommand: None,
    summary: "Creates a document, or replaces the one that is there.",
    access: Access::Grow,
    groups: Groups::CREATE,
    below: None,
    keys: Keys::First,
    args: &[KEY, Arg::new("json", Kind::Json), NX.optional()],
    norefresh: true,
    creates: true,
    reply: "OK; nil when there is a document and NX was given",
    run: create,
};

fn create(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let text = call.args.json(0)?;
    let mut condition = None;
    while let Some(option) = call.option()? {
        condition = Some(option);
    }
    let done = put(call, key, &text, condition)?;
    call.reply_done(done);
    Ok(())
}

/// Makes `text` the whole document under `key`, unless `NX` or `XX` forbids it; whether it did.
fn put<'a>(call: &mut Call<'a>, key: &'a [u8], text: &[u8], condition: Option<&str>) -> Result<bool, Error> {
    match (call.host.edit(key)?, condition) {
        (Some(_), Some("NX")) | (None, Some("XX")) => return Ok(false),
        (Some(document), _) => {
            document.replace(text)?;
            let header = document.header();
            call.touch(key, Effect::Changed, header);
        }
        (None, _) => insert(call, key, text)?,
    }
    Ok(true)
}

fn insert<'a>(call: &mut Call<'a>, key: &'a [u8], text: &[u8]) -> Result<(), Error> {
    call.check_policy(key)?;
    let document = Document::new(text, call.now)?;
    let header = document.header();
    call.host.insert(key, document)?;
    call.touch(key, Effect::Created, header);
    Ok(())
}

pub(super) static SAVE: Command = Command {
    name: "SAVE",
    subcommand: None,
    summary: "Saves a document: creates it, or replaces the named members of the one that is there.",
    access: Access::Grow,
    groups: Groups::CREATE.union(Groups::UPDATE),
    below: None,
    keys: Keys::First,
    args: &[
        KEY,
        Arg::new("json", Kind::Json),
        XX.optional(),
        Arg::new(
            "only",
            Kind::Block(&[
                Arg::token("ONLY"),
                Arg::new("count", Kind::Integer),
                Arg::new("name", Kind::Json).optional().multiple(),
            ]),
        )
        .optional(),
    ],
    norefresh: true,
    creates: true,
    reply: "OK; nil when there is no document and XX was given",
    run: save,
};

fn save(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let text = call.args.json(0)?;
    let mut existing = None;
    let mut only = None;
    while let Some(option) = call.option()? {
        if option == "XX" {
            existing = Some(option);
        } else {
            only = Some(member_names(call)?);
        }
    }
    let Some(only) = only else {
        let done = put(call, key, &text, existing)?;
        call.reply_done(done);
        return Ok(());
    };
    need_object(json::kind(&text))?;
    match call.host.edit(key)? {
        Some(document) => {
            need_object(document.root().kind())?;
            // Saving without a change keeps a document alive all the same; nothing was written then.
            let changed = document.edit_once(|document| save_members(document, &text, &only))?;
            let header = document.header();
            call.touch(key, if changed { Effect::Changed } else { Effect::Read }, header);
        }
        None if existing.is_some() => {
            call.reply.null();
            return Ok(());
        }
        None => insert(call, key, &text)?,
    }
    call.reply.ok();
    Ok(())
}

/// The names after `ONLY`, canonical and quoted.
fn member_names(call: &mut Call<'_>) -> Result<HashSet<Vec<u8>>, Error> {
    let count = call.args.integer(0..=i64::from(u32::MAX), "ONLY takes the number of names that follow")?;
    let mut names = HashSet::new();
    for _ in 0..count {
        let name = call.args.json(0)?;
        if json::kind(&name) != Json::String {
            return Err(Error::argument(&name, "a member's name is a JSON string"));
        }
        names.insert(name.into_owned());
    }
    Ok(names)
}

/// Makes the members in `only` what they are in the object `new`: replaced, added at the end, or gone. Whether
/// that changed anything.
fn save_members(document: &mut Document, new: &[u8], only: &HashSet<Vec<u8>>) -> Result<bool, Error> {
    let mut gone: HashSet<&[u8]> = only.iter().map(Vec::as_slice).collect();
    let mut assignments = Vec::new();
    for member in json::members(new, 0) {
        let (name, value) = (&new[member.name], &new[member.value]);
        let path = member_path(name);
        if gone.remove(name) && document.root().find(path.steps()).is_none_or(|saved| *saved.text() != *value)
        {
            assignments.push((path, Cow::Borrowed(value)));
        }
    }
    let gone: Vec<Path> = gone.into_iter().map(member_path).collect();
    assign_all(document, &assignments)?;
    let mut changed = !assignments.is_empty();
    for path in gone {
        changed |= remove(document, &path)?;
    }
    Ok(changed)
}

/// The path of a member of the root. The name is canonical, quotes included.
fn member_path(name: &[u8]) -> Path {
    Path::default().join(Step::Name(name.into()))
}

pub(super) static SET: Command = Command {
    name: "SET",
    subcommand: None,
    summary: "Sets the value at a path; a member that is missing is added.",
    access: Access::Grow,
    groups: Groups::CREATE.union(Groups::UPDATE),
    below: Some(Groups::UPDATE),
    keys: Keys::First,
    args: &[
        KEY,
        Arg::new("path", Kind::Path),
        Arg::new("json", Kind::Json),
        Arg::new("condition", Kind::OneOf(&[NX, XX])).optional(),
    ],
    norefresh: true,
    creates: true,
    reply: "OK; nil when NX or XX is not met",
    run: set,
};

fn set(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    let value = call.args.json(path.depth())?;
    let mut condition = None;
    while let Some(option) = call.option()? {
        exclusive(&mut condition, option)?;
    }
    let done = if path.is_root() {
        put(call, key, &value, condition)?
    } else {
        set_below(call, key, &path, &value, condition)?
    };
    call.reply_done(done);
    Ok(())
}

fn set_below<'a>(
    call: &mut Call<'a>,
    key: &'a [u8],
    path: &Path,
    value: &[u8],
    condition: Option<&str>,
) -> Result<bool, Error> {
    call.work_below();
    let document = call.host.edit(key)?.ok_or(Error::NoKey)?;
    let done = assign(document, path, value, condition)?;
    if done {
        let header = document.header();
        call.touch(key, Effect::Changed, header);
    }
    Ok(done)
}

/// Sets the value at a path, which may be that of a new member, unless `NX` or `XX` forbids it; whether it did.
fn assign(
    document: &mut Document,
    path: &Path,
    value: &[u8],
    condition: Option<&str>,
) -> Result<bool, Error> {
    let Some((last, above)) = path.steps().split_last() else {
        return document.replace(value).map(|()| true);
    };
    let done = match last {
        Step::Name(name) => document.edit(above, |parent| {
            let found = parent.kind();
            if found != Json::Object {
                return Err(Error::bad_type(path, "an object around its last step", found));
            }
            let exists = || parent.find(std::slice::from_ref(last)).is_some();
            let met = match condition {
                Some("NX") => !exists(),
                Some("XX") => exists(),
                _ => true,
            };
            Ok((met, met.then_some(Edit::Put { name, value })))
        })?,
        Step::Index(_) => document.edit(path.steps(), |_| {
            let met = condition != Some("NX");
            Ok((met, met.then(|| Edit::Set(value.into()))))
        })?,
    };
    done.ok_or_else(|| match (last, document.root().find(above).map(Node::kind)) {
        (Step::Index(_), Some(found)) if found != Json::Array => {
            Error::bad_type(path, "an array around its last step", found)
        }
        _ => Error::no_path(path),
    })
}

/// Sets values at paths one after the other; when one fails, those before are taken back.
fn assign_all(document: &mut Document, assignments: &[(Path, Cow<'_, [u8]>)]) -> Result<(), Error> {
    let mut undo: Vec<(&Path, Option<Vec<u8>>)> = Vec::new();
    for (at, (path, value)) in assignments.iter().enumerate() {
        let last = at + 1 == assignments.len();
        let before =
            document.root().find(path.steps()).filter(|_| !last).map(|node| node.text().into_owned());
        if let Err(error) = assign(document, path, value, None) {
            for (path, before) in undo.into_iter().rev() {
                match before {
                    Some(value) => assign(document, path, &value, None)?,
                    None => remove(document, path)?,
                };
            }
            return Err(error);
        }
        undo.push((path, before));
    }
    Ok(())
}

/// Removes the value at a path; whether there was one.
fn remove(document: &mut Document, path: &Path) -> Result<bool, Error> {
    Ok(document.edit(path.steps(), |_| Ok(((), Some(Edit::Remove))))?.is_some())
}

pub(super) static GET: Command = Command {
    name: "GET",
    subcommand: None,
    summary: "Reads a document, or the values at paths in it.",
    access: Access::Read,
    groups: Groups::READ.union(Groups::FETCH),
    below: Some(Groups::READ),
    keys: Keys::First,
    args: &[KEY, Arg::new("path", Kind::Path).optional().multiple()],
    norefresh: true,
    creates: false,
    reply: "JSON text, nil where there is nothing; an array for several paths",
    run: get,
};

fn get(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let mut paths: SmallVec<[Path; 1]> = SmallVec::new();
    while let Some(path) = call.args.optional_path()? {
        paths.push(path);
    }
    call.end()?;
    if !paths.is_empty() && !paths.iter().any(Path::is_root) {
        call.work_below();
    }
    let Some(document) = call.host.read(key)? else {
        call.reply.null();
        return Ok(());
    };
    let root = document.root();
    let found = match paths.as_slice() {
        [] => {
            call.reply.bulk(&root.text());
            true
        }
        [path] => reply_at(call.reply, root, path),
        paths => {
            call.reply.array(paths.len());
            paths.iter().filter(|path| reply_at(call.reply, root, path)).count() > 0
        }
    };
    if found {
        let header = document.header();
        call.touch(key, Effect::Read, header);
    }
    Ok(())
}

fn reply_at(reply: &mut dyn crate::Reply, root: Node<'_>, path: &Path) -> bool {
    let found = root.find(path.steps());
    match found {
        Some(node) => reply.bulk(&node.text()),
        None => reply.null(),
    }
    found.is_some()
}

pub(super) static MGET: Command = Command {
    name: "MGET",
    subcommand: None,
    summary: "Reads several documents.",
    access: Access::Read,
    groups: Groups::READ.union(Groups::FETCH),
    below: None,
    keys: Keys::All,
    args: &[KEY.multiple()],
    norefresh: false,
    creates: false,
    reply: "an array of JSON texts, nil where there is no document",
    run: mget,
};

fn mget(call: &mut Call<'_>) -> Result<(), Error> {
    let keys = call.args.rest();
    // Copied first: a key of another type among the last would come too late to take a reply back.
    let mut texts = Vec::with_capacity(keys.len());
    for key in keys {
        let document = call.host.read(key)?;
        texts.push(document.map(|document| document.text().into_owned()));
        if let Some(header) = document.map(Document::header) {
            call.touch(key, Effect::Read, header);
        }
    }
    call.reply.array(texts.len());
    for text in texts {
        match text {
            Some(text) => call.reply.bulk(&text),
            None => call.reply.null(),
        }
    }
    Ok(())
}

pub(super) static UPDATE: Command = Command {
    name: "UPDATE",
    subcommand: None,
    summary: "Sets the values at several paths, all or none.",
    access: Access::Grow,
    groups: Groups::UPDATE,
    below: None,
    keys: Keys::First,
    args: &[
        KEY,
        Arg::new("assignment", Kind::Block(&[Arg::new("path", Kind::Path), Arg::new("json", Kind::Json)]))
            .multiple(),
    ],
    norefresh: true,
    creates: false,
    reply: "OK",
    run: update,
};

fn update(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let mut assignments = Vec::new();
    while let Some(path) = call.args.optional_path()? {
        let value = call.args.json(path.depth())?;
        assignments.push((path, value));
    }
    call.end()?;
    if assignments.is_empty() {
        return Err(Error::argument(
            b"",
            "UPDATE takes pairs of a path, which starts with $, and a JSON value",
        ));
    }
    let document = call.host.edit(key)?.ok_or(Error::NoKey)?;
    document.edit_once(|document| assign_all(document, &assignments))?;
    let header = document.header();
    call.touch(key, Effect::Changed, header);
    call.reply.ok();
    Ok(())
}

pub(super) static DEL: Command = Command {
    name: "DEL",
    subcommand: None,
    summary: "Deletes documents.",
    access: Access::Write,
    groups: Groups::DELETE,
    below: None,
    keys: Keys::All,
    args: &[KEY.multiple()],
    norefresh: false,
    creates: false,
    reply: "how many there were",
    run: del,
};

fn del(call: &mut Call<'_>) -> Result<(), Error> {
    let keys = call.args.rest();
    let mut headers = Vec::with_capacity(keys.len());
    for key in keys {
        headers.push(call.host.edit(key)?.map(|document| document.header()));
    }
    let mut deleted = 0;
    for (key, header) in keys.iter().zip(headers) {
        let Some(header) = header else { continue };
        if call.host.remove(key)? {
            call.touch(key, Effect::Deleted, header);
            deleted += 1;
        }
    }
    call.reply.integer(deleted);
    Ok(())
}

/// Only objects have members to save one by one.
fn need_object(found: Json) -> Result<(), Error> {
    if found == Json::Object { Ok(()) } else { Err(Error::bad_type(&Path::default(), "an object", found)) }
}
