//! What kind of engine it is: version, builder, image store, and which machines it can build for.
//! Called by `DockerEngine`, and by `connection`.

use std::path::Path;

use bollard::Docker;
use bollard::models::SystemInfo;

use super::export::broken;
use super::{Builder, DockerError};
use crate::domain::platform::Architecture;

/// An engine as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineDescription {
    /// Where it answers, such as `unix:///var/run/docker.sock`.
    pub address: String,
    /// `Docker` or `Podman`.
    pub name: &'static str,
    /// As it writes it: `20.10.24+dfsg1`.
    pub version: String,
    /// Which builder is used.
    pub builder: Builder,
    /// How images are stored: `overlay2`, or `overlayfs` of containerd.
    pub image_store: String,
    /// Whether containerd keeps the images.
    pub is_containerd: bool,
    /// What it runs on.
    pub architecture: Option<Architecture>,
    /// Whether it runs in a virtual machine of its own that brings emulation along.
    pub is_desktop: bool,
}

impl EngineDescription {
    /// Major, minor and patch of the version; `None` where it is written in another way.
    pub fn version_numbers(&self) -> Option<(u32, u32, u32)> {
        let mut numbers = self.version.split(['.', '-', '+', '~']).map(str::parse::<u32>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next().and_then(Result::ok).unwrap_or(0)))
    }
}

pub(super) async fn describe(
    docker: &Docker,
    builder: Builder,
    address: &str,
) -> Result<EngineDescription, DockerError> {
    let failed = |error| broken("describing the engine".to_owned(), error);
    let (version, info) = tokio::try_join!(docker.version(), docker.info()).map_err(failed)?;
    let is_podman = version.components.iter().flatten().any(|component| component.name.contains("Podman"));
    let (is_containerd, is_desktop) = (is_containerd(&info), is_desktop(&info));
    Ok(EngineDescription {
        address: address.to_owned(),
        name: if is_podman { "Podman" } else { "Docker" },
        version: version.version.unwrap_or_default(),
        builder,
        image_store: info.driver.unwrap_or_default(),
        is_containerd,
        architecture: version.arch.and_then(|arch| Architecture::from_oci(&arch)),
        is_desktop,
    })
}

/// Tells whether containerd keeps the images of an engine.
pub(super) fn is_containerd(info: &SystemInfo) -> bool {
    let mut words = info.driver_status.iter().flatten().flatten();
    words.any(|word| word.starts_with("io.containerd.snapshotter"))
}

/// Tells whether an engine runs in a virtual machine of its own.
pub(super) fn is_desktop(info: &SystemInfo) -> bool {
    info.operating_system.as_ref().is_some_and(|system| system.contains("Desktop"))
}

/// Where Linux lists the programs that run foreign binaries.
/// <https://docs.kernel.org/admin-guide/binfmt-misc.html>
pub const BINFMT_MISC: &str = "/proc/sys/fs/binfmt_misc";

/// Tells whether this machine runs programs for `architecture` through an emulator; `None` where
/// that cannot be told.
pub fn emulates(architecture: Architecture, binfmt_misc: &Path) -> Option<bool> {
    let names: &[&str] = match architecture {
        Architecture::Arm64 => &["aarch64", "arm64"],
        Architecture::X86_64 => &["x86_64", "amd64", "rosetta"],
    };
    let entries = std::fs::read_dir(binfmt_misc).ok()?;
    let is_for_it = |entry: &std::fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().to_ascii_lowercase();
        names.iter().any(|word| name.contains(word))
    };
    let is_enabled = |entry: std::fs::DirEntry| {
        std::fs::read_to_string(entry.path()).is_ok_and(|text| text.lines().next() == Some("enabled"))
    };
    Some(entries.filter_map(Result::ok).filter(is_for_it).any(is_enabled))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Option<(u32, u32, u32)> {
        let engine = EngineDescription {
            address: String::new(),
            name: "Docker",
            version: text.to_owned(),
            builder: Builder::BuildKit,
            image_store: String::new(),
            is_containerd: false,
            architecture: None,
            is_desktop: false,
        };
        engine.version_numbers()
    }

    #[test]
    fn versions_are_read_in_every_distribution_s_way() {
        for (text, numbers) in [
            ("20.10.24+dfsg1", Some((20, 10, 24))),
            ("29.1.2", Some((29, 1, 2))),
            ("24.0.7-0ubuntu2~22.04.1", Some((24, 0, 7))),
            ("18.09", Some((18, 9, 0))),
            ("master", None),
            ("", None),
        ] {
            assert_eq!(version(text), numbers, "{text}");
        }
    }

    #[test]
    fn emulators_are_found_by_name_and_have_to_be_enabled() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("status", "enabled\n");
        write("python3.11", "enabled\ninterpreter /usr/bin/python3.11\n");
        assert_eq!(emulates(Architecture::Arm64, directory.path()), Some(false));
        write("qemu-aarch64", "disabled\ninterpreter /usr/bin/qemu-aarch64-static\n");
        assert_eq!(emulates(Architecture::Arm64, directory.path()), Some(false));
        write("qemu-aarch64", "enabled\ninterpreter /usr/bin/qemu-aarch64-static\n");
        assert_eq!(emulates(Architecture::Arm64, directory.path()), Some(true));
        assert_eq!(emulates(Architecture::X86_64, directory.path()), Some(false));
        assert_eq!(emulates(Architecture::X86_64, &directory.path().join("none")), None);
    }
}
