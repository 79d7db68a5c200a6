//! Large arrays.

use std::borrow::Cow;
use std::ops::{ControlFlow, Range};

use memchr::memmem::Finder;

use super::chunk::{Body, Chunk, cut};
use super::values::Values;
use super::{Chunks, Container, Place, Size, settle};
use crate::defrag::{Mover, Sweep};
use crate::json::Elements;
use crate::node::{By, Node, Normals, Splice};
use crate::path::Step;

/// How many chunks are counted together. An index is found in a walk over groups, then over one group's chunks:
/// both stay short up to the largest document.
const GROUP: usize = if cfg!(test) { 4 } else { 128 };

/// After how many elements more of an array are left for the next look-up to enter into the index.
const PACE: usize = if cfg!(test) { 1 } else { 1 << 14 };

/// The elements of a large array: chunks in groups that know how many elements they hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Array {
    groups: Vec<Group>,
    size: Size,
    /// Made when elements are first looked up by their values.
    values: Option<Box<Values>>,
}

#[derive(Clone, Debug, Default)]
struct Group {
    items: usize,
    chunks: Vec<Chunk>,
    /// What the index knows it by; zero where its elements are not in there.
    number: u32,
}

impl Group {
    fn new(chunks: Vec<Chunk>) -> Self {
        Self { items: chunks.iter().map(|chunk| chunk.size().items).sum(), chunks, number: 0 }
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
        Self { groups: grouped(chunks), size, values: None }
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
                self.resize(at, |chunk| chunk.set_items(text, chunk.size().items + added));
                if let Some((values, chunk)) = self.entered(at) {
                    values.add(elements(list), chunk.id);
                }
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
                    if let Some((values, chunk)) = self.entered(at) {
                        values.remove(elements(&chunk.list()[run]), chunk.id);
                    }
                    self.resize(at, |chunk| chunk.set_items(text, items - gone));
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
            && self.resize(last, |chunk| chunk.absorb(only))
        {
            if let Some((values, chunk)) = self.entered(last) {
                values.add(elements(list), chunk.id);
            }
            return;
        }
        let room = self.groups.last().map_or(0, |group| GROUP.saturating_sub(group.chunks.len()));
        self.size.replace(Size::default(), added.as_slice().iter().map(Chunk::size).sum());
        if let Some(group) = self.groups.last_mut() {
            for mut chunk in added.by_ref().take(room) {
                group.items += chunk.size().items;
                if let Some(values) = self.values.as_deref_mut().filter(|_| group.number > 0) {
                    values.enter(&mut chunk, group.number);
                }
                group.chunks.push(chunk);
            }
        }
        let groups = self.groups.len();
        self.groups.extend(grouped(added.collect()));
        (groups..self.groups.len()).for_each(|group| self.enter(group));
    }

    /// Changes one chunk and the totals with it, but not the index.
    fn resize<T>(&mut self, at: At, change: impl FnOnce(&mut Chunk) -> T) -> T {
        let group = &mut self.groups[at.group];
        let chunk = &mut group.chunks[at.chunk];
        let before = chunk.size();
        let result = change(chunk);
        let after = chunk.size();
        group.items = group.items - before.items + after.items;
        self.size.replace(before, after);
        result
    }

    /// The index and a chunk, if it holds the chunk's elements.
    fn entered(&mut self, at: At) -> Option<(&mut Values, &Chunk)> {
        let group = &self.groups[at.group];
        let values = self.values.as_deref_mut().filter(|_| group.number > 0)?;
        Some((values, &group.chunks[at.chunk]))
    }

    /// Enters a group into the index, if there is one.
    fn enter(&mut self, group: usize) {
        let group = &mut self.groups[group];
        if let Some(values) = self.values.as_deref_mut()
            && group.number == 0
        {
            group.number = values.number();
            group.chunks.iter_mut().for_each(|chunk| values.enter(chunk, group.number));
        }
    }

    /// Whether [`Self::index`] has something to do.
    pub(super) fn is_unindexed(&self, by: By) -> bool {
        self.values.as_ref().is_none_or(|values| values.by != by)
            || self.groups.iter().any(|group| group.number == 0)
    }

    /// Readies the array for look-ups of its elements by their values.
    pub(super) fn index(&mut self, by: By) {
        if self.values.as_ref().is_none_or(|values| values.by != by) {
            self.values = Some(Box::new(Values::new(by)));
            self.groups.iter_mut().for_each(|group| group.number = 0);
        }
        let mut entered = 0;
        for group in 0..self.groups.len() {
            if entered < PACE && self.groups[group].number == 0 {
                entered += self.groups[group].items;
                self.enter(group);
            }
        }
    }

    /// The elements of these normal texts, with their places, in no order.
    pub(super) fn places(&self, by: By, sought: &Normals<'_>) -> Vec<(usize, Cow<'_, [u8]>)> {
        let mut found = Vec::new();
        let values = self.values.as_deref().filter(|values| values.by == by);
        for (values, one) in values.iter().flat_map(|values| sought.iter().map(move |one| (values, one))) {
            let chunks = values.chunks(one).into_iter().filter_map(|(id, group)| self.chunk_of(id, group));
            for (first, chunk) in chunks {
                found.extend(by.normals(chunk.elements(), first).filter(|(_, normal)| normal == one));
            }
        }
        // Strings are equal only where their texts are, which rules most chunks out at the speed of memory.
        let string = sought.iter().next().filter(|one| sought.len() == 1 && one.starts_with(b"\""));
        let string = string.map(|string| Finder::new(&**string));
        let mut first = 0;
        for group in &self.groups {
            if values.is_some() && group.number > 0 {
                first += group.items;
                continue;
            }
            for chunk in &group.chunks {
                if string.as_ref().is_none_or(|string| chunk.may_hold(string)) {
                    let normals = by.normals(chunk.elements(), first);
                    found.extend(normals.filter(|(_, normal)| sought.contains(normal)));
                }
                first += chunk.size().items;
            }
        }
        found
    }

