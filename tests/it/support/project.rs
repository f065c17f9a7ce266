//! Projects to deploy: a directory with `lambdactl.toml` and what it names.

use std::path::{Path, PathBuf};

use super::program::static_program;

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
}
