//! The functions the server calls for each command, and how commands are made known to it.

use std::ffi::{CString, c_char, c_int};
use std::ptr;

use rapyer_engine::Error;
use rapyer_engine::command::{Arg, Kind, TABLE};
use redis_module::raw;

use super::context::{Context, Word};
use super::guard::guarded;
use super::reply::Answer;
use crate::{host, register, replay};

/// What runs a command: the words as the client sent them, and where the reply goes.
pub(crate) type Handler = fn(Context<'_>, &[Word<'_>], &mut Answer<'_>) -> Result<(), Error>;

/// Finds the positions of a call's keys, counted from the command's name, and the server's flags for them.
pub(crate) type FindPositions = fn(&[Word<'_>]) -> (Vec<usize>, u32);

type Callback =
    unsafe extern "C" fn(*mut raw::RedisModuleCtx, *mut *mut raw::RedisModuleString, c_int) -> c_int;

/// A function of its own for every row, so that no call looks its command up by name.
extern "C" fn row<const ROW: usize, const TWIN: bool>(
    context: *mut raw::RedisModuleCtx,
    words: *mut *mut raw::RedisModuleString,
    count: c_int,
) -> c_int {
    let command = TABLE[ROW];
    // SAFETY: the server passes the context and the arguments of this call, which may ask for the keys only.
    unsafe {
        if register::finds_own_keys(command) && asks_for_keys(context) {
            return tell_keys(context, words, count, |words| {
                let first = register::first_key(command) as usize;
                register::key_positions(command, words, first)
            });
        }
        answer(context, words, count, |context, words, answer| host::run(ROW, TWIN, context, words, answer))
    }
}

/// The same for the commands by which servers speak to each other.
extern "C" fn internal<const AT: usize>(
    context: *mut raw::RedisModuleCtx,
    words: *mut *mut raw::RedisModuleString,
    count: c_int,
) -> c_int {
    let command = &replay::COMMANDS[AT];
    // SAFETY: the server passes the context and the arguments of this call, which may ask for the keys only.
    unsafe {
        if asks_for_keys(context) {
            return tell_keys(context, words, count, command.keys);
        }
        answer(context, words, count, command.run)
    }
}

/// # Safety
/// The context is that of a command's callback.
unsafe fn asks_for_keys(context: *mut raw::RedisModuleCtx) -> bool {
    // SAFETY: the caller's promise.
    unsafe { server!(RedisModule_IsKeysPositionRequest(context)) != 0 }
}

/// Tells the server where the keys of a call are, and what the command does to them.
///
/// # Safety
/// The arguments are those of a command's callback that asks for keys.
unsafe fn tell_keys(
    context: *mut raw::RedisModuleCtx,
    words: *mut *mut raw::RedisModuleString,
    count: c_int,
    find: impl FnOnce(&[Word<'_>]) -> (Vec<usize>, u32),
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        // Without keys the call is checked and routed as one that touches none, and the command refuses it.
        let (positions, flags) =
            guarded(|| find(Word::arguments(words, count))).unwrap_or_else(|_| (Vec::new(), 0));
        for position in positions {
            server!(RedisModule_KeyAtPosWithFlags(context, position as c_int, flags as c_int));
        }
    }
    raw::REDISMODULE_OK as c_int
}

/// # Safety
/// The arguments are those of a command's callback.
unsafe fn answer(
    context: *mut raw::RedisModuleCtx,
    words: *mut *mut raw::RedisModuleString,
    count: c_int,
    run: impl FnOnce(Context<'_>, &[Word<'_>], &mut Answer<'_>) -> Result<(), Error>,
) -> c_int {
    // SAFETY: the caller's promise.
    let (context, words) = unsafe { (Context::new(context), Word::arguments(words, count)) };
    let mut answer = Answer::new(context);
    match guarded(|| run(context, words, &mut answer)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => answer.fail(&error),
        Err(error) => {
            let name = String::from_utf8_lossy(words[0].bytes()).into_owned();
            context.warn(&format!("{error}, in {name}"));
            answer.fail(&error);
        }
    }
    raw::REDISMODULE_OK as c_int
}

macro_rules! rows {
    ($twin:literal: $($row:literal)*) => {
        [$(row::<$row, $twin> as Callback),*]
    };
    (all: $($row:literal)*) => {
        [rows!(false: $($row)*), rows!(true: $($row)*)]
    };
}

const ROWS: usize = 64;

#[rustfmt::skip]
static CALLBACKS: [[Callback; ROWS]; 2] = rows!(all:
     0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
    32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);

const _: () = assert!(TABLE.len() <= ROWS, "the list above needs a number for every row of the table");

static INTERNAL: [Callback; replay::COMMANDS.len()] =
    [internal::<0>, internal::<1>, internal::<2>, internal::<3>, internal::<4>, internal::<5>, internal::<6>];

/// What a client may learn about a command with `COMMAND DOCS` and `COMMAND INFO`.
pub(crate) struct Description<'a> {
    pub(crate) summary: &'a str,
    pub(crate) arity: i64,
    pub(crate) keys: Vec<KeySpec>,
    pub(crate) arguments: Vec<&'static Arg>,
}

/// Where a command's keys are, counted from its name, and what it does to them.
pub(crate) struct KeySpec {
    pub(crate) first: i32,
    pub(crate) find: FindKeys,
    /// The server's `REDISMODULE_CMD_KEY_*`.
    pub(crate) flags: u32,
}

/// How many keys there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FindKeys {
    One,
    /// All words from the first on.
    Rest,
    /// As many as the word there says, behind it.
    Counted,
}

/// The positions of keys for servers and clients that do not know key specs: first, last, step.
pub(crate) type Positions = (i32, i32, i32);

/// Makes commands known to the server, while the module loads.
#[derive(Clone, Copy)]
pub(crate) struct Commands<'c> {
    context: Context<'c>,
    own_category: bool,
}

