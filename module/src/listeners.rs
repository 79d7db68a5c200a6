//! Whether anybody would get what is replicated, so that nothing is put into words for nobody.
//!
//! Servers tell their modules of replicas in what INFO prints only, which is too slow to ask before each write. But
//! whoever starts to follow a server starts from a copy of its data, which a child process makes: that nobody
//! follows stays true until the next child process is born or the server changes its role.

use crate::ffi::{Context, Flags, ServerCell};
use rapyer_engine::{Millis, Time};

/// How long it is taken for granted that somebody follows. Asking again costs a few microseconds, and only work is
/// lost meanwhile.
const GRANTED: Millis = 1_000;

static REPLICAS: ServerCell<Replicas> = ServerCell::new(Replicas::Unknown);

#[derive(Clone, Copy, Debug)]
enum Replicas {
    Unknown,
    None,
    /// There were some, or a backlog that lets them come back, at this moment.
    Some(Time),
}

/// Whether an append-only file, a replica or another node of the cluster gets what is replicated now.
pub(crate) fn any(context: Context<'_>, flags: Flags, now: Time) -> bool {
    if flags.keeps_append_only_file() || flags.is_clustered() {
        return true;
    }
    let known = *REPLICAS.borrow();
    match known {
        Replicas::None => return false,
        Replicas::Some(at) if (at..at + GRANTED).contains(&now) => return true,
        Replicas::Unknown | Replicas::Some(_) => {}
    }
    let any = context.has_replicas_or_backlog();
    *REPLICAS.borrow_mut() = if any { Replicas::Some(now) } else { Replicas::None };
    any
}

/// A child process was born, or the server has become a primary or a replica.
pub(crate) fn may_have_changed() {
    *REPLICAS.borrow_mut() = Replicas::Unknown;
}
