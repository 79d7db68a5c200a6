//! Priority queues, arrays of [priority, value] in order, in which each value is once: PUSH, POPMIN, PEEK, UNPUSH.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;

use super::container::{array_at, cut_all, runs};
use super::{Access, Arg, Call, Command, KEY, Keys, Kind, PATH};
use crate::host::Effect;
use crate::json::{self, Kind as Json};
use crate::node::{Edit, Node};
use crate::path::Path;
use crate::{Document, Error, Groups};

const PRIORITY: &str = "a priority is a JSON number";

pub(super) static PUSH: Command = Command {
    name: "PUSH",
    subcommand: None,
    summary: "Puts values into a priority queue, or gives those that are there another priority.",
    access: Access::Grow,
    groups: Groups::UPDATE.union(Groups::APPEND),
    special: None,
    keys: Keys::First,
    args: &[
        KEY,
        PATH,
        Arg::new("item", Kind::Block(&[Arg::new("priority", Kind::Json), Arg::new("json", Kind::Json)]))
            .multiple(),
    ],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "how many were new",
    run: push,
};

fn push(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    let mut items = vec![item(call, &path)?];
    while let Some(priority) = call.args.optional_json(&PUSH, 0)? {
        items.push(valued(call, &path, priority)?);
    }
    call.end()?;
    let document = call.edit(key)?;
    check(array_at(document, &path)?, &path)?;
    let added = document.edit_once(|document| {
        let mut added = 0;
        for (priority, value) in &items {
            added += usize::from(!take_out(document, &path, &HashSet::from([json::normal(value)]))?);
            let text = [b"[", &priority[..], b",", value, b"]"].concat();
            let queue = array_at(document, &path)?;
            // Behind those of the same priority: of equals the oldest comes first.
            let at = queue.elements().position(|element| {
                pair(element)
                    .is_some_and(|(other, _)| json::order(&other.text(), priority) == Some(Ordering::Greater))
            });
            let values = [Cow::from(text)];
            document.edit(path.steps(), |_| Ok(((), Some(Edit::Insert { at, values: &values }))))?;
        }
        Ok(added)
    })?;
    let header = document.header();
    call.touch(key, Effect::Changed, header);
    call.reply.integer(added as i64);
    Ok(())
}

type Item<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

fn item<'a>(call: &mut Call<'a>, path: &Path) -> Result<Item<'a>, Error> {
    let priority = call.args.json(0)?;
    valued(call, path, priority)
}

fn valued<'a>(call: &mut Call<'a>, path: &Path, priority: Cow<'a, [u8]>) -> Result<Item<'a>, Error> {
    if !matches!(json::kind(&priority), Json::Integer | Json::Number) {
        return Err(Error::argument(&priority, PRIORITY));
    }
    Ok((priority, call.args.json(path.depth() + 2)?))
}

/// The priority and the value of a queue's element.
fn pair(element: Node<'_>) -> Option<(Node<'_>, Node<'_>)> {
    if element.kind() != Json::Array || element.items() != 2 {
        return None;
    }
    let mut parts = element.elements();
    let (priority, value) = (parts.next()?, parts.next()?);
    matches!(priority.kind(), Json::Integer | Json::Number).then_some((priority, value))
}

/// Refuses an array that is no queue.
fn check(queue: Node<'_>, path: &Path) -> Result<(), Error> {
    match queue.elements().find(|element| pair(*element).is_none()) {
        Some(stranger) => Err(Error::bad_type(path, "an array of [priority, value]", stranger.kind())),
        None => Ok(()),
    }
}

/// Takes values out of a queue; whether any was there.
fn take_out(document: &mut Document, path: &Path, values: &HashSet<Cow<'_, [u8]>>) -> Result<bool, Error> {
    let places = array_at(document, path)?.elements().enumerate().filter(|(_, element)| {
        pair(*element).is_some_and(|(_, value)| values.contains(&*json::normal(&value.text())))
    });
    let ranges = runs(places.map(|(at, _)| at));
    if !ranges.is_empty() {
        cut_all(document, path, &ranges)?;
    }
    Ok(!ranges.is_empty())
}

