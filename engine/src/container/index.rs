//! Which chunk holds a name or a value, by its hash.
//!
//! A linear hash table (Litwin 1980): it grows and shrinks by one bucket at a time, so that no edit ever pays
//! for moving a million entries, and holds eight bytes an entry in short lists that are nearly full. Hashes are
//! keyed, so only equal values can make one list long: those move to a tree of their own, where they are counted.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::defrag::{Mover, Sweep};

/// How many entries a bucket has on average.
const LOAD: usize = if cfg!(test) { 2 } else { 16 };
/// How many more entries a full bucket makes room for.
const STEP: usize = 4;
/// How many entries of one hash a bucket has at most.
const ALIKE: usize = 4 * LOAD;

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
    /// How many entries the buckets hold.
    len: usize,
    /// Hashes of many entries: how many there are in each slot.
    frequent: BTreeMap<u32, BTreeMap<u32, u32>>,
}

impl Index {
    pub(super) fn with_capacity(len: usize) -> Self {
        let buckets = len.div_ceil(LOAD).max(1);
        Self {
            buckets: (0..buckets).map(|_| Bucket::with_capacity(LOAD.min(len))).collect(),
            len: 0,
            frequent: BTreeMap::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.len, self.buckets.iter().map(Vec::len).sum::<usize>());
        self.len + self.frequent.values().flat_map(BTreeMap::values).sum::<u32>() as usize
    }

    /// The slots of a hash; one that has several entries comes once or several times.
    pub(super) fn slots(&self, hash: u32) -> impl Iterator<Item = u32> {
        let bucket = &self.buckets[self.bucket(hash)];
        let few = bucket.iter().filter(move |entry| entry.hash == hash).map(|entry| entry.slot);
        few.chain(self.frequent.get(&hash).into_iter().flat_map(BTreeMap::keys).copied())
    }

    pub(super) fn insert(&mut self, hash: u32, slot: u32) {
        if let Some(slots) = self.frequent.get_mut(&hash) {
            *slots.entry(slot).or_default() += 1;
            return;
        }
        let at = self.bucket(hash);
        let bucket = &mut self.buckets[at];
        push(bucket, Entry { hash, slot });
        self.len += 1;
        if bucket.len() > ALIKE && bucket.iter().filter(|entry| entry.hash == hash).count() > ALIKE {
            self.set_apart(at, hash);
        } else if self.len > self.buckets.len() * LOAD {
            self.grow();
        }
    }

    /// Removes one entry; there is one.
    pub(super) fn remove(&mut self, hash: u32, slot: u32) {
        if let Some(slots) = self.frequent.get_mut(&hash) {
            take(slots, slot);
            if slots.is_empty() {
                self.frequent.remove(&hash);
            }
            return;
        }
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
        if let Some(slots) = self.frequent.get_mut(&hash) {
            take(slots, from);
            *slots.entry(to).or_default() += 1;
            return;
        }
        let at = self.bucket(hash);
        let entry = Entry { hash, slot: from };
        if let Some(found) = self.buckets[at].iter_mut().find(|found| **found == entry) {
            found.slot = to;
        }
    }

    pub(super) fn memory(&self) -> usize {
        let nodes = self.frequent.values().map(BTreeMap::len).sum::<usize>() + self.frequent.len();
        self.buckets.capacity() * size_of::<Bucket>()
            + self.buckets.iter().map(|bucket| bucket.capacity() * size_of::<Entry>()).sum::<usize>()
            + nodes * 2 * size_of::<Entry>()
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

    /// Moves the entries of a hash out of its bucket, which would have to be searched for each of them.
    fn set_apart(&mut self, bucket: usize, hash: u32) {
        let slots = self.frequent.entry(hash).or_default();
        let bucket = &mut self.buckets[bucket];
        let before = bucket.len();
        bucket.retain(|entry| {
            if entry.hash == hash {
                *slots.entry(entry.slot).or_default() += 1;
            }
            entry.hash != hash
        });
        bucket.shrink_to(LOAD);
        self.len -= before - bucket.len();
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

/// Takes one entry out of a slot.
fn take(slots: &mut BTreeMap<u32, u32>, slot: u32) {
    if let Some(count) = slots.get_mut(&slot) {
        *count -= 1;
        if *count == 0 {
            slots.remove(&slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_entry_is_found_while_the_table_grows_and_shrinks(
            // Most hashes are rare and some are not.
            hashes in prop::collection::vec(prop_oneof![0..300_u32, 0..3_u32], 0..300), foreseen in any::<bool>(),
        ) {
            let mut index = Index::with_capacity(if foreseen { hashes.len() } else { 0 });
            for (slot, hash) in hashes.iter().enumerate() {
                index.insert(*hash, slot as u32 / 2);
            }
            for (slot, hash) in hashes.iter().enumerate() {
                index.move_to(*hash, slot as u32 / 2, slot as u32 / 2 + 1000);
            }
            for (slot, hash) in hashes.iter().enumerate() {
                prop_assert_eq!(index.len(), hashes.len() - slot);
                let slots: BTreeSet<usize> = index.slots(*hash).map(|slot| slot as usize - 1000).collect();
                let left = (slot..hashes.len()).filter(|at| hashes[*at] == *hash).map(|at| at / 2);
                prop_assert_eq!(slots, left.collect());
                index.remove(*hash, slot as u32 / 2 + 1000);
            }
            prop_assert_eq!((index.len(), index.frequent.len()), (0, 0));
        }

        #[test]
        fn no_list_is_long_however_many_entries_share_a_hash(
            hashes in prop::collection::vec(0..20_u32, 0..2000), slots in 1..50_u32,
        ) {
            let mut index = Index::with_capacity(0);
            for (at, hash) in hashes.iter().enumerate() {
                // Spread as hashes are, for few of them.
                index.insert(hash.wrapping_mul(0x9E37_79B9), at as u32 % slots);
                let longest = index.buckets.iter().map(Vec::len).max().unwrap_or_default();
                prop_assert!(longest <= 20 * ALIKE);
                prop_assert!(index.buckets.iter().all(|bucket| bucket.capacity() <= 20 * ALIKE + STEP));
            }
        }
    }
}
