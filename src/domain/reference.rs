//! Names of images: registries, repositories, tags and whole references.
//!
//! The grammar is the one of the OCI distribution-spec and of Docker's `reference` package;
//! hosts of Amazon ECR are recognised because Lambda accepts images from nowhere else.

use std::fmt;
use std::str::FromStr;

use super::digest::Digest;

/// Says why a text is not a valid name of an image or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct InvalidReference {
    /// What was given.
    pub text: String,
    /// What it should have been, with its article.
    pub expected: &'static str,
}

impl InvalidReference {
    fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.to_owned(), expected }
    }
}

/// The path of a repository inside its registry, such as `team/hello`.
///
/// Two to 256 characters: lower-case letters and digits in components, joined by `.`, `_`, `__`
/// or dashes inside a component and by `/` between components (the ECR API model's pattern).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(String);

impl RepositoryName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_component(component: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    component.starts_with(alphanumeric)
        && component.ends_with(alphanumeric)
        && component.split(alphanumeric).all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
        })
}

impl FromStr for RepositoryName {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        if (2..=256).contains(&text.len()) && text.split('/').all(is_component) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidReference::new(
                text,
                "a repository name: expected 2 to 256 lower-case letters and digits, with single `.`, `_`, `-` or `/` between them",
            ))
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A movable name of a manifest: up to 128 letters, digits, `_`, `.` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl Tag {
    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `latest`, what Docker means when no tag is written.
    pub fn latest() -> Self {
        Self("latest".to_owned())
    }
}

impl FromStr for Tag {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let valid = text.len() <= 128
            && text.bytes().next().is_some_and(word)
            && text.bytes().all(|b| word(b) || b == b'.' || b == b'-');
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidReference::new(
                text,
                "a tag: expected up to 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`",
            ))
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The host of a registry, with its port where one is written: `127.0.0.1:5000`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryHost(String);

impl RegistryHost {
    /// The host and port as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The account, region and endpoint kind, if this is a host of Amazon ECR.
    pub fn ecr(&self) -> Option<EcrHost> {
        EcrHost::parse(&self.0)
    }

    /// Tells whether the host is this machine, the only place plain HTTP is spoken to.
    pub fn is_loopback(&self) -> bool {
        let host = match self.0.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.0.split(':').next().unwrap_or_default(),
        };
        host == "localhost"
            || host.ends_with(".localhost")
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for RegistryHost {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let valid = !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b))
            && !text.starts_with([':', '.', '-']);
        if valid {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidReference::new(text, "a registry host"))
        }
    }
}

impl fmt::Display for RegistryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the name of an Amazon ECR host says.
///
/// `ACCOUNT.dkr.ecr[-fips].REGION.SUFFIX`, and the dual-stack form
/// `ACCOUNT.dkr-ecr[-fips].REGION.on.aws`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcrHost {
    /// The twelve digits of the account that owns the registry.
    pub account: String,
    /// Such as `eu-west-1`.
    pub region: String,
    /// A FIPS endpoint, which Lambda does not accept.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/images-create.html>
    pub fips: bool,
    /// The dual-stack form; Lambda is only known to accept the other one.
    pub dual_stack: bool,
}

impl EcrHost {
    /// DNS suffixes of ECR in every AWS partition.
    const SUFFIXES: [&str; 7] = [
        "amazonaws.com",
        "amazonaws.com.cn",
        "amazonaws.eu",
        "c2s.ic.gov",
        "sc2s.sgov.gov",
        "cloud.adc-e.uk",
        "csp.hci.ic.gov",
    ];
    const DUAL_STACK_SUFFIXES: [&str; 2] = ["on.aws", "on.amazonwebservices.com.cn"];

    fn parse(host: &str) -> Option<Self> {
        let (account, rest) = host.split_once('.')?;
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let endpoints = [
            ("dkr.ecr.", false, false),
            ("dkr.ecr-fips.", true, false),
            ("dkr-ecr.", false, true),
            ("dkr-ecr-fips.", true, true),
        ];
        let (rest, fips, dual_stack) = endpoints
            .into_iter()
            .find_map(|(prefix, fips, dual)| Some((rest.strip_prefix(prefix)?, fips, dual)))?;
        let (region, suffix) = rest.split_once('.')?;
        let suffixes: &[&str] = if dual_stack { &Self::DUAL_STACK_SUFFIXES } else { &Self::SUFFIXES };
        (suffixes.contains(&suffix) && region.contains('-')).then(|| Self {
            account: account.to_owned(),
            region: region.to_owned(),
            fips,
            dual_stack,
        })
    }
}

/// A repository in a registry: `HOST/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryUri {
    /// The registry that holds it.
    pub registry: RegistryHost,
    /// Its path there.
    pub name: RepositoryName,
}

impl FromStr for RepositoryUri {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let expected = "a repository URI: expected `HOST/NAME`, such as `123456789012.dkr.ecr.eu-west-1.amazonaws.com/hello`";
        let (host, name) = text.split_once('/').ok_or_else(|| InvalidReference::new(text, expected))?;
        Ok(Self {
            registry: host.parse().map_err(|_| InvalidReference::new(text, expected))?,
            name: name.parse()?,
        })
    }
}

impl fmt::Display for RepositoryUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.name)
    }
}

