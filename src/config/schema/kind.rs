//! Kinds of values: type, range, default and example. See [`crate::config::schema`].

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value as JsonValue;

use crate::config::reader::SectionKeys;
use crate::config::reader::report::Reported;
use crate::config::reader::{Section, one_of};
use crate::config::schema::{ValueDoc, ValueType};
use crate::config::{duration as durations, size as sizes};

/// Reads and documents the value of a key.
pub(in crate::config) trait Kind {
    type Value<'a>;

    /// Reads `key`. An invalid value is reported and replaced by the default.
    fn read<'a>(&self, section: &Section<'a>, key: &'static str) -> Self::Value<'a>;

    fn doc(&self) -> ValueDoc;
}

pub(in crate::config) const fn flag(default: bool) -> Flag {
    Flag(default)
}

pub(in crate::config) struct Flag(bool);

impl Kind for Flag {
    type Value<'a> = bool;

    fn read(&self, section: &Section<'_>, key: &'static str) -> bool {
        section.flag(key, self.0)
    }

    fn doc(&self) -> ValueDoc {
        optional(ValueType::Flag, Some(self.0.to_string()), &(!self.0).to_string())
    }
}

/// A whole number.
pub(in crate::config) const fn number(range: RangeInclusive<usize>, default: usize) -> Number {
    Number { range, default, example: default }
}

pub(in crate::config) struct Number {
    range: RangeInclusive<usize>,
    default: usize,
    example: usize,
}

impl Number {
    /// Sets an example other than the default.
    pub(in crate::config) const fn example(mut self, example: usize) -> Self {
        self.example = example;
        self
    }
}

impl Kind for Number {
    type Value<'a> = usize;

    fn read(&self, section: &Section<'_>, key: &'static str) -> usize {
        section.number(key, self.range.clone(), self.default)
    }

    fn doc(&self) -> ValueDoc {
        let kind = ValueType::Integer(*self.range.start(), *self.range.end());
        optional(kind, Some(self.default.to_string()), &self.example.to_string())
    }
}

/// A number with or without a fraction.
pub(in crate::config) const fn decimal(range: RangeInclusive<f64>, example: &'static str) -> Decimal {
    Decimal(range, example)
}

