//! Names of environment variables: which are names at all, and which Lambda keeps for itself.

/// Names Lambda sets itself and refuses from users. Others that begin with `AWS_LAMBDA_`, such as
/// `AWS_LAMBDA_EXEC_WRAPPER`, are for users to set.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>
const RESERVED: [&str; 18] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
];

/// Tells whether Lambda sets this variable itself and refuses it from users.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Tells whether the Lambda API takes this name: a letter, then letters, digits and `_`, two
/// characters at least (the API model's pattern `[a-zA-Z]([a-zA-Z0-9_])+`).
pub fn is_variable_name(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        for (name, is_name, reserved) in [
            ("LOG_LEVEL", true, false),
            ("AWS_REGION", true, true),
            ("AWS_LAMBDA_EXEC_WRAPPER", true, false),
            ("_HANDLER", false, true),
            ("A", false, false),
            ("1A", false, false),
            ("A-B", false, false),
        ] {
            assert_eq!((is_variable_name(name), is_reserved(name)), (is_name, reserved), "{name}");
        }
    }
}
