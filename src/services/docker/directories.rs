//! Reads layers where an engine keeps them: in directories of this machine. Called by
//! `DockerEngine`.
//!
//! Docker unpacks every layer into a directory, and keeps beside it what else its archive
//! consisted of: headers and padding, as `tar-split` takes them apart. Joined again they are the
//! archive byte for byte; the engine does the same when it exports or pushes an image, but one
//! layer after the other, and into temporary files. Only root may read there, or whoever runs an
//! engine without root.
//!
//! No document promises that all of this stays where it is. Whoever reads it compares digests, and
//! has another way.
//! <https://github.com/vbatts/tar-split/blob/v0.12.1/tar/storage/entry.go>
//! <https://github.com/moby/moby/blob/v28.0.0/layer/filestore.go>

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::read::GzDecoder;
use serde::Deserialize;

use super::EngineImage;
use crate::domain::digest::{DiffId, Digest, chain_ids};

/// No configuration is larger.
const LARGEST_CONFIGURATION: u64 = 4 << 20;

/// No name of a directory and no number is longer.
const LONGEST_WORD: u64 = 128;

/// No line about a part of an archive is longer: a header with its extensions, encoded.
const LONGEST_LINE: u64 = 16 << 20;

/// How many decompressed bytes of such lines are read ahead.
const AHEAD: usize = 64 << 10;

/// Where an engine says the layers of an image lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphDriver {
    /// The name of what stacks them, such as `overlay2`.
    pub name: String,
    /// The directory of the highest one, where each has one of its own.
    pub top: Option<PathBuf>,
}

/// The layers of an image, as they lie on this machine.
#[derive(Clone, Debug)]
pub struct LayerDirectories {
    /// What the driver keeps: a directory for each layer.
    layers: PathBuf,
    /// What the engine knows of images and layers.
    metadata: PathBuf,
    configuration: PathBuf,
    id: Digest,
    /// What layers are called there: each name depends on the layers below.
    chain: Vec<(DiffId, Digest)>,
}

impl LayerDirectories {
    /// The error says in words why they cannot be read.
    pub(super) fn of(image: &EngineImage) -> Result<Self, String> {
        let driver = image.graph_driver.as_ref().ok_or("the engine does not say where they are")?;
        let root = driver.root().ok_or_else(|| format!("`{}` keeps them in another way", driver.name))?;
        let metadata = root.join("image").join(&driver.name);
        let configuration = metadata.join("imagedb/content/sha256").join(image.id.hex());
        // Shows that one may look into it, and that this is the engine that has the image.
        fs::metadata(&configuration).map_err(|error| of(&configuration, error).to_string())?;
        let chain = image.diff_ids.iter().copied().zip(chain_ids(&image.diff_ids)).collect();
        Ok(Self { layers: root.join(&driver.name), metadata, configuration, id: image.id, chain })
    }

    /// The image's configuration, byte for byte.
    pub fn configuration(&self) -> io::Result<Bytes> {
        let bytes = read(&self.configuration, LARGEST_CONFIGURATION)?;
        match Digest::of(&bytes) == self.id {
            true => Ok(bytes.into()),
            false => Err(invalid("the engine keeps another configuration")),
        }
    }

    /// Uncompressed bytes of the files of each layer, lowest first.
    pub fn sizes(&self) -> io::Result<Vec<u64>> {
        let size = |(_, chain_id): &(DiffId, Digest)| {
            word(&self.about(chain_id).join("size"))?.parse().map_err(invalid)
        };
        self.chain.iter().map(size).collect()
    }