pub(in crate::config) struct Decimal(RangeInclusive<f64>, &'static str);

impl Kind for Decimal {
    type Value<'a> = Option<f64>;

    fn read(&self, section: &Section<'_>, key: &'static str) -> Option<f64> {
        section.decimal(key, self.0.clone())
    }

    fn doc(&self) -> ValueDoc {
        optional(ValueType::Number(*self.0.start(), *self.0.end()), None, self.1)
    }
}

pub(in crate::config) const fn duration(range: RangeInclusive<Duration>, default: Duration) -> Time {
    Time(range, default)
}

pub(in crate::config) struct Time(RangeInclusive<Duration>, Duration);

impl Kind for Time {
    type Value<'a> = Duration;

    fn read(&self, section: &Section<'_>, key: &'static str) -> Duration {
        section.duration(key, self.0.clone(), self.1)
    }

    fn doc(&self) -> ValueDoc {
        let bare = |duration| durations::format(duration);
        let default = format!("\"{}\"", bare(self.1));
        optional(ValueType::Duration(bare(*self.0.start()), bare(*self.0.end())), Some(default.clone()), &default)
    }
}

/// A number of bytes, up to `max`.
pub(in crate::config) const fn size(max: u64, default: u64) -> Size {
    Size(max, default)
}

pub(in crate::config) struct Size(u64, u64);

impl Kind for Size {
    type Value<'a> = u64;

    fn read(&self, section: &Section<'_>, key: &'static str) -> u64 {
        section.size(key, self.0, self.1)
    }

    fn doc(&self) -> ValueDoc {
        let example = if self.1 == 0 { 1 << 20 } else { self.1 };
        let quoted = |size| format!("\"{}\"", sizes::format(size));
        optional(ValueType::Size(sizes::format(self.0)), Some(quoted(self.1)), &quoted(example))
    }
}

/// A number of bytes, up to `max`, without a default. `example` is TOML.
pub(in crate::config) const fn optional_size(max: u64, example: &'static str) -> OptionalSize {
    OptionalSize(max, example)
}

pub(in crate::config) struct OptionalSize(u64, &'static str);

impl Kind for OptionalSize {
    type Value<'a> = Option<u64>;

    fn read(&self, section: &Section<'_>, key: &'static str) -> Option<u64> {
        let value = section.size(key, self.0, 1 << 20);
        section.is_valid(key).then_some(value)
    }

    fn doc(&self) -> ValueDoc {
        optional(ValueType::Size(sizes::format(self.0)), None, self.1)
    }
}

/// A whole number without a default.
pub(in crate::config) const fn optional_number(range: RangeInclusive<usize>, example: &'static str) -> OptionalNumber {
    OptionalNumber(range, example)
}

pub(in crate::config) struct OptionalNumber(RangeInclusive<usize>, &'static str);

impl Kind for OptionalNumber {
    type Value<'a> = Option<usize>;

    fn read(&self, section: &Section<'_>, key: &'static str) -> Option<usize> {
        let value = section.number(key, self.0.clone(), *self.0.start());
        section.is_valid(key).then_some(value)
    }

    fn doc(&self) -> ValueDoc {
        optional(ValueType::Integer(*self.0.start(), *self.0.end()), None, self.1)
    }
}

/// A duration without a default. Messages and documentation show `example`.
pub(in crate::config) const fn optional_duration(range: RangeInclusive<Duration>, example: Duration) -> OptionalTime {
    OptionalTime(range, example)
}

pub(in crate::config) struct OptionalTime(RangeInclusive<Duration>, Duration);

impl Kind for OptionalTime {
    type Value<'a> = Option<Duration>;

    fn read(&self, section: &Section<'_>, key: &'static str) -> Option<Duration> {
        let value = section.duration(key, self.0.clone(), self.1);
        section.is_valid(key).then_some(value)
    }

    fn doc(&self) -> ValueDoc {
        ValueDoc { default: None, ..Time(self.0.clone(), self.1).doc() }
    }
}

/// One word of several.
pub(in crate::config) const fn choice<T: Copy + PartialEq>(words: Words<T>, default: T) -> Choice<T> {
    Choice(words, default)
}

pub(in crate::config) struct Choice<T: 'static>(Words<T>, T);

/// Words and their meanings.
pub(in crate::config) type Words<T> = &'static [(&'static str, T)];

impl<T: Copy + PartialEq> Kind for Choice<T> {
    type Value<'a> = T;

    fn read(&self, section: &Section<'_>, key: &'static str) -> T {
        section.choice(key, self.0).unwrap_or(self.1)
    }

    fn doc(&self) -> ValueDoc {
        let default = self.0.iter().find(|(_, meaning)| *meaning == self.1).map(|(word, _)| format!("\"{word}\""));
        let other = self.0.iter().find(|(_, meaning)| *meaning != self.1);
        let example = format!("\"{}\"", other.map_or("", |(word, _)| word));
        optional(ValueType::Word(words_of(self.0)), default, &example)
    }
}

/// One word of several, without a default.
pub(in crate::config) const fn word<T: Copy>(words: Words<T>) -> Word<T> {
    Word(words)
}

pub(in crate::config) struct Word<T: 'static>(Words<T>);

impl<T: Copy> Kind for Word<T> {
    type Value<'a> = Option<T>;

    fn read(&self, section: &Section<'_>, key: &'static str) -> Option<T> {
        section.choice(key, self.0)
    }

    fn doc(&self) -> ValueDoc {
        optional(ValueType::Word(words_of(self.0)), None, &first(self.0))
    }
}

impl<T: Copy> Kind for Required<Word<T>> {
    type Value<'a> = Result<T, Reported>;

    fn read(&self, section: &Section<'_>, key: &'static str) -> Result<T, Reported> {
        if !section.has(key) {
            return Err(section.missing(key, format!("is missing: write {key} = {}", self.0.listed())));
        }
        section.choice(key, self.0.0).ok_or_else(|| section.reported())
    }

    fn doc(&self) -> ValueDoc {
        ValueDoc { required: true, ..self.0.doc() }
    }
}

impl<T: Copy> Word<T> {
    fn listed(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let (last, others) =
            words.split_last().map_or((String::new(), &[][..]), |(last, others)| (last.clone(), others));
        format!("{} or {last}", others.join(", "))
    }
}

/// One word of several, or a list of them. Required.
pub(in crate::config) const fn words<T: Copy>(words: Words<T>, example: &'static str) -> WordOrList<T> {
    WordOrList(words, example)
}

pub(in crate::config) struct WordOrList<T: 'static>(Words<T>, &'static str);

