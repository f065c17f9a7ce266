//! `GetAccountSettings`, and the share of the account's concurrency that is reserved for a
//! function.

use serde::Deserialize;
use serde_json::json;

use super::errors::Failure;
use super::function::{Code, Function};
use super::reply::Reply;
use super::request::Request;
use super::target::{LATEST, NameRules, Target, qualified_arn};
use super::validation::Violations;

/// The default limits of an account.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const CONCURRENT_EXECUTIONS: i64 = 1000;
const LEAST_UNRESERVED: i64 = 100;

fn reserved(functions: &[Function], except: &str) -> i64 {
    functions.iter().filter(|f| f.name != except).filter_map(|f| f.reserved_concurrency).sum()
}

/// Limits and use of the account in this region.
pub(super) fn get_account_settings(request: &Request<'_>) -> Result<Reply, Failure> {
    let call = request.call;
    let functions = call.store.transaction(|tx| Function::all(tx, &call.region, call.now))??;
    let versions = functions.iter().flat_map(|f| std::iter::once(&f.latest).chain(&f.versions));
    let code_size: u64 = versions
        .map(|version| match version.code {
            Code::Zip { size, .. } => size,
            Code::Image { .. } => 0,
        })
        .sum();
    Ok(Reply::json(
        200,
        json!({
            "AccountLimit": {
                "TotalCodeSize": 80_530_636_800_u64,
                "CodeSizeUnzipped": 262_144_000,
                "CodeSizeZipped": 52_428_800,
                "ConcurrentExecutions": CONCURRENT_EXECUTIONS,
                "UnreservedConcurrentExecutions": CONCURRENT_EXECUTIONS - reserved(&functions, ""),
            },
            "AccountUsage": {"TotalCodeSize": code_size, "FunctionCount": functions.len()},
        }),
    ))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConcurrencyRequest {
    reserved_concurrent_executions: Option<i64>,
}

fn target(request: &Request<'_>) -> Result<Target, Failure> {
    let target = Target::of(request, NameRules::Plain)?;
    match target.qualifier {
        Some(_) => Err(Failure::invalid_parameter(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.",
        )),
        None => Ok(target),
    }
}

/// Reserves concurrency, or takes it away with `None`.
fn set(request: &Request<'_>, target: &Target, wanted: Option<i64>) -> Result<(), Failure> {
    let call = request.call;
    call.store.transaction(|tx| {
        let mut function = Function::read(tx, call, &target.name)?.ok_or_else(|| {
            let arn = qualified_arn(call, &target.name, LATEST);
            Failure::not_found(format!("Function not found: {arn}"))
        })?;
        let others = reserved(&Function::all(tx, &call.region, call.now)?, &target.name);
        if wanted.is_some_and(|wanted| CONCURRENT_EXECUTIONS - others - wanted < LEAST_UNRESERVED) {
            return Err(Failure::invalid_parameter(format!(
                "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [{LEAST_UNRESERVED}]."
            )));
        }
        function.reserved_concurrency = wanted;
        function.write(tx, call)?;
        Ok(())
    })?
}

/// `PutFunctionConcurrency`.
pub(super) fn put_function_concurrency(request: &Request<'_>) -> Result<Reply, Failure> {
    let target = target(request)?;
    let body: ConcurrencyRequest = request.body()?;
    let mut violations = Violations::default();
    match body.reserved_concurrent_executions {
        Some(number) => violations.range(number, "reservedConcurrentExecutions", 0, i64::from(i32::MAX)),
        None => violations.missing("reservedConcurrentExecutions"),
    }
    violations.check()?;
    set(request, &target, body.reserved_concurrent_executions)?;
    let number = body.reserved_concurrent_executions;
    Ok(Reply::json(200, json!({"ReservedConcurrentExecutions": number})))
}

/// `GetFunctionConcurrency`: empty where nothing is reserved.
pub(super) fn get_function_concurrency(request: &Request<'_>) -> Result<Reply, Failure> {
    let call = request.call;
    let target = target(request)?;
    let function = call.store.transaction(|tx| Function::read(tx, call, &target.name))??;
    let function = function.ok_or_else(|| target.not_found(call))?;
    Ok(Reply::json(
        200,
        match function.reserved_concurrency {
            Some(number) => json!({"ReservedConcurrentExecutions": number}),
            None => json!({}),
        },
    ))
}

/// `DeleteFunctionConcurrency`.
pub(super) fn delete_function_concurrency(request: &Request<'_>) -> Result<Reply, Failure> {
    let target = target(request)?;
    set(request, &target, None)?;
    Ok(Reply::empty())
}
