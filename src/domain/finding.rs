//! What a check of an image finds: which rule is broken, how bad that is, exactly where, why
//! Lambda cares, and what mends it.
//!
//! `image::check` makes findings, the pipeline decides what they mean for a deployment, and
//! `output` shows them.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::digest::DiffId;
pub use super::rule::{Rule, UnknownRule};
use super::size::count;

/// How many places of one finding are kept; the others are counted.
pub const MOST_PLACES: usize = 20;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know; nothing has to be done.
    Note,
    /// Probably a mistake.
    Warning,
    /// The function cannot work like this: Lambda refuses the image, or every call fails.
    Error,
}

impl Severity {
    /// The word in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A layer, as people and programs find it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerPlace {
    /// Its number, the lowest being 1.
    pub number: usize,
    /// The digest of what is in it.
    pub diff_id: DiffId,
}

/// Where something was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The layer, where it is in one.
    pub layer: Option<LayerPlace>,
    /// An absolute path in the image.
    pub path: Option<String>,
    /// A member of the image's configuration or manifest (`config.Entrypoint`), or a setting of
    /// `lambdactl.toml` (`function.image_config.command`).
    pub field: Option<String>,
}

impl Place {
    /// A member of a document, or a setting.
    pub fn field(name: impl Into<String>) -> Self {
        Self { field: Some(name.into()), ..Self::default() }
    }

    /// A layer as a whole.
    pub fn layer(number: usize, diff_id: DiffId) -> Self {
        Self { layer: Some(LayerPlace { number, diff_id }), ..Self::default() }
    }

    /// A path whose layer does not matter, or is not known.
    pub fn path(path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..Self::default() }
    }

    /// The same place, at a path in it.
    #[must_use]
    pub fn at(self, path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..self }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layer =
            self.layer.as_ref().map(|layer| format!("layer {} ({})", layer.number, layer.diff_id.0.short()));
        let path = self.path.as_ref().map(|path| format!("`{path}`"));
        let field = self.field.as_ref().map(|field| format!("`{field}`"));
        let inside: Vec<String> = [path, layer].into_iter().flatten().collect();
        let parts: Vec<String> = [inside.join(" in "), field.unwrap_or_default()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        f.write_str(&parts.join(", from "))
    }
}

/// One rule that an image breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which rule.
    pub rule: Rule,
    /// How bad it is here; some rules can be broken in a harmless way too.
    pub severity: Severity,
    /// What was found, with names.
    pub message: String,
    /// Where, the most telling first; at most [`MOST_PLACES`].
    pub places: Vec<Place>,
    /// How many places there are altogether.
    pub count: usize,
    /// What mends it.
    pub fix: String,
    /// The last lines the program printed, where it was started.
    #[serde(default)]
    pub output: Vec<String>,
}

impl Finding {
    /// A finding at one place, with the rule's own severity and remedy.
    pub fn new(rule: Rule, message: impl Into<String>, place: Place) -> Self {
        Self {
            rule,
            severity: rule.severity(),
            message: message.into(),
            places: vec![place],
            count: 1,
            fix: rule.fix().to_owned(),
            output: Vec::new(),
        }
    }

    /// The same at several places.
    #[must_use]
    pub fn at_all(self, places: impl IntoIterator<Item = Place>) -> Self {
        let mut places: Vec<Place> = places.into_iter().collect();
        let count = places.len();
        places.truncate(MOST_PLACES);
        Self { places, count, ..self }
    }

    /// The same, with a severity of its own.
    #[must_use]
    pub fn as_bad_as(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    /// The same, with a remedy of its own.
    #[must_use]
    pub fn mended_by(self, fix: impl Into<String>) -> Self {
        Self { fix: fix.into(), ..self }
    }

    /// The same, with what the program printed.
    #[must_use]
    pub fn printing(self, output: Vec<String>) -> Self {
        Self { output, ..self }
    }

    /// Why Lambda cares.
    pub fn why(&self) -> &'static str {
        self.rule.why()
    }
}

/// What a check came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// Rules that are broken and were turned off.
    pub allowed: BTreeSet<Rule>,
    /// How many layers the image has.
    pub layers: usize,
    /// Layers that were not read, because they are not on this machine.
    pub unread: Vec<LayerPlace>,
    /// Uncompressed bytes of all layers that were read.
    pub size: u64,
}

impl CheckReport {
    /// Sorts what was found, and takes out what is turned off.
    pub fn new(findings: Vec<Finding>, allow: &BTreeSet<Rule>) -> Self {
        let mut report = Self::default();
        report.add(findings, allow);
        report
    }

    /// Adds what was found later, in the same way.
    pub fn add(&mut self, findings: impl IntoIterator<Item = Finding>, allow: &BTreeSet<Rule>) {
        for finding in findings {
            if finding.rule.can_be_allowed() && allow.contains(&finding.rule) {
                self.allowed.insert(finding.rule);
            } else {
                self.findings.push(finding);
            }
        }
        // Stable: what was found first stays first among equals.
        self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    }

    /// How many findings are as bad as this.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// How many there are of each kind: `1 error, 2 warnings`.
    pub fn summary(&self) -> String {
        let counts = [Severity::Error, Severity::Warning, Severity::Note].map(|severity| {
            let number = self.count(severity);
            (number > 0).then(|| count(number, severity.as_str()))
        });
        let counts: Vec<String> = counts.into_iter().flatten().collect();
        if counts.is_empty() { "no findings".to_owned() } else { counts.join(", ") }
    }

    /// Those that make a deployment pointless.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::Digest;

    #[test]
    fn places_are_named_from_the_inside_out() {
        let layer = Place::layer(3, DiffId(Digest::of(b"x")));
        let short = Digest::of(b"x").short();
        assert_eq!(layer.clone().at("/app/x").to_string(), format!("`/app/x` in layer 3 ({short})"));
        assert_eq!(layer.to_string(), format!("layer 3 ({short})"));
        assert_eq!(Place::field("config.User").to_string(), "`config.User`");
        let both = Place::field("config.Entrypoint").at("/x").to_string();
        assert_eq!(both, "`/x`, from `config.Entrypoint`");
    }

    #[test]
    fn the_worst_comes_first_and_what_is_allowed_is_left_out_and_told() {
        let finding = |rule: Rule| Finding::new(rule, "m", Place::default());
        let found = vec![
            finding(Rule::UserIgnored),
            finding(Rule::MissingParent),
            finding(Rule::NoRuntimeClient),
            finding(Rule::Platform),
        ];
        let allow = [Rule::NoRuntimeClient, Rule::Platform, Rule::DeletedFiles].into();
        let report = CheckReport::new(found, &allow);
        let rules: Vec<Rule> = report.findings.iter().map(|finding| finding.rule).collect();
        // An image for another machine cannot be made right by wishing.
        assert_eq!(rules, [Rule::MissingParent, Rule::Platform, Rule::UserIgnored]);
        assert_eq!(report.allowed, [Rule::NoRuntimeClient].into());
        assert_eq!((report.count(Severity::Error), report.errors().count()), (2, 2));
    }

    #[test]
    fn many_places_are_counted_and_few_are_kept() {
        let places = (0..100).map(|number| Place::path(format!("/{number}")));
        let finding = Finding::new(Rule::UnreadableCode, "m", Place::default()).at_all(places);
        assert_eq!((finding.places.len(), finding.count), (MOST_PLACES, 100));
    }
}
