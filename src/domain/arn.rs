//! Amazon resource names and the partitions they live in.

use std::fmt;
use std::str::FromStr;

/// A group of AWS regions with names and hosts of its own (`aws`, `aws-cn`, …).
///
/// Open: a partition that is not listed keeps its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Partition(String);

impl Partition {
    /// The partition a region belongs to, by the prefixes of the SDK's endpoint rules.
    pub fn of_region(region: &str) -> Self {
        const PREFIXES: [(&str, &str); 8] = [
            ("cn-", "aws-cn"),
            ("us-gov-", "aws-us-gov"),
            ("us-isob-", "aws-iso-b"),
            ("us-isof-", "aws-iso-f"),
            ("eu-isoe-", "aws-iso-e"),
            ("us-iso-", "aws-iso"),
            ("eusc-", "aws-eusc"),
            ("", "aws"),
        ];
        let name = PREFIXES
            .iter()
            .find_map(|(prefix, name)| region.starts_with(prefix).then_some(*name))
            .unwrap_or("aws");
        Self(name.to_owned())
    }

    /// The name as it stands in ARNs.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An Amazon resource name: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Arn {
    /// Such as `aws`.
    pub partition: Partition,
    /// Such as `lambda`.
    pub service: String,
    /// Empty for global services such as IAM.
    pub region: String,
    /// Twelve digits, or empty.
    pub account: String,
    /// Everything after the fifth colon.
    pub resource: String,
}

/// Says that a text is not an ARN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an ARN: expected `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`")]
pub struct InvalidArn(pub String);

impl Arn {
    /// The ARN of the unqualified function `name`.
    pub fn function(region: &str, account: &str, name: &str) -> Self {
        Self {
            partition: Partition::of_region(region),
            service: "lambda".to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            resource: format!("function:{name}"),
        }
    }

    /// The ARN of the IAM role `name` (which may begin with a path).
    pub fn role(partition: Partition, account: &str, name: &str) -> Self {
        Self {
            partition,
            service: "iam".to_owned(),
            region: String::new(),
            account: account.to_owned(),
            resource: format!("role/{}", name.trim_start_matches('/')),
        }
    }
}

impl FromStr for Arn {
    type Err = InvalidArn;

    fn from_str(text: &str) -> Result<Self, InvalidArn> {
        let invalid = || InvalidArn(text.to_owned());
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().map(str::to_owned).ok_or_else(invalid);
        if next()? != "arn" {
            return Err(invalid());
        }
        let arn = Self {
            partition: Partition(next()?),
            service: next()?,
            region: next()?,
            account: next()?,
            resource: next()?,
        };
        if arn.partition.as_str().is_empty() || arn.service.is_empty() || arn.resource.is_empty() {
            return Err(invalid());
        }
        Ok(arn)
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, service, region, account, resource } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_survive_a_round_trip() {
        let text = "arn:aws-cn:lambda:cn-north-1:123456789012:function:hello:3";
        let arn: Arn = text.parse().unwrap();
        assert_eq!((arn.service.as_str(), arn.resource.as_str()), ("lambda", "function:hello:3"));
        assert_eq!(arn.to_string(), text);
        assert_eq!(
            Arn::role(Partition::of_region("us-gov-west-1"), "123456789012", "x").to_string(),
            "arn:aws-us-gov:iam::123456789012:role/x"
        );
        for bad in ["", "hello", "arn:aws:lambda", "arn::lambda:r:a:x"] {
            assert!(bad.parse::<Arn>().is_err(), "{bad}");
        }
    }

    #[test]
    fn regions_know_their_partition() {
        for (region, partition) in [
            ("eu-west-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-east-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("us-isof-south-1", "aws-iso-f"),
            ("eu-isoe-west-1", "aws-iso-e"),
            ("ap-southeast-6", "aws"),
            ("eusc-de-east-1", "aws-eusc"),
        ] {
            assert_eq!(Partition::of_region(region).as_str(), partition);
        }
    }
}
