//! Everything unsafe: the server's C API behind types that cannot be misused, and every `extern "C"` function.
//!
//! What the rest of the module sees is safe. The server calls in on one thread, under its global lock; the one
//! exception is freeing values, which touches nothing but the value.

#![allow(unsafe_code)]

/// Calls a function of the server's API, inside an `unsafe` block that says why the arguments are right.
macro_rules! server {
    ($function:ident($($argument:expr),* $(,)?)) => {
        (::redis_module::raw::$function.expect("loading checked that the server has the function"))(
            $($argument),*
        )
    };
}

mod alloc;
mod caller;
mod cell;
mod commands;
mod config;
mod context;
mod events;
mod guard;
mod key;
mod load;
mod reply;
mod value;

pub(crate) use caller::Caller;
pub(crate) use cell::ServerCell;
pub(crate) use commands::{Commands, Description, FindKeys, FindPositions, Handler, KeySpec, Positions};
pub(crate) use config::{limits, register_settings};
pub(crate) use context::{Audience, Context, Flags, Text, Word};
pub(crate) use events::{call_later, subscribe};
pub(crate) use key::{Key, Mode};
pub(crate) use reply::Answer;
pub(crate) use value::{Digest, Loader, Saver, create_type};
