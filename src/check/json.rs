//! A report as JSON. Fields are added to this schema, never changed or removed;
//! its number would change with their meaning.

use serde::Serialize;

use super::{Level, Report};

#[derive(Serialize)]
struct CheckDocument<'a> {
    schema: u32,
    root: &'a str,
    distribution: Option<&'a str>,
    system: Option<String>,
    system_version: Option<&'a str>,
    blocks: bool,
    ok: usize,
    warnings: usize,
    blockers: usize,
    unchecked: usize,
    keep: Vec<String>,
    findings: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    id: &'a str,
    level: &'a str,
    checked: bool,
    found: &'a str,
    consequence: Option<&'a str>,
    fix: Option<&'a str>,
}

pub(super) fn text(report: &Report) -> String {
    let closure = report.closure.as_ref();
    let items = report.findings.iter().map(|f| Item {
        id: f.id,
        level: f.level.word(),
        checked: f.checked,
        found: &f.found,
        consequence: f.consequence.as_deref(),
        fix: f.fix.as_deref(),
    });
    crate::engine::json::text(&CheckDocument {
        schema: 1,
        root: &report.root,
        distribution: report.distribution.as_deref(),
        system: closure.map(|c| crate::machine::files::show(&c.top)),
        system_version: closure.and_then(|c| c.version.as_deref()),
        blocks: report.blocks(),
        ok: report.count(Level::Ok),
        warnings: report.count(Level::Warning),
        blockers: report.count(Level::Blocker),
        unchecked: report.findings.iter().filter(|f| !f.checked).count(),
        keep: report.keep.iter().map(ToString::to_string).collect(),
        findings: items.collect(),
    })
}
