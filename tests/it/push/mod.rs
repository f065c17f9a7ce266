//! Pushes that move no more than they have to, seen from the registry's side.

mod bases;
mod names;
pub mod unchanged;
