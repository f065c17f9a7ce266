//! The outside world, one module a service. Each speaks to one thing, knows none of the
//! others, and turns that thing's types and failures into the domain's words and its own error
//! enumeration. The types of SDKs end here.

pub mod api_error;
pub mod docker;
pub mod docker_credentials;
pub mod ecr;
pub mod http;
pub mod iam;
pub mod lambda;
pub mod logs;
pub mod registry;
pub mod session;
pub mod sts;
