//! The results of commands: what goes to standard output, and the last words on standard error.

mod check;
pub mod deployment;
mod doctor;
pub mod function;
mod invocation;
pub mod local;
pub(super) mod logs;
pub mod many;
pub mod policy;

use serde_json::{Value, json};

use super::plan;
use super::style::Style;
use crate::domain::diagnosis::{Diagnosis, Tally};
use crate::domain::digest::Digest;
use crate::domain::function::Function;
use crate::domain::invocation::Invocation;
use crate::domain::log::LogSummary;
use crate::domain::plan::{Deployment, PlannedStep, PushedImage};
use crate::domain::size::ByteSize;
pub use check::{CheckView, StartView};
pub use local::LocalReport;
pub use policy::PolicyView;

/// What a command came to.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// `deploy`
    Deployment {
        /// What was done.
        deployment: Box<Deployment>,
        /// Commands to type next, each with what it does.
        next: Vec<NextStep>,
    },
    /// `plan`
    Plan {
        /// The function it is about.
        function: String,
        /// The steps.
        steps: Vec<PlannedStep>,
        /// Whether the plans of other functions are shown too, so that each needs its name.
        among_others: bool,
    },
    /// `build`
    Build {
        /// The manifest's digest.
        digest: Digest,
        /// Compressed bytes of all layers.
        compressed_size: u64,
        /// Number of layers.
        layers: usize,
        /// What it runs on: `linux/arm64`.
        platform: String,
    },
    /// `push`
    Push(PushedImage),
    /// `check`
    Check(Box<CheckView>),
    /// `check --rules`
    Rules,
    /// `watch`
    Watch(Box<Function>),
    /// `wake`
    Wake {
        /// The function.
        function: Box<Function>,
        /// Whether it was asleep, or on its way.
        woken: bool,
    },
    /// `status`
    Status {
        /// The function.
        function: Box<Function>,
        /// The commit its image says it was made from.
        source_commit: Option<String>,
    },
    /// `invoke`; the response itself is not a text, and shown by [`super::Output::response`].
    Invocation {
        /// As it was named.
        function: String,
        /// What it came to.
        invocation: Invocation,
    },
    /// `logs`, after the last line
    Logs {
        /// As it was named.
        function: String,
        /// What was shown.
        summary: LogSummary,
    },
    /// `policy show` and `policy ensure`
    Policy(PolicyView),
    /// `policy iam`
    CallerPolicy(Value),
    /// `doctor`: one thing it looked at.
    Diagnosis(Diagnosis),
    /// `doctor`: how many of each.
    Doctor(Tally),
    /// `local …`
    Local(LocalReport),
}

/// A command to type next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextStep {
    /// The whole command.
    pub command: String,
    /// What it does, in a few words.
    pub purpose: &'static str,
}

impl Outcome {
    /// The object that is the last line in JSON.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Deployment { deployment, .. } => deployment::to_json(deployment),
            Self::Plan { function, steps, .. } => json!({
                "reason": "plan", "function_name": function, "pending": plan::is_pending(steps),
                "steps": plan::to_json(steps),
            }),
            Self::Build { digest, compressed_size, layers, platform } => json!({
                "reason": "build", "image_digest": digest, "platform": platform, "layers": layers,
                "compressed_size": compressed_size,
            }),
            Self::Push(image) => json!({
                "reason": "push",
                "image_uri": deployment::image_uri(image),
                "image_digest": image.digest,
                "bytes_uploaded": image.transfer.bytes_uploaded,
                "layers_uploaded": image.transfer.layers_uploaded,
                "layers_reused": image.transfer.layers_reused,
            }),
            Self::Check(view) => view.to_json(),
            Self::Rules => check::rules_to_json(),
            Self::Watch(function) => function::to_json("watch", function),
            Self::Wake { function, woken } => function::wake_to_json(function, *woken),
            Self::Status { function, source_commit } => {
                function::status_to_json(function, source_commit.as_deref())
            }
            Self::Invocation { function, invocation } => invocation::to_json(function, invocation),
            Self::Logs { function, summary } => logs::to_json(function, summary),
            Self::Policy(view) => view.to_json(),
            Self::CallerPolicy(policy) => json!({ "reason": "caller-policy", "policy": policy }),
            Self::Diagnosis(diagnosis) => doctor::to_json(diagnosis),
            Self::Doctor(tally) => doctor::tally_to_json(tally),
            Self::Local(report) => report.to_json(),
        }
    }

    /// What goes to standard output for people and scripts.
    pub fn to_text(&self, style: &Style) -> String {
        match self {
            Self::Deployment { deployment, .. } => format!("{}\n", deployment.function_arn),
            Self::Plan { function, steps, among_others } => {
                let head =
                    if *among_others { format!("{}\n", style.strong(function)) } else { String::new() };
                format!("{head}{}", plan::block(steps, *style, true))
            }
            Self::Build { digest, .. } => format!("{digest}\n"),
            Self::Push(image) => format!("{}\n", deployment::image_uri(image)),
            Self::Check(view) => view.to_text(style),
            Self::Rules => check::rules(style),
            Self::Watch(function) | Self::Wake { function, .. } => format!("{}\n", function.arn),
            Self::Status { function, source_commit } => {
                function::block(function, source_commit.as_deref(), style)
            }
            Self::Invocation { .. } | Self::Logs { .. } | Self::Doctor(_) => String::new(),
            Self::Policy(view) => view.to_text(style),
            Self::CallerPolicy(policy) => format!("{policy:#}\n"),
            Self::Diagnosis(diagnosis) => doctor::to_text(diagnosis, style),
            Self::Local(report) => report.to_text(style),
        }
    }

    /// A few words for the case that a later part is interrupted.
    pub fn short(&self) -> Option<String> {
        match self {
            Self::Deployment { deployment, .. } => Some(format!("{} is deployed", deployment.function_name)),
            _ => None,
        }
    }

    /// The last words on standard error: what it came to and what to do next.
    pub fn epilogue(&self, style: &Style) -> String {
        match self {
            Self::Deployment { deployment, next } => deployment::epilogue(deployment, next, style),
            Self::Plan { steps, .. } if plan::is_pending(steps) => {
                let command = style.strong("lambdactl deploy");
                format!("\n{}: `{command}` with the same options takes them\n", plan::summary(steps))
            }
            Self::Plan { steps, .. } => format!("\n{}\n", plan::summary(steps)),
            Self::Build { compressed_size, layers, platform, .. } => {
                let layers = crate::domain::size::count(*layers, "layer");
                format!("built for {platform}: {layers}, {} compressed\n", ByteSize(*compressed_size))
            }
            Self::Push(image) => format!("{}\n", deployment::transfer(image)),
            Self::Check(view) => view.epilogue(style),
            Self::Rules => String::new(),
            Self::Watch(function) => {
                let status = super::words::status(&function.status);
                let head = format!("{} {} has settled: {status}\n", style.good("✓"), function.name);
                head + &function::advice(function, style)
            }
            Self::Wake { function, woken } => {
                let status = super::words::status(&function.status);
                let done = if *woken { "can be invoked" } else { "is awake already: nothing had to be done" };
                format!("{} {} {done}: {status}\n", style.good("✓"), function.name)
            }
            Self::Status { .. } | Self::Logs { .. } | Self::CallerPolicy(_) | Self::Diagnosis(_) => {
                String::new()
            }
            Self::Doctor(tally) => doctor::epilogue(tally, style),
            Self::Invocation { function, invocation } => invocation::epilogue(function, invocation),
            Self::Policy(view) => view.epilogue(),
            Self::Local(report) => report.epilogue(),
        }
    }
}
