//! What a program said, without regard to where its lines fold: they fold at another
//! place where the path of the checkout, or of `TMPDIR`, is longer.

/// The text as one line, each white space in it as one space.
pub fn unfolded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether the text has the part, wherever either of them folds. White space at an end
/// of the part is the end of a word.
pub fn says(text: &str, part: &str) -> bool {
    let end = |is: bool| if is { " " } else { "" };
    let (first, last) =
        (part.starts_with(char::is_whitespace), part.ends_with(char::is_whitespace));
    let part = format!("{}{}{}", end(first), unfolded(part), end(last));
    format!(" {} ", unfolded(text)).contains(&part)
}
