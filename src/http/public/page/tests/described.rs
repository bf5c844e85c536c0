//! The API's description, `docs/openapi.json`, held to the answers: each must be as its schema says, with nothing left over.

use super::*;

/// The description.
fn description() -> Value {
    serde_json::from_str(include_str!("../../../../../docs/openapi.json")).unwrap()
}

/// What is wrong with a value under a schema; nothing if it is right. Knows the words that the description uses, and no others.
fn faults(all: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let schema = resolve(all, schema);
    let mut found = Vec::new();
    for (word, wanted) in schema.as_object().unwrap() {
        match word.as_str() {
            "type" => {
                let is = |kind: &Value| match kind.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    "integer" => value.is_u64() || value.is_i64(),
                    "number" => value.is_number(),
                    other => panic!("type {other}"),
                };
                let fits = wanted.as_array().map_or_else(|| is(wanted), |kinds| kinds.iter().any(is));
                if !fits {
                    found.push(format!("{place}: {value} is no {wanted}"));
                }
            }
            "required" => {
                let missing =
                    wanted.as_array().unwrap().iter().filter(|key| value.get(key.as_str().unwrap()).is_none());
                found.extend(missing.map(|key| format!("{place}: no {key}")));
            }
            "properties" => {
                for (key, member) in value.as_object().into_iter().flatten() {
                    match wanted.get(key) {
                        Some(schema) => found.extend(faults(all, schema, member, &format!("{place}.{key}"))),
                        None => found.push(format!("{place}: {key} is not described")),
                    }
                }
            }
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(faults(all, wanted, item, &format!("{place}[{at}]")));
                }
            }
            "enum" => {
                if !wanted.as_array().unwrap().contains(value) {
                    found.push(format!("{place}: {value} is none of {wanted}"));
                }
            }
            "minimum" => {
                if value.as_f64() < wanted.as_f64() {
                    found.push(format!("{place}: {value} is less than {wanted}"));
                }
            }
            "oneOf" => {
                let tried: Vec<_> =
                    wanted.as_array().unwrap().iter().map(|one| faults(all, one, value, place)).collect();
                if tried.iter().filter(|faults| faults.is_empty()).count() != 1 {
                    found.extend(tried.into_iter().max_by_key(Vec::len).unwrap());
                }
            }
            "format" if wanted == "date-time" => {
                if value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_err()) {
                    found.push(format!("{place}: {value} is no time"));
                }
            }
            "format" if wanted == "ipv4" => {
                if value.as_str().is_some_and(|text| text.parse::<std::net::Ipv4Addr>().is_err()) {
                    found.push(format!("{place}: {value} is no address"));
                }
            }
            "additionalProperties" => assert_eq!(*wanted, Value::Bool(false)),
            "description" => {}
            other => panic!("{place}: the test does not know `{other}`"),
        }
    }
    found
}

/// What a reference leads to.
fn resolve<'a>(all: &'a Value, schema: &'a Value) -> &'a Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(path) => resolve(all, all.pointer(path.trim_start_matches('#')).unwrap_or_else(|| panic!("{path}"))),
        None => schema,
    }
}

/// Hold an answer to what the description says of its path, method and status.
fn hold(all: &Value, method: &str, path: &str, got: &Got) {
    let pointer = format!("/paths/{}/{method}/responses/{}", path.replace('/', "~1"), got.status);
    let response = all.pointer(&pointer).unwrap_or_else(|| panic!("{pointer} is not described: {}", got.body));
    let response = resolve(all, response);
    for name in response["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
        assert!(!got.header(name).is_empty(), "{pointer}: no {name}");
    }
    let schema = &response["content"]["application/json"]["schema"];
    assert_eq!(got.header("content-type"), "application/json");
    let found = faults(all, schema, &got.json(), "answer");
    assert!(found.is_empty(), "{method} {path}: {found:#?}\n{}", got.body);
}

#[test]
fn answers_are_as_described() {
    let all = description();
    let mut world = world();
    world.list(HOST, 1);
    let (lookup, remove, listings) = ("/v1/lookup/{subject}", "/v1/lookup/{subject}/remove", "/v1/listings");
    for subject in [HOST, OTHER, "2001:db8::1", "evil.example", "1.2.3"] {
        let path = format!("/v1/lookup/{subject}");
        hold(&all, "get", lookup, &world.get(OTHER, &path));
        hold(&all, "get", lookup, &world.operator(&path));
    }
    let own = world.get(HOST, &format!("/v1/lookup/{HOST}"));
    assert!(own.json()["feeder"]["evidence"].is_object());
    hold(&all, "get", lookup, &own);
    for path in ["/v1/listings", "/v1/listings?limit=x", "/v1/listings?limit=1"] {
        hold(&all, "get", listings, &world.operator(path));
    }
    hold(&all, "get", listings, &world.get(OTHER, "/v1/listings"));
    let post = |client: &str, subject: &str, body: &str| {
        let got = world.send(Method::POST, client, &format!("/v1/lookup/{subject}/remove"), &[], body);
        hold(&all, "post", remove, &got);
        got
    };
    for (client, subject, body, status) in [
        (OTHER, HOST, "", 403),
        (OTHER, OTHER, "", 409),
        (OTHER, "a.example", "", 404),
        (OTHER, "1.2.3", "", 400),
        (OTHER, HOST, &*"x".repeat(2000), 413),
    ] {
        assert_eq!(post(client, subject, body).status, status);
    }
    let token = post(HOST, HOST, "").json()["token"].as_str().unwrap().to_owned();
    assert_eq!(post(HOST, HOST, &format!("token={token}")).json()["removed"], true);
    hold(&all, "get", lookup, &world.get(OTHER, &format!("/v1/lookup/{HOST}")));
    world.set(|options| options.rate = 1);
    for _ in 0..2 {
        hold(&all, "get", lookup, &world.get("192.0.2.200", "/v1/lookup/192.0.2.1"));
    }
}

#[test]
fn paths_are_those_that_there_are() {
    let all = description();
    let world = world();
    for path in all["paths"].as_object().unwrap().keys() {
        let path = path.replace("{subject}", "192.0.2.1");
        let method = if path.ends_with("/remove") { Method::POST } else { Method::GET };
        let got = world.send(method, OTHER, &path, &[], "");
        assert!(!matches!(got.status, 404 | 405) || path.ends_with("/remove"), "{path}: {}", got.status);
    }
    assert_eq!(world.get(OTHER, "/v1/openapi.json").json(), all);
    // The words for evidence are those of the program.
    let words: Vec<Value> = crate::feed::evidence::Signal::ALL.iter().map(|signal| signal.word().into()).collect();
    assert_eq!(all["components"]["schemas"]["Signal"]["enum"], Value::Array(words));
}
