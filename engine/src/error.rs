//! The closed table of errors: every failure a command can answer with, its stable prefix and its text.

use std::fmt;

use crate::json::Kind;
use crate::limits::Limit;
use crate::{Path, Version};

/// What went wrong. The prefix is the contract with clients; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no document under the key.
    NoKey,
    /// The path does not lead anywhere in the document.
    NoPath { path: String },
    /// A filter of the path selects several elements.
    Ambiguous { path: String },
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
    Stale { version: Version },
    /// The value at the path is not the one the client expected.
    Changed { path: String },
    /// A condition on the value at the path, which the client asked to fail where it is not met: "`MAX 9` is not met:
    /// the path `would hold` this value".
    Unmet { condition: String, path: String, verb: &'static str, value: String },
    /// What the client required of the value at the path, "`LE 9`", is not true of what it would be.
    Constraint { path: String, requirement: String, value: String },
    /// An argument that the command does not take.
    BadArgument { argument: String, reason: &'static str },
    /// The key holds a value of another type.
    WrongType,
    /// The client may not run this command, or not on these keys.
    NoPermission { command: String },
    /// The client may not write keys of this prefix, so it may not set their policy.
    NoPrefixPermission { prefix: String },
    /// The client may not read this key, and an option or a path would tell what it holds.
    NoReadPermission { key: String },
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

    pub(crate) fn ambiguous(path: &Path) -> Self {
        Self::Ambiguous { path: printable(path.to_string().as_bytes()) }
    }

    pub(crate) fn bad_type(path: &Path, expected: &'static str, found: Kind) -> Self {
        Self::BadType { path: printable(path.to_string().as_bytes()), expected, found: found.name() }
    }

    pub(crate) fn changed(path: &Path) -> Self {
        Self::Changed { path: printable(path.to_string().as_bytes()) }
    }

    pub(crate) fn unmet(condition: &[u8], path: &Path, verb: &'static str, value: &[u8]) -> Self {
        Self::Unmet {
            condition: printable(condition),
            path: printable(path.to_string().as_bytes()),
            verb,
            value: printable(value),
        }
    }

    pub(crate) fn constraint(path: &Path, relation: &str, bound: &[u8], value: &[u8]) -> Self {
        Self::Constraint {
            path: printable(path.to_string().as_bytes()),
            requirement: format!("{relation} {}", printable(bound)),
            value: printable(value),
        }
    }

    pub fn range(argument: &[u8], reason: &'static str) -> Self {
        Self::OutOfRange { argument: printable(argument), reason }
    }

    /// The stable first word of the error's text.
    pub fn prefix(&self) -> Prefix {
        match self {
            Self::NoKey => Prefix::NoKey,
            Self::NoPath { .. } => Prefix::NoPath,
            Self::Ambiguous { .. } => Prefix::Ambiguous,
            Self::BadPath { .. } => Prefix::BadPath,
            Self::BadJson { .. } => Prefix::BadJson,
            Self::BadType { .. } => Prefix::BadType,
            Self::OutOfRange { .. } => Prefix::OutOfRange,
            Self::Limit { .. } | Self::Beyond { .. } => Prefix::Limit,
            Self::OutOfMemory { .. } => Prefix::OutOfMemory,
            Self::NoPolicy { .. } => Prefix::NoPolicy,
            Self::Stale { .. } | Self::Changed { .. } | Self::Unmet { .. } => Prefix::Stale,
            Self::Constraint { .. } => Prefix::Constraint,
            Self::BadArgument { .. } => Prefix::BadArgument,
            Self::WrongType => Prefix::WrongType,
            Self::NoPermission { .. } | Self::NoPrefixPermission { .. } | Self::NoReadPermission { .. } => {
                Prefix::NoPermission
            }
            Self::Operation { error, .. } => error.prefix(),
            Self::Arity { .. } | Self::Unknown { .. } => Prefix::Server,
            Self::Internal { .. } => Prefix::Internal,
        }
    }
}

/// Declares the prefixes: the word, what causes the error, and what helps, each in one line for the reference.
macro_rules! prefixes {
    ($($name:ident $word:literal: $cause:literal, $remedy:literal;)*) => {
        /// The stable first word of an error reply. Clients tell errors apart by it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Prefix {
            $($name),*
        }

        impl Prefix {
            /// Every one, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word as replies start with it.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word),*
                }
            }

            /// What causes the error.
            pub fn cause(self) -> &'static str {
                match self {
                    $(Self::$name => $cause),*
                }
            }

            /// What whoever gets it can do.
            pub fn remedy(self) -> &'static str {
                match self {
                    $(Self::$name => $remedy),*
                }
            }
        }
    };
}