    /// Opens a layer of the image, to be read as the archive it was unpacked from.
    ///
    /// What comes has to be compared with the diff ID: nobody else does.
    pub fn layer(&self, diff_id: &DiffId) -> io::Result<KeptLayer> {
        let chain_id = self.chain.iter().find(|(other, _)| other == diff_id).map(|(_, chain_id)| chain_id);
        let about = self.about(chain_id.ok_or_else(|| invalid("the image has no such layer"))?);
        let name = word(&about.join("cache-id"))?;
        if name.is_empty() || name.contains(['/', '.']) {
            return Err(invalid("a layer has a strange name"));
        }
        let split = GzDecoder::new(open(&about.join("tar-split.json.gz"))?);
        let directory = self.layers.join(name).join("diff");
        Ok(KeptLayer {
            directory: File::open(&directory).map_err(|error| of(&directory, error))?,
            split: BufReader::with_capacity(AHEAD, split),
            line: Vec::new(),
            part: Part::Bytes { bytes: Vec::new(), read: 0 },
        })
    }

    /// What the engine has written down about a layer.
    fn about(&self, chain_id: &Digest) -> PathBuf {
        self.metadata.join("layerdb/sha256").join(chain_id.hex())
    }
}

impl GraphDriver {
    /// The engine's own directory: that of a layer is `ROOT/DRIVER/LAYER/diff`.
    fn root(&self) -> Option<&Path> {
        let top = self.top.as_deref().filter(|top| top.ends_with("diff") && top.is_absolute())?;
        let of_driver = top.parent()?.parent()?;
        of_driver.parent().filter(|_| of_driver.ends_with(&self.name))
    }
}

/// A layer that is being read as the archive it was.
pub struct KeptLayer {
    directory: File,
    /// Tells the parts of the archive, one in a line.
    split: BufReader<GzDecoder<File>>,
    line: Vec<u8>,
    part: Part,
}

/// What is being read.
enum Part {
    /// Headers and padding.
    Bytes { bytes: Vec<u8>, read: usize },
    /// A file's content.
    File { file: File, left: u64 },
}

/// A line about a part of an archive.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: u8,
    /// The file, from the layer's root.
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    /// The same in base64, where it is not UTF-8.
    #[serde(borrow, default)]
    name_raw: Option<Cow<'a, str>>,
    #[serde(default)]
    size: u64,
    /// In base64: the bytes themselves, or a check value of the file.
    #[serde(borrow, default)]
    payload: Option<Cow<'a, str>>,
}

impl Line<'_> {
    const FILE: u8 = 1;
    const BYTES: u8 = 2;
}

impl KeptLayer {
    /// Goes on to the next part that has bytes; `false` where there is none.
    fn next(&mut self) -> io::Result<bool> {
        loop {
            self.line.clear();
            if (&mut self.split).take(LONGEST_LINE).read_until(b'\n', &mut self.line)? == 0 {
                return Ok(false);
            }
            let line: Line<'_> = serde_json::from_slice(&self.line)?;
            match line.kind {
                Line::BYTES => {
                    // The last part's room is used again.
                    let mut bytes = match &mut self.part {
                        Part::Bytes { bytes, .. } => std::mem::take(bytes),
                        Part::File { .. } => Vec::new(),
                    };
                    bytes.clear();
                    STANDARD
                        .decode_vec(line.payload.unwrap_or_default().as_bytes(), &mut bytes)
                        .map_err(invalid)?;
                    self.part = Part::Bytes { bytes, read: 0 };
                }
                Line::FILE if line.size == 0 => continue,
                Line::FILE => {
                    let file = match line.name_raw {
                        None => open_below(&self.directory, line.name.as_bytes()),
                        Some(name) => open_below(&self.directory, &STANDARD.decode(&*name).map_err(invalid)?),
                    };
                    let file = file.map_err(|error| of(Path::new(&*line.name), error))?;
                    self.part = Part::File { file, left: line.size };
                }
                _ => return Err(invalid("a part of a layer is of an unknown kind")),
            }
            return Ok(true);
        }
    }
}

