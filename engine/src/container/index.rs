//! Which chunk holds a name, by the name's hash.
//!
//! A linear hash table (Litwin 1980): it grows and shrinks by one bucket at a time, so that no edit ever pays
//! for moving a million entries, and holds eight bytes a name in short lists that are nearly full.

use std::ops::ControlFlow;

use crate::defrag::{Mover, Sweep};

/// How many entries a bucket has on average.
const LOAD: usize = if cfg!(test) { 2 } else { 16 };
/// How many more entries a full bucket makes room for.
const STEP: usize = 4;

type Bucket = Vec<Entry>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    hash: u32,
    slot: u32,
}

/// A multiset of hashes, each with the slot of a chunk.
#[derive(Clone, Debug)]
pub(super) struct Index {
    buckets: Vec<Bucket>,
    len: usize,
}

impl Index {
    pub(super) fn with_capacity(len: usize) -> Self {
        let buckets = len.div_ceil(LOAD).max(1);
        Self { buckets: (0..buckets).map(|_| Bucket::with_capacity(LOAD.min(len))).collect(), len: 0 }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.len, self.buckets.iter().map(Vec::len).sum::<usize>());
        self.len
    }

    /// The slots of a hash.
    pub(super) fn slots(&self, hash: u32) -> impl Iterator<Item = u32> {
        let bucket = &self.buckets[self.bucket(hash)];
        bucket.iter().filter(move |entry| entry.hash == hash).map(|entry| entry.slot)
    }

    pub(super) fn insert(&mut self, hash: u32, slot: u32) {
        let bucket = self.bucket(hash);
        push(&mut self.buckets[bucket], Entry { hash, slot });
        self.len += 1;
        if self.len > self.buckets.len() * LOAD {
            self.grow();
        }
    }

    /// Removes one entry; there is one.
    pub(super) fn remove(&mut self, hash: u32, slot: u32) {
        let at = self.bucket(hash);
        let bucket = &mut self.buckets[at];
        if let Some(found) = bucket.iter().position(|entry| *entry == Entry { hash, slot }) {
            bucket.swap_remove(found);
            self.len -= 1;
        }
        if self.buckets.len() > 1 && self.len < self.buckets.len() * LOAD / 2 {
            self.shrink();
        }
    }

    /// Gives one entry another slot.
    pub(super) fn move_to(&mut self, hash: u32, from: u32, to: u32) {
        let at = self.bucket(hash);
        let entry = Entry { hash, slot: from };
        if let Some(found) = self.buckets[at].iter_mut().find(|found| **found == entry) {
            found.slot = to;
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
            + self.buckets.iter().map(|bucket| bucket.capacity() * size_of::<Entry>()).sum::<usize>()
    }

    pub(super) fn defragment<M: Mover>(&mut self, sweep: &mut Sweep<'_, M>) -> ControlFlow<()> {
        sweep.part(|mover| mover.vec(&mut self.buckets))?;
        for bucket in &mut self.buckets {
            sweep.part(|mover| mover.vec(bucket))?;
        }
        ControlFlow::Continue(())
    }

    /// The bucket of a hash: its low bits, one bit fewer where that bucket does not exist yet.
    fn bucket(&self, hash: u32) -> usize {
        let bits = self.buckets.len().next_power_of_two() - 1;
        let bucket = hash as usize & bits;
        if bucket < self.buckets.len() { bucket } else { hash as usize & (bits >> 1) }
    }

    fn grow(&mut self) {
        let parent = parent(self.buckets.len());
        self.buckets.push(Bucket::new());
        for entry in std::mem::take(&mut self.buckets[parent]) {
            let bucket = self.bucket(entry.hash);
            push(&mut self.buckets[bucket], entry);
        }
    }

    fn shrink(&mut self) {
        let parent = parent(self.buckets.len() - 1);
        for entry in self.buckets.pop().unwrap_or_default() {
            push(&mut self.buckets[parent], entry);
        }
    }
}

/// The bucket that a bucket is split from: its number without the highest bit.
fn parent(bucket: usize) -> usize {
    bucket - (1 << bucket.ilog2())
}

fn push(bucket: &mut Bucket, entry: Entry) {
    if bucket.len() == bucket.capacity() {
        bucket.reserve_exact(STEP);
    }
    bucket.push(entry);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_entry_is_found_while_the_table_grows_and_shrinks(
            hashes in prop::collection::vec(0..300_u32, 0..200), foreseen in any::<bool>(),
        ) {
            let mut index = Index::with_capacity(if foreseen { hashes.len() } else { 0 });
            for (slot, hash) in hashes.iter().enumerate() {
                index.insert(*hash, slot as u32);
            }
            for (slot, hash) in hashes.iter().enumerate() {
                index.move_to(*hash, slot as u32, slot as u32 + 1000);
            }
            for (slot, hash) in hashes.iter().enumerate() {
                prop_assert_eq!(index.len(), hashes.len() - slot);
                let mut slots: Vec<usize> = index.slots(*hash).map(|slot| slot as usize - 1000).collect();
                slots.sort_unstable();
                let expected: Vec<usize> = (slot..hashes.len()).filter(|at| hashes[*at] == *hash).collect();
                prop_assert_eq!(slots, expected);
                index.remove(*hash, slot as u32 + 1000);
            }
            prop_assert_eq!((index.len(), index.buckets.len()), (0, 1));
        }
    }
}
