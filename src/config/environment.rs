//! The four verbs of the command line for environment variables, and what they make of the
//! variables in the file.

use std::collections::{BTreeMap, BTreeSet};

use super::error::ConfigError;
use super::rules;
use crate::domain::secret::Secret;
use crate::domain::spec::EnvironmentSpec;

/// What the verbs said. Applied in the order of the members, whatever their order was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvironmentVerbs {
    /// `--clear-env-vars`: start from nothing; the file's variables do not count either.
    pub clear: bool,
    /// `--set-env-vars`: these, and no others.
    pub set: Option<BTreeMap<String, Secret>>,
    /// `--update-env-vars`: these as well.
    pub update: BTreeMap<String, Secret>,
    /// `--remove-env-vars`: not these.
    pub remove: BTreeSet<String>,
}

/// The most the variables may take together, names and values, in bytes.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const MAXIMUM: usize = 4096;

impl EnvironmentVerbs {
    /// Applies the verbs to the variables the file sets.
    pub(super) fn applied_to(&self, file: &BTreeMap<String, Secret>) -> Result<EnvironmentSpec, ConfigError> {
        let clear = self.clear || self.set.is_some();
        let mut set = if clear { BTreeMap::new() } else { file.clone() };
        set.extend(self.set.clone().unwrap_or_default());
        set.extend(self.update.clone());
        set.retain(|name, _| !self.remove.contains(name));
        for name in set.keys() {
            rules::variable_name(name).map_err(|problem| ConfigError::Environment { problem })?;
        }
        let size: usize = set.iter().map(|(name, value)| name.len() + value.expose().len()).sum();
        if size > MAXIMUM {
            return Err(ConfigError::Environment {
                problem: format!(
                    "names and values have {size} bytes together: at most {MAXIMUM} are allowed"
                ),
            });
        }
        Ok(EnvironmentSpec { clear, set, remove: self.remove.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, Secret> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect()
    }

    fn applied(verbs: &EnvironmentVerbs) -> (bool, BTreeMap<String, Secret>) {
        let spec = verbs.applied_to(&variables(&[("AA", "file"), ("BB", "file")])).unwrap();
        (spec.clear, spec.set)
    }

    #[test]
    fn without_verbs_the_file_is_set_and_the_others_stay() {
        assert_eq!(
            applied(&EnvironmentVerbs::default()),
            (false, variables(&[("AA", "file"), ("BB", "file")]))
        );
    }

    #[test]
    fn each_verb_does_what_its_name_says() {
        let set = EnvironmentVerbs { set: Some(variables(&[("CC", "flag")])), ..Default::default() };
        assert_eq!(applied(&set), (true, variables(&[("CC", "flag")])));

        let update = EnvironmentVerbs { update: variables(&[("BB", "flag")]), ..Default::default() };
        assert_eq!(applied(&update), (false, variables(&[("AA", "file"), ("BB", "flag")])));

        let remove = EnvironmentVerbs { remove: ["AA".to_owned()].into(), ..Default::default() };
        assert_eq!(applied(&remove), (false, variables(&[("BB", "file")])));

        let clear = EnvironmentVerbs { clear: true, ..Default::default() };
        assert_eq!(applied(&clear), (true, BTreeMap::new()));
    }

    #[test]
    fn verbs_work_together_in_a_fixed_order() {
        let verbs = EnvironmentVerbs {
            clear: true,
            set: Some(variables(&[("CC", "set"), ("DD", "set")])),
            update: variables(&[("DD", "update")]),
            remove: ["CC".to_owned()].into(),
        };
        assert_eq!(applied(&verbs), (true, variables(&[("DD", "update")])));
    }

    #[test]
    fn too_much_and_reserved_names_are_refused_without_showing_values() {
        let update = |name: &str, value: &str| {
            let verbs = EnvironmentVerbs { update: variables(&[(name, value)]), ..Default::default() };
            verbs.applied_to(&BTreeMap::new()).unwrap_err().to_string()
        };
        assert!(update("LARGE", &"x".repeat(4096)).contains("4101 bytes"));
        let reserved = update("AWS_REGION", "hunter2");
        assert!(reserved.contains("reserved") && !reserved.contains("hunter2"));
    }
}
