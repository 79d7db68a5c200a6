//! The data type: documents as the server holds them, and its callbacks.
//!
//! A value is one thin pointer to a document's header, which says what follows it: the text, or a large container.

use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use rapyer_engine::{Document, Large, Mover, Stored};
use redis_module::raw;

use super::alloc::is_servers;
use super::context::{Context, Opaque, Text, Word, c_text, log_line};
use super::guard::guarded;
use crate::{datatype, policies};

const HEADER: usize = 16;

/// What the server knows our type by, from the moment it was created.
static TYPE: AtomicPtr<raw::RedisModuleType> = AtomicPtr::new(ptr::null_mut());

pub(super) fn document_type() -> *mut raw::RedisModuleType {
    TYPE.load(Ordering::Relaxed)
}

/// Whether a key of this type holds a document; a key of the server's own types has a null one.
pub(super) fn is_document(found: *mut raw::RedisModuleType) -> bool {
    !found.is_null() && found == document_type()
}

pub(super) fn into_raw(document: Document) -> Opaque {
    match document.into_stored() {
        Stored::Small(bytes) => Box::into_raw(bytes).cast(),
        Stored::Large(large) => Box::into_raw(large).cast(),
    }
}

/// # Safety
/// `value` came from [`into_raw`]. Whoever the allocation belongs to, it must not be freed twice.
pub(super) unsafe fn from_raw(value: Opaque) -> Document {
    // SAFETY: either form starts with the header, which tells the form and a small one's length.
    Document::from_stored(unsafe {
        match Document::stored_len(&*value.cast::<[u8; HEADER]>()) {
            Some(len) => Stored::Small(Box::from_raw(ptr::slice_from_raw_parts_mut(value.cast::<u8>(), len))),
            None => Stored::Large(Box::from_raw(value.cast::<Large>())),
        }
    })
}

/// Lends a value that stays the server's.
///
/// # Safety
/// `value` came from [`into_raw`] and nobody changes it meanwhile.
unsafe fn with<T>(value: *const c_void, look: impl FnOnce(&Document) -> T) -> T {
    // SAFETY: the caller's promise; it is never freed from here.
    let document = ManuallyDrop::new(unsafe { from_raw(value.cast_mut()) });
    look(&document)
}

/// Makes the data type known to the server; false when it refuses.
pub(crate) fn create_type(context: Context<'_>) -> bool {
    let mut methods = raw::RedisModuleTypeMethods {
        version: u64::from(raw::REDISMODULE_TYPE_METHOD_VERSION),
        rdb_load: Some(load),
        rdb_save: Some(save),
        aof_rewrite: Some(rewrite),
        mem_usage: Some(memory),
        digest: Some(digest),
        free: Some(free),
        aux_load: Some(load_policies),
        // Servers from 7.2 on take the second, which leaves no trace in a snapshot without policies.
        aux_save: Some(save_policies),
        aux_save2: Some(save_some_policies),
        aux_save_triggers: raw::REDISMODULE_AUX_BEFORE_RDB as c_int,
        free_effort: Some(free_effort),
        copy: Some(copy),
        defrag: Some(defrag),
        unlink: Some(unlink),
        // What the second forms of the callbacks would add is not needed.
        mem_usage2: None,
        free_effort2: None,
        unlink2: None,
        copy2: None,
    };
    // SAFETY: the context is the one of loading; the server copies the methods.
    let created = unsafe {
        server!(RedisModule_CreateDataType(
            context.raw(),
            datatype::NAME.as_ptr(),
            datatype::ENCODING,
            &raw mut methods
        ))
    };
    TYPE.store(created, Ordering::Relaxed);
    !created.is_null()
}

/// Runs a callback's work; a panic is a log line and `otherwise`.
fn guard<T>(otherwise: T, work: impl FnOnce() -> T) -> T {
    guarded(work).unwrap_or_else(|error| {
        log_line(&format!("{error}, in a callback of the data type"));
        otherwise
    })
}

extern "C" fn load(io: *mut raw::RedisModuleIO, encoding: c_int) -> Opaque {
    guard(ptr::null_mut(), || {
        let mut loader = Loader { io };
        match datatype::load(&mut loader, encoding) {
            Ok(document) => into_raw(document),
            Err(reason) => {
                loader.warn(&reason);
                ptr::null_mut()
            }
        }
    })
}

