//! The engine and the analytics: event time in, numbers out. No IO, no clock, no randomness.

pub mod point;
pub mod schema;

pub use point::{FieldValue, Point, Resolution};
