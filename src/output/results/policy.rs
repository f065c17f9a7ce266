//! A repository's policy, what it means for Lambda, and what the caller needs.

use serde_json::{Value, json};

use crate::output::style::Style;
use crate::output::words::{clean, clean_lines};

/// What `policy show` and `policy ensure` show.
#[derive(Clone, Debug)]
pub struct PolicyView {
    /// The repository's URI.
    pub repository: String,
    /// The policy as it is now.
    pub text: Option<String>,
    /// What each of its statements says.
    pub in_words: Vec<String>,
    /// For each account: whether Lambda may pull for its functions, and why, or why not.
    pub judgements: Vec<(String, bool, String)>,
    /// The statements that let Lambda pull, for the repository's owner.
    pub statements: String,
    /// Whether it was changed.
    pub changed: bool,
    /// Whether it was asked to be as it should (`policy ensure`).
    pub ensured: bool,
    /// The least IAM policy of whoever deploys.
    pub caller_policy: Value,
    /// The command that mends it.
    pub mend: String,
}

impl PolicyView {
    fn policy(&self) -> Value {
        self.text.as_deref().map_or(Value::Null, document)
    }

    fn allows_lambda(&self) -> bool {
        self.judgements.iter().all(|(_, allows, _)| *allows)
    }

    /// The reasons, in one text; with the accounts where there are several.
    fn explanation(&self) -> String {
        match self.judgements.as_slice() {
            [(_, _, only)] => only.clone(),
            several => {
                let each = several.iter().map(|(account, _, why)| format!("account `{account}`: {why}"));
                each.collect::<Vec<_>>().join("; ")
            }
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let accounts = self.judgements.iter().map(|(account, allows, why)| {
            json!({ "account": account, "allows_lambda": allows, "explanation": why })
        });
        json!({
            "reason": "policy",
            "repository": self.repository,
            "allows_lambda": self.allows_lambda(),
            "explanation": self.explanation(),
            "accounts": accounts.collect::<Vec<_>>(),
            "changed": self.changed,
            "policy": self.policy(),
            "policy_in_words": self.in_words,
            "statements": document(&self.statements),
            "caller_policy": self.caller_policy,
        })
    }

    pub(super) fn to_text(&self, style: &Style) -> String {
        let several = self.judgements.len() > 1;
        let verdicts: String = self
            .judgements
            .iter()
            .map(|(account, allows, why)| {
                let of = if several { format!(" for `{account}`") } else { String::new() };
                let verdict = match allows {
                    true => style.good(&format!("Lambda may pull{of}")),
                    false => style.bad(&format!("Lambda may not pull{of}")),
                };
                format!("  {verdict}: {}\n", clean(why))
            })
            .collect();
        let in_words: String = self.in_words.iter().map(|text| format!("  {}\n", clean(text))).collect();
        let policy = match &self.text {
            Some(_) => format!("{:#}", self.policy()),
            None => "(none)".to_owned(),
        };
        let mut text = format!(
            "{}\n{verdicts}\n{}\n{in_words}{policy}\n",
            style.strong(&clean(&self.repository)),
            style.strong("Repository policy"),
        );
        if !self.ensured {
            text += &format!(
                "\n{}\n{:#}\n",
                style.strong("Least IAM policy of whoever deploys"),
                self.caller_policy
            );
        }
        text
    }

    pub(super) fn epilogue(&self) -> String {
        match (self.ensured, self.changed, self.allows_lambda()) {
            (true, true, _) => "the policy was changed; every other statement is as it was\n".to_owned(),
            (true, false, _) => "nothing had to be changed\n".to_owned(),
            (false, _, false) => format!(
                "to let Lambda pull:\n  {}\nor hand this to the repository's owner:\n{}\n",
                self.mend,
                clean_lines(&self.statements)
            ),
            (false, _, true) => String::new(),
        }
    }
}

/// A text that should be JSON; shown as it is where it is not.
fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}
