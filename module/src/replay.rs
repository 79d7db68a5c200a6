//! The commands by which servers speak to each other: what a primary decided, for replicas and for restarts.
//!
//! They carry times and deadlines and are no clients' business.

use std::ffi::CStr;

use rapyer_engine::command::TABLE;
use rapyer_engine::{Document, Error, Time, integer, lifetime};

use crate::ffi::{Answer, Context, FindPositions, Handler, Key, Mode, Positions, Word};
use crate::{datatype, host, names, policies, register};

/// `MODEL._REPLAY "name|subcommand now deadlines" arg …`: one write. One word says it all: each costs an allocation.
/// Where a lock was among it, now is two times, joined by a comma: that of the wall clock and that of the lease clock.
pub(crate) const REPLAY: &CStr = c"MODEL._REPLAY";

/// `MODEL._EXPIREAT key ms [key ms …]`: what one read refreshed.
pub(crate) const EXPIREAT: &CStr = c"MODEL._EXPIREAT";

pub(crate) struct Internal {
    pub(crate) name: &'static str,
    pub(crate) flags: &'static str,
    pub(crate) positions: Positions,
    pub(crate) run: Handler,
    /// Finds the keys where their positions depend on the words.
    pub(crate) keys: FindPositions,
}

pub(crate) static COMMANDS: [Internal; 7] = [
    Internal {
        name: "model._replay",
        flags: "write getkeys-api",
        positions: (0, 0, 0),
        run: |context, words, answer| obeying(context, words, answer, replay),
        keys: replayed_keys,
    },
    // As the first release wrote and sent it: `MODEL._APPLY now deadlines NAME|SUBCOMMAND arg …`.
    Internal {
        name: "model._apply",
        flags: "write getkeys-api",
        positions: (0, 0, 0),
        run: |context, words, answer| obeying(context, words, answer, apply),
        keys: applied_keys,
    },
    Internal {
        name: "model._expireat",
        flags: "write",
        positions: (1, -1, 2),
        run: |context, words, answer| obeying(context, words, answer, expire_at),
        keys: |_| (Vec::new(), 0),
    },
    Internal {
        name: "model._load",
        flags: "write",
        positions: (1, 1, 1),
        run: |context, words, answer| obeying(context, words, answer, load),
        keys: |_| (Vec::new(), 0),
    },
    Internal {
        name: "model._policies",
        flags: "write",
        positions: (0, 0, 0),
        run: |context, words, answer| obeying(context, words, answer, set_policies),
        keys: |_| (Vec::new(), 0),
    },
    Internal {
        name: "model._leases",
        flags: "write",
        positions: (0, 0, 0),
        run: |context, words, answer| obeying(context, words, answer, set_leases),
        keys: |_| (Vec::new(), 0),
    },
    // Not for other servers: by calling it a batch learns whether this one refuses what may need more memory.
    Internal {
        name: "model._maygrow",
        flags: "readonly deny-oom",
        positions: (0, 0, 0),
        run: |_, _, answer| {
            rapyer_engine::Reply::ok(answer);
            Ok(())
        },
        keys: |_| (Vec::new(), 0),
    },
];

/// What an internal command does with the words after its name.
type Replayed = fn(Context<'_>, &[Word<'_>]) -> Result<(), Error>;

/// Runs an internal command for a server; clients are refused. What fails shows in the log: nobody reads the reply.
fn obeying(
    context: Context<'_>,
    words: &[Word<'_>],
    answer: &mut Answer<'_>,
    run: Replayed,
) -> Result<(), Error> {
    let name = words[0].bytes();
    if !context.flags().obeys() {
        return Err(Error::argument(name, "servers use this command among themselves; clients cannot"));
    }
    run(context, &words[1..]).inspect_err(|error| {
        context.warn(&format!("{}: {error}", name.escape_ascii()));
    })?;
    rapyer_engine::Reply::ok(answer);
    Ok(())
}

fn replay(context: Context<'_>, words: &[Word<'_>]) -> Result<(), Error> {
    let (header, args) = words.split_first().ok_or_else(arity)?;
    let mut parts = header.bytes().split(|byte| *byte == b' ');
    let [Some(name), Some(now), Some(deadlines), None] = std::array::from_fn(|_| parts.next()) else {
        return Err(Error::argument(header.bytes(), "not the header of a replicated command"));
    };
    host::run_again(row(name)?, context, times(now)?, deadlines, args)
}

