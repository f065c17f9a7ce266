//! `CreateFunction`.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde::Deserialize;
use sha2::Digest as _;

use super::errors::Failure;
use super::function::{Code, Function, Version, take_outcome};
use super::images::FoundImage;
use super::render::{States, configuration};
use super::reply::Reply;
use super::request::Request;
use super::settings::{Settings, SettingsRequest};
use super::target::{LATEST, NAME_PATTERN, NameRules, Target};
use super::validation::Violations;
use super::{roles, tags};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateRequest {
    function_name: Option<String>,
    package_type: Option<String>,
    code: Option<CodeRequest>,
    architectures: Option<Vec<String>>,
    publish: Option<bool>,
    tags: Option<BTreeMap<String, String>>,
    code_signing_config_arn: Option<String>,
    #[serde(flatten)]
    settings: SettingsRequest,
}

/// Where the code of a function comes from, in `CreateFunction` and `UpdateFunctionCode`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CodeRequest {
    pub(super) image_uri: Option<String>,
    pub(super) zip_file: Option<String>,
    pub(super) s3_bucket: Option<String>,
    pub(super) s3_key: Option<String>,
}

impl CodeRequest {
    /// Tells whether a .zip archive is meant.
    pub(super) fn names_archive(&self) -> bool {
        self.zip_file.is_some() || self.s3_bucket.is_some() || self.s3_key.is_some()
    }

    /// Reads the archive. There is no S3 here, so no bucket exists.
    pub(super) fn archive(&self) -> Result<Code, Failure> {
        if self.s3_bucket.is_some() {
            return Err(Failure::invalid_parameter(
                "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does not exist",
            ));
        }
        let Some(text) = &self.zip_file else {
            return Err(Failure::invalid_parameter("Please provide a source for function code."));
        };
        let base64 = base64::engine::general_purpose::STANDARD;
        let bytes = base64.decode(text).ok().filter(|bytes| is_archive(bytes)).ok_or_else(|| {
            Failure::invalid_parameter(
                "Could not unzip uploaded file. Please check your file, then try to upload again.",
            )
        })?;
        Ok(Code::Zip { sha256: base64.encode(sha2::Sha256::digest(&bytes)), size: bytes.len() as u64 })
    }
}

/// A local file header at the start, an end of central directory somewhere.
fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") && bytes.windows(4).any(|window| window == b"PK\x05\x06")
}

impl From<FoundImage> for Code {
    fn from(image: FoundImage) -> Self {
        Self::image(image.canonical_uri, image.canonical_resolved_uri, &image.repository, image.digest)
    }
}

impl CreateRequest {
    fn validate(&self) -> Result<(), Failure> {
        let mut violations = Violations::default();
        match &self.function_name {
            Some(name) => violations.length(name, "functionName", 1, 140),
            None => violations.missing("functionName"),
        }
        if self.settings.role.is_none() {
            violations.missing("role");
        }
        if self.code.is_none() {
            violations.missing("code");
        }
        if let Some(package_type) = &self.package_type {
            violations.one_of(package_type, "packageType", &["Zip", "Image"]);
        }
        if let Some(architectures) = &self.architectures {
            violations.architectures(architectures);
        }
        self.settings.validate(&mut violations);
        violations.check()
    }

