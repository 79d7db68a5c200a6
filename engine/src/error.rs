//! The closed table of errors: every failure a command can answer with, its stable prefix and its text.

use std::fmt;

use crate::Path;
use crate::json::Kind;
use crate::limits::Limit;

/// What went wrong. The prefix is the contract with clients; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no document under the key.
    NoKey,
    /// The path does not lead anywhere in the document.
    NoPath { path: String },
    /// The path's text is not a singular query of RFC 9535.
    BadPath { path: String, offset: usize, reason: &'static str },
    /// An argument is not JSON. `offset` counts bytes from the argument's start.
    BadJson { offset: usize, reason: &'static str },
    /// The value at the path has a type that the command does not work on.
    BadType { path: String, expected: &'static str, found: &'static str },
    /// A number, an index or a time beyond what is allowed.
    OutOfRange { argument: String, reason: &'static str },
    /// The result would be beyond a limit of documents.
    Limit { reason: &'static str },
    /// The result would be beyond a limit that an administrator can set.
    Beyond { limit: Limit, value: usize },
    /// Memory is full; `grows` where it would be after the batch.
    OutOfMemory { grows: bool },
    /// A creating command asked for a policy and its prefix has none.
    NoPolicy { key: String },
    /// The document is not at the version the client asked for.
    Stale { version: u32 },
    /// The value at the path is not the one the client expected.
    Changed { path: String },
    /// An argument that the command does not take.
    BadArgument { argument: String, reason: &'static str },
    /// The key holds a value of another type.
    WrongType,
    /// The client may not run this command, or not on these keys.
    NoPermission { command: String },
    /// The client may not write keys of this prefix, so it may not set their policy.
    NoPrefixPermission { prefix: String },
    /// What kept an operation of a batch, counted from one, from succeeding, and so all of them.
    Operation { number: usize, name: String, error: Box<Error> },
    /// Wrong number of arguments; `command` as the server prints it.
    Arity { command: String },
    /// No such command or subcommand, in the server's words.
    Unknown { message: String },
    /// A bug: a panic caught by a host's guard.
    Internal { message: String },
}

impl Error {
    pub fn argument(argument: &[u8], reason: &'static str) -> Self {
        Self::BadArgument { argument: printable(argument), reason }
    }

    pub(crate) fn no_path(path: &Path) -> Self {
        Self::NoPath { path: printable(path.to_string().as_bytes()) }
    }

    pub(crate) fn bad_type(path: &Path, expected: &'static str, found: Kind) -> Self {
        Self::BadType { path: printable(path.to_string().as_bytes()), expected, found: found.name() }
    }

    pub(crate) fn changed(path: &Path) -> Self {
        Self::Changed { path: printable(path.to_string().as_bytes()) }
    }

    pub fn range(argument: &[u8], reason: &'static str) -> Self {
        Self::OutOfRange { argument: printable(argument), reason }
    }

    /// The stable first word of the error's text.
    pub fn prefix(&self) -> &'static str {
        match self {
            Self::NoKey => "NOKEY",
            Self::NoPath { .. } => "NOPATH",
            Self::BadPath { .. } => "BADPATH",
            Self::BadJson { .. } => "BADJSON",
            Self::BadType { .. } => "BADTYPE",
            Self::OutOfRange { .. } => "OUTOFRANGE",
            Self::Limit { .. } | Self::Beyond { .. } => "LIMIT",
            Self::OutOfMemory { .. } => "OOM",
            Self::NoPolicy { .. } => "NOPOLICY",
            Self::Stale { .. } | Self::Changed { .. } => "STALE",
            Self::BadArgument { .. } => "BADARG",
            Self::WrongType => "WRONGTYPE",
            Self::NoPermission { .. } | Self::NoPrefixPermission { .. } => "NOPERM",
            Self::Operation { error, .. } => error.prefix(),
            Self::Arity { .. } | Self::Unknown { .. } => "ERR",
            Self::Internal { .. } => "INTERNAL",
        }
    }
}

/// The whole reply text, prefix first; printable ASCII, whatever the arguments held.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.prefix())?;
        self.explain(f)
    }
}

impl Error {
    /// The text behind the prefix.
    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => write!(f, "there is no document under this key"),
            Self::NoPath { path } => write!(f, "nothing at path '{path}'"),
            Self::BadPath { path, offset, reason } => {
                write!(f, "{reason} at byte {offset} of path '{path}'")
            }
            Self::BadJson { offset, reason } => write!(f, "{reason} at byte {offset}"),
            Self::BadType { path, expected, found } => {
                write!(f, "path '{path}' holds {found}, the command needs {expected}")
            }
            Self::OutOfRange { argument, reason } | Self::BadArgument { argument, reason } => {
                write!(f, "'{argument}': {reason}")
            }
            Self::Limit { reason } => f.write_str(reason),
            Self::Beyond { limit, value } => {
                let (excess, remedy) = limit.explanation();
                write!(f, "{excess}: rapyer.{} is {value} {}; {remedy}", limit.name(), limit.unit())
            }
            Self::OutOfMemory { grows } => {
                write!(f, "command not allowed when used memory > 'maxmemory'")?;
                if *grows {
                    write!(f, ": the batch would need more than there is left")?;
                }
                write!(f, "; free memory or raise maxmemory, then repeat")
            }
            Self::NoPolicy { key } => {
                write!(f, "no policy covers '{key}'; set one with MODEL.POLICY SET, then repeat")
            }
            Self::Stale { version } => {
                write!(f, "the document is at version {version}; read it again, then repeat")
            }
            Self::Changed { path } => {
                write!(f, "the value at path '{path}' is not the expected one; read it again, then repeat")
            }
            Self::WrongType => {
                write!(f, "Operation against a key holding the wrong kind of value")
            }
            Self::NoPermission { command } => {
                write!(f, "this user has no permissions to run '{command}' on its keys")
            }
            Self::NoPrefixPermission { prefix } => {
                write!(
                    f,
                    "this user has no permissions to write keys of prefix '{}'",
                    printable(prefix.as_bytes())
                )
            }
            Self::Operation { number, name, error } => {
                write!(f, "operation {number} ({name}): ")?;
                error.explain(f)
            }
            Self::Arity { command } => {
                write!(f, "wrong number of arguments for '{command}' command")
            }
            Self::Unknown { message } | Self::Internal { message } => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {}

/// An argument as an error may show it: printable ASCII, at most 128 bytes of it.
pub(crate) fn printable(bytes: &[u8]) -> String {
    const SHOWN: usize = 128;
    let mut text = String::new();
    for byte in &bytes[..bytes.len().min(SHOWN)] {
        match byte {
            b'\'' | b'"' => text.push(char::from(*byte)),
            _ => text.extend(byte.escape_ascii().map(char::from)),
        }
    }
    if bytes.len() > SHOWN {
        text.push_str("...");
    }
    text
}
