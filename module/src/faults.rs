//! Panics that a test asks for, to see that the server outlives them. Built in with the feature `faults` only.

/// A point that work comes by: panics where the file `fault` in the server's directory names it.
pub(crate) fn at(point: &str) {
    let asked =
        cfg!(feature = "faults") && std::fs::read("fault").is_ok_and(|asked| asked == point.as_bytes());
    assert!(!asked, "a fault at the {point}");
}
