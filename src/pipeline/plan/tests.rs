//! The plan as a table: what is there, what is wanted, what has to be done.

use serde_json::json;

use super::*;
use crate::domain::function::{FunctionStatus, PackageType};
use crate::domain::plan::{Change, Planned};
use crate::domain::secret::Secret;
use crate::domain::spec::{
    AssembledSpec, BaseImage, EnvironmentSpec, FunctionSpec, ImageConfigSpec, ImageSpec, RepositoryLocation,
    RepositorySpec, RoleSpec,
};
use crate::pipeline::observe::{ObservedPolicy, ObservedRepository, ObservedRole};
use crate::services::ecr::Repository;
use crate::services::iam::Role;
use crate::services::lambda::{Belongings, ConfigurationUpdate, FoundFunction};
use crate::services::sts::CallerIdentity;

const ROLE: &str = "arn:aws:iam::123456789012:role/hello";
const URI: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/hello";

/// A specification that names nothing but what it must.
pub(in crate::pipeline) fn spec() -> DeploySpec {
    DeploySpec {
        allow: Default::default(),
        compression: Default::default(),
        directory: ".".into(),
        function: FunctionSpec {
            name: "hello".parse().unwrap(),
            role: None,
            architecture: None,
            memory_size: None,
            timeout: None,
            ephemeral_storage: None,
            description: None,
            environment: EnvironmentSpec::default(),
            image_config: ImageConfigSpec::default(),
            tags: Default::default(),
        },
        build_command: None,
        image: ImageSpec::Assembled(AssembledSpec {
            base: BaseImage::Scratch,
            files: Vec::new(),
            entry_point: None,
            command: None,
            working_directory: None,
            environment: Default::default(),
            labels: Default::default(),
        }),
        repository: RepositorySpec {
            location: RepositoryLocation::Name("hello".parse().unwrap()),
            create: true,
        },
    }
}

fn image() -> PlannedImage {
    PlannedImage {
        digest: Digest::of(b"image"),
        platform: Platform::linux(Architecture::X86_64),
        is_there: true,
        layers: Vec::new(),
    }
}

fn image_uri() -> String {
    format!("{URI}@{}", Digest::of(b"image"))
}

/// A function that runs the image already.
pub(in crate::pipeline) fn found() -> FoundFunction {
    let status = FunctionStatus {
        state: Some("Active".into()),
        last_update_status: Some("Successful".into()),
        ..FunctionStatus::default()
    };
    FoundFunction {
        function: crate::domain::function::Function {
            name: "hello".parse().unwrap(),
            arn: "arn:aws:lambda:eu-west-1:123456789012:function:hello".to_owned(),
            version: "$LATEST".to_owned(),
            package_type: PackageType::Image,
            architecture: Some(Architecture::X86_64),
            role: ROLE.to_owned(),
            description: String::new(),
            memory_size: 128,
            timeout: 3,
            ephemeral_storage: 512,
            environment: [("OLD".to_owned(), Secret::new("kept"))].into(),
            snap_start: false,
            file_systems: Vec::new(),
            image_config: Default::default(),
            status,
            image_digest: Some(Digest::of(b"image")),
            image_uri: Some(image_uri()),
            resolved_image_uri: Some(image_uri()),
            revision_id: Some("r1".to_owned()),
            tags: Some([("team".to_owned(), "search".to_owned())].into()),
            last_modified: None,
        },
        environment_error: None,
    }
}

fn sufficient_policy() -> String {
    json!({"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "ecr:*",
    }})
    .to_string()
}

fn observed() -> Observed {
    Observed {
        caller: CallerIdentity {
            account: "123456789012".to_owned(),
            arn: "arn:aws:iam::123456789012:user/ci".to_owned(),
        },
        region: "eu-west-1".to_owned(),
        function: Some(found()),
        belongings: None,
        repository: ObservedRepository::Found(Repository {
            uri: URI.parse().unwrap(),
            arn: "arn:aws:ecr:eu-west-1:123456789012:repository/hello".to_owned(),
            account: "123456789012".to_owned(),
        }),
        policy: ObservedPolicy::Text(Some(sufficient_policy())),
        role: ObservedRole::Unnamed,
    }
}

fn known_role(arn: &str) -> ObservedRole {
    ObservedRole::Known(Role { arn: arn.to_owned(), trust: None })
}

