//! States and reason codes of functions, in plain words, and what to do about each.
//!
//! AWS lists the codes without defining them; the meanings are read from their names and from
//! how they are seen in use. The set is open: a code that is not here has no words of its own.
//! `output` shows them beside AWS's own words, and the pipeline's errors hint with them.
//! <https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html>

use std::time::SystemTime;

use super::function::{Function, FunctionState, FunctionStatus, LastUpdateStatus};

/// One code: what it means, and what helps.
struct Reason {
    code: &'static str,
    meaning: &'static str,
    help: &'static str,
}

const fn reason(code: &'static str, meaning: &'static str, help: &'static str) -> Reason {
    Reason { code, meaning, help }
}

/// What a status means, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// In plain words: `it was not used for a while`.
    pub meaning: String,
    /// What helps, most useful first; never empty.
    pub next: Vec<String>,
}

const WAIT: &str = "wait: `lambdactl watch {function}` follows it";
const AGAIN: &str = "run the same command again; if it persists, give the request to AWS support";
const QUOTA: &str = "try again later, or ask for a higher quota";
const KEY: &str =
    "check the KMS key of the function: it has to exist, be enabled, and let the caller and Lambda use it";
const FILE_SYSTEM: &str =
    "check the function's EFS mount target: same VPC and subnets, port 2049 open, access point present";
const START: &str = "run the image locally and read the function's log: its start fails";

