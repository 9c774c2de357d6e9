//! `sshd_config`, as sshd reads it: the first value of a keyword counts, and in a
//! `Match` block that fits it counts before those outside. Pure.

use std::collections::BTreeMap;

/// What is not known of a connection: from where it comes, and to which address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// Criteria of that kind fit.
    Fits,
    /// They do not.
    Fails,
}

/// Who logs in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who<'a> {
    pub name: &'a str,
    pub groups: &'a [String],
    pub unknown: Unknown,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SshdConfig {
    global: Vec<Setting>,
    blocks: Vec<(Vec<Criterion>, Vec<Setting>)>,
    /// Files that it includes, which are not read here.
    pub includes: Vec<String>,
}

type Setting = (String, Vec<String>);
type Criterion = (String, String);

/// What holds for somebody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Settings(BTreeMap<String, Vec<String>>);

impl SshdConfig {
    /// Reads it.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Self {
        let mut config = Self::default();
        for line in text.lines() {
            let Some((keyword, values)) = setting(line) else { continue };
            match keyword.as_str() {
                "match" => config.blocks.push((criteria(&values), Vec::new())),
                "include" => config.includes.extend(values),
                _ => {
                    let block = config.blocks.last_mut().map(|(_, settings)| settings);
                    block.unwrap_or(&mut config.global).push((keyword, values));
                }
            }
        }
        config
    }

    /// What holds for somebody.
    #[must_use]
    pub(crate) fn of(&self, who: Who<'_>) -> Settings {
        let blocks = self.blocks.iter().filter(|(criteria, _)| fits(criteria, who));
        let mut found = Settings::default();
        found.take(blocks.flat_map(|(_, settings)| settings));
        let mut global = Settings::default();
        global.take(&self.global);
        for (keyword, values) in global.0 {
            found.0.entry(keyword).or_insert(values);
        }
        found
    }
}

impl Settings {
    fn take<'a>(&mut self, settings: impl IntoIterator<Item = &'a Setting>) {
        for (keyword, values) in settings {
            // Of these, each line adds to the list.
            let adds = ["allowusers", "denyusers", "allowgroups", "denygroups"];
            match self.0.get_mut(keyword) {
                Some(list) if adds.contains(&keyword.as_str()) => {
                    list.extend(values.iter().cloned());
                }
                Some(_) => {}
                None => drop(self.0.insert(keyword.clone(), values.clone())),
            }
        }
    }

    /// The values of a keyword, which is given in small letters.
    #[must_use]
    pub(crate) fn all(&self, keyword: &str) -> &[String] {
        self.0.get(keyword).map(Vec::as_slice).unwrap_or_default()
    }

    /// The first of them.
    #[must_use]
    pub(crate) fn first(&self, keyword: &str) -> Option<&str> {
        self.all(keyword).first().map(String::as_str)
    }

    /// Of a keyword that is `yes` or `no`.
    #[must_use]
    pub(crate) fn is_on(&self, keyword: &str, default: bool) -> bool {
        self.first(keyword).map_or(default, |value| value.eq_ignore_ascii_case("yes"))
    }
}

/// A keyword and its values: `Keyword value`, `Keyword=value`, `Keyword "a b"`.
fn setting(line: &str) -> Option<Setting> {
    let line = line.trim();
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    if keyword.is_empty() || keyword.starts_with('#') {
        return None;
    }
    let keyword = match keyword.to_lowercase().as_str() {
        "challengeresponseauthentication" | "skeyauthentication" => {
            "kbdinteractiveauthentication".into()
        }
        "dsaauthentication" => "pubkeyauthentication".into(),
        other => other.to_owned(),
    };
    Some((keyword, words(rest)))
}

/// Words as sshd splits them: quoted by either quote, `\` before a quote or a
/// space; a comment ends them.
fn words(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let (mut word, mut quote): (Option<String>, Option<char>) = (None, None);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) if chars.peek().is_some_and(|next| ['"', '\'', '\\', ' '].contains(next)) => {
                word.get_or_insert_default().extend(chars.next());
            }
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('#', None) if word.is_none() => break,
            (c, None) if c.is_whitespace() => found.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    found.extend(word);
    found
}

/// `Match User alice Group=wheel`.
fn criteria(values: &[String]) -> Vec<Criterion> {
    let mut found = Vec::new();
    let mut values = values.iter();
    while let Some(name) = values.next() {
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None if name.eq_ignore_ascii_case("all")
                || name.eq_ignore_ascii_case("invalid-user") =>
            {
                (name.as_str(), String::new())
            }
            None => (name.as_str(), values.next().cloned().unwrap_or_default()),
        };
        found.push((name.to_lowercase(), value));
    }
    found
}

