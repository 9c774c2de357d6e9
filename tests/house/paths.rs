//! The paths of the crate that a source file names: in `use`, and in code.

use std::collections::BTreeSet;

/// Words of paths, `crate::` undone and `super::` resolved.
pub fn named(module: &str, text: &str) -> BTreeSet<Vec<String>> {
    let code = without_tests(&without_comments(text));
    let mut found = BTreeSet::new();
    let mut rest = code.as_str();
    while let Some(at) = next_use(rest) {
        let (before, statement) = rest.split_at(at);
        inline(before, module, &mut found);
        let end = statement.find(';').map_or(statement.len(), |end| end + 1);
        for path in expand(unnamed(&statement[4..end]).trim_end_matches(';')) {
            absolute(module, &path, &mut found);
        }
        rest = &statement[end..];
    }
    inline(rest, module, &mut found);
    found
}

/// A tree of paths without white space and without `as` and the word behind it.
fn unnamed(tree: &str) -> String {
    let mut words = tree.split_whitespace();
    let mut plain = String::new();
    while let Some(word) = words.next() {
        if word == "as" {
            let renamed = words.next().unwrap_or_default();
            plain.extend(renamed.chars().filter(|sign| "},;".contains(*sign)));
        } else {
            plain.push_str(word);
        }
    }
    plain
}

/// Where the next statement begins with `use`, the visibility before it aside.
fn next_use(code: &str) -> Option<usize> {
    let starts = |at: usize| {
        let before = code[..at].trim_end_matches(' ');
        before.is_empty() || before.ends_with(['\n', ')', ';', '{', '}']) || before.ends_with("pub")
    };
    code.match_indices("use ").map(|(at, _)| at).find(|&at| starts(at))
}

fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// Tests may use whatever they need.
fn without_tests(text: &str) -> String {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or(text).to_owned()
}

fn expand(tree: &str) -> Vec<String> {
    let Some((prefix, inner)) = tree.split_once('{') else {
        return vec![tree.to_owned()];
    };
    let inner = inner.strip_suffix('}').unwrap_or(inner);
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, sign) in inner.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    parts.flat_map(|part| expand(&format!("{prefix}{part}"))).collect()
}

fn inline(code: &str, module: &str, found: &mut BTreeSet<Vec<String>>) {
    let is_word = |sign: char| sign.is_alphanumeric() || sign == '_' || sign == ':';
    for word in code.split(|sign| !is_word(sign)) {
        if word.contains("::") {
            absolute(module, word, found);
        }
    }
}

fn absolute(module: &str, path: &str, found: &mut BTreeSet<Vec<String>>) {
    let mut words: Vec<&str> = path.split("::").collect();
    let mut base: Vec<&str> = module.split("::").collect();
    match words[0] {
        "crate" => base.clear(),
        "super" | "self" => {}
        // A child, or an item of another crate, which is no file of ours.
        _ => words.insert(0, "self"),
    }
    words.retain(|word| *word != "crate" && *word != "self");
    while words.first() == Some(&"super") {
        words.remove(0);
        base.pop();
    }
    found.insert(base.into_iter().chain(words).map(str::to_owned).collect());
}
