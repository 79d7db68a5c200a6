//! The panic guard: a bug in a command is an error reply, never a dead process.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Error;

/// Runs `work`; a panic in it becomes [`Error::Internal`] with the panic's message.
///
/// What `work` changed before it panicked stays: commands check first and change last, and a host writes back
/// what it lent out when it unwinds.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a message".into());
        Error::Internal { message }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        let index = std::hint::black_box(3);
        let error = guarded(|| [1, 2, 3][index]).unwrap_err();
        assert_eq!(error.to_string(), "INTERNAL index out of bounds: the len is 3 but the index is 3");
        assert_eq!(guarded(|| 7), Ok(7));
    }
}
