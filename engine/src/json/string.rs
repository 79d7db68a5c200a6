//! Strings: where they end, what they escape, what they hold.

use std::borrow::Cow;

use super::search::find_special;

/// Why an escape sequence is not one. `offset` counts bytes from the text's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadEscape {
    pub(crate) offset: usize,
    pub(crate) reason: &'static str,
}

/// Reads the escape sequence whose backslash is at `at`: its character and where it ends.
///
/// `quote` is the quote that may be escaped; JSON has one kind, a path two.
pub(crate) fn unescape(text: &[u8], at: usize, quote: u8) -> Result<(char, usize), BadEscape> {
    let plain = |char| Ok((char, at + 2));
    match text.get(at + 1) {
        Some(byte) if *byte == quote => plain(char::from(quote)),
        Some(byte @ (b'\\' | b'/')) => plain(char::from(*byte)),
        Some(b'b') => plain('\u{8}'),
        Some(b'f') => plain('\u{c}'),
        Some(b'n') => plain('\n'),
        Some(b'r') => plain('\r'),
        Some(b't') => plain('\t'),
        Some(b'u') => unescape_unicode(text, at),
        Some(_) => Err(BadEscape { offset: at, reason: "unknown escape sequence" }),
        None => Err(BadEscape { offset: text.len(), reason: "unexpected end of the text" }),
    }
}

fn unescape_unicode(text: &[u8], at: usize) -> Result<(char, usize), BadEscape> {
    let lone = BadEscape { offset: at, reason: "lone surrogate" };
    let first = hex4(text, at + 2)?;
    if let Some(char) = char::from_u32(first) {
        return Ok((char, at + 6));
    }
    if first >= 0xDC00 || text.get(at + 6..at + 8) != Some(br"\u") {
        return Err(lone);
    }
    let second = hex4(text, at + 8)?;
    if !(0xDC00..0xE000).contains(&second) {
        return Err(lone);
    }
    let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    char::from_u32(code).map(|char| (char, at + 12)).ok_or(lone)
}

fn hex4(text: &[u8], at: usize) -> Result<u32, BadEscape> {
    (at..at + 4).try_fold(0, |code, offset| {
        let byte = text.get(offset).ok_or(BadEscape { offset, reason: "unexpected end of the text" })?;
        let digit = char::from(*byte).to_digit(16);
        let digit = digit.ok_or(BadEscape { offset, reason: "expected a hexadecimal digit" })?;
        Ok(code << 4 | digit)
    })
}

/// Appends `char` as a canonical string holds it.
pub(crate) fn push_escaped(out: &mut impl Extend<u8>, char: char) {
    let mut buffer = [0; 6];
    out.extend(escaped(char, &mut buffer).iter().copied());
}

/// `char` as a canonical string holds it: itself, or the shortest escape where it needs one.
pub(super) fn escaped(char: char, buffer: &mut [u8; 6]) -> &[u8] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let letter = match char {
        '"' => b'"',
        '\\' => b'\\',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\0'..' ' => {
            let code = char as usize;
            *buffer = [b'\\', b'u', b'0', b'0', HEX[code >> 4], HEX[code & 15]];
            return buffer;
        }
        _ => return char.encode_utf8(buffer).as_bytes(),
    };
    [buffer[0], buffer[1]] = [b'\\', letter];
    &buffer[..2]
}

/// `content` as a canonical string, quotes included.
pub fn quote(content: &str) -> Vec<u8> {
    let content = content.as_bytes();
    let mut out = Vec::with_capacity(content.len() + 2);
    out.push(b'"');
    let mut at = 0;
    loop {
        let special = find_special(content, at);
        out.extend_from_slice(&content[at..special]);
        let Some(byte) = content.get(special) else { break };
        push_escaped(&mut out, char::from(*byte));
        at = special + 1;
    }
    out.push(b'"');
    out
}

/// What the canonical string `text` holds.
pub fn unquote(text: &[u8]) -> Cow<'_, str> {
    let content = content(text);
    let Some(mut escape) = memchr::memchr(b'\\', content) else {
        return String::from_utf8_lossy(content);
    };
    let mut out = String::with_capacity(content.len());
    let mut at = 0;
    loop {
        out.push_str(&String::from_utf8_lossy(&content[at..escape]));
        let Ok((char, end)) = unescape(content, escape, b'"') else {
            break;
        };
        out.push(char);
        at = end;
        escape = memchr::memchr(b'\\', &content[at..]).map_or(content.len(), |found| at + found);
    }
    Cow::Owned(out)
}

/// How many Unicode code points the canonical string `text` holds: Python's `len`.
pub fn string_chars(text: &[u8]) -> usize {
    let content = content(text);
    let continues = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
    let mut chars = content.len() - content.iter().filter(continues).count();
    let mut at = 0;
    while let Some(found) = content.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        let escape = at + found;
        let length = if content.get(escape + 1) == Some(&b'u') { 6 } else { 2 };
        chars = chars.saturating_sub(length - 1);
        at = escape + length;
    }
    chars
}

fn content(text: &[u8]) -> &[u8] {
    text.get(1..text.len().saturating_sub(1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_quoted_string_escapes_as_little_as_it_may() {
        assert_eq!(quote("a\"\\/\n\u{1}\u{7f}é"), "\"a\\\"\\\\/\\n\\u0001\u{7f}é\"".as_bytes());
    }

    #[test]
    fn a_string_without_escapes_is_borrowed() {
        assert!(matches!(unquote("\"née\"".as_bytes()), Cow::Borrowed("née")));
    }

    #[test]
    fn characters_are_code_points() {
        for (text, chars) in [(r#""""#, 0), (r#""né😀""#, 3), (r#""\n\\\"\u0000u""#, 5), (r#""\\u0000""#, 6)]
        {
            assert_eq!(string_chars(text.as_bytes()), chars, "{text}");
        }
    }

    #[test]
    fn text_that_is_no_string_harms_nobody() {
        for text in [b"" as &[u8], b"\"", b"\"\\", b"\"\\u\"", b"\"\\u0\"", b"\"\xff\\q\""] {
            unquote(text);
            string_chars(text);
        }
    }

    proptest! {
        #[test]
        fn quoting_is_what_serde_does(content in "(?s).{0,40}") {
            let text = quote(&content);
            prop_assert_eq!(&text, &serde_json::to_vec(&content).unwrap());
            prop_assert_eq!(unquote(&text), content.as_str());
            prop_assert_eq!(string_chars(&text), content.chars().count());
        }
    }
}
