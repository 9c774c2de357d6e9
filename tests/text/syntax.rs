//! The little of Rust's grammar that `extract.rs` needs: parts of lists, arms of a
//! `match`, what a name is bound to.

use crate::source::Token;

pub(crate) fn split(tokens: &[Token], sign: char) -> Vec<&[Token]> {
    let mut parts: Vec<_> = tokens.split(|token| token.is_sign(sign)).collect();
    parts.retain(|part| !part.is_empty());
    parts
}

/// Without references and conversions.
pub(crate) fn strip(mut expression: &[Token]) -> &[Token] {
    const CONVERSIONS: [&str; 6] =
        ["to_owned", "to_string", "into", "clone", "as_str", "unwrap_or_default"];
    while let [Token::Sign('&' | '*'), rest @ ..] = expression {
        expression = rest;
    }
    if let [Token::Word(quote), Token::Group('(', inside)] = expression
        && quote == "word"
    {
        return strip(inside);
    }
    while let [rest @ .., Token::Sign('.'), Token::Word(word), Token::Group('(', none)] = expression
    {
        if rest.is_empty() || !none.is_empty() || !CONVERSIONS.contains(&word.as_str()) {
            break;
        }
        expression = rest;
    }
    expression
}

/// What is filled in, in a word or two.
pub(crate) fn name(expression: &[Token]) -> String {
    if let [.., Token::Word(call), Token::Group('(', inside)] = expression
        && ["word", "show", "Shown", "text_of_path", "shown"].contains(&call.as_str())
    {
        return name(strip(inside));
    }
    // The format of a nested `format!` says more than its arguments.
    let words = expression.iter().filter_map(Token::word);
    let words = words.filter(|word| !["join", "display", "as_bytes", "format"].contains(word));
    words.collect::<Vec<_>>().join(".")
}

/// The arms of a `match`.
pub(crate) fn arms(tokens: &[Token]) -> Vec<&[Token]> {
    let mut arms = Vec::new();
    let mut rest = tokens;
    let arrow = [Token::Sign('='), Token::Sign('>')];
    while let Some(at) = rest.windows(2).position(|pair| pair == arrow) {
        rest = &rest[at + 2..];
        let length = match rest {
            [Token::Group('{', _), ..] => 1,
            _ => rest.iter().position(|t| t.is_sign(',')).unwrap_or(rest.len()),
        };
        arms.push(&rest[..length]);
        rest = &rest[length..];
    }
    arms
}

pub(crate) type Binding<'a> = (&'a [Token], Option<(usize, usize)>);

/// What a name is bound to by `let` or `const`; for a pattern of several names,
/// with its place among them and their number.
pub(crate) fn bound<'a>(name: &str, scope: &[&'a [Token]]) -> Option<Binding<'a>> {
    for tokens in scope.iter().rev() {
        let mut found = None;
        for (at, token) in tokens.iter().enumerate() {
            if !token.is_word("let") && !token.is_word("const") {
                continue;
            }
            let rest = &tokens[at + 1..];
            let rest = rest.strip_prefix(&[Token::Word("mut".to_owned())]).unwrap_or(rest);
            let Some(equals) = rest.iter().position(|t| t.is_sign('=')) else { continue };
            let value = &rest[equals + 1..];
            let end = value.iter().position(|t| t.is_sign(';') || t.is_word("else"));
            let has_else = |v: &[Token]| v.iter().any(|t| t.is_word("if") || t.is_word("match"));
            let semicolon = value.iter().position(|t| t.is_sign(';')).unwrap_or(value.len());
            let value = match end {
                Some(end) if !has_else(&value[..end]) => &value[..end],
                _ => &value[..semicolon],
            };
            match rest.first() {
                Some(Token::Word(word)) if word == name => found = Some((value, None)),
                Some(Token::Group('(', pattern)) => {
                    let parts = split(pattern, ',');
                    let place = parts
                        .iter()
                        .position(|part| matches!(part, [Token::Word(word)] if word == name));
                    if let Some(place) = place {
                        found = Some((value, Some((place, parts.len()))));
                    }
                }
                _ => {}
            }
        }
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The tuples of that many parts in an expression.
pub(crate) fn tuples(expression: &[Token], parts: usize) -> Vec<Vec<&[Token]>> {
    let mut found = Vec::new();
    for (at, token) in expression.iter().enumerate() {
        let Token::Group(bracket, inside) = token else { continue };
        let is_pattern = *bracket == '(' && {
            let rest = &expression[at + 1..];
            let guard =
                rest.iter().position(|t| t.is_sign(',') || matches!(t, Token::Group('{', _)));
            let arrow =
                rest.windows(2).position(|pair| pair[0].is_sign('=') && pair[1].is_sign('>'));
            arrow.is_some_and(|arrow| guard.is_none_or(|guard| arrow < guard))
        };
        let is_subject = at > 0 && expression[at - 1].is_word("match");
        let is_call = at > 0
            && matches!(expression[at - 1], Token::Word(_) | Token::Sign('!'))
            && !is_subject;
        let split = split(inside, ',');
        if *bracket == '(' && split.len() == parts && !is_pattern && !is_subject && !is_call {
            found.push(split);
        } else if *bracket == '{' {
            found.extend(tuples(inside, parts));
        }
    }
    found
}
