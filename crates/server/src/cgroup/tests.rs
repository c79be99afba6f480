use tempfile::TempDir;

use super::*;

const MIB: u64 = 1024 * 1024;

/// The files of a made-up machine.
fn machine(files: &[(&str, &str)]) -> TempDir {
    let root = TempDir::new().expect("a directory");
    for (name, text) in files {
        let file = root.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("directories");
        std::fs::write(file, text).expect("a file");
    }
    root
}

#[track_caller]
fn check(files: &[(&str, &str)], expected: Reading) {
    let root = machine(files);
    assert_eq!(Cgroup::below(root.path()).read(), expected);
}

/// The mounts of a container under version 1, each controller in a tree of its own.
const MOUNTS_V1: &str = "\
630 625 0:52 / /proc rw,nosuid - proc proc rw
640 639 0:27 /docker/c1 /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:11 - cgroup cgroup rw,cpu,cpuacct
641 639 0:28 /docker/c1 /sys/fs/cgroup/memory ro,nosuid master:12 - cgroup cgroup rw,memory
642 639 0:29 /docker/c1 /sys/fs/cgroup/systemd ro,nosuid - cgroup cgroup rw,xattr,name=systemd
";
const GROUPS_V1: &str = "\
12:memory:/docker/c1
4:cpu,cpuacct:/docker/c1
1:name=systemd:/docker/c1
0::/system.slice/containerd.service
";

#[test]
fn version_1_in_a_container_with_limits() {
    let stat = "cache 5\ninactive_file 1\ntotal_inactive_file 10485760\n\
                hierarchical_memory_limit 536870912\n";
    check(
        &[
            ("proc/self/cgroup", GROUPS_V1),
            ("proc/self/mountinfo", MOUNTS_V1),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "1500000000\n"),
            (
                "sys/fs/cgroup/cpu,cpuacct/cpu.stat",
                "nr_periods 70\nnr_throttled 9\nthrottled_time 12345\n",
            ),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "104857600\n"),
            ("sys/fs/cgroup/memory/memory.stat", stat),
        ],
        Reading {
            cpu_limit_cores: Some(0.5),
            cpu_usage: Some(Duration::from_millis(1_500)),
            cpu_periods: Some(70),
            cpu_throttled_periods: Some(9),
            memory_limit_bytes: Some(512 * MIB),
            memory_working_set_bytes: Some(90 * MIB),
        },
    );
}

#[test]
fn version_1_without_limits_has_none() {
    let stat = "total_inactive_file 0\nhierarchical_memory_limit 9223372036854771712\n";
    check(
        &[
            ("proc/self/cgroup", GROUPS_V1),
            ("proc/self/mountinfo", MOUNTS_V1),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "7\n"),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "4096\n"),
            ("sys/fs/cgroup/memory/memory.stat", stat),
        ],
        Reading {
            cpu_usage: Some(Duration::from_nanos(7)),
            memory_working_set_bytes: Some(4_096),
            ..Reading::default()
        },
    );
}

#[test]
fn a_limit_above_what_is_shown_counts_too() {
    let stat = "total_inactive_file 0\nhierarchical_memory_limit 67108864\n";
    let reading = |limit| {
        let root = machine(&[
            ("proc/self/cgroup", GROUPS_V1),
            ("proc/self/mountinfo", MOUNTS_V1),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", limit),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "4096\n"),
            ("sys/fs/cgroup/memory/memory.stat", stat),
        ]);
        Cgroup::below(root.path()).read().memory_limit_bytes
    };
    assert_eq!(reading("9223372036854771712\n"), Some(64 * MIB));
    assert_eq!(reading("134217728\n"), Some(64 * MIB));
    assert_eq!(reading("33554432\n"), Some(32 * MIB));
}

