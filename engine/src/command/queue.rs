//! Priority queues, arrays of [priority, value] in order, in which each value is once: PUSH, POPMIN, PEEK, UNPUSH.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::container::{array_at, cut_all};
use super::require::Requirements;
use super::{Access, Arg, Call, Command, DEFAULT, KEY, Keys, Kind, PATH, REQUIRE, STRICT, Terms, found};
use crate::host::Effect;
use crate::json::{self, Kind as Json};
use crate::limits::Bound;
use crate::node::{By, Edit, Node, Normals, runs};
use crate::path::{Path, Step};
use crate::{Document, Error, Groups, Reply as _};

const PRIORITY: &str = "a priority is a JSON number";

/// How many values are looked up in a queue that is not indexed as a whole.
const FEW: usize = 4;

pub(super) static PUSH: Command = Command {
    name: "PUSH",
    subcommand: None,
    summary: "Puts values into a priority queue, or gives those that are there another priority.",
    access: Access::Grow,
    tells: true,
    groups: Groups::UPDATE.union(Groups::APPEND),
    special: None,
    keys: Keys::First,
    args: &[
        KEY,
        PATH,
        Arg::new("item", Kind::Block(&[Arg::new("priority", Kind::Json), Arg::new("json", Kind::Json)]))
            .multiple(),
        REQUIRE,
        DEFAULT,
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
    // The pair that each value stands in is a container of its own, around whatever the value is.
    call.args.check_depth(path.depth() + 2)?;
    let Terms { requirements, .. } = call.terms();
    let mut document = call.edit(key)?;
    // Each item is looked up for itself: to look for many through all that is not indexed yet would take longer.
    document.index(path.steps(), By::Paired, items.len() > FEW);
    let queue = queue_at(&document, &path)?;
    let mut length = queue.items();
    if !requirements.is_empty() {
        let values: Normals<'_> = items.iter().map(|(_, value)| json::normal(value)).collect();
        let held = queue.places(By::Paired, &values).len();
        requirements.check_length(&path, queue, |length| length - held + values.len())?;
    }
    // All of them or none: nothing else can fail.
    document.room().check(items.iter().map(|(priority, value)| priority.len() + value.len() + 4).sum())?;
    let added = document.edit_once(|document| {
        let mut added = 0;
        for (priority, value) in &items {
            if items.len() > FEW {
                // The items before may have made it a large one.
                document.break_up();
                document.index(path.steps(), By::Paired, true);
            }
            let sought = Normals::from([json::normal(value)]);
            let places = array_at(document, &path)?.places(By::Paired, &sought);
            // Once from now on, also where it was there several times.
            let held = runs(places.into_iter().map(|(place, _)| place));
            let removed = cut_all(document, &path, &held, &Requirements::default())?;
            added += i64::from(removed == 0);
            length -= removed;
            let place = bisect(array_at(document, &path)?, length, priority);
            let values = [Cow::from([b"[", &priority[..], b",", value, b"]"].concat())];
            let at = (place < length).then_some(place);
            document.edit(path.steps(), |_| Ok(((), Some(Edit::Insert { at, values: &values }))))?;
            length += 1;
        }
        Ok(added)
    })?;
    let header = document.header();
    call.touch(key, Effect::Changed, header);
    call.reply.integer(added);
    Ok(())
}

/// Where a queue of a length has room for one more of a priority: behind those of the same, for of equals the
/// oldest comes first. The same elements give the same place, however they are stored and whether they are in
/// order.
fn bisect(queue: Node<'_>, length: usize, priority: &[u8]) -> usize {
    let (mut low, mut high) = (0, length);
    while low < high {
        let middle = low.midpoint(high);
        let pair = queue.child(&Step::Index(middle as i64)).and_then(Node::pair);
        let order = pair.and_then(|(other, _)| json::order(&other.text(), priority));
        if order == Some(Ordering::Greater) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// The array at a path, which is a queue as far as its ends tell: to look at all of it would cost its size.
fn queue_at<'d>(document: &'d Document, path: &Path) -> Result<Node<'d>, Error> {
    let queue = array_at(document, path)?;
    let mut ends = [0, -1].into_iter().filter_map(|index| queue.child(&Step::Index(index)));
    match ends.find(|end| end.pair().is_none()) {
        None => Ok(queue),
        Some(odd) => Err(no_pair(odd, path)),
    }
}

fn no_pair(element: Node<'_>, path: &Path) -> Error {
    Error::bad_type(path, "an array of [priority, value]", element.kind())
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

pub(super) static UNPUSH: Command = Command {
    name: "UNPUSH",
    subcommand: None,
    summary: "Takes values out of a priority queue, wherever they are in it.",
    access: Access::Write,
    tells: true,
    groups: Groups::UPDATE.union(Groups::ERASE),
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH, Arg::new("json", Kind::Json).multiple(), REQUIRE, DEFAULT],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "how many were removed",
    run: |call| {
        let key = call.args.word()?;
        let path = call.args.path()?;
        let values = call.args.values(&UNPUSH, 0)?;
        call.end()?;
        let Terms { requirements, .. } = call.terms();
        let mut document = call.edit_indexed(key, &path, By::Paired)?;
        let sought: Normals<'_> = values.iter().map(|value| json::normal(value)).collect();
        let places = queue_at(&document, &path)?.places(By::Paired, &sought);
        let ranges = runs(places.iter().map(|(place, _)| *place));
        let removed = cut_all(&mut document, &path, &ranges, &requirements)?;
        let header = document.header();
        call.removed(key, removed, header);
        Ok(())
    },
};

pub(super) static POPMIN: Command = Command {
    name: "POPMIN",
    subcommand: None,
    summary: "Takes the first values out of a priority queue: those of the smallest priority, and of these the oldest.",
    access: Access::Write,
    tells: true,
    groups: Groups::READ.union(Groups::UPDATE).union(Groups::ERASE),
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH, Arg::new("count", Kind::Integer).optional(), REQUIRE, DEFAULT],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "[priority, value] as JSON text, nil from an empty queue; with a count an array of them",
    run: |call| {
        let key = call.args.word()?;
        let path = call.args.path()?;
        let count = count(call, &POPMIN)?;
        let bound = call.host.reply_bound();
        let Terms { requirements, .. } = call.terms();
        let mut document = call.edit(key)?;
        let queue = array_at(&document, &path)?;
        let items = first(queue, &path, count, bound)?;
        if !items.is_empty() {
            requirements.check_length(&path, queue, |length| length - items.len())?;
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
    tells: true,
    groups: Groups::READ,
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH, Arg::new("count", Kind::Integer).optional(), STRICT],
    norefresh: true,
    creates: false,
    ifversion: false,
    reply: "[priority, value] as JSON text, nil where there is none; with a count an array of them",
    run: |call| {
        let key = call.args.word()?;
        let path = call.args.path()?;
        let count = count(call, &PEEK)?;
        let bound = call.host.reply_bound();
        let mut items = Vec::new();
        if let Some(document) = found(call.host.read_below(key)?, call.terms.strict)?
            && document.root().find(path.steps())?.is_some()
        {
            items = first(array_at(document, &path)?, &path, count, bound)?;
            let header = document.header();
            call.touch(key, Effect::Read, header);
        }
        reply(call, count, &items);
        Ok(())
    },
};

/// How many values are asked for, where that is said.
fn count(call: &mut Call<'_>, command: &'static Command) -> Result<Option<usize>, Error> {
    let count = call.args.optional_integer(command, 0..=i64::MAX, "a count is a whole number, at least 0")?;
    call.end()?;
    Ok(count.map(|count| usize::try_from(count).unwrap_or(usize::MAX)))
}

/// The first elements, as many as there may be in a reply.
fn first(queue: Node<'_>, path: &Path, count: Option<usize>, bound: Bound) -> Result<Vec<Vec<u8>>, Error> {
    let mut bytes = 0;
    queue
        .elements()
        .take(count.unwrap_or(1))
        .map(|element| {
            bytes += element.len();
            bound.check(bytes)?;
            match element.pair() {
                Some(_) => Ok(element.text().into_owned()),
                None => Err(no_pair(element, path)),
            }
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