    /// A chunk that the index knows, and the place of its first element.
    fn chunk_of(&self, id: u32, number: u32) -> Option<(usize, &Chunk)> {
        let group = self.groups.iter().position(|group| group.number == number)?;
        let before: usize = self.groups[..group].iter().map(|group| group.items).sum();
        let chunks = &self.groups[group].chunks;
        let at = chunks.iter().position(|chunk| chunk.id == id)?;
        Some((before + chunks[..at].iter().map(|chunk| chunk.size().items).sum::<usize>(), &chunks[at]))
    }

    pub(super) fn memory(&self) -> usize {
        let group = |group: &Group| group.chunks.capacity() * size_of::<Chunk>();
        self.groups.capacity() * size_of::<Group>()
            + self.groups.iter().map(group).sum::<usize>()
            + self.chunks().map(Chunk::memory).sum::<usize>()
            + self.values.as_ref().map_or(0, |values| values.memory())
    }

    pub(super) fn defragment<M: Mover>(&mut self, sweep: &mut Sweep<'_, M>) -> ControlFlow<()> {
        sweep.part(|mover| mover.vec(&mut self.groups))?;
        for group in &mut self.groups {
            sweep.part(|mover| mover.vec(&mut group.chunks))?;
            for chunk in &mut group.chunks {
                chunk.defragment(sweep)?;
            }
        }
        if let Some(values) = &mut self.values {
            sweep.part(|mover| mover.boxed(values))?;
            values.defragment(sweep)?;
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
        let entered = self.groups.iter().filter(|group| group.number > 0);
        match &self.values {
            Some(values) => {
                values
                    .check(entered.flat_map(|group| group.chunks.iter().map(|chunk| (chunk, group.number))));
            }
            None => assert_eq!(entered.count(), 0),
        }
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
        let Some([group, next]) = self.groups.get(at..).and_then(<[Group]>::first_chunk) else {
            return;
        };
        if group.chunks.len() + next.chunks.len() > GROUP / 2 {
            return;
        }
        if group.number > 0 || next.number > 0 {
            self.enter(at);
            self.enter(at + 1);
        }
        let next = self.groups.remove(at + 1);
        let group = &mut self.groups[at];
        if let Some(values) = self.values.as_deref_mut().filter(|_| group.number > 0) {
            next.chunks.iter().for_each(|chunk| values.settle(chunk, group.number));
        }
        group.items += next.items;
        group.chunks.extend(next.chunks);
    }
}

/// Elements with commas between them.
fn elements(list: &[u8]) -> impl Iterator<Item = Node<'_>> {
    Elements::of_list(list).map(|element| Node::Text(&list[element]))
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
        let id = self.groups[at.group].chunks[at.chunk].id;
        if let Some((values, chunk)) = self.entered(at) {
            values.remove(chunk.elements(), id);
        }
        let result = self.resize(at, |chunk| {
            let result = change(chunk);
            chunk.id = id;
            result
        });
        if let Some((values, chunk)) = self.entered(at) {
            values.add(chunk.elements(), id);
        }
        result
    }

    fn replace(&mut self, at: At, mut with: Vec<Chunk>) -> At {
        let after: Size = with.iter().map(Chunk::size).sum();
        if let Some((values, chunk)) = self.entered(at) {
            values.leave(chunk);
        }
        let group = &mut self.groups[at.group];
        let values = self.values.as_deref_mut().filter(|_| group.number > 0);
        if let Some(values) = values {
            for chunk in &mut with {
                values.enter(chunk, group.number);
            }
        }
        let before: Size = group.chunks.splice(at.chunk..=at.chunk, with).map(|chunk| chunk.size()).sum();
        group.items = group.items - before.items + after.items;
        self.size.replace(before, after);
        if group.chunks.len() <= GROUP {
            return at;
        }
        let entered = group.number > 0;
        let mut parts = grouped(std::mem::take(&mut group.chunks));
        if let Some(values) = self.values.as_deref_mut().filter(|_| entered) {
            for part in &mut parts {
                part.number = values.number();
                part.chunks.iter().for_each(|chunk| values.settle(chunk, part.number));
            }
        }
        self.groups.splice(at.group..=at.group, parts);
        let mut at = at;
        while let Some(chunk) = at.chunk.checked_sub(self.groups[at.group].chunks.len()) {
            at = At { group: at.group + 1, chunk };
        }
        at
    }

    fn nested(&mut self, at: At) -> Option<&mut Container> {
        self.groups[at.group].chunks[at.chunk].nested_mut()
    }

    fn take(&mut self, at: At) -> Chunk {
        if let Some((values, chunk)) = self.entered(at) {
            values.leave(chunk);
        }
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