#[test]
fn usage_of_another_group_is_not_taken_for_that_under_the_limit() {
    // Somebody put the process into a group of the one tree and not of the other.
    let mounts = "\
        1 0 0:1 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
        2 0 0:2 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n";
    let files = [
        ("proc/self/mountinfo", mounts),
        ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
        ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ("sys/fs/cgroup/cpu/trial/cpu.cfs_quota_us", "20000\n"),
        ("sys/fs/cgroup/cpu/trial/cpu.cfs_period_us", "100000\n"),
        ("sys/fs/cgroup/cpuacct/cpuacct.usage", "99\n"),
        ("sys/fs/cgroup/cpuacct/trial/cpuacct.usage", "11\n"),
    ];
    let reading = |groups| {
        let root = machine(&[&files[..], &[("proc/self/cgroup", groups)]].concat());
        let reading = Cgroup::below(root.path()).read();
        (reading.cpu_limit_cores, reading.cpu_usage)
    };
    let eleven = Some(Duration::from_nanos(11));
    assert_eq!(
        reading("2:cpuacct:/\n1:cpu:/trial\n0::/\n"),
        (Some(0.2), None)
    );
    assert_eq!(
        reading("2:cpuacct:/trial\n1:cpu:/trial\n0::/\n"),
        (Some(0.2), eleven)
    );
    // A group below the one with the limit is within it.
    assert_eq!(
        reading("2:cpuacct:/trial/inner\n1:cpu:/trial/inner\n0::/\n"),
        (Some(0.2), eleven)
    );
}

const MOUNTS_V2: &str = "\
500 490 0:25 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate
";
const CPU_STAT_V2: &str = "\
usage_usec 2500000
user_usec 2000000
system_usec 500000
nr_periods 12
nr_throttled 3
throttled_usec 400
";

#[test]
fn version_2_in_a_container_with_limits() {
    check(
        &[
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", MOUNTS_V2),
            ("sys/fs/cgroup/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/cpu.stat", CPU_STAT_V2),
            ("sys/fs/cgroup/memory.max", "268435456\n"),
            ("sys/fs/cgroup/memory.current", "52428800\n"),
            (
                "sys/fs/cgroup/memory.stat",
                "anon 1\ninactive_file 31457280\n",
            ),
        ],
        Reading {
            cpu_limit_cores: Some(1.5),
            cpu_usage: Some(Duration::from_millis(2_500)),
            cpu_periods: Some(12),
            cpu_throttled_periods: Some(3),
            memory_limit_bytes: Some(256 * MIB),
            memory_working_set_bytes: Some(20 * MIB),
        },
    );
}

#[test]
fn version_2_without_limits_has_none() {
    check(
        &[
            ("proc/self/cgroup", "0::/user.slice\n"),
            ("proc/self/mountinfo", MOUNTS_V2),
            ("sys/fs/cgroup/user.slice/cpu.max", "max 100000\n"),
            (
                "sys/fs/cgroup/user.slice/cpu.stat",
                "usage_usec 5\nuser_usec 5\n",
            ),
            ("sys/fs/cgroup/user.slice/memory.max", "max\n"),
            ("sys/fs/cgroup/user.slice/memory.current", "8192\n"),
            (
                "sys/fs/cgroup/user.slice/memory.stat",
                "inactive_file 4096\n",
            ),
        ],
        Reading {
            cpu_usage: Some(Duration::from_micros(5)),
            memory_working_set_bytes: Some(4_096),
            ..Reading::default()
        },
    );
}

