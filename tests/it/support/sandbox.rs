//! The real binary with a home of its own: nothing of the developer's settings reaches it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// No command of a test takes longer, a cold compilation of an example included.
const PATIENCE: Duration = Duration::from_secs(900);

/// A directory with a home, the XDG directories below it, and room for projects.
#[derive(Debug)]
pub struct Sandbox {
    directory: TempDir,
    variables: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Finished {
    /// The command line, for messages.
    pub command: String,
    /// The exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

impl Sandbox {
    /// Makes a new, empty one.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(directory.path().join("home")).unwrap();
        Self { directory, variables: Vec::new() }
    }

    /// The directory itself; every command starts in it.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where `--local` keeps its state unless it is told otherwise.
    pub fn local_state(&self) -> PathBuf {
        self.path().join("home/.local/state/lambdactl/local")
    }

    /// Sets a variable for every later command.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Any program with this sandbox's environment and nothing else.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let home = self.path().join("home");
        let mut command = Command::new(program);
        command
            .current_dir(self.path())
            .env_clear()
            .env("HOME", &home)
            .env("XDG_CACHE_HOME", home.join(".cache"))
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("XDG_STATE_HOME", home.join(".local/state"))
            // Nobody asks the metadata service of the machine the tests run on.
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_PAGER", "")
            .stdin(Stdio::null());
        for name in ["PATH", "DOCKER_HOST", "LANG", "RUSTUP_TOOLCHAIN", "TMPDIR"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        // Build commands use the Rust that is installed in the real home.
        for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            let installed = std::env::var_os(name)
                .map(PathBuf::from)
                .or_else(|| std::env::home_dir().map(|home| home.join(folder)));
            command.envs(installed.map(|path| (name, path)));
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The binary under test.
    pub fn lambdactl<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_lambdactl"));
        command.args(arguments);
        command
    }

    /// Runs the binary under test to its end.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Finished {
        finish(self.lambdactl(arguments))
    }

    /// Runs it with `--output json`, expects `code`, and returns the lines of standard output.
    #[track_caller]
    pub fn json<A: AsRef<OsStr>>(&self, code: i32, arguments: impl IntoIterator<Item = A>) -> Vec<Value> {
        let mut command = self.lambdactl(arguments);
        command.args(["--output", "json"]);
        finish(command).expect(code).json_lines()
    }
}

/// Runs a command to its end; one that hangs is ended and fails the test.
pub fn finish(mut command: Command) -> Finished {
    let line = format!("{command:?}");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
    finish_child(line, child)
}

/// As [`finish`], for a child that runs already with both its outputs piped.
pub fn finish_child(line: String, child: Child) -> Finished {
    let id = child.id();
    let (sender, receiver) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        let output = child.wait_with_output();
        let _ = sender.send(());
        output
    });
    if receiver.recv_timeout(PATIENCE).is_err() {
        signal(id, "KILL");
    }
    let output = waiting.join().expect("the waiting thread ends").expect("the outputs can be read");
    Finished::new(line, output)
}

/// Sends a signal to a process that was started here.
pub fn signal(id: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status();
    assert!(status.expect("`kill` is installed").success(), "process {id} is gone already");
}

impl Finished {
    fn new(command: String, output: Output) -> Self {
        Self {
            command,
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
        }
    }

    /// Panics with everything the command said unless it ended with `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// The lines of standard output as JSON.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("`{line}`: {error}\n{self}"))
            })
            .collect()
    }

    /// The last line of standard output as JSON.
    #[track_caller]
    pub fn last_json(&self) -> Value {
        self.json_lines().pop().unwrap_or_else(|| panic!("nothing on standard output\n{self}"))
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}\nexit code: {:?}\nstandard output:\n{}\nstandard error:\n{}",
            self.command, self.code, self.stdout, self.stderr
        )
    }
}
