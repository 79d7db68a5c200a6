//! The command table and the one way through a command: parse, run, decide, finish.
//!
//! A command is declared once, as a row beside its function, in the file of its family; [`TABLE`] lists the
//! rows in the order of the reference. Registration in a server, `_RO` twins, the embedded engine's dispatch,
//! the Python constants, the generated reference and the test matrix all read this table.

mod args;
mod container;
mod document;
mod number;
mod policy;
mod replay;
mod table;
mod ttl;

use smallvec::SmallVec;

pub use args::{Arg, Args, Kind};
pub use table::{Entry, TABLE, entries, find};

use crate::host::{Deadline, Done, Effect, Host, Touched};
use crate::{Error, Groups, Header, Reply, Time, lifetime};

/// A row of the table.
#[derive(Debug)]
pub struct Command {
    /// Without the `MODEL.` prefix: `APPEND`.
    pub name: &'static str,
    /// The word after the name where the command is one of a family: `MODEL.TTL GET`.
    pub subcommand: Option<&'static str>,
    /// One line, for the reference and `COMMAND DOCS`.
    pub summary: &'static str,
    pub access: Access,
    /// Its action groups when it works on the whole document.
    pub groups: Groups,
    /// Its action groups when it works below the root, where they differ.
    pub below: Option<Groups>,
    pub keys: Keys,
    pub args: &'static [Arg],
    /// Takes `NOREFRESH`.
    pub norefresh: bool,
    /// Takes `EXPECT-POLICY`: it may create a document.
    pub creates: bool,
    /// What it answers, in words, for the reference.
    pub reply: &'static str,
    pub run: Run,
}

pub type Run = for<'a> fn(&mut Call<'a>) -> Result<(), Error>;

/// What a command may do to what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads documents; one that belongs to a group may refresh them and has an `_RO` twin that never does.
    Read,
    /// Writes documents and may make them grow: a server out of memory refuses it.
    Grow,
    /// Writes documents and never makes them grow.
    Write,
    /// Reads policies.
    Inspect,
    /// Writes policies.
    Configure,
}

impl Access {
    /// Whether it changes anything but, by way of a refresh, a deadline.
    pub fn writes(self) -> bool {
        matches!(self, Self::Grow | Self::Write | Self::Configure)
    }
}

/// Which arguments are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    None,
    First,
    All,
}

/// One command under way.
///
/// A command takes its arguments, checks everything, changes documents, says what it touched, and replies
/// last: after the first change nothing may fail.
pub struct Call<'a> {
    entry: Entry,
    pub(crate) args: Args<'a>,
    pub(crate) host: &'a mut dyn Host,
    pub(crate) reply: &'a mut dyn Reply,
    pub(crate) now: Time,
    groups: Groups,
    quiet: bool,
    expects_policy: bool,
    touched: SmallVec<[(Touched<'a>, Header); 1]>,
    policies_changed: bool,
}

impl<'a> Call<'a> {
    /// Takes the next option: `None` at the end, otherwise the declared token it is.
    /// `NOREFRESH` and `EXPECT-POLICY` are dealt with here.
    pub(crate) fn option(&mut self) -> Result<Option<&'static str>, Error> {
        loop {
            match self.args.option(self.entry.command)? {
                Some(args::NOREFRESH) => self.quiet = true,
                Some(args::EXPECT_POLICY) => self.expects_policy = true,
                other => return Ok(other),
            }
        }
    }

    /// For commands without options of their own: nothing but the common ones may follow.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        while self.option()?.is_some() {}
        Ok(())
    }

    /// Says that the document under `key` was read, created, changed or deleted.
    pub(crate) fn touch(&mut self, key: &'a [u8], effect: Effect, header: Header) {
        self.touched.push((Touched { key, effect, deadline: Deadline::Keep }, header));
    }

    /// Says that the lifetime of the document under `key` was set; `effect` tells a refresh from a setting.
    pub(crate) fn set_deadline(&mut self, key: &'a [u8], effect: Effect, deadline: Deadline, header: Header) {
        self.touched.push((Touched { key, effect, deadline }, header));
    }

    pub(crate) fn change_policies(&mut self) {
        self.policies_changed = true;
    }

    /// Refuses to create what no policy covers, where the client asked for one. Called before creating.
    pub(crate) fn check_policy(&self, key: &[u8]) -> Result<(), Error> {
        if self.expects_policy && self.host.decides() && self.host.policies().find(key).is_none() {
            return Err(Error::NoPolicy { key: crate::error::printable(key) });
        }
        Ok(())
    }

    /// Says that the command works below the root, where it may belong to other groups.
    pub(crate) fn work_below(&mut self) {
        self.groups = self.entry.command.below.unwrap_or(self.groups);
    }

    /// OK where it was done, nil where a condition kept it from being done.
    pub(crate) fn reply_done(&mut self, done: bool) {
        if done {
            self.reply.ok();
        } else {
            self.reply.null();
        }
    }

    /// The lifetime decision for every key touched.
    fn decide(&mut self) {
        let groups = self.groups;
        for (touched, header) in &mut self.touched {
            let deadline = match touched.effect {
                Effect::Created => self
                    .host
                    .policies()
                    .find(touched.key)
                    .and_then(|policy| lifetime::initial(policy, header, self.now)),
                Effect::Read | Effect::Changed if !self.quiet && touched.deadline == Deadline::Keep => {
                    // A policy that does not refresh on these groups spares the look at the deadline.
                    match self.host.policies().find(touched.key).copied() {
                        Some(policy) if policy.refresh.intersects(groups) => {
                            self.host.deadline(touched.key).and_then(|current| {
                                lifetime::refresh(&policy, header, groups, self.now, current)
                            })
                        }
                        _ => None,
                    }
                }
                _ => None,
            };
            if let Some(deadline) = deadline {
                touched.deadline = deadline;
            }
        }
    }
}

