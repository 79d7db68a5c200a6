//! How much memory the server has left for documents.

use rapyer_engine::Error;

use crate::ffi::{Context, ServerCell};

/// What of the server's settings says how much memory there is. Asking for them costs as much as many commands, so
/// they are kept until a setting changes.
#[derive(Clone, Copy)]
struct Settings {
    maxmemory: usize,
    /// Whether the server makes room by evicting keys.
    evicts: bool,
}

static SETTINGS: ServerCell<Option<Settings>> = ServerCell::new(None);

/// Forgets the settings: one of them may have changed.
pub(crate) fn settings_changed() {
    *SETTINGS.borrow_mut() = None;
}

/// How many more bytes memory has room for; `OOM` where the server refuses commands that may need more.
///
/// With eviction that is all of `maxmemory`, since the server makes room behind each command.
#[expect(clippy::cast_precision_loss, reason = "the ratio is no more precise")]
pub(crate) fn spare(context: Context<'_>) -> Result<usize, Error> {
    let used = context.used_memory_ratio();
    if used == 0.0 {
        return Ok(usize::MAX);
    }
    if used >= 1.0 {
        // Only the server knows whether it refuses: it may be evicting, or be a replica that ignores the limit.
        return if context.refuses_growth() {
            Err(Error::OutOfMemory { grows: false })
        } else {
            Ok(usize::MAX)
        };
    }
    let Settings { maxmemory, evicts } = settings(context);
    Ok(if evicts { maxmemory } else { ((1.0 - used) * maxmemory as f64) as usize })
}

fn settings(context: Context<'_>) -> Settings {
    if let Some(settings) = *SETTINGS.borrow() {
        return settings;
    }
    let number = |text: std::ffi::CString| text.to_str().ok()?.parse().ok();
    let settings = Settings {
        maxmemory: context.info(c"memory", c"maxmemory").and_then(number).unwrap_or(usize::MAX),
        evicts: context.info(c"memory", c"maxmemory_policy").is_some_and(|policy| *policy != *c"noeviction"),
    };
    *SETTINGS.borrow_mut() = Some(settings);
    settings
}
