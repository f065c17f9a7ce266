//! Projects to deploy: a directory with `lambdactl.toml` and what it names.

use std::path::{Path, PathBuf};

use super::oci_layout;
use super::program::{architecture, static_program};

/// A directory that holds a project.
#[derive(Debug)]
pub struct Project {
    directory: PathBuf,
}

/// The settings every assembled project of the tests has.
const ASSEMBLED: &str = r#"
[image]
base = "scratch"
files = [{ from = "bootstrap", to = "/bootstrap" }, { from = "data", to = "/data" }]
entry_point = ["/bootstrap"]
"#;

/// An image with AWS's own runtime client on a Debian with Python.
const IN_PYTHON: &str = r#"
[image]
base = "oci:base"
files = [{ from = "PARTS/task", to = "/var/task" }, { from = "app.py", to = "/var/task/app.py" }]
entry_point = ["/usr/bin/python3", "-m", "awslambdaric"]
command = ["app.handler"]
working_directory = "/var/task"
"#;

impl Project {
    /// A function named as the directory, assembled from a static program and a data file.
    pub fn assembled(parent: &Path, name: &str) -> Self {
        let project = Self { directory: parent.join(name) };
        std::fs::create_dir_all(&project.directory).unwrap();
        std::fs::copy(static_program(), project.file("bootstrap")).unwrap();
        project.write("data", "first\n");
        project.configure("");
        project
    }

    /// Its directory as an argument.
    pub fn argument(&self) -> &str {
        self.directory.to_str().expect("the path is UTF-8")
    }

    /// A file of it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Writes one of its files.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.file(name), content).unwrap();
    }

    /// Writes `lambdactl.toml`: the settings given, before those of an assembled image.
    pub fn configure(&self, settings: &str) {
        self.write("lambdactl.toml", format!("{settings}\n{ASSEMBLED}"));
    }

    /// Makes it a function in Python with AWS's own runtime client, made of `parts`; its code is
    /// `app.py`.
    pub fn write_python(&self, parts: &Path, settings: &str) {
        oci_layout::write_archive(&self.file("base"), architecture(), &parts.join("base.tar.gz"));
        let task = parts.join("task").display().to_string();
        self.write("lambdactl.toml", format!("{settings}\n{}", IN_PYTHON.replace("PARTS/task", &task)));
    }
}
