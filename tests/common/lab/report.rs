//! What the started system said about itself over the console.

use std::collections::BTreeMap;

/// The lines that begin with REPORT, taken apart.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Mount point to (root of the mount in its file system, type).
    pub mounts: BTreeMap<String, (String, String)>,
    /// Path to (device, inode) as the system sees it.
    pub entries: BTreeMap<String, (u64, u64)>,
    /// How often the program was started in stage 1.
    pub runs: usize,
    /// Its exit statuses.
    pub statuses: Vec<String>,
    /// How much was mounted below the root before and after each run.
    pub below: Vec<usize>,
    /// Seconds from the start to the end of the last run, starting it included.
    pub cost: f64,
    /// What systemd says about the unit.
    pub unit: BTreeMap<String, String>,
    pub kmsg: Vec<String>,
    /// The lines of a few files.
    pub files: BTreeMap<String, Vec<String>>,
    /// Seconds from the start of the kernel to the start of stage 2, and to the
    /// end of the report.
    pub started: f64,
    pub uptime: f64,
}

impl Report {
    /// `None` unless the report is there to its end.
    pub fn read(console: &str) -> Option<Self> {
        let begin = console.rfind("REPORT begin")?;
        let text = &console[begin..];
        let end = text.find("REPORT end")?;
        let mut report = Self::default();
        let mut started = 0.0;
        let lines = text[..end].lines().filter_map(|line| line.split_once("REPORT "));
        for (_, line) in lines {
            let Some((word, rest)) = line.split_once(' ') else { continue };
            match word {
                "mount" => report.mount(rest),
                "entry" => report.entry(rest),
                "stage1" => report.stage1(rest, &mut started),
                "kmsg" => report.kmsg.push(rest.to_owned()),
                "started" => report.started = rest.parse().unwrap_or_default(),
                "uptime" => report.uptime = rest.parse().unwrap_or_default(),
                "file" => {
                    let (path, line) = rest.split_once(' ').unwrap_or((rest, ""));
                    report.files.entry(path.to_owned()).or_default().push(line.to_owned());
                }
                _ => {}
            }
        }
        Some(report)
    }

    /// A line of mountinfo.
    fn mount(&mut self, line: &str) {
        let fields: Vec<&str> = line.split(' ').collect();
        let kind = fields.iter().position(|field| *field == "-").map_or("", |at| fields[at + 1]);
        if let [_, _, _, root, point, ..] = fields[..] {
            self.mounts.insert(point.to_owned(), (root.to_owned(), kind.to_owned()));
        }
    }

    fn entry(&mut self, line: &str) {
        let fields: Vec<&str> = line.splitn(3, ' ').collect();
        if let [device, inode, path] = fields[..] {
            let number = |text: &str| text.parse().unwrap_or_default();
            self.entries.insert(path.to_owned(), (number(device), number(inode)));
        }
    }

    fn stage1(&mut self, line: &str, started: &mut f64) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "run" => {
                self.runs += 1;
                *started = rest.parse().unwrap_or_default();
            }
            "end" => self.cost = rest.parse().unwrap_or(f64::NAN) - *started,
            "status" => self.statuses.push(rest.to_owned()),
            "below" => self.below.push(rest.parse().unwrap_or(usize::MAX)),
            "unit" => {
                let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
                self.unit.insert(name.to_owned(), value.to_owned());
            }
            _ => {}
        }
    }

    /// How long the program ran, as exactly as this stage 1 can tell.
    pub fn run_took(&self) -> String {
        self.microseconds().map_or_else(
            || format!("{:.2} s with its shell", self.cost),
            |time| format!("{}.{} ms", time / 1000, time % 1000 / 100),
        )
    }

    /// Microseconds that systemd saw the program run.
    fn microseconds(&self) -> Option<u64> {
        let time = |name: &str| {
            self.unit.get(&format!("ExecMain{name}TimestampMonotonic"))?.parse::<u64>().ok()
        };
        time("Exit")?.checked_sub(time("Start")?)
    }
}