fn plan(spec: &DeploySpec, observed: &Observed) -> Result<DeployPlan, PipelineError> {
    DeployPlan::between(spec, &image(), observed, false)
}

/// The plan in short: `step action path path …` a line, without what is unchanged.
fn told(plan: &DeployPlan) -> Vec<String> {
    let changed = plan.steps.iter().filter(|step| step.action != Action::Unchanged);
    changed
        .map(|planned| {
            let paths: Vec<_> = planned.changes.iter().map(|change| change.path.as_str()).collect();
            format!("{} {:?} {}", planned.step, planned.action, paths.join(" ")).trim_end().to_owned()
        })
        .collect()
}

fn changes_of(plan: &DeployPlan, step: Step) -> Vec<Change> {
    plan.step(step).unwrap().changes.clone()
}

#[test]
fn what_is_as_wanted_is_left_alone() {
    let plan = plan(&spec(), &observed()).unwrap();
    assert!(plan.is_unchanged(), "{:?}", plan.steps);
    let FunctionPlan::Update(changes) = &plan.function else { panic!() };
    assert!(changes.configuration.is_empty() && changes.code.is_none() && changes.tags.is_empty());
}

#[test]
fn naming_what_is_there_changes_nothing() {
    let mut spec = spec();
    spec.function.role = Some(RoleSpec::Name("hello".to_owned()));
    spec.function.memory_size = Some(128);
    spec.function.timeout = Some(3);
    spec.function.ephemeral_storage = Some(512);
    spec.function.description = Some(String::new());
    spec.function.architecture = Some(Architecture::X86_64);
    spec.function.environment.set = [("OLD".to_owned(), Secret::new("kept"))].into();
    spec.function.tags = [("team".to_owned(), "search".to_owned())].into();
    let observed = Observed { role: known_role(ROLE), ..observed() };
    assert!(plan(&spec, &observed).unwrap().is_unchanged());
}

#[test]
fn only_what_differs_is_sent_and_replaced_members_are_complete() {
    let mut spec = spec();
    spec.function.memory_size = Some(512);
    spec.function.timeout = Some(3);
    spec.function.environment.set = [("NEW".to_owned(), Secret::new("hunter2"))].into();
    spec.function.image_config.command = Some(vec!["app.handler".to_owned()]);
    let mut observed = observed();
    observed.function.as_mut().unwrap().function.image_config.entry_point = vec!["/entry".to_owned()];
    let plan = plan(&spec, &observed).unwrap();
    assert_eq!(told(&plan), ["configuration Update memory_size environment.NEW image_config.command"]);
    let FunctionPlan::Update(FunctionChanges { configuration, code: None, .. }) = &plan.function else {
        panic!("{:?}", plan.function)
    };
    let overrides = configuration.image_config.clone().unwrap();
    assert_eq!(
        (overrides.entry_point, overrides.command),
        (vec!["/entry".to_owned()], vec!["app.handler".to_owned()])
    );
    assert_eq!(configuration.environment.as_ref().unwrap().len(), 2);
    let expected = ConfigurationUpdate {
        memory_size: Some(512),
        environment: configuration.environment.clone(),
        image_config: configuration.image_config.clone(),
        ..ConfigurationUpdate::default()
    };
    assert_eq!(*configuration, expected);
}

#[test]
fn values_of_variables_are_never_in_a_plan() {
    let mut spec = spec();
    spec.function.environment = EnvironmentSpec {
        clear: false,
        set: [("OLD".to_owned(), Secret::new("hunter2")), ("NEW".to_owned(), Secret::new("hunter3"))].into(),
        remove: Default::default(),
    };
    let plan = plan(&spec, &observed()).unwrap();
    let text = format!("{:?}", plan.steps);
    assert!(!text.contains("hunter") && !text.contains("kept"), "{text}");
    assert_eq!(
        changes_of(&plan, Step::Configuration),
        [Change::new("environment.NEW", json!(null), "***"), Change::new("environment.OLD", "***", "***"),]
    );
}