impl<T: Copy> Kind for WordOrList<T> {
    type Value<'a> = Result<Vec<T>, Reported>;

    fn read(&self, section: &Section<'_>, key: &'static str) -> Result<Vec<T>, Reported> {
        if !section.has(key) {
            return Err(section.missing(key, format!("is missing: write {key} = {}", self.1)));
        }
        section.choices(key, self.0).ok_or_else(|| section.reported())
    }

    fn doc(&self) -> ValueDoc {
        let value = optional(ValueType::Words(words_of(self.0)), None, &first(self.0));
        ValueDoc { required: true, ..value }
    }
}

/// A list of words, without duplicates.
pub(in crate::config) const fn word_list<T: Copy>(words: Words<T>, example: &'static str) -> WordList<T> {
    WordList(words, example)
}

pub(in crate::config) struct WordList<T: 'static>(Words<T>, &'static str);

impl<T: Copy> Kind for WordList<T> {
    type Value<'a> = Vec<T>;

    fn read(&self, section: &Section<'_>, key: &'static str) -> Vec<T> {
        section.list(key, |text| one_of(text, self.0))
    }

    fn doc(&self) -> ValueDoc {
        optional(ValueType::List(Box::new(ValueType::Word(words_of(self.0)))), None, self.1)
    }
}

/// A string that `parse` accepts. `example` is TOML.
pub(in crate::config) const fn text<T>(parse: Parse<T>, example: &'static str) -> Text<T> {
    Text(parse, example)
}

