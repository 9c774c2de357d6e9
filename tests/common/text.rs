//! What a program said, without regard to where its lines fold: they fold at another
//! place where the path of the checkout, or of `TMPDIR`, is longer.

/// The text as one line, each white space in it as one space.
pub fn unfolded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether the text has the part, wherever either of them folds.
pub fn says(text: &str, part: &str) -> bool {
    unfolded(text).contains(&unfolded(part))
}
