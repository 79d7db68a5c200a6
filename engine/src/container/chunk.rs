//! Chunks, and how text is cut into them.

use std::iter::Peekable;
use std::ops::{ControlFlow, Range};
use std::vec;

use memchr::memmem::Finder;

use super::{Container, Look, Outcome, Size};
use crate::Error;
use crate::defrag::{Mover, Sweep};
use crate::json::{self, Elements, Members};
use crate::limits::Bound;
use crate::node::Node;
use crate::path::Step;

/// A container whose text is longer than this is kept in chunks. Tests make do with a few dozen bytes.
pub(crate) const LARGE: usize = if cfg!(test) { 128 } else { 4 << 10 };

/// How long a chunk's text may become, unless it is one item. An edit copies one chunk and a search for an item
/// walks through half of one; each costs an allocation and its place in the list.
pub(super) const CHUNK: usize = if cfg!(test) { 64 } else { 1 << 10 };

/// Some consecutive items of a large container.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    items: u32,
    /// What an index of the elements' values knows it by, where there is one.
    pub(super) id: u32,
    body: Body,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    /// Items, each followed by a comma.
    Text(Box<[u8]>),
    /// One item that is a large container itself.
    Large(Box<Nested>),
}

impl Default for Body {
    fn default() -> Self {
        Self::Text(Box::default())
    }
}

/// A large container in another one.
#[derive(Clone, Debug)]
pub(super) struct Nested {
    /// The member's name with its colon; empty in an array.
    name: Box<[u8]>,
    pub(super) value: Container,
}

impl Nested {
    /// What stands before the value.
    pub(super) fn prefix(&self) -> &[u8] {
        &self.name
    }

    /// The name, quoted, of a member.
    pub(super) fn name(&self) -> &[u8] {
        &self.name[..self.name.len() - 1]
    }
}

impl Chunk {
    pub(super) fn of_text(text: Vec<u8>, items: usize) -> Self {
        Self { items: items as u32, id: 0, body: Body::Text(text.into_boxed_slice()) }
    }

    /// Changes the items there are, and how many.
    pub(super) fn set_items(&mut self, text: Vec<u8>, items: usize) {
        self.items = items as u32;
        self.set_text(text);
    }

    /// Changes the text of the items there are.
    pub(super) fn set_text(&mut self, text: Vec<u8>) {
        self.body = Body::Text(text.into_boxed_slice());
    }

    pub(super) fn body(&self) -> &Body {
        &self.body
    }

    pub(super) fn size(&self) -> Size {
        let weight = match &self.body {
            Body::Text(text) => text.len(),
            Body::Large(nested) => nested.name.len() + nested.value.len() + 1,
        };
        Size { items: self.items as usize, weight }
    }

    /// The items without the comma after the last one; nothing for a large one.
    pub(super) fn list(&self) -> &[u8] {
        match &self.body {
            Body::Text(text) => text.split_last().map_or(&[], |(_, list)| list),
            Body::Large(_) => &[],
        }
    }

