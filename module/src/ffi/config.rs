//! The module's settings: `CONFIG GET rapyer.*`, `CONFIG SET`, the server's configuration file.

use std::ffi::{CString, c_char, c_int, c_longlong, c_void};

use rapyer_engine::{Limit, Limits};
use redis_module::raw;

use super::cell::ServerCell;
use super::context::Context;

static LIMITS: ServerCell<Limits> = ServerCell::new(Limits::DEFAULT);

/// What clients' commands are held to.
pub(crate) fn limits() -> Limits {
    *LIMITS.borrow()
}

/// Registers the settings and takes the values that the server has for them.
pub(crate) fn register_settings(context: Context<'_>) -> Result<(), String> {
    for limit in &Limit::ALL {
        let name = CString::new(limit.name()).unwrap_or_default();
        let flags = match limit {
            Limit::Depth => raw::REDISMODULE_CONFIG_DEFAULT,
            Limit::Document | Limit::Batch | Limit::Reply => raw::REDISMODULE_CONFIG_MEMORY,
        };
        let (least, most) = limit.range().into_inner();
        // SAFETY: the context is the one of loading; the server copies the name, and passes the limit, which lives
        // for ever, to the callbacks.
        let status = unsafe {
            server!(RedisModule_RegisterNumericConfig(
                context.raw(),
                name.as_ptr(),
                Limits::DEFAULT.get(*limit) as c_longlong,
                flags,
                least as c_longlong,
                most as c_longlong,
                Some(get),
                Some(set),
                None,
                std::ptr::from_ref(limit).cast_mut().cast(),
            ))
        };
        if status as isize != raw::REDISMODULE_OK {
            return Err(format!("the server refuses the setting {}", limit.name()));
        }
    }
    // SAFETY: the context is the one of loading.
    let status = unsafe { server!(RedisModule_LoadConfigs(context.raw())) };
    if status as isize == raw::REDISMODULE_OK {
        Ok(())
    } else {
        Err("a setting of the configuration has a value that it cannot have".into())
    }
}

extern "C" fn get(_name: *const c_char, limit: *mut c_void) -> c_longlong {
    // SAFETY: `register_settings` passes a limit of a constant table.
    limits().get(unsafe { *limit.cast::<Limit>() }) as c_longlong
}

extern "C" fn set(
    _name: *const c_char,
    value: c_longlong,
    limit: *mut c_void,
    _error: *mut *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: `register_settings` passes a limit of a constant table.
    let limit = unsafe { *limit.cast::<Limit>() };
    // The server has looked at the range, so this is a formality.
    let set = usize::try_from(value).is_ok_and(|value| LIMITS.borrow_mut().set(limit, value).is_ok());
    (if set { raw::REDISMODULE_OK } else { raw::REDISMODULE_ERR }) as c_int
}
