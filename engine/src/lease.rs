//! What locks need of a host beside their keys: a clock that no step of the wall clock moves, and the highest fencing
//! number so far.

use crate::fields::{self, Unknown, Writer};
use crate::lifetime::{self, MAX_SPAN, MAX_TIME};
use crate::{Error, Millis, Time};

/// The highest fencing number: a microsecond of the latest time that a lease may end at.
pub(crate) const MAX_FENCE: i64 = (MAX_TIME + MAX_SPAN) * 1000;

/// The leases of one host.
///
/// The lease clock starts at the time of the wall clock and goes on with a monotonic one. A monotonic clock means
/// nothing to another process, so what carries over to the next run, or to a replica that is promoted, is the latest
/// time that the lease clock has told: it goes on from there, or from the wall clock where that is later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leases {
    fence: i64,
    /// The latest time that the lease clock has told, here or where the commands came from.
    told: Time,
    /// A time of the lease clock, and the monotonic clock at that time. Means nothing elsewhere, so it is not saved.
    started: Option<(Time, Millis)>,
    unknown: Unknown,
}

/// The tags of the saved fields.
mod tag {
    use crate::fields::Tag;

    pub(super) const FENCE: Tag = 1;
    pub(super) const TOLD: Tag = 3;
}

impl Leases {
    pub const fn new() -> Self {
        Self { fence: 0, told: 0, started: None, unknown: Unknown::new() }
    }

    /// What the lease clock tells while the wall clock and the monotonic one tell these.
    pub fn time(&mut self, wall: Time, monotonic: Millis) -> Time {
        let (time, since) = self.started.unwrap_or((wall, monotonic));
        let passed = monotonic.saturating_sub(since).max(0);
        let now = time.saturating_add(passed).clamp(self.told, MAX_TIME);
        self.started = Some((now, monotonic));
        self.told = now;
        now
    }

    /// Takes over what another server's lease clock told.
    pub fn follow(&mut self, told: Time) {
        self.told = self.told.max(told);
    }

    /// The highest fencing number given out.
    pub fn fence(&self) -> i64 {
        self.fence
    }

    pub fn raise_fence(&mut self, number: i64) {
        self.fence = self.fence.max(number);
    }

    /// Whether there is something to save.
    pub fn is_used(&self) -> bool {
        self.fence > 0 || !self.unknown.is_empty()
    }

    /// The fields that snapshots and append-only files carry.
    pub fn to_bytes(&self) -> impl AsRef<[u8]> + use<> {
        let mut fields = Writer::default();
        fields.number(tag::FENCE, self.fence);
        fields.number(tag::TOLD, self.told);
        fields.unknown(self.unknown.as_bytes());
        fields.finish()
    }

    /// Reads `to_bytes` back; nothing of it is trusted.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (mut fence, mut told) = (None, None);
        let mut unknown = Unknown::new();
        for field in fields::read(bytes) {
            let field = field?;
            match field.tag {
                tag::FENCE => fields::once(&mut fence, field.positive()?)?,
                tag::TOLD => fields::once(&mut told, field.positive()?)?,
                _ => unknown.keep(&field)?,
            }
        }
        let fence = fence.filter(|fence| *fence <= MAX_FENCE).ok_or(fields::DAMAGED)?;
        let told = lifetime::time(told.ok_or(fields::DAMAGED)?, "the saved time of leases is out of range")?;
        Ok(Self { fence, told, started: None, unknown })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Time = 1_700_000_000_000;

    #[test]
    fn the_lease_clock_goes_on_with_the_monotonic_clock_and_follows_no_step() {
        let mut leases = Leases::new();
        assert_eq!(leases.time(NOW, 5_000), NOW);
        assert_eq!(leases.time(NOW + 10, 5_010), NOW + 10);
        assert_eq!(leases.time(NOW - 3_600_000, 5_020), NOW + 20);
        assert_eq!(leases.time(NOW + 3_600_000, 5_030), NOW + 30);
    }

    #[test]
    fn without_a_monotonic_clock_of_its_own_it_loses_no_more_than_the_step() {
        let mut leases = Leases::new();
        let mut time = |wall| leases.time(wall, wall);
        assert_eq!(time(NOW), NOW);
        assert_eq!(time(NOW - 3_600_000), NOW);
        assert_eq!(time(NOW - 3_600_000 + 50), NOW + 50);
    }

    #[test]
    fn the_next_run_goes_on_from_the_latest_time_or_the_wall_clock_whichever_is_later() {
        let mut leases = Leases::new();
        leases.time(NOW, 5_000);
        for (wall, expected) in [(NOW - 60_000, NOW), (NOW + 60_000, NOW + 60_000)] {
            let mut next = Leases::from_bytes(leases.to_bytes().as_ref()).unwrap();
            assert_eq!(next.time(wall, 3), expected);
            assert_eq!(next.time(wall, 13), expected + 10);
        }
        let mut replica = Leases::new();
        replica.follow(NOW);
        assert_eq!(replica.time(NOW - 60_000, 7), NOW);
    }

    #[test]
    fn fields_of_a_later_release_are_kept() {
        let mut later = Writer::default();
        later.bytes(200, b"later");
        let known = Leases { fence: 7, told: NOW, ..Leases::new() };
        let payload = [known.to_bytes().as_ref(), later.finish().as_ref()].concat();
        let leases = Leases::from_bytes(&payload).unwrap();
        assert_eq!(leases.to_bytes().as_ref(), payload);
        assert!(leases.is_used() && !Leases::new().is_used());
        let mut later = Writer::default();
        later.bytes(201, b"later");
        assert!(Leases::from_bytes(&[known.to_bytes().as_ref(), later.finish().as_ref()].concat()).is_err());
        assert!(Leases::from_bytes(b"").is_err());
    }

    proptest! {
        #[test]
        fn it_never_steps_back_and_is_loaded_again(
            times in prop::collection::vec((0..=MAX_TIME, any::<i64>(), any::<bool>(), 0..=MAX_TIME), 1..20),
        ) {
            let mut leases = Leases::new();
            let mut latest = 0;
            for (wall, monotonic, restarted, followed) in times {
                if restarted {
                    leases.follow(followed);
                    leases = Leases::from_bytes(leases.to_bytes().as_ref())?;
                }
                let now = leases.time(wall, monotonic);
                prop_assert!((latest..=MAX_TIME).contains(&now));
                latest = now;
            }
        }
    }
}
