//! Images made on the spot, entry by entry, as Docker or as OCI: nothing of lambdactl is used, so
//! that what it accepts and what it refuses is judged from outside.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};

use crate::support::oci_layout::digest;
use crate::support::program::{architecture, elf_header};

/// Whose media types an image has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Docker,
    Oci,
}

pub const FAMILIES: [Family; 2] = [Family::Docker, Family::Oci];

impl Family {
    fn manifest(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.distribution.manifest.v2+json",
            Self::Oci => "application/vnd.oci.image.manifest.v1+json",
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.container.image.v1+json",
            Self::Oci => "application/vnd.oci.image.config.v1+json",
        }
    }

    pub fn layer(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            Self::Oci => "application/vnd.oci.image.layer.v1.tar+gzip",
        }
    }
}

/// A layer, entry by entry.
#[derive(Clone, Default)]
pub struct Layer {
    entries: Vec<(String, tar::EntryType, u32, Vec<u8>)>,
}

impl Layer {
    pub fn new() -> Self {
        Self::default()
    }

    fn entry(mut self, path: &str, kind: tar::EntryType, mode: u32, content: impl AsRef<[u8]>) -> Self {
        self.entries.push((path.to_owned(), kind, mode, content.as_ref().to_vec()));
        self
    }

    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.entry(path, tar::EntryType::Directory, mode, "")
    }

    pub fn directories(self, paths: &[&str]) -> Self {
        paths.iter().fold(self, |layer, path| layer.directory(path, 0o755))
    }

    pub fn file(self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> Self {
        self.entry(path, tar::EntryType::Regular, mode, content)
    }

    pub fn link(self, path: &str, target: &str) -> Self {
        self.entry(path, tar::EntryType::Symlink, 0o777, target)
    }

    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(path, tar::EntryType::Link, 0o644, target)
    }

    /// The same without an entry.
    pub fn without(mut self, path: &str) -> Self {
        let before = self.entries.len();
        self.entries.retain(|(own, ..)| own != path);
        assert!(self.entries.len() < before, "{path} is there");
        self
    }

    /// The same with another mode for an entry.
    pub fn with_mode(mut self, path: &str, mode: u32) -> Self {
        let entry = self.entries.iter_mut().find(|(own, ..)| own == path).expect("it is there");
        entry.2 = mode;
        self
    }

    fn tar(&self) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, mode, content) in &self.entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(*mode);
            header.set_entry_type(*kind);
            match kind {
                tar::EntryType::Symlink | tar::EntryType::Link => {
                    header.set_size(0);
                    let target = String::from_utf8(content.clone()).unwrap();
                    builder.append_link(&mut header, path, target).unwrap();
                }
                _ => {
                    header.set_size(content.len() as u64);
                    builder.append_data(&mut header, path, content.as_slice()).unwrap();
                }
            }
        }
        builder.into_inner().unwrap()
    }
}

/// An image to be written as a layout.
#[derive(Clone)]
pub struct Image {
    pub architecture: String,
    pub os: String,
    /// The member `config` of the configuration.
    pub config: Value,
    pub layers: Vec<Layer>,
    /// The media type of layers, where it is not the family's.
    pub layer_type: Option<&'static str>,
}

impl Image {
    pub fn new(config: Value, layers: Vec<Layer>) -> Self {
        let architecture = if architecture() == "arm64" { "arm64" } else { "amd64" }.to_owned();
        Self { architecture, os: "linux".to_owned(), config, layers, layer_type: None }
    }

    /// The same with a change.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The same with another top layer.
    pub fn with_top(self, change: impl FnOnce(Layer) -> Layer) -> Self {
        self.with(|image| {
            let top = image.layers.pop().unwrap();
            image.layers.push(change(top));
        })
    }

    /// Writes it as the only image of a layout.
    pub fn write(&self, directory: &Path, family: Family) -> Layout {
        let layout = Layout::new(directory);
        let entry = self.add_to(&layout, family);
        layout.finish(&[entry]);
        layout
    }

