//! A set of values in the order in which they came, for set operations over millions of them.
//!
//! All bytes are in two vectors, and a value costs no allocation of its own.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use crate::equality::Equality;
use crate::json;
use crate::node::Node;

/// How many slots there are for each value, at least.
const SPARSE: usize = 2;

/// The values of a set operation, each once.
#[derive(Debug)]
pub(crate) struct Seen {
    entries: Vec<Entry>,
    /// Where in `entries` a value is, plus one; zero where there is none. Open addressing.
    slots: Vec<u32>,
    /// An array of the texts, each followed by a comma.
    texts: Vec<u8>,
    /// The normal texts that are not the texts themselves.
    normals: Vec<u8>,
    equality: Equality,
    /// Keyed, so that nobody can choose values that collide.
    hasher: RandomState,
}

#[derive(Debug)]
struct Entry {
    hash: u32,
    /// The last round in which it was marked.
    mark: u32,
    text: Range<u32>,
    /// Empty where the text is normal.
    normal: Range<u32>,
}

impl Seen {
    pub(crate) fn new(equality: Equality) -> Self {
        Self {
            entries: Vec::new(),
            slots: vec![0; 16],
            texts: vec![b'['],
            normals: Vec::new(),
            equality,
            hasher: RandomState::new(),
        }
    }

    /// How many bytes an array of the values has.
    pub(crate) fn len(&self) -> usize {
        self.texts.len().max(2)
    }

    /// Adds a value, unless it is there.
    pub(crate) fn insert(&mut self, value: Node<'_>) {
        let normal = value.normal(self.equality);
        let hash = self.hasher.hash_one(&*normal) as u32;
        let Err(slot) = self.find(hash, &normal) else { return };
        let text = push(&mut self.texts, &value.text());
        self.texts.push(b',');
        let same = normal.len() == text.len() && *normal == self.texts[range(&text)];
        let normal = if same { 0..0 } else { push(&mut self.normals, &normal) };
        self.entries.push(Entry { hash, mark: 0, text, normal });
        self.slots[slot] = self.entries.len() as u32;
        if self.entries.len() * SPARSE > self.slots.len() {
            self.grow();
        }
    }

    /// Marks a value that is there and was marked in the round before; every value was in round 0.
    pub(crate) fn mark(&mut self, value: Node<'_>, round: u32) {
        let normal = value.normal(self.equality);
        let hash = self.hasher.hash_one(&*normal) as u32;
        if let Ok(entry) = self.find(hash, &normal)
            && self.entries[entry].mark + 1 == round
        {
            self.entries[entry].mark = round;
        }
    }

    /// An array of the values.
    pub(crate) fn into_array(self) -> Vec<u8> {
        let mut array = self.texts;
        json::close(&mut array);
        array
    }

    /// An array of those that were marked last in this round.
    pub(crate) fn marked(&self, round: u32) -> Vec<u8> {
        let mut texts = vec![b'['];
        for entry in self.entries.iter().filter(|entry| entry.mark == round) {
            texts.extend_from_slice(&self.texts[range(&entry.text)]);
            texts.push(b',');
        }
        json::close(&mut texts);
        texts
    }

    /// The place in `entries` of a value, or the free slot for it.
    fn find(&self, hash: u32, normal: &[u8]) -> Result<usize, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        while let Some(at) = (self.slots[slot] as usize).checked_sub(1) {
            let entry = &self.entries[at];
            if entry.hash == hash && self.normal(entry) == normal {
                return Ok(at);
            }
            slot = (slot + 1) & mask;
        }
        Err(slot)
    }

    fn normal(&self, entry: &Entry) -> &[u8] {
        if entry.normal.is_empty() {
            &self.texts[range(&entry.text)]
        } else {
            &self.normals[range(&entry.normal)]
        }
    }

    fn grow(&mut self) {
        self.slots = vec![0; 2 * self.slots.len()];
        let mask = self.slots.len() - 1;
        for (at, entry) in self.entries.iter().enumerate() {
            let mut slot = entry.hash as usize & mask;
            while self.slots[slot] > 0 {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = at as u32 + 1;
        }
    }
}

fn push(bytes: &mut Vec<u8>, text: &[u8]) -> Range<u32> {
    let start = bytes.len() as u32;
    bytes.extend_from_slice(text);
    start..bytes.len() as u32
}

fn range(span: &Range<u32>) -> Range<usize> {
    span.start as usize..span.end as usize
}
