//! The server, on both of its sides: as a process of its own, and as the one who starts and kills it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::mem;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use outage::health::{Health, Passage};
use outage::script::{Condition, Stage};
use outage::server::Server;
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Builder;

use crate::args::Duty;
use crate::journal::{Entry, now};

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Serves until it is killed, or until whoever started it is gone.
pub(crate) fn serve(duty: &Duty) -> io::Result<()> {
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let _inside = runtime.enter();
    let server = Server::at(duty.address)?;
    let start = Instant::now();
    let health = Arc::new(Health::new(start, duty.seed).with_porter(note));
    let stage = Stage { condition: duty.condition, until: A_DAY };
    runtime.block_on(server.play([stage], start, health))
}

/// A line is one write to a pipe: it is there as a whole, whenever the process is killed.
fn note(path: &str, passage: Passage) {
    let line = Entry::line(passage, path, now());
    let _ = io::stdout().lock().write_all(line.as_bytes());
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    _lifeline: Option<ChildStdin>,
    entries: Arc<Mutex<Vec<Entry>>>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    pub(crate) fn start(duty: &Duty) -> io::Result<Self> {
        let condition = if duty.condition == Condition::Recovering { "recovering" } else { "healthy" };
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", &duty.address.to_string(), condition, &duty.seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let lifeline = child.stdin.take();
        let output = child.stdout.take().ok_or_else(|| io::Error::other("the server has no output"))?;
        let entries = Arc::new(Mutex::new(Vec::new()));
        let reader = thread::spawn({
            let entries = Arc::clone(&entries);
            move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    entries.lock().unwrap_or_else(PoisonError::into_inner).extend(Entry::of(&line));
                }
            }
        });
        Ok(Process { child, _lifeline: lifeline, entries, reader: Some(reader) })
    }

    /// Hangs it: it keeps its connections and answers nothing.
    pub(crate) fn freeze(&self) -> io::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.ok_or_else(|| io::Error::other("a process without a number"))?, Signal::STOP)?;
        Ok(())
    }

    /// Kills it with SIGKILL, and returns what it wrote to the very end.
    pub(crate) fn kill(mut self) -> io::Result<Vec<Entry>> {
        self.child.kill()?;
        self.child.wait()?;
        if let Some(reader) = self.reader.take() {
            reader.join().map_err(|_| io::Error::other("the journal's reader panicked"))?;
        }
        Ok(self.take_entries())
    }

    pub(crate) fn has_noted(&self, path: &str) -> bool {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|entry| entry.path == path)
    }

    /// What it wrote since they were last taken.
    pub(crate) fn take_entries(&self) -> Vec<Entry> {
        mem::take(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
