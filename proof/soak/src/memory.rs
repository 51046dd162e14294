//! How much memory there is, by two measures.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::ALLOCATOR;

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Allocated and not yet freed.
    pub(crate) live: usize,
    /// In the machine's memory, as the operating system has it.
    pub(crate) resident: usize,
}

/// What two rounds may differ by: buffers and queues of the runtime, the last error.
const LIVE_SLACK: usize = 64 * 1024;
/// The system's allocator keeps what was freed, in an arena for each thread.
const RESIDENT_SLACK: usize = 4 * 1024 * 1024;

impl Memory {
    /// Measured at rest. What the runtime has just ended is freed a little later, so the least of several is taken.
    pub(crate) fn at_rest() -> Result<Memory, String> {
        let mut live = usize::MAX;
        for _ in 0..10 {
            thread::sleep(Duration::from_millis(10));
            live = live.min(ALLOCATOR.current_usage());
        }
        let status = fs::read_to_string("/proc/self/status").map_err(|error| format!("/proc/self/status: {error}"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).and_then(kilobytes);
        Ok(Memory { live, resident: resident.ok_or("/proc/self/status tells no VmRSS")? })
    }
}

fn kilobytes(text: &str) -> Option<usize> {
    text.trim().strip_suffix(" kB")?.parse::<usize>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Whether the memory of the rounds after the first of `rounds` stayed where it was.
pub(crate) fn check(rounds: &[Memory]) -> Result<(), String> {
    let Some((first, rest)) = rounds.split_first() else { return Ok(()) };
    for now in rest {
        let grown = |name, before: usize, now: usize, slack| {
            if now <= before + slack { Ok(()) } else { Err(format!("{name} grew from {before} to {now} bytes")) }
        };
        grown("live memory", first.live, now.live, LIVE_SLACK)?;
        grown("resident memory", first.resident, now.resident, RESIDENT_SLACK)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_beyond_the_slack_is_seen_in_either_measure() {
        let memory = |live, resident| Memory { live, resident };
        let first = memory(1000, 2000);
        assert_eq!(check(&[first, memory(1000 + LIVE_SLACK, 2000 + RESIDENT_SLACK)]), Ok(()));
        assert!(check(&[first, memory(1001 + LIVE_SLACK, 0)]).unwrap_err().contains("live memory"));
        assert!(check(&[first, first, memory(0, 2001 + RESIDENT_SLACK)]).unwrap_err().contains("resident memory"));
    }

    #[test]
    fn what_the_system_tells_is_understood() {
        assert_eq!(kilobytes("\t   5124 kB"), Some(5124 * 1024));
        assert!(Memory::at_rest().unwrap().resident > 0);
    }
}
