//! The server's own key commands that a package and its tests need, with the server's replies.

use super::{Keyspace, glob};
use crate::{Error, Time, Value, integer};

/// Answers `words` if they are one of the server's own commands.
pub(super) fn execute(keyspace: &mut Keyspace, words: &[&[u8]], now: Time) -> Option<Result<Value, Error>> {
    let (name, args) = words.split_first()?;
    let name = name.to_ascii_uppercase();
    let (arity, run): (Arity, Run) = match name.as_slice() {
        b"EXISTS" => (Arity::AtLeast(1), exists),
        b"DEL" | b"UNLINK" => (Arity::AtLeast(1), del),
        b"PTTL" => (Arity::Exactly(1), pttl),
        b"PEXPIRETIME" => (Arity::Exactly(1), pexpiretime),
        b"PEXPIRE" => (Arity::Exactly(2), pexpire),
        b"PEXPIREAT" => (Arity::Exactly(2), pexpireat),
        b"PERSIST" => (Arity::Exactly(1), persist),
        b"RENAME" => (Arity::Exactly(2), rename),
        b"COPY" => (Arity::AtLeast(2), copy),
        b"SCAN" => (Arity::AtLeast(1), scan),
        b"FLUSHDB" | b"FLUSHALL" => (Arity::Exactly(0), flush),
        b"DBSIZE" => (Arity::Exactly(0), |keyspace, _, _| Ok(integer(keyspace.slots.len()))),
        b"TIME" => (Arity::Exactly(0), time),
        b"PING" => (Arity::Exactly(0), |_, _, _| Ok(Value::Bulk(b"PONG".to_vec()))),
        _ => return None,
    };
    let fits = match arity {
        Arity::Exactly(count) => args.len() == count,
        Arity::AtLeast(count) => args.len() >= count,
    };
    if !fits {
        let command = String::from_utf8_lossy(&name).to_ascii_lowercase();
        return Some(Err(Error::Arity { command }));
    }
    Some(run(keyspace, args, now))
}

enum Arity {
    Exactly(usize),
    AtLeast(usize),
}

type Run = fn(&mut Keyspace, &[&[u8]], Time) -> Result<Value, Error>;

fn integer(count: usize) -> Value {
    Value::Integer(count as i64)
}

fn exists(keyspace: &mut Keyspace, keys: &[&[u8]], _now: Time) -> Result<Value, Error> {
    Ok(integer(keys.iter().filter(|key| keyspace.slots.contains_key(**key)).count()))
}

fn del(keyspace: &mut Keyspace, keys: &[&[u8]], _now: Time) -> Result<Value, Error> {
    Ok(integer(keys.iter().filter(|key| keyspace.remove(key).is_some()).count()))
}

/// The deadline less `from`; -1 without a deadline, -2 without a key.
fn deadline(keyspace: &Keyspace, key: &[u8], from: Time) -> Value {
    Value::Integer(match keyspace.slots.get(key) {
        None => -2,
        Some(slot) => slot.deadline.map_or(-1, |deadline| deadline - from),
    })
}

fn pttl(keyspace: &mut Keyspace, args: &[&[u8]], now: Time) -> Result<Value, Error> {
    Ok(deadline(keyspace, args[0], now))
}

fn pexpiretime(keyspace: &mut Keyspace, args: &[&[u8]], _now: Time) -> Result<Value, Error> {
    Ok(deadline(keyspace, args[0], 0))
}

fn pexpire(keyspace: &mut Keyspace, args: &[&[u8]], now: Time) -> Result<Value, Error> {
    expire_at(keyspace, args, now, now)
}

fn pexpireat(keyspace: &mut Keyspace, args: &[&[u8]], now: Time) -> Result<Value, Error> {
    expire_at(keyspace, args, 0, now)
}

fn expire_at(keyspace: &mut Keyspace, args: &[&[u8]], from: Time, now: Time) -> Result<Value, Error> {
    let at = integer::parse(args[1]).and_then(|number| number.checked_add(from));
    let at = at.ok_or_else(|| refusal(NO_INTEGER))?;
    if !keyspace.slots.contains_key(args[0]) {
        return Ok(integer(0));
    }
    if at <= now {
        keyspace.remove(args[0]);
    } else {
        keyspace.set_deadline(args[0], Some(at));
    }
    Ok(integer(1))
}

