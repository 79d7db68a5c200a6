//! Containers too large to be edited as one text: arrays and objects cut into chunks.
//!
//! A chunk holds some of the items as text, each followed by a comma, or one item that is a large container
//! itself. So every small value is contiguous, text finds its way by the same rules in a chunk as in a small
//! document, and an edit rewrites one chunk. An [`Array`] counts elements over groups of chunks to find an index,
//! and finds a value's chunk by the value's hash where it is a set or a queue; an [`Object`] finds a member's chunk
//! by the hash of its name.

mod array;
mod chunk;
mod index;
mod object;
#[cfg(test)]
mod tests;
mod values;

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::{ControlFlow, Range};

pub(crate) use chunk::LARGE;

use array::Array;
use chunk::{Body, Chunk, Cutter, cut};
use object::Object;

use crate::Error;
use crate::defrag::{Mover, Sweep};
use crate::json::{self, Kind, Sought};
use crate::limits::Bound;
use crate::node::{By, Edit, Items, Node, Normals, Splice, item, separated};
use crate::path::{Step, locate};

/// A large array or object.
#[derive(Clone, Debug)]
pub(crate) enum Container {
    Array(Array),
    Object(Object),
}

/// What became of an edit.
pub(crate) enum Outcome<'e> {
    /// Nothing is where it was to happen.
    Missing,
    /// It was not wanted, once the value was seen.
    Declined,
    Done,
    /// It replaces or removes the value as a whole: a matter of whoever holds it.
    Above(Edit<'e>),
}

/// Sees the value to edit and says how.
pub(crate) type Look<'l, 'e> = dyn FnMut(Node<'_>) -> Result<Option<Edit<'e>>, Error> + 'l;

/// How many items there are, and what they weigh as text, each with a comma after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    items: usize,
    weight: usize,
}

impl Size {
    fn replace(&mut self, before: Self, after: Self) {
        self.items = self.items - before.items + after.items;
        self.weight = self.weight - before.weight + after.weight;
    }
}

impl std::iter::Sum for Size {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::default(), |sum, size| Self {
            items: sum.items + size.items,
            weight: sum.weight + size.weight,
        })
    }
}

/// Where an item is: its chunk and, where that is of text, the span of its value there.
struct Place<At> {
    at: At,
    value: Range<usize>,
}

/// Chunks in order, and a way to find an item.
trait Chunks {
    /// Stays valid until chunks come or go.
    type At: Copy;
    const NAMED: bool;

    fn find(&self, step: &Step) -> Option<Place<Self::At>>;

    fn chunk(&self, at: Self::At) -> &Chunk;

    /// Changes one chunk and the totals with it.
    fn change<T>(&mut self, at: Self::At, change: impl FnOnce(&mut Chunk) -> T) -> T;

    /// Puts chunks where one was that held all or some of their items: where the first of them is.
    fn replace(&mut self, at: Self::At, with: Vec<Chunk>) -> Self::At;

    /// The large container that a chunk is, to ready it: its text stays.
    fn nested(&mut self, at: Self::At) -> Option<&mut Container>;

    /// Takes a chunk out.
    fn take(&mut self, at: Self::At) -> Chunk;

    /// The chunk with the next one, and the one before with the chunk, where there are such neighbours.
    fn pairs(&self, at: Self::At) -> [Option<(Self::At, Self::At)>; 2];

    /// Says that the items of the second chunk are in the first one now.
    fn moved(&mut self, _to: Self::At, _from: Self::At) {}

    /// Says that an item is about to go.
    fn forget(&mut self, _step: &Step, _at: Self::At) {}
}

impl Container {
    /// `text` as a large container, if that is what it is.
    pub(crate) fn new(text: &[u8]) -> Option<Self> {
        let large = text.len() > LARGE && Self::is_one(text);
        large.then(|| Cutter::new(text).container(0..text.len()))
    }

    /// Whether a text is an array or an object.
    pub(crate) fn is_one(text: &[u8]) -> bool {
        matches!(json::kind(text), Kind::Array | Kind::Object)
    }