fn fits(criteria: &[Criterion], who: Who<'_>) -> bool {
    criteria.iter().all(|(name, value)| match name.as_str() {
        "all" => true,
        "user" => in_list(value, &[who.name]),
        "group" => {
            let groups: Vec<&str> = who.groups.iter().map(String::as_str).collect();
            in_list(value, &groups)
        }
        "invalid-user" => false,
        _ => who.unknown == Unknown::Fits,
    })
}

/// `a*,!b`: one of the names fits, and none fits what begins with `!`.
fn in_list(list: &str, names: &[&str]) -> bool {
    let fits = |pattern: &str| names.iter().any(|name| glob(pattern, name));
    let (mut found, mut refused) = (false, false);
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) => refused |= fits(pattern),
            None => found |= fits(pattern),
        }
    }
    found && !refused
}

/// Whether a name is one of `AllowUsers` or the like: `alice`, `alice@192.0.2.*`.
#[must_use]
pub(crate) fn is_user(pattern: &str, who: Who<'_>) -> bool {
    match pattern.split_once('@') {
        None => glob(pattern, who.name),
        Some((user, _)) => glob(user, who.name) && who.unknown == Unknown::Fits,
    }
}

/// `*` and `?`.
#[must_use]
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    // Where the rest of the pattern may begin, by how much of it is behind.
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    for c in pattern {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = match c {
                '*' => ends[at] || (at > 0 && next[at - 1]),
                _ => at > 0 && ends[at - 1] && (c == '?' || c == text[at - 1]),
            };
        }
        ends = next;
    }
    ends[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(config: &str, name: &str, unknown: Unknown) -> Settings {
        let groups = ["users".to_owned(), "wheel".to_owned()];
        SshdConfig::parse(config).of(Who { name, groups: &groups, unknown })
    }

    #[test]
    fn the_first_value_counts_and_that_of_a_block_before_it() {
        let config = "PermitRootLogin no\npermitrootlogin yes\n# PasswordAuthentication no\n\
            Match User root,al* Group wheel\n PermitRootLogin forced-commands-only\n\
            Match all\nPermitRootLogin yes\nX11Forwarding yes\n\
            Match User !alice,*\nMaxSessions 3\nMatch Address 192.0.2.0/24\nPasswordAuthentication no\n";
        let root = of(config, "root", Unknown::Fails);
        assert_eq!(root.first("permitrootlogin"), Some("forced-commands-only"));
        assert_eq!(
            (root.first("maxsessions"), root.is_on("x11forwarding", false)),
            (Some("3"), true)
        );
        assert!(root.is_on("passwordauthentication", true));
        assert_eq!(of(config, "alice", Unknown::Fails).first("maxsessions"), None);
        assert_eq!(of(config, "bob", Unknown::Fails).first("permitrootlogin"), Some("yes"));
        assert!(!of(config, "bob", Unknown::Fits).is_on("passwordauthentication", true));
    }

    #[test]
    fn values_are_split_as_sshd_does() {
        let config = "AuthorizedKeysFile=\"%h/my keys\" '/etc/x y' # both\nAllowUsers a b\n\
            AllowUsers = c\\ d\nBanner none#x\n";
        let found = of(config, "x", Unknown::Fails);
        assert_eq!(found.all("authorizedkeysfile"), ["%h/my keys", "/etc/x y"]);
        assert_eq!(found.all("allowusers"), ["a", "b", "c d"]);
        assert_eq!(found.first("banner"), Some("none#x"));
        assert_eq!(SshdConfig::parse("Include /etc/ssh/*.conf\n").includes, ["/etc/ssh/*.conf"]);
    }

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, text, fits) in [
            ("root", "root", true),
            ("r*t", "root", true),
            ("r?t", "root", false),
            ("*", "", true),
            ("ro", "root", false),
            ("*o*", "root", true),
            ("a*b*c", "aXbXbc", true),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
        let who = |unknown| Who { name: "root", groups: &[], unknown };
        assert!(is_user("root@192.0.2.*", who(Unknown::Fits)));
        assert!(
            !is_user("root@192.0.2.*", who(Unknown::Fails)) && is_user("r*", who(Unknown::Fails))
        );
    }
}
