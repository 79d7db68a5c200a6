//! What a host offers to a command, and what it is told when the command is done.

use crate::command::Entry;
use crate::limits::{Bound, Limit, Limits};
use crate::node::By;
use crate::path::Step;
use crate::{Document, Draft, Error, Header, Policies, Time};

/// One database of a host, opened for one command.
///
/// A command reads and edits documents through it and never touches a deadline itself: it reports what it
/// did, the engine decides about lifetimes, and [`Host::finish`] is the one place where both become effects.
pub trait Host {
    /// Milliseconds since the epoch, taken once for the whole command.
    fn now(&self) -> Time;

    /// The time by which leases are counted, the one of [`Leases::time`](crate::Leases::time); in a replicated command
    /// what it was where the command came from.
    fn lease_time(&mut self) -> Time;

    /// The highest fencing number given out.
    fn fence(&self) -> i64;

    fn raise_fence(&mut self, number: i64);

    /// Whether this host evaluates policies now: a primary does; a replica, a loading server and a replayed
    /// command do not.
    fn decides(&self) -> bool;

    /// Whether the client may run a command inside a batch: `words` are the batch's own arguments, the command's
    /// name first. A host without permissions lets everybody.
    fn permits(&mut self, _words: &[&[u8]]) -> Result<(), Error> {
        Ok(())
    }

    /// Whether the client may set the lifetime of every key that starts with `prefix`. A host without permissions
    /// lets everybody.
    fn permits_prefix(&mut self, _prefix: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    /// Whether the client may read the document under `key`. A host without permissions lets everybody.
    fn permits_reading(&mut self, _key: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    /// What this command is held to: a client's to what is configured, a replayed one to [`Limits::TOP`].
    fn limits(&self) -> &Limits;

    /// How many more bytes memory has room for, asked before a batch makes documents grow. `OOM` where memory is full.
    fn spare_memory(&mut self) -> Result<usize, Error> {
        Ok(usize::MAX)
    }

    /// How long the command's reply may be.
    fn reply_bound(&self) -> Bound {
        self.limits().bound(Limit::Reply)
    }

    /// The document under `key`, looked up for reading. `WRONGTYPE` for a key of another type.
    fn read(&mut self, key: &[u8]) -> Result<Option<&Document>, Error>;

    /// The document under `key`, looked up for writing. What is done to it stays, so a command checks first.
    fn edit(&mut self, key: &[u8]) -> Result<Option<Draft<'_>>, Error>;

    /// The header of the document under `key`, looked up for writing: of one that may be about to go.
    fn header(&mut self, key: &[u8]) -> Result<Option<Header>, Error> {
        Ok(self.edit(key)?.map(|document| document.header()))
    }

    /// Puts a document where there is none.
    fn insert(&mut self, key: &[u8], document: Document) -> Result<(), Error>;

    /// Removes the document under `key`; whether there was one.
    fn remove(&mut self, key: &[u8]) -> Result<bool, Error>;

    /// The deadline of an existing key; `None` for one that does not expire.
    fn deadline(&mut self, key: &[u8]) -> Option<Time>;

    /// The policies of the selected database.
    fn policies(&self) -> &Policies;

    /// The same, to change them.
    fn policies_mut(&mut self) -> &mut Policies;

    /// Applies what a command did: deadlines, replication, signals and events. Called once, after success.
    fn finish(&mut self, done: &Done<'_>);
}

impl dyn Host + '_ {
    /// The document under `key`, to read below its root.
    pub(crate) fn read_below(&mut self, key: &[u8]) -> Result<Option<&Document>, Error> {
        if self.read(key)?.is_some_and(Document::is_unbroken)
            && let Some(mut document) = self.edit(key)?
        {
            // Another form of the same value: nobody needs to hear of it.
            document.break_up();
        }
        self.read(key)
    }

    /// The document under `key`, to look elements of the array at `steps` up by their values.
    pub(crate) fn read_indexed(
        &mut self,
        key: &[u8],
        steps: &[Step],
        by: By,
    ) -> Result<Option<&Document>, Error> {
        if self.read_below(key)?.is_some_and(|document| document.is_unindexed(steps, by))
            && let Some(mut document) = self.edit(key)?
        {
            document.index(steps, by, false);
        }
        self.read(key)
    }
}

/// What a command did, for [`Host::finish`].
#[derive(Debug)]
pub struct Done<'a> {
    pub entry: Entry,
    /// The arguments after the command's name (and its subcommand's), options included.
    pub args: &'a [&'a [u8]],
    pub now: Time,
    /// Whether the command asked for the time.
    pub timed: bool,
    /// The keys it touched, in a fixed order. Empty for a miss and for a change of policies.
    pub touched: &'a [Touched<'a>],
    /// Whether the policies changed.
    pub policies_changed: bool,
}

impl Done<'_> {
    /// Whether the same words do the same to the same documents at any time, also where no policy is asked, so that
    /// nothing has to be told beside them.
    pub fn is_repeatable(&self) -> bool {
        // Commands without groups set deadlines and leases themselves, or run others that may ask for the time.
        !self.entry.command.groups.is_empty()
            && !self.timed
            && !self.policies_changed
            && self.touched.iter().all(|touched| touched.deadline == Deadline::Keep)
    }
}

/// One key a command touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touched<'a> {
    pub key: &'a [u8],
    pub effect: Effect,
    /// What happens to its deadline.
    pub deadline: Deadline,
    /// What its document remembers, or did before it was deleted.
    pub header: Header,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Looked at; the document is as it was.
    Read,
    Created,
    Changed,
    Deleted,
    /// Its lifetime was set explicitly: an event like the server's own `EXPIRE`, the text as it was.
    Lifetime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Stays as it is.
    Keep,
    /// Moves to `to`; `shortened` when the key was to live longer before.
    Move { to: Time, shortened: bool },
    /// Goes away: the document lives on.
    Clear,
}
