//! The messages in the source: what the constructors of messages are given, with
//! the alternatives that a `match`, an `if` or a `let` beside them has; and every
//! other text of more than a word, so that none is missed.

use std::collections::{BTreeSet, HashSet};

use crate::source::{Source, Token, tokens};
use crate::syntax::{arms, bound, name, split, strip, tuples};

/// What kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Refusal,
    Stop,
    Blocker,
    Warning,
    Unchecked,
    Ok,
    Usage,
    Log,
    Format,
    Action,
    Other,
}

/// A message; each part has its alternatives. Between `⟨` and `⟩` stands what is
/// filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) path: String,
    pub(crate) parts: Vec<Vec<String>>,
}

/// How many combinations of alternatives are told apart.
const MOST: usize = 12;

/// All messages of the sources, in their order.
pub(crate) fn messages(sources: &[Source]) -> Vec<Message> {
    let mut found = Vec::new();
    for source in sources {
        let mut file = File { path: &source.path, found: &mut found, seen: HashSet::new() };
        file.walk(&[&source.tokens]);
        file.rest(&[&source.tokens]);
    }
    found
}

struct File<'a> {
    path: &'a str,
    found: &'a mut Vec<Message>,
    /// The texts that are part of a message already.
    seen: HashSet<*const Token>,
}

impl File<'_> {
    fn add(&mut self, kind: Kind, parts: Vec<Vec<String>>) {
        let path = self.path.to_owned();
        let parts = parts.into_iter().map(distinct).collect();
        self.found.push(Message { kind, path, parts });
    }

    /// The last of `scope` and what is in it.
    fn walk(&mut self, scope: &[&[Token]]) {
        let here = scope.last().expect("a scope");
        for (at, token) in here.iter().enumerate() {
            let Token::Group(bracket, inside) = token else { continue };
            if *bracket == '('
                && let Some((kind, places)) = constructor(&here[..at])
            {
                let arguments = split(inside, ',');
                let parts = places.iter().filter_map(|place| arguments.get(*place));
                let mut parts = parts.map(|part| self.value(part, scope, &[])).collect::<Vec<_>>();
                if kind == Kind::Log {
                    parts = vec![self.template(inside, scope, &[])];
                }
                if kind == Kind::Action {
                    let operation = inside.iter().find(|t| matches!(t, Token::Text(_)));
                    parts = operation
                        .iter()
                        .map(|t| self.value(std::slice::from_ref(t), &[], &[]))
                        .collect();
                }
                let bare = parts.iter().flatten().all(|text| is_filled_in(text));
                if !parts.is_empty() && !bare {
                    self.add(kind, parts);
                }
            } else if *bracket == '[' && inside.first().is_some_and(|t| t.is_word("error")) {
                for text in inside.iter().filter_map(|token| token.group('(')) {
                    if let [Token::Text(_), ..] = text {
                        let part = self.template(text, scope, &[]);
                        self.add(Kind::Format, vec![part]);
                    }
                }
            }
            self.walk(&[scope, &[inside]].concat());
        }
    }

    /// What has not been seen.
    fn rest(&mut self, scope: &[&[Token]]) {
        let tokens = *scope.last().expect("a scope");
        for (at, token) in tokens.iter().enumerate() {
            match token {
                Token::Text(text)
                    if is_sentence(text) && !self.seen.contains(&std::ptr::from_ref(token)) =>
                {
                    let is_format = match tokens {
                        [Token::Word(_), Token::Sign(','), ..] => at == 2, // write!(text, "…")
                        _ => at == 0,
                    };
                    let format = if is_format { &tokens[at..] } else { &[] };
                    let whole = self.template(format, scope, &[]);
                    let part = if whole.is_empty() { vec![text.clone()] } else { whole };
                    self.add(Kind::Other, vec![part]);
                }
                Token::Group(_, inside) => self.rest(&[scope, &[inside]].concat()),
                _ => {}
            }
        }
    }

    /// The texts that an expression can be.
    fn value(&mut self, expression: &[Token], scope: &[&[Token]], within: &[&str]) -> Vec<String> {
        let expression = strip(expression);
        let filled = || vec![format!("⟨{}⟩", name(expression))];
        match expression {
            [Token::Word(word), ..] if word == "return" => Vec::new(),
            [Token::Word(word), .., Token::Word(new), Token::Group(..)]
                if word == "String" && new == "new" =>
            {
                vec![String::new()]
            }
            [Token::Text(text)] => {
                self.seen.insert(expression.as_ptr());
                vec![text.clone()]
            }
            [Token::Word(word), Token::Sign('!'), Token::Group('(', inside)]
                if word == "format" =>
            {
                self.template(inside, scope, within)
            }
            [Token::Word(word), .., Token::Group('{', arms)] if word == "match" => {
                let arms = self::arms(arms);
                arms.into_iter().flat_map(|arm| self.value(arm, scope, within)).collect()
            }
            [Token::Word(word), ..] if word == "if" => {
                let blocks = expression.iter().filter_map(|token| token.group('{'));
                blocks.flat_map(|block| self.value(block, scope, within)).collect()
            }
            [Token::Group('(' | '{', inside)] => self.value(inside, scope, within),
            // A name that is bound anew is made from the one before.
            [Token::Word(word)] if within.contains(&word.as_str()) => filled(),
            [Token::Word(word)] => match bound(word, scope) {
                Some((value, None)) => self.value(value, scope, &[within, &[word]].concat()),
                Some((value, Some(place))) => {
                    let tuples = tuples(value, place.1);
                    let parts = tuples.iter().filter_map(|tuple| tuple.get(place.0).copied());
                    let parts = parts.collect::<Vec<_>>();
                    if parts.is_empty() {
                        return filled();
                    }
                    let within = [within, &[word]].concat();
                    parts.into_iter().flat_map(|part| self.value(part, scope, &within)).collect()
                }
                None => filled(),
            },
            _ if expression.iter().any(|token| token.is_sign(';')) => {
                let last = expression.rsplit(|token| token.is_sign(';')).next();
                let scope = [scope, &[expression]].concat();
                self.value(last.unwrap_or_default(), &scope, within)
            }
            _ => filled(),
        }
    }

    /// What `format!` makes of its arguments.
    fn template(
        &mut self,
        arguments: &[Token],
        scope: &[&[Token]],
        within: &[&str],
    ) -> Vec<String> {
        let arguments = split(arguments, ',');
        let Some([text @ Token::Text(format)]) = arguments.first() else { return Vec::new() };
        self.seen.insert(text);
        let mut all = vec![String::new()];
        let mut next = 1;
        let mut chars = format.chars().peekable();
        while let Some(c) = chars.next() {
            let is_doubled = matches!(c, '{' | '}') && chars.next_if_eq(&c).is_some();
            if is_doubled || c != '{' {
                for text in &mut all {
                    text.push(c);
                }
                continue;
            }
            let field: String = chars.by_ref().take_while(|c| *c != '}').collect();
            let key = field.split(':').next().unwrap_or_default();
            let word = [Token::Word(key.to_owned())];
            let named = arguments.iter().find_map(|a| match a {
                [Token::Word(w), Token::Sign('='), value @ ..] if w == key => Some(value),
                _ => None,
            });
            let argument = match (named, key.parse::<usize>()) {
                (Some(value), _) => value,
                (_, Ok(at)) => arguments.get(at + 1).copied().unwrap_or(&word),
                _ if key.is_empty() => {
                    next += 1;
                    arguments.get(next - 1).copied().unwrap_or(&word)
                }
                _ => &word,
            };
            let mut texts = self.value(argument, scope, within);
            if texts.iter().all(|text| is_filled_in(text)) || all.len() * texts.len() > MOST {
                texts = vec![format!("⟨{}⟩", name(strip(argument)))];
            }
            all = all
                .iter()
                .flat_map(|text| texts.iter().map(move |end| format!("{text}{end}")))
                .collect();
        }
        all
    }
}

