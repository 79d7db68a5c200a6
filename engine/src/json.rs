//! JSON as canonical compact text: how it becomes canonical, and how to find the way in it.
//!
//! Canonical text is what a document stores and what every command answers: RFC 8259 without white space,
//! names unique, escapes minimal, numbers as they were written. Bytes enter through [`canonical`]; everything
//! else here trusts its input and therefore only looks at the bytes that matter.

mod canonical;
mod compare;
mod search;
mod string;
mod walk;

pub(crate) use canonical::canonical_within;
pub use canonical::{MAX_DEPTH, MAX_DIGITS, canonical};
pub(crate) use compare::{Sought, normal, order};
pub(crate) use string::{push_escaped, unescape};
pub use string::{quote, string_chars, unquote};
pub use walk::{Elements, Kind, Member, Members, element, elements, kind, member, members, skip};
pub(crate) use walk::{close, containers_over, whole};
