//! Sets, arrays in which each value is once: ADD, DISCARD, SETOP.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::args::Values;
use super::container::{array_at, cut_all};
use super::{AS, Access, Arg, Call, Command, DEFAULT, KEY, Keys, Kind, PATH, REQUIRE, STRICT, Terms};
use crate::equality::Equality;
use crate::host::Effect;
use crate::json::Kind as Json;
use crate::node::{By, Edit, Node, Normals, runs};
use crate::path::Path;
use crate::seen::Seen;
use crate::{Draft, Error, Groups, Reply as _};

pub(super) static ADD: Command = Command {
    name: "ADD",
    subcommand: None,
    summary: "Adds values to a set, an array in which each value is once; STRICT fails where one of them is there.",
    access: Access::Grow,
    tells: true,
    groups: Groups::UPDATE.union(Groups::APPEND),
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH, Arg::new("json", Kind::Json).multiple(), AS, STRICT, REQUIRE, DEFAULT],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "how many were new",
    run: add,
};

fn add(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    let mut values = call.args.values(&ADD, path.depth() + 1)?;
    call.end()?;
    let terms = call.terms();
    let mut document = call.edit_indexed(key, &path, By::Value(terms.equality))?;
    let set = array_at(&document, &path)?;
    if terms.strict {
        refuse_held(set, &path, &values, terms.equality, b"STRICT")?;
    }
    add_all(&mut document, &path, &mut values, &terms)?;
    let header = document.header();
    // What was there already keeps the document alive all the same; nothing was written then.
    let effect = if values.is_empty() { Effect::Read } else { Effect::Changed };
    call.touch(key, effect, header);
    call.reply.integer(values.len() as i64);
    Ok(())
}

/// Adds to the array at a path the values that are new to it, and leaves those.
pub(super) fn add_all(
    document: &mut Draft<'_>,
    path: &Path,
    values: &mut Values<'_>,
    terms: &Terms<'_>,
) -> Result<(), Error> {
    let set = array_at(document, path)?;
    retain_new(set, values, terms.equality);
    if !values.is_empty() {
        terms.requirements.check_length(path, set, |length| length + values.len())?;
        document.edit(path.steps(), |_| Ok(((), Some(Edit::Insert { at: None, values }))))?;
    }
    Ok(())
}

/// Fails, by the name of the condition, where an array has one of the values.
pub(super) fn refuse_held(
    array: Node<'_>,
    path: &Path,
    values: &[Cow<'_, [u8]>],
    equality: Equality,
    condition: &[u8],
) -> Result<(), Error> {
    let sought: Normals<'_> = values.iter().map(|value| equality.normal(value)).collect();
    let held = array.held(By::Value(equality), &sought);
    match values.iter().find(|value| held.contains(&*equality.normal(value))) {
        Some(value) => Err(Error::unmet(condition, path, "holds", value)),
        None => Ok(()),
    }
}

/// Leaves the values that are new to an array, each once.
pub(super) fn retain_new(array: Node<'_>, values: &mut Values<'_>, equality: Equality) {
    let sought: Normals<'static> =
        values.iter().map(|value| equality.normal(value).into_owned().into()).collect();
    let mut known = array.held(By::Value(equality), &sought);
    values.retain(|value| sought.get(&*equality.normal(value)).is_some_and(|normal| known.insert(normal)));
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
    args: &[KEY, PATH, Arg::new("json", Kind::Json).multiple(), AS, STRICT, REQUIRE, DEFAULT],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "how many were removed",
    run: discard,
};

fn discard(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    let values = call.args.values(&DISCARD, 0)?;
    call.end()?;
    let terms = call.terms();
    let mut document = call.edit_indexed(key, &path, By::Value(terms.equality))?;
    let removed = discard_all(&mut document, &path, &values, &terms)?;
    let header = document.header();
    call.removed(key, removed, header);
    Ok(())
}

/// Removes from the array at a path the elements that equal one of the values: how many. Under `STRICT` each value
/// must be there.
pub(super) fn discard_all(
    document: &mut Draft<'_>,
    path: &Path,
    values: &[Cow<'_, [u8]>],
    terms: &Terms<'_>,
) -> Result<usize, Error> {
    let equality = terms.equality;
    let sought: Normals<'_> = values.iter().map(|value| equality.normal(value)).collect();
    let places = array_at(document, path)?.places(By::Value(equality), &sought);
    let ranges = runs(places.iter().map(|(place, _)| *place));
    if terms.strict {
        let found: HashSet<&Cow<'_, [u8]>> = places.iter().map(|(_, normal)| normal).collect();
        if let Some(value) = values.iter().find(|value| !found.contains(&equality.normal(value))) {
            return Err(Error::unmet(b"STRICT", path, "does not hold", value));
        }
    }
    cut_all(document, path, &ranges, &terms.requirements)
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
        Arg::new("numkeys", Kind::Count),
        Arg::new("key", Kind::Key).multiple(),
        PATH.multiple(),
        Arg::new("operation", Kind::OneOf(&[Arg::token("UNION"), Arg::token("INTER"), Arg::token("DIFF")])),
        AS,
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
    let bound = call.host.reply_bound();
    let mut seen = Seen::new(call.terms.equality);
    // Where the sets are: a set that is named again adds nothing but its difference from itself.
    let mut places = HashMap::new();
    let (mut round, mut touched) = (0, Vec::new());
    for (at, (key, path)) in keys.iter().zip(&paths).enumerate() {
        let document = call.host.read_below(key)?;
        touched.extend(document.map(|document| (*key, document.header())));
        let found = document.map(|document| document.root().resolve(path.steps())).transpose()?;
        let Some((place, set)) = found.flatten() else {
            // Nothing is in it: then nothing is in an intersection either.
            round += u32::from(at > 0 && operation == Operation::Intersection);
            continue;
        };
        if set.kind() != Json::Array {
            return Err(Error::bad_type(path, "an array", set.kind()));
        }
        match places.entry((*key, place)) {
            Entry::Occupied(first) if operation != Operation::Difference || *first.get() > 0 => continue,
            Entry::Occupied(mut first) => *first.get_mut() = at,
            Entry::Vacant(new) => _ = new.insert(at),
        }
        if at == 0 || operation == Operation::Union {
            for element in set.elements() {
                seen.insert(element);
                bound.check(seen.len())?;
            }
            continue;
        }
        round = if operation == Operation::Intersection { round + 1 } else { 1 };
        set.elements().for_each(|element| seen.mark(element, round));
    }
    let result = match operation {
        Operation::Union => seen.into_array(),
        Operation::Intersection => seen.marked(round),
        Operation::Difference => seen.marked(0),
    };
    bound.check(result.len())?;
    for (key, header) in touched {
        call.touch(key, Effect::Read, header);
    }
    call.reply.bulk(&result);
    Ok(())
}
