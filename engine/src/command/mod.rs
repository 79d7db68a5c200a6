//! The command table and the one way through a command: parse, run, decide, finish.
//!
//! A command is declared once, as a row beside its function, in the file of its family; [`TABLE`] lists the
//! rows in the order of the reference. Registration in a server, `_RO` twins, the embedded engine's dispatch,
//! the Python constants, the generated reference and the test matrix all read this table.

mod args;
mod assign;
mod condition;
mod container;
mod default;
mod document;
mod edit;
mod exec;
mod inspect;
mod lock;
mod number;
mod policy;
mod queue;
mod replay;
mod require;
mod set;
mod table;
mod ttl;
mod value;

use smallvec::SmallVec;

pub use args::{Arg, Args, Kind};
use default::Defaults;
use require::Requirements;
pub use table::{Entry, TABLE, entries, find};

use crate::equality::Equality;
use crate::host::{Deadline, Done, Effect, Host, Touched};
use crate::node::By;
use crate::reply::Answer;
use crate::version::Expected;
use crate::{Document, Draft, Error, Groups, Header, Path, Reply, Time, lifetime};

/// A row of the table.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "the columns of a table are independent of each other")]
pub struct Command {
    /// Without the `MODEL.` prefix: `APPEND`.
    pub name: &'static str,
    /// The word after the name where the command is one of a family: `MODEL.TTL GET`.
    pub subcommand: Option<&'static str>,
    /// One line, for the reference and `COMMAND DOCS`.
    pub summary: &'static str,
    pub access: Access,
    /// Whether its reply or a condition tells something of the values that are there, so that its caller must be
    /// allowed to read the key. Lengths, types and the presence of names are told to whoever may write.
    pub tells: bool,
    /// Its action groups.
    pub groups: Groups,
    /// The case in which its action groups are others, in words, and those.
    pub special: Option<(&'static str, Groups)>,
    pub keys: Keys,
    pub args: &'static [Arg],
    /// Takes `NOREFRESH`.
    pub norefresh: bool,
    /// Takes `EXPECT-POLICY`: it may create a document.
    pub creates: bool,
    /// Takes `IFVERSION`: it works on one document that may be there, and does it at one version of it only.
    pub ifversion: bool,
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
    /// Writes documents. It never makes them grow, or, as a batch, asks for each of its operations.
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
    /// The first is read, the second is written.
    FromTo,
    All,
    /// As many as the first argument says, behind it.
    Counted,
}

impl Keys {
    /// Where in the arguments of a call they are, the command's name not counted. Behind a count that the command
    /// refuses there are none.
    pub fn range(self, args: &[&[u8]]) -> std::ops::Range<usize> {
        let range = match self {
            Self::None => 0..0,
            Self::First => 0..1,
            Self::FromTo => 0..2,
            Self::All => 0..args.len(),
            Self::Counted => args::counted(args, "").unwrap_or(0..0),
        };
        range.start.min(args.len())..range.end.min(args.len())
    }
}

// Arguments that many rows have.
const KEY: Arg = Arg::new("key", Kind::Key);
const PATH: Arg = Arg::new("path", Kind::Path);
const NX: Arg = Arg::token("NX");
const XX: Arg = Arg::token("XX");
const STRICT_WORD: &str = "STRICT";
const STRICT: Arg = Arg::token(STRICT_WORD).optional();
const DEFAULT: Arg = default::ARG;
const AS_WORD: &str = "AS";
const AS: Arg = Arg::new(
    "equality",
    Kind::Block(&[
        Arg::token(AS_WORD),
        Arg::new("meaning", Kind::OneOf(&[Arg::token("NUMBER"), Arg::token("TIME")])),
    ]),
)
.optional();
const REQUIRE: Arg = require::ARG;

/// The options that say on which terms a command changes what is at its path.
#[derive(Debug, Default)]
pub(crate) struct Terms<'a> {
    /// Whether `STRICT` was given: what is not there, or a condition that is not met, is an error.
    strict: bool,
    /// What elements are compared by: `AS`.
    equality: Equality,
    requirements: Requirements<'a>,
}

impl Terms<'_> {
    /// Those of a command that compares elements by this, and asks for nothing else.
    fn by(equality: Equality) -> Self {
        Self { equality, ..Self::default() }
    }
}

/// One command under way.
///
/// A command takes its arguments, checks everything, changes documents, says what it touched, and replies
/// last: after the first change nothing may fail.
#[expect(clippy::struct_excessive_bools, reason = "what is asked for and what happens is independent")]
pub struct Call<'a> {
    entry: Entry,
    pub(crate) args: Args<'a>,
    pub(crate) host: &'a mut dyn Host,
    pub(crate) reply: Answer<'a>,
    now: Time,
    /// Whether the command has asked for the time.
    timed: bool,
    groups: Groups,
    quiet: bool,
    expects_policy: bool,
    expects_version: Option<Expected>,
    terms: Terms<'a>,
    /// Few calls have any: the others carry no more than a pointer.
    defaults: Option<Box<Defaults<'a>>>,
    touched: SmallVec<[Touched<'a>; 1]>,
    policies_changed: bool,
}