    /// The names, quoted, of the members.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        let large = match &self.body {
            Body::Text(_) => None,
            Body::Large(nested) => Some(nested.name()),
        };
        let list = self.list();
        Members::of_list(list).map(|member| &list[member.name]).chain(large)
    }

    /// The members: their names, quoted, and values.
    pub(super) fn members(&self) -> impl Iterator<Item = (&[u8], Node<'_>)> {
        let large = match &self.body {
            Body::Text(_) => None,
            Body::Large(nested) => Some((nested.name(), Node::Large(&nested.value))),
        };
        let list = self.list();
        let members = Members::of_list(list);
        members.map(|member| (&list[member.name], Node::Text(&list[member.value]))).chain(large)
    }

    /// The elements.
    pub(super) fn elements(&self) -> impl Iterator<Item = Node<'_>> {
        let large = match &self.body {
            Body::Text(_) => None,
            Body::Large(nested) => Some(Node::Large(&nested.value)),
        };
        let list = self.list();
        Elements::of_list(list).map(|element| Node::Text(&list[element])).chain(large)
    }

    /// Whether a text can be in it.
    pub(super) fn may_hold(&self, text: &Finder<'_>) -> bool {
        match &self.body {
            Body::Text(items) => text.find(items).is_some(),
            Body::Large(_) => true,
        }
    }

    pub(super) fn write(&self, text: &mut Vec<u8>) {
        match &self.body {
            Body::Text(items) => text.extend_from_slice(items),
            Body::Large(nested) => {
                text.extend_from_slice(&nested.name);
                nested.value.write(text);
                text.push(b',');
            }
        }
    }

    /// The span of the value of the element at an index, where this is text; an empty one for a large element.
    pub(super) fn element(&self, index: usize) -> Option<Range<usize>> {
        match &self.body {
            Body::Text(_) => self.span(Elements::of_list(self.list()).seek(index as i64)?),
            Body::Large(_) => (index == 0).then_some(0..0),
        }
    }

    /// The span of a member's value, where this is text; an empty one for a large value.
    pub(super) fn member(&self, name: &[u8]) -> Option<Range<usize>> {
        match &self.body {
            Body::Text(_) => self.span(Members::of_list(self.list()).seek(name)?),
            Body::Large(nested) => (nested.name() == name).then_some(0..0),
        }
    }

    fn span(&self, start: usize) -> Option<Range<usize>> {
        // A chunk is long only where it is one item.
        let end = if self.items == 1 { self.list().len() } else { json::skip(self.list(), start) };
        Some(start..end)
    }

    pub(super) fn last_member(&self) -> Option<(&[u8], Node<'_>)> {
        match &self.body {
            Body::Text(_) => {
                let list = self.list();
                let member = Members::of_list(list).last()?;
                Some((&list[member.name], Node::Text(&list[member.value])))
            }
            Body::Large(nested) => Some((nested.name(), Node::Large(&nested.value))),
        }
    }

    /// The one large item.
    pub(super) fn nested_mut(&mut self) -> Option<&mut Container> {
        match &mut self.body {
            Body::Text(_) => None,
            Body::Large(nested) => Some(&mut nested.value),
        }
    }

    /// Edits inside the one large item.
    pub(super) fn edit_nested<'e>(
        &mut self,
        steps: &[Step],
        room: Bound,
        look: &mut Look<'_, 'e>,
    ) -> Result<Outcome<'e>, Error> {
        match self.nested_mut() {
            None => Ok(Outcome::Missing),
            Some(value) => value.edit(steps, room, look),
        }
    }

    /// The chunks that should be in the place of this one, if it became too long or too short for what it is.
    pub(super) fn recut(&self, named: bool) -> Option<Vec<Chunk>> {
        match &self.body {
            Body::Text(text) if text.len() > CHUNK && (self.items > 1 || self.is_container(named)) => {
                Some(cut(self.list(), named))
            }
            Body::Large(nested) if nested.value.is_small() => {
                let mut text = Vec::with_capacity(self.size().weight);
                self.write(&mut text);
                Some(vec![Self::of_text(text, 1)])
            }
            _ => None,
        }
    }

    /// Whether the first item is an array or an object.
    fn is_container(&self, named: bool) -> bool {
        let list = self.list();
        let value = if named { json::skip(list, 0) + 1 } else { 0 };
        matches!(list.get(value), Some(b'[' | b'{'))
    }

    /// This and the chunk after it as one, if together they are short enough to make room for more.
    pub(super) fn joined(&self, next: &Self) -> Option<Self> {
        match (&self.body, &next.body) {
            (Body::Text(left), Body::Text(right)) if left.len() + right.len() <= CHUNK / 2 => Some(Self {
                items: self.items + next.items,
                id: 0,
                body: Body::Text([&**left, &**right].concat().into_boxed_slice()),
            }),
            _ => None,
        }
    }

    /// Adds what a fresh chunk holds, if both are text and it fits.
    pub(super) fn absorb(&mut self, next: &Self) -> bool {
        let (Body::Text(left), Body::Text(right)) = (&mut self.body, &next.body) else {
            return false;
        };
        let fits = left.len() + right.len() <= CHUNK;
        if fits {
            let mut text = std::mem::take(left).into_vec();
            text.reserve_exact(right.len());
            text.extend_from_slice(right);
            *left = text.into_boxed_slice();
            self.items += next.items;
        }
        fits
    }

    pub(super) fn defragment<M: Mover>(&mut self, sweep: &mut Sweep<'_, M>) -> ControlFlow<()> {
        match &mut self.body {
            Body::Text(text) => sweep.part(|mover| mover.bytes(text)),
            Body::Large(nested) => {
                sweep.part(|mover| mover.boxed(nested))?;
                sweep.part(|mover| mover.bytes(&mut nested.name))?;
                nested.value.defragment(sweep)
            }
        }
    }

    #[cfg(test)]
    pub(super) fn check(&self, named: bool) {
        match &self.body {
            Body::Text(text) => {
                assert!(self.items > 0 && text.ends_with(b","));
                let list = self.list();
                let value = if named { json::skip(list, 0) + 1 } else { 0 };
                let is_small = !self.is_container(named) || json::skip(list, value) - value <= LARGE;
                assert!(text.len() <= CHUNK || self.items == 1 && is_small);
                let items =
                    if named { Members::of_list(list).count() } else { Elements::of_list(list).count() };
                assert_eq!(self.items as usize, items);
            }
            Body::Large(nested) => {
                assert_eq!((self.items, nested.name.ends_with(b":")), (1, named));
                assert!(!nested.value.is_small());
                nested.value.check();
            }
        }
    }

    /// What it weighs in memory, itself not included.
    pub(super) fn memory(&self) -> usize {
        match &self.body {
            Body::Text(text) => text.len(),
            Body::Large(nested) => size_of::<Nested>() + nested.name.len() + nested.value.memory(),
        }
    }
}

