//! Colours. They only ever repeat what a word or a mark says already.

use console::Style as Paint;

/// Colours text, or leaves it alone.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    enabled: bool,
}

impl Style {
    /// Makes a style that colours where `enabled`.
    pub fn new(enabled: bool) -> Self {
        Self { enabled }
    }

    fn paint(self, paint: Paint, text: &str) -> String {
        if self.enabled { paint.force_styling(true).apply_to(text).to_string() } else { text.to_owned() }
    }

    /// Success.
    pub fn good(self, text: &str) -> String {
        self.paint(Paint::new().green(), text)
    }

    /// Failure.
    pub fn bad(self, text: &str) -> String {
        self.paint(Paint::new().red().bold(), text)
    }

    /// Something to look at.
    pub fn warn(self, text: &str) -> String {
        self.paint(Paint::new().yellow(), text)
    }

    /// Something to act on.
    pub fn hint(self, text: &str) -> String {
        self.paint(Paint::new().cyan(), text)
    }

    /// Less important.
    pub fn dim(self, text: &str) -> String {
        self.paint(Paint::new().dim(), text)
    }

    /// More important.
    pub fn strong(self, text: &str) -> String {
        self.paint(Paint::new().bold(), text)
    }
}
