//! Declares each configuration key once.
//!
//! A section of the file is one invocation of [`section!`]. Each line of it declares a key:
//!
//! ```text
//! /// Maximum number of retries. (the description in docs/configuration.md, tollgate.toml(5) and the JSON Schema)
//! retries: usize = number(0..=15, 3);
//! ```
//!
//! The part before `=` is the name and the Rust type of the value. The part after it is a kind (module `kind`): the type in the
//! file, its range, its default and an example. `threads (RestartOnly): …` overrides the section's effect of a change, and
//! `…, default "the realm's audience"` describes a default that another key determines. From this the macro makes
//!
//! - a struct with one [`Setting`] per key: the value, and the place in the file for errors about it;
//! - `read`, which reads all keys of a [`Section`] and reports each invalid value with line, column and remedy;
//! - `SECTION`, the known keys: the reader rejects any other key, with "did you mean";
//! - `section_doc`, from which the reference page, the manual page, the JSON Schema and the fuzz dictionary are generated.
//!
//! [`keys!`] declares a group of keys that another module reads, such as the upstream keys of a route; `with [Group]` adds it to
//! a section. `when dialect = "tenant"` restricts a group to sections with that value.
//!
//! A key with a value that depends on other keys or files has the kind `raw` or `raw_list`: its [`Setting`] applies a function later.
//! Rules between keys are functions from the settings to the checked type. They return `Result<T, Reported>`: a [`Reported`]
//! exists only if the report has an error, so an `Err` needs no message. Reading continues after an error, so that one run shows
//! all errors; an error that follows from another one about the same key is suppressed (see `report`).

pub(in crate::config) mod kind;

use std::ops::Deref;

use crate::config::reader::report::Reported;
use crate::config::reader::{Section, SourceLocation};
use crate::config::schema::kind::{Kind, Raw, RawList};

/// The value of a key, and its place in the file.
pub(in crate::config) struct Setting<'s, T> {
    section: &'s Section<'s>,
    key: &'static str,
    pub(in crate::config) value: T,
}

impl<'s, T> Setting<'s, T> {
    /// Reads `key`. An invalid value is reported and replaced by the default.
    pub(in crate::config) fn read<K: Kind<Value<'s> = T>>(
        section: &'s Section<'s>,
        key: &'static str,
        kind: &K,
    ) -> Self {
        Self { section, key, value: kind.read(section, key) }
    }

    pub(in crate::config) const fn key(&self) -> &'static str {
        self.key
    }

    /// Returns whether the file has the key, with a valid value or not.
    pub(in crate::config) fn is_written(&self) -> bool {
        self.section.has(self.key)
    }

    /// Returns whether the value was invalid and was replaced by the default.
    pub(in crate::config) fn is_refused(&self) -> bool {
        self.section.is_refused(self.key)
    }

    pub(in crate::config) fn is_empty_list(&self) -> bool {
        self.section.is_empty_list(self.key)
    }

    pub(in crate::config) fn place(&self) -> SourceLocation {
        self.section.place(self.key)
    }

    /// Returns the proof for a value with an error that was reported before.
    pub(in crate::config) fn reported(&self) -> Reported {
        self.section.reported()
    }

    /// Reports an error about the value, unless the value itself was invalid.
    pub(in crate::config) fn error(&self, message: impl Into<String>) -> Reported {
        self.section.error(self.key, message)
    }

    /// Reports a warning about the value. The file stays usable.
    pub(in crate::config) fn warn(&self, message: impl Into<String>) {
        self.section.warn(self.key, message);
    }

    /// Reports that the key is missing.
    pub(in crate::config) fn missing(&self, message: impl Into<String>) -> Reported {
        self.section.missing(self.key, message)
    }

    /// Reports that the file does not have the section or name to which the value refers.
    pub(in crate::config) fn missing_value(&self, message: impl Into<String>) -> Reported {
        self.section.missing_value(self.key, message)
    }

    /// Returns the value if the file has the key and the value is valid.
    pub(in crate::config) fn if_written(self) -> Option<T> {
        self.section.is_valid(self.key).then_some(self.value)
    }
}

impl Setting<'_, Raw> {
    /// Parses the value. `parse` decides whether its message quotes the value.
    pub(in crate::config) fn optional<V>(
        &self,
        parse: impl FnOnce(&str) -> Result<V, String>,
    ) -> Result<Option<V>, Reported> {
        match self.section.optional(self.key, parse) {
            None if self.is_refused() => Err(self.section.reported()),
            value => Ok(value),
        }
    }

    /// The same, for a required key.
    pub(in crate::config) fn required<V>(&self, parse: impl FnOnce(&str) -> Result<V, String>) -> Result<V, Reported> {
        self.section.required(self.key, self.value.example, parse)
    }
}

impl Setting<'_, RawList> {
    /// Parses each item.
    pub(in crate::config) fn each<V>(&self, parse: impl Fn(&str) -> Result<V, String>) -> Vec<V> {
        self.section.list(self.key, parse)
    }
}

impl<T> Deref for Setting<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Documentation of a section.
#[derive(Clone, Debug)]
pub struct SectionDoc {
    /// Such as `[[realm]]`; empty for the file as a whole.
    pub header: &'static str,
    pub description: Vec<&'static str>,
    /// Default for the keys.
    pub effect: Effect,
    pub keys: Vec<KeyDoc>,
}

