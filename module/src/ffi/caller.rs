//! Whose permissions bind a command that runs others in its turn.

use std::ffi::c_int;
use std::io;
use std::marker::PhantomData;
use std::ptr::NonNull;

use redis_module::raw;

use super::context::{Context, Word};

/// Who called the command that runs.
pub(crate) enum Caller<'c> {
    /// Nobody with permissions: the server itself, a primary, or a module that calls without a user's rights. The
    /// server checks nothing for them either.
    Trusted,
    User(User<'c>),
    /// A user that does not exist any more, and may do nothing.
    Gone,
}

impl<'c> Caller<'c> {
    pub(crate) fn of(context: Context<'c>) -> Self {
        let Some(name) = name(context) else {
            return Self::Trusted;
        };
        // SAFETY: the name is alive and ours to free.
        let user = unsafe {
            let user = server!(RedisModule_GetModuleUserFromUserName(name.as_ptr()));
            server!(RedisModule_FreeString(context.raw(), name.as_ptr()));
            user
        };
        NonNull::new(user).map_or(Self::Gone, |raw| Self::User(User { context, raw, life: PhantomData }))
    }

    /// Whether the server would run this command for the caller. A refusal is in the server's ACL log.
    pub(crate) fn may_run(&self, words: &[Word<'_>]) -> bool {
        match self {
            Self::Trusted => true,
            Self::User(user) => user.may_run(words),
            Self::Gone => false,
        }
    }

    /// Whether the caller may write the keys that start with a prefix, as far as its patterns match the prefix.
    pub(crate) fn may_write(&self, prefix: Word<'_>) -> bool {
        match self {
            Self::Trusted => true,
            Self::User(user) => user.may_use(prefix, raw::REDISMODULE_CMD_KEY_UPDATE),
            Self::Gone => false,
        }
    }

    /// Whether the caller may read a key.
    pub(crate) fn may_read(&self, key: Word<'_>) -> bool {
        match self {
            Self::Trusted => true,
            Self::User(user) => user.may_use(key, raw::REDISMODULE_CMD_KEY_ACCESS),
            Self::Gone => false,
        }
    }
}

pub(crate) struct User<'c> {
    context: Context<'c>,
    raw: NonNull<raw::RedisModuleUser>,
    life: PhantomData<&'c ()>,
}

impl User<'_> {
    fn may_run(&self, words: &[Word<'_>]) -> bool {
        // SAFETY: user and words are alive; `Word` is the server's own pointer, and the server only reads them.
        let status = unsafe {
            server!(RedisModule_ACLCheckCommandPermissions(
                self.raw.as_ptr(),
                words.as_ptr().cast_mut().cast(),
                words.len() as c_int
            ))
        };
        self.allowed(status, words[0], raw::RedisModuleACLLogEntryReason_REDISMODULE_ACL_LOG_CMD)
    }

    /// Whether the user may use a key in a way, one of the server's flags.
    fn may_use(&self, key: Word<'_>, way: u32) -> bool {
        // SAFETY: user and key are alive.
        let status = unsafe {
            server!(RedisModule_ACLCheckKeyPermissions(self.raw.as_ptr(), key.raw(), way as c_int))
        };
        self.allowed(status, key, raw::RedisModuleACLLogEntryReason_REDISMODULE_ACL_LOG_KEY)
    }

    fn allowed(&self, status: c_int, object: Word<'_>, reason: raw::RedisModuleACLLogEntryReason) -> bool {
        let allowed = status as isize == raw::REDISMODULE_OK;
        if !allowed {
            // SAFETY: context, user and object are alive.
            unsafe {
                server!(RedisModule_ACLAddLogEntry(
                    self.context.raw(),
                    self.raw.as_ptr(),
                    object.raw(),
                    reason
                ));
            }
        }
        allowed
    }
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        // SAFETY: the user is ours and is not used again.
        unsafe { server!(RedisModule_FreeModuleUser(self.raw.as_ptr())) }
    }
}

/// The name of the caller's user; `None` where there is no user. The string is the caller's to free.
fn name(context: Context<'_>) -> Option<NonNull<raw::RedisModuleString>> {
    // SAFETY: the context is alive.
    unsafe {
        let client = server!(RedisModule_GetClientId(context.raw()));
        let name = server!(RedisModule_GetClientUserNameById(context.raw(), client));
        if !name.is_null() || !has_user(context) {
            return NonNull::new(name);
        }
        // A script or another module calls for a user: the server's list of clients does not have its client.
        NonNull::new(server!(RedisModule_GetCurrentUserName(context.raw())))
    }
}

/// Whether the context has a user. Servers of the first supported releases end themselves when they are asked for the
/// name of none, so they are asked to run something as the user: without one it fails before anything else is
/// looked at.
fn has_user(context: Context<'_>) -> bool {
    // SAFETY: the context is alive, the format announces no arguments, and the command exists nowhere.
    unsafe {
        let reply = server!(RedisModule_Call(context.raw(), c"model._".as_ptr(), c"C".as_ptr()));
        let error = io::Error::last_os_error();
        if !reply.is_null() {
            server!(RedisModule_FreeCallReply(reply));
        }
        error.raw_os_error() != Some(libc::ENOTSUP)
    }
}
