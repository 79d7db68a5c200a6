//! The lifetime decision: what happens to a deadline. Pure, and in no other place.

use crate::host::Deadline;
use crate::{Error, Groups, Header, Millis, Policy, Time, integer};

/// The longest span a policy or a document may have: 100 years.
pub const MAX_SPAN: Millis = 3_155_760_000_000;

/// The latest time that a clock may tell: documents keep their creation time in 48 bits, until the year 10889.
pub const MAX_TIME: Time = (1 << 48) - 1;

/// The latest deadline that can follow from a time and a span.
pub const MAX_DEADLINE: Time = MAX_TIME + MAX_SPAN;

/// Refuses a time that is not from 1970 to 10889: whatever follows from it could not be saved.
pub fn time(time: Time, reason: &'static str) -> Result<Time, Error> {
    if (0..=MAX_TIME).contains(&time) {
        Ok(time)
    } else {
        Err(Error::range(time.to_string().as_bytes(), reason))
    }
}

/// Checks what the clock of a host, or of the server that replicates to it, tells.
pub fn clock(now: Time) -> Result<Time, Error> {
    time(now, "the server's clock is outside of the years 1970 to 10889: set it, then repeat")
}

/// Reads a deadline that another server decided.
pub fn deadline(word: &[u8]) -> Result<Time, Error> {
    integer::within(word, 1..=MAX_DEADLINE, "not a deadline that follows from a time and a span of 100 years")
}

/// Checks a span of time given by a client.
pub fn span(argument: &[u8]) -> Result<Millis, Error> {
    let reason = "a span of time is a whole number of milliseconds from 1 to 3155760000000";
    integer::within(argument, 1..=MAX_SPAN, reason)
}

/// Checks a moment given by a client: up to 100 years from now.
pub fn moment(argument: &[u8], now: Time) -> Result<Time, Error> {
    let reason = "a moment is milliseconds since the epoch, at most 100 years from now";
    integer::within(argument, 1..=now + MAX_SPAN, reason)
}

/// The moment after which a document of this policy may not live on.
pub fn cap(policy: Option<&Policy>, header: &Header) -> Option<Time> {
    policy?.absolute.map(|absolute| header.created + absolute)
}

/// The deadline of a document that was just created.
pub fn initial(policy: &Policy, header: &Header, now: Time) -> Option<Deadline> {
    let window = header.window.or(policy.window).map(|window| now + window);
    let to = earlier(window, cap(Some(policy), header))?;
    Some(Deadline::Move { to, shortened: false })
}

/// The refresh of a document that has the deadline `current`, after a command of `groups` succeeded on it.
///
/// Moves a deadline later, and earlier in two cases only: when it is beyond the policy's cap, and when it comes
/// from a window of the policy that has been shortened since.
pub fn refresh(
    policy: &Policy,
    header: &Header,
    groups: Groups,
    now: Time,
    current: Time,
) -> Option<Deadline> {
    if !policy.refresh.intersects(groups) {
        return None;
    }
    touch(policy, header, Groups::LOOKING.contains(groups), now, current)
}

/// A refresh whatever the groups; `looking` says that `READ-TOUCH-PCT` throttles it.
pub fn touch(policy: &Policy, header: &Header, looking: bool, now: Time, current: Time) -> Option<Deadline> {
    let cap = cap(Some(policy), header);
    let beyond_cap = cap.filter(|cap| current > *cap).map(|to| Deadline::Move { to, shortened: true });
    let Some(window) = header.window.or(policy.window) else {
        return beyond_cap;
    };
    let target = cap.map_or(now + window, |cap| cap.min(now + window));
    if target > current {
        let left = current.saturating_sub(now);
        let spared = looking && left.saturating_mul(100) > window * Millis::from(policy.read_touch_pct);
        return (!spared).then_some(Deadline::Move { to: target, shortened: false });
    }
    let outdated = header.window.is_none() && policy.horizon.is_some_and(|horizon| current <= horizon);
    if target < current && outdated {
        return Some(Deadline::Move { to: target, shortened: true });
    }
    beyond_cap
}

/// The deadline for an explicit wish: what was asked for, within the cap.
pub fn explicit(policy: Option<&Policy>, header: &Header, wish: Time, current: Option<Time>) -> Deadline {
    let to = cap(policy, header).map_or(wish, |cap| cap.min(wish));
    Deadline::Move { to, shortened: current.is_none_or(|current| to < current) }
}

/// The deadline of a document that goes back to its policy's window now.
pub fn inherit(policy: &Policy, header: &Header, now: Time, current: Option<Time>) -> Deadline {
    match earlier(policy.window.map(|window| now + window), cap(Some(policy), header)) {
        Some(to) => Deadline::Move { to, shortened: current.is_none_or(|current| to < current) },
        None => Deadline::Clear,
    }
}

fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = 1_000_000;
    const SECOND: Millis = 1_000;

    fn policy() -> Policy {
        Policy { window: Some(100 * SECOND), refresh: Groups::REFRESHABLE, ..Policy::default() }
    }

    fn header(created: Time, window: Option<Millis>) -> Header {
        Header { created, version: 1, window }
    }

    fn later(to: Time) -> Option<Deadline> {
        Some(Deadline::Move { to, shortened: false })
    }

    fn sooner(to: Time) -> Option<Deadline> {
        Some(Deadline::Move { to, shortened: true })
    }

    /// Name, policy, header, groups, the deadline before, and what happens to it.
    type Case<'a> = (&'a str, &'a Policy, &'a Header, Groups, Time, Option<Deadline>);

    /// The whole decision, a case a line.
    #[test]
    fn the_refresh_table() {
        let plain = policy();
        let capped = Policy { absolute: Some(150 * SECOND), ..plain };
        let throttled = Policy { read_touch_pct: 50, ..plain };
        let shortened = Policy { window: Some(10 * SECOND), horizon: Some(NOW + 90 * SECOND), ..plain };
        let reads_only = Policy { refresh: Groups::READ, ..plain };
        let endless = Policy { window: None, ..plain };
        let endless_capped = Policy { window: None, absolute: Some(150 * SECOND), ..plain };
        let fresh = header(NOW, None);
        let old = header(NOW - 100 * SECOND, None);
        let own = header(NOW, Some(200 * SECOND));
        let read = Groups::READ;
        let write = Groups::UPDATE.union(Groups::APPEND);
        let pop = read.union(Groups::UPDATE);
        let at = |seconds: i64| NOW + seconds * SECOND;

        #[rustfmt::skip]
        let cases: &[Case] = &[
            ("a refresh moves the deadline to a whole window", &plain, &fresh, read, at(40), later(at(100))),
            ("a refresh in the same millisecond moves nothing", &plain, &fresh, read, at(100), None),
            ("another group does not refresh", &reads_only, &fresh, write, at(40), None),
            ("one shared group is enough", &reads_only, &fresh, pop, at(40), later(at(100))),
            ("a longer deadline an admin gave stays", &plain, &fresh, read, at(5000), None),
            ("the document's own window wins", &plain, &own, read, at(40), later(at(200))),
            ("the cap holds a refresh back", &capped, &old, write, at(40), later(at(50))),
            ("a deadline at the cap stays", &capped, &old, write, at(50), None),
            ("a deadline beyond the cap comes back to it", &capped, &old, write, at(70), sooner(at(50))),
            ("the cap holds for an own window", &capped, &own, write, at(40), later(at(150))),
            ("the cap holds without a window", &endless_capped, &fresh, write, at(200), sooner(at(150))),
            ("without a window nothing is prolonged", &endless_capped, &fresh, write, at(40), None),
            ("without a window and a cap nothing moves", &endless, &fresh, write, at(40), None),
            ("a read above the touch share is spared", &throttled, &fresh, read, at(51), None),
            ("a read at the touch share refreshes", &throttled, &fresh, read, at(50), later(at(100))),
            ("a write is never spared", &throttled, &fresh, write, at(99), later(at(100))),
            ("an operation that reads and writes is a write", &throttled, &fresh, pop, at(99), later(at(100))),
            ("a shortened window bites on deadlines of the old one", &shortened, &fresh, read, at(80), sooner(at(10))),
            ("a shortened window leaves what the old one could not set", &shortened, &fresh, read, at(91), None),
            ("a shortened window leaves an own window alone", &shortened, &own, read, at(80), later(at(200))),
        ];
        for (name, policy, header, groups, current, expected) in cases {
            assert_eq!(refresh(policy, header, *groups, NOW, *current), *expected, "{name}");
        }
    }

    #[test]
    fn a_clock_that_steps_back_moves_nothing() {
        assert_eq!(
            refresh(&policy(), &header(NOW, None), Groups::READ, NOW - 5 * SECOND, NOW + 100 * SECOND),
            None
        );
    }

    #[test]
    fn creation_takes_the_window_or_the_cap_whichever_is_sooner() {
        let at_birth = |policy: &Policy| initial(policy, &header(NOW, None), NOW);
        assert_eq!(at_birth(&policy()), later(NOW + 100 * SECOND));
        assert_eq!(at_birth(&Policy { refresh: Groups::empty(), ..policy() }), later(NOW + 100 * SECOND));
        assert_eq!(at_birth(&Policy { window: None, ..policy() }), None);
        assert_eq!(
            at_birth(&Policy { window: None, absolute: Some(SECOND), ..policy() }),
            later(NOW + SECOND)
        );
    }

    #[test]
    fn spans_are_whole_milliseconds_between_one_and_a_hundred_years() {
        assert_eq!(span(b"1"), Ok(1));
        assert_eq!(span(b"3155760000000"), Ok(MAX_SPAN));
        for bad in [
            &b"0"[..],
            b"-1",
            b"+1",
            b"1.5",
            b"3155760000001",
            b"99999999999999999999",
            b"",
            b"x",
            b" 1",
            b"01",
        ] {
            assert!(matches!(span(bad), Err(Error::OutOfRange { .. })), "{bad:?}");
        }
    }

    #[test]
    fn the_longest_span_fits_the_arithmetic() {
        let policy = Policy { window: Some(MAX_SPAN), absolute: Some(MAX_SPAN), ..policy() };
        let far = header((1 << 48) - 1, None);
        assert!(touch(&policy, &far, true, (1 << 48) - 1, NOW).is_some());
    }
}