/// The kind of message that a call in front of its arguments makes, and which
/// arguments are its parts.
fn constructor(before: &[Token]) -> Option<(Kind, &'static [usize])> {
    let is = |path: &str| before.ends_with(&tokens(path));
    let kinds: [(&str, Kind, &'static [usize]); 20] = [
        ("Refusal::new", Kind::Refusal, &[0, 1, 2]),
        ("Finding::blocker", Kind::Blocker, &[1, 2, 3]),
        ("Finding::warning", Kind::Warning, &[1, 2, 3]),
        ("Finding::unchecked", Kind::Unchecked, &[1, 2]),
        ("Finding::ok", Kind::Ok, &[1]),
        ("Stop::changed", Kind::Stop, &[0]),
        ("Stop::wrong", Kind::Stop, &[0, 1, 2]),
        ("Error::Halted", Kind::Stop, &[0]),
        ("Error::Usage", Kind::Usage, &[0]),
        ("log::error!", Kind::Log, &[]),
        ("log::warn!", Kind::Log, &[]),
        ("log::info!", Kind::Log, &[]),
        ("log::debug!", Kind::Log, &[]),
        ("OpError::new", Kind::Action, &[0]),
        ("Halt::at", Kind::Action, &[0]),
        (".op", Kind::Action, &[0]),
        ("failed", Kind::Action, &[0]),
        ("between", Kind::Action, &[0]),
        ("self.warn", Kind::Warning, &[0]),
        ("return wrong", Kind::Blocker, &[0]), // a closure of check/fstab.rs
    ];
    let (_, kind, places) = kinds.into_iter().find(|(path, ..)| is(path))?;
    Some((kind, places))
}

/// Without repetitions.
fn distinct(texts: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    texts.into_iter().filter(|text| seen.insert(text.clone())).collect()
}

/// Whether a text is more than a word.
fn is_sentence(text: &str) -> bool {
    text.trim().contains(' ') && text.contains(|c: char| c.is_lowercase())
}

/// Whether nothing of a text is fixed.
pub(crate) fn is_filled_in(text: &str) -> bool {
    text.starts_with('⟨') && text.find('⟩').is_some_and(|end| text.len() == end + '⟩'.len_utf8())
}

/// What is filled in, with the file.
pub(crate) fn filled_in(messages: &[Message]) -> Vec<(String, String)> {
    let mut names = BTreeSet::new();
    for message in messages {
        for text in message.parts.iter().flatten() {
            let pieces = text.split('⟨').skip(1).filter_map(|piece| piece.split('⟩').next());
            names.extend(pieces.map(|name| (message.path.clone(), name.to_owned())));
        }
    }
    names.into_iter().collect()
}
