//! The engine: documents, paths, policies, the command table and every command.
//!
//! It knows nothing of Redis, Python, sockets or the wall clock. A host opens documents for it, tells it the
//! time and carries out what it decides. Start reading at [`command`], then [`lifetime`].

#![forbid(unsafe_code)]

mod arithmetic;
pub mod command;
mod container;
mod defrag;
mod document;
mod draft;
pub mod embedded;
mod equality;
mod error;
mod fields;
mod groups;
mod guard;
mod host;
pub mod integer;
mod journal;
pub mod json;
mod lease;
pub mod lifetime;
mod limits;
mod mirror;
mod moment;
mod node;
mod path;
mod policy;
mod reply;
mod seen;
mod staged;
mod version;

pub use command::{Command, Entry};
pub use defrag::Mover;
pub use document::{Document, Header, Large, Stored};
pub use draft::Draft;
pub use error::{Error, Prefix};
pub use groups::Groups;
pub use guard::guarded;
pub use host::{Deadline, Done, Effect, Host, Touched};
pub use journal::{Change, Difference};
pub use lease::Leases;
pub use limits::{Bound, Limit, Limits};
pub use mirror::Mirror;
pub use path::{Path, Step};
pub use policy::{Policies, Policy};
pub use reply::{Discard, Recorder, Reply, Value};
pub use version::Version;

/// A moment: milliseconds since the epoch.
pub type Time = i64;
/// A span of time in milliseconds.
pub type Millis = i64;

#[cfg(test)]
extern crate self as rapyer_engine;

/// The tests of edits once more, here where a few dozen bytes are a large container.
#[cfg(test)]
#[path = "../tests/edits_follow_a_reference.rs"]
mod edits_follow_a_reference;
