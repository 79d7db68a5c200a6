//! Host 1: the engine inside Redis and Valkey.
//!
//! Start at [`host`]: one command from its words to its effects. The server's C API stays behind [`ffi`].

#![deny(unsafe_code)]

mod datatype;
mod faults;
mod ffi;
mod host;
mod listeners;
mod memory;
mod names;
mod policies;
mod register;
mod replay;

use ffi::Context;

/// Everything the server learns of the module.
fn on_load(context: Context<'_>) -> Result<(), String> {
    context.set_options();
    if !ffi::create_type(context) {
        return Err("another module has a data type of the same name".into());
    }
    register::commands(context)?;
    ffi::register_settings(context)?;
    // Last: a server that refuses the module after this would go on calling it.
    if !ffi::subscribe(context) {
        return Err("the server does not offer the events of loading and forking".into());
    }
    Ok(())
}