/// Documentation of a key.
#[derive(Clone, Debug)]
pub struct KeyDoc {
    pub name: &'static str,
    pub description: Vec<&'static str>,
    pub effect: Effect,
    /// The key is only allowed if this key has this value.
    pub when: Option<(&'static str, &'static str)>,
    pub value: ValueDoc,
}

/// Documentation of a value.
#[derive(Clone, Debug)]
pub struct ValueDoc {
    pub kind: ValueType,
    pub required: bool,
    /// The default, as TOML or as a phrase without quotes.
    pub default: Option<String>,
    /// TOML.
    pub example: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ValueType {
    /// `true` or `false`.
    Flag,
    /// Minimum and maximum.
    Integer(usize, usize),
    /// Minimum and maximum.
    Number(f64, f64),
    /// A string with a number and a unit of time. Minimum and maximum.
    Duration(String, String),
    /// A string with a number of bytes. Maximum.
    Size(String),
    /// A date and time with an offset from UTC.
    Timestamp,
    Text,
    /// One of these strings.
    Word(Vec<&'static str>),
    /// One of these strings, or a list of them.
    Words(Vec<&'static str>),
    /// A list without duplicates.
    List(Box<Self>),
    /// A table of keys that the operator chooses.
    Map,
    /// A section with this header.
    Section(&'static str),
    /// Sections with this header.
    Sections(&'static str),
}

/// Time at which a change of a key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// After a reload.
    Reloadable,
    /// After a restart.
    RestartOnly,
}

/// Declares a section: see the documentation of the module.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident = $header:expr, $effect:ident $(, with [$($group:ident),+])?;
        $($keys:tt)+
    ) => {
        $crate::config::schema::keys! { $(#[doc = $about])+ $name, $effect; $($keys)+ }

        impl $name<'_> {
            pub(in crate::config) const SECTION: $crate::config::reader::SectionKeys = $crate::config::reader::SectionKeys {
                header: $header,
                known: &[Self::NAMES $($(, $group::NAMES)+)?],
            };

            pub(in crate::config) fn section_doc() -> $crate::config::schema::SectionDoc {
                $crate::config::schema::SectionDoc {
                    header: $header,
                    description: vec![$($about),+],
                    effect: $crate::config::schema::Effect::$effect,
                    keys: [Self::key_docs() $($(, $group::key_docs())+)?].concat(),
                }
            }
        }
    };
}

/// Declares a group of keys: see the documentation of the module.
macro_rules! keys {
    (
        $(#[doc = $about:literal])+
        $name:ident, $effect:ident $(, when $other:ident = $word:literal)?;
        $(
            $(#[doc = $doc:literal])+
            $key:ident $(($own:ident))?: $value:ty = $kind:expr $(, default $default:literal)?;
        )+
    ) => {
        $(#[doc = $about])+
        pub(in crate::config) struct $name<'s> {
            $(
                $(#[doc = $doc])+
                pub(in crate::config) $key: $crate::config::schema::Setting<'s, $value>,
            )+
        }

        impl<'s> $name<'s> {
            pub(in crate::config) const NAMES: &'static [&'static str] = &[$(stringify!($key)),+];

            const WHEN: Option<(&'static str, &'static str)> = [$(Some((stringify!($other), $word)),)? None][0];

            pub(in crate::config) fn read(section: &'s $crate::config::reader::Section<'s>) -> Self {
                $(section.restrict(Self::NAMES, stringify!($other), $word);)?
                Self { $($key: $crate::config::schema::Setting::read(section, stringify!($key), &$kind),)+ }
            }

            pub(in crate::config) fn key_docs() -> Vec<$crate::config::schema::KeyDoc> {
                use $crate::config::schema::{Effect, KeyDoc, kind::Kind as _};
                vec![$(KeyDoc {
                    name: stringify!($key),
                    description: vec![$($doc),+],
                    effect: [$(Effect::$own,)? Effect::$effect][0],
                    when: Self::WHEN,
                    value: $kind.doc()$(.with_default($default))?,
                },)+]
            }
        }
    };
}

pub(in crate::config) use {keys, section};

impl SectionDoc {
    /// Returns the description as one paragraph.
    #[must_use]
    pub fn text(&self) -> String {
        paragraph(&self.description)
    }
}

impl KeyDoc {
    /// Returns the description as one paragraph.
    #[must_use]
    pub fn text(&self) -> String {
        paragraph(&self.description)
    }
}

fn paragraph(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

impl ValueDoc {
    /// Returns the first value of the example: an example for a message can continue with more words.
    #[must_use]
    pub fn example_value(&self) -> &str {
        let is_toml = |text: &str| format!("value = {text}").parse::<toml::Table>().is_ok();
        let mut ends = self.example.match_indices(' ').map(|(at, _)| self.example[..at].trim_end_matches(','));
        if is_toml(&self.example) {
            return &self.example;
        }
        ends.rfind(|text| is_toml(text)).unwrap_or(&self.example)
    }

    /// Replaces the default by TOML or a phrase.
    pub(in crate::config) fn with_default(self, default: &str) -> Self {
        Self { default: Some(default.to_owned()), ..self }
    }
}
