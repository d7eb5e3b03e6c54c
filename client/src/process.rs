//! Children that cannot outlive this process.
//!
//! A child gets a pipe as its standard input and ends when that closes ([`end_with_stdin`], by the hidden argument
//! [`LEASH`]), which the system sees to however this process ends, `kill -9` included. In the ordinary case it is killed and reaped where its [`Leashed`] goes out of scope.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

/// The hidden argument by which every command of this program calls [`end_with_stdin`].
pub const LEASH: &str = "--until-stdin-closes";

/// A copy of this program at work.
#[derive(Debug)]
pub struct Leashed {
    child: Child,
    /// Held open for as long as the child shall live.
    stdin: Option<ChildStdin>,
}

impl Leashed {
    /// Starts this program with other arguments; what it writes goes to `stdout` and `stderr`.
    pub fn start<A: AsRef<OsStr>>(args: &[A], stdout: Stdio, stderr: Stdio) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut child = Command::new(&program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(stderr)
            .env("NO_COLOR", "1") // its words go to files
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let stdin = child.stdin.take();
        Ok(Self { child, stdin })
    }

    /// What the child writes, where it was started with a pipe; the first caller gets it.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Writes one line to the child's standard input.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("the child's input is closed")?;
        writeln!(stdin, "{line}")
            .and_then(|()| stdin.flush())
            .context("cannot write to a child")
    }

    /// How the child ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .context("cannot ask for a child's state")
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        drop(self.stdin.take());
        self.child.kill().ok(); // it may have ended by itself
        self.child.wait().ok(); // reaped, or never ours
    }
}

/// In the child: ends this process when standard input closes.
pub fn end_with_stdin() {
    std::thread::spawn(|| {
        let mut stdin = std::io::stdin().lock();
        while stdin.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
        std::process::exit(1);
    });
}
