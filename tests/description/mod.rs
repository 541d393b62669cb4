//! The API's own description, and whether an answer is as it says.

use serde_json::Value;

/// An OpenAPI document; as much of JSON Schema as ours uses.
pub(crate) struct Description(pub(crate) Value);

impl Description {
    /// Panics where the document does not foresee the answer.
    pub(crate) fn check(&self, method: &str, path: &str, status: u16, body: &Value) {
        let asked = format!("{method} {path}: {status}");
        let path = path.split('?').next().unwrap();
        let paths = self.0["paths"].as_object().unwrap();
        let Some((_, methods)) = paths.iter().find(|(template, _)| is_of(path, template)) else {
            assert_eq!(status, 404, "{asked}: the path is not described");
            return;
        };
        let operation = &methods[method.to_lowercase()];
        if operation.is_null() {
            assert_eq!(status, 405, "{asked}: the method is not described");
            return;
        }
        let answer = &operation["responses"][status.to_string()];
        assert!(answer.is_object(), "{asked}: the status is not described");
        let schema = &answer["content"]["application/json"]["schema"];
        if schema.is_null() {
            assert!(body.is_null(), "{asked}: a body that is not described: {body}");
        } else if let Err(fault) = self.conforms(schema, body) {
            panic!("{asked}: {fault}: {body}");
        }
    }

    fn conforms(&self, schema: &Value, value: &Value) -> Result<(), String> {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap();
            let named = self.conforms(&self.0["components"]["schemas"][name], value);
            return named.map_err(|fault| format!("{name}: {fault}"));
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let fit = choices.iter().filter(|choice| self.conforms(choice, value).is_ok()).count();
            return if fit == 1 { Ok(()) } else { Err(format!("{fit} choices fit {value}")) };
        }
        if !schema["type"].is_null() && !is_a(&schema["type"], value) {
            return Err(format!("{value} is not {}", schema["type"]));
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            return Err(format!("{value} is none of {words:?}"));
        }
        if let Some(least) = schema["minimum"].as_i64()
            && value.as_i64().is_some_and(|number| number < least)
        {
            return Err(format!("{value} is less than {least}"));
        }
        for item in value.as_array().into_iter().flatten() {
            self.conforms(&schema["items"], item)?;
        }
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            value.get(name).ok_or_else(|| format!("{name} is missing"))?;
        }
        for (name, inner) in value.as_object().into_iter().flatten() {
            match (&schema["properties"][name], &schema["additionalProperties"]) {
                (Value::Null, Value::Bool(false)) => {
                    return Err(format!("{name} is not described"));
                }
                (Value::Null, Value::Null | Value::Bool(true)) => {}
                (Value::Null, other) => self.conforms(other, inner)?,
                (known, _) => {
                    self.conforms(known, inner).map_err(|fault| format!("{name}: {fault}"))?
                }
            }
        }
        Ok(())
    }
}

fn is_of(path: &str, template: &str) -> bool {
    let (parts, places): (Vec<_>, Vec<_>) =
        (path.split('/').collect(), template.split('/').collect());
    parts.len() == places.len()
        && parts.iter().zip(places).all(|(part, place)| place.starts_with('{') || *part == place)
}

fn is_a(kind: &Value, value: &Value) -> bool {
    if let Some(kinds) = kind.as_array() {
        return kinds.iter().any(|kind| is_a(kind, value));
    }
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the description has a type that this test does not know: {other}"),
    }
}
