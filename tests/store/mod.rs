//! Databases: crashes, several processes, and a server that is away.

pub mod durability;
mod postgres;
