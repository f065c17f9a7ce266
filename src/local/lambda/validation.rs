//! The constraints of the API model, and the one message that names all that are broken.

use super::errors::Failure;

/// Collects broken constraints, in the words of AWS.
#[derive(Debug, Default)]
pub(super) struct Violations(Vec<String>);

impl Violations {
    /// Adds a broken constraint of `value` at the member `path`.
    pub(super) fn add(&mut self, value: impl std::fmt::Display, path: &str, constraint: &str) {
        self.0.push(format!("Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"));
    }

    /// Adds a broken constraint of a value AWS does not repeat.
    pub(super) fn add_masked(&mut self, path: &str, constraint: &str) {
        self.0.push(format!("Value at '{path}' failed to satisfy constraint: {constraint}"));
    }

    /// Notes a missing member.
    pub(super) fn missing(&mut self, path: &str) {
        self.0.push(format!("Value null at '{path}' failed to satisfy constraint: Member must not be null"));
    }

    /// Notes that `value` does not follow `pattern`.
    pub(super) fn pattern(&mut self, value: &str, path: &str, pattern: &str) {
        self.add(value, path, &format!("Member must satisfy regular expression pattern: {pattern}"));
    }

    /// Checks the number of characters.
    pub(super) fn length(&mut self, value: &str, path: &str, least: usize, most: usize) {
        let length = value.chars().count();
        if length < least {
            self.add(value, path, &format!("Member must have length greater than or equal to {least}"));
        } else if length > most {
            self.add(value, path, &format!("Member must have length less than or equal to {most}"));
        }
    }

    /// Checks the number of elements.
    pub(super) fn elements(&mut self, values: &[String], path: &str, least: usize, most: usize) {
        let shown = || format!("[{}]", values.join(", "));
        if values.len() < least {
            self.add(shown(), path, &format!("Member must have length greater than or equal to {least}"));
        } else if values.len() > most {
            self.add(shown(), path, &format!("Member must have length less than or equal to {most}"));
        }
    }

    /// Checks a number.
    pub(super) fn range(&mut self, value: i64, path: &str, least: i64, most: i64) {
        if value < least {
            self.add(value, path, &format!("Member must have value greater than or equal to {least}"));
        } else if value > most {
            self.add(value, path, &format!("Member must have value less than or equal to {most}"));
        }
    }

    /// Checks that `value` is one of `allowed`.
    pub(super) fn one_of(&mut self, value: &str, path: &str, allowed: &[&str]) {
        if !allowed.contains(&value) {
            let allowed = allowed.join(", ");
            self.add(value, path, &format!("Member must satisfy enum value set: [{allowed}]"));
        }
    }

    /// Checks `Architectures`: exactly one known one.
    pub(super) fn architectures(&mut self, values: &[String]) {
        self.elements(values, "architectures", 1, 1);
        if values.iter().any(|value| !matches!(value.as_str(), "x86_64" | "arm64")) {
            self.add(
                format!("[{}]", values.join(", ")),
                "architectures",
                "Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]",
            );
        }
    }

    /// Checks the ARN of an execution role.
    pub(super) fn role(&mut self, value: &str) {
        const PATTERN: &str = r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+";
        if !is_role_arn(value) {
            self.pattern(value, "role", PATTERN);
        }
    }

    /// Ends the checks: `N validation errors detected: …` where there is anything to report.
    pub(super) fn check(self) -> Result<(), Failure> {
        let number = self.0.len();
        if number == 0 {
            return Ok(());
        }
        let errors = if number == 1 { "error" } else { "errors" };
        Err(Failure::validation(format!("{number} validation {errors} detected: {}", self.0.join("; "))))
    }
}

fn is_role_arn(text: &str) -> bool {
    let mut parts = text.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (arn, partition, service, region, account, resource) =
        (next(), next(), next(), next(), next(), next());
    arn == "arn"
        && (partition.is_empty() || partition.starts_with("aws"))
        && (service, region) == ("iam", "")
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && resource.strip_prefix("role").is_some_and(|name| {
            name.trim_start_matches('/').bytes().next().is_some()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&b))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(check: impl FnOnce(&mut Violations)) -> String {
        let mut violations = Violations::default();
        check(&mut violations);
        violations.check().map_err(|failure| failure.message).err().unwrap_or_default()
    }

    #[test]
    fn broken_constraints_are_counted_and_told_as_aws_does() {
        assert_eq!(
            message(|v| v.role("r1")),
            r"1 validation error detected: Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"
        );
        assert_eq!(
            message(|v| v.architectures(&["x86_64".into(), "arm64".into()])),
            "1 validation error detected: Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: Member must have length less than or equal to 1"
        );
        let two = message(|v| {
            v.range(1, "timeout", 3, 900);
            v.range(100_000, "memorySize", 128, 32768);
        });
        assert!(two.starts_with("2 validation errors detected: Value '1' at 'timeout'"), "{two}");
        assert!(two.contains("; Value '100000' at 'memorySize' failed"), "{two}");
        assert_eq!(message(|v| v.role("arn:aws:iam::000000000000:role/service-role/x")), "");
    }
}
