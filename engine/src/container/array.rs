//! Large arrays.

use std::ops::{ControlFlow, Range};

use super::chunk::{Body, Chunk, cut};
use super::{Chunks, Place, Size, settle};
use crate::defrag::{Mover, Sweep};
use crate::json::Elements;
use crate::node::Splice;
use crate::path::Step;

/// How many chunks are counted together. An index is found in a walk over groups, then over one group's chunks:
/// both stay short up to the largest document.
const GROUP: usize = if cfg!(test) { 4 } else { 128 };

/// The elements of a large array: chunks in groups that know how many elements they hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Array {
    groups: Vec<Group>,
    size: Size,
}

#[derive(Clone, Debug, Default)]
struct Group {
    items: usize,
    chunks: Vec<Chunk>,
}

impl Group {
    fn new(chunks: Vec<Chunk>) -> Self {
        Self { items: chunks.iter().map(|chunk| chunk.size().items).sum(), chunks }
    }
}

/// A chunk's group, and its place there.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    group: usize,
    chunk: usize,
}

impl Array {
    pub(super) fn new(chunks: Vec<Chunk>) -> Self {
        let size = chunks.iter().map(Chunk::size).sum();
        Self { groups: grouped(chunks), size }
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    pub(super) fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.groups.iter().flat_map(|group| &group.chunks)
    }

    /// Puts elements, with commas between them, before the one at an index, or at the end.
    pub(super) fn insert(&mut self, index: Option<usize>, list: &[u8]) {
        if list.is_empty() {
            return;
        }
        let place = index.and_then(|index| self.find(&Step::Index(index as i64)));
        let Some(Place { at, value }) = place else {
            self.append(list);
            return;
        };
        let at = match self.chunk(at).body() {
            Body::Text(text) => {
                let added = Elements::of_list(list).count();
                let text = Splice::new(value.start..value.start, [list, b","]).apply(text);
                self.change(at, |chunk| *chunk = Chunk::of_text(text, chunk.size().items + added));
                at
            }
            Body::Large(_) => {
                let mut chunks = cut(list, false);
                chunks.push(self.change(at, std::mem::take));
                self.replace(at, chunks)
            }
        };
        settle(self, at);
    }

    /// Takes out the elements of a range, which lies within the array.
    pub(super) fn cut(&mut self, range: Range<usize>) {
        let mut left = range.len();
        while left > 0
            && let Some((at, index)) = self.seek(range.start)
        {
            let chunk = self.chunk(at);
            let items = chunk.size().items;
            let gone = left.min(items - index);
            left -= gone;
            match chunk.body() {
                Body::Text(text) if gone < items => {
                    let run = Elements::of_list(chunk.list()).run(&(index..index + gone)).unwrap_or_default();
                    let text = Splice::new(run.start..run.end + 1, []).apply(text);
                    self.change(at, |chunk| *chunk = Chunk::of_text(text, items - gone));
                    settle(self, at);
                }
                _ => {
                    self.take(at);
                }
            }
        }
    }

    /// Adds elements, with commas between them, at the end.
    fn append(&mut self, list: &[u8]) {
        let mut added = cut(list, false).into_iter();
        if let (Some(last), [only]) = (self.last(), added.as_slice())
            && self.change(last, |chunk| chunk.absorb(only))
        {
            return;
        }
        let room = self.groups.last().map_or(0, |group| GROUP.saturating_sub(group.chunks.len()));
        self.size.replace(Size::default(), added.as_slice().iter().map(Chunk::size).sum());
        if let Some(group) = self.groups.last_mut() {
            for chunk in added.by_ref().take(room) {
                group.items += chunk.size().items;
                group.chunks.push(chunk);
            }
        }
        self.groups.extend(grouped(added.collect()));
    }

    pub(super) fn memory(&self) -> usize {
        let group = |group: &Group| group.chunks.capacity() * size_of::<Chunk>();
        self.groups.capacity() * size_of::<Group>()
            + self.groups.iter().map(group).sum::<usize>()
            + self.chunks().map(Chunk::memory).sum::<usize>()
    }

    pub(super) fn defragment<M: Mover>(&mut self, sweep: &mut Sweep<'_, M>) -> ControlFlow<()> {
        sweep.part(|mover| mover.vec(&mut self.groups))?;
        for group in &mut self.groups {
            sweep.part(|mover| mover.vec(&mut group.chunks))?;
            for chunk in &mut group.chunks {
                chunk.defragment(sweep)?;
            }
        }
        ControlFlow::Continue(())
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        assert_eq!(self.size, self.chunks().map(Chunk::size).sum());
        for group in &self.groups {
            assert!((1..=GROUP).contains(&group.chunks.len()));
            assert_eq!(group.items, group.chunks.iter().map(|chunk| chunk.size().items).sum::<usize>());
        }
        self.chunks().for_each(|chunk| chunk.check(false));
    }

