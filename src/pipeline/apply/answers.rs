//! Answers of AWS that are only told apart by their text, each in one place with its recording.

use crate::services::api_error::ApiError;

/// Lambda cannot assume the role: it is new and not known everywhere yet, or does not trust
/// Lambda.
pub(super) fn role_cannot_be_assumed(error: &ApiError) -> bool {
    error.is("InvalidParameterValueException") && error.message.contains("cannot be assumed by Lambda")
}

/// Lambda cannot read the image: the repository's policy does not let it, or did not a moment ago.
pub(super) fn image_cannot_be_read(error: &ApiError) -> bool {
    error.is("AccessDeniedException")
        && error.message.contains("Lambda does not have permission to access the ECR image")
}

/// The key of the variables is not known to Lambda yet.
pub(super) fn key_is_not_known_yet(error: &ApiError) -> bool {
    error.is("InvalidParameterValueException") && error.message.contains("KMS key is invalid for CreateGrant")
}

/// Why a write that was refused is made again. Of a new role it says that this is nothing to worry
/// about: whoever creates a function for the first time nearly always sees it.
pub(super) fn why_again(error: &ApiError) -> String {
    match role_cannot_be_assumed(error) {
        true => "Lambda cannot assume the role yet, as is usual while a role is new".to_owned(),
        false => error.message.clone(),
    }
}

/// Another change is being made: the same code also means that a function exists, which only
/// `CreateFunction` says.
pub(super) fn is_busy(error: &ApiError) -> bool {
    error.is("ResourceConflictException") && error.operation != "CreateFunction"
}

/// The function appeared since it was looked for.
pub(super) fn exists_already(error: &ApiError) -> bool {
    error.is("ResourceConflictException") && error.operation == "CreateFunction"
}

/// Somebody changed the function since its revision was read.
pub(super) fn was_changed(error: &ApiError) -> bool {
    error.is("PreconditionFailedException")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::api_error::tests::answered;

    #[test]
    fn recorded_answers_are_recognised() {
        let role = answered(
            "CreateFunction",
            400,
            "InvalidParameterValueException",
            "The role defined for the function cannot be assumed by Lambda.",
        );
        assert!(role_cannot_be_assumed(&role) && !key_is_not_known_yet(&role));
        assert!(why_again(&role).contains("usual"), "{}", why_again(&role));
        let image = answered(
            "CreateFunction",
            403,
            "AccessDeniedException",
            "Lambda does not have permission to access the ECR image. Check the ECR permissions.",
        );
        assert!(image_cannot_be_read(&image));
        assert_eq!(why_again(&image), image.message);
        let key = answered(
            "CreateFunction",
            400,
            "InvalidParameterValueException",
            "Lambda was unable to configure access to your environment variables because the KMS key is invalid for CreateGrant. Please check your KMS key settings.",
        );
        assert!(key_is_not_known_yet(&key) && !role_cannot_be_assumed(&key));
    }

    #[test]
    fn a_conflict_means_busy_or_existing_depending_on_the_call() {
        let text = "The operation cannot be performed at this time. An update is in progress for resource: arn:aws:lambda:eu-west-1:123456789012:function:hello";
        let busy = answered("UpdateFunctionCode", 409, "ResourceConflictException", text);
        assert!(is_busy(&busy) && !exists_already(&busy));
        let exists =
            answered("CreateFunction", 409, "ResourceConflictException", "Function already exist: hello");
        assert!(exists_already(&exists) && !is_busy(&exists));
    }
}
