//! One command of a client: the engine runs it over the server's keyspace, and what it did becomes effects here.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::ptr;
use std::rc::Rc;

use rapyer_engine::command::{Entry, TABLE, execute, replay};
use rapyer_engine::{
    Deadline, Discard, Document, Done, Draft, Effect, Error, Host, Limits, Policies, Time, Touched, lifetime,
};
use smallvec::SmallVec;

use crate::ffi::{self, Answer, Audience, Caller, Context, Flags, Key, Mode, Text, Word};
use crate::replay::{EXPIREAT, REPLAY};
use crate::{faults, listeners, memory, names, policies};

/// Runs a command of the table. `words` are all words of the call, the command's name first.
pub(crate) fn run(
    row: usize,
    twin: bool,
    context: Context<'_>,
    words: &[Word<'_>],
    answer: &mut Answer<'_>,
) -> Result<(), Error> {
    let entry = Entry { command: TABLE[row], twin };
    let names = 1 + usize::from(entry.command.subcommand.is_some());
    let (name, words) = (words[0], &words[names..]);
    let args = arguments(words);
    let now = context.now();
    // Readers get by without them, mostly.
    let flags = entry.command.access.writes().then(|| context.flags());
    if flags.is_some_and(Flags::obeys) {
        return repeat(row, context, words, &args, answer)
            .inspect_err(|error| context.warn(&format!("{}: {error}", name.bytes().escape_ascii())));
    }
    let mut server = Server::new(row, context, words, &args, now, Part::Client, flags);
    execute(entry, &args, &mut server, answer)
}

/// Runs a command that another server has run and sent in its client's words.
#[cold]
fn repeat(
    row: usize,
    context: Context<'_>,
    words: &[Word<'_>],
    args: &[&[u8]],
    answer: &mut Answer<'_>,
) -> Result<(), Error> {
    // Nothing follows from the time; a clock that is off is no reason to refuse.
    let now = context.now().clamp(0, lifetime::MAX_TIME);
    let mut server = Server::new(row, context, words, args, now, Part::Replay, None);
    let no_deadlines = b"";
    replay(Entry { command: TABLE[row], twin: false }, args, no_deadlines, &mut server, answer)
}

/// Runs a command that another server has run, with its time and its deadlines.
pub(crate) fn run_again(
    row: usize,
    context: Context<'_>,
    (now, lease_time): (Time, Option<Time>),
    deadlines: &[u8],
    words: &[Word<'_>],
) -> Result<(), Error> {
    let entry = Entry { command: TABLE[row], twin: false };
    let args = arguments(words);
    entry.check_arity(args.len())?;
    let mut server = Server::new(row, context, words, &args, now, Part::Replay, None);
    server.lease_time = lease_time;
    replay(entry, &args, deadlines, &mut server, &mut Discard)
}

fn arguments<'c>(words: &[Word<'c>]) -> SmallVec<[&'c [u8]; 8]> {
    // Room for all of them at once.
    words.iter().map(|word| word.bytes()).collect()
}

/// Who asked for the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Client,
    Replay,
}

/// How many arguments are looked at before all of them are put in order.
const NEAR: usize = 16;

/// The server's selected database, for one command.
struct Server<'c> {
    /// The command's row in the table.
    row: usize,
    context: Context<'c>,
    /// The state of the server, once it has been asked for.
    flags: OnceCell<Flags>,
    /// The arguments as the server's strings and as bytes, side by side.
    words: &'c [Word<'c>],
    args: &'c [&'c [u8]],
    now: Time,
    /// The time of leases, once that has been asked or told.
    lease_time: Option<Time>,
    part: Part,
    limits: Limits,
    /// The policies of the selected database as the command found them. Others' code that runs on the way may set
    /// new ones, so nothing of the table itself stays borrowed.
    policies: Rc<Policies>,
    /// Who calls, once that has been asked.
    caller: Option<Caller<'c>>,
    /// The key in use and the place of its argument. There is never a second one: two handles on one key, named
    /// twice, would outlive each other's value.
    open: Option<(usize, Key<'c>)>,
    /// The argument that was looked for last: keys are asked for in their order, mostly.
    last: usize,
    /// Where the arguments are, for commands that ask for theirs in another order.
    places: Option<HashMap<*const u8, usize>>,
}

