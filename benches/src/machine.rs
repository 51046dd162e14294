//! What the figures were measured on.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

/// One line: the processor, its cores, the system, the compiler.
pub(crate) fn describe() -> String {
    let cores = available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores, {}, {}", processor(), system(), compiler())
}

fn value<'a>(text: &'a str, key: &str, separator: char) -> Option<&'a str> {
    let line = text.lines().find(|line| line.split(separator).next().is_some_and(|name| name.trim() == key))?;
    Some(line.split_once(separator)?.1.trim().trim_matches('"'))
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = value(&info, "model name", ':').unwrap_or(std::env::consts::ARCH);
    match (value(&info, "cpu family", ':'), value(&info, "model", ':')) {
        (Some(family), Some(model)) => format!("{name} (family {family}, model {model})"),
        _ => name.to_owned(),
    }
}

fn system() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = value(&release, "PRETTY_NAME", '=').unwrap_or(std::env::consts::OS);
    match fs::read_to_string("/proc/sys/kernel/osrelease") {
        Ok(kernel) => format!("{name}, Linux {}", kernel.split('-').next().unwrap_or_default().trim()),
        Err(_) => name.to_owned(),
    }
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let version = output.ok().and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    version.split(" (").next().unwrap_or_default().trim().to_owned()
}
