//! What a deployment is made from, and noticing that it has changed. Called by `dev`.
//!
//! Files are looked at again and again: there is no limit on how many, it works on every file
//! system, and a project without its build output is small.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use walkdir::{DirEntry, WalkDir};

use crate::domain::spec::{DeploySpec, ImageSpec};

/// Between looks, at least.
const PAUSE: Duration = Duration::from_millis(150);
/// A look may take this share of the time.
const SHARE: u32 = 10;
/// How long nothing may change until a change counts as complete.
const QUIET: Duration = Duration::from_millis(60);
/// What tools keep for themselves.
const FOREIGN: [&str; 9] =
    [".git", ".hg", ".svn", "target", "node_modules", "__pycache__", ".venv", ".idea", ".vscode"];
/// By this file a tool says that a directory can be made again.
/// <https://bford.info/cachedir/>
const CACHE_TAG: &str = "CACHEDIR.TAG";

/// When a file was written last, and how long it is.
type Files = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// The sources of a function, as they were when they were looked at last.
#[derive(Debug, Default)]
pub struct Sources {
    roots: BTreeSet<PathBuf>,
    files: Files,
    has_build: bool,
    /// What the build writes among the sources.
    outputs: BTreeSet<PathBuf>,
    /// What changed during the last build, and may be its output.
    suspects: BTreeSet<PathBuf>,
    /// Whether it is built only because of those.
    is_again: bool,
}

impl Sources {
    /// Looks at what `spec` is made from, before it is built.
    pub async fn begin(&mut self, spec: &DeploySpec) {
        self.roots = roots(spec);
        self.has_build = spec.build_command.is_some();
        self.files = look(&self.roots).await;
    }

    /// Looks again, after it was built, well or badly; tells whether a source has changed
    /// meanwhile, so that it has to be built again.
    ///
    /// A build may write among its sources. What changes during two builds on end is taken for
    /// its output, and nothing is built more than twice for a change.
    pub async fn has_changed_meanwhile(&mut self) -> bool {
        let now = look(&self.roots).await;
        let mut changed = self.differences(&now);
        self.files = now;
        changed.retain(|path| !self.outputs.contains(path));
        if !self.has_build {
            return !changed.is_empty();
        }
        let (outputs, others): (Vec<_>, Vec<_>) =
            changed.into_iter().partition(|path| self.suspects.contains(path));
        self.outputs.extend(outputs);
        self.is_again = !others.is_empty() && !self.is_again;
        self.suspects = others.into_iter().collect();
        self.is_again
    }

    /// Waits for a change, until it is complete, and returns what has changed.
    pub async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            let begin = Instant::now();
            let mut now = look(&self.roots).await;
            let mut changed = self.differences(&now);
            if changed.is_empty() {
                tokio::time::sleep(PAUSE.max(begin.elapsed() * SHARE)).await;
                continue;
            }
            loop {
                tokio::time::sleep(QUIET).await;
                let later = look(&self.roots).await;
                if later == now {
                    break;
                }
                now = later;
            }
            changed = self.differences(&now);
            self.files = now;
            // It may be as it was before.
            if !changed.is_empty() {
                // While nothing is built, somebody else has written it.
                self.outputs.retain(|path| !changed.contains(path));
                self.is_again = false;
                return changed;
            }
        }
    }

    fn differences(&self, now: &Files) -> Vec<PathBuf> {
        let paths: BTreeSet<&PathBuf> = self.files.keys().chain(now.keys()).collect();
        paths.into_iter().filter(|path| self.files.get(*path) != now.get(*path)).cloned().collect()
    }
}

/// The directory of the configuration, and what else goes into the image.
fn roots(spec: &DeploySpec) -> BTreeSet<PathBuf> {
    let mut roots = BTreeSet::from([spec.directory.clone()]);
    match &spec.image {
        ImageSpec::Dockerfile(build) => {
            roots.extend([build.context.clone(), build.dockerfile.clone()]);
        }
        // With a build they are made from sources, and followed where they lie among them.
        ImageSpec::Assembled(image) if spec.build_command.is_none() => {
            roots.extend(image.files.iter().map(|file| file.from.clone()));
        }
        ImageSpec::Assembled(_) | ImageSpec::Existing(_) => {}
    }
    roots
}

async fn look(roots: &BTreeSet<PathBuf>) -> Files {
    let roots = roots.clone();
    let looked = tokio::task::spawn_blocking(move || roots.iter().flat_map(|root| files(root)).collect());
    looked.await.unwrap_or_default()
}