/// Runs a command, decides about lifetimes and has the host finish.
///
/// Whoever dispatches has checked the number of arguments: a server by itself, the embedded host by
/// [`Entry::check_arity`].
///
/// `args` are the arguments after the command's name and subcommand. On an error nothing was changed and
/// nothing was replied.
pub fn execute<'a>(
    entry: Entry,
    args: &'a [&'a [u8]],
    host: &'a mut dyn Host,
    reply: &'a mut dyn Reply,
) -> Result<(), Error> {
    let mut call = run(entry, args, host, reply)?;
    if call.host.decides() {
        call.decide();
    }
    finish(&mut call, args);
    Ok(())
}

/// Runs a command again that a primary ran: the time and the deadlines are the primary's, no policy is asked.
///
/// `deadlines` is what [`Done::deadlines`] wrote there.
pub fn replay<'a>(
    entry: Entry,
    args: &'a [&'a [u8]],
    deadlines: &[u8],
    host: &'a mut dyn Host,
    reply: &'a mut dyn Reply,
) -> Result<(), Error> {
    let deadlines = replay::parse(deadlines)?;
    let mut call = run(entry, args, host, reply)?;
    for ((touched, _), replayed) in call.touched.iter_mut().zip(deadlines) {
        let current = call.host.deadline(touched.key);
        touched.deadline = replayed.against(current, touched.effect);
    }
    finish(&mut call, args);
    Ok(())
}

fn run<'a>(
    entry: Entry,
    args: &'a [&'a [u8]],
    host: &'a mut dyn Host,
    reply: &'a mut dyn Reply,
) -> Result<Call<'a>, Error> {
    let mut call = Call {
        entry,
        args: Args::new(args),
        now: host.now(),
        host,
        reply,
        groups: entry.command.groups,
        quiet: entry.twin,
        expects_policy: false,
        touched: SmallVec::new(),
        policies_changed: false,
    };
    (entry.command.run)(&mut call)?;
    debug_assert!(call.args.is_empty(), "{} leaves arguments unread", entry.name());
    Ok(call)
}

fn finish(call: &mut Call<'_>, args: &[&[u8]]) {
    let idle = |(touched, _): &(Touched<'_>, Header)| {
        touched.effect == Effect::Read && touched.deadline == Deadline::Keep
    };
    if call.touched.iter().all(idle) && !call.policies_changed {
        return;
    }
    let touched: SmallVec<[Touched<'_>; 1]> = call.touched.iter().map(|(touched, _)| *touched).collect();
    call.host.finish(&Done {
        entry: call.entry,
        args,
        now: call.now,
        touched: &touched,
        policies_changed: call.policies_changed,
    });
}
