//! Headers of tar archives, and the headers that only carry names for the next one. Called by
//! `scan`.

use std::io;

use super::scan::invalid;

/// What a header says.
#[derive(Debug)]
pub(super) struct Header {
    /// The type, a digit or a letter.
    pub(super) kind: u8,
    pub(super) path: String,
    pub(super) link: String,
    pub(super) mode: u16,
    /// Bytes that follow.
    pub(super) size: u64,
    /// GNU sparse files: the size without holes left out.
    pub(super) real_size: Option<u64>,
}

impl Header {
    /// Reads a block of 512 bytes that are not all zero.
    pub(super) fn parse(block: &[u8]) -> io::Result<Self> {
        // The checksum counts itself as blanks; some writers took bytes for signed.
        let with_blanks =
            || block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
        let unsigned: i64 = with_blanks().map(i64::from).sum();
        let signed: i64 = with_blanks().map(|byte| i64::from(byte as i8)).sum();
        let checksum = number(&block[148..156]).and_then(|sum| i64::try_from(sum).ok());
        if checksum != Some(unsigned) && checksum != Some(signed) {
            return Err(invalid("it is not a tar archive: a checksum is wrong"));
        }
        let size =
            number(&block[124..136]).ok_or_else(|| invalid("a size in the tar archive is not a number"))?;
        let name = text(&block[..100]);
        let is_ustar = block[257..263] == *b"ustar\0";
        let prefix = if is_ustar { text(&block[345..500]) } else { String::new() };
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        Ok(Self {
            kind: block[156],
            path,
            link: text(&block[157..257]),
            mode: (number(&block[100..108]).unwrap_or_default() & 0o7777) as u16,
            size,
            real_size: number(&block[483..495]),
        })
    }

    /// Tells whether it only carries names for the next header.
    pub(super) fn is_names(&self) -> bool {
        matches!(self.kind, b'L' | b'K' | b'x' | b'g')
    }
}

/// Names and sizes for the next header, which are too long for its fields.
#[derive(Debug, Default)]
pub(super) struct Names {
    path: Option<String>,
    /// The path of a sparse file, whose other path is a made-up one.
    sparse_path: Option<String>,
    pub(super) link: Option<String>,
    pub(super) size: Option<u64>,
    /// The size of a sparse file without holes left out.
    pub(super) real_size: Option<u64>,
}

impl Names {
    /// The path, if one is named.
    pub(super) fn path(&mut self) -> Option<String> {
        self.sparse_path.take().or(self.path.take())
    }

    /// Takes the contents of a header of this kind.
    pub(super) fn read(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        match kind {
            b'L' => self.path = Some(text(bytes)),
            b'K' => self.link = Some(text(bytes)),
            b'x' => self.pax(bytes)?,
            // Records for all that follows; those Docker and Git write name no paths.
            _ => {}
        }
        Ok(())
    }

    /// Records of the form `LENGTH KEY=VALUE` and a line feed; the length counts itself.
    fn pax(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let broken = || invalid("a pax header in the tar archive is broken");
        while !bytes.is_empty() {
            let blank = bytes.iter().position(|byte| *byte == b' ').ok_or_else(broken)?;
            let length =
                std::str::from_utf8(&bytes[..blank]).ok().and_then(|text| text.parse::<usize>().ok());
            let length =
                length.filter(|length| *length > blank && *length <= bytes.len()).ok_or_else(broken)?;
            let record = &bytes[blank + 1..length];
            let record = record.strip_suffix(b"\n").ok_or_else(broken)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(broken)?;
            let value = String::from_utf8_lossy(&record[equals + 1..]);
            match &record[..equals] {
                b"path" => self.path = Some(value.into_owned()),
                b"GNU.sparse.name" => self.sparse_path = Some(value.into_owned()),
                b"linkpath" => self.link = Some(value.into_owned()),
                b"size" => self.size = value.parse().ok(),
                b"GNU.sparse.realsize" | b"GNU.sparse.size" => self.real_size = value.parse().ok(),
                _ => {}
            }
            bytes = &bytes[length..];
        }
        Ok(())
    }
}

/// Text up to the first zero.
fn text(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// A number in octal digits, or in binary where the first bit is set.
fn number(bytes: &[u8]) -> Option<u64> {
    if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        // Negative numbers have the second bit set as well; no size is one.
        if bytes[0] & 0x40 != 0 {
            return None;
        }
        let first = u64::from(bytes[0] & 0x3f);
        return bytes[1..]
            .iter()
            .try_fold(first, |sum, byte| sum.checked_mul(256).map(|sum| sum | u64::from(*byte)));
    }
    let digits = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let digits = std::str::from_utf8(digits).ok()?.trim();
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b" 644 \0\0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x02\0\0\0\0"), Some(2 << 32));
        assert_eq!(number(b"\xff\xff\xff\xff"), None);
        assert_eq!(number(b"9x"), None);
    }

    #[test]
    fn pax_records_are_counted_in_bytes() {
        let mut names = Names::default();
        names.read(b'x', "14 path=\u{e4}/b\n11 size=70\n".as_bytes()).unwrap_err();
        let mut names = Names::default();
        names.read(b'x', "13 path=\u{e4}/b\n11 size=70\n".as_bytes()).unwrap();
        assert_eq!((names.path().as_deref(), names.size), (Some("\u{e4}/b"), Some(70)));
        assert!(names.read(b'x', b"99 path=a\n").is_err());
        assert!(names.read(b'x', b"path=a\n").is_err());
    }
}
