//! An open key.

use std::ffi::c_int;
use std::mem::ManuallyDrop;
use std::ptr;

use rapyer_engine::{Document, Error, Time};
use redis_module::raw;

use super::context::{Context, Opaque, Word};
use super::value;

/// What a key is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    Read,
    /// To write what the same command has looked up before: the server counts no second use of the key.
    Again,
    Write,
}

/// A key while a command has it open, with the document it holds.
///
/// The document's allocation belongs to the server. While a key is open for writing the document may move;
/// closing tells the server where it is now, also when a panic unwinds.
pub(crate) struct Key<'c> {
    context: Context<'c>,
    name: Word<'c>,
    raw: *mut raw::RedisModuleKey,
    mode: Mode,
    document: Option<ManuallyDrop<Document>>,
    /// The allocation as the server knows it.
    known: Opaque,
}

impl<'c> Key<'c> {
    /// Opens a key that holds a document or nothing.
    pub(crate) fn open(context: Context<'c>, name: Word<'c>, mode: Mode) -> Result<Self, Error> {
        let flags = match mode {
            Mode::Read => raw::REDISMODULE_READ,
            Mode::Write => raw::REDISMODULE_READ | raw::REDISMODULE_WRITE,
            Mode::Again => raw::REDISMODULE_READ | raw::REDISMODULE_WRITE | raw::REDISMODULE_OPEN_KEY_NOTOUCH,
        };
        // SAFETY: context and name are alive. The server opens nothing, null, when a key to read is missing.
        unsafe {
            let raw = server!(RedisModule_OpenKey(context.raw(), name.raw(), flags as c_int));
            let mut key = Self { context, name, raw, mode, document: None, known: ptr::null_mut() };
            if raw.is_null() {
                return Ok(key);
            }
            if value::is_document(server!(RedisModule_ModuleTypeGetType(raw))) {
                key.lend(server!(RedisModule_ModuleTypeGetValue(raw)));
                return Ok(key);
            }
            if server!(RedisModule_KeyType(raw)) as isize == raw::REDISMODULE_KEYTYPE_EMPTY {
                return Ok(key);
            }
        }
        Err(Error::WrongType)
    }

    pub(crate) fn allows(&self, mode: Mode) -> bool {
        self.mode >= mode
    }

    pub(crate) fn document(&self) -> Option<&Document> {
        self.document.as_deref()
    }

    /// The document, to change it. The key is open for writing.
    pub(crate) fn document_mut(&mut self) -> Option<&mut Document> {
        debug_assert!(self.allows(Mode::Again));
        self.document.as_deref_mut()
    }

    /// Puts a document under the key, which is open for writing; whatever was there, its deadline too, is gone.
    ///
    /// The server tells subscribers of the new key on the way, and one of them may delete, replace or change it.
    /// Then this is false, and the key is not open any more.
    pub(crate) fn set(&mut self, document: Document) -> bool {
        self.delete();
        let document = value::into_raw(document);
        let displaced = value::displaced();
        // SAFETY: the key is open; on success the server owns the allocation.
        unsafe {
            let status = server!(RedisModule_ModuleTypeSetValue(self.raw, value::document_type(), document));
            if status as isize != raw::REDISMODULE_OK {
                drop(value::from_raw(document));
                panic!("the key is not open for writing");
            }
            if value::displaced() != displaced && !self.still_holds(document) {
                // The handle may point to what the subscriber freed. Closing it would look there, so it stays open.
                self.raw = ptr::null_mut();
                return false;
            }
            self.lend(document);
        }
        true
    }

    /// Whether the key, looked up again, holds this very document.
    fn still_holds(&self, document: Opaque) -> bool {
        Self::open(self.context, self.name, Mode::Again).is_ok_and(|key| key.known == document)
    }

    /// Deletes the key, which is open for writing; whether it held a document.
    pub(crate) fn delete(&mut self) -> bool {
        let held = self.document.is_some();
        self.give_back();
        if held {
            // SAFETY: the key is open, and nothing refers to its value any more.
            unsafe {
                server!(RedisModule_DeleteKey(self.raw));
            }
        }
        held
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        // Redis 8.2 ends itself when it is asked for the deadline of a key that holds nothing.
        self.document.as_ref()?;
        // SAFETY: the key is open.
        let deadline = unsafe { server!(RedisModule_GetAbsExpire(self.raw)) };
        (deadline != Time::from(raw::REDISMODULE_NO_EXPIRE)).then_some(deadline)
    }

    /// Sets or removes the deadline. The key is open for writing and holds a document.
    pub(crate) fn set_deadline(&mut self, deadline: Option<Time>) {
        let deadline = deadline.unwrap_or(Time::from(raw::REDISMODULE_NO_EXPIRE));
        // SAFETY: the key is open.
        unsafe {
            server!(RedisModule_SetAbsExpire(self.raw, deadline));
        }
    }

    /// # Safety
    /// `document` is the key's value.
    unsafe fn lend(&mut self, document: Opaque) {
        // SAFETY: the caller's promise; `ManuallyDrop` keeps the server the owner.
        self.document = Some(ManuallyDrop::new(unsafe { value::from_raw(document) }));
        self.known = document;
    }

    /// Ends the loan and tells the server where the document is now.
    fn give_back(&mut self) {
        let Some(document) = self.document.take() else {
            return;
        };
        if self.mode == Mode::Read {
            return;
        }
        let document = value::into_raw(ManuallyDrop::into_inner(document));
        if document != self.known {
            value::count_displaced();
            // SAFETY: the key is open for writing and holds our type. The old allocation is gone already.
            unsafe {
                server!(RedisModule_ModuleTypeReplaceValue(
                    self.raw,
                    value::document_type(),
                    document,
                    ptr::null_mut()
                ));
            }
        }
    }
}

impl Drop for Key<'_> {
    fn drop(&mut self) {
        self.give_back();
        // SAFETY: the key is open or null, and is not used again.
        unsafe { server!(RedisModule_CloseKey(self.raw)) }
    }
}
