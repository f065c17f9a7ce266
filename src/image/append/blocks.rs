//! A long sorted list in blocks that are packed each for itself: whoever looks a few paths up
//! unpacks a few blocks, and not the list of a hundred thousand files. Called by `listing`.

use std::cmp::Ordering;
use std::io;
use std::ops::Range;
use std::sync::OnceLock;

use crate::domain::digest::Digest;
use crate::image::packed::{pack, unpack};

/// What the bytes begin with; another number is another form.
const VERSION: &[u8] = b"lambdactl list 3\n";
/// Text in a block: enough to be packed well, and little to unpack for one path of it.
const BLOCK: usize = 16 << 10;

/// A list of rows, sorted by [`order`].
///
/// As bytes it is [`VERSION`], the digest of all that follows in hexadecimal, the length of the
/// packed index in four bytes, that index (for each block the path of its first row and its
/// length), and the blocks. In both, every text is ended by a zero byte.
#[derive(Debug)]
pub(super) struct Blocks {
    bytes: Vec<u8>,
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    first: String,
    packed: Range<usize>,
    page: OnceLock<Page>,
}

/// A block's text.
#[derive(Debug, Default)]
struct Page {
    text: String,
    /// Where the rows begin.
    starts: Vec<u32>,
}

/// A path, and what there is to say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) path: &'a str,
    pub(super) what: &'a str,
    pub(super) target: &'a str,
}

impl Blocks {
    /// Makes a list of rows in the order of their paths, each of which has its own.
    ///
    /// # Errors
    /// Where a row holds a zero byte, or there is no memory to pack it.
    pub(super) fn of<'a>(rows: impl Iterator<Item = Row<'a>>) -> io::Result<Self> {
        let (mut index, mut packed) = (String::new(), Vec::new());
        let (mut first, mut text) = (String::new(), String::new());
        let mut end = |first: &str, text: &mut String| {
            let block = pack(text.as_bytes())?;
            push(&mut index, [first, &block.len().to_string()]);
            packed.extend(block);
            text.clear();
            Ok::<_, io::Error>(())
        };
        for row in rows {
            let Row { path, what, target } = row;
            if [path, what, target].iter().any(|part| part.contains('\0')) {
                let message = "a path in it holds a NUL character";
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            if text.is_empty() {
                path.clone_into(&mut first);
            }
            push(&mut text, [path, what, target]);
            if text.len() >= BLOCK {
                end(&first, &mut text)?;
            }
        }
        if !text.is_empty() {
            end(&first, &mut text)?;
        }
        let index = pack(index.as_bytes())?;
        let length = u32::try_from(index.len()).map_err(io::Error::other)?.to_le_bytes();
        let rest = [&length[..], &index, &packed].concat();
        let bytes = [VERSION, Digest::of(&rest).hex().as_bytes(), &rest].concat();
        Self::from_bytes(bytes).ok_or_else(|| io::Error::other("what was packed does not come back"))
    }

    /// Reads what [`Self::bytes`] gave; `None` where it is damaged, or of another form.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let (digest, rest) = bytes.strip_prefix(VERSION)?.split_at_checked(64)?;
        if Digest::of(rest).hex().as_bytes() != digest {
            return None;
        }
        let (length, rest) = rest.split_first_chunk()?;
        let (index, packed) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let index = String::from_utf8(unpack(index)?).ok()?;
        let mut begin = bytes.len() - packed.len();
        let mut blocks = Vec::new();
        let mut parts = index.split_terminator('\0');
        while let Some(first) = parts.next() {
            let end = begin.checked_add(parts.next()?.parse().ok()?)?;
            blocks.push(Block { first: first.to_owned(), packed: begin..end, page: OnceLock::new() });
            begin = end;
        }
        (begin == bytes.len()).then_some(Self { bytes, blocks })
    }

    /// The bytes to keep.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The row with this path.
    pub(super) fn find(&self, path: &str) -> Option<Row<'_>> {
        let block = self.blocks.partition_point(|block| order(&block.first, path).is_le()).checked_sub(1)?;
        let page = self.page(self.blocks.get(block)?);
        let at = page.starts.binary_search_by(|start| order(page.path(*start), path)).ok()?;
        page.row(*page.starts.get(at)?)
    }

    /// The rows behind this path, in order.
    pub(super) fn behind(&self, path: &str) -> impl Iterator<Item = Row<'_>> {
        let block = self.blocks.partition_point(|block| order(&block.first, path).is_le());
        // Some of the one before may be behind it, too.
        let begun = block.checked_sub(1).and_then(|before| self.blocks.get(before));
        let begun = begun.into_iter().flat_map(move |block| {
            let page = self.page(block);
            page.rows(page.starts.partition_point(|start| order(page.path(*start), path).is_le()))
        });
        begun.chain(self.blocks[block..].iter().flat_map(|block| self.page(block).rows(0)))
    }

    fn page<'a>(&'a self, block: &'a Block) -> &'a Page {
        // That it comes back was made sure of by the digest.
        block.page.get_or_init(|| Page::of(&self.bytes[block.packed.clone()]).unwrap_or_default())
    }
}

