//! The first process inside a sandbox: makes its root, gives up its privileges, starts the
//! function, and buries the dead. When it ends, the kernel ends everything in there.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Access, Mode};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, geteuid, kill_process, setsid, umask};
use rustix::stdio;

use super::order::{Obstacle, Order, Problem, Program, Report};
use super::waiting::{Event, wait};
use super::{privileges, root, say};
use crate::local::runner::EXTENSIONS;

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
    let mut extensions = match Extension::all(&program) {
        Ok(extensions) => extensions,
        Err((name, obstacle)) => {
            say(&Report::ExtensionNotStarted { name, obstacle });
            return Ok(());
        }
    };
    if !extensions.is_empty() {
        say(&Report::Extensions(extensions.iter().map(|extension| extension.name.clone()).collect()));
        // They register first.
        loop {
            match wait(&ids(None, &extensions)) {
                Event::Abandoned => return Ok(()),
                Event::Told => break,
                Event::Children => drop(bury(None, &mut extensions)),
            }
        }
    }
    match start(&program) {
        Err(obstacle) => say(&Report::NotStarted(obstacle)),
        Ok(function) => {
            say(&running);
            let mut is_stopped = false;
            loop {
                let awaited = (!is_stopped).then_some(function);
                match wait(&ids(awaited, &extensions)) {
                    Event::Abandoned => return Ok(()),
                    // Extensions have the last words.
                    Event::Told => {
                        is_stopped = true;
                        let _ended = kill_process(function, Signal::KILL);
                    }
                    Event::Children => {}
                }
                let ended = bury(Some(function), &mut extensions);
                if let Some((code, signal)) = ended.filter(|_| !is_stopped) {
                    say(&Report::Ended { code, signal });
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// A process besides the function.
struct Extension {
    name: String,
    id: Pid,
}

impl Extension {
    /// Starts all that the image has; the name of one that cannot be started, and why.
    fn all(program: &Program) -> Result<Vec<Self>, (String, Obstacle)> {
        let mut names: Vec<String> = fs::read_dir(EXTENSIONS)
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .filter(|entry| {
                // As Lambda decides, which follows links.
                fs::metadata(entry.path()).is_ok_and(|file| !file.is_dir() && file.mode() & 0o111 == 0o111)
            })
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort_unstable();
        names.into_iter().map(|name| Self::start(name, program)).collect()
    }

    fn start(name: String, program: &Program) -> Result<Self, (String, Obstacle)> {
        let path = format!("{EXTENSIONS}/{name}");
        let started = spawn(Path::new(&path), &path, &[], &program.extension_environment);
        match started {
            Ok(id) => Ok(Self { name, id }),
            Err(obstacle) => Err((name, obstacle)),
        }
    }
}

fn ids(function: Option<Pid>, extensions: &[Extension]) -> Vec<Pid> {
    function.into_iter().chain(extensions.iter().map(|extension| extension.id)).collect()
}

fn start(program: &Program) -> Result<Pid, Obstacle> {
    rustix::process::chdir(program.working_directory.as_str()).map_err(|error| match error {
        Errno::NOENT | Errno::NOTDIR => Obstacle::WorkingDirectory,
        error => Obstacle::Other(format!("chdir {}: {}", program.working_directory, text(&error.into()))),
    })?;
    let (name, arguments) = program.arguments.split_first().ok_or(Obstacle::NotFound)?;
    spawn(&find(name, program)?, name, arguments, &program.environment)
}

fn spawn(
    path: &Path,
    name: &str,
    arguments: &[String],
    environment: &[(String, String)],
) -> Result<Pid, Obstacle> {
    let output = || rustix::io::fcntl_dupfd_cloexec(stdio::stderr(), 3).map(Stdio::from);
    let other = |error: Errno| Obstacle::Other(error.to_string());
    let child = Command::new(path)
        .arg0(name)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
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

/// Buries everything that has ended, also what others have left to this process. Returns how the
/// function has ended, if it has.
fn bury(function: Option<Pid>, extensions: &mut Vec<Extension>) -> Option<(Option<i32>, Option<i32>)> {
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        let (code, signal) = (status.exit_status(), status.terminating_signal());
        if Some(pid) == function {
            return Some((code, signal));
        }
        if let Some(at) = extensions.iter().position(|extension| extension.id == pid) {
            let name = extensions.remove(at).name;
            say(&Report::ExtensionEnded { name, code, signal });
        }
    }
    None
}
