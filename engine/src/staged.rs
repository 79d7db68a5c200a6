//! A host over a host: what the operations of a batch do stays here until all of them have succeeded.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::host::{Deadline, Done, Effect, Host, Touched};
use crate::limits::{Bound, Limit, Limits};
use crate::{Document, Draft, Error, Header, Policies, Time, Value};

/// The keys of a batch, as its operations so far have left them.
pub(crate) struct Staged<'h, 'k> {
    host: &'h mut dyn Host,
    slots: SmallVec<[Slot<'k>; 1]>,
    /// The highest fencing number that an operation gave out.
    fence: Option<i64>,
    /// Where in `slots` a key is, if there are more than [`FEW`].
    places: HashMap<&'k [u8], usize>,
    /// By how many bytes documents have grown, and how many the replies hold that wait for the end.
    held: usize,
    replies: usize,
    /// How many bytes the host's memory had room for; unknown until an operation may make a document grow.
    memory: Option<usize>,
}

/// So many keys are compared one by one, which is faster than hashing.
const FEW: usize = 8;

struct Slot<'k> {
    key: &'k [u8],
    document: State<Document>,
    deadline: State<Time>,
    /// What the operations amount to.
    effect: Option<Effect>,
    /// What the document remembered when the last of them had touched it.
    header: Header,
    /// Whether a document was there before the batch; asked for when the first operation creates or deletes.
    existed: Option<bool>,
    /// How long its text was before the batch, if it was there; known once an operation changes or makes it.
    before: usize,
    /// By how many bytes it has grown.
    grown: usize,
}

/// How the operations leave something.
enum State<T> {
    AsItWas,
    Now(T),
    Gone,
}

impl<'h, 'k> Staged<'h, 'k> {
    /// A view of `host` that knows these keys and no other.
    pub(crate) fn new(host: &'h mut dyn Host, keys: &[&'k [u8]]) -> Self {
        let (slots, places) = (SmallVec::new(), HashMap::new());
        let mut staged = Self { host, slots, fence: None, places, held: 0, replies: 0, memory: None };
        for key in keys {
            staged.add(key);
        }
        staged
    }

    fn add(&mut self, key: &'k [u8]) {
        if self.find(key).is_some() {
            return;
        }
        let (document, deadline) = (State::AsItWas, State::AsItWas);
        let (effect, existed) = (None, None);
        let header = Header::default();
        self.slots.push(Slot { key, document, deadline, effect, header, existed, before: 0, grown: 0 });
        if self.slots.len() > FEW {
            let first = self.places.len();
            self.places.extend((first..).zip(&self.slots[first..]).map(|(place, slot)| (slot.key, place)));
        }
    }

    fn find(&self, key: &[u8]) -> Option<usize> {
        if self.places.is_empty() {
            self.slots.iter().position(|slot| slot.key == key)
        } else {
            self.places.get(key).copied()
        }
    }

    fn place(&self, key: &[u8]) -> usize {
        self.find(key).expect("a batch was asked whether it knows the key")
    }

    /// Readies the batch for an operation that may make documents grow; refused where memory is full.
    pub(crate) fn expect_growth(&mut self) -> Result<(), Error> {
        if self.memory.is_none() {
            self.memory = Some(self.host.spare_memory()?);
        }
        Ok(())
    }

    /// Counts a reply that waits for the end of the batch.
    pub(crate) fn hold(&mut self, reply: &Value) {
        let bytes = reply.len();
        self.held += bytes;
        self.replies += bytes;
    }

    /// How many bytes more the batch may hold.
    fn left(&self) -> Bound {
        let batch = self.host.limits().bound(Limit::Batch);
        self.memory.map_or(batch, |memory| batch.min(Bound::memory(memory))).less(self.held)
    }

    pub(crate) fn knows(&self, key: &[u8]) -> bool {
        self.find(key).is_some()
    }

    fn slot(&mut self, key: &[u8]) -> &mut Slot<'k> {
        let place = self.place(key);
        &mut self.slots[place]
    }

    /// Does to the host what was staged, and says what became of each key that was touched.
    ///
    /// This cannot fail half-way: a key that others have taken away meanwhile, or given to a value of another type,
    /// is left to them. Subscribers of the server's own events could do that between two insertions.
    pub(crate) fn commit(self) -> SmallVec<[Touched<'k>; 1]> {
        let Self { host, slots, fence, .. } = self;
        let touched = slots.into_iter().filter_map(|slot| slot.commit(host)).collect();
        if let Some(fence) = fence {
            host.raise_fence(fence);
        }
        touched
    }
}

