//! The server as one callback sees it.

use std::ffi::{CStr, CString, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use rapyer_engine::{Millis, Time};
use redis_module::raw;

/// The context of one callback.
#[derive(Clone, Copy)]
pub(crate) struct Context<'c> {
    raw: *mut raw::RedisModuleCtx,
    life: PhantomData<&'c ()>,
}

/// Who gets a replicated command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    Everyone,
    AppendOnlyFile,
}

/// What a context says of the server and of who calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags(u32);

impl Flags {
    /// Whether what runs was decided elsewhere: sent by a primary or read from an append-only file.
    pub(crate) fn obeys(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_REPLICATED | raw::REDISMODULE_CTX_FLAGS_LOADING)
    }

    /// Whether this server decides about lifetimes now: a primary that runs a client's command does.
    pub(crate) fn decides(self) -> bool {
        !self.obeys() && !self.has(raw::REDISMODULE_CTX_FLAGS_SLAVE)
    }

    pub(crate) fn keeps_append_only_file(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_AOF)
    }

    pub(crate) fn is_clustered(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_CLUSTER)
    }

    fn has(self, any: u32) -> bool {
        self.0 & any != 0
    }
}

impl Context<'_> {
    /// # Safety
    /// The server handed `raw` to a callback that lasts for `'c`.
    pub(super) unsafe fn new(raw: *mut raw::RedisModuleCtx) -> Self {
        Self { raw, life: PhantomData }
    }

    pub(super) fn raw(self) -> *mut raw::RedisModuleCtx {
        self.raw
    }

    /// The clock that the server's own expiry reads, which stands still while a command or a script runs; on
    /// Redis 7.0, which keeps that to itself, the running clock.
    #[expect(clippy::unused_self, reason = "who has a context holds the server's lock")]
    pub(crate) fn now(self) -> Time {
        // SAFETY: no preconditions; the function is asked for before it is used.
        unsafe {
            match raw::RedisModule_CachedMicroseconds {
                Some(microseconds) => microseconds() / 1000,
                None => server!(RedisModule_Milliseconds()),
            }
        }
    }

    /// Milliseconds of a clock that nobody sets.
    #[expect(clippy::unused_self, reason = "who has a context holds the server's lock")]
    pub(crate) fn monotonic(self) -> Millis {
        // SAFETY: no preconditions.
        let microseconds = unsafe { server!(RedisModule_MonotonicMicroseconds()) };
        (microseconds / 1000) as Millis
    }

    pub(crate) fn database(self) -> i32 {
        // SAFETY: the context is alive.
        unsafe { server!(RedisModule_GetSelectedDb(self.raw)) }
    }

    /// The state of the server and of the call.
    pub(crate) fn flags(self) -> Flags {
        // SAFETY: the context is alive.
        Flags(unsafe { server!(RedisModule_GetContextFlags(self.raw)) as u32 })
    }

    /// Whether nothing may be replicated now: during a pause or a failover the server ends itself if something is.
    #[expect(clippy::unused_self, reason = "who has a context holds the server's lock")]
    pub(crate) fn must_not_replicate(self) -> bool {
        // SAFETY: no preconditions.
        unsafe { server!(RedisModule_AvoidReplicaTraffic()) != 0 }
    }

    /// The part of `maxmemory` that is in use; zero where there is no limit.
    #[expect(clippy::unused_self, reason = "who has a context holds the server's lock")]
    pub(crate) fn used_memory_ratio(self) -> f64 {
        // SAFETY: no preconditions.
        f64::from(unsafe { server!(RedisModule_GetUsedMemoryRatio()) })
    }

    /// Whether memory was full when the client's command began, so that what may need more is refused.
    pub(crate) fn refuses_growth(self) -> bool {
        // SAFETY: the context is alive, and the format says that the command has no words and is held to memory. The
        // server makes no reply where it refuses, and any other one is ours to free.
        unsafe {
            let reply = server!(RedisModule_Call(self.raw, MAY_GROW.as_ptr(), c"M".as_ptr()));
            let refused = reply.is_null();
            if !refused {
                server!(RedisModule_FreeCallReply(reply));
            }
            refused
        }
    }

    /// Replicates a command in place of the one that runs.
    pub(crate) fn replicate(self, command: &CStr, words: &[Word<'_>], audience: Audience) {
        let format = match audience {
            Audience::Everyone => c"v",
            Audience::AppendOnlyFile => c"Rv",
        };
        // SAFETY: the words are alive, `Word` is the server's own pointer, and the format says an array and
        // its length.
        unsafe {
            server!(RedisModule_Replicate(
                self.raw,
                command.as_ptr(),
                format.as_ptr(),
                words.as_ptr(),
                words.len()
            ));
        }
    }

    /// Replicates a command of one key and a number.
    pub(crate) fn replicate_number(self, command: &CStr, key: Word<'_>, number: i64) {
        let mut digits = itoa::Buffer::new();
        // As a number the server would write it three times as slowly.
        let digits = digits.format(number).as_bytes();
        // SAFETY: key and digits are alive, and the format says a string, bytes and their length.
        unsafe {
            server!(RedisModule_Replicate(
                self.raw,
                command.as_ptr(),
                c"sb".as_ptr(),
                key.raw(),
                digits.as_ptr(),
                digits.len()
            ));
        }
    }

    /// Replicates a command of one word of our own and others behind it.
    pub(crate) fn replicate_behind(self, command: &CStr, first: &[u8], words: &[Word<'_>]) {
        macro_rules! replicate {
            ($format:literal $(, $word:expr)*) => {
                server!(RedisModule_Replicate(
                    self.raw, command.as_ptr(), $format.as_ptr(), first.as_ptr(), first.len() $(, $word)*
                ))
            };
        }
        // An array makes the server allocate its own a second time; most commands have no more words than these.
        // SAFETY: all words are alive; a format says bytes and their length, then strings or an array of them and
        // its length.
        unsafe {
            match words {
                [one] => replicate!(c"bs", one.raw()),
                [one, two] => replicate!(c"bss", one.raw(), two.raw()),
                [one, two, three] => replicate!(c"bsss", one.raw(), two.raw(), three.raw()),
                [one, two, three, four] => {
                    replicate!(c"bssss", one.raw(), two.raw(), three.raw(), four.raw())
                }
                [one, two, three, four, five] => {
                    replicate!(c"bsssss", one.raw(), two.raw(), three.raw(), four.raw(), five.raw())
                }
                _ => replicate!(c"bv", words.as_ptr(), words.len()),
            };
        }
    }

    /// Replicates the command that runs as it came.
    pub(crate) fn replicate_verbatim(self) {
        // SAFETY: only called while a command runs.
        unsafe {
            server!(RedisModule_ReplicateVerbatim(self.raw));
        }
    }

    /// Aborts transactions that watch the key and invalidates it in clients' caches.
    pub(crate) fn signal_modified(self, key: Word<'_>) {
        // SAFETY: context and key are alive.
        unsafe {
            server!(RedisModule_SignalModifiedKey(self.raw, key.raw()));
        }
    }

    /// Tells subscribers of keyspace events of an event that the module defines.
    pub(crate) fn notify_module(self, event: &CStr, key: Word<'_>) {
        self.notify(raw::REDISMODULE_NOTIFY_MODULE, event, key);
    }

    /// The same for an event that the server defines for keys of any type.
    pub(crate) fn notify_generic(self, event: &CStr, key: Word<'_>) {
        self.notify(raw::REDISMODULE_NOTIFY_GENERIC, event, key);
    }

    fn notify(self, class: c_int, event: &CStr, key: Word<'_>) {
        // SAFETY: context, event and key are alive.
        unsafe {
            server!(RedisModule_NotifyKeyspaceEvent(self.raw, class, event.as_ptr(), key.raw()));
        }
    }

    pub(crate) fn warn(self, message: &str) {
        log(self.raw, message);
    }

    /// Says what the module can do, as far as the server knows the words.
    pub(crate) fn set_options(self) {
        let mut options = raw::REDISMODULE_OPTIONS_HANDLE_IO_ERRORS
            | raw::REDISMODULE_OPTION_NO_IMPLICIT_SIGNAL_MODIFIED
            | raw::REDISMODULE_OPTIONS_HANDLE_REPL_ASYNC_LOAD;
        // SAFETY: the context is alive; the function is asked for before it is used.
        unsafe {
            let known = raw::RedisModule_GetModuleOptionsAll.map_or(0, |all| all()) as u32;
            if known & VALKEY_HANDLE_ATOMIC_SLOT_MIGRATION != 0 && self.is_valkey() {
                options |= VALKEY_HANDLE_ATOMIC_SLOT_MIGRATION;
            }
            server!(RedisModule_SetModuleOptions(self.raw, options as c_int));
        }
    }

    fn is_valkey(self) -> bool {
        self.info(c"server", c"valkey_version").is_some()
    }

    /// Whether the child process that was just born rewrites the append-only file.
    pub(crate) fn rewrites_append_only_file(self) -> bool {
        self.info(c"persistence", c"aof_rewrite_in_progress").is_some_and(|running| *running == *c"1")
    }

    /// Whether replicas follow, or may come back to where they left.
    pub(crate) fn has_replicas_or_backlog(self) -> bool {
        let zero = |field| self.info(c"replication", field).is_some_and(|value| *value == *c"0");
        !(zero(c"connected_slaves") && zero(c"repl_backlog_active"))
    }

    /// A field of what `INFO` tells.
    pub(crate) fn info(self, section: &CStr, field: &CStr) -> Option<CString> {
        // SAFETY: context and names are alive; the value belongs to the information, which is freed after its use.
        unsafe {
            let info = server!(RedisModule_GetServerInfo(self.raw, section.as_ptr()));
            let value = server!(RedisModule_ServerInfoGetFieldC(info, field.as_ptr()));
            let value = (!value.is_null()).then(|| CStr::from_ptr(value).to_owned());
            server!(RedisModule_FreeServerInfo(self.raw, info));
            value
        }
    }
}

/// A command that does nothing and that the server refuses where memory is full.
pub(crate) const MAY_GROW: &CStr = c"MODEL._MAYGROW";

/// The slots of a document move by the command of its append-only file and by what is replicated, as Valkey asks.
/// Redis may give the bit another meaning.
const VALKEY_HANDLE_ATOMIC_SLOT_MIGRATION: u32 = 1 << 5;

/// Writes a line into the server's log where there is no context at hand.
pub(super) fn log_line(message: &str) {
    log(ptr::null_mut(), message);
}

fn log(context: *mut raw::RedisModuleCtx, message: &str) {
    let message = c_text(message);
    // SAFETY: the server accepts a null context. The message is an argument, never the format.
    unsafe {
        server!(RedisModule_Log(context, c"warning".as_ptr(), c"%s".as_ptr(), message.as_ptr()));
    }
}

/// One line of text for C: control characters become spaces.
pub(super) fn c_text(text: &str) -> CString {
    let line: Vec<u8> = text.bytes().map(|byte| if byte < b' ' { b' ' } else { byte }).collect();
    CString::new(line).unwrap_or_default()
}

/// A string of the server, alive for `'c`: an argument of the running command, or a borrowed [`Text`].
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Word<'c> {
    raw: NonNull<raw::RedisModuleString>,
    life: PhantomData<&'c ()>,
}