/// A repository with a tag, a digest, or both: what names an image.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageReference {
    /// Where the image is.
    pub repository: RepositoryUri,
    /// The movable name, if one is written.
    pub tag: Option<Tag>,
    /// The content address, if one is written; it wins over the tag.
    pub digest: Option<Digest>,
}

impl ImageReference {
    /// The reference Lambda is given: a repository at a digest, never a tag.
    pub fn at(repository: RepositoryUri, digest: Digest) -> Self {
        Self { repository, tag: None, digest: Some(digest) }
    }

    /// What the registry API calls `<reference>`: the digest, else the tag, else `latest`.
    pub fn manifest_reference(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.to_string(),
            (None, None) => Tag::latest().to_string(),
        }
    }

    /// Parses a reference the way Docker does: `debian` is `docker.io/library/debian`.
    pub fn parse_familiar(text: &str) -> Result<Self, InvalidReference> {
        let (first, rest) = text.split_once('/').unwrap_or(("", text));
        let is_host = first.contains(['.', ':']) || first == "localhost";
        if is_host {
            return text.parse();
        }
        // Docker Hub's API lives on another host than the name says.
        let library = if rest.len() == text.len() { "library/" } else { "" };
        format!("registry-1.docker.io/{library}{text}").parse()
    }
}

impl FromStr for ImageReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let expected = "an image reference: expected `HOST/NAME[:TAG][@sha256:…]`";
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|_| InvalidReference::new(text, expected))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let slash = rest.find('/').ok_or_else(|| InvalidReference::new(text, expected))?;
        // A colon before the first slash belongs to the host's port.
        let (repository, tag) = match rest[slash..].rfind(':') {
            Some(colon) => (&rest[..slash + colon], Some(rest[slash + colon + 1..].parse()?)),
            None => (rest, None),
        };
        Ok(Self { repository: repository.parse()?, tag, digest })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names_follow_the_ecr_pattern() {
        for good in ["ab", "hello", "team/hello", "a.b_c__d--e/f0", "a-/b"] {
            let expected = good != "a-/b";
            assert_eq!(good.parse::<RepositoryName>().is_ok(), expected, "{good}");
        }
        for bad in ["", "a", "Hello", "/a", "a/", "a//b", "a..b", "a._b", ".ab", "ab-", "a b"] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn references_split_port_tag_and_digest() {
        let digest = Digest::of(b"x");
        let text = format!("127.0.0.1:5000/team/hello:v1@{digest}");
        let reference: ImageReference = text.parse().unwrap();
        assert_eq!(reference.repository.registry.as_str(), "127.0.0.1:5000");
        assert_eq!(reference.repository.name.as_str(), "team/hello");
        assert_eq!(reference.tag.as_ref().unwrap().as_str(), "v1");
        assert_eq!(reference.digest, Some(digest));
        assert_eq!(reference.to_string(), text);
        assert_eq!(reference.manifest_reference(), digest.to_string());
        let untagged: ImageReference = "127.0.0.1:5000/hello".parse().unwrap();
        assert_eq!((untagged.tag.clone(), untagged.manifest_reference()), (None, "latest".to_owned()));
        for bad in ["hello", "host/na me", "host/name:", "host/name@sha256:1", "host/name:.x"] {
            assert!(bad.parse::<ImageReference>().is_err(), "{bad}");
        }
    }

    #[test]
    fn familiar_names_mean_docker_hub() {
        for (text, full) in [
            ("debian", "registry-1.docker.io/library/debian"),
            ("grafana/loki:3", "registry-1.docker.io/grafana/loki:3"),
            ("public.ecr.aws/lambda/provided:al2023", "public.ecr.aws/lambda/provided:al2023"),
            ("localhost/app", "localhost/app"),
        ] {
            assert_eq!(ImageReference::parse_familiar(text).unwrap().to_string(), full);
        }
    }

    #[test]
    fn ecr_hosts_of_every_form_are_recognised() {
        let ecr = |host: &str| host.parse::<RegistryHost>().unwrap().ecr();
        let plain = ecr("123456789012.dkr.ecr.eu-west-1.amazonaws.com").unwrap();
        assert_eq!(
            (plain.account.as_str(), plain.region.as_str(), plain.fips, plain.dual_stack),
            ("123456789012", "eu-west-1", false, false)
        );
        assert!(ecr("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com").unwrap().fips);
        assert!(ecr("123456789012.dkr-ecr.eu-west-1.on.aws").unwrap().dual_stack);
        assert_eq!(ecr("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn").unwrap().region, "cn-north-1");
        for other in [
            "public.ecr.aws",
            "12345.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.example.com",
            "127.0.0.1:5000",
        ] {
            assert_eq!(ecr(other), None, "{other}");
        }
    }

    #[test]
    fn loopback_is_recognised_with_and_without_a_port() {
        for (host, loopback) in [
            ("127.0.0.1:5000", true),
            ("localhost", true),
            ("[::1]:443", true),
            ("127.1.2.3", true),
            ("10.0.0.1:5000", false),
            ("localhost.example.com", false),
        ] {
            assert_eq!(host.parse::<RegistryHost>().unwrap().is_loopback(), loopback, "{host}");
        }
    }
}
