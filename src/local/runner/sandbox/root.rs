//! The file system of a sandbox: the image, read-only, with Lambda's `/tmp` and the least of
//! `/dev` and `/proc`.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, mount_remount, unmount,
};
use rustix::process::{chdir, pivot_root};

use super::super::rootfs::{MOUNT_POINTS, NETWORK_FILES};
use super::order::Problem;

/// What every program may expect to find.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
const DEVICE_LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Makes `root` the root directory of this process, and nothing else reachable.
pub(super) fn enter(root: &Path, temporary: u64) -> Result<(), Problem> {
    let [dev, proc, tmp] = MOUNT_POINTS.map(|name| root.join(name));
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(Problem::at("separating the mounts from the host's"))?;
    mount_bind(root, root).map_err(Problem::at("mounting the image"))?;
    let flags = statvfs(root).map_err(Problem::at("looking at the image"))?.f_flag;
    if flags.contains(StatVfsMountFlags::NOEXEC) {
        let source =
            std::io::Error::other("its file system is mounted with `noexec`; choose another `--local-dir`");
        return Err(Problem { doing: format!("running what is in `{}`", root.display()), source });
    }
    devices(&dev)?;
    let plain = MountFlags::NOSUID | MountFlags::NODEV;
    mount("proc", &proc, "proc", plain | MountFlags::NOEXEC, None)
        .map_err(Problem::at("mounting `/proc`"))?;
    temporary_files(&tmp, plain, &format!("mode=1777,size={temporary}m"))?;
    for file in NETWORK_FILES {
        // Without a name service a function can still do everything else.
        let _best_effort = share(&Path::new("/").join(file), &root.join(file));
    }
    mount_remount(root, MountFlags::BIND | MountFlags::RDONLY | plain, "")
        .map_err(Problem::at("making the image read-only"))?;
    pivot(root).map_err(Problem::at("changing the root directory"))
}

fn temporary_files(path: &Path, flags: MountFlags, options: &str) -> Result<(), Problem> {
    let doing = || Problem::at(format!("mounting memory on `{}`", path.display()));
    let options = CString::new(options).map_err(|_| doing()(Errno::INVAL))?;
    mount("tmpfs", path, "tmpfs", flags, options.as_c_str()).map_err(doing())
}

fn devices(dev: &Path) -> Result<(), Problem> {
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    temporary_files(dev, flags, "mode=755,size=64k")?;
    for name in DEVICES {
        let (host, own) = (Path::new("/dev").join(name), dev.join(name));
        let bound = File::create(&own).and_then(|_| Ok(mount_bind(&host, &own)?));
        bound.map_err(Problem::at(format!("mounting `{}`", host.display())))?;
    }
    let rest = || {
        for (name, target) in DEVICE_LINKS {
            symlink(target, dev.join(name))?;
        }
        // As in Lambda, where shared memory is there but cannot be used.
        DirBuilder::new().mode(0o555).create(dev.join("shm"))?;
        Ok(mount_remount(dev, MountFlags::BIND | MountFlags::RDONLY | flags, "")?)
    };
    rest().map_err(Problem::at::<std::io::Error>("filling `/dev`"))
}

fn share(host: &Path, own: &Path) -> std::io::Result<()> {
    // The image was furnished with plain files here; anything else could lead elsewhere.
    let is_plain = own.parent().is_some_and(|folder| fs::symlink_metadata(folder).is_ok_and(|f| f.is_dir()))
        && fs::symlink_metadata(own)?.is_file();
    if is_plain {
        mount_bind(&fs::canonicalize(host)?, own)?;
    }
    Ok(())
}

fn pivot(root: &Path) -> Result<(), Errno> {
    chdir(root)?;
    // The old root comes to lie over the new one, and goes.
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")
}