impl Read for KeptLayer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // The parts are small; whoever reads should not be called for each.
        let mut filled = 0;
        while filled < buffer.len() {
            let rest = &mut buffer[filled..];
            let count = match &mut self.part {
                Part::Bytes { bytes, read } => {
                    let count = (&bytes[*read..]).read(rest)?;
                    *read += count;
                    count
                }
                Part::File { left: 0, .. } => 0,
                Part::File { file, left } => {
                    let wanted = usize::try_from(*left).unwrap_or(rest.len()).min(rest.len());
                    let count = match file.read(&mut rest[..wanted]) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        read => read?,
                    };
                    if count == 0 {
                        return Err(io::Error::new(
                            io::ErrorKind::UnexpectedEof,
                            "a file of a layer is shorter than it was",
                        ));
                    }
                    *left -= count as u64;
                    count
                }
            };
            filled += count;
            if count == 0 && !self.next()? {
                break;
            }
        }
        Ok(filled)
    }
}

impl std::fmt::Debug for KeptLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeptLayer")
    }
}

/// Reads what an engine has written down in one word.
fn word(path: &Path) -> io::Result<String> {
    let text = String::from_utf8(read(path, LONGEST_WORD)?).map_err(invalid)?;
    Ok(text.trim().to_owned())
}

fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most).read_to_end(&mut bytes).map_err(|error| of(path, error))?;
    Ok(bytes)
}

/// Opens a file of an engine, and nothing else that may be there: whoever runs the engine need not
/// be who runs this.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::OpenOptionsExt as _;

        // What is no file must not be waited for.
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    let file = options.open(path).map_err(|error| of(path, error))?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(of(path, invalid("it is not a file"))),
    }
}

