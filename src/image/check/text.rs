//! Parts of a text that many share. The paths of a layer are read, kept and let go of in one
//! piece: there may be a hundred thousand, and each on its own would take more memory and time
//! than all else that is done with it.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// A part of a longer text. It compares, hashes and prints as that part.
#[derive(Clone)]
pub(super) struct Text {
    /// Empty until all its parts are there.
    whole: Arc<OnceLock<Box<str>>>,
    from: u32,
    to: u32,
}

impl Text {
    /// The text up to a byte, which is the border of a character; it shares the same memory.
    pub(super) fn up_to(&self, end: usize) -> Self {
        let length = end.min(self.len()) as u32;
        Self { to: self.from + length, ..self.clone() }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        let range = self.from as usize..self.to as usize;
        self.whole.get().and_then(|whole| whole.get(range)).unwrap_or_default()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Texts::default().add(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(other)
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, formatter)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, formatter)
    }
}

/// Texts that become parts of one. None of them can be read before this is dropped.
#[derive(Debug, Default)]
pub(super) struct Texts {
    growing: String,
    whole: Arc<OnceLock<Box<str>>>,
}

impl Texts {
    /// Adds a text.
    pub(super) fn add(&mut self, text: &str) -> Text {
        if u32::try_from(self.growing.len() + text.len()).is_err() {
            // The others are complete.
            *self = Self::default();
        }
        let from = self.growing.len();
        self.growing.push_str(text);
        self.part(from, text.len()).unwrap_or_else(|| "".into())
    }

    /// A part of what was added; `None` where there is none of that length.
    pub(super) fn part(&self, from: usize, length: usize) -> Option<Text> {
        let to = from.checked_add(length)?;
        self.growing.get(from..to)?;
        Some(Text { whole: self.whole.clone(), from: u32::try_from(from).ok()?, to: u32::try_from(to).ok()? })
    }
}

/// A text that is there, to be taken apart.
impl From<String> for Texts {
    fn from(text: String) -> Self {
        Self { growing: text, whole: Arc::default() }
    }
}

impl Drop for Texts {
    fn drop(&mut self) {
        let _ = self.whole.set(std::mem::take(&mut self.growing).into_boxed_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_what_was_added_and_outlive_what_they_were_added_to() {
        let mut texts = Texts::default();
        let (one, none, two) = (texts.add("usr/b\u{e4}r"), texts.add(""), texts.add("usr"));
        drop(texts);
        assert_eq!((&*one, &*none, &*two), ("usr/b\u{e4}r", "", "usr"));
        assert_eq!(one.up_to(3), two);
        assert_eq!(one.up_to(100), one);
        assert!(two < one && none < two);
        assert_eq!(format!("{one} {one:?}"), "usr/b\u{e4}r \"usr/b\u{e4}r\"");
        let own: [Text; 3] = ["usr".into(), String::from("usr").into(), String::new().into()];
        assert_eq!(own, [two.clone(), two, none]);
    }

    #[test]
    fn there_are_no_parts_beyond_the_end_or_within_a_character() {
        let texts = Texts::from(String::from("\u{e4}b"));
        assert!(texts.part(2, 1).is_some());
        for (from, length) in [(1, 1), (0, 1), (2, 2), (4, 0), (1, usize::MAX)] {
            assert!(texts.part(from, length).is_none(), "{from} {length}");
        }
    }
}
