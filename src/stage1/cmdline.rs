//! The kernel command line, as far as it concerns us: `lustrate=` and `init=`.
//!
//! [`parse`] is pure. The rules of quoting are those of the kernel's `lib/cmdline.c`
//! (`next_arg`): double quotes group, and they are not part of the value.

use crate::engine::environment::no_proc;
use crate::error::Refusal;
use crate::fs::sys;

/// What `lustrate=` on the kernel command line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Asked {
    /// No such parameter.
    #[default]
    Nothing,
    /// `lustrate=off`: boot as if the marker were not there.
    Off,
    /// `lustrate=plan`: log the plan, do nothing.
    Plan,
    /// `lustrate=revert`: revert, then reboot.
    Revert,
}

/// The parameters read from a kernel command line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CmdLine {
    /// What `lustrate=` asks for; the last one counts.
    pub asked: Asked,
    /// The value of a `lustrate=` that is none of the three.
    pub unknown: Option<Vec<u8>>,
    /// `init=`, the stage-2 program.
    pub init: Option<Vec<u8>>,
}

/// The kernel command line.
///
/// # Errors
/// A refusal: without it, `lustrate=off` could not be heard.
pub fn read() -> Result<CmdLine, Refusal> {
    let path = "/proc/cmdline";
    let line = sys::read_line(path).map_err(|errno| no_proc(path, errno.desc()))?;
    Ok(parse(&line))
}

/// The parameters in the content of `/proc/cmdline`.
#[must_use]
pub fn parse(line: &[u8]) -> CmdLine {
    let mut found = CmdLine::default();
    for word in words(line) {
        if let Some(value) = word.strip_prefix(b"lustrate=") {
            found.unknown = None;
            match value {
                b"off" => found.asked = Asked::Off,
                b"plan" => found.asked = Asked::Plan,
                b"revert" => found.asked = Asked::Revert,
                _ => found.unknown = Some(value.to_vec()),
            }
        } else if let Some(value) = word.strip_prefix(b"init=") {
            found.init = Some(value.to_vec());
        } else if word == b"--" {
            break; // what follows is for init (Documentation/admin-guide/kernel-parameters.rst)
        }
    }
    found
}

fn words(line: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let mut quoted = false;
    line.split(move |&b| {
        quoted ^= b == b'"';
        b.is_ascii_whitespace() && !quoted
    })
    .map(|word| word.iter().copied().filter(|&b| b != b'"').collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_lustrate_counts() {
        assert_eq!(parse(b"quiet lustrate=off lustrate=revert\n").asked, Asked::Revert);
        assert_eq!(parse(b"lustrate=plan").asked, Asked::Plan);
        assert_eq!(parse(b"xlustrate=off lustrate").asked, Asked::Nothing);
    }

    #[test]
    fn an_unknown_value_is_kept_for_the_message() {
        let found = parse(b"lustrate=of");
        assert_eq!((found.asked, found.unknown), (Asked::Nothing, Some(b"of".to_vec())));
    }

    #[test]
    fn quotes_group_and_drop_out() {
        let found = parse(b"a=\"x lustrate=off\" \"init=/nix/store/x y/init\" -- lustrate=off");
        assert_eq!(found.asked, Asked::Nothing);
        assert_eq!(found.init.as_deref(), Some(&b"/nix/store/x y/init"[..]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let found = parse(&line);
            let has = line.windows(9).any(|w| w == b"lustrate=") || line.contains(&b'"');
            prop_assert!(has || (found.asked == Asked::Nothing && found.unknown.is_none()));
        }
    }
}