impl<'c> Commands<'c> {
    /// `category` is made an ACL category where the server lets modules have their own.
    pub(crate) fn new(context: Context<'c>, category: &str) -> Self {
        let category = c_string(category);
        // SAFETY: the context is the one of loading; the function is asked for before it is used.
        let own_category = unsafe {
            raw::RedisModule_AddACLCategory
                .is_some_and(|add| add(context.raw(), category.as_ptr()) as isize == raw::REDISMODULE_OK)
        };
        Self { context, own_category }
    }

    /// The row at this index of the engine's table, or its twin.
    pub(crate) fn row(
        self,
        row: usize,
        twin: bool,
        name: &str,
        flags: &str,
        keys: Positions,
    ) -> Result<(), String> {
        self.create(name, Some(CALLBACKS[usize::from(twin)][row]), flags, keys)
    }

    /// The same for a row that is a subcommand.
    pub(crate) fn subcommand(
        self,
        row: usize,
        container: &str,
        name: &str,
        flags: &str,
        (first, last, step): Positions,
    ) -> Result<(), String> {
        let parent = self.get(container)?;
        let (word, flags) = (c_string(name), c_string(flags));
        // SAFETY: parent and strings are alive, the callback has the server's signature.
        let status = unsafe {
            let callback = Some(CALLBACKS[0][row]);
            server!(RedisModule_CreateSubcommand(
                parent,
                word.as_ptr(),
                callback,
                flags.as_ptr(),
                first,
                last,
                step
            ))
        };
        accepted(status, || format!("subcommand {container} {name}"))
    }

    /// A name that only has subcommands.
    pub(crate) fn container(self, name: &str) -> Result<(), String> {
        self.create(name, None, "", (0, 0, 0))
    }

    /// The command at this index of [`replay::COMMANDS`].
    pub(crate) fn internal(self, at: usize, name: &str, flags: &str, keys: Positions) -> Result<(), String> {
        self.create(name, Some(INTERNAL[at]), flags, keys)
    }

