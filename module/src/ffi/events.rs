//! Server events and timers.

use std::ffi::c_void;
use std::mem::transmute;

use redis_module::raw;

use super::context::Context;
use super::guard::guarded;
use crate::{listeners, memory, policies};

/// What a timer runs.
pub(crate) type Task = fn(Context<'_>);

/// Subscribes to what policies, replication and the look at memory need to know; false when the server refuses.
pub(crate) fn subscribe(context: Context<'_>) -> bool {
    let subscribe = |id, callback| {
        let event = raw::RedisModuleEvent { id, dataver: 1 };
        // SAFETY: the context is the one of loading, the callback has the server's signature.
        let status =
            unsafe { server!(RedisModule_SubscribeToServerEvent(context.raw(), event, Some(callback))) };
        status as isize == raw::REDISMODULE_OK
    };
    subscribe(raw::REDISMODULE_EVENT_LOADING, loading)
        && subscribe(raw::REDISMODULE_EVENT_REPL_ASYNC_LOAD, loading_aside)
        && subscribe(raw::REDISMODULE_EVENT_FORK_CHILD, fork)
        && subscribe(raw::REDISMODULE_EVENT_CONFIG, config)
        && subscribe(raw::REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED, role)
}

extern "C" fn loading(
    context: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    subevent: u64,
    _data: *mut c_void,
) {
    guard(context, |_| {
        if matches!(
            subevent,
            raw::REDISMODULE_SUBEVENT_LOADING_RDB_START
                | raw::REDISMODULE_SUBEVENT_LOADING_AOF_START
                | raw::REDISMODULE_SUBEVENT_LOADING_REPL_START
        ) {
            policies::loading_starts();
        }
    });
}

/// A replica that loads what its primary sends beside what it has: `repl-diskless-load swapdb`.
extern "C" fn loading_aside(
    context: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    subevent: u64,
    _data: *mut c_void,
) {
    guard(context, |_| match subevent {
        raw::REDISMODULE_SUBEVENT_REPL_ASYNC_LOAD_STARTED => policies::loading_aside_starts(),
        raw::REDISMODULE_SUBEVENT_REPL_ASYNC_LOAD_ABORTED => policies::loading_aside_ends(false),
        raw::REDISMODULE_SUBEVENT_REPL_ASYNC_LOAD_COMPLETED => policies::loading_aside_ends(true),
        _ => {}
    });
}

extern "C" fn fork(
    context: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    subevent: u64,
    _data: *mut c_void,
) {
    guard(context, |context| {
        if subevent == raw::REDISMODULE_SUBEVENT_FORK_CHILD_BORN {
            listeners::may_have_changed();
            policies::rewrite_starts(context);
        }
    });
}

extern "C" fn role(
    context: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    _subevent: u64,
    _data: *mut c_void,
) {
    guard(context, |_| listeners::may_have_changed());
}

extern "C" fn config(
    context: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    _subevent: u64,
    _data: *mut c_void,
) {
    guard(context, |_| memory::settings_changed());
}

/// Runs a task once, in this many milliseconds.
pub(crate) fn call_later(context: Context<'_>, millis: i64, task: Task) {
    // SAFETY: the context is alive; the data is a function, which lives for ever.
    unsafe {
        server!(RedisModule_CreateTimer(context.raw(), millis, Some(timer), task as *mut c_void));
    }
}

extern "C" fn timer(context: *mut raw::RedisModuleCtx, task: *mut c_void) {
    // SAFETY: `call_later` alone sets this callback, and passes a `Task`.
    let task = unsafe { transmute::<*mut c_void, Task>(task) };
    guard(context, task);
}

/// Runs a callback's work; a panic is a log line.
fn guard(context: *mut raw::RedisModuleCtx, work: impl FnOnce(Context<'_>)) {
    // SAFETY: the server passes the context of this callback.
    let context = unsafe { Context::new(context) };
    if let Err(error) = guarded(|| work(context)) {
        context.warn(&format!("{error}, in an event's callback"));
    }
}