pub(super) static UNPUSH: Command = Command {
    name: "UNPUSH",
    subcommand: None,
    summary: "Takes values out of a priority queue, wherever they are in it.",
    access: Access::Write,
    groups: Groups::UPDATE.union(Groups::ERASE),
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH, Arg::new("json", Kind::Json).multiple()],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "how many were removed",
    run: |call| {
        let key = call.args.word()?;
        let path = call.args.path()?;
        let mut values = vec![call.args.json(0)?];
        while let Some(value) = call.args.optional_json(&UNPUSH, 0)? {
            values.push(value);
        }
        call.end()?;
        let document = call.edit(key)?;
        let before = array_at(document, &path)?;
        check(before, &path)?;
        let before = before.items();
        let sought = values.iter().map(|value| json::normal(value)).collect();
        if take_out(document, &path, &sought)? {
            let removed = before - array_at(document, &path)?.items();
            let header = document.header();
            call.touch(key, Effect::Changed, header);
            call.reply.integer(removed as i64);
        } else {
            call.reply.integer(0);
        }
        Ok(())
    },
};

pub(super) static POPMIN: Command = Command {
    name: "POPMIN",
    subcommand: None,
    summary: "Takes the first values out of a priority queue: those of the smallest priority, and of these the oldest.",
    access: Access::Write,
    groups: Groups::READ.union(Groups::UPDATE).union(Groups::ERASE),
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH, Arg::new("count", Kind::Integer).optional()],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "[priority, value] as JSON text, nil from an empty queue; with a count an array of them",
    run: |call| {
        let key = call.args.word()?;
        let path = call.args.path()?;
        let count = count(call, &POPMIN)?;
        let document = call.edit(key)?;
        let items = first(array_at(document, &path)?, &path, count)?;
        if !items.is_empty() {
            document.edit(path.steps(), |_| Ok(((), Some(Edit::Cut(0..items.len())))))?;
            let header = document.header();
            call.touch(key, Effect::Changed, header);
        }
        reply(call, count, &items);
        Ok(())
    },
};

pub(super) static PEEK: Command = Command {
    name: "PEEK",
    subcommand: None,
    summary: "Reads the first values of a priority queue.",
    access: Access::Read,
    groups: Groups::READ,
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH, Arg::new("count", Kind::Integer).optional()],
    norefresh: true,
    creates: false,
    ifversion: false,
    reply: "[priority, value] as JSON text, nil where there is none; with a count an array of them",
    run: |call| {
        let key = call.args.word()?;
        let path = call.args.path()?;
        let count = count(call, &PEEK)?;
        let mut items = Vec::new();
        if let Some(document) = call.host.read_below(key)?
            && document.root().find(path.steps()).is_some()
        {
            items = first(array_at(document, &path)?, &path, count)?;
            let header = document.header();
            call.touch(key, Effect::Read, header);
        }
        reply(call, count, &items);
        Ok(())
    },
};

/// How many values are asked for, where that is said.
fn count(call: &mut Call<'_>, command: &'static Command) -> Result<Option<usize>, Error> {
    let count = match call.args.optional_json(command, 0)? {
        None => None,
        Some(text) => {
            let count = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
            Some(count.ok_or_else(|| Error::range(&text, "a count is a whole number, at least 0"))?)
        }
    };
    call.end()?;
    Ok(count)
}

fn first(queue: Node<'_>, path: &Path, count: Option<usize>) -> Result<Vec<Vec<u8>>, Error> {
    queue
        .elements()
        .take(count.unwrap_or(1))
        .map(|element| match pair(element) {
            Some(_) => Ok(element.text().into_owned()),
            None => Err(Error::bad_type(path, "an array of [priority, value]", element.kind())),
        })
        .collect()
}

fn reply(call: &mut Call<'_>, count: Option<usize>, items: &[Vec<u8>]) {
    match (count, items) {
        (None, []) => call.reply.null(),
        (None, [item, ..]) => call.reply.bulk(item),
        (Some(_), items) => {
            call.reply.array(items.len());
            for item in items {
                call.reply.bulk(item);
            }
        }
    }
}
