//! The embedded host: a keyspace in memory that answers what a server with the module answers.
//!
//! It holds no clock: each call says what time it is, so that whoever embeds it can move time on.

mod glob;
mod keys;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::command;
use crate::host::{Deadline, Done, Effect, Host};
use crate::{Document, Draft, Error, Leases, Limits, Millis, Policies, Recorder, Time, Value, lifetime};

/// What the clocks of whoever embeds a keyspace tell at one call.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// The wall clock, in milliseconds since the epoch.
    pub now: Time,
    /// Milliseconds that go on whatever is done to the wall clock.
    pub monotonic: Millis,
}

/// The wall clock alone: what it steps back is lost to leases, and nothing more.
impl From<Time> for Clocks {
    fn from(now: Time) -> Self {
        Self { now, monotonic: now }
    }
}

/// One database: its documents and policies.
#[derive(Debug, Default)]
pub struct Keyspace {
    slots: HashMap<Arc<[u8]>, Slot>,
    /// The keys in the order in which they came, by the numbers of their slots.
    order: BTreeMap<u64, Arc<[u8]>>,
    /// The keys that have a deadline, soonest first.
    due: BTreeSet<(Time, Arc<[u8]>)>,
    policies: Policies,
    limits: Limits,
    leases: Leases,
}

#[derive(Debug)]
struct Slot {
    document: Document,
    deadline: Option<Time>,
    number: u64,
}

impl Keyspace {
    /// Answers one call: the words of a command as a client sends them, and when it is.
    pub fn execute(&mut self, words: &[&[u8]], clocks: impl Into<Clocks>) -> Result<Value, Error> {
        let clocks = clocks.into();
        let now = lifetime::clock(clocks.now)?;
        self.expire(now);
        if let Some(answer) = keys::execute(self, words, now) {
            return answer;
        }
        let (entry, names) = command::find(words)?;
        entry.check_arity(words.len() - names)?;
        let mut reply = Recorder::default();
        command::execute(entry, &words[names..], &mut Opened { keyspace: self, clocks }, &mut reply)?;
        Ok(reply.into_value())
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The same, to set them.
    pub fn limits_mut(&mut self) -> &mut Limits {
        &mut self.limits
    }

    fn expire(&mut self, now: Time) {
        while let Some((deadline, key)) = self.due.first()
            && *deadline <= now
        {
            let key = Arc::clone(key);
            self.remove(&key);
        }
    }

    /// Puts a document under a key, whatever is there. The key keeps its place in the order.
    fn put(&mut self, key: &[u8], document: Document, deadline: Option<Time>) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.document = document;
        } else {
            let number = self.order.last_key_value().map_or(1, |(last, _)| last + 1);
            let key: Arc<[u8]> = key.into();
            self.order.insert(number, Arc::clone(&key));
            self.slots.insert(key, Slot { document, deadline: None, number });
        }
        self.set_deadline(key, deadline);
    }

    fn remove(&mut self, key: &[u8]) -> Option<Slot> {
        let (key, slot) = self.slots.remove_entry(key)?;
        self.order.remove(&slot.number);
        if let Some(deadline) = slot.deadline {
            self.due.remove(&(deadline, key));
        }
        Some(slot)
    }

    /// Moves or clears a deadline; one that is past deletes at the next call.
    fn set_deadline(&mut self, key: &[u8], deadline: Option<Time>) {
        let Some((shared, _)) = self.slots.get_key_value(key) else {
            return;
        };
        let shared = Arc::clone(shared);
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut slot.deadline, deadline);
        if let Some(before) = before {
            self.due.remove(&(before, Arc::clone(&shared)));
        }
        if let Some(deadline) = deadline {
            self.due.insert((deadline, shared));
        }
    }
}

/// The keyspace for the time of one command.
struct Opened<'a> {
    keyspace: &'a mut Keyspace,
    clocks: Clocks,
}

impl Host for Opened<'_> {
    fn now(&self) -> Time {
        self.clocks.now
    }

    fn lease_time(&mut self) -> Time {
        self.keyspace.leases.time(self.clocks.now, self.clocks.monotonic)
    }

    fn fence(&self) -> i64 {
        self.keyspace.leases.fence()
    }

    fn raise_fence(&mut self, number: i64) {
        self.keyspace.leases.raise_fence(number);
    }

    fn decides(&self) -> bool {
        true
    }

    fn limits(&self) -> &Limits {
        &self.keyspace.limits
    }

    fn read(&mut self, key: &[u8]) -> Result<Option<&Document>, Error> {
        Ok(self.keyspace.slots.get(key).map(|slot| &slot.document))
    }

    fn edit(&mut self, key: &[u8]) -> Result<Option<Draft<'_>>, Error> {
        let Keyspace { slots, limits, .. } = &mut *self.keyspace;
        Ok(slots.get_mut(key).map(|slot| limits.draft(&mut slot.document)))
    }

    fn insert(&mut self, key: &[u8], document: Document) -> Result<(), Error> {
        self.keyspace.put(key, document, None);
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<bool, Error> {
        Ok(self.keyspace.remove(key).is_some())
    }

    fn deadline(&mut self, key: &[u8]) -> Option<Time> {
        self.keyspace.slots.get(key)?.deadline
    }

    fn policies(&self) -> &Policies {
        &self.keyspace.policies
    }

    fn policies_mut(&mut self) -> &mut Policies {
        &mut self.keyspace.policies
    }

    /// In one process there is nobody to replicate to or to notify: only deadlines are left.
    fn finish(&mut self, done: &Done<'_>) {
        for touched in done.touched {
            match touched.deadline {
                _ if touched.effect == Effect::Deleted => {}
                Deadline::Keep => {}
                Deadline::Move { to, .. } => self.keyspace.set_deadline(touched.key, Some(to)),
                Deadline::Clear => self.keyspace.set_deadline(touched.key, None),
            }
        }
    }
}