/// Cuts items with commas between them into chunks.
pub(super) fn cut(list: &[u8], named: bool) -> Vec<Chunk> {
    Cutter::new(list).list(0..list.len(), named)
}

/// Cuts one text. Each byte is looked at twice, however deep it lies: to find the large containers, and as part
/// of a small item.
pub(super) struct Cutter<'a> {
    text: &'a [u8],
    large: Peekable<vec::IntoIter<Range<usize>>>,
}

impl<'a> Cutter<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, large: json::containers_over(text, LARGE).into_iter().peekable() }
    }

    /// The container at `span`.
    pub(super) fn container(&mut self, span: Range<usize>) -> Container {
        self.large.next_if(|large| large.start == span.start);
        let kind = self.text[span.start];
        Container::of(kind, self.list(span.start + 1..span.end - 1, kind == b'{'))
    }

    /// The items in `span`.
    fn list(&mut self, span: Range<usize>, named: bool) -> Vec<Chunk> {
        let even = span.len() / span.len().div_ceil(CHUNK).max(1);
        let mut chunks = Vec::new();
        // The items that are to become the next chunk.
        let mut open = span.start..span.start;
        let mut items = 0;
        let mut at = span.start;
        while at < span.end {
            let value = if named { json::skip(self.text, at) + 1 } else { at };
            let large = self.large.peek().filter(|large| large.start == value).cloned();
            let end = large.as_ref().map_or_else(|| json::skip(self.text, value), |large| large.end);
            if items > 0 && (large.is_some() || open.len() >= even || end - open.start >= CHUNK) {
                chunks.push(self.chunk(open.clone(), items));
                items = 0;
            }
            if let Some(large) = large {
                let nested = Nested { name: self.text[at..value].into(), value: self.container(large) };
                chunks.push(Chunk { items: 1, id: 0, body: Body::Large(Box::new(nested)) });
            } else {
                open = if items == 0 { at } else { open.start }..end;
                items += 1;
            }
            at = end + 1;
        }
        if items > 0 {
            chunks.push(self.chunk(open, items));
        }
        chunks
    }

    fn chunk(&self, items: Range<usize>, count: usize) -> Chunk {
        let mut text = Vec::with_capacity(items.len() + 1);
        text.extend_from_slice(&self.text[items]);
        text.push(b',');
        Chunk::of_text(text, count)
    }
}