extern "C" fn save(io: *mut raw::RedisModuleIO, value: Opaque) {
    // SAFETY: the server passes a value of our type, which stays for the call.
    guard((), || unsafe { with(value, |document| datatype::save(document, &mut Saver { io })) });
}

extern "C" fn rewrite(io: *mut raw::RedisModuleIO, key: *mut raw::RedisModuleString, value: Opaque) {
    guard((), || {
        // SAFETY: the server passes a value of our type, which stays for the call.
        let words = unsafe { with(value, datatype::rewrite) };
        let words: Vec<Word<'_>> = words.iter().map(Text::word).collect();
        // SAFETY: io, key and words are alive; the format says a key, then an array and its length.
        unsafe {
            server!(RedisModule_EmitAOF(
                io,
                datatype::LOAD.as_ptr(),
                c"sv".as_ptr(),
                key,
                words.as_ptr(),
                words.len()
            ));
        }
    });
}

extern "C" fn memory(value: *const c_void) -> usize {
    // SAFETY: the server passes a value of our type, an allocation of its own, which stays for the call.
    guard(0, || unsafe {
        let first = server!(RedisModule_MallocSize(value.cast_mut()));
        with(value, |document| document.memory().max(first))
    })
}

extern "C" fn digest(digest: *mut raw::RedisModuleDigest, value: Opaque) {
    // SAFETY: the server passes a value of our type, which stays for the call.
    guard((), || unsafe { with(value, |document| datatype::digest(document, &mut Digest { digest })) });
}

/// How often documents have left their places so far, unlinked, freed or moved in memory: two equal answers say that
/// every document is where it was.
pub(super) fn displaced() -> usize {
    DISPLACED.load(Ordering::Relaxed)
}

pub(super) fn count_displaced() {
    DISPLACED.fetch_add(1, Ordering::Relaxed);
}

static DISPLACED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn unlink(_key: *mut raw::RedisModuleString, _value: *const c_void) {
    count_displaced();
}

/// Called in the background, too.
extern "C" fn free(value: Opaque) {
    // A flush frees documents that it did not unlink.
    count_displaced();
    // SAFETY: the server passes a value of our type and forgets it.
    guard((), || drop(unsafe { from_raw(value) }));
}

extern "C" fn free_effort(_key: *mut raw::RedisModuleString, value: *const c_void) -> usize {
    // SAFETY: the server passes a value of our type, which stays for the call.
    guard(1, || unsafe { with(value, Document::free_effort) })
}

extern "C" fn copy(
    _from: *mut raw::RedisModuleString,
    _to: *mut raw::RedisModuleString,
    value: *const c_void,
) -> Opaque {
    // SAFETY: the server passes a value of our type, which stays for the call.
    guard(ptr::null_mut(), || into_raw(unsafe { with(value, Document::clone) }))
}

extern "C" fn defrag(
    context: *mut raw::RedisModuleDefragCtx,
    _key: *mut raw::RedisModuleString,
    value: *mut Opaque,
) -> c_int {
    let mut from = 0;
    // SAFETY: the context is the server's; a small document has no cursor, and starts at 0. The value is of our
    // type, and goes back also after a panic, wherever it is by then.
    unsafe {
        server!(RedisModule_DefragCursorGet(context, &raw mut from));
        let mut document = ManuallyDrop::new(from_raw(*value));
        let stopped = guard(None, || document.defragment(from as usize, &mut Defragmenter { context }));
        *value = into_raw(ManuallyDrop::into_inner(document));
        if let Some(next) = stopped {
            server!(RedisModule_DefragCursorSet(context, next as _));
        }
        c_int::from(stopped.is_some())
    }
}

/// Moves allocations as the server sees fit.
struct Defragmenter {
    context: *mut raw::RedisModuleDefragCtx,
}

impl Defragmenter {
    /// Where a block is now.
    fn moved<T>(&self, block: *mut T) -> *mut T {
        // SAFETY: the block is of the server's allocator and ours alone; where the server moves it, the old one
        // is gone.
        let moved: *mut T = unsafe { server!(RedisModule_DefragAlloc(self.context, block.cast())).cast() };
        if moved.is_null() { block } else { moved }
    }
}

impl Mover for Defragmenter {
    fn vec<T>(&mut self, vec: &mut Vec<T>) {
        if is_servers::<T>() && vec.capacity() > 0 {
            let mut taken = ManuallyDrop::new(std::mem::take(vec));
            let start = self.moved(taken.as_mut_ptr());
            // SAFETY: a move in memory is a move; length and capacity are as they were.
            *vec = unsafe { Vec::from_raw_parts(start, taken.len(), taken.capacity()) };
        }
    }

