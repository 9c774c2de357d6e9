//! The program's own source as trees of tokens, as far as texts in it have to be
//! found: strings, words, punctuation, and what brackets hold.

use std::fs;
use std::path::{Path, PathBuf};

/// A token, or a bracket with what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Text(String),
    Word(String),
    Sign(char),
    Group(char, Vec<Token>),
}

impl Token {
    pub(crate) fn is_sign(&self, sign: char) -> bool {
        *self == Self::Sign(sign)
    }

    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.word() == Some(word)
    }

    pub(crate) fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(crate) fn group(&self, bracket: char) -> Option<&[Token]> {
        match self {
            Self::Group(open, tokens) if *open == bracket => Some(tokens),
            _ => None,
        }
    }
}

/// A file of `src`, without its tests.
pub(crate) struct Source {
    /// Below the checkout.
    pub(crate) path: String,
    pub(crate) tokens: Vec<Token>,
}

/// The checkout.
pub(crate) fn checkout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the program, by path.
pub(crate) fn sources() -> Vec<Source> {
    let (mut files, mut tests) = (Vec::new(), Vec::new());
    collect(&checkout().join("src"), &mut files);
    files.sort();
    let mut sources = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file");
        let tokens = without_tests(tokens(&text), &mut tests, &file.with_extension(""));
        let path = file.strip_prefix(checkout()).expect("below the checkout");
        sources.push(Source { path: path.display().to_string(), tokens });
    }
    let is_test = |source: &Source| tests.iter().any(|test| test.ends_with(&source.path));
    sources.retain(|source| !is_test(source));
    sources
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

/// Leaves out what `#[cfg(test)]` guards; notes test modules with files of their own.
fn without_tests(tokens: Vec<Token>, tests: &mut Vec<PathBuf>, module: &Path) -> Vec<Token> {
    let guard = self::tokens("#[cfg(test)]");
    let mut kept = Vec::new();
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        let attribute = [token.clone(), rest.peek().cloned().unwrap_or(Token::Sign(' '))];
        if attribute[..] != guard[..] {
            kept.push(token);
            continue;
        }
        rest.next();
        let mut name = None;
        for token in rest.by_ref() {
            match token {
                Token::Group('{', _) => break,
                Token::Sign(';') => {
                    tests.extend(name.map(|name: String| module.join(format!("{name}.rs"))));
                    break;
                }
                Token::Word(word) => name = Some(word),
                _ => {}
            }
        }
    }
    kept
}

/// Splits a text into tokens.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut chars = Chars { text, at: 0 };
    chars.until(None)
}

struct Chars<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Chars<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_past(&mut self, end: &str) -> &'a str {
        let rest = self.rest();
        let length = rest.find(end).unwrap_or(rest.len());
        self.at = (self.at + length + end.len()).min(self.text.len());
        &rest[..length]
    }

    fn until(&mut self, close: Option<char>) -> Vec<Token> {
        let mut found = Vec::new();
        while let Some(next) = self.rest().chars().next() {
            if self.rest().starts_with("//") {
                self.skip_past("\n");
            } else if next.is_whitespace() {
                self.at += next.len_utf8();
            } else if let Some(token) = self.text_token() {
                found.extend(token);
            } else if next.is_alphanumeric() || next == '_' {
                let rest = self.rest();
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let word = &rest[..end.unwrap_or(rest.len())];
                self.at += word.len();
                found.push(Token::Word(word.to_owned()));
            } else {
                self.at += next.len_utf8();
                match next {
                    '(' => found.push(Token::Group('(', self.until(Some(')')))),
                    '[' => found.push(Token::Group('[', self.until(Some(']')))),
                    '{' => found.push(Token::Group('{', self.until(Some('}')))),
                    next if Some(next) == close => return found,
                    next => found.push(Token::Sign(next)),
                }
            }
        }
        assert!(close.is_none(), "a bracket is not closed");
        found
    }

    /// A string, a character or a lifetime: nothing when it is no string of text.
    fn text_token(&mut self) -> Option<Vec<Token>> {
        let rest = self.rest();
        for start in ["r#\"", "br#\"", "r\"", "br\"", "b\"", "c\"", "\""] {
            let Some(body) = rest.strip_prefix(start) else { continue };
            self.at += start.len();
            if start.contains('r') {
                let end = if start.contains('#') { "\"#" } else { "\"" };
                let text = self.skip_past(end).to_owned();
                return Some(text_unless(start.starts_with('b'), text));
            }
            let (text, length) = unescaped(body);
            self.at += length;
            return Some(text_unless(start != "\"", text));
        }
        let quoted = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('\'')?;
        let before = rest.len() - quoted.len();
        let escape = quoted.starts_with('\\');
        let first = quoted.chars().next().map_or(1, char::len_utf8);
        let length = match quoted[if escape { 2 } else { first }..].find('\'') {
            Some(end) if escape => end + 3,
            Some(0) => first + 1,
            _ => 0, // a lifetime: its name is a word
        };
        self.at += before + length;
        Some(Vec::new())
    }
}

/// The token of a string, unless it is of bytes.
fn text_unless(of_bytes: bool, text: String) -> Vec<Token> {
    if of_bytes { Vec::new() } else { vec![Token::Text(text)] }
}

/// A string up to its end, and how long it is in the source.
fn unescaped(body: &str) -> (String, usize) {
    let mut text = String::new();
    let mut chars = body.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (text, at + 1),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('t') => text.push('\t'),
                Some('x') => {
                    chars.next();
                    chars.next();
                }
                Some('\n') => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                Some(other) => text.push(other),
                None => break,
            },
            c => text.push(c),
        }
    }
    panic!("a string is not closed: {body:.40}")
}