impl Command {
    /// Whether it takes `WITHVERSION`: it works on exactly one document.
    pub fn withversion(&self) -> bool {
        self.keys == Keys::First && (self.ifversion || !self.groups.is_empty())
    }
}

impl<'a> Call<'a> {
    fn new(entry: Entry, args: &'a [&'a [u8]], host: &'a mut dyn Host, reply: &'a mut dyn Reply) -> Self {
        Self {
            entry,
            args: Args::new(args, host.limits()),
            now: host.now(),
            timed: false,
            host,
            reply: Answer::new(reply),
            groups: entry.command.groups,
            quiet: entry.twin,
            expects_policy: false,
            expects_version: None,
            terms: Terms::default(),
            defaults: None,
            touched: SmallVec::new(),
            policies_changed: false,
        }
    }

    fn run(&mut self) -> Result<(), Error> {
        lifetime::clock(self.now)?;
        let result = (self.entry.command.run)(self);
        debug_assert!(
            result.is_err() || self.args.is_empty(),
            "{} leaves arguments unread",
            self.entry.name()
        );
        if let Some(defaults) = &mut self.defaults
            && let Some(key) = defaults.key()
        {
            let changed = |touched: &Touched<'_>| touched.effect == Effect::Changed;
            // What fails or finds nothing to do leaves the document as it was.
            if !(result.is_ok() && self.touched.iter().any(changed))
                && let Some(mut document) = self.host.edit(key)?
            {
                defaults.take_back(&mut document)?;
            }
        }
        result
    }

    /// The time, for what then has to be told to whoever repeats the command.
    pub(crate) fn now(&mut self) -> Time {
        self.timed = true;
        self.now
    }

    /// Takes the next option: `None` at the end, otherwise the declared token it is.
    /// The common ones are dealt with here.
    pub(crate) fn option(&mut self) -> Result<Option<&'static str>, Error> {
        loop {
            match self.args.option(self.entry.command)? {
                Some(args::NOREFRESH) => self.quiet = true,
                Some(args::EXPECT_POLICY) => self.expects_policy = true,
                Some(args::IFVERSION) => self.expects_version = Some(Expected::parse(self.args.word()?)?),
                Some(args::WITHVERSION) => self.reply.announce_version(),
                Some(STRICT_WORD) => self.terms.strict = true,
                Some(AS_WORD) => self.terms.equality = equality(&mut self.args)?,
                Some(require::WORD) => self.terms.requirements.take(&mut self.args)?,
                Some(default::WORD) => self.defaults.get_or_insert_default().take(&mut self.args)?,
                other => return Ok(other),
            }
        }
    }

    /// For commands without options of their own: nothing but the common ones may follow.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        while !self.args.is_empty() {
            self.option()?;
        }
        Ok(())
    }

    /// The document under `key`, to change it below its root, where there must be one. Called when all arguments
    /// are taken.
    pub(crate) fn edit(&mut self, key: &'a [u8]) -> Result<Draft<'_>, Error> {
        self.edit_if_any(key)?.ok_or(Error::NoKey)
    }

    /// The document under `key`, if there is one, to change it below its root, with the members that `DEFAULT` asked for.
    pub(crate) fn edit_if_any(&mut self, key: &'a [u8]) -> Result<Option<Draft<'_>>, Error> {
        self.guard_values(key)?;
        let Some(mut document) = open(self.host, key, self.expects_version)? else {
            return Ok(None);
        };
        document.break_up();
        if let Some(defaults) = &mut self.defaults {
            defaults.add_under(key, &mut document)?;
        }
        Ok(Some(document))
    }

    /// The document under `key`, to look elements of the array at `path` up by their values and to change it.
    pub(crate) fn edit_indexed(&mut self, key: &'a [u8], path: &Path, by: By) -> Result<Draft<'_>, Error> {
        let mut document = self.edit(key)?;
        document.index(path.steps(), by, false);
        Ok(document)
    }

    /// The document under `key`, to change it; refused where `IFVERSION` asked for another version.
    pub(crate) fn try_edit(&mut self, key: &[u8]) -> Result<Option<Draft<'_>>, Error> {
        self.guard_values(key)?;
        open(self.host, key, self.expects_version)
    }

    /// Refuses a command that tells nothing of values, but would do so with its options, to who may not read the key.
    fn guard_values(&mut self, key: &[u8]) -> Result<(), Error> {
        // The version shows whether a write changed anything, and the way of a path with a filter whether it led to
        // anything: whether a value is the one that was guessed.
        if !self.entry.command.tells && (self.reply.awaits_version() || self.args.has_filter()) {
            self.host.permits_reading(key)?;
        }
        Ok(())
    }

    /// The terms of the command, once all arguments are taken.
    pub(crate) fn terms(&mut self) -> Terms<'a> {
        std::mem::take(&mut self.terms)
    }

    /// Refuses `DEFAULT` where the root is replaced: nothing of what is there is used.
    pub(crate) fn refuse_defaults(&self) -> Result<(), Error> {
        match self.defaults {
            None => Ok(()),
            Some(_) => Err(Error::argument(b"$", "DEFAULT is for paths below the root")),
        }
    }

    /// Says that the document under `key` was read, created, changed or deleted.
    #[inline]
    pub(crate) fn touch(&mut self, key: &'a [u8], effect: Effect, header: Header) {
        self.set_deadline(key, effect, Deadline::Keep, header);
    }

    /// Answers how many items of the document under `key` were removed, and says that it changed if any were.
    pub(crate) fn removed(&mut self, key: &'a [u8], items: usize, header: Header) {
        if items > 0 {
            self.touch(key, Effect::Changed, header);
        }
        self.reply.integer(items as i64);
    }

    /// Says that the lifetime of the document under `key` was set; `effect` tells a refresh from a setting.
    #[inline]
    pub(crate) fn set_deadline(&mut self, key: &'a [u8], effect: Effect, deadline: Deadline, header: Header) {
        self.touched.push(Touched { key, effect, deadline, header });
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

    /// Says that this is the case in which the command belongs to other groups.
    pub(crate) fn work_specially(&mut self) {
        if let Some((_, groups)) = self.entry.command.special {
            self.groups = groups;
        }
    }

    /// OK where it was done, nil where a condition kept it from being done.
    pub(crate) fn reply_done(&mut self, done: bool) {
        if done {
            self.reply.ok();
        } else {
            self.reply.null();
        }
    }

    /// The lifetime decision for every key touched, where it is this host's to make.
    fn decide(&mut self) {
        let groups = self.groups;
        if groups.is_empty() {
            // What belongs to no group has said itself what becomes of deadlines.
            return;
        }
        for touched in &mut self.touched {
            let header = &touched.header;
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
            // Asked last: the most frequent reads move nothing.
            if let Some(deadline) = deadline
                && self.host.decides()
            {
                touched.deadline = deadline;
            }
        }
    }

    /// Tells the version of the document that the command worked on, where `WITHVERSION` asked for it.
    fn tell_version(&mut self, args: &[&[u8]]) {
        if !self.reply.awaits_version() {
            return;
        }
        let header = match self.touched.last() {
            Some(touched) => Some(touched.header),
            // Nothing was found in it, or a condition was not met.
            None => self.host.read(args[0]).ok().flatten().map(Document::header),
        };
        self.reply.version(header.map(|header| header.version()));
    }

    /// Whether everything is as it was before.
    fn is_idle(&self) -> bool {
        let idle =
            |touched: &Touched<'_>| touched.effect == Effect::Read && touched.deadline == Deadline::Keep;
        self.touched.iter().all(idle) && !self.policies_changed
    }

    fn finish(&mut self, args: &[&[u8]]) {
        self.host.finish(&Done {
            entry: self.entry,
            args,
            now: self.now,
            timed: self.timed,
            touched: &self.touched,
            policies_changed: self.policies_changed,
        });
    }
}

/// The document under `key`, to change it; refused where it is not at the expected version.
fn open<'h>(
    host: &'h mut dyn Host,
    key: &[u8],
    expected: Option<Expected>,
) -> Result<Option<Draft<'h>>, Error> {
    let document = host.edit(key)?;
    if let Some(expected) = expected {
        expected.check(&document.as_ref().ok_or(Error::NoKey)?.header())?;
    }
    Ok(document)
}

