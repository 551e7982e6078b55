//! Keys and secrets in files: the directories of signing keys, their rotation, and secret files.
//!
//! Several processes and commands can share a directory of keys. Each change is made under a lock. Running processes
//! notice it as they notice any other changed file.

pub(crate) mod keys_dir;
mod pending_key;
mod rotation;
pub(crate) mod secret_file;

pub use keys_dir::{KeysDir, save_key};
pub use pending_key::PendingKey;
pub use rotation::{KeyChange, KeyState, KeyStatus, RotationResult, maintain_keys};
