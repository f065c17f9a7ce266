//! The lines at the bottom of a terminal that change while work goes on, and clear themselves.

use std::time::{Duration, Instant};

use console::Term;

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
    /// Buffered, so that what is taken away and what comes instead appear at once.
    terminal: Term,
    drawable: bool,
    /// The lines on the screen; the cursor stands at the end of the last.
    shown: Vec<String>,
    drawn: Option<Instant>,
}

impl LiveRegion {
    /// Makes a region; nothing is ever drawn where the terminal is `dumb`.
    pub(super) fn new(columns: Option<usize>, dumb: bool) -> Self {
        let terminal = Term::buffered_stderr();
        let drawable = terminal.is_term() && !dumb;
        Self { columns, terminal, drawable, shown: Vec::new(), drawn: None }
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
        usize::from(self.terminal.size().0).saturating_sub(1).max(1)
    }

    /// Shows `lines` instead of what is shown.
    pub(super) fn show(&mut self, lines: &[String]) {
        if lines.is_empty() {
            self.clear();
            return;
        }
        if !self.drawable || self.drawn.is_some_and(|drawn| drawn.elapsed() < PACE) {
            return;
        }
        self.take_away();
        // More lines than the terminal has could not be taken away again.
        self.shown = lines[lines.len().saturating_sub(self.height())..].to_vec();
        self.draw();
        self.drawn = Some(Instant::now());
    }

    /// Runs `write`, which writes whole lines, above the live lines.
    pub(super) fn above(&self, write: impl FnOnce()) {
        self.take_away();
        // A terminal that is gone is noticed by whoever writes what matters.
        let _ = self.terminal.flush();
        write();
        self.draw();
    }

    /// Takes the lines away.
    pub(super) fn clear(&mut self) {
        self.take_away();
        let _ = self.terminal.flush();
        self.shown.clear();
        self.drawn = None;
    }

    fn take_away(&self) {
        if let Some(above) = self.shown.len().checked_sub(1) {
            let _ = self.terminal.move_cursor_up(above);
            let _ = self.terminal.write_str("\r");
            let _ = self.terminal.clear_to_end_of_screen();
        }
    }

    fn draw(&self) {
        if !self.shown.is_empty() {
            let _ = self.terminal.write_str(&self.shown.join("\r\n"));
            let _ = self.terminal.flush();
        }
    }
}

impl Drop for LiveRegion {
    fn drop(&mut self) {
        self.clear();
    }
}