    fn create(
        self,
        name: &str,
        callback: Option<Callback>,
        flags: &str,
        (first, last, step): Positions,
    ) -> Result<(), String> {
        let (word, flags) = (c_string(name), c_string(flags));
        // SAFETY: context and strings are alive, the callback has the server's signature.
        let status = unsafe {
            server!(RedisModule_CreateCommand(
                self.context.raw(),
                word.as_ptr(),
                callback,
                flags.as_ptr(),
                first,
                last,
                step
            ))
        };
        accepted(status, || format!("command {name}"))
    }

    /// `name` is the full one: `model.ttl|get`.
    pub(crate) fn describe(self, name: &str, description: &Description<'_>) -> Result<(), String> {
        let command = self.get(name)?;
        let mut arena = Arena::default();
        let mut key_specs: Vec<raw::RedisModuleCommandKeySpec> =
            description.keys.iter().map(key_spec).collect();
        key_specs.push(zeroed());
        let mut info: raw::RedisModuleCommandInfo = zeroed();
        info.version = &raw const INFO_VERSION;
        info.summary = arena.text(description.summary);
        info.since = c"0.1.0".as_ptr();
        info.arity = description.arity as c_int;
        info.args = arena.arguments(&description.arguments);
        if !description.keys.is_empty() {
            info.key_specs = key_specs.as_mut_ptr();
        }
        // SAFETY: everything the description points to is alive, and the server copies it.
        let status = unsafe { server!(RedisModule_SetCommandInfo(command, &raw const info)) };
        accepted(status, || format!("description of {name}"))
    }

    /// Puts a command into ACL categories, and into the module's own, where the server can do that.
    pub(crate) fn categorize(self, name: &str, categories: &str, own: &str) -> Result<(), String> {
        let command = self.get(name)?;
        let categories =
            if self.own_category { format!("{categories} {own}") } else { categories.to_owned() };
        let categories = c_string(&categories);
        // SAFETY: command and string are alive; the function is asked for before it is used.
        let status = unsafe {
            raw::RedisModule_SetCommandACLCategories
                .map_or(raw::REDISMODULE_OK as c_int, |set| set(command, categories.as_ptr()))
        };
        accepted(status, || format!("ACL categories of {name}"))
    }

    fn get(self, name: &str) -> Result<*mut raw::RedisModuleCommand, String> {
        let word = c_string(name);
        // SAFETY: context and string are alive.
        let command = unsafe { server!(RedisModule_GetCommand(self.context.raw(), word.as_ptr())) };
        if command.is_null() {
            Err(format!("the server does not find the command {name}"))
        } else {
            Ok(command)
        }
    }
}

fn accepted(status: c_int, what: impl FnOnce() -> String) -> Result<(), String> {
    if status as isize == raw::REDISMODULE_OK {
        return Ok(());
    }
    Err(format!("the server refuses the {}", what()))
}

static INFO_VERSION: raw::RedisModuleCommandInfoVersion = raw::RedisModuleCommandInfoVersion {
    version: 1,
    sizeof_historyentry: size_of::<raw::RedisModuleCommandHistoryEntry>(),
    sizeof_keyspec: size_of::<raw::RedisModuleCommandKeySpec>(),
    sizeof_arg: size_of::<raw::RedisModuleCommandArg>(),
};

fn key_spec(keys: &KeySpec) -> raw::RedisModuleCommandKeySpec {
    let mut spec: raw::RedisModuleCommandKeySpec = zeroed();
    spec.flags = u64::from(keys.flags);
    spec.begin_search_type = raw::RedisModuleKeySpecBeginSearchType_REDISMODULE_KSPEC_BS_INDEX;
    spec.bs.index.pos = keys.first;
    if keys.find == FindKeys::Counted {
        spec.find_keys_type = raw::RedisModuleKeySpecFindKeysType_REDISMODULE_KSPEC_FK_KEYNUM;
        spec.fk.keynum = raw::RedisModuleCommandKeySpec__bindgen_ty_2__bindgen_ty_2 {
            keynumidx: 0,
            firstkey: 1,
            keystep: 1,
        };
        return spec;
    }
    spec.find_keys_type = raw::RedisModuleKeySpecFindKeysType_REDISMODULE_KSPEC_FK_RANGE;
    spec.fk.range = raw::RedisModuleCommandKeySpec__bindgen_ty_2__bindgen_ty_1 {
        lastkey: if keys.find == FindKeys::Rest { -1 } else { 0 },
        keystep: 1,
        limit: 0,
    };
    spec
}