fn files(root: &Path) -> impl Iterator<Item = (PathBuf, (Option<SystemTime>, u64))> {
    let walk = WalkDir::new(root).into_iter().filter_entry(is_source);
    walk.filter_map(Result::ok).filter(|entry| !entry.file_type().is_dir()).filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        Some((entry.into_path(), (metadata.modified().ok(), metadata.len())))
    })
}

fn is_source(entry: &DirEntry) -> bool {
    // Whatever is named itself is wanted.
    if entry.depth() == 0 {
        return true;
    }
    let name = entry.file_name().to_string_lossy();
    if entry.file_type().is_dir() {
        return !FOREIGN.contains(&name.as_ref()) && !entry.path().join(CACHE_TAG).exists();
    }
    // What editors write beside a file.
    !name.ends_with('~') && !name.ends_with(".swp") && !name.ends_with(".swx") && !name.starts_with(".#")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::domain::spec::FileMapping;
    use crate::pipeline::plan::tests::spec;

    struct Project {
        directory: tempfile::TempDir,
        sources: Sources,
    }

    impl Project {
        async fn new(build: bool, from: &str) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let project = Self { directory, sources: Sources::default() };
            project.write("src/main.rs", "1");
            project.write(from, "1");
            let spec = project.spec(build, from);
            let mut project = project;
            project.sources.begin(&spec).await;
            project
        }

        fn spec(&self, build: bool, from: &str) -> DeploySpec {
            let mut wanted = spec();
            wanted.directory = self.directory.path().to_owned();
            wanted.build_command = build.then(|| vec!["make".to_owned()]);
            let ImageSpec::Assembled(image) = &mut wanted.image else { panic!("it is assembled") };
            let from = self.directory.path().join(from);
            image.files = vec![FileMapping { from, to: "/bootstrap".to_owned() }];
            wanted
        }

        fn write(&self, path: &str, content: &str) {
            let path = self.directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        async fn changed(&mut self) -> Option<Vec<PathBuf>> {
            let changed =
                tokio::time::timeout(Duration::from_millis(700), self.sources.changed()).await.ok()?;
            let inside = |path: PathBuf| path.strip_prefix(self.directory.path()).unwrap().to_owned();
            Some(changed.into_iter().map(inside).collect())
        }
    }

    #[tokio::test]
    async fn sources_count_and_what_tools_keep_does_not() {
        let mut project = Project::new(true, "target/hello").await;
        for path in ["target/hello", ".git/HEAD", "node_modules/a", "src/main.rs~", "src/.#main.rs"] {
            project.write(path, "22");
        }
        project.write("cache/CACHEDIR.TAG", "");
        project.write("cache/file", "");
        assert_eq!(project.changed().await, None);
        project.write("src/main.rs", "22");
        project.write("src/new.rs", "");
        fs::remove_file(project.directory.path().join("src/main.rs")).unwrap();
        assert_eq!(project.changed().await, Some(vec!["src/main.rs".into(), "src/new.rs".into()]));
    }

    #[tokio::test]
    async fn without_a_build_what_goes_into_the_image_is_a_source() {
        let mut project = Project::new(false, "target/hello").await;
        project.write("target/hello", "22");
        assert_eq!(project.changed().await, Some(vec!["target/hello".into()]));
        project.write("target/hello", "333");
        assert!(project.sources.has_changed_meanwhile().await, "as it was being read");
    }

    #[tokio::test]
    async fn what_the_build_writes_is_no_reason_to_build_for_ever() {
        let mut project = Project::new(true, "out/hello").await;
        project.write("out/hello", "22");
        assert!(project.sources.has_changed_meanwhile().await, "it may be a source");
        project.write("out/hello", "333");
        assert!(!project.sources.has_changed_meanwhile().await, "it is written by every build");
        project.write("out/hello", "4444");
        assert!(!project.sources.has_changed_meanwhile().await);
        assert_eq!(project.changed().await, None);
        // New files with every build, such as those named by their content.
        project.write("out/1.js", "");
        assert!(project.sources.has_changed_meanwhile().await);
        project.write("out/2.js", "");
        assert!(!project.sources.has_changed_meanwhile().await);
    }

    #[tokio::test]
    async fn a_source_that_is_edited_during_a_build_is_built_and_stays_a_source() {
        let mut project = Project::new(true, "target/hello").await;
        for content in ["22", "333"] {
            project.write("src/main.rs", content);
            project.sources.has_changed_meanwhile().await;
        }
        project.write("src/main.rs", "4444");
        assert_eq!(project.changed().await, Some(vec!["src/main.rs".into()]));
        project.write("src/main.rs", "55555");
        assert!(project.sources.has_changed_meanwhile().await);
    }
}