/// Takes what follows `AS`.
fn equality(args: &mut Args<'_>) -> Result<Equality, Error> {
    let meanings = [("NUMBER", Equality::Number), ("TIME", Equality::Time)];
    args.choice(&meanings, "AS takes NUMBER or TIME")
}

/// Takes `AS` and what follows it, if that comes next.
fn optional_equality(args: &mut Args<'_>) -> Result<Equality, Error> {
    if !args.peek().eq_ignore_ascii_case(AS_WORD.as_bytes()) {
        return Ok(Equality::Value);
    }
    args.word()?;
    equality(args)
}

/// What a reader looked for; under `STRICT` there must be a document.
fn found<T>(document: Option<T>, strict: bool) -> Result<Option<T>, Error> {
    if strict && document.is_none() { Err(Error::NoKey) } else { Ok(document) }
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
    let mut call = Call::new(entry, args, host, reply);
    call.run()?;
    call.tell_version(args);
    call.decide();
    if !call.is_idle() {
        call.finish(args);
    }
    Ok(())
}

/// Runs an operation of a batch, whose host hears of every key it touched: a replica, which decides nothing, must
/// count the same ones as its primary.
fn operate<'a>(
    entry: Entry,
    args: &'a [&'a [u8]],
    host: &'a mut dyn Host,
    reply: &'a mut dyn Reply,
) -> Result<(), Error> {
    let mut call = Call::new(entry, args, host, reply);
    call.run()?;
    call.tell_version(args);
    call.decide();
    call.finish(args);
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
    let mut call = Call::new(entry, args, host, reply);
    call.run()?;
    for (touched, replayed) in call.touched.iter_mut().zip(deadlines) {
        let current = call.host.deadline(touched.key);
        touched.deadline = replayed.against(current, touched.effect);
    }
    if !call.is_idle() {
        call.finish(args);
    }
    Ok(())
}