fn persist(keyspace: &mut Keyspace, args: &[&[u8]], _now: Time) -> Result<Value, Error> {
    let armed = keyspace.slots.get(args[0]).is_some_and(|slot| slot.deadline.is_some());
    keyspace.set_deadline(args[0], None);
    Ok(integer(usize::from(armed)))
}

/// With everything that it has, its deadline too; what was under the new name is gone.
fn rename(keyspace: &mut Keyspace, args: &[&[u8]], _now: Time) -> Result<Value, Error> {
    if !keyspace.slots.contains_key(args[0]) {
        return Err(refusal("no such key"));
    }
    if args[0] != args[1]
        && let Some(slot) = keyspace.remove(args[0])
    {
        keyspace.put(args[1], slot.document, slot.deadline);
    }
    Ok(Value::Ok)
}

/// With everything that it has, its deadline too. There is one database, so nothing is copied to another one.
fn copy(keyspace: &mut Keyspace, args: &[&[u8]], _now: Time) -> Result<Value, Error> {
    let mut replace = false;
    for option in &args[2..] {
        if !option.eq_ignore_ascii_case(b"REPLACE") {
            return Err(refusal("syntax error"));
        }
        replace = true;
    }
    if args[0] == args[1] {
        return Err(refusal("source and destination objects are the same"));
    }
    let free = replace || !keyspace.slots.contains_key(args[1]);
    let source = keyspace.slots.get(args[0]).filter(|_| free);
    let Some((document, deadline)) = source.map(|slot| (slot.document.clone(), slot.deadline)) else {
        return Ok(integer(0));
    };
    keyspace.put(args[1], document, deadline);
    Ok(integer(1))
}

/// From the youngest key back, so that a walk comes to its end however many keys are added meanwhile. The cursor is
/// the number of the key looked at last: whatever comes and goes, the keys before it are those still to come.
fn scan(keyspace: &mut Keyspace, args: &[&[u8]], _now: Time) -> Result<Value, Error> {
    let cursor = integer::parse(args[0]).and_then(|cursor| u64::try_from(cursor).ok());
    let cursor = cursor.ok_or_else(|| refusal("invalid cursor"))?;
    let (mut pattern, mut count) = (None, 10);
    for option in args[1..].chunks(2) {
        match option {
            [name, value] if name.eq_ignore_ascii_case(b"MATCH") => pattern = Some(*value),
            [name, value] if name.eq_ignore_ascii_case(b"COUNT") => {
                count = integer::parse(value).ok_or_else(|| refusal(NO_INTEGER))?;
                if count < 1 {
                    return Err(refusal("syntax error"));
                }
            }
            _ => return Err(refusal("syntax error")),
        }
    }
    let end = if cursor == 0 { u64::MAX } else { cursor };
    let mut older = keyspace.order.range(..end).rev();
    let (mut last, mut keys) = (0, Vec::new());
    for (number, key) in older.by_ref().take(usize::try_from(count).unwrap_or(usize::MAX)) {
        last = *number;
        if pattern.is_none_or(|pattern| glob::matches(pattern, key)) {
            keys.push(Value::Bulk(key.to_vec()));
        }
    }
    let next = if older.next().is_some() { last } else { 0 };
    Ok(Value::Array(vec![Value::Bulk(next.to_string().into_bytes()), Value::Array(keys)]))
}

const NO_INTEGER: &str = "value is not an integer or out of range";

/// An error in the server's words.
fn refusal(message: &str) -> Error {
    Error::Unknown { message: message.into() }
}

fn flush(keyspace: &mut Keyspace, _args: &[&[u8]], _now: Time) -> Result<Value, Error> {
    keyspace.slots.clear();
    keyspace.order.clear();
    keyspace.due.clear();
    Ok(Value::Ok)
}

fn time(_keyspace: &mut Keyspace, _args: &[&[u8]], now: Time) -> Result<Value, Error> {
    let part = |number: i64| Value::Bulk(number.to_string().into_bytes());
    Ok(Value::Array(vec![part(now / 1000), part(now % 1000 * 1000)]))
}