    /// What does not go together with the package type.
    ///
    /// The first two texts are known from reports
    /// (<https://github.com/pulumi/pulumi-aws/issues/5439>); the ones about what is missing, and
    /// about `ImageConfig` on an archive, follow their pattern without a recorded example.
    fn check_package_type(&self, code: &CodeRequest) -> Result<(), Failure> {
        let refuse = |text: &str| Err(Failure::invalid_parameter(text));
        let settings = &self.settings;
        let layers = settings.layers.as_ref().is_some_and(|layers| !layers.is_empty());
        if self.package_type.as_deref() == Some("Image") {
            if settings.runtime.is_some() || settings.handler.is_some() || layers {
                return refuse(
                    "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.",
                );
            }
            if self.code_signing_config_arn.is_some() {
                return refuse("Code signing is not supported for functions created with container images.");
            }
            if code.names_archive() || code.image_uri.is_none() {
                return refuse("Please provide ImageUri when the intended function PackageType is Image.");
            }
            return Ok(());
        }
        if code.image_uri.is_some() {
            return refuse("Please don't provide ImageUri when the intended function PackageType is Zip.");
        }
        if settings.image_config.is_some() {
            return refuse("Please don't provide ImageConfig when the intended function PackageType is Zip.");
        }
        if settings.runtime.is_none() || settings.handler.is_none() {
            return refuse(
                "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
            );
        }
        match settings.layers.as_ref().and_then(|layers| layers.first()) {
            Some(layer) => refuse(&format!("Layer version {layer} does not exist.")),
            None => Ok(()),
        }
    }
}

/// Creates a function: `Pending`, and settled when the time has come.
pub(super) fn create_function(request: &Request<'_>) -> Result<Reply, Failure> {
    let call = request.call;
    let wanted: CreateRequest = request.body()?;
    wanted.validate()?;
    let given_name = wanted.function_name.as_deref().unwrap_or_default();
    let target = Target::parse(call, given_name, None, NameRules::Plain)?;
    if target.qualifier.is_some() {
        let mut violations = Violations::default();
        violations.pattern(given_name, "functionName", NAME_PATTERN);
        violations.check()?;
    }
    if target.name.len() > 64 {
        return Err(Failure::invalid_parameter(format!(
            "1 validation error detected: Value '{}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64",
            target.name
        )));
    }
    let nothing = CodeRequest::default();
    let source = wanted.code.as_ref().unwrap_or(&nothing);
    wanted.check_package_type(source)?;
    wanted.settings.check()?;
    tags::check_number(wanted.tags.as_ref().map_or(0, BTreeMap::len))?;

    // The catalogue has transactions of its own, so it is asked before ours begins.
    let arn = target.unqualified_arn(call);
    let image = source.image_uri.as_ref().map(|uri| (uri, request.images.take(call, uri, &arn)));
    call.store.transaction(|tx| {
        if Function::read(tx, call, &target.name)?.is_some() {
            return Err(Failure::conflict(format!("Function already exist: {}", target.name)));
        }
        let code = match image {
            Some((uri, taken)) => taken.map_err(|refusal| refusal.into_failure(uri))?.into(),
            None => source.archive()?,
        };
        roles::check(tx, call, wanted.settings.role.as_deref().unwrap_or_default())?;

        let package_type = wanted.package_type.as_deref().unwrap_or("Zip");
        let architecture = wanted.architectures.as_deref().and_then(<[_]>::first);
        let architecture = architecture.map_or("x86_64", String::as_str);
        let mut settings = Settings::defaults(&target.name, package_type, architecture);
        settings.apply(&wanted.settings);
        let outcome = take_outcome(tx, call, &target.name)?;
        let pending = |version: &str| {
            let (settings, code) = (settings.clone(), code.clone());
            Version::pending(call, version, settings, code, call.delays.create, outcome.clone())
        };
        let mut function = Function {
            name: target.name.clone(),
            latest: pending(LATEST),
            versions: Vec::new(),
            last_number: 0,
            aliases: BTreeMap::new(),
            policies: BTreeMap::new(),
            tags: wanted.tags.clone().unwrap_or_default(),
            reserved_concurrency: None,
            event_configs: BTreeMap::new(),
            urls: BTreeMap::new(),
        };
        let mut shown = function.latest.clone();
        if wanted.publish == Some(true) {
            function.publish(|_, number| pending(&number));
            // AWS answers with the version's number and the unqualified ARN.
            shown.version = function.last_number.to_string();
        }
        function.write(tx, call)?;
        Ok(Reply::json(201, configuration(call, &function.name, &shown, None, States::Shown)))
    })?
}