#[test]
fn another_image_another_repository_or_another_machine_is_new_code() {
    let mut other = observed();
    let function = &mut other.function.as_mut().unwrap().function;
    function.resolved_image_uri = Some(format!("{URI}@{}", Digest::of(b"other")));
    function.image_uri = function.resolved_image_uri.clone();
    assert_eq!(told(&plan(&spec(), &other).unwrap()), ["code Update image"]);

    let mut moved = observed();
    let function = &mut moved.function.as_mut().unwrap().function;
    let elsewhere = image_uri().replace("/hello@", "/old@");
    (function.resolved_image_uri, function.image_uri) = (Some(elsewhere.clone()), Some(elsewhere));
    assert_eq!(told(&plan(&spec(), &moved).unwrap()), ["code Update image"]);

    let mut arm = observed();
    arm.function.as_mut().unwrap().function.architecture = Some(Architecture::Arm64);
    let mut wanted = spec();
    wanted.function.architecture = Some(Architecture::X86_64);
    assert_eq!(told(&plan(&wanted, &arm).unwrap()), ["code Update architecture"]);
}

#[test]
fn an_image_for_another_machine_is_refused_with_both_values() {
    let mut arm = observed();
    arm.function.as_mut().unwrap().function.architecture = Some(Architecture::Arm64);
    let refused = plan(&spec(), &arm).unwrap_err();
    assert!(matches!(&refused, PipelineError::Refused(Refusal::Architecture { decided: "runs on", .. })));
    let mut wanted = spec();
    wanted.function.architecture = Some(Architecture::Arm64);
    assert!(refused.to_string().contains("linux/amd64") && refused.to_string().contains("arm64"));
    assert!(matches!(
        plan(&wanted, &observed()),
        Err(PipelineError::Refused(Refusal::Architecture { decided: "is to run on", .. }))
    ));
    let odd = PlannedImage { platform: Platform { os: "windows".to_owned(), ..image().platform }, ..image() };
    let fresh = Observed { function: None, role: known_role(ROLE), ..observed() };
    assert!(matches!(
        DeployPlan::between(&spec(), &odd, &fresh, false),
        Err(PipelineError::Refused(Refusal::Platform(_)))
    ));
}

#[test]
fn a_broken_function_is_mended_by_its_image_first() {
    for (state, update, code) in [
        ("Failed", Some("Successful"), Some("ImageDeleted")),
        ("Active", Some("Failed"), None),
        ("Inactive", Some("Successful"), Some("ImageDeleted")),
        ("Inactive", Some("Failed"), Some("ImageAccessDenied")),
    ] {
        let mut broken = observed();
        let function = &mut broken.function.as_mut().unwrap().function;
        function.status = FunctionStatus {
            state: Some(state.into()),
            state_reason_code: code.map(str::to_owned),
            last_update_status: update.map(Into::into),
            ..FunctionStatus::default()
        };
        let mut wanted = spec();
        wanted.function.memory_size = Some(256);
        let plan = plan(&wanted, &broken).unwrap();
        assert_eq!(told(&plan), ["code Update status", "configuration Update memory_size"], "{state}");
        let FunctionPlan::Update(changes) = plan.function else { panic!() };
        assert!(changes.code_first && changes.code.is_some());
    }
}

#[test]
fn an_idle_function_is_reactivated_by_whatever_is_updated() {
    let mut idle = observed();
    idle.function.as_mut().unwrap().function.status = FunctionStatus {
        state: Some("Inactive".into()),
        state_reason_code: Some("Idle".to_owned()),
        last_update_status: Some("Successful".into()),
        ..FunctionStatus::default()
    };
    assert_eq!(told(&plan(&spec(), &idle).unwrap()), ["code Update status"]);
    let mut wanted = spec();
    wanted.function.memory_size = Some(256);
    assert_eq!(told(&plan(&wanted, &idle).unwrap()), ["configuration Update memory_size"]);
}

#[test]
fn a_function_that_never_was_active_is_replaced_and_what_is_lost_is_shown() {
    let mut failed = observed();
    failed.function.as_mut().unwrap().function.status = FunctionStatus {
        state: Some("Failed".into()),
        state_reason_code: Some("InvalidImage".to_owned()),
        ..FunctionStatus::default()
    };
    failed.belongings =
        Some(Belongings { known: vec![("resource policy", "url".to_owned())], unknown: Vec::new() });
    let mut wanted = spec();
    wanted.function.memory_size = Some(256);
    let plan = plan(&wanted, &failed).unwrap();
    assert_eq!(told(&plan), ["function Replace status memory_size lost.resource_policy"]);
    let FunctionPlan::Create { role, replaces, .. } = plan.function else { panic!() };
    assert!(replaces && role == ROLE, "the role it has is kept");
}