/// Keeps what a description points to alive until the server has copied it.
#[derive(Default)]
struct Arena {
    texts: Vec<CString>,
    /// How many of the arguments so far are keys.
    keys: c_int,
    lists: Vec<Vec<raw::RedisModuleCommandArg>>,
}

impl Arena {
    fn text(&mut self, text: &str) -> *const c_char {
        let text = c_string(text);
        let start = text.as_ptr();
        self.texts.push(text);
        start
    }

    /// A list that ends with an entry of zeros; null for an empty one.
    fn arguments<'a>(
        &mut self,
        arguments: impl IntoIterator<Item = &'a &'static Arg>,
    ) -> *mut raw::RedisModuleCommandArg {
        let mut list: Vec<_> = arguments.into_iter().map(|argument| self.argument(argument)).collect();
        if list.is_empty() {
            return ptr::null_mut();
        }
        list.push(zeroed());
        let start = list.as_mut_ptr();
        self.lists.push(list);
        start
    }

    fn argument(&mut self, argument: &'static Arg) -> raw::RedisModuleCommandArg {
        let mut entry = match &argument.kind {
            // A word and its one value are one argument with a token.
            Kind::Block([Arg { kind: Kind::Token(word), .. }, value]) if !value.multiple => {
                let mut entry = self.argument(value);
                entry.token = self.text(word);
                entry
            }
            kind => self.plain(argument.name, kind),
        };
        if argument.optional {
            entry.flags |= raw::REDISMODULE_CMD_ARG_OPTIONAL as c_int;
        }
        if argument.multiple {
            entry.flags |= raw::REDISMODULE_CMD_ARG_MULTIPLE as c_int;
        }
        entry
    }

    fn plain(&mut self, name: &str, kind: &'static Kind) -> raw::RedisModuleCommandArg {
        let mut entry: raw::RedisModuleCommandArg = zeroed();
        entry.name = self.text(&name.to_ascii_lowercase());
        entry.key_spec_index = -1;
        entry.type_ = match kind {
            Kind::Key => {
                entry.key_spec_index = self.keys;
                self.keys += 1;
                raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_KEY
            }
            Kind::Path | Kind::Json | Kind::Text => {
                raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_STRING
            }
            Kind::Integer | Kind::Count | Kind::Millis => {
                raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_INTEGER
            }
            Kind::Token(word) => {
                entry.token = self.text(word);
                raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_PURE_TOKEN
            }
            Kind::OneOf(choices) => {
                entry.subargs = self.list(choices);
                raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_ONEOF
            }
            Kind::Block(parts) => {
                entry.subargs = self.list(parts);
                raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_BLOCK
            }
        };
        entry
    }

    fn list(&mut self, arguments: &'static [Arg]) -> *mut raw::RedisModuleCommandArg {
        self.arguments(&arguments.iter().collect::<Vec<_>>())
    }
}

/// One of the server's structures, all zeros, which is its way to say "not given".
fn zeroed<T: ServerStructure>() -> T {
    // SAFETY: `ServerStructure` is implemented for structures whose zeros are values.
    unsafe { std::mem::zeroed() }
}

/// # Safety
/// All zeros are a value of the type.
unsafe trait ServerStructure {}

// SAFETY: numbers and nullable pointers, and unions of these.
unsafe impl ServerStructure for raw::RedisModuleCommandInfo {}
// SAFETY: as above.
unsafe impl ServerStructure for raw::RedisModuleCommandKeySpec {}
// SAFETY: as above.
unsafe impl ServerStructure for raw::RedisModuleCommandArg {}

/// A text of the table for C; none of them holds a zero byte.
fn c_string(text: &str) -> CString {
    CString::new(text).expect("the command table holds no zero bytes")
}
