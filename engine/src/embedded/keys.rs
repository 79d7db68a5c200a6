//! The server's own key commands that a package and its tests need, with the server's replies.

use super::Keyspace;
use crate::{Error, Time, Value};

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
    Ok(integer(keys.iter().filter(|key| keyspace.remove(key)).count()))
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
    let number = std::str::from_utf8(args[1]).ok().and_then(|text| text.parse::<i64>().ok());
    let Some(at) = number.and_then(|number| number.checked_add(from)) else {
        return Err(Error::Unknown { message: "value is not an integer or out of range".into() });
    };
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

fn flush(keyspace: &mut Keyspace, _args: &[&[u8]], _now: Time) -> Result<Value, Error> {
    keyspace.slots.clear();
    keyspace.due.clear();
    Ok(Value::Ok)
}

fn time(_keyspace: &mut Keyspace, _args: &[&[u8]], now: Time) -> Result<Value, Error> {
    let part = |number: i64| Value::Bulk(number.to_string().into_bytes());
    Ok(Value::Array(vec![part(now / 1000), part(now % 1000 * 1000)]))
}