/// Every code of the API model, by what it means.
const REASONS: &[Reason] = &[
    reason("Creating", "it is being created", "wait: `lambdactl watch {function}` follows it"),
    reason(
        "Restoring",
        "it is being re-created after it was idle",
        "wait: `lambdactl watch {function}` follows it",
    ),
    reason(
        "Idle",
        "it was not used for a while",
        "nothing is wrong: `lambdactl wake {function}` re-activates it, and so does the next deployment; the first invocation would fail",
    ),
    reason(
        "ImageDeleted",
        "its image is gone from ECR",
        "deploy again: the image is pushed and the function updated; check the repository's lifecycle policy, which deletes images without asking whether a function uses them",
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
        "wait: `lambdactl watch {function}` follows it",
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

/// Every code that is known.
pub fn codes() -> impl Iterator<Item = &'static str> {
    REASONS.iter().map(|reason| reason.code)
}

/// Tells whether a code says that the function is on its way, and not that anything is wrong.
pub fn is_transition(code: &str) -> bool {
    matches!(code, "Creating" | "Restoring" | "DrainingDurableExecutions")
}

/// What the state alone means, and what helps.
fn of_state(status: &FunctionStatus) -> Option<(&'static str, &'static str)> {
    use FunctionState as State;
    use LastUpdateStatus as Update;
    const MEND: &str = "correct what the reason says, then deploy again";
    Some(match (status.state.as_ref()?, status.last_update_status.as_ref()) {
        (State::Pending, None) => ("it is being created, and cannot be invoked or changed yet", WAIT),
        (State::Pending, Some(_)) => {
            ("it is being made ready again, and cannot be invoked or changed yet", WAIT)
        }
        (State::Failed, None) => (
            "its creation failed, and it never was active",
            "correct what the reason says, then `lambdactl deploy --yes` deletes it and creates it anew",
        ),
        (State::Failed, Some(_)) => ("it failed, and cannot be invoked", MEND),
        (State::Inactive, Some(Update::Failed)) => ("it is inactive, and its last update failed", MEND),
        (State::Inactive, _) if status.went_bad() => ("it is inactive, and cannot be invoked", MEND),
        (State::Inactive, _) => (
            "it was not used for a while",
            "`lambdactl wake {function}` re-activates it, and so does the next deployment; the first invocation would fail",
        ),
        (State::Deactivating, _) => ("its managed instances are being taken away", WAIT),
        (State::Deactivated, _) => (
            "it has no managed instances, and cannot be invoked",
            "deploy again, or raise the least number of instances of its capacity provider",
        ),
        (State::ActiveNonInvocable, _) => (
            "it is ready, but only its published versions can be invoked",
            "publish a version: `aws lambda publish-version --function-name {function}`",
        ),
        (State::Deleting, _) => ("it is being deleted", "wait until it is gone, then deploy it anew"),
        (State::Active, Some(Update::Failed)) => {
            ("its last update failed, and its former code stays live", MEND)
        }
        (State::Active, Some(Update::InProgress)) => {
            ("an update is being made live; until then its former code answers", WAIT)
        }
        (State::Active, Some(Update::Successful) | None) => return None,
        (State::Active, Some(Update::Other(_))) | (State::Other(_), _) => (
            "Lambda is in a state that this version of lambdactl does not know",
            "`lambdactl watch {function}` follows it; AWS's documentation of function states tells more",
        ),
    })
}

/// What the status of a function means and what to do next; `None` where all is well.
///
/// What AWS gave no words for has ours; a code that is not known yet leaves it at the state's.
pub fn explain(function: &str, status: &FunctionStatus) -> Option<Explanation> {
    let state = of_state(status);
    let codes = [&status.state_reason_code, &status.last_update_status_reason_code];
    let mut reasons: Vec<&Reason> = Vec::new();
    for reason in codes.into_iter().flatten().filter_map(|code| find(code)) {
        // `Creating` only repeats what the state says.
        if !reasons.iter().any(|other| other.code == reason.code) && reason.code != "Creating" {
            reasons.push(reason);
        }
    }
    let (meaning, help) = match (state, reasons.as_slice()) {
        (None, []) => return None,
        // Idleness is all there is to say of an inactive function that nothing is wrong with.
        (Some((meaning, help)), [only]) if only.code == "Idle" && !status.went_bad() => {
            (meaning.to_owned(), help)
        }
        (state, reasons) => {
            let meanings: Vec<_> = reasons.iter().map(|reason| reason.meaning).collect();
            let (meaning, help) = state.unzip();
            let parts: Vec<_> = meaning
                .into_iter()
                .map(str::to_owned)
                .chain((!meanings.is_empty()).then(|| meanings.join("; ")))
                .collect();
            (parts.join(": "), help.unwrap_or_default())
        }
    };
    let mut next: Vec<&str> = reasons.iter().map(|reason| reason.help).collect();
    // What its reason asks for comes before what always helps; of two ways to wait, one is enough.
    let says_more = next.is_empty() || status.never_was_active();
    if says_more && !help.is_empty() && !next.contains(&help) {
        next.push(help);
    }
    if codes.into_iter().flatten().any(|code| find(code).is_none()) {
        next.push("`lambdactl status {function}` shows all AWS tells about it");
    }
    let next = next.into_iter().map(|text| text.replace("{function}", function)).collect();
    Some(Explanation { meaning, next })
}

/// As [`explain`], where the time is known: a function can be Pending for too long.
pub fn explain_now(function: &Function, now: SystemTime) -> Option<Explanation> {
    let mut explanation = explain(function.name.as_str(), &function.status)?;
    if function.is_stuck(now) {
        explanation.meaning = "its creation is stuck: it has been Pending for more than 6 minutes".to_owned();
        explanation.next = vec![unstick(function.name.as_str())];
    }
    Some(explanation)
}

/// How to get a function out of Pending: a call that fails, and what mends it then.
pub fn unstick(function: &str) -> String {
    format!(
        "any update moves it to Failed (`aws lambda update-function-configuration --function-name {function} --timeout 3`); then `lambdactl deploy --yes` deletes it and creates it anew"
    )
}

#[cfg(test)]
mod tests {
    use aws_sdk_lambda::types;

    use super::*;

    fn status(
        state: &str,
        code: Option<&str>,
        update: Option<&str>,
        update_code: Option<&str>,
    ) -> FunctionStatus {
        FunctionStatus {
            state: Some(state.into()),
            state_reason: None,
            state_reason_code: code.map(str::to_owned),
            last_update_status: update.map(Into::into),
            last_update_status_reason: None,
            last_update_status_reason_code: update_code.map(str::to_owned),
        }
    }

    #[test]
    fn every_code_is_listed_once_and_has_words() {
        for (index, reason) in REASONS.iter().enumerate() {
            assert!(!reason.meaning.is_empty() && !reason.help.is_empty(), "{}", reason.code);
            assert!(REASONS[index + 1..].iter().all(|other| other.code != reason.code), "{}", reason.code);
        }
    }

    #[test]
    fn every_code_of_the_api_model_has_a_meaning_and_a_next_step() {
        let (states, updates) =
            (types::StateReasonCode::values(), types::LastUpdateStatusReasonCode::values());
        assert!(states.len() >= 38 && updates.len() >= 34, "the model still has its codes");
        for code in states {
            for state in ["Pending", "Inactive", "Failed"] {
                let told = explain("hello", &status(state, Some(code), None, None)).unwrap();
                assert!(!told.meaning.is_empty() && !told.next.is_empty(), "{state} {code}");
                assert!(told.next.iter().all(|text| !text.contains('{')), "{told:?}");
            }
            assert!(meaning(code).is_some(), "`{code}` has no words");
        }
        for code in updates {
            assert!(meaning(code).is_some(), "`{code}` has no words");
            let told = explain("hello", &status("Active", None, Some("Failed"), Some(code))).unwrap();
            assert!(told.meaning.starts_with("its last update failed") && !told.next.is_empty(), "{code}");
        }
    }

    #[test]
    fn every_state_of_the_api_model_is_explained_unless_all_is_well() {
        for state in types::State::values() {
            for update in types::LastUpdateStatus::values().iter().copied().map(Some).chain([None]) {
                let told = explain("hello", &status(state, None, update, None));
                let is_well = *state == "Active" && matches!(update, None | Some("Successful"));
                assert_eq!(told.is_none(), is_well, "{state} {update:?}");
                let Some(told) = told else { continue };
                assert!(!told.meaning.contains("does not know"), "{state} {update:?} is known");
                assert!(!told.next.is_empty(), "{state} {update:?}");
            }
        }
        assert!(explain("hello", &status("Dreaming", None, None, None)).is_some());
    }

    #[test]
    fn what_to_type_next_depends_on_the_state() {
        for (status, words) in [
            (status("Inactive", Some("Idle"), Some("Successful"), None), "`lambdactl wake hello`"),
            (status("Inactive", None, Some("Successful"), None), "`lambdactl wake hello`"),
            (status("Failed", Some("InvalidImage"), None, None), "`lambdactl deploy --yes`"),
            (status("Inactive", Some("ImageDeleted"), Some("Successful"), None), "the image is pushed"),
            (
                status("Failed", Some("ImageAccessDenied"), Some("Successful"), None),
                "`lambdactl policy ensure`",
            ),
            (status("Pending", Some("Creating"), None, None), "`lambdactl watch hello`"),
            (status("Active", None, Some("InProgress"), Some("Creating")), "`lambdactl watch hello`"),
        ] {
            let told = explain("hello", &status).unwrap();
            assert!(told.next.join("\n").contains(words), "{status:?}: {told:?}");
        }
        let mended =
            explain("hello", &status("Failed", Some("ImageDeleted"), Some("Successful"), None)).unwrap();
        assert!(
            !mended.next.join("").contains("--yes"),
            "it was active once, so nothing is deleted: {mended:?}"
        );
    }

    #[test]
    fn both_codes_are_explained_and_unknown_ones_are_tolerated() {
        let both = explain(
            "hello",
            &status("Inactive", Some("ImageDeleted"), Some("Failed"), Some("ImageAccessDenied")),
        )
        .unwrap();
        assert!(both.meaning.contains("gone from ECR") && both.meaning.contains("may not read"), "{both:?}");
        assert!(both.next[0].contains("pushed") && both.next[1].contains("policy ensure"), "{both:?}");
        let unknown = explain("hello", &status("Failed", Some("NewCode"), Some("Successful"), None)).unwrap();
        assert!(unknown.next[1].contains("lambdactl status hello"), "{unknown:?}");
    }
}
