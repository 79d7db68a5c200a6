//! Sets, arrays in which each value is once: ADD, DISCARD, SETOP.

use std::borrow::Cow;
use std::collections::HashSet;

use super::container::{array_at, cut_all, runs};
use super::{Access, Arg, Call, Command, KEY, Keys, Kind, PATH};
use crate::host::Effect;
use crate::json;
use crate::node::{By, Edit, Node, Normals};
use crate::{Error, Groups};

const STRICT: Arg = Arg::token("STRICT").optional();

pub(super) static ADD: Command = Command {
    name: "ADD",
    subcommand: None,
    summary: "Adds values to a set, an array in which each value is once; STRICT fails where one of them is there.",
    access: Access::Grow,
    tells: true,
    groups: Groups::UPDATE.union(Groups::APPEND),
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH, Arg::new("json", Kind::Json).multiple(), STRICT],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "how many were new",
    run: add,
};

fn add(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    let mut values = vec![call.args.json(path.depth() + 1)?];
    while let Some(value) = call.args.optional_json(&ADD, path.depth() + 1)? {
        values.push(value);
    }
    let strict = strict(call)?;
    let mut document = call.edit_indexed(key, &path, By::Value)?;
    let set = array_at(&document, &path)?;
    let sought = values.iter().map(|value| json::normal(value)).collect();
    if strict && !set.places(By::Value, &sought).is_empty() {
        return Err(Error::changed(&path));
    }
    retain_new(set, &mut values);
    if !values.is_empty() {
        document.edit(path.steps(), |_| Ok(((), Some(Edit::Insert { at: None, values: &values }))))?;
    }
    let header = document.header();
    // What was there already keeps the document alive all the same; nothing was written then.
    let effect = if values.is_empty() { Effect::Read } else { Effect::Changed };
    call.touch(key, effect, header);
    call.reply.integer(values.len() as i64);
    Ok(())
}

/// Takes the options: whether STRICT is among them.
fn strict(call: &mut Call<'_>) -> Result<bool, Error> {
    let mut strict = false;
    while call.option()?.is_some() {
        strict = true;
    }
    Ok(strict)
}

/// Leaves the values that are new to an array, each once.
pub(super) fn retain_new(array: Node<'_>, values: &mut Vec<Cow<'_, [u8]>>) {
    let sought = values.iter().map(|value| json::normal(value)).collect();
    let mut known: HashSet<Vec<u8>> =
        array.places(By::Value, &sought).into_iter().map(|(_, normal)| normal.into_owned()).collect();
    values.retain(|value| known.insert(json::normal(value).into_owned()));
}

pub(super) static DISCARD: Command = Command {
    name: "DISCARD",
    subcommand: None,
    summary: "Removes values from a set; STRICT fails where one of them is not there.",
    access: Access::Write,
    tells: true,
    groups: Groups::UPDATE.union(Groups::ERASE),
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH, Arg::new("json", Kind::Json).multiple(), STRICT],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "how many were removed",
    run: discard,
};

fn discard(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    let mut values = vec![call.args.json(0)?];
    while let Some(value) = call.args.optional_json(&DISCARD, 0)? {
        values.push(value);
    }
    let strict = strict(call)?;
    let mut document = call.edit_indexed(key, &path, By::Value)?;
    let sought: Normals<'_> = values.iter().map(|value| json::normal(value)).collect();
    let places = array_at(&document, &path)?.places(By::Value, &sought);
    let ranges = runs(places.iter().map(|(place, _)| *place));
    let found: HashSet<&Cow<'_, [u8]>> = places.iter().map(|(_, normal)| normal).collect();
    if strict && found.len() < sought.len() {
        return Err(Error::changed(&path));
    }
    let removed = cut_all(&mut document, &path, &ranges)?;
    let header = document.header();
    call.removed(key, removed, header);
    Ok(())
}

pub(super) static SETOP: Command = Command {
    name: "SETOP",
    subcommand: None,
    summary: "Combines sets: all their values, those that all have, or those of the first that no other has.",
    access: Access::Read,
    tells: true,
    groups: Groups::READ,
    special: None,
    keys: Keys::Counted,
    args: &[
        Arg::new("numkeys", Kind::Integer),
        Arg::new("key", Kind::Key).multiple(),
        PATH.multiple(),
        Arg::new("operation", Kind::OneOf(&[Arg::token("UNION"), Arg::token("INTER"), Arg::token("DIFF")])),
    ],
    norefresh: true,
    creates: false,
    ifversion: false,
    reply: "an array as JSON text, the values in the order in which they are first met; what is missing is empty",
    run: setop,
};

#[derive(Clone, Copy, PartialEq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

fn setop(call: &mut Call<'_>) -> Result<(), Error> {
    let keys = call.args.keys("SETOP takes the number of keys that follow, at least one")?;
    let mut paths = vec![call.args.path()?];
    while let Some(path) = call.args.optional_path()? {
        paths.push(path);
    }
    if paths.len() != keys.len() {
        return Err(Error::argument(b"", "SETOP takes a path for each of its keys, in their order"));
    }
    let operations =
        [("UNION", Operation::Union), ("INTER", Operation::Intersection), ("DIFF", Operation::Difference)];
    let operation = call.args.choice(&operations, "not UNION, INTER or DIFF")?;
    call.end()?;
    let mut result: Vec<Vec<u8>> = Vec::new();
    let mut met: HashSet<Vec<u8>> = HashSet::new();
    let mut touched = Vec::new();
    for (at, (key, path)) in keys.iter().zip(&paths).enumerate() {
        let mut own: HashSet<Vec<u8>> = HashSet::new();
        let document = call.host.read_below(key)?;
        if let Some(document) = document {
            if document.root().find(path.steps()).is_some() {
                for element in array_at(document, path)?.elements() {
                    let normal = element.normal().into_owned();
                    if (at == 0 || operation == Operation::Union) && met.insert(normal.clone()) {
                        result.push(element.text().into_owned());
                    }
                    own.insert(normal);
                }
            }
            touched.push((*key, document.header()));
        }
        if at > 0 && operation != Operation::Union {
            let kept = operation == Operation::Intersection;
            result.retain(|text| own.contains(&*json::normal(text)) == kept);
        }
    }
    for (key, header) in touched {
        call.touch(key, Effect::Read, header);
    }
    call.reply.bulk(&[b"[", &result.join(&b","[..])[..], b"]"].concat());
    Ok(())
}
