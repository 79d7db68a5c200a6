//! What a keyspace accepts, from clients and from another server, can be saved and loaded.

use proptest::prelude::*;

use super::*;
use crate::lifetime::MAX_TIME;

const NOW: Time = 1_700_000_000_000;

/// Times that clocks and primaries should never tell, and some that they do.
fn times() -> impl Strategy<Value = Time> {
    prop_oneof![
        4 => (0..1_000_000_i64).prop_map(|ahead| NOW + ahead),
        1 => prop::sample::select(vec![
            i64::MIN, -1, 0, 1, MAX_TIME - 1, MAX_TIME, MAX_TIME + 1, 1 << 52, 1 << 53, i64::MAX - 1, i64::MAX,
        ]),
        1 => any::<i64>(),
    ]
}

fn numbers() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => (0..100_000_i64).prop_map(|number| number.to_string()),
        2 => times().prop_map(|time| time.to_string()),
        1 => prop::sample::select(vec!["3155760000000", "3155760000001", "+1", "01", "-0", "", "x"])
            .prop_map(str::to_owned),
    ]
}

/// A call, in which `#` stands for numbers.
fn calls() -> impl Strategy<Value = Vec<String>> {
    let call = prop::sample::select(vec![
        r#"MODEL.CREATE p:1 {"n":1,"number":#,"until":#,"token":"a"}"#,
        "MODEL.CREATE p:2 [1,2]",
        "MODEL.COPY p:1 p:2 REPLACE",
        "MODEL.SET p:1 $.until #",
        "MODEL.SET p:1 $.number #",
        "MODEL.APPEND p:2 $ 1 MAXLEN #",
        "MODEL.GET p:1",
        "MODEL.DEL p:1 p:2",
        "MODEL.LOCK lock a PX #",
        "MODEL.LOCK lock b PX #",
        "MODEL.LOCK p:1 a PX #",
        "MODEL.RENEW lock a PX #",
        "MODEL.UNLOCK lock b",
        "MODEL.TTL SET p:1 PX #",
        "MODEL.TTL SET p:1 PXAT #",
        "MODEL.TTL SET p:1 PXAT # ONCE",
        "MODEL.TTL INHERIT p:1",
        "MODEL.TTL TOUCH p:1",
        "MODEL.TTL PERSIST p:1",
        "MODEL.TTL GET p:1",
        "MODEL.POLICY SET p: TTL # REFRESH ALL READ-TOUCH-PCT #",
        "MODEL.POLICY SET p: TTL 1000 REFRESH ALL READ-TOUCH-PCT 50",
        "MODEL.POLICY SET p: TTL # ABSOLUTE # REFRESH READ",
        "MODEL.POLICY SET p: TTL NONE ABSOLUTE #",
        "MODEL.POLICY DEL p:",
        "MODEL.EXEC # p:1 4 MODEL.TTL TOUCH p:1",
        "MODEL.EXEC 1 lock # MODEL.LOCK lock a PX #",
        "PEXPIRE p:1 #",
        "PEXPIREAT p:1 #",
    ]);
    (call, prop::collection::vec(numbers(), 2)).prop_map(|(call, numbers)| {
        let mut numbers = numbers.into_iter().cycle();
        call.split(' ').map(|word| replaced(word, &mut numbers)).collect()
    })
}

fn replaced(word: &str, numbers: &mut impl Iterator<Item = String>) -> String {
    let mut parts = word.split('#');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out += &numbers.next().unwrap_or_default();
        out += part;
    }
    out
}

fn check(keyspace: &Keyspace) -> Result<(), TestCaseError> {
    for slot in keyspace.slots.values() {
        let document = &slot.document;
        let loaded = Document::from_fields(document.fields().as_ref(), &document.text());
        let loaded =
            loaded.map_err(|error| TestCaseError::fail(format!("{:?}: {error}", document.header())))?;
        prop_assert_eq!(loaded.header(), document.header());
        prop_assert_eq!(loaded.text(), document.text());
        prop_assert!(Document::restore(document.header(), &document.text()).is_ok());
    }
    let loaded = Policies::from_bytes(&keyspace.policies.to_bytes());
    prop_assert_eq!(loaded.as_ref(), Ok(&keyspace.policies));
    let saved = keyspace.leases.to_bytes();
    let loaded = Leases::from_bytes(saved.as_ref()).map(|leases| leases.to_bytes().as_ref().to_vec());
    prop_assert_eq!(loaded, Ok(saved.as_ref().to_vec()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_accepted_can_be_saved_and_loaded(
        steps in prop::collection::vec(
            (times(), calls(), prop::option::of(prop::collection::vec(numbers(), 0..3))), 1..25,
        ),
    ) {
        let mut keyspace = Keyspace::default();
        for (now, words, deadlines) in &steps {
            let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            match deadlines {
                None => drop(keyspace.execute(&words, *now)),
                // As a primary that is not one replicates it.
                Some(deadlines) => {
                    let Ok((entry, names)) = command::find(&words) else { continue };
                    let mut host = Opened { keyspace: &mut keyspace, clocks: (*now).into() };
                    let deadlines = deadlines.join(",");
                    let args = &words[names..];
                    drop(command::replay(entry, args, deadlines.as_bytes(), &mut host, &mut crate::Discard));
                }
            }
            check(&keyspace)?;
        }
    }
}

#[test]
fn a_clock_outside_of_its_range_is_refused_and_changes_nothing() {
    let mut keyspace = Keyspace::default();
    keyspace.execute(&[b"MODEL.POLICY", b"SET", b"p:", b"TTL", b"1000"], NOW).unwrap();
    for now in [-1, i64::MIN, MAX_TIME + 1, i64::MAX] {
        for words in [
            &[&b"MODEL.CREATE"[..], b"p:1", b"1"][..],
            &[b"MODEL.POLICY", b"SET", b"p:", b"TTL", b"2000"],
            &[b"PEXPIRE", b"p:1", b"1"],
        ] {
            let refused = keyspace.execute(words, now).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("OUTOFRANGE '{now}': the server's clock is")), "{refused}");
        }
    }
    let version = keyspace.policies.get(b"p:").unwrap().version;
    assert_eq!((keyspace.slots.len(), version), (0, 1));
}