fn replayed_keys(words: &[Word<'_>]) -> (Vec<usize>, u32) {
    let name = words.get(1).and_then(|header| header.bytes().split(|byte| *byte == b' ').next());
    keys_of(name, words, 2)
}

fn apply(context: Context<'_>, words: &[Word<'_>]) -> Result<(), Error> {
    let [now, deadlines, name, args @ ..] = words else {
        return Err(arity());
    };
    host::run_again(row(name.bytes())?, context, times(now.bytes())?, deadlines.bytes(), args)
}

/// The time of a command and, where it was told, that of leases.
fn times(word: &[u8]) -> Result<(Time, Option<Time>), Error> {
    let time = |word: &[u8]| {
        let time = integer::parse(word).ok_or_else(|| Error::argument(word, "not the time of a command"))?;
        lifetime::clock(time)
    };
    let mut words = word.splitn(2, |byte| *byte == b',');
    let now = time(words.next().unwrap_or_default())?;
    Ok((now, words.next().map(time).transpose()?))
}

fn applied_keys(words: &[Word<'_>]) -> (Vec<usize>, u32) {
    keys_of(words.get(3).map(|name| name.bytes()), words, 4)
}

/// The keys of the command of this name, whose arguments start at `first`.
fn keys_of(name: Option<&[u8]>, words: &[Word<'_>], first: usize) -> (Vec<usize>, u32) {
    match name.and_then(names::row) {
        Some(row) => register::key_positions(TABLE[row], words, first),
        None => (Vec::new(), 0),
    }
}

fn row(name: &[u8]) -> Result<usize, Error> {
    names::row(name).ok_or_else(|| Error::argument(name, "not a command of this release of the module"))
}

fn expire_at(context: Context<'_>, words: &[Word<'_>]) -> Result<(), Error> {
    let mut moves = Vec::with_capacity(words.len() / 2);
    for pair in words.chunks(2) {
        let [name, to] = pair else {
            return Err(arity());
        };
        moves.push((*name, lifetime::deadline(to.bytes())?));
    }
    for (name, to) in moves {
        let mut key = Key::open(context, name, Mode::Write)?;
        let Some(deadline) = key.document().map(|_| key.deadline()) else {
            continue;
        };
        key.set_deadline(Some(to));
        drop(key);
        if deadline.is_none_or(|deadline| to < deadline) {
            context.signal_modified(name);
            context.notify_generic(c"expire", name);
        }
    }
    context.replicate_verbatim();
    Ok(())
}

fn load(context: Context<'_>, words: &[Word<'_>]) -> Result<(), Error> {
    let (name, document) = match words {
        [name, fields, text] => (*name, Document::from_fields(fields.bytes(), text.bytes())?),
        // As the first release wrote it.
        [name, created, version, window, text] => {
            let document = datatype::restore(
                number(created.bytes())?,
                number(version.bytes())?,
                number(window.bytes())?,
                text.bytes(),
            )?;
            (*name, document)
        }
        _ => return Err(arity()),
    };
    Key::open(context, name, Mode::Write)?.set(document);
    context.signal_modified(name);
    context.replicate_verbatim();
    Ok(())
}

fn set_policies(context: Context<'_>, words: &[Word<'_>]) -> Result<(), Error> {
    let [database, payload] = words else {
        return Err(arity());
    };
    policies::replace(number(database.bytes())?, payload.bytes())?;
    context.replicate_verbatim();
    Ok(())
}

fn set_leases(context: Context<'_>, words: &[Word<'_>]) -> Result<(), Error> {
    let [payload] = words else {
        return Err(arity());
    };
    policies::replace_leases(payload.bytes())?;
    context.replicate_verbatim();
    Ok(())
}

fn number<T: TryFrom<i64>>(word: &[u8]) -> Result<T, Error> {
    let number = integer::parse(word).and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| Error::argument(word, "not a number of this command's range"))
}

fn arity() -> Error {
    Error::Unknown { message: "wrong number of words".into() }
}