fn change(effect: Effect, before: Option<Time>, after: Option<Time>) -> Deadline {
    match after {
        _ if before == after => Deadline::Keep,
        None => Deadline::Clear,
        Some(to) => {
            let shortened = effect != Effect::Created && before.is_none_or(|before| to < before);
            Deadline::Move { to, shortened }
        }
    }
}

impl<'k> Slot<'k> {
    fn commit(self, host: &mut dyn Host) -> Option<Touched<'k>> {
        let Self { key, document, deadline, effect, header, .. } = self;
        let effect = effect?;
        // Nobody asks for it where it is new, or stays as it is.
        let stays = effect == Effect::Created || matches!(deadline, State::AsItWas);
        let before = if stays { None } else { host.deadline(key) };
        let done = match document {
            // Only looked at, or its deadline moved.
            State::AsItWas => host.read(key).is_ok_and(|document| document.is_some()),
            State::Gone => host.remove(key).unwrap_or(false),
            // Made anew: nothing of what was there may stay, its deadline neither.
            State::Now(document) if effect == Effect::Created => {
                host.remove(key).is_ok() && host.insert(key, document).is_ok()
            }
            State::Now(document) => match host.edit(key) {
                Ok(Some(mut current)) => {
                    *current = document;
                    true
                }
                _ => false,
            },
        };
        let deadline = match deadline {
            State::Now(to) => change(effect, before, Some(to)),
            State::Gone => change(effect, before, None),
            State::AsItWas => Deadline::Keep,
        };
        let (effect, deadline) = match (done, effect) {
            // Named all the same: replicas count the keys.
            (false, _) => (Effect::Read, Deadline::Keep),
            (true, Effect::Deleted) => (effect, Deadline::Keep),
            (true, _) => (effect, deadline),
        };
        Some(Touched { key, effect, deadline, header })
    }

    /// The length of its text as the operations have left it.
    fn len(&self) -> usize {
        match &self.document {
            State::Now(document) => document.len(),
            State::AsItWas | State::Gone => 0,
        }
    }

    /// Adds what one more operation did.
    fn add(&mut self, effect: Effect) {
        let existed = self.existed.unwrap_or(true);
        self.effect = match (self.effect, effect) {
            // It is as if it had never been made.
            (Some(Effect::Created), Effect::Deleted) if !existed => {
                self.document = State::AsItWas;
                None
            }
            (_, Effect::Created | Effect::Deleted) => Some(effect),
            (Some(Effect::Created), _) => Some(Effect::Created),
            (Some(Effect::Changed), _) | (_, Effect::Changed) => Some(Effect::Changed),
            (Some(Effect::Lifetime), _) | (_, Effect::Lifetime) => Some(Effect::Lifetime),
            (_, Effect::Read) => Some(Effect::Read),
        };
    }
}

impl Host for Staged<'_, '_> {
    fn now(&self) -> Time {
        self.host.now()
    }

    fn lease_time(&mut self) -> Time {
        self.host.lease_time()
    }

    fn fence(&self) -> i64 {
        self.fence.unwrap_or_else(|| self.host.fence())
    }

    fn raise_fence(&mut self, number: i64) {
        self.fence = Some(number.max(self.fence()));
    }

    fn decides(&self) -> bool {
        self.host.decides()
    }

    fn limits(&self) -> &Limits {
        self.host.limits()
    }

    fn reply_bound(&self) -> Bound {
        self.host.reply_bound().less(self.replies).min(self.left())
    }

    fn permits(&mut self, words: &[&[u8]]) -> Result<(), Error> {
        self.host.permits(words)
    }

    fn permits_reading(&mut self, key: &[u8]) -> Result<(), Error> {
        self.host.permits_reading(self.slots[self.place(key)].key)
    }

    fn read(&mut self, key: &[u8]) -> Result<Option<&Document>, Error> {
        let place = self.place(key);
        match &self.slots[place].document {
            State::AsItWas => self.host.read(self.slots[place].key),
            State::Now(document) => Ok(Some(document)),
            State::Gone => Ok(None),
        }
    }

