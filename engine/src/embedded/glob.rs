//! The server's patterns for keys: `*`, `?`, `[a-z]`, `[^a]`, and a backslash before what stands for itself.

/// Whether `text` as a whole matches. Takes at most as many steps as the product of the lengths.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    // Behind the last star, and the text it does not stand for as yet.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            star = Some((at, place));
        } else if let Some(next) = text.get(place).and_then(|byte| one(pattern, at, *byte)) {
            (at, place) = (next, place + 1);
        } else if at == pattern.len() && place == text.len() {
            return true;
        } else {
            match star {
                Some((behind, from)) if from < text.len() => {
                    (at, place) = (behind, from + 1);
                    star = Some((at, place));
                }
                _ => return false,
            }
        }
    }
}

/// Where the pattern goes on if its part at `at`, no star, matches the byte.
fn one(pattern: &[u8], at: usize, byte: u8) -> Option<usize> {
    match pattern.get(at..)? {
        [] => None,
        [b'?', ..] => Some(at + 1),
        [b'[', ..] => class(pattern, at + 1, byte),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(at + 2),
        [literal, ..] => (*literal == byte).then_some(at + 1),
    }
}

/// The same for the bytes in brackets, from behind the opening one; the closing one may be missing at the end.
fn class(pattern: &[u8], mut at: usize, byte: u8) -> Option<usize> {
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    let mut found = false;
    loop {
        let (range, length) = match pattern.get(at..)? {
            [] => break,
            [b'\\', escaped, ..] => (*escaped..=*escaped, 2),
            [b']', ..] => {
                at += 1;
                break;
            }
            [one, b'-', other, ..] => (*one.min(other)..=*one.max(other), 3),
            [one, ..] => (*one..=*one, 1),
        };
        found |= range.contains(&byte);
        at += length;
    }
    (found != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_the_servers_do() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("*", "anything"),
            ("a*c", "abbc"),
            ("a**c", "ac"),
            ("*a*b*", "xaybz"),
            ("User:*", "User:1"),
            ("User:?", "User:1"),
            ("h[ae]llo", "hello"),
            ("h[a-f]llo", "hello"),
            ("h[f-a]llo", "hello"),
            ("h[^x]llo", "hello"),
            (r"a\*b", "a*b"),
            (r"[\]a]", "]"),
            (r"a\", r"a\"),
            ("[ab", "b"),
            ("*[0-9]*x", "aaa1bbbx"),
        ] {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("?", ""),
            ("a", "A"),
            ("a*c", "abbd"),
            ("User:*", "UserProfile:1"),
            ("h[^e]llo", "hello"),
            ("h[ae]llo", "hillo"),
            (r"a\*b", "axb"),
            ("[a-", "b"),
            ("a[", "ab"),
        ] {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_longer() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(10_000).as_bytes()));
    }
}
