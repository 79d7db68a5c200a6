//! Locks: LOCK, RENEW, UNLOCK.
//!
//! A lock is a document on a key of its own: who holds it, until when by the host's lease clock, and the number of the
//! lease. It outlives its lease by [`REMEMBERED`]. When it is gone, the host's highest fencing number still keeps the
//! next one greater, also where the clock has stepped back.

use super::{Access, Arg, Call, Command, KEY, Keys, Kind};
use crate::host::{Deadline, Effect};
use crate::lease::MAX_FENCE;
use crate::lifetime::MAX_SPAN;
use crate::node::Node;
use crate::path::{Path, Step};
use crate::{Document, Error, Groups, Millis, Reply as _, Time, json};

/// How long a lock that nobody holds is kept.
const REMEMBERED: Millis = 60_000;

const TOKEN: Arg = Arg::new("token", Kind::Text);
const PX: Arg = Arg::new("lease", Kind::Block(&[Arg::token("PX"), Arg::new("milliseconds", Kind::Millis)]));

/// Who holds a lock and for how long.
struct Lease {
    /// The holder's token as a JSON string.
    token: Vec<u8>,
    /// The fencing number: greater than that of every lease before.
    number: i64,
    until: Time,
}

impl Lease {
    /// The lease that a document holds. What is beyond a century from `now` was written by another command, and would
    /// use up fencing numbers for everybody.
    fn read(document: &Document, now: Time) -> Result<Self, Error> {
        let root = document.root();
        let member = |name: &str| root.child(&Step::Name(json::quote(name).into())).map(Node::text);
        let number = |name: &str| json::whole(&member(name)?);
        let latest = now + MAX_SPAN;
        let number = |name: &str, most| number(name).filter(|number| (0..=most).contains(number));
        match (member("token"), number("number", latest * 1000), number("until", latest)) {
            (Some(token), Some(number), Some(until)) => Ok(Self { token: token.into_owned(), number, until }),
            _ => Err(Error::bad_type(&Path::default(), "a lock that MODEL.LOCK made", root.kind())),
        }
    }

    fn text(&self) -> Vec<u8> {
        let Self { token, number, until } = self;
        [&br#"{"token":"#[..], token, format!(r#","number":{number},"until":{until}}}"#).as_bytes()].concat()
    }

    fn is_held(&self, now: Time) -> bool {
        self.until > now
    }
}

pub(super) static LOCK: Command = Command {
    name: "LOCK",
    subcommand: None,
    summary: "Takes a lock for a time, or takes it anew for its holder.",
    access: Access::Grow,
    tells: true,
    groups: Groups::empty(),
    special: None,
    keys: Keys::First,
    args: &[KEY, TOKEN, PX],
    norefresh: false,
    ifversion: false,
    creates: false,
    reply: "a fencing number, greater than that of every lease before; nil while another token holds the lock",
    run: lock,
};

fn lock(call: &mut Call<'_>) -> Result<(), Error> {
    let (key, token) = key_and_token(call)?;
    let now = call.host.lease_time();
    let until = now + lease(call)?;
    let before = call.host.edit(key)?.map(|document| Lease::read(&document, now)).transpose()?;
    let number = match before {
        Some(lease) if lease.is_held(now) && lease.token != token => {
            call.reply.null();
            return Ok(());
        }
        Some(lease) if lease.is_held(now) => lease.number,
        before => {
            let least = call.host.fence().max(before.map_or(0, |lease| lease.number)) + 1;
            // Microseconds, so that the numbers of several servers are about in order, too.
            (now * 1000).max(least)
        }
    };
    if number > MAX_FENCE {
        return Err(Error::Limit { reason: "there are no more fencing numbers" });
    }
    store(call, key, &Lease { token, number, until }, now)?;
    call.host.raise_fence(number);
    call.reply.integer(number);
    Ok(())
}

pub(super) static RENEW: Command = Command {
    name: "RENEW",
    subcommand: None,
    summary: "Holds a lock for a time from now on, if its token still holds it.",
    access: Access::Write,
    tells: true,
    groups: Groups::empty(),
    special: None,
    keys: Keys::First,
    args: &[KEY, TOKEN, PX],
    norefresh: false,
    ifversion: false,
    creates: false,
    reply: "1; 0 when the token does not hold the lock any more",
    run: renew,
};

fn renew(call: &mut Call<'_>) -> Result<(), Error> {
    let (key, token) = key_and_token(call)?;
    let lease = lease(call)?;
    hold_for(call, key, &token, lease)
}

pub(super) static UNLOCK: Command = Command {
    name: "UNLOCK",
    subcommand: None,
    summary: "Gives a lock back, if its token still holds it.",
    access: Access::Write,
    tells: true,
    groups: Groups::empty(),
    special: None,
    keys: Keys::First,
    args: &[KEY, TOKEN],
    norefresh: false,
    ifversion: false,
    creates: false,
    reply: "1; 0 when the token does not hold the lock any more",
    run: unlock,
};

fn unlock(call: &mut Call<'_>) -> Result<(), Error> {
    let (key, token) = key_and_token(call)?;
    hold_for(call, key, &token, 0)
}

/// Ends the lease that `token` holds, if it does, at this span from now.
fn hold_for<'a>(call: &mut Call<'a>, key: &'a [u8], token: &[u8], span: Millis) -> Result<(), Error> {
    let now = call.host.lease_time();
    let lease = call.host.edit(key)?.map(|document| Lease::read(&document, now)).transpose()?;
    let lease = lease.filter(|lease| lease.is_held(now) && lease.token == token);
    let held = lease.is_some();
    if let Some(lease) = lease {
        store(call, key, &Lease { until: now + span, ..lease }, now)?;
    }
    call.reply.integer(i64::from(held));
    Ok(())
}

fn key_and_token<'a>(call: &mut Call<'a>) -> Result<(&'a [u8], Vec<u8>), Error> {
    let key = call.args.word()?;
    let token = call.args.word()?;
    let text = std::str::from_utf8(token)
        .map_err(|_| Error::argument(token, "the token of a lock is text in UTF-8"))?;
    Ok((key, json::quote(text)))
}

fn lease(call: &mut Call<'_>) -> Result<Millis, Error> {
    let mut lease = None;
    while call.option()?.is_some() {
        lease = Some(call.args.span()?);
    }
    lease.ok_or_else(|| Error::argument(b"", "a lease is given as PX milliseconds"))
}

fn store<'a>(call: &mut Call<'a>, key: &'a [u8], lease: &Lease, now: Time) -> Result<(), Error> {
    // Keys expire by the wall clock.
    let to = call.now() + (lease.until - now) + REMEMBERED;
    let (effect, header) = if let Some(mut document) = call.host.edit(key)? {
        document.replace(&lease.text())?;
        (Effect::Changed, document.header())
    } else {
        let document = Document::new(&lease.text(), call.now())?;
        let header = document.header();
        call.host.insert(key, document)?;
        (Effect::Created, header)
    };
    let shortened = effect == Effect::Changed && call.host.deadline(key).is_none_or(|deadline| to < deadline);
    call.set_deadline(key, effect, Deadline::Move { to, shortened }, header);
    Ok(())
}
