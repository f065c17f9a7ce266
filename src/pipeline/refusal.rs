//! Why the pipeline will not even begin: the change is impossible or unsafe, and nothing was
//! touched.

use crate::domain::function::FunctionName;
use crate::domain::platform::{Architecture, Platform};
use crate::domain::reference::{RegistryHost, RepositoryUri};

/// A change that is refused before anything is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Lambda pulls from its own region only.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/images-create.html>
    #[error(
        "{what} `{uri}` is in region `{region}`, but the function is in `{expected}`: Lambda pulls images from its own region only"
    )]
    AnotherRegion {
        /// `the repository` or `the image`.
        what: &'static str,
        /// As it was given.
        uri: String,
        /// Where it is.
        region: String,
        /// Where it would have to be.
        expected: String,
    },
    /// Lambda does not accept FIPS endpoints of ECR.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/images-create.html>
    #[error("{what} `{uri}` names a FIPS endpoint of ECR, which Lambda does not accept")]
    FipsHost {
        /// `the repository` or `the image`.
        what: &'static str,
        /// As it was given.
        uri: String,
    },
    /// Lambda is only known to accept the plain form of ECR's hosts.
    #[error("{what} `{uri}` names a dual-stack endpoint of ECR, which Lambda is not known to accept")]
    DualStackHost {
        /// `the repository` or `the image`.
        what: &'static str,
        /// As it was given.
        uri: String,
    },
    /// Lambda accepts images from ECR only.
    #[error("{what} `{uri}` is not in Amazon ECR, and Lambda accepts images from nowhere else")]
    NotEcr {
        /// `the repository` or `the image`.
        what: &'static str,
        /// As it was given.
        uri: String,
    },
    /// The local cloud has no access to AWS.
    #[error("{what} `{uri}` is in AWS, and the local cloud has no part in it")]
    NotLocal {
        /// `the repository` or `the image`.
        what: &'static str,
        /// As it was given.
        uri: String,
    },
    /// A registry on loopback that is not the one the API speaks of.
    #[error("the repository `{uri}` is not in the registry `{expected}` of this endpoint")]
    ForeignRegistry {
        /// As it was given.
        uri: RepositoryUri,
        /// The host in the API's `repositoryUri`.
        expected: RegistryHost,
    },
    /// The function holds a .zip archive, and no API turns it into an image function.
    #[error("function `{0}` is a .zip function, and AWS cannot turn it into one with a container image")]
    ArchiveFunction(FunctionName),
    /// The function is being deleted.
    #[error("function `{0}` is being deleted")]
    Deleting(FunctionName),
    /// The creation of the function failed, and no update mends that.
    #[error(
        "the creation of function `{function}` failed{}, and only deleting it and creating it anew helps",
        in_brackets(why)
    )]
    NeverActive {
        /// The function.
        function: FunctionName,
        /// Code and reason, as Lambda told them.
        why: String,
        /// What is lost with it, one line a thing.
        lost: Vec<String>,
    },
    /// The image is for another machine than the function.
    #[error("the image is for `{image}`, but the function {decided} `{wanted}`")]
    Architecture {
        /// What the image runs on.
        image: Platform,
        /// What the function runs on, or is to run on.
        wanted: Architecture,
        /// `is to run on` or `runs on`.
        decided: &'static str,
    },
    /// Lambda has no such machine.
    #[error("the image is for `{0}`, and Lambda runs `linux/amd64` and `linux/arm64` only")]
    Platform(Platform),
    /// A setting AWS would refuse, or one it keeps for itself.
    #[error("`{member}`: {why}")]
    Setting {
        /// As in `lambdactl.toml`.
        member: String,
        /// What is wrong with it.
        why: String,
    },
    /// The variables cannot be read, so that replacing them would lose them.
    #[error(
        "the environment variables of function `{function}` cannot be read, so a change of some would lose the others: {why}"
    )]
    UnreadableEnvironment {
        /// The function.
        function: FunctionName,
        /// What Lambda says.
        why: String,
    },
    /// A statement of the repository policy denies what Lambda needs.
    #[error(
        "the policy of repository `{repository}` keeps Lambda out: {by} denies it, and adding a statement cannot change that"
    )]
    PolicyDenies {
        /// The repository.
        repository: RepositoryUri,
        /// Which statement.
        by: String,
    },
}

