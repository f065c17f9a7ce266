//! The lines at the bottom of a terminal that change while work goes on, and clear themselves.

use std::io;
use std::time::Duration;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

/// How often the lines may change: ten times a second.
pub(super) const PACE: Duration = Duration::from_millis(100);

/// Columns that stay free at the right: a terminal echoes `^C` at the cursor, and where that
/// breaks the line, the line above can no longer be taken away.
pub(super) const FREE: usize = 2;

/// Draws lines on standard error and takes them away again; draws nothing where that is not a
/// terminal.
#[derive(Debug)]
pub(super) struct LiveRegion {
    columns: Option<usize>,
    terminal: Term,
    drawable: bool,
    bar: Option<ProgressBar>,
}

impl LiveRegion {
    /// Makes a region; nothing is ever drawn where the terminal is `dumb`.
    pub(super) fn new(columns: Option<usize>, dumb: bool) -> Self {
        let terminal = Term::buffered_stderr();
        Self { columns, drawable: terminal.is_term() && !dumb, terminal, bar: None }
    }

    /// Columns a line may have.
    pub(super) fn width(&self) -> usize {
        let terminal = usize::from(self.terminal.size().1);
        let width = match self.columns {
            // A `COLUMNS` that is too large would break every live line.
            Some(columns) if self.terminal.is_term() => columns.min(terminal),
            Some(columns) => columns,
            None => terminal,
        };
        width.clamp(20, 500)
    }

    /// Lines that can be shown at a time.
    pub(super) fn height(&self) -> usize {
        usize::from(self.terminal.size().0).max(3)
    }

    /// Shows `lines` instead of what is shown.
    pub(super) fn show(&mut self, lines: &[String]) {
        if lines.is_empty() {
            self.clear();
            return;
        }
        if !self.drawable {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let terminal = Box::new(Narrowed(self.terminal.clone()));
            let target = ProgressDrawTarget::term_like_with_hz(terminal, 10);
            let bar = ProgressBar::with_draw_target(None, target);
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            bar
        });
        bar.set_message(lines.join("\n"));
        bar.tick();
    }

    /// Runs `write`, which writes whole lines, above the live lines.
    pub(super) fn above(&self, write: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Takes the lines away.
    pub(super) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for LiveRegion {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A terminal whose last columns are not used.
#[derive(Debug)]
struct Narrowed(Term);

impl TermLike for Narrowed {
    fn width(&self) -> u16 {
        let free = u16::try_from(FREE).unwrap_or_default();
        self.0.size().1.saturating_sub(free).max(1)
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_left(n)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.0.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}