impl<'c> Server<'c> {
    fn new(
        row: usize,
        context: Context<'c>,
        words: &'c [Word<'c>],
        args: &'c [&'c [u8]],
        now: Time,
        part: Part,
        flags: Option<Flags>,
    ) -> Self {
        let limits = match part {
            Part::Client => ffi::limits(),
            Part::Replay => Limits::TOP,
        };
        Self {
            row,
            context,
            flags: flags.map_or_else(OnceCell::new, OnceCell::from),
            words,
            args,
            now,
            lease_time: None,
            part,
            limits,
            policies: policies::of(context.database()),
            caller: None,
            open: None,
            last: 0,
            places: None,
        }
    }

    fn flags(&self) -> Flags {
        *self.flags.get_or_init(|| self.context.flags())
    }

    /// The place of the argument that is this very key.
    #[inline]
    fn place(&mut self, key: &[u8]) -> usize {
        if !self.args.get(self.last).is_some_and(|arg| ptr::eq(*arg, key)) {
            self.last = self.other_place(key);
        }
        self.last
    }

    #[inline(never)]
    fn other_place(&mut self, key: &[u8]) -> usize {
        let args = self.args;
        let near = |first: usize, most: usize| {
            let place = args[first..].iter().take(most).position(|arg| ptr::eq(*arg, key))?;
            Some(first + place)
        };
        // Most commands go on to the next key; a batch comes back to its keys, which are at the start.
        let near = near(self.last, 2).or_else(|| near(0, NEAR)).or_else(|| near(self.last, NEAR));
        near.unwrap_or_else(|| {
            let places = self
                .places
                .get_or_insert_with(|| args.iter().enumerate().map(|(at, arg)| (arg.as_ptr(), at)).collect());
            *places.get(&key.as_ptr()).expect("a command names keys by its own arguments")
        })
    }

    fn word(&mut self, key: &[u8]) -> Word<'c> {
        let place = self.place(key);
        self.words[place]
    }

    fn is_open(&self, key: &[u8]) -> bool {
        self.open.as_ref().is_some_and(|(at, _)| ptr::eq(self.args[*at], key))
    }

    /// The key, open for at least this.
    fn key(&mut self, key: &[u8], mode: Mode) -> Result<&mut Key<'c>, Error> {
        let suffices = self.is_open(key) && self.open.as_ref().is_some_and(|(_, open)| open.allows(mode));
        if !suffices {
            // Closed before it is opened again: what a writer did reaches the server first.
            self.open = None;
            let place = self.place(key);
            let opened = Key::open(self.context, self.words[place], mode)?;
            return Ok(&mut self.open.insert((place, opened)).1);
        }
        Ok(&mut self.open.as_mut().expect("it is open").1)
    }

    fn caller(&mut self) -> &Caller<'c> {
        self.caller.get_or_insert_with(|| Caller::of(self.context))
    }

    /// Carries out what was decided about a key's deadline.
    fn move_deadline(&mut self, touched: &Touched<'_>) {
        let deadline = match touched.deadline {
            Deadline::Keep => return,
            Deadline::Move { to, .. } => Some(to),
            Deadline::Clear => None,
        };
        // Others' code has run since where the document was created: it may have gone again.
        if let Ok(key) = self.key(touched.key, Mode::Again) {
            key.set_deadline(deadline);
        }
    }

    /// Replicates the command once: as it came where that says it all, else with the time and the deadlines it got
    /// here.
    fn replicate(&mut self, done: &Done<'_>) {
        if self.part == Part::Replay
            || done.is_repeatable()
            || !listeners::any(self.context, self.flags(), self.now)
        {
            // Without listeners it only counts as a change that the next snapshot has to hold.
            self.context.replicate_verbatim();
            return;
        }
        let changes =
            done.policies_changed || done.touched.iter().any(|touched| touched.effect != Effect::Read);
        if changes {
            let mut header: SmallVec<[u8; 96]> = SmallVec::new();
            header.extend_from_slice(names::word(self.row));
            header.push(b' ');
            header.extend_from_slice(itoa::Buffer::new().format(done.now).as_bytes());
            if let Some(lease_time) = self.lease_time {
                header.push(b',');
                header.extend_from_slice(itoa::Buffer::new().format(lease_time).as_bytes());
            }
            header.push(b' ');
            done.write_deadlines(|word| header.extend_from_slice(word));
            self.context.replicate_behind(REPLAY, &header, self.words);
            return;
        }
        let moved: SmallVec<[(Word<'c>, Time); 1]> = done
            .touched
            .iter()
            .filter_map(|touched| match touched.deadline {
                Deadline::Move { to, .. } => Some((self.word(touched.key), to)),
                Deadline::Keep | Deadline::Clear => None,
            })
            .collect();
        match moved.as_slice() {
            [] => {}
            // The most frequent of all: without strings of our own, and without an array.
            [(key, to)] => self.context.replicate_number(EXPIREAT, *key, *to),
            several => {
                let moments: Vec<Text> = several.iter().map(|(_, to)| Text::number(*to)).collect();
                let keys = several.iter().map(|(key, _)| *key);
                let words: Vec<Word<'_>> =
                    keys.zip(&moments).flat_map(|(key, to)| [key, to.word()]).collect();
                self.context.replicate(EXPIREAT, &words, Audience::Everyone);
            }
        }
    }

    /// Tells those who watch, cache or listen: of changes, never of a refresh.
    fn announce(&mut self, done: &Done<'_>) {
        for touched in done.touched {
            let shortened = matches!(touched.deadline, Deadline::Move { shortened: true, .. });
            if touched.effect == Effect::Read && !shortened {
                continue;
            }
            let key = self.word(touched.key);
            self.context.signal_modified(key);
            match touched.effect {
                Effect::Created | Effect::Changed => {
                    self.context.notify_module(names::event(self.row), key);
                    if shortened {
                        self.context.notify_generic(c"expire", key);
                    }
                }
                Effect::Deleted => self.context.notify_generic(c"del", key),
                Effect::Read | Effect::Lifetime => {
                    self.context.notify_generic(lifetime_event(touched), key);
                }
            }
        }
    }
}

impl Host for Server<'_> {
    fn now(&self) -> Time {
        self.now
    }

    fn lease_time(&mut self) -> Time {
        let (context, now) = (self.context, self.now);
        if self.part == Part::Replay {
            // The first release counted leases by the wall clock.
            let told = *self.lease_time.get_or_insert(now);
            policies::with_leases(|leases| leases.follow(told));
            return told;
        }
        *self
            .lease_time
            .get_or_insert_with(|| policies::with_leases(|leases| leases.time(now, context.monotonic())))
    }

    fn fence(&self) -> i64 {
        policies::with_leases(|leases| leases.fence())
    }

    fn raise_fence(&mut self, number: i64) {
        policies::with_leases(|leases| leases.raise_fence(number));
    }

    fn decides(&self) -> bool {
        // During a pause a reader leaves deadlines alone; writers are not let through by the server.
        self.part == Part::Client
            && self.flags().decides()
            && (TABLE[self.row].access.writes() || !self.context.must_not_replicate())
    }

    fn permits(&mut self, words: &[&[u8]]) -> Result<(), Error> {
        let first = self.place(words[0]);
        let call = &self.words[first..first + words.len()];
        if self.part == Part::Replay || self.caller().may_run(call) {
            return Ok(());
        }
        Err(Error::NoPermission { command: String::from_utf8_lossy(words[0]).into_owned() })
    }

    fn permits_prefix(&mut self, prefix: &[u8]) -> Result<(), Error> {
        let word = self.word(prefix);
        if self.part == Part::Replay || self.caller().may_write(word) {
            return Ok(());
        }
        Err(Error::NoPrefixPermission { prefix: String::from_utf8_lossy(prefix).into_owned() })
    }

    fn permits_reading(&mut self, key: &[u8]) -> Result<(), Error> {
        let word = self.word(key);
        if self.part == Part::Replay || self.caller().may_read(word) {
            return Ok(());
        }
        Err(Error::NoReadPermission { key: key.escape_ascii().to_string() })
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn spare_memory(&mut self) -> Result<usize, Error> {
        match self.part {
            Part::Client => memory::spare(self.context),
            Part::Replay => Ok(usize::MAX),
        }
    }

    fn read(&mut self, key: &[u8]) -> Result<Option<&Document>, Error> {
        Ok(self.key(key, Mode::Read)?.document())
    }

    fn edit(&mut self, key: &[u8]) -> Result<Option<Draft<'_>>, Error> {
        let mode = if self.is_open(key) { Mode::Again } else { Mode::Write };
        let limits = self.limits;
        Ok(self.key(key, mode)?.document_mut().map(|document| limits.draft(document)))
    }

    fn insert(&mut self, key: &[u8], document: Document) -> Result<(), Error> {
        if !self.key(key, Mode::Write)?.set(document) {
            self.open = None;
        }
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<bool, Error> {
        Ok(self.key(key, Mode::Write)?.delete())
    }

    fn deadline(&mut self, key: &[u8]) -> Option<Time> {
        match &self.open {
            Some((at, open)) if ptr::eq(self.args[*at], key) => open.deadline(),
            // A command that names several keys has looked this one up and closed it.
            _ => self.key(key, Mode::Again).ok()?.deadline(),
        }
    }

    fn policies(&self) -> &Policies {
        &self.policies
    }

    fn policies_mut(&mut self) -> &mut Policies {
        Rc::make_mut(&mut self.policies)
    }

    fn finish(&mut self, done: &Done<'_>) {
        faults::at("end");
        if done.policies_changed {
            policies::set(self.context.database(), Rc::clone(&self.policies));
        }
        for touched in done.touched {
            self.move_deadline(touched);
        }
        // Whoever listens may look at the keys: they are closed, the documents in their place.
        self.open = None;
        self.replicate(done);
        self.announce(done);
    }
}

fn lifetime_event(touched: &Touched<'_>) -> &'static CStr {
    match touched.deadline {
        Deadline::Clear => c"persist",
        Deadline::Keep | Deadline::Move { .. } => c"expire",
    }
}
