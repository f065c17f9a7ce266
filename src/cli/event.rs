//! The event a function is called with: an option, a file, or standard input.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::de::IgnoredAny;

use super::context::Context;
use super::error::CommandError;
use crate::domain::invocation::LARGEST_EVENT;
use crate::domain::size::ByteSize;

/// Where the event comes from.
#[derive(Debug, Args)]
pub(super) struct EventArguments {
    /// The event [default: standard input, or {} where that is a terminal or empty]
    #[arg(long, value_name = "JSON", conflicts_with = "payload_file")]
    payload: Option<String>,

    /// Read the event from a file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    payload_file: Option<PathBuf>,

    /// What a client of the mobile SDK would send along
    #[arg(long, value_name = "JSON")]
    pub(super) client_context: Option<String>,
}

impl EventArguments {
    /// The event, which is JSON and has no more than `limit` bytes, as Lambda takes them for
    /// `kind`.
    pub(super) fn read(&self, context: &Context, limit: usize, kind: &str) -> Result<Vec<u8>, CommandError> {
        let payload = self.bytes(context)?;
        if payload.len() > limit {
            return Err(CommandError::Usage {
                message: format!(
                    "the event has {} bytes, and Lambda takes {limit} ({}) at most for {kind}",
                    payload.len(),
                    ByteSize(limit as u64)
                ),
                hints: vec!["put the data into S3, and send the name of the object".to_owned()],
            });
        }
        require_json("the event", &payload, "a text is JSON in double quotes: `--payload '\"text\"'`")?;
        if let Some(text) = &self.client_context {
            let example = "give an object, such as `--client-context '{\"custom\":{\"key\":\"value\"}}'`";
            require_json("--client-context", text.as_bytes(), example)?;
        }
        Ok(payload)
    }

    fn bytes(&self, context: &Context) -> Result<Vec<u8>, CommandError> {
        let from_file = self.payload_file.as_deref().filter(|path| *path != Path::new("-"));
        let bytes = match (&self.payload, from_file) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(path)) => std::fs::read(path).map_err(|error| CommandError::Usage {
                message: format!("reading `{}`: {error}", path.display()),
                hints: Vec::new(),
            })?,
            (None, None) if self.payload_file.is_none() && context.environment.reads_from_people() => {
                Vec::new()
            }
            (None, None) => {
                let mut bytes = Vec::new();
                // One byte more than is allowed tells enough.
                let mut input = std::io::stdin().lock().take(LARGEST_EVENT as u64 + 1);
                input.read_to_end(&mut bytes).map_err(|error| CommandError::Usage {
                    message: format!("reading standard input: {error}"),
                    hints: Vec::new(),
                })?;
                bytes
            }
        };
        Ok(if bytes.iter().all(u8::is_ascii_whitespace) { b"{}".to_vec() } else { bytes })
    }
}

fn require_json(what: &str, bytes: &[u8], hint: &str) -> Result<(), CommandError> {
    match serde_json::from_slice::<IgnoredAny>(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(CommandError::Usage {
            message: format!("{what} is not JSON: {error}"),
            hints: vec![hint.to_owned()],
        }),
    }
}
