//! The module's entry point.

use std::ffi::c_int;
use std::panic;

use redis_module::raw;

use super::context::{Context, log_line};
use super::guard::guarded;

/// Called by the server when it loads the module.
///
/// # Safety
/// The arguments are the server's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn RedisModule_OnLoad(
    context: *mut raw::RedisModuleCtx,
    _argv: *mut *mut raw::RedisModuleString,
    argc: c_int,
) -> c_int {
    // Nothing may be allocated before this: the allocator is the server's.
    // SAFETY: the context is the server's, the name is a constant.
    let status = unsafe { raw::Export_RedisModule_Init(context, c"rapyer".as_ptr(), VERSION, API_VERSION) };
    if status as isize != raw::REDISMODULE_OK {
        return raw::REDISMODULE_ERR as c_int;
    }
    panic::set_hook(Box::new(|panic| log_line(&panic.to_string())));
    // SAFETY: the context is the one of this callback.
    let context = unsafe { Context::new(context) };
    let loaded = guarded(|| {
        if let Some(function) = missing() {
            return Err(format!("it needs {function}, which Redis has from 7.0 on and Valkey from 7.2 on"));
        }
        if argc > 0 {
            return Err("it takes no arguments".into());
        }
        crate::on_load(context)
    });
    let reason = match loaded {
        Ok(Ok(())) => return raw::REDISMODULE_OK as c_int,
        Ok(Err(reason)) => reason,
        Err(panic) => panic.to_string(),
    };
    context.warn(&format!("rapyer is not loaded: {reason}"));
    raw::REDISMODULE_ERR as c_int
}

/// 0.1.0, as `MODULE LIST` shows versions: one number.
const VERSION: c_int = 100;
const API_VERSION: c_int = raw::REDISMODULE_APIVER_1 as c_int;

macro_rules! first_missing {
    ($($function:ident)*) => {
        // SAFETY: the functions were looked up when the module was initialised and do not change any more.
        unsafe {
            [$((stringify!($function), {
                let function = raw::$function;
                function.is_none()
            })),*]
        }
    };
}

/// A function we cannot do without and the server does not have.
fn missing() -> Option<&'static str> {
    let functions = first_missing![
        RedisModule_Alloc RedisModule_Realloc RedisModule_Free RedisModule_MallocSize
        RedisModule_CreateCommand RedisModule_CreateSubcommand RedisModule_GetCommand
        RedisModule_SetCommandInfo RedisModule_IsKeysPositionRequest RedisModule_KeyAtPosWithFlags
        RedisModule_SetModuleOptions RedisModule_GetServerInfo
        RedisModule_ServerInfoGetFieldC RedisModule_FreeServerInfo RedisModule_GetContextFlags RedisModule_AvoidReplicaTraffic
        RedisModule_Milliseconds RedisModule_MonotonicMicroseconds RedisModule_GetSelectedDb RedisModule_Log
        RedisModule_Replicate RedisModule_ReplicateVerbatim RedisModule_SignalModifiedKey
        RedisModule_NotifyKeyspaceEvent RedisModule_StringPtrLen RedisModule_CreateString
        RedisModule_CreateStringFromLongLong RedisModule_FreeString RedisModule_ReplyWithNull
        RedisModule_ReplyWithError RedisModule_ReplyWithSimpleString RedisModule_ReplyWithLongLong
        RedisModule_ReplyWithStringBuffer RedisModule_ReplyWithArray RedisModule_OpenKey
        RedisModule_CloseKey RedisModule_KeyType RedisModule_DeleteKey RedisModule_GetAbsExpire
        RedisModule_SetAbsExpire RedisModule_CreateDataType RedisModule_ModuleTypeGetType
        RedisModule_ModuleTypeGetValue RedisModule_ModuleTypeSetValue RedisModule_ModuleTypeReplaceValue
        RedisModule_SaveUnsigned RedisModule_LoadUnsigned RedisModule_SaveStringBuffer
        RedisModule_LoadStringBuffer RedisModule_IsIOError RedisModule_LogIOError RedisModule_EmitAOF
        RedisModule_DigestAddLongLong RedisModule_DigestAddStringBuffer RedisModule_DigestEndSequence
        RedisModule_DefragAlloc RedisModule_DefragCursorGet RedisModule_DefragCursorSet
        RedisModule_GetClientId RedisModule_GetClientUserNameById RedisModule_GetCurrentUserName
        RedisModule_GetModuleUserFromUserName RedisModule_FreeModuleUser RedisModule_ACLCheckCommandPermissions
        RedisModule_ACLCheckKeyPermissions RedisModule_ACLAddLogEntry RedisModule_Call RedisModule_FreeCallReply
        RedisModule_DefragShouldStop RedisModule_SubscribeToServerEvent RedisModule_CreateTimer
        RedisModule_RegisterNumericConfig RedisModule_LoadConfigs RedisModule_GetUsedMemoryRatio
        RedisModule_Call RedisModule_FreeCallReply
    ];
    functions.into_iter().find_map(|(name, missing)| missing.then_some(name))
}
