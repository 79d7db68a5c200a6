//! Large objects.

use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;

use super::chunk::{Chunk, cut};
use super::index::Index;
use super::{Chunks, Container, Place, Size};
use crate::defrag::{Mover, Sweep};
use crate::path::Step;

/// No slot: the end of the list either way.
const NONE: u32 = u32::MAX;

/// The members of a large object: chunks in a list, and an index from a name's hash to its chunk.
///
/// Nothing asks for the n-th member, so the chunks need no tree; a slot's number never changes while its chunk
/// lives, so the index stays right whatever is inserted or removed around it.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    slots: Vec<Slot>,
    free: Vec<u32>,
    first: u32,
    last: u32,
    size: Size,
    index: Index,
    /// Keyed, so that nobody can choose names that collide.
    hasher: RandomState,
}

#[derive(Clone, Debug)]
struct Slot {
    chunk: Chunk,
    before: u32,
    after: u32,
}

impl Object {
    pub(super) fn new(chunks: Vec<Chunk>) -> Self {
        let size: Size = chunks.iter().map(Chunk::size).sum();
        let mut object = Self {
            slots: Vec::with_capacity(chunks.len()),
            free: Vec::new(),
            first: NONE,
            last: NONE,
            size: Size::default(),
            index: Index::with_capacity(size.items),
            hasher: RandomState::new(),
        };
        object.extend(chunks);
        object
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    pub(super) fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        let slot = |at: u32| self.slots.get(at as usize);
        std::iter::successors(slot(self.first), move |before| slot(before.after)).map(|slot| &slot.chunk)
    }

    pub(super) fn last_chunk(&self) -> Option<&Chunk> {
        self.slots.get(self.last as usize).map(|slot| &slot.chunk)
    }

    /// Where the member of a name, quoted, is.
    pub(super) fn find_name(&self, name: &[u8]) -> Option<Place<u32>> {
        let mut slots = self.index.slots(hash(&self.hasher, name));
        slots.find_map(|at| Some(Place { at, value: self.chunk(at).member(name)? }))
    }

    /// Adds members, with commas between them, at the end.
    pub(super) fn append(&mut self, list: &[u8]) {
        let added = cut(list, true);
        if let [only] = added.as_slice()
            && self.last != NONE
            && self.change(self.last, |chunk| chunk.absorb(only))
        {
            for name in only.names() {
                self.index.insert(hash(&self.hasher, name), self.last);
            }
        } else {
            self.extend(added);
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + self.free.capacity() * size_of::<u32>()
            + self.index.memory()
            + self.chunks().map(Chunk::memory).sum::<usize>()
    }

    pub(super) fn defragment<M: Mover>(&mut self, sweep: &mut Sweep<'_, M>) -> ControlFlow<()> {
        sweep.part(|mover| mover.vec(&mut self.slots))?;
        sweep.part(|mover| mover.vec(&mut self.free))?;
        self.index.defragment(sweep)?;
        for slot in &mut self.slots {
            slot.chunk.defragment(sweep)?;
        }
        ControlFlow::Continue(())
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        assert_eq!(self.size, self.chunks().map(Chunk::size).sum());
        let (mut before, mut at, mut used) = (NONE, self.first, 0);
        while let Some(slot) = self.slots.get(at as usize) {
            assert_eq!(slot.before, before);
            slot.chunk.check(true);
            for name in slot.chunk.names() {
                let slots = self.index.slots(hash(&self.hasher, name));
                assert_eq!(slots.filter(|slot| *slot == at).count(), 1, "a name is in the index once");
            }
            (before, at, used) = (at, slot.after, used + 1);
        }
        assert_eq!(self.last, before);
        assert_eq!(self.slots.len(), used + self.free.len());
        assert_eq!(self.index.len(), self.size.items);
    }

    /// Adds chunks of new members at the end.
    fn extend(&mut self, chunks: Vec<Chunk>) {
        for chunk in chunks {
            let at = self.link(self.last, chunk);
            for name in self.slots[at as usize].chunk.names() {
                self.index.insert(hash(&self.hasher, name), at);
            }
        }
    }

    /// Corrects the index: the members of the chunk at `slot` were at `from` and are at `to` now.
    fn move_names(&mut self, slot: u32, from: u32, to: u32) {
        for name in self.slots[slot as usize].chunk.names() {
            self.index.move_to(hash(&self.hasher, name), from, to);
        }
    }

    /// Puts a chunk after another one: its slot.
    fn link(&mut self, before: u32, chunk: Chunk) -> u32 {
        self.size.replace(Size::default(), chunk.size());
        let after = match self.slots.get(before as usize) {
            Some(slot) => slot.after,
            None => self.first,
        };
        let slot = Slot { chunk, before, after };
        let at = if let Some(at) = self.free.pop() {
            self.slots[at as usize] = slot;
            at
        } else {
            self.slots.push(slot);
            self.slots.len() as u32 - 1
        };
        self.join_links(before, at);
        self.join_links(at, after);
        at
    }

    /// Makes two slots neighbours.
    fn join_links(&mut self, before: u32, after: u32) {
        match self.slots.get_mut(before as usize) {
            Some(slot) => slot.after = after,
            None => self.first = after,
        }
        match self.slots.get_mut(after as usize) {
            Some(slot) => slot.before = before,
            None => self.last = before,
        }
    }
}

fn hash(hasher: &RandomState, name: &[u8]) -> u32 {
    hasher.hash_one(name) as u32
}

impl Chunks for Object {
    type At = u32;
    const NAMED: bool = true;

    fn find(&self, step: &Step) -> Option<Place<u32>> {
        match step {
            Step::Name(name) => self.find_name(name),
            Step::Index(_) | Step::Filter(_) => None,
        }
    }

    fn chunk(&self, at: u32) -> &Chunk {
        &self.slots[at as usize].chunk
    }

    fn change<T>(&mut self, at: u32, change: impl FnOnce(&mut Chunk) -> T) -> T {
        let chunk = &mut self.slots[at as usize].chunk;
        let before = chunk.size();
        let result = change(chunk);
        self.size.replace(before, chunk.size());
        result
    }

    fn replace(&mut self, at: u32, with: Vec<Chunk>) -> u32 {
        let mut with = with.into_iter();
        if let Some(first) = with.next() {
            self.change(at, |chunk| *chunk = first);
        }
        let mut last = at;
        for chunk in with {
            last = self.link(last, chunk);
            self.move_names(last, at, last);
        }
        at
    }

    fn nested(&mut self, at: u32) -> Option<&mut Container> {
        self.slots[at as usize].chunk.nested_mut()
    }

    fn take(&mut self, at: u32) -> Chunk {
        let slot = &mut self.slots[at as usize];
        let (before, after) = (slot.before, slot.after);
        let chunk = std::mem::take(&mut slot.chunk);
        self.size.replace(chunk.size(), Size::default());
        self.join_links(before, after);
        self.free.push(at);
        chunk
    }

    fn pairs(&self, at: u32) -> [Option<(u32, u32)>; 2] {
        let Slot { before, after, .. } = self.slots[at as usize];
        [(after != NONE).then_some((at, after)), (before != NONE).then_some((before, at))]
    }

    fn moved(&mut self, to: u32, from: u32) {
        self.move_names(from, from, to);
    }

    fn forget(&mut self, step: &Step, at: u32) {
        if let Step::Name(name) = step {
            self.index.remove(hash(&self.hasher, name), at);
        }
    }
}
