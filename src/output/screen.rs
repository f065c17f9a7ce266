//! The two streams everything is written to. A reader that went away is not an error: the work
//! goes on and ends with its own exit code.

use std::fmt;
use std::io::{self, Write};

/// Owns standard output and standard error.
pub struct Screen {
    stdout: Stream,
    stderr: Stream,
}

struct Stream {
    sink: Box<dyn Write + Send>,
    /// Nobody reads any more (a closed pipe), or the stream cannot be written.
    closed: bool,
}

impl Stream {
    fn write(&mut self, bytes: &[u8]) {
        if self.closed || bytes.is_empty() {
            return;
        }
        let written = self.sink.write_all(bytes).and_then(|()| self.sink.flush());
        self.closed = written.is_err();
    }
}

impl Screen {
    /// The streams of this process.
    pub fn standard() -> Self {
        Self::new(Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// Any two streams.
    pub fn new(stdout: Box<dyn Write + Send>, stderr: Box<dyn Write + Send>) -> Self {
        let stream = |sink| Stream { sink, closed: false };
        Self { stdout: stream(stdout), stderr: stream(stderr) }
    }

    /// Writes a part of the result.
    pub fn out(&mut self, text: &str) {
        self.stdout.write(text.as_bytes());
    }

    /// Writes a part of the result that need not be text.
    pub fn out_bytes(&mut self, bytes: &[u8]) {
        self.stdout.write(bytes);
    }

    /// Whether anybody reads the result.
    pub fn is_read(&self) -> bool {
        !self.stdout.closed
    }

    /// Writes a part of the story.
    pub fn err(&mut self, text: &str) {
        self.stderr.write(text.as_bytes());
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen")
            .field("stdout_closed", &self.stdout.closed)
            .field("stderr_closed", &self.stderr.closed)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Pipe(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut inner = self.0.lock().unwrap();
            inner.1 += 1;
            if inner.1 > 1 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            inner.0.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_left_alone() {
        let pipe = Pipe::default();
        let mut screen = Screen::new(Box::new(pipe.clone()), Box::new(io::sink()));
        for _ in 0..5 {
            screen.out("line\n");
        }
        assert_eq!(*pipe.0.lock().unwrap(), (b"line\n".to_vec(), 2), "written to once after the break");
    }
}
