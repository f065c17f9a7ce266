//! Reason codes of functions, in plain words, and what to do about each.
//!
//! AWS lists the codes without defining them; the meanings are read from their names and from
//! how they are seen in use. The set is open: a code that is not here has no hint of its own.
//! <https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html>

use crate::domain::function::{FunctionState, FunctionStatus};

/// One code: what it means, and what helps.
struct Reason {
    code: &'static str,
    meaning: &'static str,
    help: &'static str,
}

const fn reason(code: &'static str, meaning: &'static str, help: &'static str) -> Reason {
    Reason { code, meaning, help }
}

const AGAIN: &str = "run the same command again; if it persists, give the request to AWS support";
const QUOTA: &str = "try again later, or ask for a higher quota";
const KEY: &str =
    "check the KMS key of the function: it has to exist, be enabled, and let the caller and Lambda use it";
const FILE_SYSTEM: &str =
    "check the function's EFS mount target: same VPC and subnets, port 2049 open, access point present";
const START: &str = "run the image locally and read the function's log: its start fails";

const REASONS: &[Reason] = &[
    reason("Creating", "it is being created", "wait: `lambdactl watch` follows it"),
    reason("Restoring", "it is being re-created after it was idle", "wait: `lambdactl watch` follows it"),
    reason(
        "Idle",
        "it was not used for a while",
        "nothing is wrong: the next invocation or update re-activates it",
    ),
    reason(
        "ImageDeleted",
        "its image is gone from ECR",
        "deploy again: the image is pushed and the function updated; check the repository's lifecycle policy, which deletes images in use",
    ),
    reason(
        "ImageAccessDenied",
        "Lambda may not read its image",
        "run `lambdactl policy ensure`, check the key if the repository is encrypted with one, then deploy again",
    ),
    reason(
        "InvalidImage",
        "Lambda cannot use its image",
        "build it anew with gzip layers and a single platform, then deploy again; Lambda names one fault at a time",
    ),
    reason(
        "InvalidConfiguration",
        "its configuration is not valid",
        "correct the configuration and deploy again",
    ),
    reason(
        "InvalidRuntime",
        "its runtime is not valid",
        "image functions have no runtime: deploy the image under another name",
    ),
    reason(
        "InvalidZipFileException",
        "its archive is not valid",
        "this is a .zip function: repair it with the tool that made it",
    ),
    reason(
        "InsufficientRolePermissions",
        "its execution role lacks permissions",
        "if the role is new, run the same command again in a minute; else give it what the function's settings need, such as `AWSLambdaVPCAccessExecutionRole` in a VPC",
    ),
    reason("InternalError", "Lambda failed inside", AGAIN),
    reason("DependencyError", "a service Lambda depends on failed", AGAIN),
    reason("EniLimitExceeded", "the VPC has no network interfaces left", QUOTA),
    reason(
        "SubnetOutOfIPAddresses",
        "its subnets have no addresses left",
        "free addresses, or add subnets to the function's VPC settings",
    ),
    reason(
        "InvalidSubnet",
        "a subnet of its VPC settings is not valid",
        "correct the function's VPC settings",
    ),
    reason(
        "InvalidSecurityGroup",
        "a security group of its VPC settings is not valid",
        "correct the function's VPC settings",
    ),
    reason(
        "DisallowedByVpcEncryptionControl",
        "the VPC's encryption control forbids it",
        "correct the VPC's encryption control or the function's VPC settings",
    ),
    reason("KMSKeyAccessDenied", "the use of its key is denied", KEY),
    reason("KMSKeyNotFound", "its key does not exist", KEY),
    reason("InvalidStateKMSKey", "its key is not usable", KEY),
    reason("DisabledKMSKey", "its key is disabled", KEY),
    reason("EFSIOError", "its file system fails", FILE_SYSTEM),
    reason("EFSMountConnectivityError", "its file system cannot be reached", FILE_SYSTEM),
    reason("EFSMountFailure", "its file system cannot be mounted", FILE_SYSTEM),
    reason("EFSMountTimeout", "mounting its file system takes too long", FILE_SYSTEM),
    reason("FunctionError", "its start failed", START),
    reason(
        "FunctionError.InitTimeout",
        "its start takes too long",
        "make the start faster, or give the function more memory",
    ),
    reason("FunctionError.RuntimeInitError", "its runtime failed at the start", START),
    reason(
        "FunctionError.ExtensionInitError",
        "an extension failed at the start",
        "check the extensions in the image's `/opt/extensions`",
    ),
    reason(
        "FunctionError.InvalidEntryPoint",
        "its entry point cannot be run",
        "check ENTRYPOINT: an absolute path of an executable for the function's architecture",
    ),
    reason(
        "FunctionError.InvalidWorkingDirectory",
        "its working directory does not exist",
        "check WORKDIR and `working_directory`",
    ),
    reason(
        "FunctionError.PermissionDenied",
        "a file it starts with cannot be read or run",
        "make the files of the image readable for everyone, and the entry point executable",
    ),
    reason(
        "FunctionError.TooManyExtensions",
        "it has too many extensions",
        "take extensions out of the image",
    ),
    reason(
        "FunctionError.InitResourceExhausted",
        "its start runs out of memory or disk",
        "raise `memory_size` or `ephemeral_storage`",
    ),
    reason(
        "DrainingDurableExecutions",
        "durable executions are being drained",
        "wait: `lambdactl watch` follows it",
    ),
    reason("VcpuLimitExceeded", "the account has no vCPUs left", QUOTA),
    reason("CapacityProviderScalingLimitExceeded", "the capacity provider is at its limit", QUOTA),
    reason("InsufficientCapacity", "AWS has no capacity left for it", "try again later, or in other subnets"),
    reason("EC2RequestLimitExceeded", "EC2 asked to slow down", "try again in a minute"),
    reason("ServiceQuotaExceededException", "a quota is used up", QUOTA),
];