impl PartialEq for Blocks {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Blocks {}

impl Page {
    fn of(packed: &[u8]) -> Option<Self> {
        let text = String::from_utf8(unpack(packed)?).ok()?;
        let ends = text.match_indices('\0').skip(2).step_by(3);
        let mut starts = vec![0];
        for (end, _) in ends {
            starts.push(u32::try_from(end + 1).ok()?);
        }
        // The last one begins where the text ends.
        starts.pop();
        Some(Self { text, starts })
    }

    fn rows(&self, from: usize) -> impl Iterator<Item = Row<'_>> {
        self.starts[from..].iter().filter_map(|start| self.row(*start))
    }

    fn path(&self, start: u32) -> &str {
        self.text[start as usize..].split('\0').next().unwrap_or_default()
    }

    fn row(&self, start: u32) -> Option<Row<'_>> {
        let mut parts = self.text[start as usize..].split('\0');
        Some(Row { path: parts.next()?, what: parts.next()?, target: parts.next()? })
    }
}

fn push<const COUNT: usize>(text: &mut String, parts: [&str; COUNT]) {
    for part in parts {
        text.push_str(part);
        text.push('\0');
    }
}

/// Sorts a directory, and what is below it, before everything else that begins with its name.
pub(super) fn order(one: &str, other: &str) -> Ordering {
    let key = |byte: u8| if byte == b'/' { 0 } else { byte };
    one.bytes().map(key).cmp(other.bytes().map(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enough for several blocks.
    fn paths() -> Vec<String> {
        let mut paths: Vec<_> = (0..3000).map(|number| format!("d{}/{number:04}", number % 7)).collect();
        paths.sort_by(|one, other| order(one, other));
        paths
    }

    fn blocks(paths: &[String]) -> Blocks {
        Blocks::of(paths.iter().map(|path| Row { path, what: "f 0 0 0 0", target: "" })).unwrap()
    }

    fn unpacked(blocks: &Blocks) -> usize {
        blocks.blocks.iter().filter(|block| block.page.get().is_some()).count()
    }

    #[test]
    fn every_row_is_found_and_is_behind_those_before_it() {
        let paths = paths();
        let blocks = blocks(&paths);
        assert!(blocks.blocks.len() > 3);
        for (number, path) in paths.iter().enumerate() {
            assert_eq!(blocks.find(path).map(|row| row.path), Some(&**path));
            assert_eq!(blocks.find(&format!("{path}x")), None);
            let next = paths.get(number + 1).map(String::as_str);
            assert_eq!(blocks.behind(path).next().map(|row| row.path), next);
            assert_eq!(blocks.behind(&format!("{path}x")).next().map(|row| row.path), next);
        }
        assert_eq!(blocks.behind("").map(|row| row.path).collect::<Vec<_>>(), paths);
        assert_eq!((blocks.find(""), blocks.find("e"), blocks.behind("e").next()), (None, None, None));
    }

    #[test]
    fn only_the_block_is_unpacked_that_is_looked_into() {
        let paths = paths();
        let blocks = Blocks::from_bytes(blocks(&paths).bytes).unwrap();
        assert_eq!(unpacked(&blocks), 0);
        blocks.find(&paths[1000]).unwrap();
        assert_eq!(unpacked(&blocks), 1);
        assert!(blocks.behind("d0").nth(10).is_some());
        assert_eq!(unpacked(&blocks), 2);
    }

    #[test]
    fn no_damage_passes_unnoticed() {
        let bytes = blocks(&paths()).bytes;
        for position in (0..bytes.len()).step_by(17) {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x10;
            assert!(Blocks::from_bytes(damaged).is_none(), "at {position}");
            assert!(Blocks::from_bytes(bytes[..position].to_vec()).is_none(), "{position} bytes");
        }
        assert_eq!(Blocks::from_bytes(bytes.clone()).map(|blocks| blocks.bytes), Some(bytes));
    }

    #[test]
    fn rows_that_could_not_be_told_apart_are_refused() {
        let row = Row { path: "a\0b", what: "", target: "" };
        assert_eq!(Blocks::of([row].into_iter()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
