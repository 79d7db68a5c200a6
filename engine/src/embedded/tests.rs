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
                    let mut host = Opened { keyspace: &mut keyspace, now: *now };
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