prefixes! {
    NoKey "NOKEY":
        "There is no document under the key: it was never created, was deleted, or has expired.",
        "Create it, or treat it as missing.";
    NoPath "NOPATH":
        "The path leads nowhere in the document.",
        "Look at the document with `MODEL.GET_RO`; set the value first.";
    Ambiguous "AMBIGUOUS":
        "The path's filter selects several elements.",
        "Compare a member by which the elements can be told apart, or name one by its index.";
    BadPath "BADPATH":
        "The path is not a singular query of RFC 9535, nor one with a filter by a member's value.",
        "Correct it at the byte that the text names: `$`, `$.a[0]`, `$[\"any key\"]`, `$.a[?@.id==1]`.";
    BadJson "BADJSON":
        "An argument is not JSON.",
        "Correct it at the byte that the text names; strings are quoted.";
    BadType "BADTYPE":
        "The value at the path has a type that the command does not work on.",
        "Look with `MODEL.TYPE`; the text says which type is needed.";
    BadArgument "BADARG":
        "The command does not take the argument.",
        "See the command's synopsis below.";
    OutOfRange "OUTOFRANGE":
        "A number, an index or a time is beyond what is allowed, or not spelled as servers spell integers.",
        "The text names the number and the range.";
    Limit "LIMIT":
        "The result would be beyond a limit, such as a document's size or depth.",
        "Ask for less at once, or have an administrator raise the limit that the text names.";
    OutOfMemory "OOM":
        "The server's memory is full, or would be after the batch.",
        "Free memory, raise `maxmemory`, or choose a policy of eviction.";
    NoPolicy "NOPOLICY":
        "`EXPECT-POLICY` was given, and no policy covers the key.",
        "Set one with `MODEL.POLICY SET`, then repeat.";
    Stale "STALE":
        "The document or the value is not the expected one, or a condition under `STRICT` is not met: somebody else \
         has changed it.",
        "Read it again, decide again, then repeat.";
    Constraint "CONSTRAINT":
        "The value at the path would break what `REQUIRE` asks of it.",
        "Change it by another amount, or read what is there and decide again.";
    WrongType "WRONGTYPE":
        "The key holds a value of another type, not a document.",
        "Use another key, or the commands of that type.";
    NoPermission "NOPERM":
        "The user may not run the command, or not on these keys.",
        "Have an administrator grant it with `ACL SETUSER`.";
    Internal "INTERNAL":
        "A bug in the module. The server goes on.",
        "Report the line that the server's log has of it.";
    Server "ERR":
        "The command is unknown, or has a wrong number of arguments, in the server's own words.",
        "See the command's synopsis below; check that the module is loaded, and which release.";
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
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
            Self::Ambiguous { path } => {
                write!(f, "path '{path}' leads to several elements: its filter must select one")
            }
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
            Self::Unmet { condition, path, verb, value } => {
                write!(f, "{condition} is not met: path '{path}' {verb} {value}; read it again, then repeat")
            }
            Self::Constraint { path, requirement, value } => {
                write!(f, "path '{path}' would hold {value}, which REQUIRE {requirement} does not allow")
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
            Self::NoReadPermission { key } => {
                write!(f, "this user has no permissions to read '{key}', of which the command would tell")
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_prefix_is_one_word_of_its_own_with_a_cause_and_a_remedy() {
        let words: BTreeSet<&str> = Prefix::ALL.iter().map(|prefix| prefix.word()).collect();
        assert_eq!(words.len(), Prefix::ALL.len());
        for prefix in Prefix::ALL {
            assert!(prefix.word().bytes().all(|byte| byte.is_ascii_uppercase()), "{prefix}");
            for line in [prefix.cause(), prefix.remedy()] {
                assert!(
                    line.ends_with('.') && !line.contains('|') && !line.contains('\n'),
                    "{prefix}: {line}"
                );
            }
        }
    }

    #[test]
    fn an_operation_of_a_batch_has_the_prefix_of_its_error() {
        let error = Error::Operation { number: 2, name: "MODEL.GET".into(), error: Box::new(Error::NoKey) };
        assert_eq!(error.prefix(), Prefix::NoKey);
        assert!(error.to_string().starts_with("NOKEY operation 2 (MODEL.GET): "));
    }
}
