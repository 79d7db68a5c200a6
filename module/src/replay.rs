//! The commands by which servers speak to each other: what a primary decided, for replicas and for restarts.
//!
//! They carry times and deadlines and are no clients' business.

use std::ffi::CStr;

use rapyer_engine::command::{Entry, TABLE};
use rapyer_engine::{Document, Error, Time, integer, lifetime};

use crate::ffi::{Answer, Context, FindPositions, Handler, Key, Mode, Positions, Word};
use crate::{datatype, host, policies, register};

/// `MODEL._APPLY now deadlines NAME|SUBCOMMAND arg …`: one write. Where a lock was among it, now is two times, joined by
/// a comma: that of the wall clock and that of the lease clock.
pub(crate) const APPLY: &CStr = c"MODEL._APPLY";

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

pub(crate) static COMMANDS: [Internal; 6] = [
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
    if !context.obeys() {
        return Err(Error::argument(name, "servers use this command among themselves; clients cannot"));
    }
    run(context, &words[1..]).inspect_err(|error| {
        context.warn(&format!("{}: {error}", name.escape_ascii()));
    })?;
    rapyer_engine::Reply::ok(answer);
    Ok(())
}

fn apply(context: Context<'_>, words: &[Word<'_>]) -> Result<(), Error> {
    let [now, deadlines, name, args @ ..] = words else {
        return Err(arity());
    };
    let (now, lease_time) = times(now.bytes())?;
    let entry = named(name.bytes())
        .ok_or_else(|| Error::argument(name.bytes(), "not a command of this release of the module"))?;
    entry.check_arity(args.len())?;
    host::run_again(entry, context, (now, lease_time), deadlines.bytes(), args)
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

/// The position of a command's name in `_APPLY`, and behind it its arguments.
const APPLIED: usize = 3;

fn applied_keys(words: &[Word<'_>]) -> (Vec<usize>, u32) {
    let Some(entry) = words.get(APPLIED).and_then(|name| named(name.bytes())) else {
        return (Vec::new(), 0);
    };
    let first = APPLIED + 1;
    let args: Vec<&[u8]> = words[first..].iter().map(|word| word.bytes()).collect();
    (entry.command.keys.range(&args).map(|at| first + at).collect(), register::key_flags(entry.command))
}

/// The row of `APPEND` or `TTL|SET`.
fn named(name: &[u8]) -> Option<Entry> {
    let mut parts = name.split(|byte| *byte == b'|');
    let (name, subcommand) = (parts.next()?, parts.next());
    let is_it = |row: &rapyer_engine::Command| {
        row.name.as_bytes() == name && row.subcommand.map(str::as_bytes) == subcommand
    };
    TABLE.iter().copied().find(|row| is_it(row)).map(|command| Entry { command, twin: false })
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
            let document =
                datatype::restore(number(*created)?, number(*version)?, number(*window)?, text.bytes())?;
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
    policies::replace(number(*database)?, payload.bytes())?;
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

fn number<T: TryFrom<i64>>(word: Word<'_>) -> Result<T, Error> {
    let number = integer::parse(word.bytes()).and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| Error::argument(word.bytes(), "not a number of this command's range"))
}

fn arity() -> Error {
    Error::Unknown { message: "wrong number of words".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_writing_row_is_found_under_the_name_it_is_replicated_by() {
        for row in TABLE {
            let name = row.subcommand.map_or(row.name.to_owned(), |sub| format!("{}|{sub}", row.name));
            let entry = named(name.as_bytes()).expect("a row");
            assert!(std::ptr::eq(entry.command, *row));
        }
        assert!(named(b"TTL").is_none());
        assert!(named(b"APPEND|X").is_none());
        assert!(named(b"NOPE").is_none());
    }
}
