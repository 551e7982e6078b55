//! The JSON Schema of the configuration file, for editors: it completes keys and marks invalid values.
//!
//! Draft-07, which the TOML language servers support. It describes types, ranges and required keys. The rules between keys are
//! checked by `tollgate check` only.

use serde_json::{Map, Value, json};

use crate::config::file::reference;
use crate::config::schema::{KeyDoc, SectionDoc, ValueType};

/// Returns the JSON Schema of the configuration file.
#[must_use]
pub fn json_schema() -> Value {
    let mut sections = reference().into_iter();
    let mut schema = Map::new();
    schema.insert("$schema".into(), "http://json-schema.org/draft-07/schema#".into());
    schema.insert("title".into(), "Tollgate configuration".into());
    if let Some(file) = sections.next() {
        schema.extend(object(&file));
    }
    let definitions: Map<_, _> =
        sections.map(|section| (name(section.header), Value::Object(object(&section)))).collect();
    schema.insert("definitions".into(), definitions.into());
    schema.into()
}

/// Returns `route.health_check` for `[route.health_check]`.
fn name(header: &str) -> String {
    header.trim_matches(['[', ']']).to_owned()
}

fn object(section: &SectionDoc) -> Map<String, Value> {
    let required: Vec<_> = section.keys.iter().filter(|key| key.value.required).map(|key| key.name).collect();
    let properties: Map<_, _> = section.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let object = json!({
        "description": section.text(),
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    into_map(object)
}

fn property(key: &KeyDoc) -> Value {
    let mut property = into_map(json!({ "description": key.text() }));
    property.extend(into_map(kind(&key.value.kind)));
    if !matches!(key.value.kind, ValueType::Section(_) | ValueType::Sections(_)) {
        if let Some(default) = key.value.default.as_deref().and_then(from_toml) {
            property.insert("default".into(), default);
        }
        if let Some(example) = from_toml(key.value.example_value()) {
            property.insert("examples".into(), json!([example]));
        }
    }
    property.into()
}

fn kind(kind: &ValueType) -> Value {
    match kind {
        ValueType::Flag => json!({ "type": "boolean" }),
        ValueType::Integer(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        ValueType::Number(min, max) => json!({ "type": "number", "minimum": min, "maximum": max }),
        ValueType::Duration(..) => json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" }),
        ValueType::Size(_) => json!({ "type": "string", "pattern": "^(0|[0-9]+(B|KiB|MiB|GiB))$" }),
        ValueType::Timestamp => json!({ "type": "string", "format": "date-time" }),
        ValueType::Text => json!({ "type": "string" }),
        ValueType::Word(words) => json!({ "type": "string", "enum": words }),
        ValueType::Words(words) => {
            let word = json!({ "type": "string", "enum": words });
            json!({ "anyOf": [word, { "type": "array", "items": word, "minItems": 1, "uniqueItems": true }] })
        }
        ValueType::List(item) => json!({ "type": "array", "items": self::kind(item), "uniqueItems": true }),
        ValueType::Map => {
            json!({ "type": "object", "additionalProperties": { "type": ["string", "integer", "boolean"] } })
        }
        ValueType::Section(header) => json!({ "allOf": [reference_to(header)] }),
        ValueType::Sections(header) => json!({ "type": "array", "items": reference_to(header) }),
    }
}

fn reference_to(header: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{}", name(header)) })
}

/// Parses a text as a TOML value.
fn from_toml(text: &str) -> Option<Value> {
    let table: toml::Table = format!("value = {text}").parse().ok()?;
    match table.get("value")? {
        toml::Value::Datetime(time) => Some(time.to_string().into()),
        value => serde_json::to_value(value).ok(),
    }
}

fn into_map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_type_default_and_example() {
        let schema = json_schema();
        assert_eq!(
            schema["properties"]["route"],
            json!({ "description": schema["properties"]["route"]["description"], "type": "array", "items": { "$ref": "#/definitions/route" } })
        );
        let route = &schema["definitions"]["route"]["properties"];
        assert_eq!((&route["retries"]["maximum"], &route["retries"]["default"]), (&json!(15), &json!(3)));
        assert_eq!(route["methods"]["examples"], json!([["GET", "POST"]]));
        assert_eq!(route["access"]["anyOf"][0]["enum"], json!(["user", "key", "public"]));
        assert_eq!(schema["required"], json!(["server", "store", "realm"]));
        assert_eq!(schema["definitions"]["realm.key"]["properties"]["expires"]["format"], "date-time");
    }

    #[test]
    fn every_key_has_an_example_that_is_toml() {
        for section in reference() {
            for key in &section.keys {
                let is_section = matches!(key.value.kind, ValueType::Section(_) | ValueType::Sections(_));
                let example = key.value.example_value();
                assert!(is_section || from_toml(example).is_some(), "{} {}: {example}", section.header, key.name);
                assert!(key.text().ends_with('.') && !key.text().contains("  "), "{}: {}", key.name, key.text());
            }
        }
    }
}
