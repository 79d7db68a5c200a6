//! Large arrays.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::{ControlFlow, Range};

use memchr::memmem::Finder;
use smallvec::SmallVec;

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

/// After how many elements the rest of an array is left for the next look-up to enter into the index.
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

impl Group {
    /// Adds the chunks of the next group; the index holds those of both or of neither.
    fn join(&mut self, next: Self, values: Option<&mut Values>) {
        if let Some(values) = values.filter(|_| self.number > 0) {
            next.chunks.iter().for_each(|chunk| values.settle(chunk, self.number));
        }
        self.items += next.items;
        self.chunks.extend(next.chunks);
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

    /// Takes out the elements of several ranges, which lie within the array, in order and apart: each chunk is
    /// looked at once.
    pub(super) fn cut_all(&mut self, ranges: &[Range<usize>]) {
        let mut ranges = ranges;
        let mut first = 0;
        for group in &mut self.groups {
            let end = first + group.items;
            let values = self.values.as_deref_mut().filter(|_| group.number > 0);
            if ranges.first().is_some_and(|range| range.start < end) {
                cut_group(group, values, first, &mut ranges);
            }
            first = end;
        }
        self.size = self.groups.iter().flat_map(|group| &group.chunks).map(Chunk::size).sum();
        let mut joined: Vec<Group> = Vec::with_capacity(self.groups.len());
        for group in std::mem::take(&mut self.groups) {
            match joined.last_mut() {
                _ if group.chunks.is_empty() => {}
                Some(last)
                    if last.chunks.len() + group.chunks.len() <= GROUP / 2
                        && (last.number > 0) == (group.number > 0) =>
                {
                    last.join(group, self.values.as_deref_mut());
                }
                _ => joined.push(group),
            }
        }
        self.groups = joined;
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

    /// Readies the array for look-ups of its elements by their values; all of it for `many` of them, one after the
    /// other.
    pub(super) fn index(&mut self, by: By, many: bool) {
        let pace = if many { usize::MAX } else { PACE };
        if self.values.as_ref().is_none_or(|values| values.by != by) {
            self.values = Some(Box::new(Values::new(by)));
            self.groups.iter_mut().for_each(|group| group.number = 0);
        }
        let mut entered = 0;
        for group in 0..self.groups.len() {
            if entered < pace && self.groups[group].number == 0 {
                entered += self.groups[group].items;
                self.enter(group);
            }
        }
    }

    /// The elements of these normal texts, with their places, in order.
    pub(super) fn places(&self, by: By, sought: &Normals<'_>) -> Vec<(usize, Cow<'_, [u8]>)> {
        let mut found = Vec::new();
        self.search(by, sought, usize::MAX, |first, chunk| {
            found.extend(by.normals(chunk.elements(), first).filter(|(_, normal)| sought.contains(normal)));
            true
        });
        found
    }

    /// Which of these normal texts elements have.
    pub(super) fn held<'s>(&self, by: By, sought: &'s Normals<'_>) -> HashSet<&'s [u8]> {
        let mut held = HashSet::new();
        // One of many equal elements is enough.
        self.search(by, sought, 1, |_, chunk| {
            for (_, normal) in by.normals(chunk.elements(), 0) {
                held.extend(sought.get(&*normal).map(AsRef::as_ref));
            }
            held.len() < sought.len()
        });
        // Another value of the same hash may have stood in the way.
        let hidden =
            |one: &[u8]| self.values.as_ref().is_some_and(|values| values.chunks(one).nth(1).is_some());
        let missed: Normals<'_> = sought
            .iter()
            .filter(|one| !held.contains(&***one) && hidden(one))
            .map(|one| Cow::Borrowed(&**one))
            .collect();
        if !missed.is_empty() {
            let found = self.places(by, &missed);
            held.extend(found.iter().filter_map(|(_, normal)| sought.get(&**normal)).map(AsRef::as_ref));
        }
        held
    }

    /// Shows chunks that may hold elements of these normal texts, with the places of their first elements, in order,
    /// until `look` has seen enough: of those that the index has for a text at most so many, of the others all.
    fn search<'a>(
        &'a self,
        by: By,
        sought: &Normals<'_>,
        of_each: usize,
        mut look: impl FnMut(usize, &'a Chunk) -> bool,
    ) {
        let values = self.values.as_deref().filter(|values| values.by == by);
        let mut indexed: Vec<(u32, u32)> = values
            .iter()
            .flat_map(|values| sought.iter().flat_map(|one| values.chunks(one).take(of_each)))
            .collect();
        indexed.sort_unstable();
        // Strings are equal only where their texts are, which rules most chunks out at the speed of memory.
        let string = sought.iter().next().filter(|one| sought.len() == 1 && one.starts_with(b"\""));
        let string = string.map(|string| Finder::new(&**string));
        let mut first = 0;
        for group in &self.groups {
            let number = group.number;
            let entered = values.is_some() && number > 0;
            let within = indexed.partition_point(|(group, _)| *group < number)
                ..indexed.partition_point(|(group, _)| *group <= number);
            let within = &indexed[within];
            if entered && within.is_empty() {
                first += group.items;
                continue;
            }
            for chunk in &group.chunks {
                let shown = if entered {
                    within.binary_search_by_key(&chunk.id, |(_, id)| *id).is_ok()
                } else {
                    string.as_ref().is_none_or(|string| chunk.may_hold(string))
                };
                if shown && !look(first, chunk) {
                    return;
                }
                first += chunk.size().items;
            }
        }
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
        self.groups[at].join(next, self.values.as_deref_mut());
    }
}

/// Takes the elements of ranges out of a group whose first element has the index `first`, and the ranges that end in it
/// off the list.
fn cut_group(group: &mut Group, mut values: Option<&mut Values>, first: usize, ranges: &mut &[Range<usize>]) {
    let mut first = first;
    let mut kept: Vec<Chunk> = Vec::with_capacity(group.chunks.len());
    group.items = 0;
    for mut chunk in std::mem::take(&mut group.chunks) {
        let end = first + chunk.size().items;
        let mut gone: SmallVec<[Range<usize>; 1]> = SmallVec::new();
        while let Some((range, rest)) = ranges.split_first()
            && range.start < end
        {
            gone.push(range.start.max(first) - first..range.end.min(end) - first);
            if range.end > end {
                break;
            }
            *ranges = rest;
        }
        let left = end - first - gone.iter().map(ExactSizeIterator::len).sum::<usize>();
        first = end;
        if left == 0 {
            if let Some(values) = values.as_deref_mut() {
                values.leave(&chunk);
            }
            continue;
        }
        if !gone.is_empty() {
            cut_chunk(&mut chunk, left, values.as_deref_mut(), &gone);
        }
        group.items += left;
        match kept.last_mut().and_then(|last| Some((last.joined(&chunk)?, last))) {
            Some((joined, last)) => {
                let id = last.id;
                *last = joined;
                last.id = id;
                if let Some(values) = values.as_deref_mut() {
                    values.leave(&chunk);
                    values.add(chunk.elements(), id);
                }
            }
            None => kept.push(chunk),
        }
    }
    group.chunks = kept;
}

/// Takes the elements of ranges out of a chunk of text, so that some are left.
fn cut_chunk(chunk: &mut Chunk, left: usize, mut values: Option<&mut Values>, ranges: &[Range<usize>]) {
    let list = chunk.list();
    let mut text = Vec::with_capacity(list.len());
    let mut ranges = ranges.iter().peekable();
    for (at, element) in Elements::of_list(list).enumerate() {
        ranges.next_if(|range| range.end <= at);
        if ranges.peek().is_some_and(|range| range.contains(&at)) {
            if let Some(values) = values.as_deref_mut() {
                values.remove(std::iter::once(Node::Text(&list[element])), chunk.id);
            }
        } else {
            text.extend_from_slice(&list[element]);
            text.push(b',');
        }
    }
    chunk.set_items(text, left);
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
