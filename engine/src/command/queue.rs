//! Priority queues, arrays of [priority, value] in order, in which each value is once: PUSH, POPMIN, PEEK, UNPUSH.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;

use super::container::{array_at, cut_all, runs};
use super::{Access, Arg, Call, Command, KEY, Keys, Kind, PATH};
use crate::host::Effect;
use crate::json::{self, Kind as Json, Sought};
use crate::node::{Edit, Node};
use crate::path::Path;
use crate::{Error, Groups};

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
    let mut length = array_at(document, &path)?.items();
    // All of them or none: what else can fail is found by the first look at the queue.
    if document.room() < items.iter().map(|(priority, value)| priority.len() + value.len() + 4).sum() {
        return Err(Error::too_large());
    }
    let before = length;
    document.edit_once(|document| {
        for (priority, value) in &items {
            let place = place(array_at(document, &path)?, &path, priority, value)?;
            if let Some(held) = place.held {
                document.edit(path.steps(), |_| Ok(((), Some(Edit::Cut(held..held + 1)))))?;
                length -= 1;
            }
            let values = [Cow::from([b"[", &priority[..], b",", value, b"]"].concat())];
            let at = (place.at < length).then_some(place.at);
            document.edit(path.steps(), |_| Ok(((), Some(Edit::Insert { at, values: &values }))))?;
            length += 1;
        }
        Ok(())
    })?;
    let header = document.header();
    call.touch(key, Effect::Changed, header);
    call.reply.integer((length - before) as i64);
    Ok(())
}

/// Where a value is in a queue, and where one of a priority belongs once that is gone.
struct Place {
    held: Option<usize>,
    at: usize,
}

fn place(queue: Node<'_>, path: &Path, priority: &[u8], value: &[u8]) -> Result<Place, Error> {
    let sought = Sought::new(value);
    let mut place = Place { held: None, at: 0 };
    for (index, element) in queue.elements().enumerate() {
        let (other, held) = pair(element, path)?;
        if place.held.is_none() && held.is(&sought) {
            place.held = Some(index);
        } else if json::order(&other.text(), priority) != Some(Ordering::Greater) {
            // Behind those of the same priority: of equals the oldest comes first.
            place.at = index + 1 - usize::from(place.held.is_some());
        }
    }
    Ok(place)
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

/// The priority and the value of a queue's element; anything else is refused.
fn pair<'n>(element: Node<'n>, path: &Path) -> Result<(Node<'n>, Node<'n>), Error> {
    let mut parts = element.elements();
    match (parts.next(), parts.next(), parts.next()) {
        (Some(priority), Some(value), None) if matches!(priority.kind(), Json::Integer | Json::Number) => {
            Ok((priority, value))
        }
        _ => Err(Error::bad_type(path, "an array of [priority, value]", element.kind())),
    }
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
        let sought: HashSet<Cow<'_, [u8]>> = values.iter().map(|value| json::normal(value)).collect();
        let mut places = Vec::new();
        for (index, element) in array_at(document, &path)?.elements().enumerate() {
            if sought.contains(&*json::normal(&pair(element, &path)?.1.text())) {
                places.push(index);
            }
        }
        if !places.is_empty() {
            cut_all(document, &path, &runs(places.iter().copied()))?;
            let header = document.header();
            call.touch(key, Effect::Changed, header);
        }
        call.reply.integer(places.len() as i64);
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
        .map(|element| pair(element, path).map(|_| element.text().into_owned()))
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