    /// Where an element is: its chunk, and its index there.
    fn seek(&self, index: usize) -> Option<(At, usize)> {
        let (group, left) = part(self.groups.iter().map(|group| group.items), index)?;
        let (chunk, left) = part(self.groups[group].chunks.iter().map(|chunk| chunk.size().items), left)?;
        Some((At { group, chunk }, left))
    }

    /// The last chunk.
    fn last(&self) -> Option<At> {
        let group = self.groups.len().checked_sub(1)?;
        Some(At { group, chunk: self.groups[group].chunks.len() - 1 })
    }

    /// Joins a group with the next one when they are short enough to make room for more.
    fn join_groups(&mut self, at: usize) {
        let Some([group, next]) = self.groups.get_mut(at..).and_then(<[Group]>::first_chunk_mut) else {
            return;
        };
        if group.chunks.len() + next.chunks.len() <= GROUP / 2 {
            group.items += next.items;
            group.chunks.append(&mut next.chunks);
            self.groups.remove(at + 1);
        }
    }
}

/// Which of the parts of these lengths an index falls into, and its index there.
fn part(lengths: impl Iterator<Item = usize>, index: usize) -> Option<(usize, usize)> {
    let mut left = index;
    for (part, length) in lengths.enumerate() {
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return Some((part, left)),
        }
    }
    None
}

/// Chunks as groups of even size.
fn grouped(mut chunks: Vec<Chunk>) -> Vec<Group> {
    let groups = chunks.len().div_ceil(GROUP);
    let mut grouped: Vec<Group> = Vec::with_capacity(groups);
    for at in (0..groups).rev() {
        grouped.push(Group::new(chunks.split_off(chunks.len() * at / (at + 1))));
    }
    grouped.reverse();
    grouped
}

impl Chunks for Array {
    type At = At;
    const NAMED: bool = false;

    fn find(&self, step: &Step) -> Option<Place<At>> {
        let Step::Index(index) = step else { return None };
        let index = match usize::try_from(*index) {
            Ok(index) => index,
            Err(_) => self.size.items.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
        };
        let (at, index) = self.seek(index)?;
        Some(Place { at, value: self.chunk(at).element(index)? })
    }

    fn chunk(&self, at: At) -> &Chunk {
        &self.groups[at.group].chunks[at.chunk]
    }

    fn change<T>(&mut self, at: At, change: impl FnOnce(&mut Chunk) -> T) -> T {
        let group = &mut self.groups[at.group];
        let chunk = &mut group.chunks[at.chunk];
        let before = chunk.size();
        let result = change(chunk);
        let after = chunk.size();
        group.items = group.items - before.items + after.items;
        self.size.replace(before, after);
        result
    }

    fn replace(&mut self, at: At, with: Vec<Chunk>) -> At {
        let after: Size = with.iter().map(Chunk::size).sum();
        let group = &mut self.groups[at.group];
        let before: Size = group.chunks.splice(at.chunk..=at.chunk, with).map(|chunk| chunk.size()).sum();
        group.items = group.items - before.items + after.items;
        self.size.replace(before, after);
        if group.chunks.len() <= GROUP {
            return at;
        }
        let chunks = std::mem::take(&mut group.chunks);
        self.groups.splice(at.group..=at.group, grouped(chunks));
        let mut at = at;
        while let Some(chunk) = at.chunk.checked_sub(self.groups[at.group].chunks.len()) {
            at = At { group: at.group + 1, chunk };
        }
        at
    }

    fn take(&mut self, at: At) -> Chunk {
        let group = &mut self.groups[at.group];
        let chunk = group.chunks.remove(at.chunk);
        group.items -= chunk.size().items;
        self.size.replace(chunk.size(), Size::default());
        if group.chunks.is_empty() {
            self.groups.remove(at.group);
        } else {
            self.join_groups(at.group);
        }
        chunk
    }

    fn pairs(&self, at: At) -> [Option<(At, At)>; 2] {
        let pair = |chunk: usize| (At { chunk, ..at }, At { chunk: chunk + 1, ..at });
        [
            (at.chunk + 1 < self.groups[at.group].chunks.len()).then(|| pair(at.chunk)),
            at.chunk.checked_sub(1).map(pair),
        ]
    }
}