    /// Adds its blobs to a layout, and returns the entry of its index.
    pub fn add_to(&self, layout: &Layout, family: Family) -> Value {
        let kind = self.layer_type.unwrap_or(family.layer());
        let (mut diff_ids, mut descriptors) = (Vec::new(), Vec::new());
        for layer in &self.layers {
            let tar = layer.tar();
            diff_ids.push(digest(&tar));
            let stored = match kind {
                kind if kind.ends_with("gzip") => {
                    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::fast());
                    gzip.write_all(&tar).unwrap();
                    gzip.finish().unwrap()
                }
                kind if kind.ends_with("zstd") => zstd::stream::encode_all(tar.as_slice(), 1).unwrap(),
                _ => tar,
            };
            descriptors.push(layout.blob(kind, &stored));
        }
        let config = json!({
            "architecture": self.architecture,
            "os": self.os,
            "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = layout.blob(family.config(), config.to_string().as_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": family.manifest(), "config": config, "layers": descriptors,
        });
        let mut entry = layout.blob(family.manifest(), manifest.to_string().as_bytes());
        entry["platform"] = json!({ "os": self.os, "architecture": self.architecture });
        entry
    }
}

/// A layout.
pub struct Layout {
    directory: PathBuf,
}

impl Layout {
    pub fn new(directory: &Path) -> Self {
        std::fs::create_dir_all(directory.join("blobs/sha256")).unwrap();
        std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self { directory: directory.to_owned() }
    }

    pub fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        std::fs::write(self.directory.join("blobs").join(digest.replace(':', "/")), bytes).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    pub fn finish(&self, entries: &[Value]) {
        let index = json!({ "schemaVersion": 2, "manifests": entries });
        std::fs::write(self.directory.join("index.json"), index.to_string()).unwrap();
    }

    /// The digest of the only layer of the only image.
    pub fn layer(&self) -> String {
        let read = |path: &str| -> Value {
            serde_json::from_slice(&std::fs::read(self.directory.join(path)).unwrap()).unwrap()
        };
        let index = read("index.json");
        let manifest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
        read(&format!("blobs/{manifest}"))["layers"][0]["digest"].as_str().unwrap().to_owned()
    }

    /// Its name as `--image` takes it.
    pub fn name(&self) -> String {
        format!("oci:{}", self.directory.display())
    }
}

/// A program for this machine that names the Runtime API: enough to be taken for a function.
pub fn program() -> Vec<u8> {
    program_for(architecture())
}

/// The same for another machine.
pub fn program_for(architecture: &str) -> Vec<u8> {
    [elf_header(architecture).as_slice(), b"...AWS_LAMBDA_RUNTIME_API..."].concat()
}

/// A program that is linked dynamically and needs this loader.
pub fn dynamic(loader: &str) -> Vec<u8> {
    let mut bytes = elf_header(architecture());
    let (table, name) = (64_u64, 64 + 56_u64);
    bytes[32..40].copy_from_slice(&table.to_le_bytes());
    bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
    bytes[56..58].copy_from_slice(&1_u16.to_le_bytes());
    let mut entry = vec![0; 56];
    entry[..4].copy_from_slice(&3_u32.to_le_bytes()); // PT_INTERP
    entry[8..16].copy_from_slice(&name.to_le_bytes());
    entry[32..40].copy_from_slice(&(loader.len() as u64 + 1).to_le_bytes());
    [bytes.as_slice(), &entry, loader.as_bytes(), b"\0...AWS_LAMBDA_RUNTIME_API..."].concat()
}

/// An image of one program on nothing.
pub fn on_scratch() -> Image {
    Image::new(
        json!({ "Entrypoint": ["/bootstrap"] }),
        vec![Layer::new().file("bootstrap", 0o755, program())],
    )
}