const LEASE: i64 = 1_000;
const HOUR: i64 = 3_600_000;

fn at(now: Time, monotonic: i64) -> Clocks {
    Clocks { now, monotonic }
}

/// The fencing number, `None` while somebody else holds the lock.
fn lock(keyspace: &mut Keyspace, token: &str, clocks: Clocks) -> Option<i64> {
    let lease = LEASE.to_string();
    match keyspace.execute(&[b"MODEL.LOCK", b"lock", token.as_bytes(), b"PX", lease.as_bytes()], clocks) {
        Ok(Value::Integer(number)) => Some(number),
        Ok(Value::Null) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lease_ends_in_its_time_although_the_clock_steps_back() {
    for step in [-HOUR, -1, 0, 1] {
        let mut keyspace = Keyspace::default();
        let first = lock(&mut keyspace, "dead", at(NOW, 0)).unwrap();
        assert_eq!(lock(&mut keyspace, "next", at(NOW + step + LEASE - 1, LEASE - 1)), None);
        assert!(lock(&mut keyspace, "next", at(NOW + step + LEASE, LEASE)).unwrap() > first);
    }
}

#[test]
fn a_renewed_lease_ends_in_its_time_although_the_clock_steps_back() {
    let mut keyspace = Keyspace::default();
    lock(&mut keyspace, "dead", at(NOW, 0)).unwrap();
    let renew = [&b"MODEL.RENEW"[..], b"lock", b"dead", b"PX", b"5000"];
    assert_eq!(keyspace.execute(&renew, at(NOW - HOUR, 10)), Ok(Value::Integer(1)));
    assert_eq!(lock(&mut keyspace, "next", at(NOW - 2 * HOUR, 5_009)), None);
    assert!(lock(&mut keyspace, "next", at(NOW - 2 * HOUR, 5_010)).is_some());
}

#[test]
fn fencing_numbers_grow_although_the_clock_steps_back_and_the_lock_is_forgotten() {
    let mut keyspace = Keyspace::default();
    let first = lock(&mut keyspace, "a", at(NOW, 0)).unwrap();
    let forgotten = NOW + HOUR;
    keyspace.execute(&[b"DBSIZE"], at(forgotten, HOUR)).unwrap();
    assert!(keyspace.slots.is_empty());
    // As after a restart, before which the clock was ahead.
    keyspace.leases = Leases::from_bytes(keyspace.leases.to_bytes().as_ref()).unwrap();
    let second = lock(&mut keyspace, "b", at(NOW - HOUR, 5)).unwrap();
    keyspace.execute(&[b"DEL", b"lock"], at(NOW - HOUR, 6)).unwrap();
    let third = lock(&mut keyspace, "c", at(NOW - 2 * HOUR, 6)).unwrap();
    assert!(first < second && second < third, "{first} {second} {third}");
}

#[test]
fn a_batch_that_fails_gives_out_no_fencing_number() {
    let mut keyspace = Keyspace::default();
    let first = lock(&mut keyspace, "a", at(NOW, 0)).unwrap();
    let far = NOW + HOUR;
    let words: Vec<&[u8]> = "MODEL.EXEC 2 other k 5 MODEL.LOCK other b PX 9 3 MODEL.LEN k $"
        .split(' ')
        .map(str::as_bytes)
        .collect();
    assert!(keyspace.execute(&words, at(far, HOUR)).is_ok());
    assert!(keyspace.leases.fence() > first);
    let fence = keyspace.leases.fence();
    let words: Vec<&[u8]> = "MODEL.EXEC 2 third k 5 MODEL.LOCK third b PX 9 4 MODEL.SET k $.a 1"
        .split(' ')
        .map(str::as_bytes)
        .collect();
    assert!(keyspace.execute(&words, at(far + 5, HOUR + 5)).is_err());
    assert_eq!(keyspace.leases.fence(), fence);
}

#[test]
fn a_lock_that_somebody_wrote_uses_up_no_fencing_numbers() {
    for (number, until) in [
        (i64::MAX, NOW),
        (i64::MAX, i64::MAX),
        (0, i64::MAX),
        (-1, 0),
        (0, -1),
        ((NOW + crate::lifetime::MAX_SPAN) * 1000 + 1, 0),
    ] {
        let mut keyspace = Keyspace::default();
        let text = format!(r#"{{"token":"a","number":{number},"until":{until}}}"#);
        keyspace.execute(&[b"MODEL.CREATE", b"lock", text.as_bytes()], NOW).unwrap();
        for words in [
            &[&b"MODEL.LOCK"[..], b"lock", b"a", b"PX", b"1"][..],
            &[b"MODEL.RENEW", b"lock", b"a", b"PX", b"1"],
            &[b"MODEL.UNLOCK", b"lock", b"a"],
        ] {
            let refused = keyspace.execute(words, NOW).unwrap_err().to_string();
            assert!(
                refused.starts_with("BADTYPE path '$' holds object, the command needs a lock"),
                "{refused}"
            );
        }
        assert_eq!(keyspace.leases.fence(), 0);
    }
}
