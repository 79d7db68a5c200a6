//! Which members of an object changed.

use std::collections::HashMap;

use super::{Kind, canonical, kind, members};
use crate::{Error, Path};

/// The names, quoted, of the members that are different in `after`, new there, or gone.
pub fn changed_members(before: &[u8], after: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let (before, after) = (canonical(before, 0)?, canonical(after, 0)?);
    for text in [&before, &after] {
        if kind(text) != Kind::Object {
            return Err(Error::bad_type(&Path::default(), "an object", kind(text)));
        }
    }
    let mut old: HashMap<&[u8], &[u8]> =
        members(&before, 0).map(|member| (&before[member.name], &before[member.value])).collect();
    let mut changed: Vec<Vec<u8>> = members(&after, 0)
        .filter(|member| old.remove(&after[member.name.clone()]) != Some(&after[member.value.clone()]))
        .map(|member| after[member.name].to_vec())
        .collect();
    let gone = members(&before, 0).map(|member| &before[member.name]).filter(|name| old.contains_key(name));
    changed.extend(gone.map(<[u8]>::to_vec));
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_changed_came_and_went() {
        let names =
            changed_members(br#"{"a":1,"b":[1],"c":"x"}"#, br#"{"b":[1, 2],"a":1,"d":null}"#).unwrap();
        assert_eq!(names, [&br#""b""#[..], br#""d""#, br#""c""#]);
        assert_eq!(changed_members(b"{}", b"{}").unwrap(), Vec::<Vec<u8>>::new());
        assert!(changed_members(b"[]", b"{}").is_err());
    }
}