#[test]
fn only_new_and_different_tags_are_set() {
    let mut wanted = spec();
    wanted.function.tags =
        [("team".to_owned(), "search".to_owned()), ("stage".to_owned(), "prod".to_owned())].into();
    let differing = plan(&wanted, &observed()).unwrap();
    assert_eq!(told(&differing), ["tags Update tags.stage"]);
    let mut unlisted = observed();
    unlisted.function.as_mut().unwrap().function.tags = None;
    assert_eq!(told(&plan(&wanted, &unlisted).unwrap()), ["tags Update tags.stage tags.team"]);
}

#[test]
fn everything_is_made_for_a_new_function() {
    let mut wanted = spec();
    wanted.function.memory_size = Some(512);
    wanted.function.role = Some(RoleSpec::Name("team/hello".to_owned()));
    let partition = crate::domain::arn::Partition::of_region("eu-west-1");
    let role = WantedRole::new(wanted.function.role.as_ref().unwrap(), &partition, "123456789012");
    let nothing = Observed {
        function: None,
        repository: ObservedRepository::Missing("hello".parse().unwrap()),
        policy: ObservedPolicy::Text(None),
        role: ObservedRole::Missing(role.clone()),
        ..observed()
    };
    let absent = PlannedImage { is_there: false, ..image() };
    let plan = DeployPlan::between(&wanted, &absent, &nothing, true).unwrap();
    assert_eq!(
        told(&plan),
        [
            "role Create trust policy",
            "repository Create",
            "image Push",
            "repository-policy Create statement.LambdaECRImageRetrievalPolicy",
            "function Create image architecture role memory_size",
        ]
    );
    assert_eq!(changes_of(&plan, Step::Function)[0].to, Planned::KnownAfter(Step::Repository));
    assert_eq!(plan.new_role, Some(role));
    assert!(plan.push && plan.policy == PolicyPlan::Merge);
    assert!(matches!(
        DeployPlan::between(&wanted, &absent, &nothing, false),
        Err(PipelineError::RoleMissing(_))
    ));
}

#[test]
fn a_repository_is_only_made_where_it_may_be() {
    let missing = Observed {
        repository: ObservedRepository::Missing("hello".parse().unwrap()),
        policy: ObservedPolicy::Text(None),
        ..observed()
    };
    let mut kept = spec();
    kept.repository.create = false;
    assert!(matches!(plan(&kept, &missing), Err(PipelineError::RepositoryMissing { .. })));
    let mut foreign = spec();
    let uri = URI.replace("123456789012", "999999999999");
    foreign.repository.location = RepositoryLocation::Uri(uri.parse().unwrap());
    let error = plan(&foreign, &missing).unwrap_err().to_string();
    assert!(error.contains("another account"), "{error}");
}

#[test]
fn the_policy_is_merged_refused_or_left_unknown() {
    let insufficient = Observed { policy: ObservedPolicy::Text(None), ..observed() };
    assert_eq!(
        told(&plan(&spec(), &insufficient).unwrap()),
        ["repository-policy Create statement.LambdaECRImageRetrievalPolicy"]
    );
    let deny = json!({"Statement": [{"Sid": "No", "Effect": "Deny", "Principal": "*", "Action": "*"}]});
    let denied = Observed { policy: ObservedPolicy::Text(Some(deny.to_string())), ..observed() };
    assert!(matches!(plan(&spec(), &denied), Err(PipelineError::Refused(Refusal::PolicyDenies { .. }))));
    let error = crate::services::api_error::tests::answered(
        "GetRepositoryPolicy",
        400,
        "AccessDeniedException",
        "no",
    );
    let unreadable = Observed { policy: ObservedPolicy::Unreadable(error.clone()), ..observed() };
    let plan = plan(&spec(), &unreadable).unwrap();
    assert_eq!(plan.policy, PolicyPlan::Unreadable(error));
    assert!(plan.is_unchanged());
}

#[test]
fn a_new_role_of_an_existing_function_is_configuration() {
    let mut wanted = spec();
    wanted.function.role = Some(RoleSpec::Arn("arn:aws:iam::123456789012:role/other".parse().unwrap()));
    let other = Observed { role: known_role("arn:aws:iam::123456789012:role/other"), ..observed() };
    let plan = plan(&wanted, &other).unwrap();
    assert_eq!(told(&plan), ["configuration Update role"]);
}

#[test]
fn a_new_function_needs_a_role() {
    let fresh = Observed { function: None, ..observed() };
    assert!(matches!(plan(&spec(), &fresh), Err(PipelineError::NoRole(_))));
}
