//! How large the builds are, what is in the one for the initrd, and what it adds
//! to an initrd.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::grid::Grid;
use super::stats::shown;

/// Makes a build of `tests/build-static`.
pub fn build(repository: &Path, variant: &str) -> Result<(), String> {
    let mut script = Command::new(repository.join("tests/build-static"));
    let output = script.arg(variant).stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().last().unwrap_or("tests/build-static fails").to_owned())
}

/// The sizes of both builds.
pub fn builds(repository: &Path) -> Result<Grid, String> {
    let mut grid = Grid::new(&["static build", "KiB", "zstd -19, KiB", "more in an initrd, KiB"]);
    for (variant, name) in [("initrd", "nixos-lustrate-initrd"), ("full", "nixos-lustrate")] {
        build(repository, variant)?;
        let path = repository.join("target/static").join(name);
        let content = fs::read(&path).map_err(|error| error.to_string())?;
        let more = if variant == "initrd" {
            let without = initrd(&[Path::new("/bin/busybox")])?;
            let with = initrd(&[Path::new("/bin/busybox"), &path])?;
            kib(with - without)
        } else {
            "–".to_owned()
        };
        let small = zstd(&content)?.len();
        grid.row(vec![variant.to_owned(), kib(content.len()), kib(small), more]);
    }
    Ok(grid)
}

fn kib(bytes: usize) -> String {
    format!("{:.1}", bytes as f64 / 1024.0)
}

fn zstd(content: &[u8]) -> Result<Vec<u8>, String> {
    filter(Command::new("zstd").args(["-19", "-q", "-c"]), content)
}

/// The size of a compressed archive as an initrd is one.
fn initrd(files: &[&Path]) -> Result<usize, String> {
    let list: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    let list = list.join(
        "
",
    ) + "
";
    let mut cpio = Command::new("/bin/busybox");
    let archive = filter(cpio.args(["cpio", "-o", "-H", "newc"]), list.as_bytes())?;
    Ok(zstd(&archive)?.len())
}

fn filter(command: &mut Command, input: &[u8]) -> Result<Vec<u8>, String> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = piped.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let mut stdin = child.stdin.take().expect("a pipe");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output()
    });
    let output = output.map_err(|error| error.to_string())?;
    output.status.success().then_some(output.stdout).ok_or_else(|| format!("{command:?} fails"))
}

/// What the initrd build is made of: its symbols, by the crate that they are of.
pub fn anatomy(repository: &Path) -> Result<Grid, String> {
    build(repository, "symbols")?;
    let path = repository.join("target/static/nixos-lustrate-symbols");
    let output = Command::new("nm").args(["-C", "-S", "--size-sort"]).arg(&path).output();
    let output = output.map_err(|error| format!("nm: {error}"))?;
    let mut sizes = by_crate(&String::from_utf8_lossy(&output.stdout));
    let stripped = repository.join("target/static/nixos-lustrate-initrd");
    let all = fs::metadata(&stripped).map_err(|error| error.to_string())?.len();
    let named: u64 = sizes.values().sum();
    sizes.insert("texts and constants, without a name".to_owned(), all.saturating_sub(named));
    let mut sorted: Vec<_> = sizes.into_iter().collect();
    sorted.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let mut grid = Grid::new(&["what is in the initrd build", "KiB", "%"]);
    for (name, size) in sorted {
        let share = size as f64 / all as f64 * 100.0;
        grid.row(vec![name, kib(usize::try_from(size).expect("a size")), shown(share)]);
    }
    Ok(grid)
}

/// Sums the lines `address size type name` of nm.
fn by_crate(symbols: &str) -> BTreeMap<String, u64> {
    let mut sizes = BTreeMap::new();
    for line in symbols.lines() {
        let mut words = line.splitn(4, ' ');
        let size = words.nth(1).and_then(|size| u64::from_str_radix(size, 16).ok());
        let (Some(size), Some(kind), Some(name)) = (size, words.next(), words.next()) else {
            continue;
        };
        // What is zero takes no place in the file.
        if !kind.eq_ignore_ascii_case("b") {
            *sizes.entry(origin(name)).or_insert(0) += size;
        }
    }
    sizes
}

/// The crate of a symbol, `<a::B as c::D>::e` being of `a`.
fn origin(name: &str) -> String {
    let Some((first, _)) = name.split_once("::") else {
        return "musl".to_owned();
    };
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let word = first.rsplit(|c| !word(c)).next().unwrap_or_default();
    match word {
        "nixos_lustrate" => "nixos-lustrate".to_owned(),
        "core" | "alloc" | "std" | "compiler_builtins" | "std_detect" | "hashbrown"
        | "rustc_demangle" | "__rustc" | "" => "Rust's std, core and alloc".to_owned(),
        other => other.to_owned(),
    }
}
