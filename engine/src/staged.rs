//! A host over a host: what the operations of a batch do stays here until all of them have succeeded.

use std::collections::HashMap;

use crate::host::{Deadline, Done, Effect, Host, Touched};
use crate::{Document, Error, Header, Policies, Time};

/// The keys of a batch, as its operations so far have left them.
pub(crate) struct Staged<'h, 'k> {
    host: &'h mut dyn Host,
    slots: Vec<Slot<'k>>,
    /// Where in `slots` a key is.
    places: HashMap<&'k [u8], usize>,
}

struct Slot<'k> {
    key: &'k [u8],
    document: State<Document>,
    deadline: State<Time>,
    /// What the operations amount to.
    effect: Option<Effect>,
    /// Whether a document was there before the batch; asked for when the first operation creates or deletes.
    existed: Option<bool>,
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
        let mut slots = Vec::with_capacity(keys.len());
        let mut places = HashMap::with_capacity(keys.len());
        for key in keys {
            places.entry(*key).or_insert_with(|| {
                let (document, deadline) = (State::AsItWas, State::AsItWas);
                slots.push(Slot { key, document, deadline, effect: None, existed: None });
                slots.len() - 1
            });
        }
        Self { host, slots, places }
    }

    pub(crate) fn knows(&self, key: &[u8]) -> bool {
        self.places.contains_key(key)
    }

    fn slot(&mut self, key: &[u8]) -> &mut Slot<'k> {
        let place = self.places[key];
        &mut self.slots[place]
    }

    /// Does to the host what was staged, and says what became of each key that was touched.
    pub(crate) fn commit(self) -> Result<Vec<(Touched<'k>, Header)>, Error> {
        let Self { host, slots, .. } = self;
        let mut touched = Vec::with_capacity(slots.len());
        for Slot { key, document, deadline, effect, .. } in slots {
            let Some(effect) = effect else { continue };
            let before = if effect == Effect::Created { None } else { host.deadline(key) };
            let header = match document {
                // Only looked at, or its deadline moved.
                State::AsItWas => host.read(key)?.map(Document::header),
                State::Gone => {
                    let header = host.edit(key)?.map(|document| document.header());
                    host.remove(key)?;
                    header
                }
                State::Now(document) => {
                    let header = document.header();
                    match host.edit(key)? {
                        Some(current) if effect != Effect::Created => *current = document,
                        current => {
                            // Made anew: nothing of what was there may stay, its deadline neither.
                            if current.is_some() {
                                host.remove(key)?;
                            }
                            host.insert(key, document)?;
                        }
                    }
                    Some(header)
                }
            };
            let Some(header) = header else { continue };
            let deadline = match deadline {
                _ if effect == Effect::Deleted => Deadline::Keep,
                State::AsItWas => Deadline::Keep,
                State::Now(to) => change(effect, before, Some(to)),
                State::Gone => change(effect, before, None),
            };
            touched.push((Touched { key, effect, deadline }, header));
        }
        Ok(touched)
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

impl Slot<'_> {
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

    fn decides(&self) -> bool {
        self.host.decides()
    }

    fn permits(&mut self, words: &[&[u8]]) -> Result<(), Error> {
        self.host.permits(words)
    }

    fn read(&mut self, key: &[u8]) -> Result<Option<&Document>, Error> {
        let place = self.places[key];
        match &self.slots[place].document {
            State::AsItWas => self.host.read(self.slots[place].key),
            State::Now(document) => Ok(Some(document)),
            State::Gone => Ok(None),
        }
    }

    fn edit(&mut self, key: &[u8]) -> Result<Option<&mut Document>, Error> {
        let place = self.places[key];
        let slot = &mut self.slots[place];
        if matches!(slot.document, State::AsItWas)
            && let Some(document) = self.host.edit(slot.key)?
        {
            slot.document = State::Now(document.clone());
        }
        match &mut slot.document {
            State::Now(document) => Ok(Some(document)),
            State::AsItWas | State::Gone => Ok(None),
        }
    }

    fn insert(&mut self, key: &[u8], document: Document) -> Result<(), Error> {
        let place = self.places[key];
        let slot = &mut self.slots[place];
        if slot.existed.is_none() {
            slot.existed = Some(self.host.edit(slot.key)?.is_some());
        }
        slot.document = State::Now(document);
        slot.deadline = State::Gone;
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<bool, Error> {
        let held = self.edit(key)?.is_some();
        let slot = self.slot(key);
        if held {
            slot.existed.get_or_insert(true);
            slot.document = State::Gone;
        }
        Ok(held)
    }

    fn deadline(&mut self, key: &[u8]) -> Option<Time> {
        let place = self.places[key];
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
            match touched.deadline {
                Deadline::Keep => {}
                Deadline::Move { to, .. } => slot.deadline = State::Now(to),
                Deadline::Clear => slot.deadline = State::Gone,
            }
        }
    }
}
