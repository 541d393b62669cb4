//! The description of the API beside its routes.

use serde_json::Value;
use std::collections::BTreeSet;

/// The routes as they stand in this module's text: path and method.
fn routes() -> BTreeSet<(String, String)> {
    let text = include_str!("mod.rs");
    let lines = text.lines().map(str::trim).filter_map(|line| line.strip_prefix(".route("));
    let mut routes = BTreeSet::new();
    for line in lines {
        let (path, handlers) = line.trim_start_matches('"').split_once('"').unwrap();
        for method in ["get", "put", "delete", "post", "patch"] {
            if handlers.contains(&format!("{method}(")) {
                routes.insert((path.to_owned(), method.to_owned()));
            }
        }
    }
    routes
}

fn described() -> Value {
    serde_json::from_str(include_str!("openapi.json")).unwrap()
}

#[test]
fn the_description_has_every_route_and_no_other() {
    let document = described();
    let mut told = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        told.extend(
            methods.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())),
        );
    }
    assert_eq!(told, routes());
    assert!(told.len() > 15, "{told:?}");
}

#[test]
fn every_parameter_of_a_path_and_every_schema_named_is_described() {
    let document = described();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let in_path: BTreeSet<&str> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        for (method, operation) in methods.as_object().unwrap() {
            let parameters = operation["parameters"].as_array();
            let told: BTreeSet<&str> = parameters
                .into_iter()
                .flatten()
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            assert_eq!(in_path, told, "{method} {path}");
        }
    }
    let text = include_str!("openapi.json");
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}
