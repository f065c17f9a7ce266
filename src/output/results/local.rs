//! What the commands of the local cloud show.

use serde_json::{Value, json};

use crate::domain::size::ByteSize;
use crate::domain::size::count;
use crate::output::style::Style;

/// The result of one of the commands of the local cloud.
#[derive(Clone, Debug)]
pub enum LocalReport {
    /// `local serve`: what to export to talk to it.
    Serving {
        /// Its endpoint.
        endpoint: String,
        /// Names and values to export, the endpoint first.
        exports: Vec<(&'static str, String)>,
    },
    /// `local status`
    Status {
        /// Its directory.
        directory: String,
        /// The endpoint of a running server.
        endpoint: Option<String>,
        /// Bytes of all blobs.
        blob_bytes: u64,
        /// Its functions.
        functions: Vec<LocalFunctionRow>,
        /// Its repositories.
        repositories: Vec<LocalRepositoryRow>,
    },
    /// `local url`
    Url {
        /// As it was named.
        function: String,
        /// Where it answers HTTP.
        url: String,
    },
    /// `local fail`
    Fail {
        /// The function.
        function: String,
        /// Its region.
        region: String,
        /// The reason code; `None` where changes end well again.
        code: Option<String>,
        /// Whether the function shows it already.
        now: bool,
    },
    /// `local idle`
    Idle {
        /// The function.
        function: String,
        /// Its region.
        region: String,
        /// The command that wakes it.
        wake: String,
    },
    /// `local reset`
    Reset {
        /// What was wiped.
        directory: String,
    },
}

/// A function of the local cloud.
#[derive(Clone, Debug)]
pub struct LocalFunctionRow {
    /// Its region.
    pub region: String,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: String,
    /// The digest of its image.
    pub image_digest: String,
    /// Where it answers HTTP.
    pub urls: Vec<String>,
}

/// A repository of the local cloud.
#[derive(Clone, Debug)]
pub struct LocalRepositoryRow {
    /// Its region.
    pub region: String,
    /// Its name.
    pub name: String,
    /// How many manifests it holds.
    pub images: usize,
}

impl LocalReport {
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Serving { endpoint, exports } => json!({
                "reason": "local-serving",
                "endpoint": endpoint,
                "environment": exports.iter().map(|(n, v)| ((*n).to_owned(), Value::from(v.clone())))
                    .collect::<serde_json::Map<_, _>>(),
            }),
            Self::Status { directory, endpoint, blob_bytes, functions, repositories } => json!({
                "reason": "local-status",
                "directory": directory,
                "endpoint": endpoint,
                "blob_bytes": blob_bytes,
                "functions": functions.iter().map(|function| json!({
                    "region": function.region, "name": function.name, "state": function.state,
                    "image_digest": function.image_digest, "urls": function.urls,
                })).collect::<Vec<_>>(),
                "repositories": repositories.iter().map(|repository| json!({
                    "region": repository.region, "name": repository.name, "images": repository.images,
                })).collect::<Vec<_>>(),
            }),
            Self::Url { function, url } => {
                json!({ "reason": "local-url", "function_name": function, "url": url })
            }
            Self::Fail { function, region, code, now } => json!({
                "reason": "local-fail", "function_name": function, "region": region,
                "state_reason_code": code, "now": now,
            }),
            Self::Idle { function, region, .. } => {
                json!({ "reason": "local-idle", "function_name": function, "region": region })
            }
            Self::Reset { directory } => json!({ "reason": "local-reset", "directory": directory }),
        }
    }

    pub(super) fn to_text(&self, style: &Style) -> String {
        match self {
            Self::Serving { exports, .. } => {
                exports.iter().map(|(name, value)| format!("export {name}={value}\n")).collect()
            }
            Self::Status { directory, endpoint, blob_bytes, functions, repositories } => {
                let server = endpoint.as_deref().unwrap_or("not running");
                let mut text = format!("{}\n", style.strong("Local cloud"));
                for (label, value) in [
                    ("directory", directory.as_str()),
                    ("server", server),
                    ("blobs", &ByteSize(*blob_bytes).to_string()),
                ] {
                    text += &format!("  {label:10}  {value}\n");
                }
                let function = |f: &LocalFunctionRow| {
                    [f.region.clone(), f.name.clone(), f.state.clone(), f.image_digest.clone()]
                };
                text += &table("Functions", functions.iter().map(function), style);
                let urls = functions
                    .iter()
                    .flat_map(|function| function.urls.iter().map(move |url| (function, url)));
                let url = |(f, url): (&LocalFunctionRow, &String)| {
                    [f.region.clone(), f.name.clone(), url.clone(), String::new()]
                };
                if functions.iter().any(|function| !function.urls.is_empty()) {
                    text += &table("URLs", urls.map(url), style);
                }
                let repository = |r: &LocalRepositoryRow| {
                    [r.region.clone(), r.name.clone(), count(r.images, "image"), String::new()]
                };
                text += &table("Repositories", repositories.iter().map(repository), style);
                text
            }
            Self::Url { url, .. } => format!("{url}\n"),
            Self::Fail { .. } | Self::Idle { .. } | Self::Reset { .. } => String::new(),
        }
    }

    pub(super) fn epilogue(&self) -> String {
        match self {
            Self::Serving { endpoint, .. } => {
                format!("the local cloud listens on {endpoint}; Ctrl-C ends it, its state stays\n")
            }
            Self::Status { .. } | Self::Url { .. } => String::new(),
            Self::Fail { function, code: None, .. } => {
                format!("the next change of {function} ends as it should\n")
            }
            Self::Fail { function, code: Some(code), now: true, .. } => {
                format!("{function} shows {code} from now on\n")
            }
            Self::Fail { function, code: Some(code), now: false, .. } => {
                format!("the next creation or update of {function} ends in Failed ({code}), once\n")
            }
            Self::Idle { function, wake, .. } => {
                format!("{function} is idle: its next invocation fails and wakes it, and so does `{wake}`\n")
            }
            Self::Reset { directory } => format!("wiped {directory}\n"),
        }
    }
}

fn table(title: &str, rows: impl Iterator<Item = [String; 4]>, style: &Style) -> String {
    let rows: Vec<_> = rows.collect();
    let mut text = format!("{}\n", style.strong(title));
    if rows.is_empty() {
        return text + "  (none)\n";
    }
    let widths: Vec<usize> =
        (0..4).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or_default()).collect();
    for row in rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text += &format!("  {}\n", cells.join("  ").trim_end());
    }
    text
}
