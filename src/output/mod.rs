//! Shows events and results: for people at a terminal, as plain lines, or as JSON.
//!
//! `cli` makes one [`Output`] a command, hands its [`Output::reporter`] to the work, and gives it
//! the result or the error at the end. Standard output is the result, standard error the story;
//! in JSON both are objects on standard output. The three renderers are pure: events and times
//! in, lines out ([`plain::Plain`], [`json::Json`], [`human::Human`]); only [`screen::Screen`]
//! writes.

pub mod human;
pub mod json;
mod live;
pub mod mode;
pub mod plain;
pub mod plan;
pub mod progress;
pub mod report;
pub mod results;
pub mod screen;
pub mod style;
mod ticker;
pub mod words;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::plan::Step;
use crate::event::{Event, Reporter, SharedReporter};
use human::Human;
use json::Json;
use live::LiveRegion;
use mode::Mode;
use plain::Plain;
use progress::Progress;
use report::ErrorReport;
use results::Outcome;
use screen::Screen;
use style::Style;
use ticker::Ticker;

/// How to show things; decided once, before the work begins.
#[derive(Clone, Debug)]
pub struct OutputOptions {
    /// For people, plain or JSON.
    pub mode: Mode,
    /// Only results and errors.
    pub quiet: bool,
    /// How often `-v` was given.
    pub verbosity: u8,
    /// Whether standard output may be coloured.
    pub color_stdout: bool,
    /// Whether standard error may be coloured.
    pub color_stderr: bool,
    /// Whether the terminal cannot move its cursor (`TERM=dumb`).
    pub dumb: bool,
    /// Columns to use instead of the terminal's (`COLUMNS`).
    pub columns: Option<usize>,
    /// Whether the plan is the command's result, so that it is not told as an event too.
    pub plan_is_result: bool,
}

/// The one place a command shows things through.
#[derive(Clone, Debug)]
pub struct Output {
    shared: Arc<Shared>,
    // Dropped with the last clone, which stops its thread before the screen goes.
    _ticker: Arc<Option<Ticker>>,
}

#[derive(Debug)]
struct Shared {
    options: OutputOptions,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    screen: Screen,
    progress: Progress,
    renderer: Renderer,
    /// What earlier parts of the command came to, in a few words each.
    results: Vec<String>,
}

#[derive(Debug)]
enum Renderer {
    Human(Human, LiveRegion),
    Plain(Plain),
    Json(Json),
}

impl Output {
    /// Makes the output on `screen`.
    pub fn new(options: OutputOptions, screen: Screen) -> Self {
        let style = Style::new(options.color_stderr);
        let (renderer, pace) = match options.mode {
            Mode::Human => {
                let live = LiveRegion::new(options.columns, options.dumb);
                (Renderer::Human(Human::new(style, options.verbosity), live), Some(live::PACE))
            }
            Mode::Plain => (Renderer::Plain(Plain::new(options.verbosity)), Some(plain::PACE)),
            Mode::Json => (Renderer::Json(Json::new(options.verbosity)), None),
        };
        let pace = pace.filter(|_| !options.quiet);
        let state =
            Mutex::new(State { screen, progress: Progress::default(), renderer, results: Vec::new() });
        let shared = Arc::new(Shared { options, started: Instant::now(), state });
        let ticker = pace.map(|pace| {
            let shared = Arc::downgrade(&shared);
            Ticker::start(pace, move || shared.upgrade().map(|shared| shared.tick()).is_some())
        });
        Self { shared, _ticker: Arc::new(ticker) }
    }

    /// What the work reports to.
    pub fn reporter(&self) -> SharedReporter {
        Arc::clone(&self.shared) as SharedReporter
    }

    /// Shows the result of the command (or of one of its parts).
    pub fn result(&self, outcome: &Outcome) {
        let mut state = self.shared.lock();
        let State { screen, renderer, progress, results } = &mut *state;
        match renderer {
            Renderer::Json(_) => screen.out(&json::line(&outcome.to_json())),
            Renderer::Plain(_) | Renderer::Human(..) => {
                clear(renderer);
                if !self.shared.options.quiet {
                    let style = Style::new(self.shared.options.color_stderr);
                    screen.err(&outcome.epilogue(&style));
                }
                screen.out(&outcome.to_text(&Style::new(self.shared.options.color_stdout)));
            }
        }
        // Several directories are deployed one after the other: the next starts afresh.
        *progress = Progress::default();
        results.extend(outcome.short());
    }

