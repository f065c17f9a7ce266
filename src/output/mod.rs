//! Shows events and results: for people at a terminal, as plain lines, or as JSON.
//!
//! `cli` makes one [`Output`] a command, hands its [`Output::reporter`] to the work, and gives it
//! the result or the error at the end. Standard output is the result, standard error the story;
//! in JSON both are objects on standard output. The three renderers are pure: events and times
//! in, lines out ([`plain::Plain`], [`json::Json`], [`human::Human`]); only [`screen::Screen`]
//! writes.

mod findings;
pub mod human;
pub mod json;
mod layers;
mod live;
mod many;
pub mod mode;
pub mod plain;
pub mod plan;
pub mod progress;
pub mod report;
pub mod results;
pub mod sarif;
pub mod screen;
pub mod style;
mod ticker;
pub mod transfer;
pub mod words;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::finding::Finding;
use crate::domain::log::LogEvent;
use crate::domain::plan::Step;
use crate::event::{Event, Reporter, SharedReporter};
use human::Human;
use json::Json;
use live::LiveRegion;
pub use many::End;
use many::Many;
use mode::Mode;
use plain::Plain;
use progress::Progress;
use report::ErrorReport;
use results::many::OneResult;
use results::{Outcome, logs};
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
    /// Of the functions of which many are worked on at the same time.
    many: Many,
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
        let state = Mutex::new(State {
            screen,
            progress: Progress::default(),
            many: Many::default(),
            renderer,
            results: Vec::new(),
        });
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
        let State { screen, renderer, progress, results, .. } = &mut *state;
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

    /// Shows findings where results are objects, one a line; elsewhere they are the result itself.
    pub fn findings(&self, findings: &[Finding]) {
        let mut state = self.shared.lock();
        if let Renderer::Json(_) = state.renderer {
            findings.iter().for_each(|it| state.screen.out(&json::line(&findings::to_json(it))));
        }
    }

    /// Shows people what there is of a result, before the error that ends the command; in JSON the
    /// error stands in the result's place.
    pub fn result_so_far(&self, outcome: &Outcome) {
        let is_json = matches!(self.shared.lock().renderer, Renderer::Json(_));
        if !is_json {
            self.result(outcome);
        }
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

    /// Shows a piece of a response while it comes; false where it is to be part of the result, as
    /// in JSON.
    pub fn piece(&self, bytes: &[u8]) -> bool {
        let mut state = self.shared.lock();
        let State { screen, renderer, .. } = &mut *state;
        if matches!(renderer, Renderer::Json(_)) {
            return false;
        }
        clear(renderer);
        screen.out_bytes(bytes);
        true
    }

    /// Shows an event of a log on standard output; tells whether anybody reads it.
    pub fn log(&self, function: &str, event: &LogEvent) -> bool {
        let mut state = self.shared.lock();
        let State { screen, renderer, .. } = &mut *state;
        clear(renderer);
        let style = Style::new(self.shared.options.color_stdout);
        screen.out(&match renderer {
            Renderer::Json(_) => json::line(&logs::event_to_json(function, event)),
            _ => logs::event_to_text(event, &style),
        });
        screen.is_read()
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
            Renderer::Plain(_) => (plain::unfinished(progress, now), true, Style::new(false)),
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

    /// Says how many functions are worked on at the same time from here on.
    pub fn many(&self, functions: usize) {
        self.shared.lock().many = Many::of(functions);
    }

    /// Shows how one function of many ended: the work on it reports nothing more.
    pub fn one_of_many(&self, function: &str, end: &End) {
        let now = self.shared.now();
        let mut state = self.shared.lock();
        let State { screen, renderer, many, results, .. } = &mut *state;
        let build_was_shown = match renderer {
            Renderer::Human(human, _) => human.keeps_build_output(),
            Renderer::Plain(_) | Renderer::Json(_) => !self.shared.options.quiet,
        };
        let story = many.failure(function, now, build_was_shown);
        many.finish(function, end);
        match (&mut *renderer, end) {
            (Renderer::Json(_), _) => {}
            (Renderer::Plain(_), End::Done(text)) if !self.shared.options.quiet => {
                screen.err(&format!("{function}: {text}\n"));
            }
            (_, End::Done(_)) => {}
            (renderer, End::Failed(report)) => {
                let style = Style::new(self.shared.options.color_stderr);
                let text = format!("{story}{}", report.to_text(&style));
                match renderer {
                    Renderer::Human(_, live) => live.above(|| screen.err(&text)),
                    _ => screen.err(&text),
                }
            }
        }
        if let End::Done(_) = end {
            results.push(format!("{function} is deployed"));
        }
    }

    /// Shows what many functions came to: ARNs on standard output and a table on standard error,
    /// or an object for each.
    pub fn results(&self, results: &[OneResult], elapsed: Duration) {
        let mut state = self.shared.lock();
        let State { screen, renderer, .. } = &mut *state;
        if let Renderer::Json(_) = renderer {
            results.iter().for_each(|result| screen.out(&json::line(&result.to_json())));
            return;
        }
        clear(renderer);
        if !self.shared.options.quiet {
            screen.err(&results::many::table(
                results,
                elapsed,
                &Style::new(self.shared.options.color_stderr),
            ));
        }
        screen.out(
            &results.iter().filter_map(OneResult::arn).map(|arn| format!("{arn}\n")).collect::<String>(),
        );
    }

    /// The place of a function that failed among the results of others; people were told already.
    pub fn one_failed(&self, report: &ErrorReport) {
        let mut state = self.shared.lock();
        if let Renderer::Json(_) = state.renderer {
            state.screen.out(&json::line(&report.to_json()));
        }
    }

    /// What a step that is under way works on; `None` where it is not under way.
    pub fn under_way(&self, step: Step) -> Option<String> {
        let state = self.shared.lock();
        let running = state.progress.running.iter().find(|running| running.step == step);
        let one = running.map(|running| running.subject.as_str());
        one.or_else(|| state.many.watched(step)).map(str::to_owned)
    }

    /// In words, what has been done and what was under way; for those who interrupt.
    pub fn so_far(&self) -> String {
        let state = self.shared.lock();
        let parts = state.results.iter().cloned().chain([state.progress.summary(), state.many.summary()]);
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
        let State { screen, progress, many, renderer, .. } = &mut *state;
        match renderer {
            Renderer::Human(human, live) if many.is_under_way() => {
                live.show(&many.live(human, now, live.width(), live.height()));
            }
            Renderer::Human(human, live) => live.show(&human.live(progress, now, live.width())),
            Renderer::Plain(plain) if many.is_under_way() => screen.err(&many.heartbeat(plain, now)),
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

    fn report_of(&self, function: &str, event: Event) {
        let now = self.now();
        let mut state = self.lock();
        let State { screen, many, renderer, .. } = &mut *state;
        match renderer {
            _ if self.options.quiet => {}
            Renderer::Human(human, live) => {
                let text = many::human_lines(human, function, &event, live.width());
                if !text.is_empty() {
                    live.above(|| screen.err(&text));
                }
            }
            Renderer::Plain(plain) => screen.err(&many::prefixed(function, &plain.text(&event, now))),
            Renderer::Json(json) => screen.out(&json.text_of(Some(function), &event, now)),
        }
        many.apply(function, &event, now);
    }
}
