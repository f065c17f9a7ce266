//! Which files ADD would unpack instead of copying them.

use std::fs::File;
use std::io::{self, Read};

use super::Stopped;
use super::content::Content;
use crate::image::ImageError;

const BLOCK: usize = 512;

/// Tells whether a file might be one, generously: gzip, bzip2, xz, zstd, or a tar header.
pub(super) fn is_archive(content: &Content) -> Result<bool, Stopped> {
    let mut start = Vec::with_capacity(BLOCK);
    let limit = BLOCK as u64;
    match content {
        Content::Host { path, .. } => {
            let unreadable =
                |source: io::Error| ImageError::Read { what: path.display().to_string(), source };
            let file = File::open(path).map_err(unreadable)?;
            file.take(limit).read_to_end(&mut start).map_err(unreadable)?;
        }
        Content::Spooled(spooled) => {
            let unreadable =
                |source: io::Error| ImageError::Read { what: "a temporary file".to_owned(), source };
            spooled.reader().take(limit).read_to_end(&mut start).map_err(unreadable)?;
        }
        Content::Text(text) => start.extend(text.bytes().take(BLOCK)),
        // Not looked into: it might be anything.
        Content::Layered(_) | Content::Contained(_) | Content::Unread(_) => return Ok(true),
    }
    Ok(is_compressed(&start) || is_tar(&start))
}

fn is_compressed(start: &[u8]) -> bool {
    const MAGIC: [&[u8]; 5] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"\x5d\0\0"];
    MAGIC.iter().any(|magic| start.starts_with(magic))
}

/// A header's checksum is right, or it says that it is a header.
fn is_tar(start: &[u8]) -> bool {
    let Some(block) = start.get(..BLOCK) else { return false };
    if &block[257..262] == b"ustar" {
        return true;
    }
    let text = String::from_utf8_lossy(&block[148..156]);
    let Ok(stored) = u32::from_str_radix(text.trim_matches(['\0', ' ']), 8) else { return false };
    let sum = |range: std::ops::Range<usize>| block[range].iter().map(|byte| u32::from(*byte)).sum::<u32>();
    sum(0..148) + 8 * 32 + sum(156..BLOCK) == stored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_told_from_programs_and_texts() {
        let mut tar = tar::Builder::new(Vec::new());
        for mut header in [tar::Header::new_old(), tar::Header::new_ustar()] {
            header.set_size(0);
            tar.append_data(&mut header, "a", io::empty()).unwrap();
        }
        let tar = tar.into_inner().unwrap();
        assert!(is_tar(&tar) && is_tar(&tar[BLOCK..]));
        assert!(is_compressed(b"\x1f\x8b\x08"));
        let mut program = b"\x7fELF".to_vec();
        program.resize(2000, 0);
        assert!(!is_tar(&program) && !is_compressed(&program) && !is_tar(b"short"));
        assert!(!is_tar(&[0; 1024]));
    }
}
