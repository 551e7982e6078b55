//! The running service: start, stop, logs, metrics and the admin listener.

mod admin;
mod audit;
mod logs;
mod metrics;
mod secrets;
mod service;
