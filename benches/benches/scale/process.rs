//! The processes of a run, and the lines that they are told and say.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use clap::ValueEnum;

use crate::Failure;
use crate::node::Role;

/// A process of a run. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a process with these servers, and as many clients.
    pub(crate) fn start(role: Role, servers: &[String], clients: usize) -> Result<Self, Failure> {
        let role = role.to_possible_value().expect("no role is skipped").get_name().to_owned();
        let servers = servers.iter().flat_map(|server| ["--server", server]);
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--role", &role, "--clients", &clients.to_string()])
            .args(servers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (input, output) = input.zip(output).ok_or("a process without pipes")?;
        Ok(Process { child, input, output: BufReader::new(output) })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it something.
    pub(crate) fn tell(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.input, "{line}")?;
        Ok(self.input.flush()?)
    }

    /// Waits for its next line, which has to begin with this; returns the rest.
    pub(crate) fn says(&mut self, begins: &str) -> Result<String, Failure> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(format!("a process ended before it said {begins:?}").into());
        }
        let rest = line.trim_end().strip_prefix(begins);
        Ok(rest.ok_or_else(|| format!("{line:?}, not {begins:?}"))?.trim().to_owned())
    }

    /// Tells it something, and waits for the answer.
    pub(crate) fn asks(&mut self, line: &str) -> Result<String, Failure> {
        self.tell(line)?;
        self.says("")
    }

    /// Ends it by SIGKILL.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The resident memory.
    pub(crate) fn rss_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let kilobytes = status.ok().and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
        kilobytes.unwrap_or_default() * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
