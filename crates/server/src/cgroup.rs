//! What the kernel accounts to the container this process runs in: its control group (cgroup),
//! version 1 or 2.
//!
//! A process is told its group by `/proc/self/cgroup`, and where groups are shown as files by
//! `/proc/self/mountinfo`. Inside a container only a part of the tree is shown, and a group may
//! have groups above it: a limit may be set on any of them, so the narrowest one that is visible
//! counts, and usage is that of the group the limit is on. Whatever cannot be read is absent. It is
//! never 0, which would be a figure.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};
use std::time::Duration;

use procfs::process::MountInfo;
use procfs::{FromRead as _, ProcessCGroups};

/// Memory limits from here on are none: version 1 writes "no limit" as the largest number there is,
/// cut to whole pages. No machine has an exabyte.
const NO_MEMORY_LIMIT: u64 = 1 << 60;

/// The groups of this process, one a controller.
#[derive(Clone, Debug, Default)]
pub struct Cgroup {
    cpu: Option<Group>,
    /// Version 1 accounts processor time by itself, in a tree that may be another.
    accounting: Option<Group>,
    memory: Option<Group>,
}

/// What can be read of it now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Cores that may be used at most.
    pub cpu_limit_cores: Option<f64>,
    /// Processor time used by everything in the container.
    pub cpu_usage: Option<Duration>,
    /// Periods of the scheduler in which something wanted to run. Counted under a limit only.
    pub cpu_periods: Option<u64>,
    /// Those of them in which it had to wait because the limit was used up.
    pub cpu_throttled_periods: Option<u64>,
    /// Bytes that may be used at most.
    pub memory_limit_bytes: Option<u64>,
    /// Bytes in use that cannot be taken back: without the file pages that nobody used of late.
    pub memory_working_set_bytes: Option<u64>,
}

/// A group of one controller, and where it is shown.
#[derive(Clone, Debug)]
struct Group {
    version: Version,
    /// Where the tree is shown as files.
    mount: PathBuf,
    /// The group that stands at that place.
    top: PathBuf,
    /// Ours.
    own: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Cgroup {
    /// The groups of this process.
    pub fn own() -> Self {
        Self::below(Path::new("/"))
    }

    /// Those of a process that sees this directory as `/`.
    pub(crate) fn below(root: &Path) -> Self {
        let Ok(groups) = ProcessCGroups::from_file(root.join("proc/self/cgroup")) else {
            return Self::default();
        };
        let mounts = read_to_string(root.join("proc/self/mountinfo")).unwrap_or_default();
        let mounts: Vec<MountInfo> = mounts
            .lines()
            .filter(|line| line.contains(" - cgroup"))
            .filter_map(|line| MountInfo::from_line(line).ok())
            .collect();
        let group = |controller| Group::find(controller, &groups, &mounts, root);
        Self {
            cpu: group("cpu"),
            accounting: group("cpuacct"),
            memory: group("memory"),
        }
    }

    /// What is accounted to it now.
    pub fn read(&self) -> Reading {
        let mut reading = Reading::default();
        self.read_cpu(&mut reading);
        self.read_memory(&mut reading);
        reading
    }

    /// Processor time used so far, if that is all one wants to know.
    pub fn cpu_usage(&self) -> Option<Duration> {
        self.usage_of(&self.limited_cpu()?.0)
    }

    fn read_cpu(&self, reading: &mut Reading) {
        let Some(((group, level), limit)) = self.limited_cpu() else {
            return;
        };
        reading.cpu_limit_cores = limit;
        reading.cpu_usage = self.usage_of(&(group, level));
        if let Some(stat) = read(&group.dir(level).join("cpu.stat")) {
            reading.cpu_periods = field(&stat, "nr_periods");
            reading.cpu_throttled_periods = field(&stat, "nr_throttled");
        }
    }

    /// The group whose processor limit holds, and the limit.
    fn limited_cpu(&self) -> Option<((&Group, &Path), Option<f64>)> {
        let group = self.cpu.as_ref()?;
        let limits = group.levels().filter_map(|level| {
            let limit = cpu_limit(group.version, &group.dir(level))?;
            Some((level, limit))
        });
        Some(match limits.min_by(|a, b| a.1.total_cmp(&b.1)) {
            Some((level, limit)) => ((group, level), Some(limit)),
            None => ((group, group.own.as_path()), None),
        })
    }

    fn usage_of(&self, (group, level): &(&Group, &Path)) -> Option<Duration> {
        match group.version {
            Version::Two => {
                let stat = read(&group.dir(level).join("cpu.stat"))?;
                field(&stat, "usage_usec").map(Duration::from_micros)
            }
            Version::One => {
                let accounting = self.accounting.as_ref()?;
                // That of another group would say nothing about this one's limit.
                let level = accounting.levels().find(|other| other == level)?;
                let file = accounting.dir(level).join("cpuacct.usage");
                number(&file).map(Duration::from_nanos)
            }
        }
    }

    fn read_memory(&self, reading: &mut Reading) {
        let Some(group) = &self.memory else { return };
        let (level, limit) = group.limited_memory();
        reading.memory_limit_bytes = limit;
        reading.memory_working_set_bytes = working_set(group.version, &group.dir(level));
    }
}

impl Group {
    fn find(
        controller: &str,
        groups: &ProcessCGroups,
        mounts: &[MountInfo],
        root: &Path,
    ) -> Option<Self> {
        let has = |list: &[String]| list.iter().any(|name| name == controller);
        // Where both versions are mounted, a controller belongs to one of them.
        let first = groups.0.iter().find(|group| has(&group.controllers));
        let (version, own, mount) = if let Some(group) = first {
            let is_its = |mount: &&MountInfo| {
                mount.fs_type == "cgroup" && mount.super_options.contains_key(controller)
            };
            (Version::One, group, mounts.iter().find(is_its)?)
        } else {
            let second = groups.0.iter().find(|group| group.hierarchy == 0)?;
            let mount = mounts.iter().find(|mount| mount.fs_type == "cgroup2")?;
            (Version::Two, second, mount)
        };
        let (own, top) = (
            PathBuf::from(&own.pathname),
            PathBuf::from(plain(&mount.root)),
        );
        let place = plain(&mount.mount_point.to_string_lossy());
        // A group outside what is shown here (`/../x`) cannot be read.
        own.starts_with(&top).then(|| Self {
            version,
            mount: root.join(place.trim_start_matches('/')),
            top,
            own,
        })
    }