impl<'c> Word<'c> {
    /// # Safety
    /// `words` are `count` strings that live for `'c`, as the server hands them to a command.
    pub(super) unsafe fn arguments(words: *mut *mut raw::RedisModuleString, count: c_int) -> &'c [Self] {
        // SAFETY: a `Word` is a non-null pointer and nothing else.
        unsafe { std::slice::from_raw_parts(words.cast(), usize::try_from(count).unwrap_or_default()) }
    }

    pub(super) fn raw(self) -> *mut raw::RedisModuleString {
        self.raw.as_ptr()
    }

    pub(crate) fn bytes(self) -> &'c [u8] {
        let mut len = 0;
        // SAFETY: the string lives for `'c`, and nothing changes a string that was handed out.
        unsafe {
            let start = server!(RedisModule_StringPtrLen(self.raw.as_ptr(), &raw mut len));
            std::slice::from_raw_parts(start.cast(), len)
        }
    }
}

/// A string of the server that is ours.
pub(crate) struct Text {
    raw: NonNull<raw::RedisModuleString>,
}

impl Text {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        // SAFETY: the bytes are copied; without a context the string is ours to free.
        let raw =
            unsafe { server!(RedisModule_CreateString(ptr::null_mut(), bytes.as_ptr().cast(), bytes.len())) };
        Self { raw: NonNull::new(raw).expect("the server ends itself when it is out of memory") }
    }

    pub(crate) fn number(number: i64) -> Self {
        // SAFETY: without a context the string is ours to free.
        let raw = unsafe { server!(RedisModule_CreateStringFromLongLong(ptr::null_mut(), number)) };
        Self { raw: NonNull::new(raw).expect("the server ends itself when it is out of memory") }
    }

    pub(crate) fn word(&self) -> Word<'_> {
        Word { raw: self.raw, life: PhantomData }
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        // SAFETY: the string is ours, and the server counts who else holds it.
        unsafe { server!(RedisModule_FreeString(ptr::null_mut(), self.raw.as_ptr())) }
    }
}

/// An opaque pointer for C.
pub(super) type Opaque = *mut c_void;