pub(in crate::config) struct Text<T>(Parse<T>, &'static str);

/// Parses a string, or returns an error message. The function decides whether its message quotes the string.
pub(in crate::config) type Parse<T> = fn(&str) -> Result<T, String>;

impl<T> Kind for Text<T> {
    type Value<'a> = Option<T>;

    fn read(&self, section: &Section<'_>, key: &'static str) -> Option<T> {
        section.optional(key, self.0)
    }

    fn doc(&self) -> ValueDoc {
        optional(ValueType::Text, None, self.1)
    }
}

/// Makes a key required.
pub(in crate::config) const fn required<K>(kind: K) -> Required<K> {
    Required(kind)
}

pub(in crate::config) struct Required<K>(K);

impl<T> Kind for Required<Text<T>> {
    type Value<'a> = Result<T, Reported>;

    fn read(&self, section: &Section<'_>, key: &'static str) -> Result<T, Reported> {
        section.required(key, self.0.1, self.0.0)
    }

    fn doc(&self) -> ValueDoc {
        ValueDoc { required: true, ..self.0.doc() }
    }
}

/// A list of strings that `parse` accepts, without duplicates. `example` is TOML.
pub(in crate::config) const fn list<T>(parse: Parse<T>, example: &'static str) -> List<T> {
    List(parse, example)
}

pub(in crate::config) struct List<T>(Parse<T>, &'static str);

impl<T> Kind for List<T> {
    type Value<'a> = Vec<T>;

    fn read(&self, section: &Section<'_>, key: &'static str) -> Vec<T> {
        section.list(key, self.0)
    }

    fn doc(&self) -> ValueDoc {
        optional(ValueType::List(Box::new(ValueType::Text)), None, self.1)
    }
}

/// A string that is parsed later by [`Setting`](crate::config::schema::Setting), since its meaning depends on other keys or files.
pub(in crate::config) const fn raw(example: &'static str) -> Raw {
    Raw { example }
}

#[derive(Clone, Copy)]
pub(in crate::config) struct Raw {
    pub(in crate::config) example: &'static str,
}

impl Kind for Raw {
    type Value<'a> = Self;

    fn read(&self, _: &Section<'_>, _: &'static str) -> Self {
        *self
    }

    fn doc(&self) -> ValueDoc {
        optional(ValueType::Text, None, self.example)
    }
}

impl Kind for Required<Raw> {
    type Value<'a> = Raw;

    fn read(&self, _: &Section<'_>, _: &'static str) -> Raw {
        self.0
    }

    fn doc(&self) -> ValueDoc {
        ValueDoc { required: true, ..self.0.doc() }
    }
}

/// The same, for a list of strings.
pub(in crate::config) const fn raw_list(example: &'static str) -> RawList {
    RawList { example }
}

#[derive(Clone, Copy)]
pub(in crate::config) struct RawList {
    pub(in crate::config) example: &'static str,
}

impl Kind for RawList {
    type Value<'a> = Self;

    fn read(&self, _: &Section<'_>, _: &'static str) -> Self {
        *self
    }

    fn doc(&self) -> ValueDoc {
        optional(ValueType::List(Box::new(ValueType::Text)), None, self.example)
    }
}

impl Kind for Required<RawList> {
    type Value<'a> = RawList;

    fn read(&self, _: &Section<'_>, _: &'static str) -> RawList {
        self.0
    }

    fn doc(&self) -> ValueDoc {
        ValueDoc { required: true, ..self.0.doc() }
    }
}

/// A date and time with an offset from UTC, in Unix seconds.
pub(in crate::config) const fn timestamp(example: &'static str) -> Timestamp {
    Timestamp(example)
}

pub(in crate::config) struct Timestamp(&'static str);

impl Kind for Timestamp {
    type Value<'a> = Option<i64>;

    fn read(&self, section: &Section<'_>, key: &'static str) -> Option<i64> {
        section.timestamp(key)
    }

    fn doc(&self) -> ValueDoc {
        optional(ValueType::Timestamp, None, self.0)
    }
}

/// A table of keys that the operator chooses. `wanted` completes "must be …".
pub(in crate::config) const fn map(wanted: &'static str, example: &'static str) -> Map {
    Map { wanted, example }
}

pub(in crate::config) struct Map {
    wanted: &'static str,
    example: &'static str,
}

impl Kind for Map {
    type Value<'a> = Vec<(String, JsonValue)>;

    fn read(&self, section: &Section<'_>, key: &'static str) -> Vec<(String, JsonValue)> {
        section.values(key, self.wanted)
    }

    fn doc(&self) -> ValueDoc {
        optional(ValueType::Map, None, self.example)
    }
}

/// A section within this one.
pub(in crate::config) const fn subsection(keys: &'static SectionKeys) -> Subsection {
    Subsection(keys)
}

pub(in crate::config) struct Subsection(&'static SectionKeys);

impl Kind for Subsection {
    type Value<'a> = Option<Section<'a>>;

    fn read<'a>(&self, section: &Section<'a>, key: &'static str) -> Option<Section<'a>> {
        section.table(key, self.0)
    }

    fn doc(&self) -> ValueDoc {
        optional(ValueType::Section(self.0.header), None, self.0.header)
    }
}

/// Sections within this one, in the order of the file.
pub(in crate::config) const fn subsections(keys: &'static SectionKeys) -> Subsections {
    Subsections(keys)
}

pub(in crate::config) struct Subsections(&'static SectionKeys);

impl Kind for Subsections {
    type Value<'a> = Vec<Section<'a>>;

    fn read<'a>(&self, section: &Section<'a>, key: &'static str) -> Vec<Section<'a>> {
        section.tables(key, self.0)
    }

    fn doc(&self) -> ValueDoc {
        optional(ValueType::Sections(self.0.header), None, self.0.header)
    }
}

impl Kind for Required<Subsection> {
    type Value<'a> = Option<Section<'a>>;

    fn read<'a>(&self, section: &Section<'a>, key: &'static str) -> Option<Section<'a>> {
        self.0.read(section, key)
    }

    fn doc(&self) -> ValueDoc {
        ValueDoc { required: true, ..self.0.doc() }
    }
}

impl Kind for Required<Subsections> {
    type Value<'a> = Vec<Section<'a>>;

    fn read<'a>(&self, section: &Section<'a>, key: &'static str) -> Vec<Section<'a>> {
        self.0.read(section, key)
    }

    fn doc(&self) -> ValueDoc {
        ValueDoc { required: true, ..self.0.doc() }
    }
}

fn optional(kind: ValueType, default: Option<String>, example: &str) -> ValueDoc {
    ValueDoc { kind, required: false, default, example: example.to_owned() }
}

fn words_of<T>(words: Words<T>) -> Vec<&'static str> {
    words.iter().map(|(word, _)| *word).collect()
}

fn first<T>(words: Words<T>) -> String {
    format!("\"{}\"", words.first().map_or("", |(word, _)| word))
}