impl Refusal {
    /// What to do instead.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::AnotherRegion { expected, region, .. } => vec![
                format!("use a repository in `{expected}`, or replicate the image there with ECR's cross-region replication"),
                format!("or deploy the function to `{region}` with `--region {region}`"),
            ],
            Self::FipsHost { .. } | Self::DualStackHost { .. } => vec![
                "write the plain form `ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME`".to_owned(),
            ],
            Self::NotEcr { .. } => vec![
                "name a repository of ECR, or only its name; an image from elsewhere can be the base of an assembled image or of a Dockerfile".to_owned(),
            ],
            Self::NotLocal { .. } => {
                vec!["with `--local`, give the repository by its name only, and images as `docker:`, `oci:` or `archive:`".to_owned()]
            }
            Self::ForeignRegistry { .. } => vec!["give the repository by its name only".to_owned()],
            Self::ArchiveFunction(name) => vec![
                "deploy under another name with `--function NAME`".to_owned(),
                format!(
                    "or delete it first (`aws lambda delete-function --function-name {name}`) and deploy again: its versions, aliases, URL, policy and event sources are lost with it"
                ),
            ],
            Self::Deleting(_) => vec!["wait until it is gone, then deploy again".to_owned()],
            Self::NeverActive { lost, .. } => {
                let again = "run the same command with `--yes`: it deletes the function and creates it anew, with the settings it has".to_owned();
                let loss = match lost.as_slice() {
                    [] => "nothing else belongs to it, so nothing is lost".to_owned(),
                    lost => format!("lost with it:\n  {}", lost.join("\n  ")),
                };
                vec![again, loss]
            }
            Self::Architecture { image, wanted, .. } => {
                let mut hints = vec![format!("build the image for `linux/{}`", wanted.oci())];
                if let Some(other) = Architecture::from_oci(&image.architecture) {
                    hints.push(format!("or change the function with `--architecture {other}`"));
                }
                hints
            }
            Self::Platform(_) => vec!["build the image with `--architecture x86_64` or `arm64`".to_owned()],
            Self::Setting { .. } => Vec::new(),
            Self::UnreadableEnvironment { .. } => vec![
                "the caller needs `kms:Decrypt` on the function's key; or replace all variables with `--set-env-vars`".to_owned(),
            ],
            Self::PolicyDenies { .. } => vec![
                "ask the owner of the repository to change that statement, or use another repository".to_owned(),
            ],
        }
    }
}

fn in_brackets(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(" ({why})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_out_of_an_archive_function_is_told() {
        let hints = Refusal::ArchiveFunction("hello".parse().unwrap()).hints().join("\n");
        assert!(
            hints.contains("--function")
                && hints.contains("aws lambda delete-function --function-name hello")
        );
    }

    #[test]
    fn everything_that_is_lost_with_a_function_is_named_before_it_is_deleted() {
        let refusal = |lost: &[&str]| Refusal::NeverActive {
            function: "hello".parse().unwrap(),
            why: "InvalidImage: no".to_owned(),
            lost: lost.iter().map(|text| (*text).to_owned()).collect(),
        };
        assert!(refusal(&[]).to_string().contains("failed (InvalidImage: no), and only"));
        assert!(refusal(&[]).hints()[1].contains("nothing is lost"));
        let hints = refusal(&["aliases: live", "reserved concurrency: 5"]).hints();
        assert!(hints[0].contains("`--yes`"), "{hints:?}");
        assert!(
            hints[1].contains("aliases: live") && hints[1].contains("reserved concurrency: 5"),
            "{hints:?}"
        );
    }

    #[test]
    fn a_mismatch_names_both_machines_and_both_ways_out() {
        let refusal = Refusal::Architecture {
            image: Platform::linux(Architecture::Arm64),
            wanted: Architecture::X86_64,
            decided: "runs on",
        };
        assert_eq!(refusal.to_string(), "the image is for `linux/arm64`, but the function runs on `x86_64`");
        let hints = refusal.hints().join("\n");
        assert!(hints.contains("linux/amd64") && hints.contains("--architecture arm64"), "{hints}");
    }
}