    /// Shows a text that is a result itself, such as a completion script.
    pub fn raw(&self, text: &str) {
        self.shared.lock().screen.out(text);
    }

    /// Shows a function's response as it came; in JSON it is part of the result. For people a
    /// line break follows, so that their prompt stands on its own line.
    pub fn response(&self, bytes: &[u8], for_people: bool) {
        let mut state = self.shared.lock();
        if matches!(state.renderer, Renderer::Json(_)) {
            return;
        }
        state.screen.out_bytes(bytes);
        if for_people && !bytes.is_empty() && !bytes.ends_with(b"\n") {
            state.screen.out("\n");
        }
    }

    /// Tells people something; neither an event nor a result. Says nothing in JSON or with `-q`.
    pub fn note(&self, text: &str) {
        let mut state = self.shared.lock();
        if !self.shared.options.quiet && !matches!(state.renderer, Renderer::Json(_)) {
            state.screen.err(&format!("{text}\n"));
        }
    }

    /// Shows what went wrong; nothing is shown after it.
    pub fn error(&self, report: &ErrorReport) {
        let mut state = self.shared.lock();
        let State { screen, renderer, progress, .. } = &mut *state;
        let (now, quiet) = (self.shared.now(), self.shared.options.quiet);
        let (story, build_was_shown, style) = match &mut *renderer {
            Renderer::Json(_) => return screen.out(&json::line(&report.to_json())),
            Renderer::Plain(plain) => (plain.failure(progress, now), true, Style::new(false)),
            Renderer::Human(human, _) => {
                let style = Style::new(self.shared.options.color_stderr);
                (human.failure(progress, now), human.keeps_build_output(), style)
            }
        };
        clear(renderer);
        if quiet || !build_was_shown {
            screen.err(&progress.build_output());
        }
        if !quiet {
            screen.err(&story);
        }
        screen.err(&report.to_text(&style));
        // Nothing may be drawn below the error.
        *progress = Progress::default();
    }

    /// What a step that is under way works on; `None` where it is not under way.
    pub fn under_way(&self, step: Step) -> Option<String> {
        let state = self.shared.lock();
        let running = state.progress.running.iter().find(|running| running.step == step);
        running.map(|running| running.subject.clone())
    }

    /// In words, what has been done and what was under way; for those who interrupt.
    pub fn so_far(&self) -> String {
        let state = self.shared.lock();
        let parts = state.results.iter().cloned().chain([state.progress.summary()]);
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
    }
}

fn clear(renderer: &mut Renderer) {
    if let Renderer::Human(_, live) = renderer {
        live.clear();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic while drawing must not hide the error that is reported next.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn tick(&self) {
        let now = self.now();
        let mut state = self.lock();
        let State { screen, progress, renderer, .. } = &mut *state;
        match renderer {
            Renderer::Human(human, live) => live.show(&human.live(progress, now, live.width())),
            Renderer::Plain(plain) => screen.err(&plain.heartbeat(progress, now)),
            Renderer::Json(_) => {}
        }
    }
}

impl Reporter for Shared {
    fn report(&self, event: Event) {
        let now = self.now();
        let mut state = self.lock();
        let State { screen, progress, renderer, .. } = &mut *state;
        let hidden =
            self.options.quiet || (self.options.plan_is_result && matches!(event, Event::Planned(_)));
        if hidden {
            progress.apply(&event, now);
            return;
        }
        match renderer {
            Renderer::Human(human, live) => {
                let text = human.text(&event, live.width());
                progress.apply(&event, now);
                if !text.is_empty() {
                    live.above(|| screen.err(&text));
                }
                live.show(&human.live(progress, now, live.width()));
            }
            Renderer::Plain(plain) => {
                let text = plain.text(&event, now);
                progress.apply(&event, now);
                screen.err(&text);
            }
            Renderer::Json(json) => {
                let text = json.text(&event, now);
                progress.apply(&event, now);
                screen.out(&text);
            }
        }
    }
}
