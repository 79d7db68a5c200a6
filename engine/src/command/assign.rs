//! How values are set and removed at paths, one or several.

use std::borrow::Cow;

use crate::json::Kind;
use crate::node::{Edit, Node};
use crate::path::{Path, Step};
use crate::{Document, Error};

/// Sets the value at a path, which may be that of a new member, unless `NX` or `XX` forbids it; whether it did.
pub(super) fn assign(
    document: &mut Document,
    path: &Path,
    value: &[u8],
    condition: Option<&str>,
) -> Result<bool, Error> {
    let Some((last, above)) = path.steps().split_last() else {
        return document.replace(value).map(|()| true);
    };
    let done = match last {
        Step::Name(name) => document.edit(above, |parent| {
            let found = parent.kind();
            if found != Kind::Object {
                return Err(Error::bad_type(path, "an object around its last step", found));
            }
            let exists = || parent.find(std::slice::from_ref(last)).is_some();
            let met = match condition {
                Some("NX") => !exists(),
                Some("XX") => exists(),
                _ => true,
            };
            Ok((met, met.then_some(Edit::Put { name, value })))
        })?,
        Step::Index(_) => document.edit(path.steps(), |_| {
            let met = condition != Some("NX");
            Ok((met, met.then(|| Edit::Set(value.into()))))
        })?,
    };
    done.ok_or_else(|| match (last, document.root().find(above).map(Node::kind)) {
        (Step::Index(_), Some(found)) if found != Kind::Array => {
            Error::bad_type(path, "an array around its last step", found)
        }
        _ => Error::no_path(path),
    })
}

/// Sets values at paths one after the other, all or none.
pub(super) fn assign_all(
    document: &mut Document,
    assignments: &[(Path, Cow<'_, [u8]>)],
) -> Result<(), Error> {
    let assign_each = |document: &mut Document| {
        assignments.iter().try_for_each(|(path, value)| assign(document, path, value, None).map(drop))
    };
    if assignments.len() < 2 || none_can_fail(document, assignments) {
        return assign_each(document);
    }
    let mut edited = document.clone();
    assign_each(&mut edited)?;
    *document = edited;
    Ok(())
}

/// Whether every assignment is possible as the document is now, none changes what another one needs, and there is
/// room for all of them.
fn none_can_fail(document: &Document, assignments: &[(Path, Cow<'_, [u8]>)]) -> bool {
    let mut room = document.room();
    let mut places = Vec::with_capacity(assignments.len());
    for (path, value) in assignments {
        let Some((last, above)) = path.steps().split_last() else {
            return false;
        };
        let added = match last {
            Step::Name(name) => value.len() + name.len() + 2,
            Step::Index(_) => value.len(),
        };
        let place = match last {
            Step::Name(_) => document
                .root()
                .resolve(above)
                .filter(|(_, parent)| parent.kind() == Kind::Object)
                .map(|(parent, _)| parent.join(last.clone())),
            Step::Index(_) => document.root().resolve(path.steps()).map(|(place, _)| place),
        };
        let (Some(place), Some(left)) = (place, room.checked_sub(added)) else {
            return false;
        };
        places.push(place);
        room = left;
    }
    places.sort_unstable();
    // What lies in another place follows it in this order.
    places.windows(2).all(|pair| pair[0] == pair[1] || !pair[1].steps().starts_with(pair[0].steps()))
}

/// Removes the value at a path; whether there was one.
pub(super) fn remove(document: &mut Document, path: &Path) -> Result<bool, Error> {
    Ok(document.edit(path.steps(), |_| Ok(((), Some(Edit::Remove))))?.is_some())
}