/// The error of a file.
fn of(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Opens a file of a layer for reading. Symbolic links on the way to it lead where they did when the
/// layer was unpacked: nowhere out of its directory.
#[cfg(target_os = "linux")]
fn open_below(directory: &File, name: &[u8]) -> io::Result<File> {
    use std::os::unix::ffi::OsStrExt as _;

    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

    let path = Path::new(std::ffi::OsStr::from_bytes(name));
    // What is no file any more must not be waited for.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(directory, path, flags, Mode::empty(), resolve)?.into())
}

/// Engines keep layers in directories of other systems only within virtual machines.
#[cfg(not(target_os = "linux"))]
fn open_below(_directory: &File, _name: &[u8]) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::platform::Platform;

    /// An image with one layer in a directory of an engine.
    struct Kept {
        root: tempfile::TempDir,
        image: EngineImage,
    }

    impl Kept {
        /// The layer's archive is taken apart as `split`.
        fn new(split: &[Value]) -> Self {
            let root = tempfile::tempdir().unwrap();
            let (configuration, diff_id) = (b"{}".as_slice(), DiffId(Digest::of(b"a layer")));
            let image = EngineImage {
                id: Digest::of(configuration),
                platform: Platform {
                    os: "linux".to_owned(),
                    architecture: "arm64".to_owned(),
                    variant: None,
                },
                size: 0,
                diff_ids: vec![diff_id],
                tags: Vec::new(),
                has_volumes: false,
                graph_driver: Some(GraphDriver {
                    name: "overlay2".to_owned(),
                    top: Some(root.path().join("overlay2/abc/diff")),
                }),
            };
            let write = |path: String, content: &[u8]| {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            };
            fs::create_dir_all(root.path().join("overlay2/abc/diff")).unwrap();
            write(format!("image/overlay2/imagedb/content/sha256/{}", image.id.hex()), configuration);
            let about = format!("image/overlay2/layerdb/sha256/{}", diff_id.0.hex());
            write(format!("{about}/cache-id"), b"abc");
            write(format!("{about}/size"), b"3");
            let mut lines = GzEncoder::new(Vec::new(), Compression::fast());
            split.iter().for_each(|line| writeln!(lines, "{line}").unwrap());
            write(format!("{about}/tar-split.json.gz"), &lines.finish().unwrap());
            Self { root, image }
        }

        fn place(&self, path: &str) -> PathBuf {
            self.root.path().join("overlay2/abc/diff").join(path)
        }

        fn read(&self) -> io::Result<Vec<u8>> {
            let directories = LayerDirectories::of(&self.image).unwrap();
            let mut bytes = Vec::new();
            directories.layer(&self.image.diff_ids[0])?.read_to_end(&mut bytes)?;
            Ok(bytes)
        }
    }

    fn bytes(content: &str) -> Value {
        json!({ "type": 2, "payload": STANDARD.encode(content), "position": 0 })
    }

    fn file(name: &str, size: usize) -> Value {
        json!({ "type": 1, "name": name, "size": size, "payload": "AAAAAAAAAAA=", "position": 1 })
    }

    #[test]
    fn a_layer_is_joined_from_its_files_and_what_was_between_them() {
        let directory = json!({ "type": 1, "name": "some/", "payload": null, "position": 1 });
        let raw = json!({ "type": 1, "name_raw": STANDARD.encode(b"caf\xe9"), "size": 2, "payload": null });
        let kept = Kept::new(&[
            bytes("<"),
            directory,
            bytes("|"),
            file("some/\"file\"", 3),
            bytes("|"),
            raw,
            bytes(">"),
        ]);
        fs::create_dir(kept.place("some")).unwrap();
        fs::write(kept.place("some/\"file\""), "one").unwrap();
        use std::os::unix::ffi::OsStrExt as _;
        fs::write(kept.place("").join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "au").unwrap();
        assert_eq!(kept.read().unwrap(), b"<|one|au>");
        let directories = LayerDirectories::of(&kept.image).unwrap();
        assert_eq!(
            (directories.sizes().unwrap(), directories.configuration().unwrap()),
            (vec![3], "{}".into())
        );
    }

    #[test]
    fn a_link_leads_nowhere_out_of_its_layer() {
        let kept = Kept::new(&[file("etc/secret", 3)]);
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "key").unwrap();
        std::os::unix::fs::symlink(outside.path(), kept.place("etc")).unwrap();
        assert_eq!(kept.read().unwrap_err().kind(), io::ErrorKind::NotFound);
        // Where it leads within the layer, it is followed.
        fs::create_dir_all(kept.place(outside.path().to_str().unwrap().trim_start_matches('/'))).unwrap();
        fs::write(kept.place(&format!("{}/secret", outside.path().display())[1..]), "own").unwrap();
        assert_eq!(kept.read().unwrap(), b"own");
        // A file that is a link by now is none.
        let kept = Kept::new(&[file("secret", 3)]);
        std::os::unix::fs::symlink("other", kept.place("secret")).unwrap();
        fs::write(kept.place("other"), "own").unwrap();
        assert!(kept.read().is_err());
    }

    #[test]
    fn what_was_changed_or_is_not_understood_is_an_error() {
        let kept = Kept::new(&[file("data", 5)]);
        fs::write(kept.place("data"), "now").unwrap();
        assert_eq!(kept.read().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        for line in
            [json!({ "type": 7, "payload": null }), json!("no part"), json!({ "type": 2, "payload": "*" })]
        {
            assert_eq!(Kept::new(&[line]).read().unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        let kept = Kept::new(&[]);
        let configuration = LayerDirectories::of(&kept.image).unwrap().configuration;
        fs::write(configuration, "{ }").unwrap();
        assert!(LayerDirectories::of(&kept.image).unwrap().configuration().is_err());
    }

    #[test]
    fn directories_are_found_only_where_the_engine_says_they_are() {
        let root = |name: &str, top: &str| {
            let driver = GraphDriver { name: name.to_owned(), top: Some(top.into()) };
            driver.root().map(Path::to_owned)
        };
        assert_eq!(root("overlay2", "/var/lib/docker/overlay2/abc/diff"), Some("/var/lib/docker".into()));
        for (name, top) in [
            ("overlay2", "/var/lib/docker/other/abc/diff"),
            ("overlay2", "/var/lib/docker/overlay2/abc"),
            ("overlay2", "overlay2/abc/diff"),
            ("btrfs", "/diff"),
        ] {
            assert_eq!(root(name, top), None, "{name} {top}");
        }
        let mut image = Kept::new(&[]).image;
        assert!(LayerDirectories::of(&image).unwrap_err().contains("No such file"));
        image.graph_driver = None;
        assert!(LayerDirectories::of(&image).is_err());
    }
}