#[test]
fn the_narrowest_limit_above_the_group_counts_and_usage_is_that_of_its_group() {
    check(
        &[
            ("proc/self/cgroup", "0::/pod/app/init.scope\n"),
            ("proc/self/mountinfo", MOUNTS_V2),
            ("sys/fs/cgroup/pod/cpu.max", "100000 100000\n"),
            ("sys/fs/cgroup/pod/app/cpu.max", "25000 100000\n"),
            ("sys/fs/cgroup/pod/app/cpu.stat", CPU_STAT_V2),
            ("sys/fs/cgroup/pod/app/init.scope/cpu.max", "max 100000\n"),
            (
                "sys/fs/cgroup/pod/app/init.scope/cpu.stat",
                "usage_usec 1\n",
            ),
            ("sys/fs/cgroup/pod/memory.max", "1048576\n"),
            ("sys/fs/cgroup/pod/memory.current", "65536\n"),
            ("sys/fs/cgroup/pod/memory.stat", "inactive_file 0\n"),
            ("sys/fs/cgroup/pod/app/memory.max", "2097152\n"),
            ("sys/fs/cgroup/pod/app/memory.current", "1\n"),
        ],
        Reading {
            cpu_limit_cores: Some(0.25),
            cpu_usage: Some(Duration::from_millis(2_500)),
            cpu_periods: Some(12),
            cpu_throttled_periods: Some(3),
            memory_limit_bytes: Some(MIB),
            memory_working_set_bytes: Some(65_536),
        },
    );
}

#[test]
fn where_both_versions_are_mounted_each_controller_is_found_in_its_own() {
    let mounts = "\
        1 0 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        2 0 0:2 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    check(
        &[
            ("proc/self/cgroup", "3:memory:/a\n0::/b\n"),
            ("proc/self/mountinfo", mounts),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1048576\n"),
            ("sys/fs/cgroup/unified/b/cpu.max", "50000 100000\n"),
            ("sys/fs/cgroup/unified/b/cpu.stat", "usage_usec 9\n"),
        ],
        Reading {
            cpu_limit_cores: Some(0.5),
            cpu_usage: Some(Duration::from_micros(9)),
            memory_limit_bytes: Some(MIB),
            ..Reading::default()
        },
    );
}

#[test]
fn what_is_not_there_or_makes_no_sense_is_absent() {
    check(&[], Reading::default());
    check(&[("proc/self/cgroup", "0::/\n")], Reading::default());
    let odd = [
        ("proc/self/mountinfo", MOUNTS_V2),
        ("sys/fs/cgroup/cpu.max", "many 100000\n"),
        ("sys/fs/cgroup/cpu.stat", "usage_usec\nnr_periods x\n"),
        ("sys/fs/cgroup/memory.max", ""),
        // Without its file pages, the working set is not known.
        ("sys/fs/cgroup/memory.current", "4096\n"),
    ];
    for groups in ["0::/\n", "no cgroup\n", "0::/../elsewhere\n"] {
        let files = [&odd[..], &[("proc/self/cgroup", groups)]].concat();
        check(&files, Reading::default());
    }
    let files = [
        ("proc/self/cgroup", "0::/\n"),
        ("proc/self/mountinfo", MOUNTS_V2),
        ("sys/fs/cgroup/cpu.max", "0 100000\n"),
    ];
    check(&files, Reading::default());
}

#[test]
fn a_mount_is_found_whatever_its_name() {
    let mounts = r"1 0 0:1 /a\040b /sys/fs\040x/cgroup rw - cgroup2 cgroup2 rw";
    check(
        &[
            ("proc/self/cgroup", "0::/a b/c\n"),
            ("proc/self/mountinfo", mounts),
            ("sys/fs x/cgroup/c/memory.max", "4096\n"),
        ],
        Reading {
            memory_limit_bytes: Some(4_096),
            ..Reading::default()
        },
    );
    assert_eq!(plain(r"a\134x2d\09\4"), r"a\x2d\09\4");
}

#[test]
fn this_process_is_accounted_somewhere() {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let reading = Cgroup::own().read();
    // Where there is a controller for it, that is: some machines that build have none.
    if groups.contains("cpuacct") && Path::new("/sys/fs/cgroup/cpuacct/cpuacct.usage").exists() {
        assert!(reading.cpu_usage.is_some(), "{groups} {reading:?}");
    }
}