/// A tree like Debian's, with what is not for everybody there, and Python with its client.
pub fn on_debian() -> Image {
    let loader = "/lib64/ld-linux-x86-64.so.2";
    let base = Layer::new()
        .link("bin", "usr/bin")
        .directories(&["boot", "dev", "etc", "home"])
        .file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/bash\n")
        .file("etc/shadow", 0o640, "root:*:19000:0:99999:7:::\n")
        .file("etc/.pwd.lock", 0o600, "")
        .link("lib", "usr/lib")
        .link("lib64", "usr/lib64")
        .directory("root", 0o700)
        .file("root/.bashrc", 0o644, "#\n")
        .directory("tmp", 0o1777)
        .directories(&["usr", "usr/bin", "usr/lib", "usr/lib64", "usr/lib/x86_64-linux-gnu"])
        .file("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", 0o755, elf_header(architecture()))
        .link("usr/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
        .file("usr/bin/dash", 0o755, dynamic(loader))
        .link("usr/bin/sh", "dash")
        .file("usr/bin/env", 0o755, dynamic(loader))
        .file("usr/bin/perl", 0o755, dynamic(loader))
        .hard_link("usr/bin/perl5.36.0", "usr/bin/perl")
        .directories(&[
            "usr/local",
            "usr/local/bin",
            "usr/local/lib",
            "var",
            "var/cache",
            "var/lib",
            "var/lib/dpkg",
        ])
        .file("var/lib/dpkg/lock", 0o640, "")
        .file("var/lib/dpkg/status", 0o644, "Package: base-files\n")
        .directory("var/cache/apt", 0o755)
        .directory("var/cache/apt/partial", 0o700);
    let packages = "usr/local/lib/python3.12/site-packages";
    let python = Layer::new()
        .directories(&[
            "usr",
            "usr/local",
            "usr/local/bin",
            "usr/local/lib",
            "usr/local/lib/python3.12",
            packages,
        ])
        .file("usr/local/bin/python3.12", 0o755, dynamic(loader))
        .link("usr/local/bin/python3", "python3.12")
        .directory(&format!("{packages}/awslambdaric"), 0o755)
        .file(&format!("{packages}/awslambdaric/__init__.py"), 0o644, "")
        .file(&format!("{packages}/awslambdaric/__main__.py"), 0o644, "import os\n")
        .file(
            &format!("{packages}/awslambdaric/bootstrap.py"),
            0o644,
            "address = os.environ[\"AWS_LAMBDA_RUNTIME_API\"]\n",
        );
    let code = Layer::new()
        .directory("app", 0o755)
        .file("app/app.py", 0o644, "def handler(event, context): return event\n")
        .directory("app/templates", 0o755)
        .file("app/templates/page.html", 0o644, "<p>\n");
    let config = json!({
        "Env": ["PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
        "Entrypoint": ["/usr/local/bin/python3", "-m", "awslambdaric"],
        "Cmd": ["app.handler"],
        "WorkingDir": "/app",
    });
    Image::new(config, vec![base, python, code])
}

/// A tree like those of AWS's own base images, with a handler in Python or Node.
pub fn on_aws(language: &str) -> Image {
    let entry_point = "#!/bin/sh\n\
        if [ $# -ne 1 ]; then\n\
        \x20 echo \"entrypoint requires the handler name to be the first argument\" 1>&2\n\
        \x20 exit 142\n\
        fi\n\
        export _HANDLER=\"$1\"\n\
        if [ -z \"${AWS_LAMBDA_RUNTIME_API}\" ]; then exec /usr/local/bin/aws-lambda-rie /var/runtime/bootstrap; fi\n\
        exec /var/runtime/bootstrap\n";
    let (runtime, code) = match language {
        "python" => ("python3", "app.py"),
        "node" => ("node", "app.mjs"),
        _ => ("none", "bootstrap"),
    };
    let base = Layer::new()
        .link("bin", "usr/bin")
        .link("lib64", "usr/lib64")
        .directories(&["etc", "usr", "usr/bin", "usr/lib64", "usr/local", "usr/local/bin", "opt", "var"])
        .directory("tmp", 0o1777)
        .directory("root", 0o550)
        .file("etc/shadow", 0o000, "root:*:\n")
        .file("usr/lib64/ld-linux-x86-64.so.2", 0o755, elf_header(architecture()))
        .file("usr/bin/bash", 0o755, dynamic("/lib64/ld-linux-x86-64.so.2"))
        .link("usr/bin/sh", "bash")
        .file("usr/local/bin/aws-lambda-rie", 0o755, program())
        .file("lambda-entrypoint.sh", 0o755, entry_point)
        .directories(&["var/lang", "var/lang/bin", "var/runtime", "var/task"])
        .file(&format!("var/lang/bin/{runtime}"), 0o755, dynamic("/lib64/ld-linux-x86-64.so.2"))
        .file("var/runtime/bootstrap", 0o755, "#!/bin/bash\nexec /var/lang/bin/python3\n");
    let code =
        Layer::new().directories(&["var", "var/task"]).file(&format!("var/task/{code}"), 0o644, "handler\n");
    let config = json!({
        "Env": [
            "LANG=en_US.UTF-8",
            "PATH=/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
            "LAMBDA_TASK_ROOT=/var/task",
            "LAMBDA_RUNTIME_DIR=/var/runtime",
        ],
        "WorkingDir": "/var/task",
        "Entrypoint": ["/lambda-entrypoint.sh"],
        "Cmd": ["app.handler"],
    });
    Image::new(config, vec![base, code])
}
