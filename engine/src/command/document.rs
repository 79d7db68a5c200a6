//! Commands on whole documents: CREATE, SAVE, MGET, GETORCREATE, COPY, DEL.

use std::borrow::Cow;
use std::collections::HashSet;

use super::assign::{assign_all, is_another, remove};
use super::{Access, Arg, Call, Command, KEY, Keys, Kind, NX, XX};
use crate::host::Effect;
use crate::json::{self, Kind as Json};
use crate::limits::{Bound, Limit};
use crate::path::{Path, Step};
use crate::{Document, Draft, Error, Groups, Header, Reply};

pub(super) static CREATE: Command = Command {
    name: "CREATE",
    subcommand: None,
    summary: "Creates a document, or replaces the one that is there.",
    access: Access::Grow,
    tells: false,
    groups: Groups::CREATE,
    special: None,
    keys: Keys::First,
    args: &[KEY, Arg::new("json", Kind::Json), NX.optional()],
    norefresh: true,
    creates: true,
    ifversion: true,
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
pub(super) fn put<'a>(
    call: &mut Call<'a>,
    key: &'a [u8],
    text: &[u8],
    condition: Option<&str>,
) -> Result<bool, Error> {
    match (call.try_edit(key)?, condition) {
        (Some(_), Some("NX")) | (None, Some("XX")) => return Ok(false),
        (Some(mut document), _) => {
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
    call.host.limits().bound(Limit::Document).check(text.len())?;
    let document = Document::new(text, call.now())?;
    insert_document(call, key, document)
}

/// Creates the document that `edit` makes of one whose text this is, with the members that `DEFAULT` asked for, where
/// there is none; nothing where `edit` answers `None`. It is at its first version then.
pub(super) fn create_with<'a, T>(
    call: &mut Call<'a>,
    key: &'a [u8],
    text: &[u8],
    edit: impl FnOnce(&mut Draft<'_>) -> Result<Option<T>, Error>,
) -> Result<Option<T>, Error> {
    call.work_specially();
    let mut document = Document::new(text, call.now())?;
    let first = document.header().version;
    let limits = *call.host.limits();
    let mut draft = limits.draft(&mut document);
    draft.break_up();
    if let Some(defaults) = &mut call.defaults {
        defaults.add(&mut draft)?;
    }
    let Some(result) = edit(&mut draft)? else {
        return Ok(None);
    };
    document.set_version(first);
    call.check_policy(key)?;
    limits.bound(Limit::Document).check(document.len())?;
    insert_document(call, key, document)?;
    Ok(Some(result))
}

fn insert_document<'a>(call: &mut Call<'a>, key: &'a [u8], document: Document) -> Result<(), Error> {
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
    tells: false,
    groups: Groups::CREATE.union(Groups::UPDATE),
    special: None,
    keys: Keys::First,
    args: &[
        KEY,
        Arg::new("json", Kind::Json),
        XX.optional(),
        Arg::new(
            "only",
            Kind::Block(&[
                Arg::token("ONLY"),
                Arg::new("count", Kind::Count),
                Arg::new("name", Kind::Json).optional().multiple(),
            ]),
        )
        .optional(),
    ],
    norefresh: true,
    creates: true,
    ifversion: true,
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
    match call.try_edit(key)? {
        Some(mut document) => {
            need_object(document.root().kind())?;
            document.break_up();
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
fn save_members(document: &mut Draft<'_>, new: &[u8], only: &HashSet<Vec<u8>>) -> Result<bool, Error> {
    let mut gone: HashSet<&[u8]> = only.iter().map(Vec::as_slice).collect();
    let mut assignments = Vec::new();
    for member in json::members(new, 0) {
        let (name, value) = (&new[member.name], &new[member.value]);
        let path = member_path(name);
        if gone.remove(name) && is_another(document.root().find(path.steps())?, value) {
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

pub(super) static MGET: Command = Command {
    name: "MGET",
    subcommand: None,
    summary: "Reads several documents.",
    access: Access::Read,
    tells: true,
    groups: Groups::READ.union(Groups::FETCH),
    special: None,
    keys: Keys::All,
    args: &[KEY.multiple()],
    norefresh: false,
    creates: false,
    ifversion: false,
    reply: "an array of JSON texts, nil where there is no document",
    run: mget,
};

fn mget(call: &mut Call<'_>) -> Result<(), Error> {
    let keys = call.args.rest();
    let bound = call.host.reply_bound();
    let mut bytes = 0;
    // Copied first: a key of another type among the last would come too late to take a reply back.
    let mut texts = Vec::with_capacity(keys.len());
    for key in keys {
        let document = call.host.read(key)?;
        bytes += document.map_or(0, Document::len);
        bound.check(bytes)?;
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

pub(super) static GETORCREATE: Command = Command {
    name: "GETORCREATE",
    subcommand: None,
    summary: "Reads a document; creates it where there is none.",
    access: Access::Grow,
    tells: true,
    groups: Groups::CREATE.union(Groups::READ).union(Groups::FETCH),
    special: None,
    keys: Keys::First,
    args: &[KEY, Arg::new("json", Kind::Json)],
    norefresh: true,
    creates: true,
    ifversion: false,
    reply: "an array: 1 when it was created, else 0, and the JSON text that is there now",
    run: get_or_create,
};

fn get_or_create(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let text = call.args.json(0)?;
    call.end()?;
    let bound = call.host.reply_bound();
    let mut found = match call.host.read(key)? {
        Some(document) => Some(answer_existing(&mut call.reply, document, bound)?),
        None => None,
    };
    // A miss is an event: whoever heard of it may have made the document by now.
    if found.is_none()
        && let Some(document) = call.host.edit(key)?
    {
        found = Some(answer_existing(&mut call.reply, &document, bound)?);
    }
    if let Some(header) = found {
        call.touch(key, Effect::Read, header);
        return Ok(());
    }
    bound.check(text.len())?;
    insert(call, key, &text)?;
    call.reply.array(2);
    call.reply.integer(1);
    call.reply.bulk(&text);
    Ok(())
}

fn answer_existing(reply: &mut dyn Reply, document: &Document, bound: Bound) -> Result<Header, Error> {
    bound.check(document.len())?;
    reply.array(2);
    reply.integer(0);
    reply.bulk(&document.text());
    Ok(document.header())
}

pub(super) static COPY: Command = Command {
    name: "COPY",
    subcommand: None,
    summary: "Creates a document with the value of another one; its lifetime is its own.",
    access: Access::Grow,
    tells: false,
    groups: Groups::CREATE,
    special: None,
    keys: Keys::FromTo,
    args: &[
        Arg::new("source", Kind::Key),
        Arg::new("destination", Kind::Key),
        Arg::token("REPLACE").optional(),
    ],
    norefresh: true,
    creates: true,
    ifversion: false,
    reply: "1; 0 when there is no source, or a destination and REPLACE was not given",
    run: copy,
};

fn copy(call: &mut Call<'_>) -> Result<(), Error> {
    let (source, destination) = (call.args.word()?, call.args.word()?);
    let mut replace = false;
    while call.option()?.is_some() {
        replace = true;
    }
    if source == destination {
        return Err(Error::argument(source, "is the source and the destination: name two keys"));
    }
    let text = call.host.read(source)?.map(|document| document.text().into_owned());
    let done = match text {
        Some(text) => put(call, destination, &text, (!replace).then_some("NX"))?,
        None => false,
    };
    call.reply.integer(i64::from(done));
    Ok(())
}

pub(super) static DEL: Command = Command {
    name: "DEL",
    subcommand: None,
    summary: "Deletes documents.",
    access: Access::Write,
    tells: false,
    groups: Groups::DELETE,
    special: None,
    keys: Keys::All,
    args: &[KEY.multiple()],
    norefresh: false,
    creates: false,
    ifversion: false,
    reply: "how many there were",
    run: del,
};

fn del(call: &mut Call<'_>) -> Result<(), Error> {
    let keys = call.args.rest();
    let mut headers = Vec::with_capacity(keys.len());
    for key in keys {
        headers.push(call.host.header(key)?);
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
