//! Who is calling, where, and at what time.

use std::time::{Duration, SystemTime};

use super::{in_time, of_api};
use crate::domain::arn::Partition;
use crate::domain::diagnosis::Diagnosis;
use crate::pipeline::cloud::Cloud;
use crate::services::api_error::Failure;

const REGION: &str = "region";
const CREDENTIALS: &str = "credentials";
const CLOCK: &str = "clock";

/// AWS refuses signatures that are further from its own time.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/signing-elements.html>
const REFUSED: Duration = Duration::from_secs(5 * 60);
/// What grows into a refusal before long.
const SUSPICIOUS: Duration = Duration::from_secs(60);

pub(super) fn region(cloud: &Cloud) -> Diagnosis {
    match cloud.session().region() {
        Ok(region) => {
            Diagnosis::good(REGION, format!("`{region}` (partition `{}`)", Partition::of_region(region)))
        }
        Err(error) => Diagnosis::error(REGION, error.to_string(), error.hint()),
    }
}

pub(super) async fn credentials(cloud: &Cloud) -> Vec<Diagnosis> {
    if let Err(error) = cloud.session().region() {
        return vec![Diagnosis::skipped(CREDENTIALS, format!("not looked at: {error}"))];
    }
    in_time(CREDENTIALS, async {
        vec![match cloud.sts().caller_identity().await {
            Ok(caller) => {
                Diagnosis::good(CREDENTIALS, format!("`{}` (account `{}`)", caller.arn, caller.account))
            }
            Err(error) if error.failure == Failure::NoCredentials => {
                Diagnosis::error(CREDENTIALS, "there are none".to_owned(), error.hint())
            }
            Err(error) => Diagnosis::error(
                CREDENTIALS,
                format!("cannot find out who is calling: {error}"),
                error.hint(),
            ),
        }]
    })
    .await
}

pub(super) async fn clock(cloud: &Cloud) -> Vec<Diagnosis> {
    if let Err(error) = cloud.session().region() {
        return vec![Diagnosis::skipped(CLOCK, format!("not looked at: {error}"))];
    }
    in_time(CLOCK, async {
        vec![match cloud.sts().time().await {
            Ok(Some((theirs, ours))) => judged(theirs, ours),
            Ok(None) => Diagnosis::skipped(CLOCK, "not looked at: the answer tells no time"),
            Err(error) => of_api(CLOCK, "ask for the time", &error),
        }]
    })
    .await
}

/// Compares the time of an answer with ours when it came.
fn judged(theirs: SystemTime, ours: SystemTime) -> Diagnosis {
    let (ahead, difference) = match ours.duration_since(theirs) {
        Ok(ahead) => (true, ahead),
        Err(behind) => (false, behind.duration()),
    };
    let words = humantime::format_duration(Duration::from_secs(difference.as_secs()));
    let which = if ahead { "ahead of" } else { "behind" };
    let message = format!("this machine's clock is {words} {which} AWS's");
    let mend = "set the clock, and let it follow a time server: `timedatectl set-ntp true`";
    match difference {
        it if it >= REFUSED => {
            let message = format!("{message}: AWS refuses signatures that are 5 minutes off");
            Diagnosis::error(CLOCK, message, Some(mend.to_owned()))
        }
        it if it >= SUSPICIOUS => Diagnosis::warning(CLOCK, message, mend),
        _ => Diagnosis::good(CLOCK, "agrees with AWS's"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::diagnosis::Finding;

    #[test]
    fn a_clock_that_is_off_is_told_before_aws_refuses_it() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for (seconds, expected) in
            [(0, Finding::Good), (59, Finding::Good), (61, Finding::Warning), (301, Finding::Error)]
        {
            let off = Duration::from_secs(seconds);
            assert_eq!(judged(now, now + off).finding, expected, "{seconds} s ahead");
            assert_eq!(judged(now, now - off).finding, expected, "{seconds} s behind");
        }
        assert!(judged(now, now + Duration::from_secs(3600)).message.contains("1h ahead of AWS's"));
    }
}