    fn edit(&mut self, key: &[u8]) -> Result<Option<Draft<'_>>, Error> {
        let left = self.left();
        let place = self.place(key);
        let slot = &mut self.slots[place];
        if matches!(slot.document, State::AsItWas)
            && let Some(document) = self.host.edit(slot.key)?
        {
            slot.before = document.len();
            slot.document = State::Now(document.clone());
        }
        let bound = left.plus(slot.before.max(slot.len()));
        let bound = self.host.limits().bound(Limit::Document).min(bound);
        match &mut slot.document {
            State::Now(document) => Ok(Some(Draft::new(document, bound))),
            State::AsItWas | State::Gone => Ok(None),
        }
    }

    fn header(&mut self, key: &[u8]) -> Result<Option<Header>, Error> {
        let place = self.place(key);
        let slot = &self.slots[place];
        match &slot.document {
            State::AsItWas => self.host.header(slot.key),
            State::Now(document) => Ok(Some(document.header())),
            State::Gone => Ok(None),
        }
    }

    fn insert(&mut self, key: &[u8], document: Document) -> Result<(), Error> {
        let left = self.left();
        let place = self.place(key);
        let slot = &mut self.slots[place];
        if slot.existed.is_none() {
            let before = self.host.edit(slot.key)?.map(|document| document.len());
            slot.existed = Some(before.is_some());
            slot.before = before.unwrap_or_default();
        }
        left.plus(slot.before.max(slot.len())).check(document.len())?;
        slot.document = State::Now(document);
        slot.deadline = State::Gone;
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<bool, Error> {
        let place = self.place(key);
        let slot = &mut self.slots[place];
        let held = match &slot.document {
            State::AsItWas => self.host.edit(slot.key)?.map(|document| document.len()),
            State::Now(_) => Some(slot.before),
            State::Gone => None,
        };
        if let Some(before) = held {
            slot.before = before;
            slot.existed.get_or_insert(true);
            slot.document = State::Gone;
        }
        Ok(held.is_some())
    }

    fn deadline(&mut self, key: &[u8]) -> Option<Time> {
        let place = self.place(key);
        match self.slots[place].deadline {
            State::AsItWas => self.host.deadline(self.slots[place].key),
            State::Now(deadline) => Some(deadline),
            State::Gone => None,
        }
    }

    fn policies(&self) -> &Policies {
        self.host.policies()
    }

    fn policies_mut(&mut self) -> &mut Policies {
        self.host.policies_mut()
    }

    fn finish(&mut self, done: &Done<'_>) {
        for touched in done.touched {
            let slot = self.slot(touched.key);
            slot.add(touched.effect);
            slot.header = touched.header;
            let grown = slot.len().saturating_sub(slot.before);
            let grew = std::mem::replace(&mut slot.grown, grown);
            match touched.deadline {
                Deadline::Keep => {}
                Deadline::Move { to, .. } => slot.deadline = State::Now(to),
                Deadline::Clear => slot.deadline = State::Gone,
            }
            self.held = self.held - grew + grown;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::Keyspace;

    #[test]
    fn few_keys_and_many_are_found_and_no_others() {
        for count in [1, FEW, FEW + 1, FEW + 2, 5 * FEW] {
            let names: Vec<String> = (0..count).map(|number| format!("key{number}")).collect();
            // Each is named twice.
            let keys: Vec<&[u8]> = names.iter().chain(&names).map(String::as_bytes).collect();
            let mut keyspace = Keyspace::default();
            for (number, key) in keys.iter().enumerate() {
                let text = format!("[{}]", number % count);
                keyspace.execute(&[b"MODEL.CREATE", key, text.as_bytes()], 1).unwrap();
            }
            let number = keys.len().to_string();
            let mut words = vec![&b"MODEL.EXEC"[..], number.as_bytes()];
            words.extend(&keys);
            for key in &keys[..count] {
                words.extend([b"4", &b"MODEL.INCRBY"[..], key, b"$[0]", b"1"]);
            }
            let sums = (1..=count).map(|sum| Value::Bulk(sum.to_string().into_bytes())).collect();
            assert_eq!(keyspace.execute(&words, 2), Ok(Value::Array(sums)));
            words.extend([b"2", &b"MODEL.GET"[..], b"stranger"]);
            let error = keyspace.execute(&words, 3).unwrap_err().to_string();
            assert!(error.contains("not among the keys"), "{error}");
        }
    }
}
