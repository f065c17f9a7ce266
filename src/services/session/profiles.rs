//! The profiles of `~/.aws/config` and `~/.aws/credentials`, as far as they are named.

use std::borrow::Cow;

use aws_config::profile::{self, ProfileSet};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_types::os_shim_internal::{Env, Fs};

use crate::domain::nearest::nearest;

/// A profile that is named and that no file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownProfile {
    /// The name.
    pub name: String,
    /// The one that is meant most likely.
    pub nearest: Option<String>,
    /// All there are.
    pub known: Vec<String>,
}

impl UnknownProfile {
    /// What to do about it.
    pub(super) fn hint(&self) -> String {
        match (&self.nearest, &self.known[..]) {
            (Some(nearest), _) => {
                format!("did you mean `{nearest}`? `--profile` and `AWS_PROFILE` choose one")
            }
            (None, []) => {
                "`aws configure sso --profile NAME` or `aws configure --profile NAME` makes one".to_owned()
            }
            (None, known) => format!("`--profile` and `AWS_PROFILE` choose one of `{}`", known.join("`, `")),
        }
    }
}

/// Looks for the profile that is named here, else in `AWS_PROFILE`.
///
/// The SDK passes over one that does not exist, and its error is about whatever it tried last.
/// Files that cannot be read are left to the SDK, too.
pub(super) async fn unknown(named: Option<&str>) -> Option<UnknownProfile> {
    let named = named.map(|name| Cow::Owned(name.to_owned()));
    let profiles = profile::load(&Fs::real(), &Env::real(), &EnvConfigFiles::default(), named).await;
    look_for(&profiles.ok()?)
}

fn look_for(profiles: &ProfileSet) -> Option<UnknownProfile> {
    let name = profiles.selected_profile();
    // Nobody has to have written that one.
    if name == "default" || profiles.get_profile(name).is_some() {
        return None;
    }
    let mut known: Vec<String> = profiles.profiles().map(str::to_owned).collect();
    known.sort_unstable();
    let nearest = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
    Some(UnknownProfile { name: name.to_owned(), nearest, known })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn unknown(name: &'static str) -> Option<UnknownProfile> {
        let text = "[profile production]\nregion = eu-west-1\n[profile test]\nregion = eu-west-1\n";
        let env = Env::from_slice(&[("AWS_CONFIG_FILE", "config"), ("AWS_PROFILE", name)]);
        let fs = Fs::from_slice(&[("config", text)]);
        look_for(&profile::load(&fs, &env, &EnvConfigFiles::default(), None).await.unwrap())
    }

    #[tokio::test]
    async fn a_profile_that_does_not_exist_is_answered_with_those_that_do() {
        assert_eq!(unknown("production").await, None);
        assert_eq!(unknown("default").await, None);
        let hint = unknown("prodction").await.unwrap().hint();
        assert!(hint.contains("did you mean `production`?"), "{hint}");
        let hint = unknown("other").await.unwrap().hint();
        assert!(hint.contains("one of `production`, `test`"), "{hint}");
    }
}
