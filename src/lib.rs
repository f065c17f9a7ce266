//! Takes an AWS Lambda function from source to live as a container image, in one command.
//!
//! Data flows one way through the layers; each may use what is to its right and nothing to its
//! left:
//!
//! ```text
//! main ─► cli ─► { output, pipeline, local, config } ─► image ─► services ─► { event, domain }
//! ```
//!
//! - [`domain`] holds the field's words as types, without input or output.
//! - [`event`] is how work reports what it does.
//! - [`services`] speak to one thing each: Docker Engine, registries, ECR, Lambda, IAM, STS.
//! - [`image`] turns any source into one sealed, single-platform image.
//! - [`config`] resolves `lambdactl.toml`, stages and flags into one specification.
//! - [`pipeline`] is the story: observe, plan, apply, watch.
//! - [`local`] is the embedded local cloud.
//! - [`output`] shows events and results.
//! - [`cli`] is one file a verb: arguments in, one pipeline call, one result out.

pub mod cli;
pub mod config;
pub mod domain;
pub mod event;
pub mod image;
pub mod local;
pub mod output;
pub mod pipeline;
pub mod services;
