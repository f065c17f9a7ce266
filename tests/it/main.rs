//! The only integration binary: the real program and its parts against real counterparts.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed, and says why"
)]

mod append;
mod check;
mod command_line;
mod deploy;
mod docker;
mod doctor;
mod examples;
mod faults;
mod images;
mod invoke;
mod layering;
mod local_ecr;
mod local_lambda;
mod moto;
mod permissions;
mod pipeline;
mod push;
mod readme;
mod registry;
mod screen;
mod states;
mod support;
mod transfer;