    fn of(kind: u8, chunks: Vec<Chunk>) -> Self {
        if kind == b'[' { Self::Array(Array::new(chunks)) } else { Self::Object(Object::new(chunks)) }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Array(_) => Kind::Array,
            Self::Object(_) => Kind::Object,
        }
    }

    fn size(&self) -> Size {
        match self {
            Self::Array(array) => array.size(),
            Self::Object(object) => object.size(),
        }
    }

    pub(crate) fn items(&self) -> usize {
        self.size().items
    }

    /// The length of the text.
    pub(crate) fn len(&self) -> usize {
        // One bracket stands where the last comma is.
        (self.size().weight + 1).max(2)
    }

    /// Too small to be worth its chunks. Well below the size that made it large, so that a value in between
    /// does not go back and forth.
    pub(crate) fn is_small(&self) -> bool {
        self.len() < LARGE / 4
    }

    pub(crate) fn text(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.len());
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut Vec<u8>) {
        let [open, close] = match self {
            Self::Array(_) => *b"[]",
            Self::Object(_) => *b"{}",
        };
        text.push(open);
        match self {
            Self::Array(array) => array.chunks().for_each(|chunk| chunk.write(text)),
            Self::Object(object) => object.chunks().for_each(|chunk| chunk.write(text)),
        }
        if self.items() > 0 {
            text.pop();
        }
        text.push(close);
    }

    pub(crate) fn child(&self, step: &Step) -> Option<Node<'_>> {
        match self {
            Self::Array(array) => child(array, step),
            Self::Object(object) => child(object, step),
        }
    }

    pub(crate) fn last_member(&self) -> Option<(&[u8], Node<'_>)> {
        match self {
            Self::Array(_) => None,
            Self::Object(object) => object.last_chunk()?.last_member(),
        }
    }

    pub(crate) fn elements(&self) -> Items<'_, Node<'_>> {
        match self {
            Self::Array(array) => Box::new(array.chunks().flat_map(Chunk::elements)),
            Self::Object(_) => Box::new(std::iter::empty()),
        }
    }

    /// Whether it is equal to a value. Looks no further than to the first difference, and so at little more than the
    /// value has.
    pub(crate) fn is(&self, value: &[u8]) -> bool {
        match (self, json::kind(value)) {
            (Self::Array(array), Kind::Array) => {
                array.size().items == json::elements(value, 0).count()
                    && self
                        .elements()
                        .zip(json::elements(value, 0))
                        .all(|(element, other)| element.is(&Sought::new(&value[other])))
            }
            (Self::Object(object), Kind::Object) => {
                object.size().items == json::members(value, 0).count()
                    && json::members(value, 0).all(|member| {
                        let found = child(object, &Step::Name(value[member.name].into()));
                        found.is_some_and(|found| found.is(&Sought::new(&value[member.value])))
                    })
            }
            _ => false,
        }
    }

    /// Which of these normal texts elements have.
    pub(crate) fn held<'s>(&self, by: By, sought: &'s Normals<'_>) -> HashSet<&'s [u8]> {
        match self {
            Self::Array(array) => array.held(by, sought),
            Self::Object(_) => HashSet::new(),
        }
    }

    /// The elements of these normal texts, with their places, in order.
    pub(crate) fn places(&self, by: By, sought: &Normals<'_>) -> Vec<(usize, Cow<'_, [u8]>)> {
        match self {
            Self::Array(array) => array.places(by, sought),
            Self::Object(_) => Vec::new(),
        }
    }

    /// Whether [`Self::index`] has something to do.
    pub(crate) fn is_unindexed(&self, by: By) -> bool {
        matches!(self, Self::Array(array) if array.is_unindexed(by))
    }

    /// Readies the array that `steps` lead to, if that is what it is, for look-ups of its elements.
    pub(crate) fn index(&mut self, steps: &[Step], by: By, many: bool) {
        match (steps.split_first(), self) {
            (None, Self::Array(array)) => array.index(by, many),
            (Some((step, below)), Self::Array(array)) => index_below(array, step, below, by, many),
            (Some((step, below)), Self::Object(object)) => index_below(object, step, below, by, many),
            (None, Self::Object(_)) => {}
        }
    }

    pub(crate) fn names(&self) -> Items<'_, &[u8]> {
        match self {
            Self::Array(_) => Box::new(std::iter::empty()),
            Self::Object(object) => Box::new(object.chunks().flat_map(Chunk::names)),
        }
    }

    pub(crate) fn members(&self) -> Items<'_, (&[u8], Node<'_>)> {
        match self {
            Self::Array(_) => Box::new(std::iter::empty()),
            Self::Object(object) => Box::new(object.chunks().flat_map(Chunk::members)),
        }
    }

    /// What it weighs in memory, itself not included.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Array(array) => array.memory(),
            Self::Object(object) => object.memory(),
        }
    }

    pub(crate) fn defragment<M: Mover>(&mut self, sweep: &mut Sweep<'_, M>) -> ControlFlow<()> {
        match self {
            Self::Array(array) => array.defragment(sweep),
            Self::Object(object) => object.defragment(sweep),
        }
    }

    /// Fails where the parts and the totals do not agree.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        match self {
            Self::Array(array) => array.check(),
            Self::Object(object) => object.check(),
        }
    }

    /// About how many allocations freeing it takes.
    pub(crate) fn free_effort(&self) -> usize {
        self.len() / chunk::CHUNK + 1
    }

    /// Edits the value that `steps` lead to as `look` says. It may grow by `room` bytes. On an error nothing
    /// changed.
    pub(crate) fn edit<'e>(
        &mut self,
        steps: &[Step],
        room: Bound,
        look: &mut Look<'_, 'e>,
    ) -> Result<Outcome<'e>, Error> {
        if let Some((step, below)) = steps.split_first() {
            return match self {
                Self::Array(array) => edit_below(array, step, below, room, look),
                Self::Object(object) => edit_below(object, step, below, room, look),
            };
        }
        let Some(edit) = look(Node::Large(self))? else {
            return Ok(Outcome::Declined);
        };
        match (self, edit) {
            (Self::Object(object), Edit::Put { name, value }) => put(object, name, value, room)?,
            (Self::Array(array), Edit::Insert { at, values }) => {
                let list = separated(b"", values).collect::<Vec<_>>().concat();
                fits(room, 0, list.len() + 1)?;
                array.insert(at, &list);
            }
            (Self::Array(array), Edit::Shift { first, values }) => {
                let list = separated(b"", values).collect::<Vec<_>>().concat();
                fits(room, 0, list.len() + 1)?;
                array.insert(None, &list);
                array.cut(0..first);
            }
            (Self::Array(array), Edit::Cut(range)) => array.cut(range),
            (Self::Array(array), Edit::CutAll(ranges)) => array.cut_all(ranges),
            (Self::Array(_), Edit::Put { .. })
            | (Self::Object(_), Edit::Insert { .. } | Edit::Shift { .. } | Edit::Cut(_) | Edit::CutAll(_)) => {
                return Ok(Outcome::Declined);
            }
            (_, edit @ (Edit::Set(_) | Edit::Remove)) => return Ok(Outcome::Above(edit)),
        }
        Ok(Outcome::Done)
    }
}

