//! The field's words as types: pure values, no input or output.
//!
//! Everything above speaks in these words, so that a digest cannot be passed where a tag is
//! meant and a state that AWS invents tomorrow is still a state. Nothing here reads a file,
//! opens a socket, prints, or knows which command is running.

pub mod arn;
pub mod caller_policy;
pub mod compression;
pub mod denial;
pub mod diagnosis;
pub mod digest;
pub mod environment;
pub mod finding;
pub mod function;
pub mod image_source;
pub mod invocation;
pub mod log;
pub mod manifest;
pub mod nearest;
pub mod plan;
pub mod platform;
pub mod policy;
pub mod reason;
pub mod reference;
pub mod rule;
pub mod secret;
pub mod size;
pub mod spec;
pub mod transfer;
