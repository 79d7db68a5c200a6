//! Commands on values at paths: SET, GET, UPDATE, MERGE, UNSET.

use smallvec::SmallVec;

use super::args::exclusive;
use super::assign::{Only, assign, assign_all, merge, remove};
use super::condition::{self, Condition};
use super::document::put;
use super::{Access, Arg, Call, Command, DEFAULT, KEY, Keys, Kind, NX, PATH, STRICT, XX, found};
use crate::host::Effect;
use crate::limits::Bound;
use crate::node::Node;
use crate::path::Path;
use crate::{Error, Groups, Reply as _};

pub(super) static SET: Command = Command {
    name: "SET",
    subcommand: None,
    summary: "Sets the value at a path; a member that is missing is added.",
    access: Access::Grow,
    tells: false,
    groups: Groups::CREATE.union(Groups::UPDATE),
    special: Some(("below the root", Groups::UPDATE)),
    keys: Keys::First,
    args: &[
        KEY,
        PATH,
        Arg::new("json", Kind::Json),
        Arg::new("condition", Kind::OneOf(&[NX, XX])).optional(),
        DEFAULT,
    ],
    norefresh: true,
    creates: true,
    ifversion: true,
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
        call.refuse_defaults()?;
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
    call.work_specially();
    let mut document = call.edit(key)?;
    let done = assign(&mut document, path, value, condition.map(Only::of))?;
    if done {
        let header = document.header();
        call.touch(key, Effect::Changed, header);
    }
    Ok(done)
}

pub(super) static GET: Command = Command {
    name: "GET",
    subcommand: None,
    summary: "Reads a document, or the values at paths in it.",
    access: Access::Read,
    tells: true,
    groups: Groups::READ.union(Groups::FETCH),
    special: Some(("below the root", Groups::READ)),
    keys: Keys::First,
    args: &[KEY, PATH.optional().multiple(), STRICT],
    norefresh: true,
    creates: false,
    ifversion: false,
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
        call.work_specially();
    }
    let bound = call.host.reply_bound();
    let document = if paths.is_empty() { call.host.read(key)? } else { call.host.read_below(key)? };
    let Some(document) = found(document, call.terms.strict)? else {
        call.reply.null();
        return Ok(());
    };
    let (root, header) = (document.root(), document.header());
    let found = match paths.as_slice() {
        [] => reply_one(&mut call.reply, bound, Some(root))?,
        [path] => reply_one(&mut call.reply, bound, root.find(path.steps())?)?,
        paths => {
            // Found first: the same value may be asked for many times.
            let found = paths.iter().map(|path| root.find(path.steps())).collect::<Result<Vec<_>, _>>()?;
            bound.check(found.iter().flatten().map(|node| node.len()).sum())?;
            call.reply.array(found.len());
            for node in &found {
                reply_node(&mut call.reply, *node);
            }
            found.iter().any(Option::is_some)
        }
    };
    if found {
        call.touch(key, Effect::Read, header);
    }
    Ok(())
}

/// Answers a value, or that there is none, unless it is too long for a reply; whether there is one.
fn reply_one(reply: &mut dyn crate::Reply, bound: Bound, node: Option<Node<'_>>) -> Result<bool, Error> {
    bound.check(node.map_or(0, Node::len))?;
    reply_node(reply, node);
    Ok(node.is_some())
}

fn reply_node(reply: &mut dyn crate::Reply, node: Option<Node<'_>>) {
    match node {
        Some(node) => reply.bulk(&node.text()),
        None => reply.null(),
    }
}

pub(super) static UPDATE: Command = Command {
    name: "UPDATE",
    subcommand: None,
    summary: "Sets the values at several paths, all or none, and only WHERE all conditions are met.",
    access: Access::Grow,
    tells: true,
    groups: Groups::UPDATE,
    special: None,
    keys: Keys::First,
    args: &[
        KEY,
        Arg::new("assignment", Kind::Block(&[PATH, Arg::new("json", Kind::Json)])).multiple(),
        condition::ARG,
        DEFAULT,
    ],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "OK; nil when a condition is not met",
    run: update,
};

fn update(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let mut assignments = Vec::new();
    while let Some(path) = call.args.optional_path()? {
        let value = call.args.json(path.depth())?;
        assignments.push((path, value));
    }
    let mut conditions = Vec::new();
    while call.option()?.is_some() {
        conditions.push(Condition::take(call)?);
    }
    if assignments.is_empty() {
        return Err(Error::argument(
            b"",
            "UPDATE takes pairs of a path, which starts with $, and a JSON value",
        ));
    }
    let mut document = call.edit(key)?;
    for condition in &conditions {
        if !condition.is_met(document.root())? {
            call.reply.null();
            return Ok(());
        }
    }
    document.edit_once(|document| assign_all(document, &assignments))?;
    let header = document.header();
    call.touch(key, Effect::Changed, header);
    call.reply.ok();
    Ok(())
}

pub(super) static MERGE: Command = Command {
    name: "MERGE",
    subcommand: None,
    summary: "Merges a JSON merge patch (RFC 7396) into the value at a path: null removes a member.",
    access: Access::Grow,
    tells: false,
    groups: Groups::UPDATE,
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH, Arg::new("json", Kind::Json), DEFAULT],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "OK",
    run: |call| {
        let key = call.args.word()?;
        let path = call.args.path()?;
        let patch = call.args.json(path.depth())?;
        call.end()?;
        let mut document = call.edit(key)?;
        document.edit_once(|document| merge(document, &path, &patch))?;
        let header = document.header();
        call.touch(key, Effect::Changed, header);
        call.reply.ok();
        Ok(())
    },
};

pub(super) static UNSET: Command = Command {
    name: "UNSET",
    subcommand: None,
    summary: "Removes the values at paths, each of which means the document as it was before.",
    access: Access::Write,
    tells: false,
    groups: Groups::UPDATE.union(Groups::ERASE),
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH.multiple(), DEFAULT],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "how many there were, each place counted once",
    run: unset,
};

fn unset(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let mut paths = vec![call.args.path()?];
    while let Some(path) = call.args.optional_path()? {
        paths.push(path);
    }
    call.end()?;
    paths.iter().try_for_each(refuse_root)?;
    let mut document = call.edit(key)?;
    let mut places = Vec::new();
    for path in &paths {
        places.extend(document.root().resolve(path.steps())?.map(|(place, _)| place));
    }
    places.sort_unstable();
    places.dedup();
    if !places.is_empty() {
        // From the last one back: what goes moves nothing that is before it, and goes before what it is in.
        document.edit_once(|document| {
            places.iter().rev().try_for_each(|place| remove(document, place).map(drop))
        })?;
        let header = document.header();
        call.touch(key, Effect::Changed, header);
    }
    call.reply.integer(places.len() as i64);
    Ok(())
}

/// Refuses the root where a value is to be removed.
pub(super) fn refuse_root(path: &Path) -> Result<(), Error> {
    if path.is_root() {
        return Err(Error::argument(
            b"$",
            "the root stays: MODEL.DEL deletes a document, MODEL.CLEAR empties it",
        ));
    }
    Ok(())
}