/// Refuses to put more bytes in the place of others than there is room for.
pub(crate) fn fits(room: Bound, removed: usize, added: usize) -> Result<(), Error> {
    room.plus(removed).check(added)
}

fn child<'a, C: Chunks>(chunks: &'a C, step: &Step) -> Option<Node<'a>> {
    let Place { at, value } = chunks.find(step)?;
    Some(match chunks.chunk(at).body() {
        Body::Text(text) => Node::Text(&text[value]),
        Body::Large(nested) => Node::Large(&nested.value),
    })
}

fn index_below<C: Chunks>(chunks: &mut C, step: &Step, below: &[Step], by: By, many: bool) {
    if let Some(place) = chunks.find(step)
        && let Some(container) = chunks.nested(place.at)
    {
        container.index(below, by, many);
    }
}

fn edit_below<'e, C: Chunks>(
    chunks: &mut C,
    step: &Step,
    below: &[Step],
    room: Bound,
    look: &mut Look<'_, 'e>,
) -> Result<Outcome<'e>, Error> {
    let Some(place) = chunks.find(step) else {
        return Ok(Outcome::Missing);
    };
    let edit = if let Body::Text(text) = chunks.chunk(place.at).body() {
        let Some(span) = locate(below, text, place.value.clone()) else {
            return Ok(Outcome::Missing);
        };
        let Some(edit) = look(Node::Text(&text[span.clone()]))? else {
            return Ok(Outcome::Declined);
        };
        if let (Edit::Remove, []) = (&edit, below) {
            edit
        } else {
            let splice = edit.splice(text, span, below.last());
            fits(room, splice.removed(), splice.added())?;
            let text = splice.apply(text);
            chunks.change(place.at, |chunk| chunk.set_text(text));
            settle(chunks, place.at);
            return Ok(Outcome::Done);
        }
    } else {
        match chunks.change(place.at, |chunk| chunk.edit_nested(below, room, look))? {
            Outcome::Above(edit) => edit,
            Outcome::Done => {
                settle(chunks, place.at);
                return Ok(Outcome::Done);
            }
            outcome => return Ok(outcome),
        }
    };
    match edit {
        Edit::Set(value) => set(chunks, place, &value, room)?,
        _ => remove(chunks, place, step),
    }
    Ok(Outcome::Done)
}

