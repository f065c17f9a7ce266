//! `lambdactl check`, and the same check inside `deploy`, `plan` and `push`.

mod broken;
mod clean;
mod deployment;
mod images;
mod output;
mod started;
