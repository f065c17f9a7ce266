//! The first process inside a sandbox: makes its root, gives up its privileges, starts the
//! function, and buries the dead. When it ends, the kernel ends everything in there.

use std::ffi::OsStr;
use std::io::{self, BufRead as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Access, Mode};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, geteuid, setsid, umask};
use rustix::stdio;

use super::order::{Obstacle, Order, Problem, Program, Report};
use super::waiting::{Event, wait};
use super::{privileges, root, say};

/// Runs the sandbox that is ordered on standard input, until the function ends.
pub(super) fn run() -> Result<(), Problem> {
    privileges::die_with_parent()?;
    let mut order = String::new();
    io::stdin().lock().read_line(&mut order).map_err(Problem::at("reading what to run"))?;
    if !order.ends_with('\n') {
        return Ok(());
    }
    let order: Order = serde_json::from_str(&order).map_err(|error| Problem {
        doing: "reading what to run".to_owned(),
        source: io::Error::other(error),
    })?;
    // Signals from a terminal are the server's.
    let _already_leads_one = setsid();
    root::enter(&order.root, order.temporary)?;
    let running = Report::Running { keeps_owners: geteuid().is_root() };
    privileges::give_up()?;
    umask(Mode::WGRP | Mode::WOTH);
    let Some(program) = order.program else {
        say(&running);
        return Ok(());
    };
    match start(&program) {
        Err(obstacle) => say(&Report::NotStarted(obstacle)),
        Ok(function) => {
            say(&running);
            if let Some((code, signal)) = bury(function) {
                say(&Report::Ended { code, signal });
            }
        }
    }
    Ok(())
}

fn start(program: &Program) -> Result<Pid, Obstacle> {
    rustix::process::chdir(program.working_directory.as_str()).map_err(|error| match error {
        Errno::NOENT | Errno::NOTDIR => Obstacle::WorkingDirectory,
        error => Obstacle::Other(format!("chdir {}: {}", program.working_directory, text(&error.into()))),
    })?;
    let (name, arguments) = program.arguments.split_first().ok_or(Obstacle::NotFound)?;
    let path = find(name, program)?;
    let output = || rustix::io::fcntl_dupfd_cloexec(stdio::stderr(), 3).map(Stdio::from);
    let other = |error: Errno| Obstacle::Other(error.to_string());
    let child = Command::new(path)
        .arg0(name)
        .args(arguments)
        .env_clear()
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        // One pipe for both, so that lines stay in order.
        .stdout(output().map_err(other)?)
        .stderr(output().map_err(other)?)
        .spawn()
        .map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR) => Obstacle::NotFound,
            Some(Errno::ACCESS | Errno::PERM) => Obstacle::PermissionDenied,
            Some(Errno::NOEXEC) => Obstacle::ExecFormat,
            _ => Obstacle::Other(text(&error)),
        })?;
    Ok(Pid::from_child(&child))
}

/// Where a program is; a name without a slash is looked up in the function's own `PATH`.
fn find(name: &str, program: &Program) -> Result<PathBuf, Obstacle> {
    if name.contains('/') {
        return Ok(name.into());
    }
    let path =
        program.environment.iter().find_map(|(name, value)| (name == "PATH").then_some(value.as_str()));
    path.unwrap_or_default()
        .split(':')
        .map(|folder| Path::new(if folder.is_empty() { "." } else { folder }).join(OsStr::new(name)))
        .find(|path| path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok())
        .ok_or(Obstacle::NotFound)
}

/// The system's words, without Rust's.
fn text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// Waits for the function's own end, and for everything it has left to this process. `None`
/// where nobody waits for it any more.
fn bury(function: Pid) -> Option<(Option<i32>, Option<i32>)> {
    loop {
        if wait(function) == Event::Abandoned {
            return None;
        }
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == function {
                return Some((status.exit_status(), status.terminating_signal()));
            }
        }
    }
}
