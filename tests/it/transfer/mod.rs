//! What is moved into a registry: planned, shown while it moves, and got there whatever fails.

mod early;
mod faulty;
mod growing;
mod level;
mod planned;
mod space;
