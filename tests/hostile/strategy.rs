//! What a hostile root is made of, and how likely each thing is.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One root with its keep-list.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // drawn independently of each other
pub struct Case {
    /// ext4 in place of tmpfs.
    pub disk: bool,
    /// The root is a directory of the file system, beside a canary.
    pub inside: bool,
    pub items: Vec<(Vec<Vec<u8>>, Item)>,
    pub marker: Marker,
    pub lines: Vec<(Index, Mutation)>,
    /// The first line is given as `--keep`, too.
    pub option: bool,
    pub immutable: Vec<Index>,
    pub immutable_root: bool,
}

#[derive(Clone, Debug)]
pub enum Item {
    File(Vec<u8>, u32),
    Directory(u32),
    /// Directories in directories, so many.
    Deep(usize),
    Link(Target),
    /// To an item before.
    HardLink(Index),
    Fifo,
    Socket,
    Device,
}

#[derive(Clone, Debug)]
pub enum Target {
    Literal(&'static [u8]),
    Bytes(Vec<u8>),
    /// The canary file system, directly or by way of `/proc/self/root`.
    Canary(&'static str),
    /// The path of an item behind a prefix.
    Item(&'static [u8], Index),
}

#[derive(Clone, Copy, Debug)]
pub enum Marker {
    File,
    None,
    Fifo,
    Directory,
    /// A link to the canary file system.
    Link,
}

/// What is done to the path of an item to make a line of it.
#[derive(Clone, Debug)]
pub enum Mutation {
    None,
    Before(&'static [u8]),
    Behind(&'static [u8]),
    Parent,
    Flip(Index, u8),
    Replace(Vec<u8>),
    Canary,
}

const NAMES: &[&[u8]] = &[
    b"etc",
    b"etc",
    b"home",
    b"usr",
    b"var",
    b"run",
    b"bin",
    b"srv",
    b"a",
    b"b",
    b"c",
    b"x",
    b"boot",
    b"nix",
    b"store",
    b"boot.bak",
    b"old-root",
    b"old-root-1",
    b"nixos-root",
    b"NIXOS",
    b"nixos",
    b"static",
    b" ",
    b"-",
    b"...",
    b"#x",
    b"a b",
    b"\\x2e",
    b"\xff\xfe",
    b"a\nb",
    b"\x1b[31m",
];

const RESERVED: &[&[u8]] =
    &[b"old-root.tmp", b"nixos-root.tmp", b".lustrate", b"intent", b"record", b"new"];

fn name() -> impl Strategy<Value = Vec<u8>> {
    let random = vec(any::<u8>(), 1..12).prop_map(|mut name| {
        name.retain(|b| !matches!(b, 0 | b'/'));
        if matches!(&name[..], b"" | b"." | b"..") { b"y".to_vec() } else { name }
    });
    prop_oneof![
        60 => select(NAMES).prop_map(<[u8]>::to_vec),
        10 => random,
        1 => select(RESERVED).prop_map(<[u8]>::to_vec),
        1 => (240usize..=255).prop_map(|n| vec![b'n'; n]),
    ]
}

fn mode() -> impl Strategy<Value = u32> {
    select(vec![0o755, 0o755, 0o700, 0, 0o111, 0o1777, 0o2755, 0o4755, 0o7777])
}

fn target() -> impl Strategy<Value = Target> {
    let literal: &[&[u8]] = &[
        b"/",
        b".",
        b"..",
        b"../..",
        b"../../..",
        b"/proc/self/root",
        b"/proc/self/cwd",
        b"/etc",
        b"../canary",
        b"../canary/directory",
        b"/dev/null",
        b"/nonexistent",
        b"/nix/store",
        b"nix",
    ];
    prop_oneof![
        4 => select(literal).prop_map(Target::Literal),
        1 => vec(1u8.., 1..40).prop_map(Target::Bytes),
        2 => select(vec!["", "/directory", "/file"]).prop_map(Target::Canary),
        4 => (select(vec![&b""[..], b"/", b"../", b"./"]), any::<Index>())
            .prop_map(|(before, at)| Target::Item(before, at)),
    ]
}

fn item() -> impl Strategy<Value = Item> {
    prop_oneof![
        6 => (vec(any::<u8>(), 0..40), mode()).prop_map(|(content, mode)| Item::File(content, mode)),
        5 => mode().prop_map(Item::Directory),
        1 => (1usize..60).prop_map(Item::Deep),
        5 => target().prop_map(Item::Link),
        1 => any::<Index>().prop_map(Item::HardLink),
        1 => Just(Item::Fifo),
        1 => Just(Item::Socket),
        1 => Just(Item::Device),
    ]
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        12 => Just(Mutation::None),
        3 => select(vec![&b"/"[..], b"./", b"//./", b" \t", b"x/"]).prop_map(Mutation::Before),
        3 => select(vec![&b"/"[..], b"/.", b"\r", b"/x", b"/x/y/z", b" "]).prop_map(Mutation::Behind),
        3 => Just(Mutation::Parent),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Flip(at, byte)),
        1 => vec(any::<u8>(), 0..30).prop_map(Mutation::Replace),
        1 => Just(Mutation::Canary),
        // Refuses the whole list, so seldom.
        1 => select(vec![&b"../"[..], b"a/../../"]).prop_map(Mutation::Before),
    ]
}

pub fn case() -> impl Strategy<Value = Case> {
    let marker = prop_oneof![
        30 => Just(Marker::File),
        1 => Just(Marker::None),
        1 => Just(Marker::Fifo),
        1 => Just(Marker::Directory),
        1 => Just(Marker::Link),
    ];
    (
        (any::<bool>(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.05)),
        vec((vec(name(), 1..5), item()), 1..40),
        marker,
        vec((any::<Index>(), mutation()), 0..8),
        vec(any::<Index>(), 0..3),
    )
        .prop_map(|(flags, items, marker, lines, immutable)| {
            let (disk, inside, option, immutable_root) = flags;
            Case { disk, inside, items, marker, lines, option, immutable, immutable_root }
        })
}
