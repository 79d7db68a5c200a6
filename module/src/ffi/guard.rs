//! The panic guard around everything that the server calls.

use rapyer_engine::Error;

use crate::faults;

/// Runs a callback's work; a panic in it is an error.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Error> {
    rapyer_engine::guarded(|| {
        faults::at("start");
        work()
    })
}
