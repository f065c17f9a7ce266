//! What a function writes to its standard output and error, line by line, in bounded memory.
//!
//! Runners feed it; the environment's log reads the other end. A function that writes faster
//! than its log is read waits, as it would on a pipe.

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;

/// Lines that may wait.
const WAITING_LINES: usize = 1024;
/// A longer line is cut here, as CloudWatch Logs limits an event.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html>
const LONGEST_LINE: usize = 256 * 1024;

/// Takes the output of one process; cheap to clone.
#[derive(Clone, Debug)]
pub struct OutputSink {
    lines: mpsc::Sender<String>,
}

impl OutputSink {
    /// Makes a sink, and the end the lines come out of.
    pub fn new() -> (Self, mpsc::Receiver<String>) {
        let (lines, receiver) = mpsc::channel(WAITING_LINES);
        (Self { lines }, receiver)
    }

    /// Hands a line on, without its line break. Nobody may be interested any more.
    pub async fn line(&self, line: String) {
        let _gone = self.lines.send(line).await;
    }

    /// Reads `source` to its end, line by line.
    pub async fn copy(&self, mut source: impl AsyncRead + Unpin) {
        let (mut lines, mut piece) = (Lines::default(), vec![0; 16 * 1024]);
        while let Ok(count @ 1..) = source.read(&mut piece).await {
            for line in lines.push(&piece[..count]) {
                self.line(line).await;
            }
        }
        if let Some(line) = lines.rest() {
            self.line(line).await;
        }
    }
}

/// Makes lines of pieces.
#[derive(Debug, Default)]
pub struct Lines {
    unfinished: BytesMut,
}

impl Lines {
    /// Takes a piece and returns the lines it completes.
    pub fn push(&mut self, piece: &[u8]) -> Vec<String> {
        self.unfinished.extend_from_slice(piece);
        let mut lines = Vec::new();
        loop {
            let end = self.unfinished.iter().position(|byte| *byte == b'\n');
            let length = match end {
                Some(end) if end <= LONGEST_LINE => end,
                None if self.unfinished.len() < LONGEST_LINE => return lines,
                _ => LONGEST_LINE,
            };
            let line = self.unfinished.split_to(length);
            if end == Some(length) {
                let _line_break = self.unfinished.split_to(1);
            }
            lines.push(text(&line));
        }
    }

    /// What came after the last line break.
    pub fn rest(self) -> Option<String> {
        (!self.unfinished.is_empty()).then(|| text(&self.unfinished))
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_become_lines_and_the_last_needs_no_break() {
        let (sink, mut lines) = OutputSink::new();
        sink.copy(&b"one\r\ntwo\n\nthree"[..]).await;
        drop(sink);
        let mut found = Vec::new();
        while let Some(line) = lines.recv().await {
            found.push(line);
        }
        assert_eq!(found, ["one", "two", "", "three"]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut lines = Lines::default();
        let long = vec![b'x'; LONGEST_LINE + 10];
        let mut found = lines.push(&long);
        found.extend(lines.push(b"\nnext\n"));
        assert_eq!(found.iter().map(String::len).collect::<Vec<_>>(), [LONGEST_LINE, 10, 4]);
        assert_eq!(lines.rest(), None);
    }
}