/// Gives an item another value.
fn set<C: Chunks>(chunks: &mut C, place: Place<C::At>, value: &[u8], room: Bound) -> Result<(), Error> {
    let Place { at, value: span } = place;
    let at = match chunks.chunk(at).body() {
        Body::Text(text) => {
            fits(room, span.len(), value.len())?;
            let text = Splice::new(span, [value]).apply(text);
            chunks.change(at, |chunk| chunk.set_text(text));
            at
        }
        Body::Large(nested) => {
            fits(room, nested.value.len(), value.len())?;
            let item = [nested.prefix(), value].concat();
            chunks.replace(at, cut(&item, C::NAMED))
        }
    };
    settle(chunks, at);
    Ok(())
}

/// Gives a member a value; one that is missing is added at the end.
fn put(object: &mut Object, name: &[u8], value: &[u8], room: Bound) -> Result<(), Error> {
    if let Some(place) = object.find_name(name) {
        return set(object, place, value, room);
    }
    let member = [name, b":", value].concat();
    fits(room, 0, member.len() + 1)?;
    object.append(&member);
    Ok(())
}

/// Removes the item that `step` leads to.
fn remove<C: Chunks>(chunks: &mut C, place: Place<C::At>, step: &Step) {
    let Place { at, value } = place;
    chunks.forget(step, at);
    let chunk = chunks.chunk(at);
    let items = chunk.size().items - 1;
    match chunk.body() {
        Body::Text(text) if items > 0 => {
            let item = item(value, step);
            let text = Splice::new(item.start..item.end + 1, []).apply(text);
            chunks.change(at, |chunk| *chunk = Chunk::of_text(text, items));
            settle(chunks, at);
        }
        _ => {
            chunks.take(at);
        }
    }
}

/// After an edit of a chunk: cuts it if it grew too long, joins it with a neighbour if it shrank.
fn settle<C: Chunks>(chunks: &mut C, at: C::At) {
    let at = match chunks.chunk(at).recut(C::NAMED) {
        Some(recut) => chunks.replace(at, recut),
        None => at,
    };
    let pairs = chunks.pairs(at).into_iter().flatten();
    for (left, right) in pairs {
        if let Some(joined) = chunks.chunk(left).joined(chunks.chunk(right)) {
            chunks.moved(left, right);
            chunks.take(right);
            chunks.change(left, |chunk| *chunk = joined);
            return;
        }
    }
}