fn find(code: &str) -> Option<&'static Reason> {
    REASONS.iter().find(|reason| reason.code == code)
}

/// What a code means, in plain words; `None` for one that is not known yet.
pub fn meaning(code: &str) -> Option<&'static str> {
    find(code).map(|reason| reason.meaning)
}

/// What helps a function that settled in failure.
pub(super) fn hints(function: &str, status: &FunctionStatus) -> Vec<String> {
    let codes = [&status.state_reason_code, &status.last_update_status_reason_code];
    let mut hints: Vec<String> = Vec::new();
    for found in codes.into_iter().flatten().filter_map(|code| find(code)) {
        let hint = format!("{}: {}", found.meaning, found.help);
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    if status.state == Some(FunctionState::Failed) {
        hints.push(format!(
            "if deploying again does not help, delete the function (`aws lambda delete-function --function-name {function}`) and deploy it anew"
        ));
    }
    if hints.is_empty() {
        hints.push(format!("`lambdactl status {function}` shows all AWS tells about it"));
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_once_and_has_words() {
        for (index, reason) in REASONS.iter().enumerate() {
            assert!(!reason.meaning.is_empty() && !reason.help.is_empty(), "{}", reason.code);
            assert!(REASONS[index + 1..].iter().all(|other| other.code != reason.code), "{}", reason.code);
        }
        assert!(REASONS.len() >= 40);
    }

    #[test]
    fn both_codes_are_explained_and_unknown_ones_are_tolerated() {
        let status = |state: Option<&str>, update: Option<&str>| FunctionStatus {
            state: None,
            state_reason: None,
            state_reason_code: state.map(str::to_owned),
            last_update_status: None,
            last_update_status_reason: None,
            last_update_status_reason_code: update.map(str::to_owned),
        };
        let both = hints("hello", &status(Some("ImageDeleted"), Some("ImageAccessDenied")));
        assert!(both[0].contains("gone from ECR") && both[1].contains("policy ensure"), "{both:?}");
        assert_eq!(hints("hello", &status(Some("NewCode"), None)).len(), 1);
    }
}
