//! The local cloud's ECR API and registry, with the real clients of both.

mod api;
mod clients;
pub mod cloud;
mod registry;
mod server;
mod uploads;
