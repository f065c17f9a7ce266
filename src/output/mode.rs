//! Which of the three ways of showing things is used.

/// A way of showing things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For people at a terminal: live lines that clear themselves.
    Human,
    /// One line a transition, no control characters, nothing rewritten.
    Plain,
    /// One JSON object a line on standard output.
    Json,
}

impl Mode {
    /// Chooses where the user did not: `human` where standard error is a terminal that can move
    /// its cursor and nobody's continuous integration, else `plain`.
    pub fn choose(stderr_is_terminal: bool, dumb: bool, ci: bool) -> Self {
        if stderr_is_terminal && !dumb && !ci { Self::Human } else { Self::Plain }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_capable_terminal_outside_of_ci_is_for_people() {
        assert_eq!(Mode::choose(true, false, false), Mode::Human);
        for (terminal, dumb, ci) in [(false, false, false), (true, true, false), (true, false, true)] {
            assert_eq!(Mode::choose(terminal, dumb, ci), Mode::Plain);
        }
    }
}
