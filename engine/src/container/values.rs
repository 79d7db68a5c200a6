//! Where the elements of a large array are, by their values.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;

use super::chunk::Chunk;
use super::index::Index;
use crate::defrag::{Mover, Sweep};
use crate::node::{By, Node};

/// An index from the hashes of elements to the ids of their chunks, and from these to the groups they are in.
///
/// An array enters its groups one after the other, so that no command pays for the whole of it: a group without a
/// number is not in here.
#[derive(Clone, Debug)]
pub(super) struct Values {
    pub(super) by: By,
    index: Index,
    /// Keyed, so that nobody can choose values that collide.
    hasher: RandomState,
    /// The group's number, by the chunk's id.
    homes: Vec<u32>,
    free: Vec<u32>,
    /// The last number that a group was given.
    groups: u32,
}

impl Values {
    pub(super) fn new(by: By) -> Self {
        let (homes, free) = (Vec::new(), Vec::new());
        Self { by, index: Index::with_capacity(0), hasher: RandomState::new(), homes, free, groups: 0 }
    }

    /// A number for one more group.
    pub(super) fn number(&mut self) -> u32 {
        self.groups += 1;
        self.groups
    }

    /// The chunks that may hold an element of this normal text: the numbers of their groups, and their ids.
    pub(super) fn chunks(&self, normal: &[u8]) -> impl Iterator<Item = (u32, u32)> {
        self.index.slots(self.hasher.hash_one(normal) as u32).map(|id| (self.homes[id as usize], id))
    }

    /// Takes a chunk in.
    pub(super) fn enter(&mut self, chunk: &mut Chunk, group: u32) {
        chunk.id = self.free.pop().unwrap_or_else(|| {
            self.homes.push(group);
            self.homes.len() as u32 - 1
        });
        self.settle(chunk, group);
        self.add(chunk.elements(), chunk.id);
    }

    /// Says which group a chunk is in.
    pub(super) fn settle(&mut self, chunk: &Chunk, group: u32) {
        self.homes[chunk.id as usize] = group;
    }

    pub(super) fn leave(&mut self, chunk: &Chunk) {
        self.remove(chunk.elements(), chunk.id);
        self.free.push(chunk.id);
    }

    pub(super) fn add<'n>(&mut self, elements: impl Iterator<Item = Node<'n>>, chunk: u32) {
        for element in elements {
            if let Some(hash) = self.hash(element) {
                self.index.insert(hash, chunk);
            }
        }
    }

    pub(super) fn remove<'n>(&mut self, elements: impl Iterator<Item = Node<'n>>, chunk: u32) {
        for element in elements {
            if let Some(hash) = self.hash(element) {
                self.index.remove(hash, chunk);
            }
        }
    }

    fn hash(&self, element: Node<'_>) -> Option<u32> {
        let normal: Cow<'_, [u8]> = self.by.normal(element)?;
        Some(self.hasher.hash_one(&*normal) as u32)
    }

    pub(super) fn memory(&self) -> usize {
        size_of::<Self>()
            + self.index.memory()
            + (self.homes.capacity() + self.free.capacity()) * size_of::<u32>()
    }

    pub(super) fn defragment<M: Mover>(&mut self, sweep: &mut Sweep<'_, M>) -> ControlFlow<()> {
        self.index.defragment(sweep)?;
        sweep.part(|mover| mover.vec(&mut self.homes))?;
        sweep.part(|mover| mover.vec(&mut self.free))
    }

    /// Fails unless it holds just the elements of these chunks, which are in groups of these numbers.
    #[cfg(test)]
    pub(super) fn check<'c>(&self, chunks: impl Iterator<Item = (&'c Chunk, u32)>) {
        let (mut entries, mut ids) = (0, std::collections::HashSet::new());
        for (chunk, group) in chunks {
            assert!(ids.insert(chunk.id) && !self.free.contains(&chunk.id));
            assert_eq!(self.homes[chunk.id as usize], group);
            for hash in chunk.elements().filter_map(|element| self.hash(element)) {
                assert!(self.index.slots(hash).any(|id| id == chunk.id));
                entries += 1;
            }
        }
        assert_eq!(self.index.len(), entries);
        assert_eq!(self.homes.len(), ids.len() + self.free.len());
    }
}