    /// The group, and those above it as far as they are shown.
    fn levels(&self) -> impl Iterator<Item = &Path> {
        let shown = move |level: &&Path| level.starts_with(&self.top);
        self.own.ancestors().take_while(shown)
    }

    /// The group whose memory limit holds, and the limit.
    fn limited_memory(&self) -> (&Path, Option<u64>) {
        let limits = self.levels().filter_map(|level| {
            let limit = memory_limit(self.version, &self.dir(level))?;
            Some((level, limit))
        });
        let shown = limits.min_by_key(|(_, limit)| *limit);
        // Version 1 also tells of limits above what is shown.
        let above = match self.version {
            Version::One => read(&self.dir(&self.own).join("memory.stat"))
                .and_then(|stat| field(&stat, "hierarchical_memory_limit"))
                .filter(|limit| *limit < NO_MEMORY_LIMIT),
            Version::Two => None,
        };
        match (shown, above) {
            (Some((_, limit)), Some(above)) if above < limit => (self.top.as_path(), Some(above)),
            (None, Some(above)) => (self.top.as_path(), Some(above)),
            (Some((level, limit)), _) => (level, Some(limit)),
            (None, None) => (self.own.as_path(), None),
        }
    }

    fn dir(&self, level: &Path) -> PathBuf {
        match level.strip_prefix(&self.top) {
            Ok(below) => self.mount.join(below),
            Err(_) => self.mount.clone(),
        }
    }
}

fn cpu_limit(version: Version, dir: &Path) -> Option<f64> {
    let (quota, period): (f64, f64) = match version {
        Version::Two => {
            let text = read(&dir.join("cpu.max"))?;
            let (quota, period) = text.trim().split_once(' ')?;
            // No limit is the word `max`, which is no number.
            (quota.parse().ok()?, period.parse().ok()?)
        }
        Version::One => {
            let quota = read(&dir.join("cpu.cfs_quota_us"))?;
            let period = read(&dir.join("cpu.cfs_period_us"))?;
            (quota.trim().parse().ok()?, period.trim().parse().ok()?)
        }
    };
    // And in version 1, -1.
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

fn memory_limit(version: Version, dir: &Path) -> Option<u64> {
    let file = match version {
        Version::Two => "memory.max",
        Version::One => "memory.limit_in_bytes",
    };
    number(&dir.join(file)).filter(|limit| *limit < NO_MEMORY_LIMIT)
}

fn working_set(version: Version, dir: &Path) -> Option<u64> {
    let (usage, inactive) = match version {
        Version::Two => ("memory.current", "inactive_file"),
        Version::One => ("memory.usage_in_bytes", "total_inactive_file"),
    };
    let usage = number(&dir.join(usage))?;
    let inactive = field(&read(&dir.join("memory.stat"))?, inactive)?;
    Some(usage.saturating_sub(inactive))
}

fn read(file: &Path) -> Option<String> {
    read_to_string(file).ok()
}

fn number(file: &Path) -> Option<u64> {
    read(file)?.trim().parse().ok()
}

/// The number behind a name, in a file of such lines.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, value) = lines.find(|(found, _)| *found == name)?;
    value.trim().parse().ok()
}

/// A path of `mountinfo` as it is: blanks and the like are written there as `\040`.
fn plain(text: &str) -> String {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..3).filter(|_| *first == b'\\');
        let code = code.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        if let Some(byte) = code {
            plain.push(byte);
            rest = &after[3..];
        } else {
            plain.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests;
