//! Settings of the account's registry in a region. The ECR API changes them, the registry goes
//! by them.

use super::store::{StoreError, Transaction};

/// The settings that exist, with their values; the first is the default.
/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutAccountSetting.html>
pub const SETTINGS: [(&str, [&str; 2]); 3] = [
    ("BASIC_SCAN_TYPE_VERSION", ["AWS_NATIVE", "CLAIR"]),
    ("REGISTRY_POLICY_SCOPE", ["V2", "V1"]),
    ("BLOB_MOUNTING", ["DISABLED", "ENABLED"]),
];

/// Reads a setting; `None` where there is no such setting.
pub fn read(tx: &Transaction<'_>, region: &str, name: &str) -> Result<Option<String>, StoreError> {
    let Some((_, values)) = SETTINGS.iter().find(|(setting, _)| *setting == name) else { return Ok(None) };
    let value = tx.read(&key(region, name))?;
    Ok(Some(value.unwrap_or_else(|| values[0].to_owned())))
}

/// Changes a setting; `false` where it does not exist or has no such value.
pub fn write(tx: &Transaction<'_>, region: &str, name: &str, value: &str) -> Result<bool, StoreError> {
    let known = SETTINGS.iter().any(|(setting, values)| *setting == name && values.contains(&value));
    if known {
        tx.write(&key(region, name), &value)?;
    }
    Ok(known)
}

/// Whether blobs can be mounted from one repository into another.
pub fn blob_mounting(tx: &Transaction<'_>, region: &str) -> Result<bool, StoreError> {
    Ok(read(tx, region, "BLOB_MOUNTING")?.as_deref() == Some("ENABLED"))
}

fn key(region: &str, name: &str) -> String {
    format!("{region}/ecr/settings/{name}")
}