    fn boxed<T>(&mut self, value: &mut Box<T>) {
        if is_servers::<T>() {
            // SAFETY: the box is put back before anybody can look.
            unsafe {
                let block = Box::into_raw(ptr::read(value));
                ptr::write(value, Box::from_raw(self.moved(block)));
            }
        }
    }

    fn should_stop(&mut self) -> bool {
        // SAFETY: the context is the server's.
        unsafe { server!(RedisModule_DefragShouldStop(self.context)) != 0 }
    }
}

extern "C" fn load_policies(io: *mut raw::RedisModuleIO, encoding: c_int, _when: c_int) -> c_int {
    let loaded = guard(false, || {
        let mut loader = Loader { io };
        policies::load(&mut loader, encoding).inspect_err(|reason| loader.warn(reason)).is_ok()
    });
    if loaded { raw::REDISMODULE_OK as c_int } else { raw::REDISMODULE_ERR as c_int }
}

extern "C" fn save_policies(io: *mut raw::RedisModuleIO, _when: c_int) {
    guard((), || policies::save(&mut Saver { io }));
}

extern "C" fn save_some_policies(io: *mut raw::RedisModuleIO, _when: c_int) {
    guard((), || policies::save_if_any(&mut Saver { io }));
}

/// Writes the parts of a snapshot. Errors are the server's to see.
pub(crate) struct Saver {
    io: *mut raw::RedisModuleIO,
}

impl Saver {
    pub(crate) fn unsigned(&mut self, value: u64) {
        // SAFETY: the server's callback that made the saver still runs.
        unsafe { server!(RedisModule_SaveUnsigned(self.io, value)) }
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        // SAFETY: the server's callback that made the saver still runs.
        unsafe { server!(RedisModule_SaveStringBuffer(self.io, value.as_ptr().cast(), value.len())) }
    }
}

/// Reads the parts of a snapshot back; any of them may be missing.
pub(crate) struct Loader {
    io: *mut raw::RedisModuleIO,
}

impl Loader {
    pub(crate) fn unsigned(&mut self) -> Option<u64> {
        // SAFETY: the server's callback that made the loader still runs.
        let value = unsafe { server!(RedisModule_LoadUnsigned(self.io)) };
        (!self.failed()).then_some(value)
    }

    /// Hands the next part to `read`.
    pub(crate) fn bytes<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let mut len = 0;
        // SAFETY: the server's callback that made the loader still runs; the buffer is ours until it is freed.
        unsafe {
            let buffer = server!(RedisModule_LoadStringBuffer(self.io, &raw mut len));
            if buffer.is_null() || self.failed() {
                server!(RedisModule_Free(buffer.cast()));
                return None;
            }
            let buffer = Buffer(buffer.cast());
            Some(read(slice::from_raw_parts(buffer.0, len)))
        }
    }

    fn failed(&self) -> bool {
        // SAFETY: the server's callback that made the loader still runs.
        unsafe { server!(RedisModule_IsIOError(self.io)) != 0 }
    }

    fn warn(&self, message: &str) {
        let message = c_text(message);
        // SAFETY: the message is an argument, never the format.
        unsafe {
            server!(RedisModule_LogIOError(self.io, c"warning".as_ptr(), c"%s".as_ptr(), message.as_ptr()));
        }
    }
}

/// A block the server allocated for us.
struct Buffer(*mut u8);

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the block is ours and is not used again.
        unsafe { server!(RedisModule_Free(self.0.cast())) }
    }
}

/// Adds to what `DEBUG DIGEST` compares.
pub(crate) struct Digest {
    digest: *mut raw::RedisModuleDigest,
}

impl Digest {
    pub(crate) fn number(&mut self, value: i64) {
        // SAFETY: the server's callback that made the digest still runs.
        unsafe { server!(RedisModule_DigestAddLongLong(self.digest, value)) }
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        // SAFETY: the server's callback that made the digest still runs.
        unsafe {
            server!(RedisModule_DigestAddStringBuffer(self.digest, value.as_ptr().cast(), value.len()));
        }
    }

    pub(crate) fn end(&mut self) {
        // SAFETY: the server's callback that made the digest still runs.
        unsafe { server!(RedisModule_DigestEndSequence(self.digest)) }
    }
}
