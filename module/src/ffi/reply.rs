//! A reply, written straight into the server's buffers.

use std::ffi::c_long;

use rapyer_engine::{Error, Reply};

use super::context::{Context, c_text};

/// The one reply of a command.
pub(crate) struct Answer<'c> {
    context: Context<'c>,
    /// Replies that the client still waits for: an error in the middle of an array must not leave it waiting.
    owed: usize,
}

impl<'c> Answer<'c> {
    pub(super) fn new(context: Context<'c>) -> Self {
        Self { context, owed: 1 }
    }

    /// Ends the reply with an error, in every place that is still open.
    pub(super) fn fail(&mut self, error: &Error) {
        let text = c_text(&error.to_string());
        while self.owed > 0 {
            // SAFETY: the context is alive, the text has no line break.
            unsafe {
                server!(RedisModule_ReplyWithError(self.context.raw(), text.as_ptr()));
            }
            self.owed -= 1;
        }
    }
}

impl Reply for Answer<'_> {
    fn null(&mut self) {
        // SAFETY: the context is alive.
        unsafe {
            server!(RedisModule_ReplyWithNull(self.context.raw()));
        }
        self.owed -= 1;
    }

    fn ok(&mut self) {
        // SAFETY: the context is alive.
        unsafe {
            server!(RedisModule_ReplyWithSimpleString(self.context.raw(), c"OK".as_ptr()));
        }
        self.owed -= 1;
    }

    fn integer(&mut self, value: i64) {
        // SAFETY: the context is alive.
        unsafe {
            server!(RedisModule_ReplyWithLongLong(self.context.raw(), value));
        }
        self.owed -= 1;
    }

    fn bulk(&mut self, value: &[u8]) {
        // SAFETY: the context is alive, the bytes are copied.
        unsafe {
            server!(RedisModule_ReplyWithStringBuffer(
                self.context.raw(),
                value.as_ptr().cast(),
                value.len()
            ));
        }
        self.owed -= 1;
    }

    fn array(&mut self, len: usize) {
        // SAFETY: the context is alive.
        unsafe {
            server!(RedisModule_ReplyWithArray(self.context.raw(), len as c_long));
        }
        self.owed = self.owed - 1 + len;
    }
}
