//! An error as it is shown; `cli::error` makes it from whatever failed.

use serde_json::{Value, json};

use super::json::extended;
use super::style::Style;
use super::words::clean_lines;

/// What failed, why, and what to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorReport {
    /// What failed, on which thing, and why.
    pub message: String,
    /// What lies below it, each cause once.
    pub causes: Vec<String>,
    /// What to type or change next.
    pub hints: Vec<String>,
    /// The code of the service that refused.
    pub code: Option<String>,
    /// The service's request id.
    pub request_id: Option<String>,
    /// The function it is about, where several are worked on.
    pub function: Option<String>,
    /// A permission the caller lacks: action, resource, and the statement that is missing.
    pub denied: Option<Value>,
}

impl ErrorReport {
    /// The object that is the last line in JSON.
    pub fn to_json(&self) -> Value {
        let optional =
            [("code", &self.code), ("request_id", &self.request_id), ("function_name", &self.function)];
        let optional =
            optional.into_iter().filter_map(|(name, text)| Some((name, Value::from(text.clone()?))));
        let optional = optional.chain(self.denied.clone().map(|denied| ("denied", denied))).collect();
        extended(
            json!({
                "reason": "error", "message": self.message, "causes": self.causes, "hints": self.hints,
            }),
            optional,
        )
    }

    /// The lines for people and logs.
    pub fn to_text(&self, style: &Style) -> String {
        let function = self.function.as_ref().map(|function| format!("{function}: ")).unwrap_or_default();
        let mut text = format!("{} {function}{}\n", style.bad("error:"), clean_lines(&self.message));
        for cause in &self.causes {
            text += &format!("Caused by: {}\n", clean_lines(cause));
        }
        let said = format!("{}{}", self.message, self.causes.concat());
        let missing = |text: &&String| !said.contains(text.as_str());
        let code = self.code.as_ref().filter(missing).map(|code| format!("code {code}"));
        let id = self.request_id.as_ref().filter(missing).map(|id| format!("request id {id}"));
        let service: Vec<_> = [code, id].into_iter().flatten().collect();
        if !service.is_empty() {
            text += &format!("The service said: {}\n", service.join(", "));
        }
        for hint in &self.hints {
            // Further lines of a hint (a statement to hand on) stand below its first.
            text += &format!("{} {}\n", style.hint("hint:"), clean_lines(hint));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_words_are_kept_and_said_once() {
        let report = ErrorReport {
            message: "creating `hello`: CreateFunction: AccessDeniedException: no (request id r-1)"
                .to_owned(),
            causes: vec!["deeper".to_owned()],
            hints: vec!["allow it\n{\n  \"a\": 1\n}".to_owned()],
            code: Some("AccessDeniedException".to_owned()),
            request_id: Some("r-2".to_owned()),
            function: None,
            ..ErrorReport::default()
        };
        assert_eq!(
            report.to_text(&Style::new(false)),
            "error: creating `hello`: CreateFunction: AccessDeniedException: no (request id r-1)\n\
             Caused by: deeper\nThe service said: request id r-2\nhint: allow it\n{\n  \"a\": 1\n}\n"
        );
        assert_eq!(report.to_json()["request_id"], "r-2");
        let bare = ErrorReport { message: "m".to_owned(), ..ErrorReport::default() }.to_json();
        assert_eq!(bare.to_string(), r#"{"reason":"error","message":"m","causes":[],"hints":[]}"#);
    }
}
